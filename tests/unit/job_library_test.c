/* Loading jobs from real files, good and bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/api/stream_graph.h"

static char directory[] = "weir-job-library-XXXXXX";

static void write_file(const char *name, const void *data, size_t size)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(directory))
        return -1;
    write_file("empty.so", "", 0);
    write_file("text.so", "not an object\n", 14);
    static const char elf[] = "\x7f"
                              "ELF\x02\x01\x01";
    write_file("cut.so", elf, sizeof elf - 1);
    /* The head of a real job. */
    static char head[4000];
    FILE *job = fopen(EXAMPLES_DIR "/click_event_count.so", "rb");
    if (!job || fread(head, 1, sizeof head, job) != sizeof head)
        return -1;
    fclose(job);
    write_file("torn.so", head, sizeof head);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    static const char *const names[] = {"empty.so", "text.so", "cut.so", "torn.so"};
    char path[256];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        unlink(path);
    }
    return rmdir(directory);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *file; /* with a slash: a path; else in the scratch directory */
        int rc;
        const char *parts[3];
    } cases[] = {
        {"missing.so", WEIR_E_NOT_FOUND, {"No such file"}},
        {"text.so/job.so", WEIR_E_NOT_FOUND, {"Not a directory"}},
        {EXAMPLES_DIR "/", WEIR_E_INVALID, {"not a file but a directory"}},
        {"/dev/null", WEIR_E_INVALID, {"not a file but a device"}},
        {"empty.so", WEIR_E_INVALID, {"can't be loaded", "file too short"}},
        {"text.so", WEIR_E_INVALID, {"can't be loaded"}},
        {"cut.so", WEIR_E_INVALID, {"can't be loaded", "file too short"}},
        {"torn.so", WEIR_E_INVALID, {"is cut off", "4000 bytes"}},
        {JOBS_DIR "/no_descriptor.so",
         WEIR_E_INVALID,
         {"is not a Weir job", "no symbol weir_job_descriptor_v1"}},
        {JOBS_DIR "/bad_magic.so", WEIR_E_INVALID, {"is not a Weir job", "magic"}},
        {JOBS_DIR "/other_major.so", WEIR_E_VERSION, {"compiled for Weir API 7.0", "this is Weir API 1.0"}},
        {JOBS_DIR "/short_descriptor.so", WEIR_E_INVALID, {"its descriptor is 32 bytes long"}},
        {JOBS_DIR "/no_main.so", WEIR_E_INVALID, {"has no main function"}},
        {JOBS_DIR "/no_name.so", WEIR_E_INVALID, {"the name in its descriptor is missing"}},
        {JOBS_DIR "/missing_symbol.so",
         WEIR_E_INVALID,
         {"undefined symbol", "weir_function_of_another_version"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[512];
        bool scratch = cases[i].file[0] != '/';
        snprintf(path, sizeof path, "%s%s%s", scratch ? directory : "", scratch ? "/" : "", cases[i].file);
        struct job_library library = {.handle = &library};
        struct error err = {0};
        int rc = job_library_open(path, &library, &err);
        if (rc != cases[i].rc)
            fail_msg("%s: %d (%s)", path, rc, err.message);
        assert_ptr_equal(library.handle, &library); /* untouched */
        if (!strstr(err.message, cases[i].file))
            fail_msg("%s isn't named: %s", path, err.message);
        for (size_t part = 0; part < 3 && cases[i].parts[part]; part++) {
            if (!strstr(err.message, cases[i].parts[part]))
                fail_msg("%s: \"%s\" where \"%s\" was expected", path, err.message, cases[i].parts[part]);
        }
    }
}

static void accepted(void **state)
{
    (void)state;
    static const char *const files[] = {EXAMPLES_DIR "/click_event_count.so", EXAMPLES_DIR "/sequence_sum.so",
                                        JOBS_DIR "/crash_job.so", JOBS_DIR "/newer_minor.so"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct job_library library;
        struct error err = {0};
        if (job_library_open(files[i], &library, &err))
            fail_msg("%s", err.message);
        assert_int_equal(library.path[0], '/');
        struct stream_graph_settings settings = {.default_parallelism = 1};
        struct stream_graph *graph;
        char *argv[] = {"x"};
        if (stream_graph_build(library.descriptor, &settings, 1, argv, &graph, &err))
            fail_msg("%s: %s", files[i], err.message);
        Weir__JobGraph *job;
        assert_int_equal(stream_graph_to_job_graph(graph, &job, &err), 0);
        weir__job_graph__free_unpacked(job, NULL);
        stream_graph_free(graph);
        free(library.path);
    }
}

/* A name without a slash means the working directory, not the library path. */
static void relative_path(void **state)
{
    (void)state;
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(EXAMPLES_DIR), 0);
    struct job_library library;
    struct error err = {0};
    int rc = job_library_open("sequence_sum.so", &library, &err);
    assert_int_equal(chdir(before), 0);
    if (rc)
        fail_msg("%s", err.message);
    assert_string_equal(library.descriptor->name, "Sequence Sum");
    free(library.path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused),
        cmocka_unit_test(accepted),
        cmocka_unit_test(relative_path),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

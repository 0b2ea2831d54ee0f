/* common/storage: files that are complete or not there, and every way in which a snapshot can be damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/hash.h"
#include "common/base/memory.h"
#include "common/storage/storage.h"

static char directory[] = "/tmp/weir-storage-test-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return storage_delete_tree(directory, NULL);
}

static char *below(const char *name)
{
    return xasprintf("%s/%s", directory, name);
}

static void write_raw(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
}

static unsigned entries_in(const char *path)
{
    unsigned count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return count;
}

#define assert_says(err, part)                                                                               \
    do {                                                                                                     \
        if (!strstr((err).message, part))                                                                    \
            fail_msg("\"%s\" doesn't say \"%s\"", (err).message, part);                                      \
    } while (0)

/* ---- paths, files ---- */

static void local_paths(void **state)
{
    (void)state;
    static const struct {
        const char *uri, *path; /* NULL: refused */
    } cases[] = {
        {"file:///a/b", "/a/b"},
        {"file:/a/b", "/a/b"},
        {"/a/b", "/a/b"},
        {"/a/b///", "/a/b"},
        {"file:///", "/"},
        {"file://localhost/a", "/a"},
        {"/a:/b", "/a:/b"},
        {"file://host/a", NULL},
        {"s3://bucket/a", NULL},
        {"hdfs:/a", NULL},
        {"a/b", NULL},
        {"file:a", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error err = {0};
        char *path = NULL;
        int rc = storage_local_path(cases[i].uri, &path, &err);
        assert_int_equal(rc, cases[i].path ? 0 : WEIR_E_INVALID);
        if (cases[i].path)
            assert_string_equal(path, cases[i].path);
        else
            assert_says(err, cases[i].uri);
        free(path);
    }
    struct error err = {0};
    char *path;
    assert_int_equal(storage_local_path("s3://bucket/a", &path, &err), WEIR_E_INVALID);
    assert_says(err, "'s3'");
}

static void directories(void **state)
{
    (void)state;
    char *deep = below("d/e/f");
    char *file = below("file");
    char *under_file = below("file/x");
    struct error err = {0};
    struct stat info;
    assert_int_equal(storage_create_directory(deep, &err), 0);
    assert_int_equal(storage_create_directory(deep, &err), 0);
    assert_true(stat(deep, &info) == 0 && S_ISDIR(info.st_mode));
    write_raw(file, "x", 1);
    assert_int_equal(storage_create_directory(file, &err), WEIR_E_IO);
    assert_says(err, file);
    assert_int_equal(storage_create_directory(under_file, &err), WEIR_E_IO);
    assert_says(err, "Not a directory");
    free(deep);
    free(file);
    free(under_file);
}

static void files(void **state)
{
    (void)state;
    char *home = below("files");
    char *path = below("files/a");
    struct error err = {0};
    void *data;
    size_t size;
    assert_int_equal(storage_create_directory(home, NULL), 0);
    assert_int_equal(storage_write_file(path, "hello", 5, &err), 0);
    assert_int_equal(storage_read_file(path, 5, &data, &size, &err), 0);
    assert_int_equal(size, 5);
    assert_memory_equal(data, "hello", 5);
    free(data);
    assert_int_equal(storage_write_file(path, "bye", 3, &err), 0); /* replaces it */
    assert_int_equal(storage_read_file(path, 100, &data, &size, &err), 0);
    assert_int_equal(size, 3);
    free(data);
    assert_int_equal(storage_read_file(path, 2, &data, &size, &err), WEIR_E_LIMIT);
    assert_says(err, path);
    assert_int_equal(entries_in(home), 1); /* no temporary files */
    static const struct {
        uint64_t offset;
        size_t size;
        int rc;
    } ranges[] = {{0, 3, 0},
                  {1, 2, 0},
                  {3, 0, 0},
                  {0, 4, WEIR_E_CORRUPT},
                  {4, 0, WEIR_E_CORRUPT},
                  {UINT64_MAX, 1, WEIR_E_CORRUPT},
                  {1, SIZE_MAX, WEIR_E_CORRUPT}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        int rc = storage_read_range(path, ranges[i].offset, ranges[i].size, &data, &err);
        assert_int_equal(rc, ranges[i].rc);
        if (rc == 0) {
            assert_memory_equal(data, &"bye"[ranges[i].offset], ranges[i].size);
            free(data);
        } else {
            assert_says(err, path);
        }
    }
    assert_int_equal(storage_write_file(path, "", 0, &err), 0);
    assert_int_equal(storage_read_file(path, 0, &data, &size, &err), 0);
    assert_int_equal(size, 0);
    free(data);
    free(path);
    path = below("files/none");
    assert_int_equal(storage_read_file(path, 1, &data, &size, &err), WEIR_E_NOT_FOUND);
    assert_says(err, path);
    assert_int_equal(storage_read_file(home, 1 << 20, &data, &size, &err), WEIR_E_IO);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(storage_read_file(path, 1, &data, &size, &err), WEIR_E_IO); /* and does not wait */
    free(path);
    path = below("nowhere/a");
    assert_int_equal(storage_write_file(path, "x", 1, &err), WEIR_E_IO);
    assert_says(err, path);
    free(path);
    free(home);
}

static void full_disk(void **state)
{
    (void)state;
    char *disk = below("disk");
    char *path = below("disk/state");
    struct error err = {0};
    void *data;
    size_t size;
    assert_int_equal(storage_create_directory(disk, NULL), 0);
    if (mount("tmpfs", disk, "tmpfs", 0, "size=64k") != 0) {
        free(disk);
        free(path);
        skip(); /* needs the right to mount */
    }
    char *large = xcalloc(1, 200000);
    int rc_small = storage_write_file(path, "old", 3, &err);
    int rc = storage_write_file(path, large, 200000, &err);
    unsigned left = entries_in(disk);
    int rc_read = storage_read_file(path, 100, &data, &size, NULL);
    umount(disk);
    assert_int_equal(rc_small, 0);
    assert_int_equal(rc, WEIR_E_IO);
    assert_says(err, path);
    assert_says(err, "No space left on device");
    assert_int_equal(left, 1); /* the old file, and nothing half-written */
    assert_int_equal(rc_read, 0);
    assert_int_equal(size, 3);
    assert_memory_equal(data, "old", 3);
    free(data);
    free(large);
    free(disk);
    free(path);
}

static void deletion(void **state)
{
    (void)state;
    char *tree = below("tree");
    char *deep = below("tree/a/b");
    char *file = below("tree/a/b/file");
    char *outside = below("outside");
    char *link_path = below("tree/a/link");
    struct error err = {0};
    struct stat info;
    assert_int_equal(storage_create_directory(deep, NULL), 0);
    write_raw(file, "x", 1);
    write_raw(outside, "x", 1);
    assert_int_equal(symlink(directory, link_path), 0); /* is not followed */
    assert_int_equal(storage_delete_tree(tree, &err), 0);
    assert_int_not_equal(stat(tree, &info), 0);
    assert_int_equal(stat(outside, &info), 0);
    assert_int_equal(storage_delete_tree(tree, &err), 0); /* not there: fine */
    static const char *const never[] = {"/", "", "..", "/..", "//"};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        assert_int_equal(storage_delete_tree(never[i], &err), WEIR_E_INVALID);
    free(tree);
    free(deep);
    free(file);
    free(outside);
    free(link_path);
}

/* ---- snapshots ---- */

struct sample {
    Weir__SnapshotMetadata metadata;
    Weir__OperatorState operator;
    Weir__OperatorState *operators[1];
    Weir__KeyGroupState group;
    Weir__KeyGroupState *groups[1];
    Weir__StateHandle handle;
    uint8_t id[16];
};

static void sample_init(struct sample *sample)
{
    static uint8_t bytes[] = "state bytes";
    weir__snapshot_metadata__init(&sample->metadata);
    weir__operator_state__init(&sample->operator);
    weir__key_group_state__init(&sample->group);
    weir__state_handle__init(&sample->handle);
    memset(sample->id, 7, sizeof sample->id);
    sample->handle.inline_ = (ProtobufCBinaryData){sizeof bytes, bytes};
    sample->handle.length = sizeof bytes;
    sample->handle.checksum = hash64(bytes, sizeof bytes);
    sample->group.key_group = 5;
    sample->group.handle = &sample->handle;
    sample->groups[0] = &sample->group;
    sample->operator.uid = "counter";
    sample->operator.parallelism = 2;
    sample->operator.subtask = 1;
    sample->operator.max_parallelism = 128;
    sample->operator.n_keyed = 1;
    sample->operator.keyed = sample->groups;
    sample->operators[0] = &sample->operator;
    sample->metadata.version = 1;
    sample->metadata.job_id = (ProtobufCBinaryData){16, sample->id};
    sample->metadata.job_name = "Click Event Count";
    sample->metadata.checkpoint_id = 12;
    sample->metadata.n_operators = 1;
    sample->metadata.operators = sample->operators;
}

static char *write_sample(const char *name, uint8_t **ret_bytes, size_t *ret_size)
{
    struct sample sample;
    struct error err = {0};
    char *home = below(name);
    char *path = xasprintf("%s/_metadata", home);
    uint64_t size;
    void *data;
    sample_init(&sample);
    assert_int_equal(storage_create_directory(home, NULL), 0);
    if (snapshot_metadata_write(home, &sample.metadata, &size, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(storage_read_file(path, 1 << 20, &data, ret_size, NULL), 0);
    assert_int_equal(*ret_size, size);
    *ret_bytes = data;
    free(path);
    return home;
}

static void metadata_round_trip(void **state)
{
    (void)state;
    uint8_t *bytes;
    size_t size;
    Weir__SnapshotMetadata *metadata;
    void *data;
    char *home = write_sample("chk-1", &bytes, &size);
    assert_memory_equal(bytes, "WEIRSNAP\1\0\0\0", 12);
    assert_int_equal(snapshot_metadata_read(home, &metadata, NULL), 0);
    assert_int_equal(metadata->checkpoint_id, 12);
    assert_string_equal(metadata->job_name, "Click Event Count");
    assert_int_equal(metadata->operators[0]->keyed[0]->key_group, 5);
    assert_int_equal(state_handle_read(home, metadata->operators[0]->keyed[0]->handle, &data, &size, NULL),
                     0);
    assert_string_equal(data, "state bytes");
    free(data);
    weir__snapshot_metadata__free_unpacked(metadata, NULL);
    assert_int_equal(entries_in(home), 1);
    free(bytes);
    free(home);
}

/* Cut off at every length, and every single bit turned over: always an error that names the file, never a
 * wrong answer. */
static void damaged_metadata(void **state)
{
    (void)state;
    uint8_t *bytes;
    size_t size;
    char *home = write_sample("chk-2", &bytes, &size);
    char *path = xasprintf("%s/_metadata", home);
    Weir__SnapshotMetadata *metadata;
    struct error err;
    for (size_t cut = 0; cut < size; cut++) {
        memset(&err, 0, sizeof err);
        write_raw(path, bytes, cut);
        assert_int_equal(snapshot_metadata_read(home, &metadata, &err), WEIR_E_CORRUPT);
        assert_says(err, path);
        assert_says(err, cut < 24 ? "fewer than the header's 24" : "its header promises");
    }
    for (size_t bit = 0; bit < 8 * size; bit++) {
        memset(&err, 0, sizeof err);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        write_raw(path, bytes, size);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        int rc = snapshot_metadata_read(home, &metadata, &err);
        bool in_version = bit / 8 >= 8 && bit / 8 < 12;
        assert_int_equal(rc, in_version ? WEIR_E_VERSION : WEIR_E_CORRUPT);
        assert_says(err, path);
        assert_says(err, bit / 8 < 8    ? "not a snapshot of Weir"
                         : in_version   ? "this Weir reads version 1"
                         : bit / 8 < 16 ? "its header promises"
                                        : "checksum mismatch");
    }
    uint8_t *longer = xmalloc(size + 1);
    memcpy(longer, bytes, size);
    longer[size] = 0;
    write_raw(path, longer, size + 1);
    assert_int_equal(snapshot_metadata_read(home, &metadata, &err), WEIR_E_CORRUPT);
    unlink(path);
    assert_int_equal(snapshot_metadata_read(home, &metadata, &err), WEIR_E_NOT_FOUND);
    assert_says(err, home);
    free(longer);
    free(bytes);
    free(path);
    free(home);
}

/* Well-formed files that make no sense, as only a hostile or broken writer makes them. */
static void senseless_metadata(void **state)
{
    (void)state;
    static const char *const expected[] = {"job id has 3 bytes",   "format version 2", "no operator",
                                           "subtask 2 of 2",       "subtask 1 of 0",   "(at most 1)",
                                           "key group 128 of 128", "without a handle"};
    char *home = below("chk-3");
    assert_int_equal(storage_create_directory(home, NULL), 0);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct sample sample;
        struct error err = {0};
        Weir__SnapshotMetadata *metadata;
        sample_init(&sample);
        if (i == 0)
            sample.metadata.job_id.len = 3;
        else if (i == 1)
            sample.metadata.version = 2;
        else if (i == 2)
            sample.operator.uid = "";
        else if (i == 3)
            sample.operator.subtask = 2;
        else if (i == 4)
            sample.operator.parallelism = 0;
        else if (i == 5)
            sample.operator.max_parallelism = 1;
        else if (i == 6)
            sample.group.key_group = 128;
        else
            sample.group.handle = NULL;
        assert_int_equal(snapshot_metadata_write(home, &sample.metadata, NULL, NULL), 0);
        assert_int_equal(snapshot_metadata_read(home, &metadata, &err),
                         i == 1 ? WEIR_E_VERSION : WEIR_E_CORRUPT);
        assert_says(err, expected[i]);
    }
    free(home);
}

static void handles_in_files(void **state)
{
    (void)state;
    char *home = below("chk-4");
    char *path = below("chk-4/op-1");
    char *secret = below("secret");
    struct error err = {0};
    void *data;
    size_t size;
    assert_int_equal(storage_create_directory(home, NULL), 0);
    write_raw(path, "aaaabbbbcccc", 12);
    write_raw(secret, "secret", 6);
    Weir__StateHandle handle = WEIR__STATE_HANDLE__INIT;
    handle.file = "op-1";
    handle.offset = 4;
    handle.length = 4;
    handle.checksum = hash64("bbbb", 4);
    assert_int_equal(state_handle_read(home, &handle, &data, &size, &err), 0);
    assert_int_equal(size, 4);
    assert_memory_equal(data, "bbbb", 4);
    free(data);
    handle.offset = 5;
    assert_int_equal(state_handle_read(home, &handle, &data, &size, &err), WEIR_E_CORRUPT);
    assert_says(err, "checksum mismatch");
    assert_says(err, path);
    handle.offset = 9;
    assert_int_equal(state_handle_read(home, &handle, &data, &size, &err), WEIR_E_CORRUPT);
    assert_says(err, path);
    handle.offset = UINT64_MAX;
    assert_int_equal(state_handle_read(home, &handle, &data, &size, &err), WEIR_E_CORRUPT);
    handle.offset = 0;
    handle.length = UINT64_MAX;
    assert_int_equal(state_handle_read(home, &handle, &data, &size, &err), WEIR_E_LIMIT);
    handle.length = 6;
    handle.checksum = hash64("secret", 6);
    static const char *const outside[] = {
        "../secret", "/etc/passwd", "a/../../secret", "./../secret", "..", ".",
        "a//b",      "a/",          "../chk-4/op-1",  "x/.."};
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        handle.file = (char *)outside[i];
        assert_int_equal(state_handle_read(home, &handle, &data, &size, &err), WEIR_E_CORRUPT);
        assert_says(err, "not below the snapshot's directory");
    }
    handle.file = "gone";
    assert_int_equal(state_handle_read(home, &handle, &data, &size, &err), WEIR_E_NOT_FOUND);
    assert_says(err, "gone");
    free(secret);
    free(path);
    free(home);
}

static void inline_handles(void **state)
{
    (void)state;
    uint8_t bytes[] = {1, 2, 3};
    struct error err = {0};
    void *data;
    size_t size;
    Weir__StateHandle handle = WEIR__STATE_HANDLE__INIT;
    handle.checksum = hash64("", 0);
    assert_int_equal(state_handle_read("/", &handle, &data, &size, &err), 0); /* empty state */
    assert_int_equal(size, 0);
    free(data);
    handle.inline_ = (ProtobufCBinaryData){3, bytes};
    assert_int_equal(state_handle_read("/", &handle, &data, &size, &err), WEIR_E_CORRUPT);
    assert_says(err, "3 bytes instead of 0");
    handle.length = 3;
    assert_int_equal(state_handle_read("/", &handle, &data, &size, &err), WEIR_E_CORRUPT);
    assert_says(err, "checksum mismatch");
    handle.checksum = hash64(bytes, 3);
    assert_int_equal(state_handle_read("/", &handle, &data, &size, &err), 0);
    assert_memory_equal(data, bytes, 3);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(local_paths),
        cmocka_unit_test(directories),
        cmocka_unit_test(files),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(deletion),
        cmocka_unit_test(metadata_round_trip),
        cmocka_unit_test(damaged_metadata),
        cmocka_unit_test(senseless_metadata),
        cmocka_unit_test(handles_in_files),
        cmocka_unit_test(inline_handles),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* The artifact store: pieces, ranges, wrong content, limits, what is left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <mbedtls/sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "common/storage/storage.h"
#include "jobmanager/blob/blob_store.h"

static char directory[64];

static int setup(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/blob-test-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return storage_delete_tree(directory, NULL);
}

enum { CONTENT_BYTES = 100000 };

struct content {
    unsigned char data[CONTENT_BYTES];
    uint8_t sha256[BLOB_SHA256_BYTES];
};

static struct content *content_new(unsigned char seed)
{
    struct content *content = xmalloc(sizeof *content);
    for (size_t i = 0; i < CONTENT_BYTES; i++)
        content->data[i] = (unsigned char)(i * 31 + seed + i / 251);
    mbedtls_sha256_ret(content->data, CONTENT_BYTES, content->sha256, 0);
    return content;
}

static int put(struct blob_store *store, const struct content *content, uint64_t offset, size_t size,
               struct blob_state *ret_state)
{
    return blob_store_put(store, content->sha256, BLOB_SHA256_BYTES, CONTENT_BYTES, offset,
                          size ? content->data + offset : NULL, size, ret_state, NULL);
}

static struct blob_store *open_store(const char *own, uint64_t max_bytes)
{
    struct blob_store *store;
    struct error err;
    if (blob_store_open(own, directory, max_bytes, &store, &err) != 0)
        fail_msg("%s", err.message);
    return store;
}

static size_t count_entries(const char *path)
{
    size_t count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void test_pieces(void **state)
{
    (void)state;
    struct blob_store *store = open_store(NULL, 1 << 20);
    struct content *content = content_new(1);
    struct blob_state reached;
    assert_int_equal(put(store, content, 0, 0, &reached), 0); /* asking */
    assert_int_equal(reached.have_bytes, 0);
    assert_int_equal(count_entries(blob_store_directory(store)), 0);
    assert_int_equal(put(store, content, 0, 40000, &reached), 0);
    assert_int_equal(reached.have_bytes, 40000);
    assert_false(reached.complete);
    assert_int_equal(put(store, content, 60000, 1000, &reached), 0); /* behind a gap: left out */
    assert_int_equal(reached.have_bytes, 40000);
    assert_int_equal(put(store, content, 0, 40000, &reached), 0); /* repeated */
    assert_int_equal(reached.have_bytes, 40000);
    assert_int_equal(put(store, content, 30000, 40000, &reached), 0); /* overlapping */
    assert_int_equal(reached.have_bytes, 70000);
    assert_false(blob_store_has(store, content->sha256, BLOB_SHA256_BYTES));
    assert_int_equal(put(store, content, 70000, 30000, &reached), 0);
    assert_true(reached.complete);
    assert_true(blob_store_has(store, content->sha256, BLOB_SHA256_BYTES));
    assert_int_equal(put(store, content, 0, 40000, &reached), 0); /* once complete, nothing is written */
    assert_true(reached.complete);
    assert_int_equal(reached.have_bytes, CONTENT_BYTES);
    assert_int_equal(count_entries(blob_store_directory(store)), 1);
    blob_store_close(store);
    assert_int_equal(count_entries(directory), 0);
    free(content);
}

static void test_ranges(void **state)
{
    (void)state;
    static const struct {
        uint64_t offset;
        uint32_t max;
        size_t expected;
    } cases[] = {{0, 1000, 1000},        {99000, 5000, 1000}, {0, UINT32_MAX, CONTENT_BYTES},
                 {CONTENT_BYTES, 10, 0}, {UINT64_MAX, 10, 0}, {5, 0, 0}};
    struct blob_store *store = open_store(NULL, 1 << 20);
    struct content *content = content_new(2);
    struct blob_state reached;
    void *data;
    size_t size;
    uint64_t total;
    assert_int_equal(
        blob_store_fetch(store, content->sha256, BLOB_SHA256_BYTES, 0, 10, &data, &size, &total, NULL),
        WEIR_E_NOT_FOUND);
    assert_int_equal(put(store, content, 0, CONTENT_BYTES, &reached), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(blob_store_fetch(store, content->sha256, BLOB_SHA256_BYTES, cases[i].offset,
                                          cases[i].max, &data, &size, &total, NULL),
                         0);
        assert_int_equal(size, cases[i].expected);
        assert_int_equal(total, CONTENT_BYTES);
        if (size > 0)
            assert_memory_equal(data, content->data + cases[i].offset, size);
        free(data);
    }
    blob_store_close(store);
    free(content);
}

static void test_wrong_content(void **state)
{
    (void)state;
    struct blob_store *store = open_store(NULL, 1 << 20);
    struct content *content = content_new(3);
    struct content *wrong = content_new(4);
    struct blob_state reached;
    struct error err;
    assert_int_equal(blob_store_put(store, content->sha256, BLOB_SHA256_BYTES, CONTENT_BYTES, 0, wrong->data,
                                    CONTENT_BYTES, &reached, &err),
                     WEIR_E_CORRUPT);
    assert_non_null(strstr(err.message, "SHA-256"));
    assert_int_equal(count_entries(blob_store_directory(store)), 0);
    assert_false(blob_store_has(store, content->sha256, BLOB_SHA256_BYTES));
    assert_int_equal(put(store, content, 0, CONTENT_BYTES, &reached), 0);
    assert_true(reached.complete);
    blob_store_close(store);
    free(content);
    free(wrong);
}

static void test_refused(void **state)
{
    (void)state;
    struct blob_store *store = open_store(NULL, CONTENT_BYTES);
    struct content *content = content_new(5);
    struct blob_state reached;
    static const struct {
        size_t key_size;
        uint64_t total;
        uint64_t offset;
        size_t size;
        int rc;
    } cases[] = {
        {31, CONTENT_BYTES, 0, 10, WEIR_E_INVALID},
        {0, CONTENT_BYTES, 0, 10, WEIR_E_INVALID},
        {BLOB_SHA256_BYTES, CONTENT_BYTES + 1, 0, 10, WEIR_E_LIMIT},
        {BLOB_SHA256_BYTES, UINT64_MAX, 0, 10, WEIR_E_LIMIT},
        {BLOB_SHA256_BYTES, CONTENT_BYTES, CONTENT_BYTES - 5, 10, WEIR_E_INVALID},
        {BLOB_SHA256_BYTES, CONTENT_BYTES, UINT64_MAX - 5, 10, WEIR_E_INVALID},
        {BLOB_SHA256_BYTES, CONTENT_BYTES, 0, BLOB_PIECE_MAX_BYTES + 1, WEIR_E_LIMIT},
        {BLOB_SHA256_BYTES, 0, 0, 10, WEIR_E_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(blob_store_put(store, content->sha256, cases[i].key_size, cases[i].total,
                                        cases[i].offset, content->data, cases[i].size, &reached, NULL),
                         cases[i].rc);
    assert_int_equal(count_entries(blob_store_directory(store)), 0);
    blob_store_close(store);
    free(content);
}

/* More uploads than there is room for: the one silent for longest is given up, and can start again. */
static void test_many_uploads(void **state)
{
    (void)state;
    struct blob_store *store = open_store(NULL, 1 << 20);
    struct content *contents[BLOB_UPLOADS_MAX + 1];
    struct blob_state reached;
    for (size_t i = 0; i <= BLOB_UPLOADS_MAX; i++) {
        contents[i] = content_new((unsigned char)(10 + i));
        assert_int_equal(put(store, contents[i], 0, 50000, &reached), 0);
    }
    assert_int_equal(count_entries(blob_store_directory(store)), BLOB_UPLOADS_MAX);
    assert_int_equal(put(store, contents[1], 50000, 50000, &reached), 0);
    assert_true(reached.complete);
    assert_int_equal(put(store, contents[0], 50000, 50000, &reached), 0);
    assert_int_equal(reached.have_bytes, 0);
    assert_int_equal(put(store, contents[0], 0, CONTENT_BYTES, &reached), 0);
    assert_true(reached.complete);
    blob_store_close(store);
    for (size_t i = 0; i <= BLOB_UPLOADS_MAX; i++)
        free(contents[i]);
}

/* A directory of one's own keeps what is complete, and is cleaned of halves; what is there is verified. */
static void test_own_directory(void **state)
{
    (void)state;
    char *own = xasprintf("%s/store/deep", directory);
    struct content *content = content_new(6);
    struct content *half = content_new(7);
    struct blob_state reached;
    struct blob_store *store = open_store(own, 1 << 20);
    assert_int_equal(put(store, content, 0, CONTENT_BYTES, &reached), 0);
    assert_int_equal(put(store, half, 0, 5, &reached), 0);
    assert_int_equal(count_entries(own), 2);
    blob_store_close(store);
    assert_int_equal(count_entries(own), 1);
    store = open_store(own, 1 << 20);
    assert_true(blob_store_has(store, content->sha256, BLOB_SHA256_BYTES));
    blob_store_close(store);

    DIR *dir = opendir(own); /* somebody damages it */
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] != '.') {
            char *path = xasprintf("%s/%s", own, entry->d_name);
            FILE *file = fopen(path, "r+");
            fputc('x', file);
            fclose(file);
            free(path);
        }
    closedir(dir);
    store = open_store(own, 1 << 20);
    assert_false(blob_store_has(store, content->sha256, BLOB_SHA256_BYTES));
    assert_int_equal(count_entries(own), 0);
    blob_store_close(store);
    free(own);
    free(content);
    free(half);
}

/* A killed process leaves its directory; the next start removes it, but not that of a living one. */
static void test_abandoned(void **state)
{
    (void)state;
    struct blob_store *living = open_store(NULL, 1 << 20);
    pid_t pid = fork();
    if (pid == 0) {
        struct blob_store *killed;
        _exit(blob_store_open(NULL, directory, 1 << 20, &killed, NULL));
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(count_entries(directory), 2);
    struct blob_store *next = open_store(NULL, 1 << 20);
    assert_int_equal(count_entries(directory), 2); /* the living one and the next */
    assert_int_equal(access(blob_store_directory(living), F_OK), 0);
    blob_store_close(next);
    blob_store_close(living);
}

static void test_no_directory(void **state)
{
    (void)state;
    struct blob_store *store;
    struct error err;
    assert_int_not_equal(blob_store_open("/proc/no/such", directory, 1, &store, &err), 0);
    assert_non_null(strstr(err.message, "blob.storage.directory"));
    assert_int_not_equal(blob_store_open(NULL, "/proc/no/such", 1, &store, &err), 0);
    assert_non_null(strstr(err.message, "io.tmp.dirs"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ranges, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_content, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_uploads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_abandoned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_directory, setup, teardown),
    };
    return cmocka_run_group_tests_name("blob", tests, NULL, NULL);
}

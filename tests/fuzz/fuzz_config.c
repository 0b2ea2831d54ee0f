/* config.yaml of unknown origin; and the same bytes as the value of an option that the first of them
 * chooses. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void try_file(const uint8_t *data, size_t size)
{
    char path[64];
    struct error err = {0};
    struct config *config = config_new();
    int fd = memfd_create("config.yaml", MFD_CLOEXEC);
    check(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int rc = config_load_file(config, path, &err);
    check(rc == WEIR_OK || (rc == err.rc && strncmp(err.message, path, strlen(path)) == 0));
    for (size_t i = 0; i < config_given_count(config); i++) {
        const char *key, *value;
        config_given(config, i, &key, &value);
        check(key[0] && value);
    }
    config_free(config);
    close(fd);
}

static void try_value(const uint8_t *data, size_t size)
{
    static const char *const keys[] = {
#define OPTION(id, key, ...) key,
#include "common/config/options.def"
#undef OPTION
    };
    char text[128];
    struct error err = {0};
    struct config *config = config_new();
    const char *key = keys[data[0] % (sizeof keys / sizeof keys[0])];
    size_t length = size - 1 < sizeof text - 1 ? size - 1 : sizeof text - 1;
    memcpy(text, data + 1, length);
    text[length] = '\0';
    int rc = config_set(config, key, text, "-D", &err);
    check(rc == WEIR_OK || (rc == err.rc && strstr(err.message, key)));
    config_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    log_set_level(LOG_OFF);
    try_file(data, size);
    if (size > 0)
        try_value(data, size);
    return 0;
}

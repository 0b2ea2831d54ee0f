#include "jobmanager/rest/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/memory.h"

static cJSON *checked(cJSON *item)
{
    if (!item)
        abort();
    return item;
}

void json_add(cJSON *object, const char *key, cJSON *item_take)
{
    if (!cJSON_AddItemToObjectCS(object, key, checked(item_take)))
        abort();
}

cJSON *json_new_object(void)
{
    return checked(cJSON_CreateObject());
}

cJSON *json_new_array(void)
{
    return checked(cJSON_CreateArray());
}

static void add_raw(cJSON *object, const char *key, const char *text)
{
    json_add(object, key, cJSON_CreateRaw(text));
}

void json_int(cJSON *object, const char *key, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    add_raw(object, key, text);
}

void json_uint(cJSON *object, const char *key, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, value);
    add_raw(object, key, text);
}

void json_double(cJSON *object, const char *key, double value)
{
    char text[48];
    if (!isfinite(value))
        snprintf(text, sizeof text, "\"NaN\""); /* as Jackson writes it */
    else if (floor(value) == value && fabs(value) < 1e15)
        snprintf(text, sizeof text, "%.1f", value);
    else
        snprintf(text, sizeof text, "%.17g", value);
    add_raw(object, key, text);
}

void json_bool(cJSON *object, const char *key, bool value)
{
    json_add(object, key, cJSON_CreateBool(value));
}

void json_null(cJSON *object, const char *key)
{
    json_add(object, key, cJSON_CreateNull());
}

/* Length of the UTF-8 character at text, 0 if there is none. */
static size_t utf8_length(const unsigned char *text)
{
    size_t length = *text < 0x80   ? 1
                    : *text < 0xc2 ? 0
                    : *text < 0xe0 ? 2
                    : *text < 0xf0 ? 3
                    : *text < 0xf5 ? 4
                                   : 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    if (length == 3 && ((*text == 0xe0 && text[1] < 0xa0) || (*text == 0xed && text[1] > 0x9f)))
        return 0;
    if (length == 4 && ((*text == 0xf0 && text[1] < 0x90) || (*text == 0xf4 && text[1] > 0x8f)))
        return 0;
    return length;
}

/* Paths of requests and errors of user code can hold any bytes; JSON is UTF-8: what isn't becomes a question
 * mark. */
cJSON *json_new_string(const char *value)
{
    char *clean = NULL;
    for (size_t i = 0; value[i];) {
        size_t length = utf8_length((const unsigned char *)value + i);
        if (length == 0) {
            if (!clean)
                clean = xstrdup(value);
            clean[i] = '?';
            length = 1;
        }
        i += length;
    }
    cJSON *item = checked(cJSON_CreateString(clean ? clean : value));
    free(clean);
    return item;
}

void json_string(cJSON *object, const char *key, const char *value)
{
    json_add(object, key, json_new_string(value ? value : ""));
}

void json_id(cJSON *object, const char *key, const struct weir_id *id)
{
    char text[WEIR_ID_HEX + 1];
    json_string(object, key, weir_id_format(id, text));
}

cJSON *json_object(cJSON *parent, const char *key)
{
    cJSON *object = json_new_object();
    json_add(parent, key, object);
    return object;
}

cJSON *json_array(cJSON *parent, const char *key)
{
    cJSON *array = json_new_array();
    json_add(parent, key, array);
    return array;
}

cJSON *json_object_in_array(cJSON *array)
{
    cJSON *object = json_new_object();
    if (!cJSON_AddItemToArray(array, object))
        abort();
    return object;
}

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

void json_sort(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
}

double json_percentile(const double *sorted, size_t count, double percent)
{
    double position = percent * (double)(count + 1) / 100;
    if (position < 1)
        return sorted[0];
    if (position >= (double)count)
        return sorted[count - 1];
    size_t below = (size_t)position;
    double fraction = position - (double)below;
    return sorted[below - 1] + fraction * (sorted[below] - sorted[below - 1]);
}

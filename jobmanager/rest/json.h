/* Building JSON with cJSON as Flink's clients expect it: 64-bit integers in full, doubles always with a
 * fraction. */
#ifndef WEIR_REST_JSON_H
#define WEIR_REST_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/id.h"

/* Keys are static strings. Running out of memory ends the process: responses are bounded by what the core
 * keeps. */
void json_int(cJSON *object, const char *key, int64_t value);
void json_uint(cJSON *object, const char *key, uint64_t value);
void json_double(cJSON *object, const char *key, double value); /* 0.0, 103.39999999999998 */
void json_bool(cJSON *object, const char *key, bool value);
void json_null(cJSON *object, const char *key);
void json_string(cJSON *object, const char *key, const char *value);
void json_id(cJSON *object, const char *key, const struct weir_id *id);
cJSON *json_object(cJSON *parent, const char *key); /* a new object in parent */
cJSON *json_array(cJSON *parent, const char *key);
cJSON *json_object_in_array(cJSON *array);
cJSON *json_new_object(void);
cJSON *json_new_array(void);
cJSON *json_new_string(const char *value);
void json_add(cJSON *object, const char *key, cJSON *item_take);

/* Order statistics as Flink has them (commons-math's percentile: position p(n+1)/100). Sorts values. n > 0.
 */
void json_sort(double *values, size_t count);
double json_percentile(const double *sorted, size_t count, double percent);

#endif

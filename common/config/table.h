/* The option table as data: made from options.def, read by the parser and by the printers. */
#ifndef WEIR_CONFIG_TABLE_H
#define WEIR_CONFIG_TABLE_H

#include "common/config/config.h"

struct option_row {
    const char *key;
    const char *aliases; /* comma-separated older names; may be empty */
    enum option_type type;
    const char *default_value; /* NULL: none */
    const char *allowed;
    const char *description;
};

extern const struct option_row option_table[OPT_COUNT];

#endif

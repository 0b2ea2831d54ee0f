/* Prints docs/configuration.md. */
#include "common/config/config.h"

int main(void)
{
    config_print_markdown(stdout);
    return 0;
}

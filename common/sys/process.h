/* Facts of this process and this machine. Any thread. */
#ifndef WEIR_SYS_PROCESS_H
#define WEIR_SYS_PROCESS_H

#include <stdint.h>

uint64_t resident_bytes_of_self(void); /* 0 if /proc can't be read */
uint32_t cpu_cores(void);              /* that this process may run on; at least 1 */
uint64_t physical_memory_bytes(void);
/* The directory of the running executable, without a slash at the end; malloc'ed, NULL if /proc can't be
 * read. */
char *executable_directory(void);

#endif

/* Says where a process crashed: signal, thread, symbolised frames, written to a descriptor, before the
 * default action. */
#ifndef WEIR_SYS_STACK_H
#define WEIR_SYS_STACK_H

#include "common/base/error.h"

/* For SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT. On a crash fd gets
 *     signal 11 SIGSEGV thread "ClickEvent Coun"
 *     #0 count_page+0x12 (click_event_count.c:34) in click_event_count.so
 * one frame a line, the crashed function first; then the signal's default action follows. fd stays the
 * caller's. Once a process; the calling thread is prepared as by crash_handler_thread_init. */
int crash_handler_install(int fd, struct error *err) WEIR_CHECK;
/* Gives the calling thread a stack for the handler, so that a stack overflow is reported as well. Kept until
 * the process ends. */
void crash_handler_thread_init(void);

#endif

/* A shared library whose functions crash, each in its own way: for sys_test. */
#include <stdlib.h>

void crash_by_null(int depth);
void crash_by_overflow(volatile char *above);
void crash_by_abort(void);
void crash_by_division(int divisor);
void crash_by_jump(void);

static __attribute__((noinline)) void innermost_of_crash(int depth)
{
    if (depth > 0)
        innermost_of_crash(depth - 1);
    else
        *(volatile int *)NULL = 42;    /* THE LINE */
    __asm__ volatile("" ::: "memory"); /* not a tail call */
}

void crash_by_null(int depth)
{
    innermost_of_crash(depth);
    __asm__ volatile("" ::: "memory");
}

void crash_by_overflow(volatile char *above)
{
    volatile char block[4096];
    block[0] = above ? above[0] : 0;
    crash_by_overflow(block);
    block[1] = block[0];
}

void crash_by_abort(void)
{
    abort();
}

void crash_by_division(int divisor)
{
    volatile int dividend = 100;
    volatile int result = dividend / divisor;
    (void)result;
}

void crash_by_jump(void)
{
    void (*volatile nowhere)(void) = (void (*)(void))8;
    nowhere();
}

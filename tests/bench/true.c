/* What is started: does nothing, without the C library, so that only the start is measured. */
#include "runtime/sandbox/bare.h"

void bare_main(void) __attribute__((noreturn, used));
__asm__(".text\n.globl _start\n_start:\n\t" BARE_START);

void bare_main(void)
{
	for (;;)
		CALL1(SYS_exit_group, 0);
}

/*
 * System calls without the C library, for berth-init alone: its start would cost 0.3 ms of each sandbox's (it asks the
 * processor what it can do, which in a virtual machine is slow) and 100 kB of memory. Calls return what the kernel
 * returns: -errno on failure. Linux's own conventions: syscall(2), vdso(7) has the argument registers.
 */
#ifndef RUNTIME_BARE_H
#define RUNTIME_BARE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define BARE_START "mov %rsp, %rdi\n\tand $-16, %rsp\n\tcall bare_main\n\thlt"
static inline long bare_call(long n, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}
#elif defined(__aarch64__)
#define BARE_START "mov x0, sp\n\tand sp, x0, #-16\n\tbl bare_main\n\tbrk #0"
static inline long bare_call(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#elif defined(__riscv) && __riscv_xlen == 64
#define BARE_START "mv a0, sp\n\tandi sp, sp, -16\n\tcall bare_main\n\tebreak"
static inline long bare_call(long n, long a, long b, long c, long d, long e, long f)
{
	register long a7 __asm__("a7") = n;
	register long a0 __asm__("a0") = a;
	register long a1 __asm__("a1") = b;
	register long a2 __asm__("a2") = c;
	register long a3 __asm__("a3") = d;
	register long a4 __asm__("a4") = e;
	register long a5 __asm__("a5") = f;

	__asm__ volatile("ecall"
			 : "+r"(a0)
			 : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5)
			 : "memory");
	return a0;
}
#else
#error "add the architecture's system call"
#endif

#define BARE_ARG(x) ((long)(uintptr_t)(x))
#define CALL0(n) bare_call(n, 0, 0, 0, 0, 0, 0)
#define CALL1(n, a) bare_call(n, BARE_ARG(a), 0, 0, 0, 0, 0)
#define CALL2(n, a, b) bare_call(n, BARE_ARG(a), BARE_ARG(b), 0, 0, 0, 0)
#define CALL3(n, a, b, c) bare_call(n, BARE_ARG(a), BARE_ARG(b), BARE_ARG(c), 0, 0, 0)
#define CALL4(n, a, b, c, d)                                                             \
	bare_call(n, BARE_ARG(a), BARE_ARG(b), BARE_ARG(c), BARE_ARG(d), 0, 0)
#define CALL5(n, a, b, c, d, e)                                                          \
	bare_call(n, BARE_ARG(a), BARE_ARG(b), BARE_ARG(c), BARE_ARG(d), BARE_ARG(e), 0)
#define CALL6(n, a, b, c, d, e, f)                                                       \
	bare_call(n, BARE_ARG(a), BARE_ARG(b), BARE_ARG(c), BARE_ARG(d), BARE_ARG(e),    \
		BARE_ARG(f))

#endif

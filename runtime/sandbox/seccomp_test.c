/* The filter as a program meets it: loaded into a child of the test, one call each. Needs
 * no root. */
#include "runtime/sandbox/seccomp.h"

#include <errno.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

static struct sock_fprog filter;

/* What the call answers behind the filter: 0, an errno, or 1000 + the signal that ended
 * the process. */
static int behind(long nr, long a, long b, long c)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
			filter_load(&filter) < 0)
			_exit(255);
		_exit(syscall(nr, a, b, c, 0, 0, 0) < 0 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void everyday_calls_pass(void **state)
{
	(void)state;
	assert_int_equal(behind(SYS_getpid, 0, 0, 0), 0);
	assert_int_equal(behind(SYS_socket, AF_UNIX, SOCK_STREAM, 0), 0);
	assert_int_equal(behind(SYS_socket, AF_INET, SOCK_STREAM, 0), 0);
	assert_int_equal(behind(SYS_socket, AF_INET6, SOCK_DGRAM, IPPROTO_UDP), 0);
	assert_int_equal(behind(SYS_socket, AF_NETLINK, SOCK_RAW, 0), 0);
	assert_int_equal(behind(SYS_personality, 0xffffffff, 0, 0), 0);
	assert_int_equal(behind(SYS_unshare, CLONE_FILES, 0, 0), 0);
	assert_int_equal(behind(SYS_getsockopt, 99, SOL_SOCKET, SO_PEERCRED), EBADF);
	assert_int_equal(behind(SYS_setsockopt, 99, SOL_SOCKET, SO_LINGER), EBADF);
	assert_int_equal(behind(SYS_setsockopt, 99, IPPROTO_TCP, 76), EBADF);
	assert_int_equal(
		behind(SYS_ioctl, 99, TIOCGWINSZ, 0), EBADF); /* reached the kernel */
}

static void no_process_of_the_other_end_is_given(void **state)
{
	(void)state;
	assert_int_equal(behind(SYS_getsockopt, 99, SOL_SOCKET, 77), ENOPROTOOPT);
	assert_int_equal(behind(SYS_setsockopt, 99, SOL_SOCKET, 76), ENOPROTOOPT);
}

static void namespaces_are_refused_by_every_way(void **state)
{
	static const long flags[] = {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID,
		CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		assert_int_equal(behind(SYS_unshare, flags[i], 0, 0), EPERM);
		assert_int_equal(behind(SYS_clone, flags[i] | SIGCHLD, 0, 0), EPERM);
	}
	assert_int_equal(behind(SYS_clone3, 0, 0, 0), ENOSYS);
	assert_int_equal(behind(SYS_setns, -1, 0, 0), EPERM);
}

static void typing_into_terminals_is_refused(void **state)
{
	(void)state;
	assert_int_equal(behind(SYS_ioctl, 99, TIOCSTI, 0), EPERM);
	assert_int_equal(behind(SYS_ioctl, 99, TIOCSETD, 0), EPERM);
	assert_int_equal(behind(SYS_ioctl, 99, 0x541C, 0), EPERM);
	/* the kernel looks at 32 bits only: so must the filter */
	assert_int_equal(
		behind(SYS_ioctl, 99, (long)(0x100000000ul | TIOCSTI), 0), EPERM);
}

static void odd_sockets_are_refused(void **state)
{
	(void)state;
	assert_int_equal(
		behind(SYS_socket, 40 /* AF_VSOCK */, SOCK_STREAM, 0), EAFNOSUPPORT);
	assert_int_equal(
		behind(SYS_socket, 38 /* AF_ALG */, SOCK_SEQPACKET, 0), EAFNOSUPPORT);
	assert_int_equal(behind(SYS_socket, AF_PACKET, SOCK_RAW, 0), EAFNOSUPPORT);
	assert_int_equal(behind(SYS_socketpair, 40, SOCK_STREAM, 0), EAFNOSUPPORT);
	assert_int_equal(behind(SYS_socket, AF_NETLINK, SOCK_RAW, 9), EPROTONOSUPPORT);
	assert_int_equal(behind(SYS_socket, AF_INET, SOCK_STREAM, 132 /* SCTP */),
		EPROTONOSUPPORT);
	assert_int_equal(behind(SYS_socket, AF_INET6, SOCK_DGRAM, 115 /* L2TP */),
		EPROTONOSUPPORT);
}

static void calls_that_change_the_system_are_refused(void **state)
{
	static const long calls[] = {SYS_mount, SYS_umount2, SYS_ptrace, SYS_bpf,
		SYS_keyctl, SYS_perf_event_open, SYS_reboot, SYS_init_module,
		SYS_process_vm_readv, SYS_userfaultfd, SYS_open_by_handle_at,
		SYS_pidfd_getfd, SYS_sethostname};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		assert_int_equal(behind(calls[i], 0, 0, 0), EPERM);
	assert_int_equal(behind(SYS_personality, 0x0200000, 0, 0), EPERM);
	assert_int_equal(behind(SYS_io_uring_setup, 1, 0, 0), ENOSYS);
	assert_int_equal(behind(999, 0, 0, 0), ENOSYS);
}

#ifdef __x86_64__
static void another_architecture_ends_the_process(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0) {
		long r = 20; /* getpid for i386 */
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
			filter_load(&filter) < 0)
			_exit(255);
		__asm__ volatile("int $0x80"
				 : "+a"(r)
				 :
				 : "memory", "r8", "r9", "r10", "r11");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* a kernel without 32-bit calls ends it by itself: another signal, the same end
	 */
	assert_true(WIFSIGNALED(status));
	assert_int_equal(
		behind(0x40000000 + SYS_getpid, 0, 0, 0), 1000 + SIGSYS); /* x32 */
}
#endif

static int set_up(void **state)
{
	struct err e;

	(void)state;
	return filter_make(&filter, &e);
}

static int tear_down(void **state)
{
	(void)state;
	free(filter.filter);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everyday_calls_pass),
		cmocka_unit_test(no_process_of_the_other_end_is_given),
		cmocka_unit_test(namespaces_are_refused_by_every_way),
		cmocka_unit_test(typing_into_terminals_is_refused),
		cmocka_unit_test(odd_sockets_are_refused),
		cmocka_unit_test(calls_that_change_the_system_are_refused),
#ifdef __x86_64__
		cmocka_unit_test(another_architecture_ends_the_process),
#endif
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

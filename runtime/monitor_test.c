/* The monitor while no worker can be made. Workers, waits and exec are the test's own: a
 * worker ends when it is told to, and nothing waits. */
#include "lib/io.h"
#include "runtime/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include <cmocka.h>

static struct {
	int signal;    /* what comes when the first fork fails */
	int forks;     /* tried */
	int waited_ms; /* before the one that succeeded */
	bool heard;    /* the signal, before that */
	pid_t worker;
	pid_t upgraded; /* the worker of the exec */
} t;

static _Noreturn void work(void)
{
	sigset_t set;
	int signo;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigwait(&set, &signo);
	_exit(WORKER_EXIT_DONE);
}

pid_t fork(void)
{
	sigset_t pending;

	if (++t.forks == 1) {
		kill(getpid(), t.signal);
		errno = EAGAIN;
		return -1;
	}
	sigpending(&pending);
	t.heard = !sigismember(&pending, t.signal);
	t.worker = _Fork();
	if (t.worker == 0)
		work();
	return t.worker;
}

int poll(struct pollfd *p, nfds_t n, int timeout_ms)
{
	int r = (int)syscall(SYS_poll, p, n, timeout_ms < 0 ? timeout_ms : 0);

	if (r == 0)
		t.waited_ms += timeout_ms;
	return r;
}

int execv(const char *file UNUSED, char *const argv[] UNUSED)
{
	const char *text = getenv("BERTH_UPGRADE");

	t.upgraded = text ? (pid_t)strtol(text, NULL, 10) : -1;
	kill(getpid(), SIGTERM);
	errno = ENOENT;
	return -1;
}

/* Until it has ended as told. */
static void run_monitor(int signal_at_first_fork)
{
	static struct settings s;
	struct handoff h = {.generation = 1, .n_workers = 1, .n_addrs = 1};
	sigset_t mask;

	memset(&t, 0, sizeof(t));
	t.signal = signal_at_first_fork;
	snprintf(s.run, sizeof(s.run), "/tmp/monitor-test-XXXXXX");
	assert_non_null(mkdtemp(s.run));
	snprintf(s.programs, sizeof(s.programs), "%s", s.run);
	for (unsigned int i = 0; i < handoff_count(&h); i++)
		h.fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	assert_int_equal(monitor_run(&s, &h, true), 0);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	for (unsigned int i = 0; i < handoff_count(&h); i++)
		close(h.fds[i]);
	assert_int_equal(io_remove_tree(AT_FDCWD, s.run), 0);
}

static void a_stop_is_heard_and_told_to_the_next_worker(void **state UNUSED)
{
	run_monitor(SIGTERM);
	assert_int_equal(t.forks, 2);
	assert_true(t.heard);
	assert_in_range(t.waited_ms, 1, 1001);
}

static void an_upgrade_waits_for_the_next_worker(void **state UNUSED)
{
	run_monitor(SIGUSR2);
	assert_int_equal(t.forks, 2);
	assert_true(t.heard);
	assert_int_equal(t.upgraded, t.worker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stop_is_heard_and_told_to_the_next_worker),
		cmocka_unit_test(an_upgrade_waits_for_the_next_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

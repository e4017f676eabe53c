/* confine.c for a program that calls out; receiver/jail_test.c has the one that does not. Each act is tried outside, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/confine.h"
#include "lib/io.h"
#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char top[] = "/tmp/confine_test.XXXXXX";
static pid_t bystander;
static struct sockaddr_in listener;
static int listener_fd = -1;

static int open_in(const char *name, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	int fd autoclose = open(path, flags | O_CLOEXEC, 0600);
	return fd < 0 ? errno : 0;
}

static int write_own(void)
{
	return open_in("own/new", O_WRONLY | O_CREAT);
}
static int write_other(void)
{
	return open_in("other/new", O_WRONLY | O_CREAT);
}
static int read_other(void)
{
	return open_in("other/secret", O_RDONLY);
}
static int read_hosts(void)
{
	int fd autoclose = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? errno : 0;
}
static int call(void)
{
	int fd autoclose = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno;
	return connect(fd, (struct sockaddr *)&listener, sizeof(listener)) < 0 ? errno
									       : 0;
}
static int take_calls(void)
{
	int fd autoclose = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 || listen(fd, 1) < 0 ? errno : 0;
}
static int signal_bystander(void)
{
	return kill(bystander, 0) < 0 ? errno : 0;
}
static int trace_bystander(void)
{
	return ptrace(PTRACE_SEIZE, bystander, NULL, NULL) < 0 ? errno : 0;
}

static const struct {
	const char *name;
	int (*act)(void);
	int inside; /* the errno wanted; outside it is 0 */
	long abi;   /* of Landlock, where only a newer kernel refuses */
} rows[] = {
	{"write its own folder", write_own, 0, 0},
	{"write another folder", write_other, EACCES, 0},
	{"read another folder", read_other, EACCES, 0},
	{"read what it may", read_hosts, 0, 0},
	{"call out", call, 0, 0},
	{"take calls", take_calls, EACCES, 0},
	{"signal another process", signal_bystander, EPERM, 6},
	{"trace another process", trace_bystander, EACCES, 0},
};

static int attempt(int (*act)(void), bool inside)
{
	char own[64];
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct err e = {0};
		const struct confine_place places[] = {{"/etc", CONFINE_READ},
			{own, CONFINE_WRITE}, {"/nonexistent", CONFINE_WRITE}};
		int r = 0;

		snprintf(own, sizeof(own), "%s/own", top);
		if (inside)
			r = confine("the test", places, ARRAY_LEN(places),
				CONFINE_CALLS_OUT, &e);
		_exit(r < 0 ? 255 : act());
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -status;
}

static void a_program_that_calls_out_does_nothing_else(void **state UNUSED)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);

	if (abi < 2)
		skip(); /* this kernel has no Landlock, or not enough of it */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		print_message("# %s\n", rows[i].name);
		assert_int_equal(attempt(rows[i].act, false), 0);
		assert_int_equal(attempt(rows[i].act, true),
			abi < rows[i].abi ? 0 : rows[i].inside);
	}
}

static int set_up(void **state UNUSED)
{
	char path[128];
	socklen_t size = sizeof(listener);

	if (!mkdtemp(top))
		return -1;
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", top, i ? "own" : "other");
		if (mkdir(path, 0700) < 0)
			return -1;
	}
	if (open_in("other/secret", O_WRONLY | O_CREAT) != 0)
		return -1;
	listener = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	listener_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener_fd, (struct sockaddr *)&listener, size) < 0 ||
		listen(listener_fd, 8) < 0 ||
		getsockname(listener_fd, (struct sockaddr *)&listener, &size) < 0)
		return -1;
	bystander = fork();
	if (bystander == 0)
		for (;;)
			pause();
	return bystander < 0 ? -1 : 0;
}

static int tear_down(void **state UNUSED)
{
	kill(bystander, SIGKILL);
	waitpid(bystander, NULL, 0);
	close(listener_fd);
	return io_remove_tree(AT_FDCWD, top);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_that_calls_out_does_nothing_else),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

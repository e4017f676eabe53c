/* How many connections may be open, and whose the last ones are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/access/auth.h"
#include "lib/io.h"
#include <cmocka.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEMBERS 2u /* so many have room beside root's */
#define CAME (MEMBERS + 3)

/* Stays open; who came is told. */
static void welcome(void *arg UNUSED, int fd, const struct identity *id UNUSED)
{
	assert_int_equal(send(fd, "w", 1, MSG_NOSIGNAL), 1);
}

static void exchange(int fd, const char *line, char *ret)
{
	if (line)
		(void)io_write_all(fd, line, strlen(line));
	if (ret && recv(fd, ret, 1, 0) != 1)
		*ret = '-';
}

/* As the ssh user: all are there before the first says whose it is. How many are let in. */
static int come(const char *path)
{
	int fds[CAME], in = 0;
	char said;

	for (unsigned int i = 0; i < CAME; i++) {
		fds[i] = io_unix_connect(path, SOCK_STREAM);
		if (fds[i] < 0)
			return -1;
		exchange(fds[i], "KEY", NULL);
	}
	for (unsigned int i = 0; i < CAME; i++) {
		exchange(fds[i], " x\n", &said);
		in += said == 'w';
	}
	return in;
}

static void the_last_ones_are_roots(void **state UNUSED)
{
	char folder[] = "/tmp/berth-auth.XXXXXX", path[64], said;
	struct control c = {0};
	struct auth *a;
	int status, listener;

	if (geteuid() != 0)
		skip();
	signal(SIGPIPE, SIG_IGN);
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chmod(folder, 0755), 0);
	snprintf(path, sizeof(path), "%s/sock", folder);
	listener = io_unix_listen(path, SOCK_STREAM, 0666);
	assert_true(listener >= 0);
	setenv("BERTH_SSH_USER", "nobody", 1);
	assert_int_equal(
		auth_start(&c, listener, AUTH_ROOT_ROOM + MEMBERS, welcome, NULL, &a), 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(setuid(getpwnam("nobody")->pw_uid) < 0 ? 99 : come(path));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), MEMBERS);
	int fd = io_unix_connect(path, SOCK_STREAM);
	exchange(fd, NULL, &said);
	assert_int_equal(said, 'w');
	close(fd);
	auth_stop(a);
	auth_free(a);
	close(listener);
	assert_int_equal(io_remove_tree(AT_FDCWD, folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_ones_are_roots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

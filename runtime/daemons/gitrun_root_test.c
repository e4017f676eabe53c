/* What a berth-shell for git over HTTP is started with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/io.h"
#include "runtime/daemons/gitrun.h"
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534

/* In berth-shell's place. */
static const char shell[] = "#!/bin/sh\n"
			    "id -u\n"
			    "cat /proc/self/oom_score_adj\n"
			    "echo \"$*\"\n";

static void write_file(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

static void it_is_the_ssh_users_and_not_protected(void **state UNUSED)
{
	struct settings s = {.programs = "/tmp/berth-gitrun.XXXXXX",
		.state = "/nonexistent",
		.run = "/nonexistent"};
	const struct daemon_ids ids = {.ssh_uid = NOBODY, .ssh_gid = NOBODY};
	const struct msg_git m = {.name = "blog", .push = 1, .step = GIT_SERVE};
	int out[2], null = open("/dev/null", O_RDWR | O_CLOEXEC), dir;
	autobuf before = BUF_INIT, said = BUF_INIT;

	assert_int_equal(io_read_file(AT_FDCWD, "/proc/self/oom_score_adj", &before), 0);
	if (strcmp(before.data, "0\n") != 0)
		skip(); /* nor can one go back to 0 then */
	assert_non_null(mkdtemp(s.programs));
	assert_int_equal(chmod(s.programs, 0755), 0);
	dir = open(s.programs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	write_file(dir, "berth-shell", shell);
	/* as if it were less protected, which anybody may make it */
	write_file(AT_FDCWD, "/proc/self/oom_score_adj", "300");
	struct loop *l = loop_new();
	struct gitrun *g = gitrun_new(l, &s, &ids);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(gitrun_start(g, &m, (int[]){null, null, out[1], null}), 0);
	write_file(AT_FDCWD, "/proc/self/oom_score_adj", before.data);
	close(out[1]);
	assert_int_equal(io_read_all(out[0], &said), 0);
	assert_string_equal(said.data, "65534\n0\n--http blog receive-pack serve 0\n");
	assert_int_equal(loop_once(l, 10000), 0); /* its end */
	gitrun_free(g);
	loop_free(l);
	close(out[0]);
	close(null);
	close(dir);
	assert_int_equal(io_remove_tree(AT_FDCWD, s.programs), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_the_ssh_users_and_not_protected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What io.h promises about mounts; making one needs root. */
#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static char dir[] = "/tmp/berth-io-XXXXXX";

static int make_file(const char *name)
{
	int at autoclose = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd autoclose = openat(at, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	return fd < 0 ? -errno : 0;
}

/* In a child with mounts of its own; nothing here may return to the tests. */
static _Noreturn void remove_with_a_bind_mount_inside(void)
{
	if (chdir(dir) < 0 || unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("keep", "tree/below/here", NULL, MS_BIND, NULL) < 0 ||
		access("tree/below/here/file", F_OK) < 0)
		_exit(1);
	_exit(io_remove_tree(AT_FDCWD, "tree") == -EXDEV ? 0 : 2);
}

static void removing_a_tree_stops_at_a_bind_mount(void **state)
{
	char path[64];
	int status = 1;
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/keep", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(make_file("keep/file"), 0);
	snprintf(path, sizeof(path), "%s/tree/below/here", dir);
	assert_int_equal(io_mkdirs(path, 0755), 0);
	pid = fork();
	if (pid == 0)
		remove_with_a_bind_mount_inside();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	snprintf(path, sizeof(path), "%s/keep/file", dir);
	assert_int_equal(access(path, F_OK), 0);
	/* the control: without the mount the same tree goes */
	assert_int_equal(io_remove_tree(AT_FDCWD, dir), 0);
	assert_int_equal(access(dir, F_OK), -1);
}

static void what_lies_beside_the_program_is_found(void **state)
{
	char path[256], small[8];

	(void)state;
	assert_int_equal(io_beside_program("io_root_test", path, sizeof(path)), 0);
	assert_int_equal(access(path, X_OK), 0);
	assert_int_equal(io_beside_program("", path, sizeof(path)), 0);
	assert_true(path[0] == '/' && path[strlen(path) - 1] == '/');
	assert_int_equal(io_beside_program("berth", small, sizeof(small)), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_lies_beside_the_program_is_found),
		cmocka_unit_test(removing_a_tree_stops_at_a_bind_mount),
	};

	if (geteuid() != 0) {
		print_message("skipped: mounts need root\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

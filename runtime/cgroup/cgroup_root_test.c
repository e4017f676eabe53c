/* Control groups on this kernel, as root: what it takes and gives back, in whichever
 * version the host has; delegation in version 2. */
#include "lib/buf.h"
#include "lib/io.h"
#include "runtime/cgroup/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define TEST_ID "0c960075"
#define V2_ROOT "/sys/fs/cgroup"
#define END_MS 60000 /* on an emulated machine, too */

static struct cgroups groups;
static const struct msg_limits_body limits = {
	.memory_bytes = 64 << 20, .cpu_millis = 250, .pids = 33};

static void write_text(const char *path, const char *text)
{
	int fd autoclose = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, text, strlen(text)), 0);
}

static void read_text(const char *path, struct buf *out)
{
	buf_reset(out);
	assert_int_equal(io_read_file(AT_FDCWD, path, out), 0);
}

/* A process that waits, in this test's own groups. */
static pid_t sleeper(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	while (pid == 0)
		pause();
	return pid;
}

/* As a sandbox's process does it (v1), or by its number (v2). */
static void put_into(uint64_t id, pid_t pid)
{
	char path[160], text[16];
	int fds[CGROUP_FDS];

	snprintf(text, sizeof(text), "%d", (int)pid);
	assert_int_equal(cgroup_join_fds(&groups, id, fds), 0);
	for (int k = 0; k < CGROUP_FDS; k++) {
		if (fds[k] < 0)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d/cgroup.procs", fds[k]);
		if (groups.v2)
			write_text(path, text);
		else
			assert_int_equal(io_write_all(fds[k], text, strlen(text)), 0);
		close(fds[k]);
	}
}

static void wait_killed(pid_t pid)
{
	int status = 0;

	for (int ms = 0; waitpid(pid, &status, WNOHANG) == 0; ms += 10) {
		if (ms > END_MS)
			kill(pid, SIGKILL);
		assert_true(ms <= END_MS);
		usleep(10000);
	}
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void remove_group(uint64_t id)
{
	int r = -EBUSY;

	for (int i = 0; i < 500 && (r = cgroup_remove(&groups, id)) == -EBUSY; i++)
		usleep(10000);
	assert_int_equal(r, 0);
}

static void freeze(uint64_t id, const char *name, const char *value)
{
	char path[160];

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%016llx/%s",
		groups.parent[groups.v2 ? CGROUP_MEMORY : CGROUP_FREEZER],
		(unsigned long long)id, name);
	write_text(path, value);
}

static void the_kernel_keeps_the_limits(void **state)
{
	struct msg_limits_body less = {
		.memory_bytes = 32 << 20, .cpu_millis = 100, .pids = 9};
	struct cgroup_counts c;
	int io;
	struct err e;

	(void)state;
	assert_int_equal(cgroup_make(&groups, 0xa1, &limits, &io, &e), 0);
	assert_int_equal(io, -1);
	cgroup_read(&groups, 0xa1, &c);
	assert_int_equal(c.memory_limit_bytes, 64 << 20);
	assert_int_equal(cgroup_limit(&groups, 0xa1, &less, LIMIT_ALL, NULL, &e), 0);
	cgroup_read(&groups, 0xa1, &c);
	assert_int_equal(c.memory_limit_bytes, 32 << 20);
	remove_group(0xa1);
	assert_int_equal(
		cgroup_limit(&groups, 0xa1, &less, LIMIT_ALL, NULL, &e), -ENOENT);
}

static void what_is_frozen_can_be_killed(void **state)
{
	pid_t pid = sleeper();
	int io;
	struct err e;

	(void)state;
	assert_int_equal(cgroup_make(&groups, 0xa2, &limits, &io, &e), 0);
	assert_int_equal(io, -1);
	put_into(0xa2, pid);
	assert_int_equal(cgroup_remove(&groups, 0xa2), -EBUSY);
	if (groups.v2)
		freeze(0xa2, "cgroup.freeze", "1");
	else
		freeze(0xa2, "freezer.state", "FROZEN");
	assert_int_equal(cgroup_kill(&groups, 0xa2), 0);
	wait_killed(pid);
	remove_group(0xa2);
	assert_int_equal(cgroup_kill(&groups, 0xa2), 0); /* gone is no error */
}

/* ---- version 2: a folder that somebody gave to berth ---- */

static char outer[64], given[80];

/* Makes it; with controllers given it is a folder below one that hands down just those.
 */
static void give_folder(const char *controllers)
{
	char path[96];

	snprintf(outer, sizeof(outer), V2_ROOT "/berth-test-%d", (int)getpid());
	write_text(V2_ROOT "/cgroup.subtree_control", "+memory +cpu +pids");
	assert_int_equal(mkdir(outer, 0755), 0);
	snprintf(given, sizeof(given), "%s%s", outer, controllers ? "/inner" : "");
	if (controllers) {
		snprintf(path, sizeof(path), "%s/cgroup.subtree_control", outer);
		write_text(path, controllers);
		assert_int_equal(mkdir(given, 0755), 0);
	}
	assert_int_equal(setenv("BERTH_CGROUP", given, 1), 0);
}

static int take_folder_back(void **state)
{
	char path[96];

	(void)state;
	unsetenv("BERTH_CGROUP");
	snprintf(path, sizeof(path), "%s/berth-aside", given);
	rmdir(path);
	rmdir(given);
	rmdir(outer);
	return *outer && access(outer, F_OK) == 0 ? -1 : 0;
}

static void only_in_version_2(void)
{
	if (groups.v2)
		return;
	print_message("skipped: this host has control groups of version 1\n");
	skip();
}

static void processes_in_a_delegated_folder_move_aside(void **state)
{
	autobuf own = {.max = 4096};
	autobuf aside = {.max = 4096};
	struct cgroups g;
	char path[160], text[16];
	struct err e;
	pid_t pid;

	(void)state;
	only_in_version_2();
	give_folder(NULL);
	pid = sleeper();
	snprintf(text, sizeof(text), "%d", (int)pid);
	snprintf(path, sizeof(path), "%s/cgroup.procs", given);
	write_text(path, text);
	assert_int_equal(cgroups_open(&g, TEST_ID, &e), 0);
	read_text(path, &own);
	assert_int_equal(own.len, 0);
	snprintf(path, sizeof(path), "%s/berth-aside/cgroup.procs", given);
	read_text(path, &aside);
	assert_int_equal(atoi(aside.data), pid);
	snprintf(path, sizeof(path), "%s/berth-" TEST_ID "/memory.max", given);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(cgroups_remove(&g), 0);
	cgroups_close(&g);
	kill(pid, SIGKILL);
	wait_killed(pid);
}

static void a_delegated_folder_without_controllers_is_refused(void **state)
{
	struct cgroups g;
	struct err e;

	(void)state;
	only_in_version_2();
	give_folder("+pids");
	assert_int_equal(cgroups_open(&g, TEST_ID, &e), -ENOSYS);
	assert_non_null(strstr(e.text, "/inner lacks the memory, cpu or pids"));
	cgroups_close(&g);
}

static void a_folder_that_is_no_group_is_refused(void **state)
{
	struct cgroups g;
	struct err e;

	(void)state;
	assert_int_equal(setenv("BERTH_CGROUP", "/tmp", 1), 0);
	assert_int_equal(cgroups_open(&g, TEST_ID, &e), -ENOSYS);
	assert_non_null(strstr(e.text, "/tmp is no version 2 control group"));
	assert_int_equal(access("/tmp/berth-" TEST_ID, F_OK), -1);
	cgroups_close(&g);
}

static void note(void *arg, uint64_t id)
{
	*(bool *)arg |= id == 5;
}

/* Whoever made or removed it may have died in the middle. */
static void a_group_in_one_hierarchy_is_listed_and_removed(void **state UNUSED)
{
	bool listed = false;

	assert_int_equal(
		mkdirat(groups.parent[CGROUP_MEMORY], "0000000000000005", 0755), 0);
	cgroups_list(&groups, note, &listed);
	assert_true(listed);
	assert_int_equal(cgroup_remove(&groups, 5), 0);
	assert_int_equal(
		faccessat(groups.parent[CGROUP_MEMORY], "0000000000000005", F_OK, 0), -1);
}

static int set_up(void **state)
{
	struct err e;
	int r = cgroups_open(&groups, TEST_ID, &e);

	(void)state;
	if (r < 0)
		print_message("cgroups_open: %s\n", e.text);
	return r;
}

static int tear_down(void **state)
{
	int r = cgroups_remove(&groups);

	(void)state;
	cgroups_close(&groups);
	return r;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernel_keeps_the_limits),
		cmocka_unit_test(what_is_frozen_can_be_killed),
		cmocka_unit_test(a_group_in_one_hierarchy_is_listed_and_removed),
		cmocka_unit_test_teardown(
			processes_in_a_delegated_folder_move_aside, take_folder_back),
		cmocka_unit_test_teardown(
			a_delegated_folder_without_controllers_is_refused,
			take_folder_back),
		cmocka_unit_test_teardown(
			a_folder_that_is_no_group_is_refused, take_folder_back),
	};

	if (geteuid() != 0) {
		print_message("skipped: control groups need root\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

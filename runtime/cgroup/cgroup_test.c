/* What is written to a version 2 hierarchy, on plain files that stand for it. The
 * kernel's own side: runtime/sandbox/sandbox_root_test.c. */
#include "lib/buf.h"
#include "lib/io.h"
#include "runtime/cgroup/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char root[64];
static struct cgroups groups;
static const struct msg_limits_body limits = {
	.memory_bytes = 64 << 20, .cpu_millis = 250, .pids = 33};

static void write_at(const char *name, const char *text)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	int fd autoclose = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, text, strlen(text)), 0);
}

static void assert_text(const char *name, const char *text)
{
	autobuf b = BUF_INIT;
	char path[160];

	snprintf(path, sizeof(path), "%s/berth-0a1b2c3d/00000000000000ff/%s", root, name);
	assert_int_equal(io_read_file(AT_FDCWD, path, &b), 0);
	assert_string_equal(b.data ? b.data : "", text);
}

static void make_group_files(void)
{
	static const char *const files[] = {"memory.max", "memory.swap.max", "cpu.max",
		"pids.max", "memory.events", "memory.peak", "cpu.stat", "cgroup.freeze",
		"io.max", "memory.current", "memory.reclaim"};
	char name[96];

	snprintf(name, sizeof(name), "%s/berth-0a1b2c3d/00000000000000ff", root);
	assert_int_equal(mkdir(name, 0755), 0);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(name, sizeof(name), "berth-0a1b2c3d/00000000000000ff/%s",
			files[i]);
		write_at(name, "");
	}
}

static int set_up(void **state)
{
	struct err e;
	char path[96];

	(void)state;
	snprintf(root, sizeof(root), "/tmp/berth-cgroup-XXXXXX");
	if (!mkdtemp(root) || setenv("BERTH_CGROUP", root, 1) < 0)
		return -1;
	write_at("cgroup.controllers", "cpuset cpu io memory pids\n");
	write_at("cgroup.subtree_control", "");
	snprintf(path, sizeof(path), "%s/berth-0a1b2c3d", root);
	if (mkdir(path, 0755) < 0)
		return -1;
	write_at("berth-0a1b2c3d/cgroup.subtree_control", "");
	write_at("berth-0a1b2c3d/cgroup.controllers", "cpu io memory pids\n");
	write_at("berth-0a1b2c3d/io.max", "");
	return cgroups_open(&groups, "0a1b2c3d", &e);
}

static int tear_down(void **state)
{
	(void)state;
	cgroups_close(&groups);
	return io_remove_tree(AT_FDCWD, root);
}

static void limits_are_written_as_the_kernel_reads_them(void **state)
{
	int io;
	struct err e;

	(void)state;
	assert_true(groups.v2);
	make_group_files();
	assert_int_equal(cgroup_make(&groups, 0xff, &limits, &io, &e), 0);
	assert_text("memory.max", "67108864");
	assert_text("memory.swap.max", "0");
	assert_text("cpu.max", "25000 100000");
	assert_text("pids.max", "33");
	assert_int_equal(io, -1);
}

static void a_frozen_group_may_be_swapped_out(void **state)
{
	char text[24];
	int fd;

	(void)state;
	assert_int_equal(cgroup_frozen(&groups, 0xff), 0);
	assert_int_equal(cgroup_freeze(&groups, 0xff, true), 0);
	assert_text("cgroup.freeze", "1");
	assert_int_equal(cgroup_frozen(&groups, 0xff), 1);
	write_at("berth-0a1b2c3d/00000000000000ff/memory.current", "4096\n");
	write_at("berth-0a1b2c3d/00000000000000ff/memory.swap.max", "");
	fd = cgroup_reclaim_open(&groups, 0xff, text);
	assert_true(fd >= 0);
	close(fd);
	assert_string_equal(text, "4096");
	assert_text("memory.swap.max", "max");
	write_at("berth-0a1b2c3d/00000000000000ff/memory.swap.max", "");
	assert_int_equal(cgroup_freeze(&groups, 0xff, false), 0);
	assert_text("cgroup.freeze", "0");
	assert_text("memory.swap.max", "0");
	assert_int_equal(cgroup_freeze(&groups, 0xdead, true), -ENOENT);
}

#define GROUP "berth-0a1b2c3d/00000000000000ff/"

static void reads_and_writes_are_limited_disk_by_disk(void **state)
{
	struct msg_limits_body l = limits;
	const struct disks d = {.n = 1, .list = {{8, 16}}};
	struct err e;

	(void)state;
	assert_true(groups.io);
	assert_int_equal(cgroup_limit_io(&groups, 0xff, &l), 0);
	l.io_read_bytes = 1 << 20;
	assert_int_equal(cgroup_limit_io(&groups, 0xff, &l), -EOPNOTSUPP);
	assert_int_equal(cgroups_use_disks(&groups, &d, &e), 0);
	assert_int_equal(cgroup_limit_io(&groups, 0xff, &l), 0);
	assert_text("io.max", "8:16 rbps=1048576 wbps=max");
	write_at(GROUP "io.max", "");
	cgroup_io_lift(&groups, 0xff);
	assert_text("io.max", "8:16 rbps=max wbps=max");
}

static void only_the_limits_named_are_changed(void **state)
{
	struct msg_limits_body l = {
		.memory_bytes = 80 << 20, .cpu_millis = 500, .pids = 44};
	struct err e;

	(void)state;
	assert_int_equal(cgroup_limit(&groups, 0xff, &l, LIMIT_CPU, NULL, &e), 0);
	assert_text("cpu.max", "50000 100000");
	assert_text("memory.max", "67108864");
	assert_text("pids.max", "33");
}

static void a_refused_change_leaves_everything_as_it_was(void **state)
{
	struct msg_limits_body l = {
		.memory_bytes = 80 << 20, .cpu_millis = 750, .pids = 44};
	char pids[128], aside[128];
	struct err e;

	(void)state;
	snprintf(pids, sizeof(pids), "%s/" GROUP "pids.max", root);
	snprintf(aside, sizeof(aside), "%s/" GROUP "aside", root);
	assert_int_equal(rename(pids, aside), 0);
	assert_int_equal(cgroup_limit(&groups, 0xff, &l, LIMIT_ALL, NULL, &e), -ENOENT);
	assert_non_null(strstr(e.text, "cannot limit processes"));
	assert_int_equal(rename(aside, pids), 0);
	assert_text("memory.max", "67108864");
	assert_text("memory.swap.max", "0");
	assert_text("cpu.max", "50000 100000");
	/* the control: the same is taken now */
	assert_int_equal(cgroup_limit(&groups, 0xff, &l, LIMIT_ALL, NULL, &e), 0);
	assert_text("memory.max", "83886080");
}

/* The kernel would take it, and kill. */
static void less_memory_than_is_used_is_refused_on_version_2_too(void **state)
{
	struct msg_limits_body l = limits;
	uint64_t used = 0;
	struct err e;

	(void)state;
	write_at(GROUP "memory.current", "70000000\n");
	l.pids = 7;
	assert_int_equal(cgroup_limit(&groups, 0xff, &l, LIMIT_ALL, &used, &e), -EBUSY);
	assert_int_equal(used, 70000000);
	assert_non_null(strstr(e.text, "66.8M of memory, more than 64M"));
	assert_text("memory.reclaim", "2891136");
	assert_text("pids.max", "44");
	write_at(GROUP "memory.current", "60000000\n");
	write_at(GROUP "memory.max", "");
	assert_int_equal(cgroup_limit(&groups, 0xff, &l, LIMIT_MEMORY, &used, &e), 0);
	assert_text("memory.max", "67108864");
}

static void counts_are_read_by_their_key(void **state)
{
	struct cgroup_counts c;

	(void)state;
	write_at("berth-0a1b2c3d/00000000000000ff/memory.events",
		"low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n");
	write_at("berth-0a1b2c3d/00000000000000ff/memory.peak", "12345\n");
	write_at("berth-0a1b2c3d/00000000000000ff/memory.max", "max\n");
	write_at("berth-0a1b2c3d/00000000000000ff/cpu.stat",
		"usage_usec 777\nuser_usec 700\n");
	cgroup_read(&groups, 0xff, &c);
	assert_int_equal(c.oom_kills, 2);
	assert_int_equal(c.memory_peak_bytes, 12345);
	assert_int_equal(c.memory_limit_bytes, 0);
	assert_int_equal(c.cpu_us, 777);
	cgroup_read(&groups, 0xdead, &c);
	assert_int_equal(c.oom_kills, 0);
}

static void a_group_that_cannot_be_limited_is_not_left(void **state)
{
	int io;
	struct err e;
	char path[96];

	(void)state;
	assert_int_equal(cgroup_make(&groups, 0xee, &limits, &io, &e),
		-ENOENT); /* plain folder: no memory.max in it */
	snprintf(path, sizeof(path), "%s/berth-0a1b2c3d/00000000000000ee", root);
	assert_int_equal(access(path, F_OK), -1);
}

static void count(void *arg, uint64_t id)
{
	assert_int_equal(id, 0xff);
	++*(int *)arg;
}

static void groups_are_found_again(void **state)
{
	int n = 0;

	(void)state;
	cgroups_list(&groups, count, &n);
	assert_int_equal(n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_are_written_as_the_kernel_reads_them),
		cmocka_unit_test(a_frozen_group_may_be_swapped_out),
		cmocka_unit_test(reads_and_writes_are_limited_disk_by_disk),
		cmocka_unit_test(only_the_limits_named_are_changed),
		cmocka_unit_test(a_refused_change_leaves_everything_as_it_was),
		cmocka_unit_test(less_memory_than_is_used_is_refused_on_version_2_too),
		cmocka_unit_test(counts_are_read_by_their_key),
		cmocka_unit_test(a_group_that_cannot_be_limited_is_not_left),
		cmocka_unit_test(groups_are_found_again),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

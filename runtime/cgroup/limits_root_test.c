/* Limits of real sandboxes on this kernel, as root: what a host cannot give, and what is
 * changed while they run. */
#include "runtime/inside.h"

#include "runtime/sandbox/box_test.h"
#include <limits.h>

static struct msg_host host;

/* ---- helpers ---- */

/* A file of 4 MiB in volume 5, on the disk. */
static void use_volume(struct box *b)
{
	b->start.n_mounts = 1;
	b->start.mounts[0] =
		(struct msg_mount){.id = 5, .kind = MOUNT_VOLUME, .path = "/data"};
}

static void make_file(void)
{
	char path[160], *block = malloc(1 << 20);
	int fd autoclose = -1;

	assert_int_equal(volume_make_dir(w.rt, MOUNT_VOLUME, 5), 0);
	snprintf(path, sizeof(path), "%s/volumes/0000000000000005/file", w.state);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0 && block);
	memset(block, 'x', 1 << 20);
	for (int i = 0; i < 4; i++)
		assert_int_equal(io_write_all(fd, block, 1 << 20), 0);
	assert_int_equal(fsync(fd), 0);
	free(block);
}

static int change(struct box *b, uint32_t which, struct msg_limited *done)
{
	return sandbox_limits(w.rt, &b->rec, &b->start.limits, which, done, &b->e);
}

static uint64_t kernel_has(const struct box *b, int kind, const char *v1, const char *v2)
{
	int dir autoclose = cgroup_open(&w.rt->cgroups, kind, b->rec.id);

	assert_true(dir >= 0);
	return cgroup_number(dir, w.rt->cgroups.v2 ? v2 : v1, "");
}

/* Where the kernel or the file system under the tests cannot, the reason is the result. */
static bool io_possible(void)
{
	if (host.no_io[0])
		print_message("io cannot be limited here: %s\n", host.no_io);
	return !host.no_io[0];
}

/* ---- open files ---- */

static void more_open_files_than_the_host_allows_are_clamped(void **state)
{
	struct box b = box_new();

	(void)state;
	b.start.limits.nofile = LIMIT_NOFILE_MAX;
	run(&b, "nofile");
	assert_int_equal(strtoul(b.text, NULL, 10), host.nofile);
}

static void open_files_change_for_all_its_processes_at_once(void **state)
{
	struct box b = box_new();
	struct msg_limited done;

	(void)state;
	b.start.limits.nofile = 1024;
	box_must_start(&b, PROBE("nofile-after", "15"));
	wait_for_line(&b);
	b.start.limits.nofile = 200;
	assert_int_equal(change(&b, LIMIT_NOFILE, &done), 0);
	assert_int_equal(done.now, LIMIT_NOFILE);
	assert_int_equal(done.nofile, 200);
	assert_int_equal(sandbox_signal(w.rt, &b.rec, SIGTERM), 0);
	box_end(&b);
	assert_string_equal(b.text, "200 200\n200 200\n");
}

/* Rising needs a right that not every host gives its root: then it is told, no failure. */
static void a_rise_of_open_files_is_done_or_told(void **state)
{
	struct box b = box_new();
	struct msg_limited done;

	(void)state;
	b.start.limits.nofile = 200;
	box_must_start(&b, PROBE("nofile-after", "15"));
	wait_for_line(&b);
	b.start.limits.nofile = 1024;
	assert_int_equal(change(&b, LIMIT_NOFILE, &done), 0);
	assert_int_equal(done.now, done.nofile == 1024 ? LIMIT_NOFILE : 0);
	assert_true(done.nofile == 1024 || done.nofile == 200);
	assert_int_equal(sandbox_signal(w.rt, &b.rec, SIGTERM), 0);
	box_end(&b);
	assert_string_equal(b.text,
		done.nofile == 1024 ? "1024 1024\n1024 1024\n" : "200 200\n200 200\n");
}

static void who_enters_has_the_same_open_files(void **state)
{
	struct box b = box_new(), in = box_new();

	(void)state;
	b.start.limits.nofile = 300;
	box_must_start(&b, PROBE("trap", "15"));
	wait_for_line(&b);
	box_must_enter(&b, &in, PROBE("nofile"));
	box_end(&in);
	assert_string_equal(in.text, "300\n");
	sandbox_kill(w.rt, &b.rec);
	box_end(&b);
}

/* ---- memory, processor, processes ---- */

static void only_what_was_named_changes(void **state)
{
	struct box b = box_new();
	struct msg_limited done;

	(void)state;
	box_must_start(&b, PROBE("trap", "15"));
	wait_for_line(&b);
	b.start.limits.pids = 99;
	b.start.limits.memory_bytes = 128 << 20;
	assert_int_equal(change(&b, LIMIT_PIDS, &done), 0);
	assert_int_equal(done.now, LIMIT_PIDS);
	assert_int_equal(kernel_has(&b, CGROUP_PIDS, "pids.max", "pids.max"), 99);
	assert_int_equal(
		kernel_has(&b, CGROUP_MEMORY, "memory.limit_in_bytes", "memory.max"),
		64 << 20);
	assert_int_equal(change(&b, LIMIT_SCRATCH | LIMIT_MEMORY, &done), 0);
	assert_int_equal(done.now, LIMIT_MEMORY);
	assert_int_equal(change(&b, 1 << 20, &done), 0);
	assert_int_equal(done.now, 0);
	sandbox_kill(w.rt, &b.rec);
	box_end(&b);
	assert_int_equal(b.exited.memory_limit_bytes, 128 << 20);
}

static void less_memory_than_is_used_is_refused_and_nothing_changes(void **state)
{
	struct box b = box_new();
	struct msg_limited done;

	(void)state;
	box_must_start(&b, PROBE("keep", "40"));
	wait_for_line(&b);
	b.start.limits.memory_bytes = 32 << 20;
	b.start.limits.pids = 99;
	assert_int_equal(change(&b, LIMIT_MEMORY | LIMIT_PIDS, &done), -EBUSY);
	assert_in_range(done.memory_used_bytes, 40 << 20, 64 << 20);
	assert_non_null(strstr(b.e.text, "more than 32M"));
	assert_int_equal(done.now, 0);
	assert_int_equal(kernel_has(&b, CGROUP_PIDS, "pids.max", "pids.max"), 64);
	assert_int_equal(
		kernel_has(&b, CGROUP_MEMORY, "memory.limit_in_bytes", "memory.max"),
		64 << 20);
	/* the control: one that it fits in is taken */
	b.start.limits.memory_bytes = 56 << 20;
	assert_int_equal(change(&b, LIMIT_MEMORY | LIMIT_PIDS, &done), 0);
	assert_int_equal(kernel_has(&b, CGROUP_PIDS, "pids.max", "pids.max"), 99);
	sandbox_kill(w.rt, &b.rec);
	box_end(&b);
	assert_int_equal(b.exited.memory_limit_bytes, 56 << 20);
}

static void limits_above_the_host_are_no_failure(void **state)
{
	struct box b = box_new();

	(void)state;
	assert_in_range(host.memory_bytes, 64 << 20, LIMIT_MEMORY_MAX);
	assert_in_range(host.cpu_millis, 1000, LIMIT_CPU_MAX);
	assert_in_range(host.pids, 64, LIMIT_PIDS_MAX);
	b.start.limits.memory_bytes = LIMIT_MEMORY_MAX;
	b.start.limits.cpu_millis = LIMIT_CPU_MAX;
	b.start.limits.pids = LIMIT_PIDS_MAX;
	run(&b, "exit", "0");
	assert_end(&b, EXIT_REASON_EXITED, 0);
	struct box out = box_new();
	out.start.limits.memory_bytes = LIMIT_MEMORY_MAX + 1;
	assert_int_equal(box_start(&out, PROBE("exit", "0")), -EINVAL);
	close(out.exit_fd);
	close(out.output[0]);
}

/* ---- io ---- */

#define FREE_MS 1500	    /* 4 MiB at 2 MiB a second take about 2 s */
#define FAST_AGAIN_MS 30000 /* at 64 KiB a second they would take a minute */

static void reads_of_the_disk_are_as_slow_as_was_asked(void **state)
{
	struct box slow = box_new();
	long took = LONG_MAX;

	(void)state;
	if (!io_possible())
		return;
	for (int i = 0; i < 3 && took > FREE_MS; i++) { /* the disk is not ours alone */
		struct box free = box_new();

		use_volume(&free);
		run(&free, "read-disk", "/data/file", "4");
		assert_end(&free, EXIT_REASON_EXITED, 0);
		took = strtol(free.text, NULL, 10);
	}
	use_volume(&slow);
	slow.start.limits.io_read_bytes = 2 << 20;
	run(&slow, "read-disk", "/data/file", "4");
	assert_end(&slow, EXIT_REASON_EXITED, 0);
	print_message("4 MiB from the disk: %ld ms, at 2 MiB a second %ld ms\n", took,
		strtol(slow.text, NULL, 10));
	assert_in_range(strtol(slow.text, NULL, 10), FREE_MS, 60000);
	assert_in_range(took, 0, FREE_MS);
}

/* On v1 the group has to be made, and the running process moved into it. */
static void reads_get_slow_and_fast_again_while_it_runs(void **state)
{
	struct box b = box_new(), in = box_new(), after = box_new();
	struct msg_limited done;

	(void)state;
	if (!io_possible())
		return;
	use_volume(&b);
	box_must_start(&b, PROBE("read-after", "/data/file", "4"));
	wait_for_line(&b);
	b.start.limits.io_read_bytes = 2 << 20;
	assert_int_equal(change(&b, LIMIT_IO, &done), 0);
	assert_int_equal(done.now, LIMIT_IO);
	assert_int_equal(sandbox_signal(w.rt, &b.rec, SIGTERM), 0);
	box_end(&b);
	assert_in_range(strtol(b.text, NULL, 10), FREE_MS, 60000);
	use_volume(&in);
	in.start.limits.io_read_bytes = 64 << 10;
	box_must_start(&in, PROBE("read-after", "/data/file", "4"));
	wait_for_line(&in);
	in.start.limits.io_read_bytes = 0;
	assert_int_equal(change(&in, LIMIT_IO, &done), 0);
	assert_int_equal(sandbox_signal(w.rt, &in.rec, SIGTERM), 0);
	box_end(&in);
	assert_in_range(strtol(in.text, NULL, 10), 0, FAST_AGAIN_MS);
	run(&after, "exit", "0");
}

static void one_that_waits_for_a_slow_disk_dies_at_once(void **state)
{
	struct box b = box_new();
	uint64_t from;

	(void)state;
	if (!io_possible())
		return;
	use_volume(&b);
	b.start.limits.io_read_bytes = LIMIT_IO_MIN; /* 4 MiB would take a minute */
	box_must_start(&b, PROBE("read-after", "/data/file", "4"));
	wait_for_line(&b);
	assert_int_equal(sandbox_signal(w.rt, &b.rec, SIGTERM), 0);
	usleep(200000);
	from = io_mono_ns();
	assert_int_equal(sandbox_kill(w.rt, &b.rec), 0);
	box_end(&b);
	assert_true(io_mono_ns() - from < 5000000000ull);
}

static int set_up_limits(void **state)
{
	int r = set_up(state);

	if (r == 0) {
		runtime_host(w.rt, &host);
		make_file();
	}
	return r;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_open_files_than_the_host_allows_are_clamped),
		cmocka_unit_test(open_files_change_for_all_its_processes_at_once),
		cmocka_unit_test(a_rise_of_open_files_is_done_or_told),
		cmocka_unit_test(who_enters_has_the_same_open_files),
		cmocka_unit_test(only_what_was_named_changes),
		cmocka_unit_test(less_memory_than_is_used_is_refused_and_nothing_changes),
		cmocka_unit_test(limits_above_the_host_are_no_failure),
		cmocka_unit_test(reads_of_the_disk_are_as_slow_as_was_asked),
		cmocka_unit_test(reads_get_slow_and_fast_again_while_it_runs),
		cmocka_unit_test(one_that_waits_for_a_slow_disk_dies_at_once),
	};

	return run_as_root(tests, set_up_limits, tear_down);
}

/* Real sandboxes on this kernel, as root: how they end, their limits, what they see and
 * may do, their files. */
#include "runtime/sandbox/box_test.h"

/* ---- the ends of a command ---- */

static void the_exit_status_comes_back(void **state)
{
	struct box b = box_new();

	(void)state;
	run(&b, "exit", "42");
	assert_end(&b, EXIT_REASON_EXITED, 42);
	assert_true(b.exited.time_us > io_now_us() - 60u * 1000000);
	assert_int_equal(b.exited.memory_limit_bytes, 64 << 20);
}

static void a_signal_is_told_as_one(void **state)
{
	struct box b = box_new();

	(void)state;
	run(&b, "raise", "11");
	assert_end(&b, EXIT_REASON_SIGNALED, 11);
}

static void a_command_that_is_missing_has_its_errno(void **state)
{
	struct box b = box_new();
	const char *const argv[] = {"/no/such/program", NULL};

	(void)state;
	box_must_start(&b, argv);
	box_end(&b);
	assert_end(&b, EXIT_REASON_EXEC, ENOENT);
}

static void too_much_memory_is_told_as_that(void **state)
{
	struct box b = box_new(), child = box_new();

	(void)state;
	run(&b, "eat", "256");
	assert_end(&b, EXIT_REASON_OOM, SIGKILL);
	run(&child, "eat-child", "256");
	assert_end(&child, EXIT_REASON_OOM, SIGKILL);
	struct box fits = box_new();
	run(&fits, "eat", "16");
	assert_end(&fits, EXIT_REASON_EXITED, 0);
	assert_true(fits.exited.memory_peak_bytes == 0 ||
		    fits.exited.memory_peak_bytes > 16u << 20);
}

static void a_kill_from_outside_without_a_record_is_lost(void **state)
{
	struct box b = box_new();

	(void)state;
	box_must_start(&b, PROBE("sleep", "60"));
	assert_int_equal(sandbox_kill(w.rt, &b.rec), 0);
	box_end(&b);
	assert_end(&b, EXIT_REASON_LOST, 0);
}

static void signals_reach_the_command(void **state)
{
	struct box b = box_new(), killed = box_new();

	(void)state;
	box_must_start(&b, PROBE("trap", "15"));
	wait_for_line(&b);
	assert_int_equal(sandbox_signal(w.rt, &b.rec, SIGTERM), 0);
	box_end(&b);
	assert_end(&b, EXIT_REASON_EXITED, 7);
	assert_int_equal(sandbox_signal(w.rt, &b.rec, SIGTERM), -ESRCH);
	box_must_start(&killed, PROBE("trap", "15"));
	wait_for_line(&killed);
	assert_int_equal(sandbox_signal(w.rt, &killed.rec, SIGKILL), 0);
	box_end(&killed);
	assert_end(&killed, EXIT_REASON_SIGNALED, SIGKILL);
}

/* ---- limits ---- */

static void the_number_of_processes_is_limited(void **state)
{
	struct box b = box_new(), more = box_new();

	(void)state;
	b.start.limits.pids = 16;
	run(&b, "forks", "200");
	assert_int_equal(atoi(b.text), 14); /* 16 less berth-init and the probe */
	more.start.limits.pids = 300;
	run(&more, "forks", "200");
	assert_int_equal(atoi(more.text), 200);
}

static void processor_time_is_limited(void **state)
{
	struct box b = box_new();

	(void)state;
	b.start.limits.cpu_millis = 200;
	run(&b, "spin", "2");
	assert_end(&b, EXIT_REASON_EXITED, 0);
	/* at most 3 s of wall time (time(2) counts whole seconds) at a fifth: 600 ms and
	 * some slack */
	assert_in_range(b.exited.cpu_us, 100000, 900000);
}

static void open_files_are_limited(void **state)
{
	struct box b = box_new();

	(void)state;
	b.start.limits.nofile = 321;
	run(&b, "nofile");
	assert_string_equal(b.text, "321\n");
}

static void limits_change_while_it_runs(void **state)
{
	struct box b = box_new();
	struct msg_limits_body l = b.start.limits;
	struct msg_limited done;
	struct err e;

	(void)state;
	box_must_start(&b, PROBE("trap", "15"));
	wait_for_line(&b);
	l.memory_bytes = 128 << 20;
	assert_int_equal(sandbox_limits(w.rt, &b.rec, &l, LIMIT_ALL, &done, &e), 0);
	l.memory_bytes = 32 << 20;
	assert_int_equal(sandbox_limits(w.rt, &b.rec, &l, LIMIT_ALL, &done, &e), 0);
	sandbox_kill(w.rt, &b.rec);
	box_end(&b);
	assert_int_equal(b.exited.memory_limit_bytes, 32 << 20);
}

/* ---- what it sees ---- */

static void only_its_own_processes_are_there(void **state)
{
	struct box b = box_new();
	char *save = NULL;
	int n = 0;

	(void)state;
	run(&b, "ls", "/proc");
	for (char *l = strtok_r(b.text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		n += l[0] >= '1' && l[0] <= '9';
	assert_int_equal(n, 2); /* berth-init and the probe */
	struct box ids = box_new();
	run(&ids, "ids");
	assert_string_equal(ids.text, "1000 1000 2\n");
}

static void no_host_path_is_in_its_mounts(void **state)
{
	struct box b = box_new();

	(void)state;
	run(&b, "cat", "/proc/self/mountinfo");
	assert_end(&b, EXIT_REASON_EXITED, 0);
	assert_non_null(strstr(
		b.text, " / / ")); /* the positive control: this is a mount table */
	assert_non_null(strstr(b.text, "/proc/keys"));
	assert_null(strstr(b.text, "/tmp/berth"));
	assert_null(strstr(b.text, "layers"));
	assert_null(strstr(b.text, "scratch"));
}

static void the_host_name_is_the_instance(void **state)
{
	struct box b = box_new(), file = box_new();

	(void)state;
	run(&b, "host");
	assert_string_equal(b.text, "web.1\n");
	run(&file, "cat", "/etc/hosts");
	assert_non_null(strstr(file.text, "127.0.1.1 web.1"));
}

static void its_cgroup_looks_like_the_root(void **state)
{
	struct box b = box_new();

	(void)state;
	run(&b, "cat", "/proc/self/cgroup");
	assert_null(strstr(b.text, "berth"));
}

static void every_permitted_call_works(void **state)
{
	struct box b = box_new();

	(void)state;
	run(&b, "permitted");
	if (strstr(b.text, "refused"))
		print_message("%s", b.text);
	assert_null(strstr(b.text, "refused"));
	assert_non_null(strstr(b.text, "fork: DONE"));
}

static void a_build_s_root_is_root_inside(void **state)
{
	struct box b = box_new();

	(void)state;
	b.start.profile = PROFILE_BUILD_ROOT;
	run(&b, "ids");
	assert_string_equal(b.text, "0 0 2\n");
}

static void an_image_s_user_is_who_it_says(void **state)
{
	struct box b = box_new(), root = box_new(), writes = box_new(), note = box_new(),
		   app = box_new(), more = box_new();

	(void)state;
	b.start.flags |= START_USER;
	b.start.uid = 33;
	b.start.gid = 44;
	run(&b, "ids");
	assert_string_equal(b.text, "33 44 2\n");
	/* root without any right: what is another's, it may not write */
	root.start.flags |= START_USER;
	run(&root, "put", "/app/x", "1");
	assert_end(&root, EXIT_REASON_EXITED, 1);
	assert_non_null(strstr(root.text, "Permission denied"));
	/* a volume is whoever's that has it */
	assert_int_equal(volume_make_dir(w.rt, MOUNT_VOLUME, 7), 0);
	writes.start.n_mounts = 1;
	writes.start.mounts[0] =
		(struct msg_mount){.id = 7, .kind = MOUNT_VOLUME, .path = "/data"};
	note.start.n_mounts = app.start.n_mounts = more.start.n_mounts = 1;
	note.start.mounts[0] = app.start.mounts[0] = more.start.mounts[0] =
		writes.start.mounts[0];
	writes.start.flags |= START_USER;
	writes.start.uid = writes.start.gid = 33;
	run(&writes, "put", "/data/note", "kept");
	assert_end(&writes, EXIT_REASON_EXITED, 0);
	note.start.flags |= START_USER;
	run(&note, "stat", "/data/note");
	assert_string_equal(note.text, "100644 0 0\n");
	run(&app, "stat", "/data/note");
	assert_string_equal(app.text, "100644 1000 1000\n");
	run(&more, "put", "/data/note", "more");
	assert_end(&more, EXIT_REASON_EXITED, 0);
}

static void parts_of_a_cache_stay_and_are_apart(void **state)
{
	struct box put = box_new(), get = box_new(), other = box_new();

	(void)state;
	put.start.profile = get.start.profile = other.start.profile = PROFILE_BUILD_ROOT;
	put.start.n_mounts = 2;
	put.start.mounts[0] = (struct msg_mount){
		.id = 0xa, .kind = MOUNT_CACHE_PART, .path = "/root/a"};
	put.start.mounts[1] = (struct msg_mount){
		.id = 0xb, .kind = MOUNT_CACHE_PART, .path = "/root/b"};
	run(&put, "put", "/root/b/x", "cached");
	assert_end(&put, EXIT_REASON_EXITED, 0);
	get.start.n_mounts = other.start.n_mounts = 2;
	memcpy(get.start.mounts, put.start.mounts, sizeof(get.start.mounts));
	memcpy(other.start.mounts, put.start.mounts, sizeof(other.start.mounts));
	run(&get, "cat", "/root/b/x");
	assert_string_equal(get.text, "cached");
	other.start.app = 9;
	run(&other, "stat", "/root/b/x");
	assert_string_equal(other.text, "No such file or directory\n");
}

static void a_build_may_write_to_its_image_s_tmp(void **state)
{
	struct box b = box_new(), plain = box_new();
	char path[160];
	struct stat st;

	(void)state;
	b.start.profile = plain.start.profile = PROFILE_BUILD_ROOT;
	b.start.flags |= START_IMAGE_FILES;
	b.start.upper = 0x31;
	plain.start.upper = 0x32;
	run(&b, "put", "/tmp/x", "stays");
	run(&plain, "put", "/tmp/x", "goes");
	snprintf(path, sizeof(path), "%s/layers/0000000000000031.tmp/fs/tmp/x", w.state);
	assert_int_equal(stat(path, &st), 0);
	snprintf(path, sizeof(path), "%s/layers/0000000000000032.tmp/fs/tmp/x", w.state);
	assert_int_equal(stat(path, &st), -1);
}

/* ---- files ---- */

static void files_belong_to_ids_inside(void **state)
{
	struct box b = box_new(), denied = box_new();

	(void)state;
	run(&b, "stat", "/probe");
	assert_string_equal(b.text, "100755 0 0\n");
	run(&denied, "put", "/x", "1"); /* the root folder is root's */
	assert_end(&denied, EXIT_REASON_EXITED, 1);
	assert_non_null(strstr(denied.text, "Permission denied"));
}

static void scratch_is_gone_with_the_sandbox(void **state)
{
	struct box first = box_new(), second = box_new();

	(void)state;
	run(&first, "put", "/app/note", "hello");
	assert_end(&first, EXIT_REASON_EXITED, 0);
	run(&second, "cat", "/app/note");
	assert_end(&second, EXIT_REASON_EXITED, 1);
}

static void scratch_ends_at_its_size(void **state)
{
	struct box small = box_new(), large = box_new();

	(void)state;
	small.start.limits.scratch_bytes = 32 << 20;
	run(&small, "fill", "/app/file", "48");
	assert_end(&small, EXIT_REASON_EXITED, 1);
	assert_non_null(strstr(small.text, "No space left on device"));
	large.start.limits.scratch_bytes = 64 << 20;
	run(&large, "fill", "/app/file", "48");
	assert_end(&large, EXIT_REASON_EXITED, 0);
}

/* Layers by name instead of by descriptor: Linux 6.1 to 6.12. */
static void the_way_of_older_kernels_works(void **state)
{
	struct box b = box_new(), sized = box_new(), parts = box_new();
	struct err e;

	(void)state;
	runtime_close(w.rt);
	assert_int_equal(setenv("BERTH_OVERLAY_BY_NAME", "1", 1), 0);
	assert_int_equal(open_world(&e), 0);
	run(&b, "cat", "/proc/self/mountinfo");
	assert_non_null(strstr(b.text, "lowerdir=0:1,"));
	sized.start.limits.scratch_bytes = 32 << 20;
	run(&sized, "put", "/app/x", "1");
	assert_end(&sized, EXIT_REASON_EXITED, 0);
	parts.start.profile = PROFILE_BUILD_ROOT;
	parts.start.n_mounts = 2;
	parts.start.mounts[0] = (struct msg_mount){
		.id = 0xa, .kind = MOUNT_CACHE_PART, .path = "/root/a"};
	parts.start.mounts[1] = (struct msg_mount){
		.id = 0xb, .kind = MOUNT_CACHE_PART, .path = "/root/b"};
	run(&parts, "cat", "/root/b/x"); /* of the test before */
	assert_string_equal(parts.text, "cached");
	runtime_close(w.rt);
	assert_int_equal(unsetenv("BERTH_OVERLAY_BY_NAME"), 0);
	assert_int_equal(open_world(&e), 0);
}

/* The 31st berth of a host has ids above 2^31. */
static void the_last_range_of_ids_works_too(void **state)
{
	char registry[96], name[16];
	struct runtime_config c = {
		.state = w.state, .run = w.dir, .lib = "build/bin", .registry = registry};
	static const char taken[] = "00000000 /\n";
	struct box b = box_new();
	struct err e;

	(void)state;
	snprintf(registry, sizeof(registry), "%s/registry", w.dir);
	assert_int_equal(mkdir(registry, 0700), 0);
	int dir autoclose = open(registry, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "block-%02d", i);
		assert_int_equal(
			io_replace_file(dir, name, taken, sizeof(taken) - 1, 0600), 0);
	}
	runtime_close(w.rt);
	assert_int_equal(runtime_open(&c, &w.rt, &e), 0);
	run(&b, "permitted");
	assert_non_null(strstr(b.text, "ptmx: DONE"));
	assert_null(strstr(b.text, "refused"));
	runtime_close(w.rt);
	c.registry = NULL;
	assert_int_equal(runtime_open(&c, &w.rt, &e), 0);
}

static void a_build_makes_a_layer_that_others_see(void **state)
{
	struct box build = box_new(), app = box_new();
	char from[160], to[160];

	(void)state;
	build.start.upper = 0x22;
	run(&build, "put", "/app/built", "yes");
	assert_end(&build, EXIT_REASON_EXITED, 0);
	snprintf(from, sizeof(from), "%s/layers/0000000000000022.tmp", w.state);
	snprintf(to, sizeof(to), "%s/layers/0000000000000022", w.state);
	assert_int_equal(rename(from, to), 0);
	app.start.app = 8; /* another app, another range */
	app.start.n_layers = 2;
	app.start.layers[1] = 0x22;
	run(&app, "cat", "/app/built");
	assert_string_equal(app.text, "yes");
	struct box who = box_new();
	who.start = app.start;
	who.start.id = ++w.next;
	run(&who, "stat", "/app/built");
	assert_string_equal(who.text, "100644 1000 1000\n");
}

static void a_volume_keeps_what_was_written(void **state)
{
	struct box first = box_new(), second = box_new(), ro = box_new();

	(void)state;
	assert_int_equal(volume_make_dir(w.rt, MOUNT_VOLUME, 5), 0);
	first.start.n_mounts = 1;
	first.start.mounts[0] = (struct msg_mount){
		.id = 5, .kind = MOUNT_VOLUME, .path = "/srv/data/deep"};
	run(&first, "put", "/srv/data/deep/note", "kept");
	assert_end(&first, EXIT_REASON_EXITED, 0);
	second.start.app = 9;
	second.start.n_mounts = 1;
	second.start.mounts[0] = first.start.mounts[0];
	run(&second, "cat", "/srv/data/deep/note");
	assert_string_equal(second.text, "kept");
	ro.start.n_mounts = 1;
	ro.start.mounts[0] = first.start.mounts[0];
	ro.start.mounts[0].flags = MOUNT_READ_ONLY_FLAG;
	run(&ro, "put", "/srv/data/deep/note", "changed");
	assert_end(&ro, EXIT_REASON_EXITED, 1);
	assert_non_null(strstr(ro.text, "Read-only"));
}

static void a_link_in_a_layer_cannot_lead_a_mount_outside(void **state)
{
	struct box b = box_new();
	char path[160];

	(void)state;
	/* /app/out -> ../../../../../../../../tmp/berth-outside, resolved inside the
	 * sandbox */
	snprintf(path, sizeof(path), "%s/layers/%016x/fs/app/out", w.state, ROOT_LAYER);
	assert_int_equal(symlink("../../../../../../../../tmp/berth-outside", path), 0);
	assert_int_equal(volume_make_dir(w.rt, MOUNT_VOLUME, 6), 0);
	b.start.n_mounts = 1;
	b.start.mounts[0] =
		(struct msg_mount){.id = 6, .kind = MOUNT_VOLUME, .path = "/app/out/x"};
	if (box_start(&b, PROBE("exit", "0")) == 0)
		box_end(&b);
	else
		close(b.exit_fd);
	assert_int_equal(access("/tmp/berth-outside", F_OK), -1);
	assert_int_equal(unlink(path), 0);
}

/* ---- where it cannot run ---- */

/* In a child: nothing here may return to the tests. */
static _Noreturn void open_in_a_chroot(const struct runtime_config *c)
{
	struct runtime *rt;
	struct err e;

	if (chroot(w.dir) < 0)
		_exit(1);
	if (runtime_open(c, &rt, &e) != -EPERM || !strstr(e.text, "chroot"))
		_exit(2);
	_exit(0);
}

static void a_chroot_is_told_as_the_cause(void **state)
{
	const struct runtime_config c = {
		.state = w.state, .run = w.dir, .lib = "build/bin"};
	int status = 1;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0)
		open_in_a_chroot(&c);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_exit_status_comes_back),
		cmocka_unit_test(a_signal_is_told_as_one),
		cmocka_unit_test(a_command_that_is_missing_has_its_errno),
		cmocka_unit_test(too_much_memory_is_told_as_that),
		cmocka_unit_test(a_kill_from_outside_without_a_record_is_lost),
		cmocka_unit_test(signals_reach_the_command),
		cmocka_unit_test(the_number_of_processes_is_limited),
		cmocka_unit_test(processor_time_is_limited),
		cmocka_unit_test(open_files_are_limited),
		cmocka_unit_test(limits_change_while_it_runs),
		cmocka_unit_test(only_its_own_processes_are_there),
		cmocka_unit_test(no_host_path_is_in_its_mounts),
		cmocka_unit_test(the_host_name_is_the_instance),
		cmocka_unit_test(its_cgroup_looks_like_the_root),
		cmocka_unit_test(every_permitted_call_works),
		cmocka_unit_test(a_build_s_root_is_root_inside),
		cmocka_unit_test(an_image_s_user_is_who_it_says),
		cmocka_unit_test(parts_of_a_cache_stay_and_are_apart),
		cmocka_unit_test(a_build_may_write_to_its_image_s_tmp),
		cmocka_unit_test(files_belong_to_ids_inside),
		cmocka_unit_test(scratch_is_gone_with_the_sandbox),
		cmocka_unit_test(scratch_ends_at_its_size),
		cmocka_unit_test(the_way_of_older_kernels_works),
		cmocka_unit_test(the_last_range_of_ids_works_too),
		cmocka_unit_test(a_build_makes_a_layer_that_others_see),
		cmocka_unit_test(a_volume_keeps_what_was_written),
		cmocka_unit_test(a_link_in_a_layer_cannot_lead_a_mount_outside),
		cmocka_unit_test(a_chroot_is_told_as_the_cause),
	};

	return run_as_root(tests, set_up, tear_down);
}

/* Real sandboxes on this kernel, as root: nothing that can be read inside names a path of
 * the host, but for the mount of a volume. */
#include "runtime/sandbox/hostile_test.h"

/* The state folder, the run folder, and where the programs and buildpacks lie. */
static void assert_clean(const char *text)
{
	const char *const words[] = {w.dir, "berth-sandbox", "/build", "/volumes",
		"/cache/", "/layers", "root_test"};

	assert_non_null(strstr(text, " - proc proc ")); /* a mount table is among it */
	assert_non_null(strstr(text, "END"));
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		const char *at = strstr(text, words[i]);
		if (at)
			print_message("%s in: %.200s\n", words[i],
				at - text > 100 ? at - 100 : text);
		assert_null(at);
	}
}

static void an_app_sees_none(void **state)
{
	struct box b = box_new(), tty = box_new();
	char text[65536] = "";
	size_t len = 0;
	ssize_t n;

	(void)state;
	box_must_start(&b, HOSTILE("paths"));
	box_end(&b);
	assert_clean(b.text);
	tty.start.flags = START_TTY;
	box_must_start(&tty, HOSTILE("paths"));
	while (len < sizeof(text) - 1 &&
		(n = read(tty.master, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	box_end(&tty);
	assert_clean(text);
}

/* /proc/self/fd/1 is the log pipe, which has a place in the run folder. */
static void an_app_with_a_log_sees_none(void **state)
{
	struct box b = box_new();
	char path[160], text[65536] = "";

	(void)state;
	snprintf(path, sizeof(path), "%s/fifo", w.dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	b.fifo = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	b.quiet = true;
	box_must_start(&b, HOSTILE("paths"));
	box_end(&b);
	assert_true(read(b.fifo, text, sizeof(text) - 1) > 0);
	assert_clean(text);
	assert_non_null(strstr(text, "/fd/1 -> /\n"));
	/* the control: who opened it in the folder has its path there */
	char link[64];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", b.fifo);
	assert_int_equal(readlink(link, text, sizeof(text)), strlen(path));
	close(b.fifo);
}

/* berth-build waits for its input; what it and its children see is seen by who enters. */
static void look_at_build(struct box *b)
{
	struct box in = box_new();
	int input[2];

	assert_int_equal(pipe2(input, O_CLOEXEC), 0);
	b->input = input[0];
	b->start.flags |= START_BUILDER | START_HOST_APT;
	b->start.upper = next_layer++;
	box_must_start(b, (const char *const[]){"berth-build", "source", NULL});
	close(input[0]);
	box_must_enter(b, &in, HOSTILE("paths"));
	box_end(&in);
	assert_clean(in.text);
	assert_non_null(strstr(in.text, " /berth/packs "));
	assert_non_null(strstr(in.text, " /berth/host "));
	close(input[1]);
	box_end(b);
}

static void add_cache(struct box *b)
{
	b->start.n_mounts = 1;
	b->start.mounts[0] = (struct msg_mount){
		.id = b->start.app, .kind = MOUNT_CACHE, .path = "/cache"};
}

static void a_build_sees_none(void **state)
{
	struct box app = box_new(), root = box_new();

	(void)state;
	add_cache(&app);
	look_at_build(&app);
	root.start.profile = PROFILE_BUILD_ROOT;
	look_at_build(&root);
}

/* A stack is unpacked over nothing. */
static void a_stack_that_is_made_sees_none(void **state)
{
	struct box b = box_new();
	char fs[200];

	(void)state;
	b.start.upper = next_layer++;
	b.start.n_layers = 0;
	b.start.profile = PROFILE_BUILD_ROOT;
	assert_int_equal(layer_make_upper(w.rt, b.start.upper), 0);
	snprintf(fs, sizeof(fs), "%s/layers/%016" PRIx64 ".tmp/fs", w.state,
		b.start.upper);
	assert_int_equal(copy_program("hostile", fs), 0);
	box_must_start(&b, HOSTILE("paths"));
	box_end(&b);
	assert_clean(b.text);
}

/* The control, and what docs/SECURITY.md says is not covered. */
static void a_volume_names_its_folder(void **state)
{
	struct box b = box_new();

	(void)state;
	assert_int_equal(volume_make_dir(w.rt, MOUNT_VOLUME, 5), 0);
	b.start.n_mounts = 1;
	b.start.mounts[0] =
		(struct msg_mount){.id = 5, .kind = MOUNT_VOLUME, .path = "/data"};
	box_must_start(&b, HOSTILE("paths"));
	box_end(&b);
	assert_non_null(strstr(b.text, "/volumes/0000000000000005 /data "));
}

/* ---- the cache, which is an overlay for this ---- */

static void a_cache_keeps_what_builds_write(void **state)
{
	struct box first = box_new(), second = box_new(), third = box_new(),
		   ro = box_new();
	struct box *all[] = {&first, &second, &third, &ro};
	char path[160];
	struct stat st;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		add_cache(all[i]);
		all[i]->start.upper = next_layer++;
	}
	run(&first, "put", "/cache/note", "kept");
	assert_end(&first, EXIT_REASON_EXITED, 0);
	run(&second, "put", "/cache/note", "kept longer");
	run(&third, "cat", "/cache/note");
	assert_string_equal(third.text, "kept longer");
	ro.start.mounts[0].flags = MOUNT_READ_ONLY_FLAG;
	run(&ro, "put", "/cache/note", "changed");
	assert_end(&ro, EXIT_REASON_EXITED, 1);
	/* a plain file of the app's user on disk */
	snprintf(path, sizeof(path), "%s/cache/7/note", w.state);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, RUNTIME_DISK_UID_BASE + RUNTIME_APP_UID);
	assert_int_equal(st.st_size, 11);
}

static unsigned int work_folders(void)
{
	char path[160];
	unsigned int n = 0;

	snprintf(path, sizeof(path), "%s/cache", w.state);
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));)
		n += strstr(e->d_name, ".work") != NULL;
	if (d)
		closedir(d);
	return n;
}

/* Also those that an earlier berthd left. */
static void no_cache_leaves_a_work_folder(void **state)
{
	char path[160];

	(void)state;
	snprintf(path, sizeof(path), "%s/cache/00000000000fffff.work", w.state);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(work_folders() > 0);
	runtime_sweep(w.rt);
	for (int i = 0; i < 200 && work_folders() > 0; i++)
		usleep(50000);
	assert_int_equal(work_folders(), 0);
}

/* Layers by name instead of by descriptor: Linux 6.1 to 6.12. */
static void older_kernels_show_none_either(void **state)
{
	struct err e;

	runtime_close(w.rt);
	assert_int_equal(setenv("BERTH_OVERLAY_BY_NAME", "1", 1), 0);
	assert_int_equal(open_world(&e), 0);
	a_build_sees_none(state);
	a_cache_keeps_what_builds_write(state);
	runtime_close(w.rt);
	assert_int_equal(unsetenv("BERTH_OVERLAY_BY_NAME"), 0);
	assert_int_equal(open_world(&e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_app_sees_none),
		cmocka_unit_test(an_app_with_a_log_sees_none),
		cmocka_unit_test(a_build_sees_none),
		cmocka_unit_test(a_stack_that_is_made_sees_none),
		cmocka_unit_test(a_volume_names_its_folder),
		cmocka_unit_test(a_cache_keeps_what_builds_write),
		cmocka_unit_test(older_kernels_show_none_either),
		cmocka_unit_test(no_cache_leaves_a_work_folder),
	};

	return run_as_root(tests, set_up_hostile, tear_down);
}

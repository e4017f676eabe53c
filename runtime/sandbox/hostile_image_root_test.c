/* Real sandboxes on this kernel, as root, with images that have something else where berth
 * puts its own: none of it is used, and nothing is led outside. */
#include "runtime/sandbox/hostile_test.h"

#include <sys/sysmacros.h>

#define OTHERS 0x77u /* a volume of no app here */

enum plant {
	LINK_OUTSIDE,
	LINK_UP,
	LINK_STATE,
	LINK_PROC,
	LINK_APP,
	LINK_ROOT,
	LINK_LOOP,
	A_FIFO,
	A_FILE,
	A_SETUID_FILE,
	A_NODE,
	A_SOCKET,
	A_FOLDER,
	PLANTS
};

static int make_link(const char *path, const char *fmt, ...) PRINTF(2, 3);
static int make_link(const char *path, const char *fmt, ...)
{
	char to[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(to, sizeof(to), fmt, ap);
	va_end(ap);
	return symlink(to, path);
}

static int make_socket(const char *path)
{
	int fd = io_unix_listen(path, SOCK_STREAM, 0666);

	return fd < 0 ? -1 : close(fd);
}

static int make_file(const char *path, mode_t mode)
{
	write_file(path, "planted\n");
	return chmod(path, mode);
}

static void plant(const char *path, enum plant what)
{
	const char *name = strrchr(path, '/') + 1;
	int r = -1;

	switch (what) {
	case LINK_OUTSIDE:
		r = make_link(path, "%s", outside);
		break;
	case LINK_UP:
		r = make_link(path, "../../../../../../../../../..%s", outside);
		break;
	case LINK_STATE: /* as the child sees them before it has its root */
		r = make_link(path, "/volumes/%016x", OTHERS);
		break;
	case LINK_PROC:
		r = make_link(path, "/proc/self/root/proc/sys");
		break;
	case LINK_APP:
		r = make_link(path, "/app/a/b");
		break;
	case LINK_ROOT:
		r = make_link(path, "/");
		break;
	case LINK_LOOP:
		r = make_link(path, "%s", name);
		break;
	case A_FIFO:
		r = mkfifo(path, 0666);
		break;
	case A_FILE:
		r = make_file(path, 0644);
		break;
	case A_SETUID_FILE:
		r = make_file(path, 06755);
		break;
	case A_NODE:
		r = mknod(path, S_IFCHR | 0666, makedev(1, 1)); /* the memory */
		break;
	case A_SOCKET:
		r = make_socket(path);
		break;
	case A_FOLDER:
		r = mkdir(path, 0777);
		break;
	case PLANTS:
		break;
	}
	assert_int_equal(r, 0);
}

/* The name is hostile in the topmost layer, or in an upper layer of a build that begins. */
static void plant_in_image(struct box *b, const char *name, enum plant what, bool upper)
{
	char fs[200], path[400];
	uint64_t id = next_layer++;

	b->start.flags = START_HOST_APT | START_NO_NET;
	if (upper) {
		b->start.upper = id;
		assert_int_equal(layer_make_upper(w.rt, id), 0);
		snprintf(fs, sizeof(fs), "%s/layers/%016" PRIx64 ".tmp/fs", w.state, id);
	} else {
		b->start.layers[b->start.n_layers++] = id;
		layer_new(id, fs);
	}
	make_parents(fs, name, path);
	plant(path, what);
}

/* One start for each plant; every one shows the places as a harmless image does. */
static void try_places(const char *name, const char *wanted, bool upper)
{
	for (int what = 0; what < A_FOLDER; what++) {
		struct box b = box_new();

		plant_in_image(&b, name, what, upper);
		box_must_start(&b, HOSTILE("places"));
		box_end(&b);
		if (strcmp(b.text, wanted) != 0)
			print_message("%s planted %d, upper %d\n", name, what, upper);
		assert_string_equal(b.text, wanted);
		assert_end(&b, EXIT_REASON_EXITED, 0);
	}
}

static void what_an_image_has_at_our_places_is_not_used(void **state)
{
	static const char *const names[] = {"proc", "dev", "tmp", "etc", "etc/ssl",
		"etc/ssl/certs", "berth", "berth/host", "app"};
	struct box plain = box_new();

	(void)state;
	plain.start.flags = START_HOST_APT;
	attack(&plain, "places");
	assert_non_null(strstr(plain.text, "/dev/null: 20666 103 on 1021994"));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		try_places(names[i], plain.text, false);
		try_places(names[i], plain.text, true);
	}
	assert_untouched();
}

/* ... and what lies in the folders of that name is covered: the sources of the masks are
 * never looked for in the image (CVE-2025-31133, CVE-2025-52565). */
static void devices_of_an_image_are_not_used(void **state)
{
	static const char *const names[] = {"dev/null", "dev/console", "dev/pts",
		"dev/pts/ptmx", "dev/ptmx", "dev/tty", "dev/shm", "dev/zero", "empty",
		"files", "null", "proc/kcore", "proc/sys", "proc/sys/kernel", "root",
		"l/u"};
	struct box plain = box_new(), masks = box_new();

	(void)state;
	plain.start.flags = START_HOST_APT;
	attack(&plain, "places");
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		try_places(names[i], plain.text, false);
	plant_in_image(&masks, "dev/null", LINK_PROC, false);
	attack(&masks, "touch", "/proc/keys", "/proc/timer_list", "/proc/sysrq-trigger",
		"/proc/sys/kernel/core_pattern", "/proc/sys/vm/panic_on_oom");
	assert_non_null(
		strstr(masks.text, "/proc/keys: read 0, write DONE")); /* into null */
	assert_non_null(strstr(masks.text, "/proc/timer_list: read 0,"));
	assert_non_null(strstr(masks.text, "core_pattern: read"));
	assert_null(strstr(masks.text, "core_pattern: read 0, write DONE"));
	assert_null(strstr(masks.text, "panic_on_oom: read 2, write DONE"));
	assert_untouched();
}

static void the_terminal_of_such_an_image_is_berths(void **state)
{
	static const char *const names[] = {
		"dev", "dev/pts", "dev/pts/ptmx", "dev/console", "dev/ptmx"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		for (int what = 0; what < A_FOLDER; what++) {
			struct box b = box_new();
			char text[64] = "";
			size_t len = 0;
			ssize_t n;

			plant_in_image(&b, names[i], what, false);
			b.start.flags |= START_TTY;
			box_must_start(&b, PROBE("tty"));
			while (!strchr(text, '\n') &&
				(n = read(b.master, text + len, sizeof(text) - 1 - len)) >
					0)
				len += (size_t)n;
			assert_string_equal(text, "/dev/pts/0\r\n");
			box_end(&b);
		}
	assert_untouched();
}

/* The files that berth puts into /etc. A folder there is refused with a sentence. */
static void files_for_etc_go_nowhere_else(void **state)
{
	static const char *const names[] = {
		"etc/hosts", "etc/hostname", "etc/resolv.conf"};
	char inside[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct box plain = box_new(), folder = box_new();

		snprintf(inside, sizeof(inside), "/%s", names[i]);
		run(&plain, "cat", inside);
		for (int what = 0; what < A_FOLDER; what++) {
			struct box b = box_new();

			plant_in_image(&b, names[i], what, what & 1);
			run(&b, "cat", inside);
			assert_string_equal(b.text, plain.text);
		}
		plant_in_image(&folder, names[i], A_FOLDER, false);
		assert_int_equal(box_start(&folder, PROBE("exit", "0")), -EISDIR);
		assert_non_null(strstr(folder.e.text, names[i]));
		close(folder.exit_fd);
		close(folder.output[0]);
	}
	assert_untouched();
}

/* The control of those above: without a root of one's own, such a link leads there. */
static void such_links_lead_outside_for_others(void **state)
{
	struct box b = box_new();
	char path[256];

	(void)state;
	plant_in_image(&b, "proc", LINK_OUTSIDE, false);
	snprintf(path, sizeof(path), "%s/layers/%016" PRIx64 "/fs/proc/canary", w.state,
		next_layer - 1);
	assert_file(path, CANARY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_an_image_has_at_our_places_is_not_used),
		cmocka_unit_test(devices_of_an_image_are_not_used),
		cmocka_unit_test(the_terminal_of_such_an_image_is_berths),
		cmocka_unit_test(files_for_etc_go_nowhere_else),
		cmocka_unit_test(such_links_lead_outside_for_others),
	};

	return run_as_root(tests, set_up_hostile, tear_down);
}

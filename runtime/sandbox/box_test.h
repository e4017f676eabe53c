/* For the tests that start real sandboxes: a state folder of their own, a layer with the
 * probe, and one sandbox a struct. */
#ifndef RUNTIME_BOX_TEST_H
#define RUNTIME_BOX_TEST_H

#include "lib/buf.h"
#include "lib/io.h"
#include "lib/spec.h"
#include "runtime/process.h"
#include "runtime/runtime.h"
#include "runtime/sweep_test.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define WORLDS "/tmp/berth-sandbox-"
#define ROOT_LAYER 1
#define END_MS 60000 /* on an emulated machine, too */

struct world {
	char dir[64], state[96];
	char registry[96]; /* "": the host's */
	struct runtime *rt;
	uint64_t next;
};

static struct world w;

/* One sandbox: what to start, and what came of it. */
struct box {
	struct msg_start start;
	struct sandbox_record rec;
	struct msg_exited exited;
	struct err e;
	const char *env[4];
	const char *cwd; /* NULL: / */
	int pidfd, master, exit_fd, output[2];
	int input, fifo; /* the test's own, -1: none */
	char text[65536];
	bool quiet; /* no START_STDIO: output to the FIFO or nowhere */
};

static UNUSED struct box box_new(void)
{
	struct box b = {.pidfd = -1,
		.master = -1,
		.exit_fd = -1,
		.output = {-1, -1},
		.input = -1,
		.fifo = -1};

	b.start.id = ++w.next;
	b.start.app = 7;
	b.start.profile = PROFILE_APP;
	b.start.n_layers = 1;
	b.start.layers[0] = ROOT_LAYER;
	b.start.limits = (struct msg_limits_body){
		.memory_bytes = 64 << 20, .cpu_millis = 1000, .pids = 64, .nofile = 1024};
	snprintf(b.start.name, sizeof(b.start.name), "web.1");
	return b;
}

static UNUSED int open_exit_file(uint64_t id)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/exit-%" PRIu64, w.dir, id);
	return open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

static UNUSED int box_start(struct box *b, const char *const *argv)
{
	struct sandbox_io io = {.stdio = {b->input, -1, -1},
		.fifo_fd = b->fifo,
		.tty = (b->start.flags & START_TTY) != 0};
	int spec autoclose = spec_pack(argv, b->env, b->cwd ? b->cwd : "/");
	int r;

	assert_true(spec >= 0);
	b->exit_fd = open_exit_file(b->start.id);
	assert_true(b->exit_fd >= 0);
	io.spec_fd = spec;
	io.exit_fd = b->exit_fd;
	if (!io.tty && !b->quiet) {
		assert_int_equal(pipe2(b->output, O_CLOEXEC), 0);
		io.stdio[1] = io.stdio[2] = b->output[1];
		b->start.flags |= START_STDIO;
	}
	r = sandbox_start(w.rt, &b->start, &io, &b->rec, &b->pidfd, &b->master, &b->e);
	if (b->output[1] >= 0)
		close(b->output[1]);
	return r;
}

static UNUSED void box_must_start(struct box *b, const char *const *argv)
{
	int r = box_start(b, argv);

	if (r < 0)
		print_message("start: %s\n", b->e.text);
	assert_int_equal(r, 0);
}

static UNUSED void box_end(struct box *b)
{
	struct pollfd p = {.fd = b->pidfd, .events = POLLIN};
	autobuf out = {.max = 1 << 20};
	siginfo_t info;

	assert_int_equal(poll(&p, 1, END_MS), 1);
	assert_int_equal(waitid(P_PIDFD, (id_t)b->pidfd, &info, WEXITED), 0);
	if (b->output[0] >= 0 && io_read_all(b->output[0], &out) == 0 && out.data)
		snprintf(b->text, sizeof(b->text), "%s", out.data);
	sandbox_exit_info(w.rt, &b->rec, b->exit_fd, &b->exited);
	sandbox_cleanup(w.rt, &b->rec);
	close(b->pidfd);
	close(b->exit_fd);
	if (b->output[0] >= 0)
		close(b->output[0]);
	if (b->master >= 0)
		close(b->master);
}

/* in->start: id and the flag START_TTY count. */
static UNUSED int box_enter(
	const struct box *target, struct box *in, const char *const *argv)
{
	struct sandbox_io io = {.stdio = {-1, -1, -1},
		.fifo_fd = -1,
		.tty = (in->start.flags & START_TTY) != 0};
	int spec autoclose = spec_pack(argv, in->env, in->cwd ? in->cwd : "/");
	int go, r;

	in->exit_fd = io.exit_fd = open_exit_file(in->start.id);
	io.spec_fd = spec;
	if (!io.tty) {
		assert_int_equal(pipe2(in->output, O_CLOEXEC), 0);
		io.stdio[1] = io.stdio[2] = in->output[1];
	}
	r = sandbox_enter(w.rt, &target->rec, in->start.id,
		io.tty ? START_TTY : START_STDIO, &io, &in->rec, &in->pidfd, &in->master,
		&go, &in->e);
	if (r == 0)
		process_go(go);
	if (in->output[1] >= 0)
		close(in->output[1]);
	return r;
}

static UNUSED void box_must_enter(
	const struct box *target, struct box *in, const char *const *argv)
{
	int r = box_enter(target, in, argv);

	if (r < 0)
		print_message("enter: %s\n", in->e.text);
	assert_int_equal(r, 0);
}

#define PROBE(...) ((const char *const[]){"/probe", __VA_ARGS__, NULL})
#define run(b, ...)                                                                      \
	do {                                                                             \
		box_must_start(b, PROBE(__VA_ARGS__));                                   \
		box_end(b);                                                              \
	} while (0)

static UNUSED void assert_end(const struct box *b, enum exit_reason reason, int value)
{
	if (b->exited.reason != (uint32_t)reason || b->exited.value != value)
		print_message("reason %u value %d, output: %s\n", b->exited.reason,
			b->exited.value, b->text);
	assert_int_equal(b->exited.reason, reason);
	assert_int_equal(b->exited.value, value);
}

static UNUSED void wait_for_line(const struct box *b)
{
	struct pollfd p = {.fd = b->output[0], .events = POLLIN};
	char line[64];

	assert_int_equal(poll(&p, 1, END_MS), 1);
	assert_true(read(b->output[0], line, sizeof(line)) > 0);
}

/* A terminal may give a line in several parts. text: zeroes. */
static UNUSED void read_terminal_line(const struct box *b, char *text, size_t size)
{
	size_t len = 0;

	while (len < size - 1 && !strchr(text, '\n')) {
		ssize_t n = read(b->master, text + len, size - 1 - len);
		assert_true(n > 0);
		len += (size_t)n;
	}
}

/* ---- the world ---- */

/* The folder of a layer's files; state/layers/ID is made with it, ready for use. */
static UNUSED void layer_new(uint64_t id, char fs[200])
{
	char from[160], to[160];

	assert_int_equal(layer_make_upper(w.rt, id), 0);
	snprintf(from, sizeof(from), "%s/layers/%016" PRIx64 ".tmp", w.state, id);
	snprintf(to, sizeof(to), "%s/layers/%016" PRIx64, w.state, id);
	assert_int_equal(rename(from, to), 0);
	snprintf(fs, 200, "%s/fs", to);
}

/* One of the programs below tests/runtime, into a folder of a layer. */
static UNUSED int copy_program(const char *program, const char *fs)
{
	char from[64], to[256];

	snprintf(from, sizeof(from), "build/test/runtime/%s", program);
	snprintf(to, sizeof(to), "%s/%s", fs, program);
	int in autoclose = open(from, O_RDONLY | O_CLOEXEC),
	       out autoclose = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	struct stat st;

	if (in < 0 || out < 0 || fstat(in, &st) < 0 ||
		sendfile(out, in, NULL, (size_t)st.st_size) != st.st_size)
		return -1;
	return fchown(out, RUNTIME_DISK_UID_BASE, RUNTIME_DISK_UID_BASE);
}

static UNUSED int make_root_layer(void)
{
	const uid_t user = RUNTIME_DISK_UID_BASE + RUNTIME_APP_UID;
	char fs[200], path[256];

	layer_new(ROOT_LAYER, fs);
	snprintf(path, sizeof(path), "%s/app", fs);
	if (mkdir(path, 0755) < 0 || chown(path, user, user) < 0)
		return -1;
	return copy_program("probe", fs);
}

static UNUSED int open_world(struct err *e)
{
	const struct runtime_config c = {.state = w.state,
		.run = w.dir,
		.lib = "build/bin",
		.registry = w.registry[0] ? w.registry : NULL};

	return runtime_open(&c, &w.rt, e);
}

/* What could not be removed is left to the next test. */
static UNUSED int close_world(void)
{
	struct err e;
	int r = w.rt ? runtime_remove(w.rt, &e) : 0;

	if (r < 0)
		print_message("runtime_remove: %s\n", e.text);
	runtime_close(w.rt);
	return r < 0 || io_remove_tree(AT_FDCWD, w.dir) < 0 ? -1 : 0;
}

static void name_world(const char *dir)
{
	snprintf(w.dir, sizeof(w.dir), "%s", dir);
	snprintf(w.state, sizeof(w.state), "%s/state", dir);
	snprintf(w.registry, sizeof(w.registry), "%s/ranges", dir);
	if (access(w.registry, F_OK) < 0)
		w.registry[0] = '\0';
}

static void remove_world(const char *dir)
{
	struct err e = {0};

	name_world(dir);
	if (open_world(&e) < 0 || close_world() < 0)
		print_message("%s cannot be removed: %s\n", dir, e.text);
	w.rt = NULL;
}

/* registry: one of its own, for a test that is on a host of its own */
static UNUSED int make_world(bool registry)
{
	char dir[] = WORLDS "XXXXXX";
	struct err e;

	if (!mkdtemp(dir) || sweep_mark(dir) < 0)
		return -1;
	name_world(dir);
	if (registry)
		snprintf(w.registry, sizeof(w.registry), "%s/ranges", dir);
	if (mkdir(w.state, 0755) < 0)
		return -1;
	if (open_world(&e) < 0 || runtime_network(w.rt, &e) < 0) {
		print_message("runtime_open: %s\n", e.text);
		return -1;
	}
	return make_root_layer();
}

static UNUSED int set_up(void **state UNUSED)
{
	sweep_dead(WORLDS "*", remove_world);
	return make_world(false);
}

static UNUSED int tear_down(void **state UNUSED)
{
	return close_world();
}

/* What main returns. */
#define run_as_root(tests, up, down)                                                     \
	(geteuid() == 0 ? cmocka_run_group_tests(tests, up, down)                        \
			: (print_message("skipped: sandboxes need root\n"), 77))

#endif

/*
 * For the tests of berthd's starts without berthd: its table of instances in this
 * process, with ends of sockets in place of control and the logger, and what can be
 * started, each as a deed. The call under test is traced as `plan` says.
 */
#ifndef RUNTIME_STAGE_TEST_H
#define RUNTIME_STAGE_TEST_H

#include "runtime/sandbox/box_test.h"

#include "runtime/disk/volume_size.h"
#include "runtime/inside.h"
#include "runtime/instances/faults_test.h"
#include "runtime/instances/instance_table.h"
#include "runtime/instances/leftovers_test.h"

#include <sys/resource.h>

#define VOLUME 5
#define SIZED 6 /* the same in an image */
#define APP 7
#define SETTLE_MS 15000 /* milliseconds, except where others use the kernel, too */

static struct {
	struct settings settings;
	struct daemon_ids ids;
	struct folders folders;
	struct instances_config c;
	struct instances *in;
	struct loop *never;
	int control[2], logger[2]; /* ours is 0 */
	struct msg msg;
	pid_t monitor;		 /* the parent, where that takes in orphans; else 0 */
	struct msg_exited ended; /* what control was told last */
	uint64_t target;	 /* a sandbox that others enter */
} s;

/* One thing to try; begin gives 0 or the error of the call under test. */
struct deed {
	const char *name;
	int (*begin)(struct err *e);
	void (*end)(struct buf *confines); /* after a 0: until all of it is gone */
	bool again; /* only the next one brings back what is kept ready */
	int others; /* enum fault_process: from this one on tried elsewhere; 0: none */
};

static const struct fault *plan; /* for the next call under test; NULL: none */
static const struct fault_seen *seen;

static __thread int allocations = -1; /* how many more succeed; -1: all */
static int fail_allocation = -1;      /* of the next call under test */
static int allocations_left;	      /* -1: one failed */

/* glibc's own, which lets a program define these names (malloc(3), "Replacing malloc"). */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static bool allocation_fails(void)
{
	if (allocations < 0 || allocations-- > 0)
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return allocation_fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return allocation_fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return allocation_fails() ? NULL : __libc_realloc(p, size);
}

static int descriptors_left = -1; /* for the next call under test; -1: as many as ever */

static void limit_descriptors(rlim_t number)
{
	struct rlimit l;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &l), 0);
	l.rlim_cur = number < l.rlim_max ? number : l.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &l), 0);
}

/* Below it n numbers are free. */
static rlim_t nth_free(int n)
{
	int fd = 0;

	for (int unused = 0; unused <= n; fd++)
		unused += fcntl(fd, F_GETFD) < 0;
	return (rlim_t)fd - 1;
}

#define UNDER_FAULT(call)                                                                \
	({                                                                               \
		if (plan)                                                                \
			assert_true(fault_arm(plan, 0));                                 \
		if (descriptors_left >= 0)                                               \
			limit_descriptors(nth_free(descriptors_left));                   \
		allocations = fail_allocation;                                           \
		int result_ = (call);                                                    \
		allocations_left = allocations;                                          \
		allocations = -1;                                                        \
		if (descriptors_left >= 0)                                               \
			limit_descriptors(65536);                                        \
		if (plan && plan->deed == FAULT_ORPHAN)                                  \
			fault_wait(plan->process);                                       \
		if (plan)                                                                \
			seen = fault_disarm();                                           \
		result_;                                                                 \
	})

/* ---- control and the logger, as berthd sees them ---- */

/* True: it was told that id ended. */
static UNUSED bool hear_control(uint64_t id)
{
	bool ended = false;

	while (msg_recv(s.control[1], &s.msg) == 1) {
		const struct msg_exited *x = (const void *)s.msg.body;

		if (s.msg.head.type == MSG_EXITED && x->id == id) {
			s.ended = *x;
			ended = true;
		}
		msg_close_fds(&s.msg);
	}
	return ended;
}

/* The output that was attached last; -1: none. */
static UNUSED int hear_logger(void)
{
	int fd = -1;

	while (msg_recv(s.logger[1], &s.msg) == 1) {
		if (s.msg.head.type == MSG_LOG_ATTACH && s.msg.nfds == 1) {
			if (fd >= 0)
				close(fd);
			fd = TAKE_FD(s.msg.fds[0]);
		}
		msg_close_fds(&s.msg);
	}
	return fd;
}

static void read_output(int fd, struct buf *out)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char text[4096];
	ssize_t n = 1;

	while (n > 0 && poll(&p, 1, END_MS) > 0)
		if ((n = read(fd, text, sizeof(text))) > 0)
			buf_add(out, text, (size_t)n);
}

static void wait_ended(uint64_t id)
{
	uint64_t until = io_mono_ns() + END_MS * 1000000ull;

	while (!hear_control(id)) {
		if (io_mono_ns() > until)
			fail_msg("the end of %d is not told", (int)id);
		loop_once(s.c.loop, 10);
	}
	instances_acked(s.in, id);
}

/* ---- starts ---- */

static uint64_t scratch_size = 32 << 20; /* of the ready ones */
static uint32_t n_volumes = 1;		 /* 2: SIZED, too */

static UNUSED struct msg_start start_message(void)
{
	struct msg_start m = {.id = ++w.next,
		.app = APP,
		.profile = PROFILE_APP,
		.n_layers = 1,
		.layers = {ROOT_LAYER},
		.limits = {.memory_bytes = 64 << 20,
			.scratch_bytes = scratch_size,
			.cpu_millis = 1000,
			.pids = 64,
			.nofile = 1024},
		.n_mounts = n_volumes,
		.mounts = {{.id = VOLUME, .kind = MOUNT_VOLUME, .path = "/srv/data"},
			{.id = SIZED, .kind = MOUNT_VOLUME, .path = "/srv/sized"}},
		.name = "web.1"};

	return m;
}

static UNUSED int make_volume(struct err *e)
{
	const struct msg_volume_size m = {
		.id = SIZED, .size_bytes = VOLUME_SIZE_MIN, .flags = VOLUME_NEW};

	return UNDER_FAULT(volume_set_size(s.folders.volumes, &m, e));
}

static UNUSED int start_with(const struct msg_start *m, const char *word,
	const int *stdio, int *ret_pty, struct err *e)
{
	const char *const argv[] = {"/probe", word, "15", NULL}, *const env[] = {NULL};
	int fds[4] = {spec_pack(argv, env, "/"), -1, -1, -1}, r;
	struct msg_started out;

	assert_true(fds[0] >= 0);
	if (stdio)
		memcpy(fds + 1, stdio, 3 * sizeof(int));
	r = UNDER_FAULT(instances_start(s.in, m, fds, stdio ? 4 : 1, &out, ret_pty, e));
	close(fds[0]);
	return r;
}

/* As an app's instance: network, listener, volume, scratch of a size, output to the
 * logger. */
static UNUSED int begin_instance(struct err *e)
{
	struct msg_start m = start_message();
	int pty;

	m.flags = w.rt->no_unix[0] ? 0 : START_LISTEN;
	return start_with(&m, "confines", NULL, &pty, e);
}

static UNUSED void end_instance(struct buf *confines)
{
	int fd autoclose = hear_logger();

	if (fd >= 0)
		read_output(fd, confines);
	wait_ended(w.next);
	instances_log_done(s.in, w.next);
}

static int pty_master = -1;

/* As a build step that runs as root and makes a layer: no network, a cache, a terminal. */
static UNUSED int begin_build(struct err *e)
{
	struct msg_start m = start_message();

	m.profile = PROFILE_BUILD_ROOT;
	m.flags = START_TTY | START_NO_NET | START_HOST_APT;
	m.limits.scratch_bytes = 0;
	m.upper = m.id + 0x1000;
	m.n_mounts = 1;
	m.mounts[0] = (struct msg_mount){
		.id = APP, .kind = MOUNT_CACHE, .path = "/var/cache/build"};
	return start_with(&m, "confines", NULL, &pty_master, e);
}

static UNUSED void end_pty(struct buf *confines)
{
	read_output(pty_master, confines);
	close(TAKE_FD(pty_master));
	wait_ended(w.next);
}

static UNUSED void end_build(struct buf *confines)
{
	char name[32];

	end_pty(confines);
	snprintf(name, sizeof(name), "%016" PRIx64 ".tmp", w.next + 0x1000);
	assert_int_equal(io_remove_tree(s.folders.layers, name), 0);
}

static int pipe_end = -1;

/* Scratch of a size that none is ready for: the image is made in the start. */
static UNUSED int begin_scratch(struct err *e)
{
	struct msg_start m = start_message();
	int ends[2], stdio[3], pty, r;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	stdio[0] = stdio[1] = stdio[2] = ends[1];
	m.flags = START_STDIO | START_NO_NET;
	m.n_mounts = 0;
	m.limits.scratch_bytes = scratch_size += 1 << 20;
	r = start_with(&m, "confines", stdio, &pty, e);
	close(ends[1]);
	if (r < 0)
		close(ends[0]);
	else
		pipe_end = ends[0];
	return r;
}

static UNUSED void end_scratch(struct buf *confines)
{
	read_output(pipe_end, confines);
	close(TAKE_FD(pipe_end));
	wait_ended(w.next);
}

static UNUSED int begin_enter(struct err *e)
{
	const char *const argv[] = {"/probe", "confines", NULL}, *const env[] = {NULL};
	const struct msg_enter m = {
		.id = ++w.next, .target = s.target, .flags = START_TTY};
	int spec autoclose = spec_pack(argv, env, "/");
	struct msg_started out;

	return UNDER_FAULT(instances_enter(s.in, &m, &spec, 1, &out, &pty_master, e));
}

static UNUSED int begin_stack(struct err *e)
{
	const struct msg_stack m = {.id = ++w.next, .suite = 1};
	int null autoclose = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int fds[2] = {null, null};
	struct msg_started out;

	return UNDER_FAULT(instances_build_stack(s.in, &m, fds, &out, e));
}

static UNUSED void end_stack(struct buf *confines UNUSED)
{
	wait_ended(w.next);
}

static void forget_apps(void)
{
	for (unsigned int i = 0; i < RUNTIME_SLOTS; i++) {
		struct slot *slot = &w.rt->slots[i];

		if (slot->users)
			continue;
		if (slot->userns >= 0)
			close(TAKE_FD(slot->userns));
		if (slot->idmap >= 0)
			close(TAKE_FD(slot->idmap));
		slot->app = 0;
	}
}

static UNUSED void list_leftovers(struct buf *out)
{
	uint64_t ahead[RUNTIME_AHEAD_MAX];

	for (int i = 0; i < RUNTIME_AHEAD_MAX; i++)
		ahead[i] = w.rt->ahead[i].id;
	const struct leftovers l = {.dir = w.dir,
		.id = runtime_id(w.rt),
		.state = w.state,
		.run = s.settings.run,
		.pid = getpid(),
		.children = s.monitor ? s.monitor : getpid(),
		.ahead = ahead,
		.n_ahead = RUNTIME_AHEAD_MAX};
	unsigned int users = 0, live = 0;
	autobuf b = BUF_INIT;

	for (unsigned int i = 0; i < RUNTIME_SLOTS; i++)
		users += w.rt->slots[i].users;
	for (const struct live *v = w.rt->live; v; v = v->next)
		live++;
	leftovers_list(&l, &b);
	buf_reset(out);
	buf_addf(out, "users %u live %u addresses %u\n%s", users, live,
		netpool_used(w.rt->pool), b.data ? b.data : "");
}

static int count_lines(const struct buf *b, const char *line)
{
	int n = 0;

	for (const char *p = b->data; p && (p = strstr(p, line)); p++)
		n++;
	return n;
}

/* The helper makes another one. */
static UNUSED void take_scratch(void)
{
	struct err e;
	int fd = scratchpool_take(w.rt->scratch, scratch_size, RUNTIME_DISK_UID_BASE, &e);

	assert_true(fd >= 0);
	close(fd);
}

/* What is kept ready is all there, so many scratch images of it: then two lists can be
 * compared. */
static UNUSED void list_full(struct buf *out, int scratch)
{
	uint64_t until = io_mono_ns() + SETTLE_MS * 1000000ull;
	int running = w.rt->live != NULL;
	char addresses[32];

	snprintf(addresses, sizeof(addresses), "addresses %d\n", NETPOOL_READY + running);
	do {
		if (scratch)
			take_scratch(); /* which also asks for what could not be made */
		netpool_drain(w.rt->pool);
		usleep(20000);
		forget_apps();
		list_leftovers(out);
	} while ((!strstr(out->data, addresses) ||
			 count_lines(out, "\nveth") != NETPOOL_READY + running ||
			 count_lines(out, "\nloop") != scratch + running ||
			 count_lines(out, "\ngroup ") != running) &&
		 io_mono_ns() < until);
}

/* ---- the stage ---- */

/* What a stack build runs instead of berthd: it ends at once, well; or in a minute, where
 * there is a file "linger". */
static int make_fake_berthd(void)
{
	int dir autoclose = open(w.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autobuf script = BUF_INIT;

	buf_addf(&script, "#!/bin/sh\n[ ! -e %s/linger ] || sleep 60\n", w.dir);
	buf_adds(&script, "printf '\\0\\0\\0\\0' >&3\n");
	return io_replace_file(dir, "berthd", script.data, script.len, 0755);
}

/* The sockets are made once, as the monitor does. */
static UNUSED int open_stage(struct err *e)
{
	const int kind = SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC;

	w.rt->ahead_processes =
		0; /* a fault is for a process that the start itself makes */
	snprintf(s.settings.state, sizeof(s.settings.state), "%s", w.state);
	snprintf(s.settings.run, sizeof(s.settings.run), "%s/run", w.dir);
	snprintf(s.settings.programs, sizeof(s.settings.programs), "%s", w.dir);
	if (daemon_ids_load(&s.ids, "berth", e) < 0 ||
		folders_make(&s.settings, &s.ids, e) < 0 ||
		folders_open(&s.folders, &s.settings, e) < 0)
		return -1;
	if (s.control[1] == 0 && (socketpair(AF_UNIX, kind, 0, s.control) < 0 ||
					 socketpair(AF_UNIX, kind, 0, s.logger) < 0))
		return err_sys(e, errno, "socketpair");
	s.c = (struct instances_config){.loop = loop_new(),
		.rt = w.rt,
		.settings = &s.settings,
		.ids = &s.ids,
		.folders = &s.folders,
		.control_fd = s.control[0],
		.logger_fd = s.logger[0]};
	/* a loop that never turns: what goes into the trash stays there */
	s.c.chores = chores_new(s.never = loop_new(), &s.folders);
	s.in = instances_new(&s.c);
	return s.in && chmod(w.dir, 0755) == 0 ? make_fake_berthd() : -1;
}

#endif

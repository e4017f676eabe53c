/*
 * berthd's worker is killed in the middle of a start, before each system call of it; or
 * the new process goes on alone, from each of its own. Whatever the next worker finds is
 * whole and has a record, or is gone when it is ready. FAULTS_ALL=1 tries every call.
 *
 * This program is the monitor; each worker is a child that opens the runtime, takes over
 * what the one before has left, compares, and is killed in its own turn.
 */
#include "runtime/disk/layers.h"
#include "runtime/instances/stage_test.h"

#include <sys/mman.h>

#define COMPLAINTS_MAX 20
#define NOT_REACHED 7 /* exit status of a worker that outlived its start */
#define BROKEN 8

/* What workers hand on; the list is of the first one. */
static struct {
	uint64_t next, target;
	unsigned int complaints;
	char before[64 << 10];
	char where[128];
} * shared;

static void PRINTF(1, 2) complain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (shared->complaints++ < COMPLAINTS_MAX) {
		printf("# ");
		vprintf(fmt, ap);
		printf("\n");
		fflush(stdout);
	}
	va_end(ap);
}

/* ---- a worker ---- */

static int open_worker(void)
{
	struct err e = {0};

	s.monitor = getppid();
	w.next = shared->next;
	s.target = shared->target;
	if (open_world(&e) < 0 || runtime_network(w.rt, &e) < 0 || open_stage(&e) < 0) {
		complain("a worker cannot start: %s", e.text);
		return -1;
	}
	instances_adopt(s.in);
	return 0;
}

/* A start that was whole when berthd died: control would keep it, or stop it and remove
 * its layer. */
static void stop_one(uint64_t id, bool running)
{
	uint64_t upper = instance_find(s.in, id)->record.upper;

	instances_stop(s.in, id, 0);
	if (running)
		wait_ended(id);
	instances_acked(s.in, id);
	instances_log_done(s.in, id);
	if (upper)
		assert_int_equal(layer_remove(s.c.chores, s.folders.layers, upper), 0);
}

static void stop_others(void)
{
	struct msg_list l;

	instances_list(s.in, 0, &l);
	for (uint32_t i = 0; i < l.n; i++)
		if (l.rows[i].id != s.target)
			stop_one(l.rows[i].id, l.rows[i].state == 1);
}

/* The same as the first worker saw it. */
static void compare(void)
{
	uint64_t until = io_mono_ns() + SETTLE_MS * 1000000ull;
	struct buf before = {.data = shared->before};
	const char *differ;
	char text[512];

	do {
		autobuf now = BUF_INIT;
		int fd = hear_logger();

		if (fd >= 0)
			close(fd); /* or it is in the list */
		hear_control(0);
		list_full(&now, 0);
		if (!shared->before[0])
			snprintf(shared->before, sizeof(shared->before), "%s", now.data);
		differ = leftovers_differ(&before, &now, text);
	} while (differ && io_mono_ns() < until);
	if (differ)
		complain("%s: %s", shared->where, text);
}

static _Noreturn void run_worker(const struct deed *d, const struct fault *f)
{
	autobuf ignored = BUF_INIT;
	struct err e = {0};
	int r;

	if (open_worker() < 0)
		_exit(BROKEN);
	stop_others();
	compare();
	if (!d)
		_exit(0);
	plan = f;
	r = d->begin(&e);
	plan = NULL;
	shared->next = w.next;
	if (r == 0)
		d->end(&ignored);
	_exit(NOT_REACHED);
}

/* ---- the monitor ---- */

/* Reaps whatever is handed to this process meanwhile. Its exit status; -1: it was killed. */
static int wait_worker(pid_t worker)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, 0)) != worker)
		if (pid < 0 && errno != EINTR)
			fail_msg("the worker is lost");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int try_worker(const struct deed *d, const struct fault *f)
{
	pid_t pid = fork();
	int r;

	assert_true(pid >= 0);
	if (pid == 0)
		run_worker(d, f);
	r = wait_worker(pid);
	if (r == BROKEN)
		fail_msg("%s", shared->where);
	if (d && f->process != FAULT_NONE)
		snprintf(shared->where, sizeof(shared->where),
			"%s: killed at call %d of process %d (number %u)", d->name,
			f->call, f->process,
			fault_shared->seen.nr[f->process][f->call % FAULT_CALLS]);
	return r;
}

/* Until the start is over before its call comes; how many there were. */
static void try_each(const struct deed *d, int process, enum fault_deed deed, int step)
{
	struct fault f = {.process = process, .deed = deed};
	int n = 0;

	if (getenv("FAULTS_ALL"))
		step = 1;
	while (try_worker(d, &f) < 0) {
		f.call += step;
		n++;
	}
	print_message("# %s: killed %d times, up to call %d of process %d\n", d->name, n,
		f.call, process);
	assert_true(n > 0);
}

static void begin_test(void)
{
	shared->complaints = 0;
	shared->before[0] = '\0';
}

/* One more worker looks at what the last one left. */
static void end_test(void)
{
	assert_int_equal(try_worker(NULL, NULL), 0);
	assert_int_equal(shared->complaints, 0);
}

/* ---- tests ---- */

static const struct deed instance = {
	.name = "instance", .begin = begin_instance, .end = end_instance};
static const struct deed build = {
	.name = "build", .begin = begin_build, .end = end_build};
static const struct deed enter = {.name = "enter", .begin = begin_enter, .end = end_pty};

static void end_lingering(struct buf *confines)
{
	assert_int_equal(instances_stop(s.in, w.next, 0), 0);
	end_stack(confines);
}

static const struct deed stack = {
	.name = "stack", .begin = begin_stack, .end = end_lingering};

static void a_start_may_end_with_its_worker_at_any_call(void **state UNUSED)
{
	begin_test();
	try_each(&instance, FAULT_SELF, FAULT_KILL, 3);
	n_volumes = 2;
	try_each(&instance, FAULT_SELF, FAULT_KILL, 31);
	n_volumes = 1;
	try_each(&build, FAULT_SELF, FAULT_KILL, 5);
	end_test();
}

static void a_new_process_may_lose_its_worker_at_any_call(void **state UNUSED)
{
	begin_test();
	try_each(&instance, FAULT_CLONED3, FAULT_ORPHAN, 17);
	try_each(&instance, FAULT_CLONED, FAULT_ORPHAN, 1);
	end_test();
}

static int begin_target(struct err *e)
{
	struct msg_start m = start_message();
	int pty;

	shared->target = m.id;
	return start_with(&m, "trap", NULL, &pty, e);
}

static void a_stack_build_may_end_with_its_worker_at_any_call(void **state UNUSED)
{
	begin_test();
	try_each(&stack, FAULT_SELF, FAULT_KILL, 2);
	try_each(&stack, FAULT_CLONED3, FAULT_ORPHAN, 3);
	end_test();
}

static void leave(struct buf *confines UNUSED)
{
}

static void an_enter_may_end_with_its_worker_at_any_call(void **state UNUSED)
{
	static const struct deed target = {
		.name = "target", .begin = begin_target, .end = leave};
	const struct fault none = {.process = FAULT_NONE};

	assert_int_equal(try_worker(&target, &none), NOT_REACHED);
	begin_test();
	try_each(&enter, FAULT_SELF, FAULT_KILL, 2);
	try_each(&enter, FAULT_CLONED3, FAULT_ORPHAN, 3);
	end_test();
	shared->target = 0;
	begin_test();
	end_test();
}

static int set_up_monitor(void **state)
{
	struct err e = {0};
	char linger[96];

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || set_up(state) < 0 || open_stage(&e) < 0 ||
		volume_make_dir(w.rt, MOUNT_VOLUME, VOLUME) < 0 ||
		volume_make_dir(w.rt, MOUNT_CACHE, APP) < 0 || make_volume(&e) < 0 ||
		fault_open() < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return -1;
	snprintf(linger, sizeof(linger), "%s/linger", w.dir);
	if (symlink("/", linger) < 0)
		return -1;
	instances_free(s.in);
	folders_close(&s.folders);
	runtime_close(w.rt);
	w.rt = NULL;
	return 0;
}

static int tear_down_monitor(void **state)
{
	struct err e = {0};

	fault_close();
	return open_world(&e) < 0 ? -1 : tear_down(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_start_may_end_with_its_worker_at_any_call),
		cmocka_unit_test(a_new_process_may_lose_its_worker_at_any_call),
		cmocka_unit_test(an_enter_may_end_with_its_worker_at_any_call),
		cmocka_unit_test(a_stack_build_may_end_with_its_worker_at_any_call),
	};

	return run_as_root(tests, set_up_monitor, tear_down_monitor);
}

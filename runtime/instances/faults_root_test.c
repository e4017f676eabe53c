/*
 * Every step of a start may fail, and then nothing is left: each system call of it fails
 * once, in berthd and in the new process until berth-init runs. A start that succeeds in
 * spite of that must be confined as any other.
 *
 * FAULTS_ALL=1 tries every call with every error of a list; without it one likely error
 * each, and of calls that repeat only some.
 */
#include "runtime/instances/stage_test.h"

#include <stdatomic.h>
#include <sys/syscall.h>

#define REPEATS_MAX 6 /* of one call in one process, then only every 32nd */
#define COMPLAINTS_MAX 20
#define ALLOCATIONS_MAX 1000
#define DESCRIPTORS_MAX 200

static unsigned int complaints;
static void PRINTF(1, 2) complain(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (complaints++ < COMPLAINTS_MAX)
		print_message("# %s\n", text);
}

/* ---- descriptors closed twice: the second time it may be somebody else's ---- */

static pid_t own;
static atomic_uint closed_twice;

int close(int fd)
{
	int r = (int)syscall(SYS_close, fd);

	if (r < 0 && errno == EBADF && getpid() == own)
		closed_twice++;
	return r;
}

/* ---- one try ---- */

/* Waits for what goes in the background. NULL, or what is still different. */
static const char *settle(const struct buf *before, char text[512])
{
	autobuf now = BUF_INIT;
	const char *differ = "";

	for (int ms = 0; differ && ms < SETTLE_MS; ms += 2) {
		int fd autoclose = hear_logger(); /* what it was given is in the socket */

		hear_control(0);
		forget_apps();
		list_leftovers(&now);
		differ = leftovers_differ(before, &now, text);
		if (differ)
			usleep(2000);
		if (ms % 500 == 498)
			take_scratch(); /* others use up the host's loop devices, too */
	}
	return differ;
}

struct sum {
	unsigned int tried, failed;
	struct buf before, confines;
};

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Which of its mounts was made first is chance. */
static void sort_lines(struct buf *b)
{
	char *lines[512], *rest = b->data, *line;
	autobuf sorted = BUF_INIT;
	size_t n = 0;

	while (rest && n < ARRAY_LEN(lines) && (line = strsep(&rest, "\n")))
		lines[n++] = line;
	qsort(lines, n, sizeof(*lines), compare_lines);
	for (size_t i = 0; i < n; i++)
		buf_addf(&sorted, "%s\n", lines[i]);
	buf_reset(b);
	if (sorted.data)
		buf_adds(b, sorted.data);
}

static void check_success(const struct deed *d, struct sum *sum, const char *where)
{
	autobuf confines = BUF_INIT;
	char text[512];

	d->end(&confines);
	sort_lines(&confines);
	if (s.ended.reason != EXIT_REASON_EXITED)
		sum->failed++; /* only its end says so */
	else if (leftovers_differ(&sum->confines, &confines, text))
		complain("%s: it runs, but differently: %s (%d)", where, text,
			s.ended.value);
}

/* What came of it: r from begin, e with the reason. */
static void judge(const struct deed *d, struct sum *sum, int r, const struct err *e,
	const char *where)
{
	struct err again;
	char text[512];

	sum->tried++;
	sum->failed += r < 0;
	if (r < 0 && !e->text[0])
		complain("%s: no reason is given", where);
	if (atomic_exchange(&closed_twice, 0))
		complain("%s: a descriptor is closed twice", where);
	if (r == 0)
		check_success(d, sum, where);
	if (d->again) {
		assert_int_equal(d->begin(&again), 0);
		check_success(d, sum, where);
	}
	if (settle(&sum->before, text)) {
		complain("%s: %s; left: %s", where, r < 0 ? e->text : "it ran", text);
		list_leftovers(&sum->before); /* said once */
	}
}

static void try_one(const struct deed *d, const struct fault *f, struct sum *sum)
{
	char where[128];
	struct err e = {0};
	int r;

	plan = f;
	r = d->begin(&e);
	plan = NULL;
	if (!seen->hit) {
		autobuf ignored = BUF_INIT;

		if (r == 0)
			d->end(&ignored);
		return;
	}
	snprintf(where, sizeof(where), "%s: process %d, call %d (number %u): %s", d->name,
		f->process, f->call, seen->nr[f->process][f->call],
		strerrorname_np(seen->error));
	judge(d, sum, r, &e, where);
}

static bool worth_it(const struct fault_seen *all, int process, int call)
{
	int same = 0;

	for (int i = 0; i < call; i++)
		same += all->nr[process][i] == all->nr[process][call];
	return same < REPEATS_MAX || same % 32 == 0 || getenv("FAULTS_ALL");
}

static void try_errors(const struct deed *d, struct fault f, struct sum *sum)
{
	static const int more[] = {EPERM, ENOMEM, EIO, EINVAL, EBUSY, EMFILE, ENOSPC};

	try_one(d, &f, sum);
	if (!getenv("FAULTS_ALL"))
		return;
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		f.error = more[i];
		try_one(d, &f, sum);
	}
}

static void measure(const struct deed *d, struct sum *sum, struct fault_seen *ret)
{
	const struct fault none = {.process = FAULT_NONE};
	struct err e = {0};
	char text[512];

	for (int i = 0; i < 2; i++) { /* the first warms up */
		plan = &none;
		if (d->begin(&e) < 0)
			fail_msg("%s: %s", d->name, e.text);
		plan = NULL;
		*ret = *seen;
		buf_reset(&sum->confines);
		d->end(&sum->confines);
		sort_lines(&sum->confines);
		if (i == 0)
			list_full(&sum->before, SCRATCH_READY);
	}
	if (settle(&sum->before, text)) {
		autobuf now = BUF_INIT;
		list_leftovers(&now);
		dprintf(2, "%s\n----\n%s\n", sum->before.data, now.data);
		fail_msg("%s: without a fault there is left: %s", d->name, text);
	}
}

static void sum_end(struct sum *sum)
{
	buf_free(&sum->before);
	buf_free(&sum->confines);
	assert_int_equal(complaints, 0);
}

static void try_all(const struct deed *d)
{
	static struct fault_seen all;
	struct sum sum = {0};
	uint64_t began = io_mono_ns();
	int calls = 0;

	complaints = 0;
	measure(d, &sum, &all);
	for (int p = 0; p < (d->others ? d->others : FAULT_PROCESSES); p++)
		for (int k = 0; k < all.calls[p] && k < FAULT_CALLS; k++, calls++)
			if (worth_it(&all, p, k))
				try_errors(
					d, (struct fault){.process = p, .call = k}, &sum);
	print_message("# %s: %d calls, %u tried, %u of them stopped it, %u s\n", d->name,
		calls, sum.tried, sum.failed,
		(unsigned int)((io_mono_ns() - began) / 1000000000));
	sum_end(&sum);
}

/* Not the 23rd allocation and all others work. */
static void try_allocations(const struct deed *d)
{
	static struct fault_seen all;
	struct sum sum = {0};
	int k = 0;

	complaints = 0;
	measure(d, &sum, &all);
	while (k < ALLOCATIONS_MAX) {
		struct err e = {0};
		char where[64];

		fail_allocation = k;
		int r = d->begin(&e);
		fail_allocation = -1;
		if (allocations_left >= 0) {
			d->end(&sum.confines);
			break;
		}
		snprintf(where, sizeof(where), "%s: allocation %d", d->name, k++);
		judge(d, &sum, r, &e, where);
	}
	print_message(
		"# %s: %d allocations, %u of them stopped it\n", d->name, k, sum.failed);
	sum_end(&sum);
}

/* No descriptor above the n-th next one, for berthd and the new process. */
static void try_descriptors(const struct deed *d)
{
	static struct fault_seen all;
	struct sum sum = {0};
	int n = 0, ran = 0;

	complaints = 0;
	measure(d, &sum, &all);
	for (; n < DESCRIPTORS_MAX && ran < 3; n++) {
		struct err e = {0};
		char where[64];

		descriptors_left = n;
		int r = d->begin(&e);
		descriptors_left = -1;
		snprintf(where, sizeof(where), "%s: %d descriptors", d->name, n);
		ran = r == 0 ? ran + 1 : 0;
		judge(d, &sum, r, &e, where);
	}
	print_message("# %s: does with %d descriptors\n", d->name, n - ran);
	assert_int_equal(ran, 3);
	sum_end(&sum);
}

/* ---- what is kept ready ---- */

/* The helper thread of the pool, this process's only other one. */
static pid_t helper_thread(void)
{
	struct dirent *e;
	DIR *d = opendir("/proc/self/task");
	pid_t tid = 0;

	while (d && (e = readdir(d)))
		if (atoi(e->d_name) > 0 && atoi(e->d_name) != getpid())
			tid = atoi(e->d_name);
	closedir(d);
	assert_true(tid > 0);
	return tid;
}

static void take_network(void)
{
	struct netpool_place place;
	struct err e;

	assert_int_equal(netpool_take(w.rt->pool, &place, &e), 0);
	netpool_place_close(&place);
	netpool_release(w.rt->pool, place.index);
}

static int nothing(void *arg UNUSED)
{
	return 0;
}

static const struct fault_seen *watch_helper(const struct fault *f, void (*take)(void))
{
	static struct fault_seen what;

	assert_true(fault_arm(f, helper_thread()));
	take();
	for (int i = 0; i < 50 && !fault_shared->seen.hit; i++)
		usleep(2000);
	what = *fault_disarm();
	assert_int_equal(netpool_later(w.rt->pool, nothing, NULL), 0);
	netpool_drain(w.rt->pool);
	return &what;
}

/* Whichever call of the helper fails, the pool is full again in the end. */
static void try_helper(const char *name, void (*take)(void), bool again)
{
	/* where the way back from another namespace fails, berthd ends */
	struct fault f = {.process = FAULT_NONE, .spare = SYS_setns};
	static struct fault_seen all;
	struct sum sum = {0};
	char text[512];

	complaints = 0;
	list_full(&sum.before, SCRATCH_READY);
	all = *watch_helper(&f, take);
	for (f.process = 0; f.process < FAULT_PROCESSES; f.process++)
		for (f.call = 0; f.call < all.calls[f.process]; f.call++) {
			const struct fault_seen *now = watch_helper(&f, take);
			sum.tried += now->hit;
			if (again)
				take();
			if (settle(&sum.before, text)) {
				complain("%s: process %d, call %d (number %u): left: %s",
					name, f.process, f.call,
					now->nr[f.process][f.call], text);
				list_leftovers(&sum.before);
			}
		}
	print_message("# %s: %d and %d calls, %u tried\n", name, all.calls[FAULT_SELF],
		all.calls[FAULT_SPAWNED], sum.tried);
	sum_end(&sum);
}

/* ---- tests ---- */

static void an_instance_starts_whole_or_not_at_all(void **state UNUSED)
{
	n_volumes = 2;
	try_all(&(struct deed){
		.name = "instance", .begin = begin_instance, .end = end_instance});
	n_volumes = 1;
}

static void a_build_starts_whole_or_not_at_all(void **state UNUSED)
{
	try_all(&(struct deed){.name = "build", .begin = begin_build, .end = end_build});
}

static void scratch_space_is_made_whole_or_not_at_all(void **state UNUSED)
{
	try_all(&(struct deed){.name = "scratch",
		.begin = begin_scratch,
		.end = end_scratch,
		.again = true,
		.others = FAULT_CLONED3});
}

static void remove_volume(struct buf *confines UNUSED)
{
	char name[32];

	id_name(name, SIZED, ".img");
	assert_int_equal(unlinkat(s.folders.volumes, name, 0), 0);
}

static void a_volume_is_made_whole_or_not_at_all(void **state UNUSED)
{
	s.ended.reason = EXIT_REASON_EXITED;
	remove_volume(NULL);
	try_all(&(struct deed){.name = "volume",
		.begin = make_volume,
		.end = remove_volume,
		.others = FAULT_CLONED3});
	assert_int_equal(make_volume(&(struct err){0}), 0);
}

static void a_command_enters_whole_or_not_at_all(void **state UNUSED)
{
	struct msg_start m = start_message();
	struct err e;
	int pty;

	assert_int_equal(start_with(&m, "trap", NULL, &pty, &e), 0);
	s.target = m.id;
	try_all(&(struct deed){.name = "enter", .begin = begin_enter, .end = end_pty});
	assert_int_equal(instances_stop(s.in, m.id, 0), 0);
	wait_ended(m.id);
	instances_log_done(s.in, m.id);
}

static void a_stack_build_starts_whole_or_not_at_all(void **state UNUSED)
{
	try_all(&(struct deed){.name = "stack", .begin = begin_stack, .end = end_stack});
}

static void memory_that_is_not_there_leaves_nothing(void **state UNUSED)
{
	try_allocations(&(struct deed){.name = "instance",
		.begin = begin_instance,
		.end = end_instance,
		.again = true});
	try_allocations(
		&(struct deed){.name = "build", .begin = begin_build, .end = end_build});
	try_allocations(
		&(struct deed){.name = "stack", .begin = begin_stack, .end = end_stack});
}

static void descriptors_that_run_out_leave_nothing(void **state UNUSED)
{
	try_descriptors(&(struct deed){.name = "instance",
		.begin = begin_instance,
		.end = end_instance,
		.again = true});
	try_descriptors(
		&(struct deed){.name = "build", .begin = begin_build, .end = end_build});
}

static void networks_are_made_ready_whole_or_not_at_all(void **state UNUSED)
{
	try_helper("network", take_network, false);
}

static void scratch_is_made_ready_whole_or_not_at_all(void **state UNUSED)
{
	try_helper("ready scratch", take_scratch, true);
}

/* The list itself: what runs is in it. */
static void a_running_instance_is_in_the_list_of_leftovers(void **state UNUSED)
{
	static const char *const kinds[] = {
		"\nrecord ", "\nfifo ", "\nveth ", "\nloop", "\ngroup "};
	struct msg_start m = start_message();
	autobuf b = BUF_INIT;
	struct err e;
	int pty;

	assert_int_equal(start_with(&m, "trap", NULL, &pty, &e), 0);
	list_leftovers(&b);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (!strstr(b.data, kinds[i]))
			fail_msg("%s is not in:\n%s", kinds[i], b.data);
	assert_int_equal(instances_stop(s.in, m.id, 0), 0);
	wait_ended(m.id);
	instances_log_done(s.in, m.id);
}

static int set_up_stage(void **state)
{
	struct err e = {0};

	own = getpid();
	if (set_up(state) < 0 || open_stage(&e) < 0 ||
		volume_make_dir(w.rt, MOUNT_VOLUME, VOLUME) < 0 ||
		volume_make_dir(w.rt, MOUNT_CACHE, APP) < 0 || make_volume(&e) < 0 ||
		fault_open() < 0) {
		print_message("the stage: %s\n", e.text);
		return -1;
	}
	return 0;
}

static int tear_down_stage(void **state)
{
	fault_close();
	instances_free(s.in);
	loop_free(s.never);
	loop_free(s.c.loop);
	folders_close(&s.folders);
	return tear_down(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_running_instance_is_in_the_list_of_leftovers),
		cmocka_unit_test(an_instance_starts_whole_or_not_at_all),
		cmocka_unit_test(a_build_starts_whole_or_not_at_all),
		cmocka_unit_test(scratch_space_is_made_whole_or_not_at_all),
		cmocka_unit_test(a_volume_is_made_whole_or_not_at_all),
		cmocka_unit_test(a_command_enters_whole_or_not_at_all),
		cmocka_unit_test(a_stack_build_starts_whole_or_not_at_all),
		cmocka_unit_test(networks_are_made_ready_whole_or_not_at_all),
		cmocka_unit_test(scratch_is_made_ready_whole_or_not_at_all),
		cmocka_unit_test(memory_that_is_not_there_leaves_nothing),
		cmocka_unit_test(descriptors_that_run_out_leave_nothing),
	};

	return run_as_root(tests, set_up_stage, tear_down_stage);
}

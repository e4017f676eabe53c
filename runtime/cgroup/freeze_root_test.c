/* Real sandboxes on this kernel, as root: frozen ones stand still, go on, take limits, give
 * memory back and can be ended. */
#include "runtime/hold.h"
#include "runtime/inside.h"
#include "runtime/sandbox/box_test.h"

#include <sys/vfs.h>

#define TMPFS 0x01021994
#define FILL_MIB 16

/* What it printed up to now; the number of lines. */
static int take_lines(const struct box *b)
{
	struct pollfd p = {.fd = b->output[0], .events = POLLIN};
	char text[4096];
	int n = 0;

	while (poll(&p, 1, 0) == 1) {
		ssize_t got = read(b->output[0], text, sizeof(text));

		assert_true(got > 0);
		for (ssize_t i = 0; i < got; i++)
			n += text[i] == '\n';
	}
	return n;
}

static void end_by_kill(struct box *b)
{
	assert_int_equal(sandbox_kill(w.rt, &b->rec), 0);
	box_end(b);
	assert_end(b, EXIT_REASON_LOST, 0);
}

static void a_frozen_one_stands_still_until_it_is_thawed(void **state)
{
	struct box b = box_new();

	(void)state;
	box_must_start(&b, PROBE("count"));
	wait_for_line(&b);
	assert_false(sandbox_frozen(w.rt, &b.rec));
	for (int i = 0; i < 5; i++) {
		assert_int_equal(sandbox_freeze(w.rt, &b.rec, true), 0);
		assert_int_equal(sandbox_freeze(w.rt, &b.rec, true), 0);
		assert_true(sandbox_frozen(w.rt, &b.rec));
		usleep(200000); /* one in a system call stops at its end */
		take_lines(&b);
		usleep(50000);
		assert_int_equal(take_lines(&b), 0);
		assert_int_equal(sandbox_freeze(w.rt, &b.rec, false), 0);
		assert_false(sandbox_frozen(w.rt, &b.rec));
		wait_for_line(&b);
	}
	assert_int_equal(sandbox_freeze(w.rt, &b.rec, false), 0);
	end_by_kill(&b);
	netpool_drain(w.rt->pool); /* its group goes in the background */
	assert_int_equal(sandbox_freeze(w.rt, &b.rec, true), -ESRCH);
	assert_false(sandbox_frozen(w.rt, &b.rec));
}

static void a_frozen_one_can_be_killed(void **state)
{
	struct box b = box_new();

	(void)state;
	box_must_start(&b, PROBE("count"));
	wait_for_line(&b);
	assert_int_equal(sandbox_freeze(w.rt, &b.rec, true), 0);
	end_by_kill(&b);
}

static void a_signal_waits_for_the_thaw(void **state)
{
	struct box b = box_new();
	struct pollfd p;

	(void)state;
	box_must_start(&b, PROBE("trap", "15"));
	wait_for_line(&b);
	assert_int_equal(sandbox_freeze(w.rt, &b.rec, true), 0);
	usleep(20000);
	assert_int_equal(sandbox_signal(w.rt, &b.rec, SIGTERM), 0);
	p = (struct pollfd){.fd = b.pidfd, .events = POLLIN};
	assert_int_equal(poll(&p, 1, 100), 0);
	assert_int_equal(sandbox_freeze(w.rt, &b.rec, false), 0);
	box_end(&b);
	assert_end(&b, EXIT_REASON_EXITED, 7);
}

static void limits_change_while_it_is_frozen(void **state)
{
	struct box b = box_new();
	struct msg_limits_body l = b.start.limits;
	struct msg_limited done;
	struct err e;

	(void)state;
	box_must_start(&b, PROBE("count"));
	wait_for_line(&b);
	assert_int_equal(sandbox_freeze(w.rt, &b.rec, true), 0);
	l.memory_bytes = 128 << 20;
	assert_int_equal(sandbox_limits(w.rt, &b.rec, &l, LIMIT_ALL, &done, &e), 0);
	l.memory_bytes = 32 << 20;
	assert_int_equal(sandbox_limits(w.rt, &b.rec, &l, LIMIT_ALL, &done, &e), 0);
	assert_true(sandbox_frozen(w.rt, &b.rec));
	end_by_kill(&b);
	assert_int_equal(b.exited.memory_limit_bytes, 32 << 20);
}

static void a_frozen_one_is_found_again(void **state)
{
	struct box b = box_new();
	struct err e;
	int pidfd;

	(void)state;
	box_must_start(&b, PROBE("count"));
	wait_for_line(&b);
	assert_int_equal(sandbox_freeze(w.rt, &b.rec, true), 0);
	runtime_close(w.rt);
	assert_int_equal(open_world(&e), 0);
	assert_int_equal(sandbox_adopt(w.rt, &b.rec, &pidfd), 0);
	close(b.pidfd);
	b.pidfd = pidfd;
	assert_true(sandbox_frozen(w.rt, &b.rec));
	take_lines(&b);
	assert_int_equal(sandbox_freeze(w.rt, &b.rec, false), 0);
	wait_for_line(&b);
	end_by_kill(&b);
}

static uint64_t memory_used(const struct box *b)
{
	const struct cgroups *g = &w.rt->cgroups;
	autobuf text = BUF_INIT;
	char path[64];

	snprintf(path, sizeof(path), "%016" PRIx64 "/%s", b->rec.id,
		g->v2 ? "memory.current" : "memory.usage_in_bytes");
	assert_int_equal(io_read_file(g->parent[CGROUP_MEMORY], path, &text), 0);
	return strtoull(text.data, NULL, 10);
}

static void end_reclaim(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	siginfo_t info;

	assert_true(pidfd >= 0);
	assert_int_equal(poll(&p, 1, END_MS), 1);
	assert_int_equal(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED), 0);
	close(pidfd);
}

static void a_frozen_one_gives_memory_back(void **state)
{
	struct box b = box_new();
	struct statfs fs;

	(void)state;
	if (statfs(w.state, &fs) < 0 || fs.f_type == TMPFS) {
		print_message("skipped: %s is memory itself\n", w.state);
		skip();
	}
	box_must_start(&b, PROBE("fill-and-wait", "/app/big", "16"));
	wait_for_line(&b);
	assert_int_equal(sandbox_freeze(w.rt, &b.rec, true), 0);
	assert_true(memory_used(&b) > FILL_MIB << 20);
	end_reclaim(sandbox_reclaim(w.rt, &b.rec));
	assert_true(memory_used(&b) < FILL_MIB << 19);
	assert_true(sandbox_frozen(w.rt, &b.rec));
	end_by_kill(&b);
}

/* A shutdown of the host: only version 2 has the apps in a unit of their own. */
static void the_holder_thaws_it_and_tells_it_to_end(void **state)
{
	struct box b = box_new();
	char group[96];

	(void)state;
	snprintf(group, sizeof(group), "/proc/self/fd/%d/%016" PRIx64,
		w.rt->cgroups.parent[CGROUP_MEMORY], b.start.id);
	box_must_start(&b, PROBE("trap", "15"));
	wait_for_line(&b);
	if (w.rt->cgroups.v2)
		assert_int_equal(sandbox_freeze(w.rt, &b.rec, true), 0);
	assert_int_equal(hold_tell(group, 0), 1);
	assert_int_equal(hold_tell(group, SIGTERM), 1);
	box_end(&b);
	assert_end(&b, EXIT_REASON_EXITED, 7);
	assert_int_equal(hold_tell(group, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frozen_one_stands_still_until_it_is_thawed),
		cmocka_unit_test(a_frozen_one_can_be_killed),
		cmocka_unit_test(a_signal_waits_for_the_thaw),
		cmocka_unit_test(limits_change_while_it_is_frozen),
		cmocka_unit_test(a_frozen_one_is_found_again),
		cmocka_unit_test(a_frozen_one_gives_memory_back),
		cmocka_unit_test(the_holder_thaws_it_and_tells_it_to_end),
	};

	return run_as_root(tests, set_up, tear_down);
}

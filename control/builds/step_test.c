/* The end of a build step that is cancelled. berthd is played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/builds/step.h"
#include "control/engine.h"
#include "db/fixture.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define HANG_S 20 /* a step that nobody ends does not end */

static int ends[2] = {-1, -1}; /* the sandbox's standard output and error */
static unsigned int stops;

static void end_sandbox(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		close(ends[i]);
		ends[i] = -1;
	}
}

/* ---- in the place of the real ones (see the Makefile) ---- */

int engine_expect(struct engine *g UNUSED, uint64_t id UNUSED)
{
	return 0;
}

int engine_start(struct engine *g UNUSED, const struct msg_start *m UNUSED,
	const int *fds, unsigned int nfds, int *ret_pty UNUSED, struct err *e UNUSED)
{
	assert_int_equal(nfds, 4);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		ends[i] = dup(fds[2 + i]);
	assert_int_equal(write(ends[1], "begun\n", 6), 6);
	return 0;
}

int engine_stop(struct engine *g UNUSED, uint64_t id UNUSED, uint32_t timeout_ms UNUSED)
{
	if (ends[1] < 0)
		return -ESRCH;
	if (++stops == 1) {
		assert_int_equal(write(ends[1], "goes on\n", 8), 8);
		return -ECONNRESET;
	}
	end_sandbox();
	return 0;
}

int engine_wait_exit(struct engine *g UNUSED, uint64_t id UNUSED, int timeout_ms UNUSED,
	struct msg_exited *ret)
{
	*ret = (struct msg_exited){.reason = EXIT_REASON_SIGNALED, .value = 9};
	return 0;
}

void engine_forget(struct engine *g UNUSED, uint64_t id UNUSED)
{
}

/* ---- tests ---- */

static void write_nothing(
	struct sink *s UNUSED, char kind UNUSED, const char *text UNUSED)
{
}

static bool at_once(struct sink *s UNUSED)
{
	return true;
}

static void a_stop_that_berthd_lost_is_sent_again(void **state)
{
	struct fixture *f = *state;
	struct control c = {.db = f->db};
	struct sink gone = {.write = write_nothing, .cancelled = at_once, .watch_fd = -1};
	const struct step st = {.app = STEP_NO_APP,
		.command = "unpack",
		.flags = START_NO_NET,
		.quick = true,
		.stdin_fd = -1};
	json_t *answer = NULL;
	struct err e = {0};

	alarm(HANG_S);
	assert_int_equal(step_run(&c, &st, &gone, &answer, &e), -ECANCELED);
	alarm(0);
	assert_int_equal(stops, 2);
	assert_null(answer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_stop_that_berthd_lost_is_sent_again, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

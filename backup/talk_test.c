/* Tests: where berth-control hangs up, what it says of why is what is told. */
#include "backup/known.h"
#include "backup/talk.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* It reads no more, and has said that, or nothing. */
static struct talk hung_up(const char *said)
{
	struct talk t = {.in = -1, .out = -1, .words = -1, .client.fd = -1};
	int in[2], out[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	close(in[0]);
	if (said)
		assert_int_equal(frame_write(out[1], FRAME_JSON, said, strlen(said)), 0);
	close(out[1]);
	t.in = in[1];
	t.out = out[0];
	return t;
}

static void a_question_that_it_takes_no_more_is_answered_with_its_reason(
	void **state UNUSED)
{
	struct talk t = hung_up("{\"error\":\"the run folder is full\"}");
	struct err e = {0};

	assert_int_equal(talk_ask(&t, json_object(), &e), -EIO);
	assert_string_equal(e.text, "the run folder is full");
	talk_close(&t);
}

static void so_is_what_it_is_told_to_know(void **state UNUSED)
{
	struct talk t = hung_up("{\"error\":\"the run folder is full\"}");
	struct known none = {0};
	struct err e = {0};

	assert_int_equal(talk_failed(&t, known_send(&none, t.in, &e), &e), -EIO);
	assert_string_equal(e.text, "the run folder is full");
	talk_close(&t);
}

static void one_that_says_nothing_was_interrupted(void **state UNUSED)
{
	struct talk t = hung_up(NULL);
	struct err e = {0};

	assert_int_equal(talk_ask(&t, json_object(), &e), -EPIPE);
	assert_non_null(strstr(e.text, "berth-control was interrupted"));
	talk_close(&t);
}

static void another_failure_is_its_own_reason(void **state UNUSED)
{
	struct talk t = hung_up("{\"error\":\"the run folder is full\"}");
	struct err e = {0};

	assert_int_equal(
		talk_failed(&t, err_set(&e, ENOSPC, "the file is full"), &e), -ENOSPC);
	assert_string_equal(e.text, "the file is full");
	assert_int_equal(talk_failed(&t, 0, &e), 0);
	talk_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_question_that_it_takes_no_more_is_answered_with_its_reason),
		cmocka_unit_test(so_is_what_it_is_told_to_know),
		cmocka_unit_test(one_that_says_nothing_was_interrupted),
		cmocka_unit_test(another_failure_is_its_own_reason),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* States, events, policies and pauses of instances that end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/run/restart.h"
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#define NO (-1) /* the event cannot happen in that state */

/* Where each event leads, written a second time: a slip in one of the two tables is seen here. */
/* clang-format off */
static const int8_t wanted[MEMBER_STATES][MEMBER_EVENTS] = {
	/*                  TURN               READY            FELL             LOOPED           FINISHED      DUE            UNWANTED */
	[MEMBER_STARTING]   = {NO,                MEMBER_READY,    MEMBER_GONE,     MEMBER_GONE,     MEMBER_GONE,  NO,            MEMBER_RETIRING},
	[MEMBER_QUEUED]     = {MEMBER_RESTARTING, NO,              NO,              NO,              NO,           NO,            MEMBER_GONE},
	[MEMBER_RESTARTING] = {NO,                MEMBER_READY,    MEMBER_BACKOFF,  MEMBER_CRASHED,  MEMBER_ENDED, NO,            MEMBER_RETIRING},
	[MEMBER_READY]      = {NO,                NO,              MEMBER_BACKOFF,  MEMBER_CRASHED,  MEMBER_ENDED, NO,            MEMBER_RETIRING},
	[MEMBER_BACKOFF]    = {NO,                NO,              NO,              NO,              NO,           MEMBER_QUEUED, MEMBER_GONE},
	[MEMBER_CRASHED]    = {NO,                NO,              NO,              NO,              NO,           MEMBER_QUEUED, MEMBER_GONE},
	[MEMBER_ENDED]      = {NO,                NO,              NO,              NO,              NO,           NO,            MEMBER_GONE},
	[MEMBER_RETIRING]   = {NO,                MEMBER_RETIRING, MEMBER_GONE,     MEMBER_GONE,     MEMBER_GONE,  NO,            MEMBER_RETIRING},
	[MEMBER_GONE]       = {NO,                NO,              NO,              NO,              NO,           NO,            NO},
};
/* clang-format on */

static void every_event_in_every_state_leads_where_it_should(void **state)
{
	(void)state;
	for (int s = 0; s < MEMBER_STATES; s++) {
		for (int e = 0; e < MEMBER_EVENTS; e++) {
			const struct member_step *step = member_step(s, e);

			if (wanted[s][e] == NO) {
				assert_int_equal(step->action, MEMBER_FAULT);
				assert_int_equal(step->next, s);
			} else {
				assert_int_not_equal(step->action, MEMBER_FAULT);
				assert_int_equal(step->next, wanted[s][e]);
			}
		}
	}
}

static void what_is_done_fits_the_state_it_leads_to(void **state)
{
	static const enum member_action fits[MEMBER_STATES] = {
		[MEMBER_QUEUED] = MEMBER_QUEUE,
		[MEMBER_RESTARTING] = MEMBER_START,
		[MEMBER_BACKOFF] = MEMBER_PAUSE,
		[MEMBER_CRASHED] = MEMBER_LONG_PAUSE,
		[MEMBER_ENDED] = MEMBER_SETTLE,
		[MEMBER_RETIRING] = MEMBER_KEEP,
		[MEMBER_GONE] = MEMBER_FORGET,
	};

	(void)state;
	for (int s = 0; s < MEMBER_STATES; s++) {
		for (int e = 0; e < MEMBER_EVENTS; e++) {
			const struct member_step *step = member_step(s, e);

			if (step->action == MEMBER_FAULT)
				continue;
			if (step->next == MEMBER_READY)
				assert_int_equal(step->action, s == MEMBER_STARTING
								       ? MEMBER_KEEP
								       : MEMBER_ROUTE);
			else
				assert_int_equal(step->action, fits[step->next]);
		}
	}
}

static void every_state_has_a_way_out_and_a_name(void **state)
{
	(void)state;
	for (int s = 0; s < MEMBER_STATES; s++) {
		bool out = false;

		for (int e = 0; e < MEMBER_EVENTS; e++)
			out |= member_step(s, e)->next != (enum member_state)s;
		assert_int_equal(out, s != MEMBER_GONE);
		assert_true(strlen(member_state_name(s)) > 0);
	}
}

static void policies_are_spelled_as_elsewhere(void **state)
{
	static const struct {
		const char *text;
		enum restart_when when;
		uint32_t tries;
		const char *shown;
	} good[] = {
		{"always", RESTART_ALWAYS, 0, "always"},
		{"unless-stopped", RESTART_ALWAYS, 0, "always"},
		{"on-failure", RESTART_ON_FAILURE, 0, "on-failure"},
		{"on-failure:1", RESTART_ON_FAILURE, 1, "on-failure:1"},
		{"on-failure:1000", RESTART_ON_FAILURE, 1000, "on-failure:1000"},
		{"never", RESTART_NEVER, 0, "never"},
		{"no", RESTART_NEVER, 0, "never"},
	};
	char shown[32];
	static const char *const bad[] = {"", "Always", "always ",
		"on-failure:", "on-failure:0", "on-failure:1001", "on-failure:-1",
		"on-failure: 1", "on-failure:1x", "sometimes"};
	struct restart_policy p = {RESTART_NEVER, 77};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(restart_policy_parse(bad[i], &p), -EINVAL);
		assert_int_equal(p.tries, 77);
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(restart_policy_parse(good[i].text, &p), 0);
		assert_int_equal(p.when, good[i].when);
		assert_int_equal(p.tries, good[i].tries);
		restart_policy_text(&p, shown);
		assert_string_equal(shown, good[i].shown);
	}
}

static void the_policy_decides_what_an_end_means(void **state)
{
	static const struct {
		struct restart_policy policy;
		bool well;
		uint32_t failures;
		enum member_event verdict;
	} rows[] = {
		{{RESTART_ALWAYS, 0}, true, 1, EVENT_FELL},
		{{RESTART_ALWAYS, 0}, false, RESTART_LOOP - 1, EVENT_FELL},
		{{RESTART_ALWAYS, 0}, false, RESTART_LOOP, EVENT_LOOPED},
		{{RESTART_ALWAYS, 0}, true, RESTART_LOOP, EVENT_LOOPED},
		{{RESTART_ON_FAILURE, 0}, true, 1, EVENT_FINISHED},
		{{RESTART_ON_FAILURE, 0}, false, 1, EVENT_FELL},
		{{RESTART_ON_FAILURE, 0}, false, RESTART_LOOP + 50, EVENT_LOOPED},
		{{RESTART_ON_FAILURE, 3}, false, 3, EVENT_FELL},
		{{RESTART_ON_FAILURE, 3}, false, 4, EVENT_FINISHED},
		{{RESTART_ON_FAILURE, 10}, false, 10, EVENT_LOOPED},
		{{RESTART_ON_FAILURE, 10}, false, 11, EVENT_FINISHED},
		{{RESTART_NEVER, 0}, true, 1, EVENT_FINISHED},
		{{RESTART_NEVER, 0}, false, 1, EVENT_FINISHED},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(
			restart_verdict(&rows[i].policy, rows[i].well, rows[i].failures),
			rows[i].verdict);
}

static void pauses_double_up_to_the_long_one(void **state)
{
	uint64_t least = 0;

	(void)state;
	assert_int_equal(restart_pause_ms(0, 0), RESTART_FIRST_MS);
	for (uint32_t n = 1; n < RESTART_LOOP; n++) {
		uint64_t ms = restart_pause_ms(n, 0);

		assert_int_equal(ms, RESTART_FIRST_MS << (n - 1));
		assert_true(ms > least && ms <= RESTART_MAX_MS);
		least = ms;
	}
	assert_int_equal(restart_pause_ms(RESTART_LOOP, 0), RESTART_LOOP_MS);
	assert_int_equal(restart_pause_ms(UINT32_MAX, 0), RESTART_LOOP_MS);
}

static void a_pause_is_at_most_a_fifth_longer(void **state)
{
	uint64_t most = 0;

	(void)state;
	for (uint32_t random = 0; random < 1000; random++) {
		uint64_t ms = restart_pause_ms(4, random);

		assert_in_range(ms, 800, 960);
		most = ms > most ? ms : most;
	}
	assert_int_equal(most, 960);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_event_in_every_state_leads_where_it_should),
		cmocka_unit_test(what_is_done_fits_the_state_it_leads_to),
		cmocka_unit_test(every_state_has_a_way_out_and_a_name),
		cmocka_unit_test(policies_are_spelled_as_elsewhere),
		cmocka_unit_test(the_policy_decides_what_an_end_means),
		cmocka_unit_test(pauses_double_up_to_the_long_one),
		cmocka_unit_test(a_pause_is_at_most_a_fifth_longer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

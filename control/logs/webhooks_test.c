/* What is told to webhooks; berth-drain is played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/logs/webhooks.h"
#include "db/fixture.h"
#include <string.h>

static int tell(void *arg, json_t *o)
{
	unsigned int *told = arg;

	assert_non_null(o);
	json_decref(o);
	++*told;
	return 0;
}

static void due_now(struct db *db, uint64_t id)
{
	struct db_delivery d;

	assert_int_equal(db_delivery_get(db, id, &d), 0);
	if (!d.next_us)
		return;
	d.next_us = 1;
	assert_int_equal(db_delivery_put(db, &d), 0);
}

static void a_delivery_whose_answers_get_lost_ends_too(void **state)
{
	struct fixture *f = *state;
	struct control c = {.db = f->db};
	struct db_webhook h = {.events = HOOK_DEPLOY};
	struct db_delivery d;
	unsigned int told = 0;
	uint64_t id;

	snprintf(h.url, sizeof(h.url), "https://hooks.example.com/x");
	snprintf(h.secret, sizeof(h.secret), "secret");
	assert_int_equal(db_webhook_add(f->db, &h), 0);
	assert_int_equal(webhooks_ping(&c, &h, &id), 0);
	for (unsigned int i = 0; i < WEBHOOK_TRIES + 3; i++) {
		assert_int_equal(webhooks_send(&c, tell, &told), 0);
		due_now(f->db, id);
	}
	assert_int_equal(told, WEBHOOK_TRIES);
	assert_int_equal(db_delivery_get(f->db, id, &d), 0);
	assert_int_equal(d.attempts, WEBHOOK_TRIES);
	assert_true(!d.next_us && d.done_us);
	assert_string_equal(d.error, "no answer is known of the last try");
	assert_int_equal(webhooks_wait_ms(&c), -1);
	/* one that comes yet changes nothing */
	webhooks_answered(&c, id, 500, "");
	assert_int_equal(webhooks_wait_ms(&c), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_delivery_whose_answers_get_lost_ends_too, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

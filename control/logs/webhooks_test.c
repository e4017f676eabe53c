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

#define HOUR_US (UINT64_C(3600) * 1000000)

/* The one delivery that waits; its body, the caller's. */
static json_t *delivered(struct db *db, const struct db_webhook *h)
{
	struct db_delivery *rows autofree = NULL;

	assert_int_equal(db_delivery_list(db, h->id, &rows), 1);
	json_t *body = json_loads(rows[0].body, 0, NULL);
	assert_non_null(body);
	return body;
}

static void of_many_long_names_those_are_told_that_have_room(void **state)
{
	struct fixture *f = *state;
	struct control c = {.db = f->db};
	struct db_webhook h = {.events = HOOK_ALL, .url = "https://hooks.example.com/x"};
	struct db_cert row = {.name = "brought",
		.chain = f->path,
		.names = json_array(),
		.until_us = HOUR_US};

	for (int i = 0; i < 300; i++)
		json_array_append_new(row.names, json_sprintf("%0200d.example", i));
	assert_int_equal(db_app_create(f->db, "shop", &row.app), 0);
	assert_int_equal(db_cert_put(f->db, &row), 0);
	assert_int_equal(db_webhook_add(f->db, &h), 0);
	webhooks_look_certs(&c, 0);
	json_t *body = delivered(f->db, &h);
	const json_t *names = json_object_get(body, "names");
	const size_t told = json_array_size(names);

	assert_in_range(told, 10, 299);
	for (size_t i = 0; i < told; i++)
		assert_true(json_equal(
			json_array_get(names, i), json_array_get(row.names, i)));
	assert_int_equal(told + json_integer_value(json_object_get(body, "more")), 300);
	json_decref(body);
	json_decref(row.names);
}

static void an_automatic_one_is_told_when_its_renewal_is_late(void **state)
{
	struct fixture *f = *state;
	struct control c = {.db = f->db};
	struct db_webhook h = {.events = HOOK_ALL, .url = "https://hooks.example.com/x"};
	struct db_cert row = {
		.chain = f->path, .names = json_array(), .until_us = 24 * HOUR_US};
	struct db_delivery *rows autofree = NULL;

	assert_int_equal(db_app_create(f->db, "shop", &row.app), 0);
	assert_int_equal(db_cert_put(f->db, &row), 0);
	assert_int_equal(db_webhook_add(f->db, &h), 0);
	webhooks_look_certs(&c, 4 * HOUR_US);
	webhooks_look_certs(&c, 19 * HOUR_US);
	assert_int_equal(db_delivery_list(f->db, h.id, &rows), 0);
	webhooks_look_certs(&c, 22 * HOUR_US);
	json_t *body = delivered(f->db, &h);
	assert_string_equal(
		json_string_value(json_object_get(body, "what")), "expires soon");
	json_decref(body);
	json_decref(row.names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_delivery_whose_answers_get_lost_ends_too, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			of_many_long_names_those_are_told_that_have_room, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			an_automatic_one_is_told_when_its_renewal_is_late, set_up,
			tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

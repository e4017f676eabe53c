/* Automatic certificates, order by order; the authority is played. */
#include "control/api/fixture.h"
#include "control/certs/acme_order.h"
#include "db/query.h"

static const char *refusal; /* NULL: it issues */
static uint64_t life_us;
static unsigned int orders;
static char error_meanwhile[512]; /* what the row says while an order goes on */

int acme_order(struct control *c, uint32_t app, const json_t *names,
	struct cert_pair *ret, struct err *e)
{
	const uint64_t now = io_now_us();
	struct db_acme row;

	orders++;
	assert_int_equal(db_acme_get(c->db, app, &row), 0);
	snprintf(error_meanwhile, sizeof(error_meanwhile), "%s", row.error);
	if (refusal)
		return err_set(e, EPROTO, "%s", refusal);
	*ret = (struct cert_pair){.chain = strdup("chain"),
		.key = strdup("key"),
		.facts = {.names = json_deep_copy(names),
			.from_us = now,
			.until_us = now + life_us}};
	return 0;
}

static uint32_t make_app(struct fixture *f)
{
	uint32_t app = make_released(f, "shop");

	refusal = NULL;
	life_us = 90 * ACME_DAY_US;
	orders = 0;
	expect(f, "PATCH", "/v1/apps/shop/domains", "{\"add\":[\"shop.example\"]}", 200,
		"shop.example");
	assert_int_equal(acme_enable(&f->c, app), 0);
	return app;
}

/* From then on such changes of the row fail, as on a full disk. */
static void fail_when(struct fixture *f, const char *condition)
{
	char sql[160];

	snprintf(sql, sizeof(sql),
		"CREATE TRIGGER full BEFORE UPDATE ON acme WHEN %s BEGIN SELECT "
		"RAISE(ABORT, 'full'); END",
		condition);
	assert_true(query_exec(f->c.db, sql, "") >= 0);
}

static void one_is_issued_and_due_again_when_a_third_is_left(void **state)
{
	struct fixture *f = *state;
	uint32_t app = make_app(f);
	const uint64_t before = io_now_us();
	uint64_t next = acme_serve(&f->c, app);

	assert_int_equal(orders, 1);
	assert_true(next >= before + 60 * ACME_DAY_US);
	expect(f, "GET", "/v1/apps/shop/tls", NULL, 200, "\"state\":\"valid\"");
	assert_int_equal(acme_serve(&f->c, app), next);
	assert_int_equal(orders, 1);
}

static void one_of_short_life_does_not_always_expire_soon(void **state)
{
	struct fixture *f = *state;
	uint32_t app = make_app(f);

	life_us = 6 * ACME_DAY_US;
	acme_serve(&f->c, app);
	expect(f, "GET", "/v1/certs", NULL, 200, "\"state\":\"valid\"");
}

/* More than a delivery holds. */
static void of_a_renewal_a_webhook_is_told_however_many_names(void **state)
{
	struct fixture *f = *state;
	struct db_webhook h = {
		.events = HOOK_CERTIFICATE, .url = "https://hooks.example.com/"};
	struct db_delivery *rows autofree = NULL;
	uint32_t app = make_app(f);
	char name[256];

	for (int i = 0; i < 90; i++) {
		snprintf(name, sizeof(name), "%050d.%050d.example", i, i);
		assert_int_equal(db_domain_add(f->c.db, app, name), 0);
	}
	assert_int_equal(db_webhook_add(f->c.db, &h), 0);
	assert_true(acme_serve(&f->c, app) > 0);
	assert_int_equal(db_delivery_list(f->c.db, h.id, &rows), 1);
	assert_non_null(strstr(rows[0].body, "\"what\":\"renewed\""));
}

static void an_order_goes_on_without_the_last_ones_error(void **state)
{
	struct fixture *f = *state;
	uint32_t app = make_app(f);

	refusal = "not you";
	assert_true(acme_serve(&f->c, app) > 0);
	expect(f, "GET", "/v1/apps/shop/tls", NULL, 200, "\"last_error\":\"not you\"");
	acme_retry(&f->c);
	acme_serve(&f->c, app);
	assert_int_equal(orders, 2);
	assert_string_equal(error_meanwhile, "");
}

static void where_nothing_can_be_recorded_the_next_look_is_later(void **state)
{
	struct fixture *f = *state;
	uint32_t app = make_app(f);
	const uint64_t before = io_now_us();

	fail_when(f, "1");
	assert_true(acme_serve(&f->c, app) >= before + 60 * UINT64_C(1000000));
	assert_int_equal(orders, 0);
}

static void a_certificate_that_cannot_be_recorded_says_so(void **state)
{
	struct fixture *f = *state;
	uint32_t app = make_app(f);

	fail_when(f, "NEW.after_us=0"); /* as it is once one is there */
	acme_serve(&f->c, app);
	assert_int_equal(orders, 1);
	expect(f, "GET", "/v1/apps/shop/tls", NULL, 200,
		"\"last_error\":\"the certificate cannot be recorded: ");
}

static void a_look_that_fails_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	uint32_t app = make_app(f);
	struct acme_view v = {0};
	struct db_app row;

	assert_int_equal(db_app_by_id(f->c.db, app, &row), 0);
	assert_true(query_exec(f->c.db, "DROP TABLE acme_order", "") >= 0);
	assert_true(acme_look(&f->c, &row, &v) < 0);
	assert_null(v.names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(one_is_issued_and_due_again_when_a_third_is_left),
		T(one_of_short_life_does_not_always_expire_soon),
		T(of_a_renewal_a_webhook_is_told_however_many_names),
		T(an_order_goes_on_without_the_last_ones_error),
		T(where_nothing_can_be_recorded_the_next_look_is_later),
		T(a_certificate_that_cannot_be_recorded_says_so),
		T(a_look_that_fails_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* acme_plan.c: names, dates, pauses, limits, and what uacme's output means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/certs/acme_plan.h"
#include "lib/io.h"
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define NOW (ACME_DAY_US * 20000)

static struct db_cert made(
	const char *name, const char *host, uint64_t from, uint64_t until)
{
	struct db_cert c = {
		.names = json_pack("[s]", host), .from_us = from, .until_us = until};

	snprintf(c.name, sizeof(c.name), "%s", name);
	return c;
}

static void only_names_that_can_be_checked_are_asked_for(void **state UNUSED)
{
	json_t *hosts = json_pack("[s, s, s, s, s, s]", "b.example", "*.c.example",
		"a.example", "app.localhost", "intranet", "d.example");
	struct db_cert certs[] = {
		made("default", "d.example", NOW - 1, NOW + ACME_DAY_US),
		made("", "a.example", NOW - 1, NOW + ACME_DAY_US)};
	json_t *names = acme_names(hosts, certs, 2, NOW);
	char *text autofree = acme_names_text(names);

	assert_string_equal(text, "[\"a.example\",\"b.example\"]");
	json_decref(names);
	/* one that has expired covers nothing */
	names = acme_names(hosts, certs, 2, NOW + 2 * ACME_DAY_US);
	assert_int_equal(json_array_size(names), 3);
	json_decref(names);
	db_cert_clear(&certs[0]);
	db_cert_clear(&certs[1]);
	json_decref(hosts);
}

static void a_certificate_is_due_when_a_third_of_its_time_is_left(void **state UNUSED)
{
	struct db_cert c = made("", "a.example", NOW, NOW + 90 * ACME_DAY_US);
	json_t *names = json_pack("[s]", "a.example"), *none = json_array();
	json_t *more = json_pack("[s, s]", "a.example", "b.example");
	json_t *other = json_pack("[s]", "b.example");

	assert_int_equal(acme_renew_us(&c), NOW + 60 * ACME_DAY_US);
	assert_int_equal(acme_need(names, NULL, false, NOW), ACME_FIRST);
	assert_int_equal(acme_need(names, &c, false, NOW), ACME_NONE);
	assert_int_equal(acme_need(names, &c, true, NOW), ACME_FORCED);
	assert_int_equal(
		acme_need(names, &c, false, NOW + 60 * ACME_DAY_US - 1), ACME_NONE);
	assert_int_equal(acme_need(names, &c, false, NOW + 60 * ACME_DAY_US), ACME_AGE);
	assert_int_equal(acme_need(more, &c, false, NOW), ACME_NAMES);
	assert_int_equal(acme_need(other, &c, false, NOW), ACME_NAMES);
	assert_int_equal(acme_need(none, &c, true, NOW), ACME_NONE);
	json_decref(names);
	json_decref(none);
	json_decref(more);
	json_decref(other);
	db_cert_clear(&c);
}

static void pauses_grow_and_differ(void **state UNUSED)
{
	assert_int_equal(acme_pause_us(1, 500), ACME_PAUSE_US);
	assert_int_equal(acme_pause_us(2, 500), 2 * ACME_PAUSE_US);
	assert_int_equal(acme_pause_us(3, 500), 4 * ACME_PAUSE_US);
	assert_int_equal(acme_pause_us(60, 500), ACME_PAUSE_MAX_US);
	assert_int_equal(acme_pause_us(1, 0), ACME_PAUSE_US * 4 / 5);
	assert_true(acme_pause_us(1, 999) <= ACME_PAUSE_US * 6 / 5);
	assert_true(acme_pause_us(1, 1) != acme_pause_us(1, 2));
	assert_true(5 * acme_pause_us(1, 0) >= ACME_HOUR_US); /* 5 an hour at most */
}

static void orders_stay_within_what_authorities_allow(void **state UNUSED)
{
	char folder[] = "/tmp/berth-acme.XXXXXX";
	struct control c = {0};
	struct err e = {0};
	uint64_t at, id;
	const char *why;

	assert_non_null(mkdtemp(folder));
	assert_int_equal(db_open(folder, (const uint8_t[DB_KEY_SIZE]){1}, &c.db, &e), 0);
	for (uint64_t i = 0; i < 5; i++) {
		assert_int_equal(acme_allowed_us(&c, 1, "a", NOW, &at, &why), 0);
		assert_int_equal(at, 0);
		assert_int_equal(
			db_order_begin(c.db, 1, "a", NOW - i * 60000000, &id), 0);
	}
	assert_int_equal(acme_allowed_us(&c, 1, "a", NOW, &at, &why), 0);
	assert_int_equal(at, NOW - 4 * 60000000 + ACME_HOUR_US);
	assert_string_equal(why, "5 tries failed within an hour");
	assert_int_equal(acme_allowed_us(&c, 1, "a", at, &at, &why), 0);
	assert_int_equal(at, 0);
	assert_int_equal(acme_allowed_us(&c, 2, "a", NOW, &at, &why), 0);
	assert_int_equal(at, 0);
	for (uint64_t i = 0; i < 5; i++) {
		assert_int_equal(
			db_order_begin(c.db, 3, "b", NOW - i * ACME_DAY_US, &id), 0);
		assert_int_equal(db_order_issued(c.db, id), 0);
	}
	assert_int_equal(acme_allowed_us(&c, 4, "b", NOW, &at, &why), 0);
	assert_int_equal(at, NOW + 3 * ACME_DAY_US);
	for (uint64_t i = 0; i < 250; i++)
		assert_int_equal(db_order_begin(c.db, 100, "c", NOW - 60000000, &id), 0);
	assert_int_equal(acme_allowed_us(&c, 5, "d", NOW, &at, &why), 0);
	assert_int_equal(at, NOW - 60000000 + 3 * ACME_HOUR_US);
	db_close(c.db);
	io_remove_tree(AT_FDCWD, folder);
}

/* What uacme 1.7.4 wrote, against pebble. */
static void what_went_wrong_becomes_a_sentence(void **state UNUSED)
{
	static const struct {
		const char *output, *want;
		bool limited, forgotten;
	} rows[] = {
		{"uacme: challenge https://localhost/c failed with status invalid\n"
		 "uacme: the server reported the following error:\n{\n    \"type\": "
		 "\"urn:ietf:params:acme:error:unauthorized\",\n    \"detail\": "
		 "\"Non-200 "
		 "status code from HTTP: http://b.example/.well-known/acme-challenge/h "
		 "returned 404\",\n    \"status\": 403\n}\nuacme: failed to authorize "
		 "order",
			"the authority refused: Non-200 status code from HTTP: "
			"http://b.example/.well-known/acme-challenge/h returned 404 "
			"(unauthorized); each name must lead to this host, port 80",
			false, false},
		{"uacme: curl_get: GET https://127.0.0.1:1/dir failed: Couldn't connect "
		 "to "
		 "server\nuacme: curl_get: waiting 5 seconds before retrying\nuacme: "
		 "curl_get: GET https://127.0.0.1:1/dir failed: Couldn't connect to "
		 "server\nuacme: failed to fetch directory at https://127.0.0.1:1/dir\n",
			"the authority cannot be reached: Couldn't connect to server",
			false, false},
		{"uacme: failed to retrieve account at https://x\nuacme: the server "
		 "reported "
		 "the following error:\n{\n \"type\": \"urn:ietf:params:acme:error:"
		 "unauthorized\",\n \"detail\": \"An account with the provided public "
		 "key "
		 "exists but is deactivated\",\n \"status\": 403\n}\n",
			"the authority refused: An account with the provided public key "
			"exists but is deactivated (unauthorized); make a new account: "
			"berth tls:renew APP --new-account",
			false, false},
		{"uacme: no account associated with /x/private/key.pem found at "
		 "https://x. "
		 "Consider trying 'new'\n",
			"the authority does not know our account", false, true},
		{"the following "
		 "error:\n{\"type\":\"urn:ietf:params:acme:error:rateLimited\","
		 "\"detail\":\"too many\"}",
			"the authority refused: too many (rateLimited)", true, false},
		{"berth-acme: cannot start uacme: No such file or directory\n",
			"uacme is not installed on this host; install the package uacme",
			false, false},
		{"", "uacme failed: it said nothing", false, false},
		{"one\ntwo \x1b[31m\xff\n", "uacme failed: two ?[31m?", false, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[512];
		bool limited, forgotten;

		acme_explain(rows[i].output, text, sizeof(text), &limited, &forgotten);
		assert_string_equal(text, rows[i].want);
		assert_int_equal(limited, rows[i].limited);
		assert_int_equal(forgotten, rows[i].forgotten);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_names_that_can_be_checked_are_asked_for),
		cmocka_unit_test(a_certificate_is_due_when_a_third_of_its_time_is_left),
		cmocka_unit_test(pauses_grow_and_differ),
		cmocka_unit_test(orders_stay_within_what_authorities_allow),
		cmocka_unit_test(what_went_wrong_becomes_a_sentence),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What the router is told of settings: own values, those of all apps, and nothing where nothing is set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/network/options.h"
#include "lib/credentials.h"
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct fixture {
	char folder[64];
	struct control c;
	uint32_t app, other;
	struct buf strings, own; /* of all apps; of the one */
	struct options o;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e = {0};

	snprintf(f->folder, sizeof(f->folder), "/tmp/berth-options.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	assert_int_equal(
		db_open(f->folder, (const uint8_t[DB_KEY_SIZE]){1}, &f->c.db, &e), 0);
	assert_int_equal(db_app_create(f->c.db, "shop", &f->app), 0);
	assert_int_equal(db_app_create(f->c.db, "blog", &f->other), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	const char *files[] = {"berth.db", "berth.db-wal", "berth.db-shm"};
	char path[96];

	db_close(f->c.db);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->folder, files[i]);
		unlink(path);
	}
	rmdir(f->folder);
	free(f);
	return 0;
}

static void put(struct fixture *f, uint32_t app, const char *topic, const char *key,
	const char *value)
{
	assert_int_equal(db_setting_set(f->c.db, app, topic, key, value), 0);
}

/* The row of app as a table built now has it, options 1: those of all, 2: its own; its options, all 0 where it has none. */
static struct table_app row(
	struct fixture *f, uint32_t app, uint32_t workers, struct table_options *ret)
{
	struct table_app t = {.id = app};
	struct db_app a;

	assert_int_equal(options_open(&f->c, workers, app, &f->o), 0);
	t.options = options_all(&f->o, ret, &f->strings);
	assert_int_equal(db_app_by_id(f->c.db, app, &a), 0);
	if (options_own(&f->o, &a, &t, ret, &f->own, (uint32_t)f->strings.len))
		t.options = 2;
	return t;
}

static void end(struct fixture *f)
{
	options_close(&f->o);
	buf_free(&f->strings);
	buf_free(&f->own);
}

static void nothing_set_costs_nothing(void **state)
{
	struct fixture *f = *state;
	struct table_options o;
	struct table_app t = row(f, f->app, 2, &o);

	assert_int_equal(t.options + t.timeout_ms + t.idle_timeout_ms + t.flags, 0);
	assert_int_equal(f->strings.len + f->own.len, 0);
	end(f);
	put(f, f->other, "http", "body-limit", "1K");
	assert_int_equal(row(f, f->app, 2, &o).options, 0);
	end(f);
}

static void a_canary_is_an_option_of_its_app(void **state)
{
	struct fixture *f = *state;
	struct table_options o;

	put(f, 0, "http", "body-limit", "1K");
	assert_int_equal(db_app_set_canary(f->c.db, f->app, 3, 10), 0);
	assert_int_equal(row(f, f->app, 2, &o).options, 2);
	assert_int_equal(o.canary_release, 3);
	assert_int_equal(o.canary_percent, 10);
	assert_true(o.canary_key);
	assert_int_equal(o.body_max_bytes, 1024);
	end(f);
	assert_int_equal(row(f, f->other, 2, &o).options, 1);
	assert_true(!o.canary_key && !o.canary_release);
	end(f);
	assert_int_equal(db_app_set_canary(f->c.db, f->app, 0, 0), 0);
	assert_int_equal(row(f, f->app, 2, &o).options, 1);
	end(f);
}

static void own_values_come_before_those_of_all(void **state)
{
	struct fixture *f = *state;
	struct table_options o;

	put(f, 0, "http", "body-limit", "20M");
	put(f, 0, "http", "error-page", "all");
	put(f, 0, "http", "timeout", "5");
	put(f, f->app, "http", "body-limit", "1K");
	put(f, f->app, "http", "idle-timeout", "7");
	struct table_app t = row(f, f->app, 2, &o);
	assert_int_equal(o.body_max_bytes, 1024);
	assert_int_equal(o.error_page.len, 3);
	assert_memory_equal(f->strings.data + o.error_page.off, "all", 3);
	assert_int_equal(t.timeout_ms, 5000);
	assert_int_equal(t.idle_timeout_ms, 7000);
	end(f);
	t = row(f, f->other, 2, &o);
	assert_int_equal(o.body_max_bytes, 20 << 20);
	assert_int_equal(t.options, 1); /* the record of all apps, shared */
	end(f);
}

static void each_worker_gets_its_part(void **state)
{
	struct fixture *f = *state;
	struct table_options o;

	put(f, f->app, "http", "queue-limit", "9");
	row(f, f->app, 2, &o);
	assert_int_equal(o.queue_max, 5);
	end(f);
	row(f, f->app, 1, &o);
	assert_int_equal(o.queue_max, 9);
	end(f);
}

static void maintenance_is_a_flag_of_one_app(void **state)
{
	struct fixture *f = *state;
	struct table_options o;

	put(f, f->app, "maintenance", "enabled", "on");
	put(f, 0, "maintenance", "page", "<p>");
	struct table_app t = row(f, f->app, 2, &o);
	assert_int_equal(t.flags, APP_MAINTENANCE);
	assert_int_equal(o.maintenance_page.len, 3);
	end(f);
	assert_int_equal(row(f, f->other, 2, &o).flags, 0);
	end(f);
	put(f, f->app, "maintenance", "enabled", "off");
	assert_int_equal(row(f, f->app, 2, &o).flags, 0);
	end(f);
}

static void a_password_is_kept_as_a_key(void **state)
{
	struct fixture *f = *state;
	autobuf one = BUF_INIT, two = BUF_INIT;
	struct table_options o;
	uint8_t key[CREDENTIALS_KEY];

	assert_int_equal(options_hide_password("ann:secret", &one), 0);
	assert_int_equal(options_hide_password("ann:secret", &two), 0);
	assert_null(strstr(one.data, "secret"));
	assert_string_not_equal(one.data, two.data); /* each has its salt */
	put(f, f->app, "http", "auth", one.data);
	row(f, f->app, 2, &o);
	credentials_key("ann:secret", 10, o.auth_salt, o.auth_rounds, key);
	assert_true(credentials_equal(key, o.auth_key));
	end(f);
	/* what cannot be read lets nobody in */
	put(f, f->app, "http", "auth", "ann:secret");
	row(f, f->app, 2, &o);
	assert_int_equal(o.auth_rounds, 1);
	credentials_key("ann:secret", 10, o.auth_salt, o.auth_rounds, key);
	assert_false(credentials_equal(key, o.auth_key));
	end(f);
	for (const char *const *bad =
			(const char *const[]){"", "ann", ":x", "ann:", NULL};
		*bad; bad++) {
		autobuf out = BUF_INIT;

		assert_int_equal(options_hide_password(*bad, &out), -EINVAL);
	}
}

static void rates_and_nets_are_read(void **state)
{
	static const char *const bad[] = {"", "5", "/s", "5/", "5/h", "5/ss", "0/s",
		"-1/s", "1000001/s", "99999999999999999999/s"};
	struct fixture *f = *state;
	struct table_net nets[TABLE_NETS_MAX];
	char word[ADDR_TEXT_MAX];
	struct table_options o;
	uint32_t n, period;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(options_parse_rate(bad[i], &n, &period), -EINVAL);
	put(f, f->app, "http", "rate-limit", "90/m");
	put(f, 0, "http", "trusted-proxies", "10.0.0.0/8, 2001:db8::1");
	row(f, f->app, 2, &o);
	assert_int_equal(o.rate_n, 90);
	assert_int_equal(o.rate_period_ms, 60000);
	assert_int_equal(options_nets(&f->o, nets), 2);
	assert_int_equal(nets[0].addr[0], 10);
	assert_int_equal(nets[0].prefix, 8);
	assert_int_equal(nets[1].prefix, 128);
	end(f);
	assert_int_equal(options_parse_nets("10.0.0.0/8 x.example", nets, word), -EINVAL);
	assert_string_equal(word, "x.example");
	assert_int_equal(options_parse_nets("10.0.0.1/8", nets, word), -EINVAL);
	assert_int_equal(options_parse_nets(" , ", nets, word), -EINVAL);
}

static void stickiness_has_a_key_and_compression_a_flag(void **state)
{
	struct fixture *f = *state;
	char one[OPTIONS_STICKY_MAX], two[OPTIONS_STICKY_MAX];
	struct table_options o;
	uint64_t key;

	assert_int_equal(options_make_sticky(one), 0);
	assert_int_equal(options_make_sticky(two), 0);
	put(f, 0, "http", "sticky", one);
	put(f, 0, "http", "compression", "on");
	row(f, f->app, 2, &o);
	key = o.sticky_key;
	assert_true(key != 0);
	assert_int_equal(o.flags, OPTION_GZIP);
	end(f);
	put(f, f->app, "http", "sticky", two);
	row(f, f->app, 2, &o);
	assert_true(o.sticky_key && o.sticky_key != key);
	end(f);
	put(f, f->app, "http", "sticky", "off");
	put(f, f->app, "http", "compression", "off");
	row(f, f->app, 2, &o);
	assert_true(o.sticky_key == 0 && o.flags == 0);
	end(f);
}

static void an_app_is_spoken_to_as_it_asks(void **state)
{
	struct fixture *f = *state;
	struct table_options o;

	put(f, f->app, "http", "app-protocol", OPTIONS_H2C);
	row(f, f->app, 2, &o);
	assert_int_equal(o.flags, OPTION_H2C);
	end(f);
	put(f, f->app, "http", "app-protocol", OPTIONS_HTTP1);
	row(f, f->app, 2, &o);
	assert_int_equal(o.flags, 0);
	end(f);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_set_costs_nothing),
		TEST(own_values_come_before_those_of_all),
		TEST(a_canary_is_an_option_of_its_app),
		TEST(each_worker_gets_its_part),
		TEST(maintenance_is_a_flag_of_one_app),
		TEST(a_password_is_kept_as_a_key),
		TEST(rates_and_nets_are_read),
		TEST(stickiness_has_a_key_and_compression_a_flag),
		TEST(an_app_is_spoken_to_as_it_asks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

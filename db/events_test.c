/* The audit trail: what is kept and for how long, reading it, and being told of more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "db/fixture.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#define DAY_US ((uint64_t)86400 * 1000000)

static void add(struct db *db, const char *what, const char *app)
{
	const struct db_event e = {.actor = "ann",
		.what = what,
		.app = app,
		.detail = "with=that",
		.outcome = "ok"};

	assert_int_equal(db_event_add(db, &e), 0);
}

/* What they are called, in the order of the answer: "a b c". */
static void are(struct db *db, struct db_event_query want, const char *names)
{
	autobuf b = BUF_INIT;
	json_t *list, *row;
	size_t i;

	assert_int_equal(db_event_list(db, &want, &list), 0);
	json_array_foreach (list, i, row)
		buf_addf(&b, "%s%s", i ? " " : "",
			json_string_value(json_object_get(row, "what")));
	json_decref(list);
	assert_string_equal(b.data ? b.data : "", names);
}

static void they_are_read_by_app_number_and_time(void **state)
{
	struct db *db = ((struct fixture *)*state)->db;

	add(db, "one", "shop");
	add(db, "two", NULL);
	add(db, "three", "shop");
	uint64_t now = io_now_us();
	usleep(1000);
	add(db, "four", "blog");
	are(db, (struct db_event_query){0}, "four three two one");
	are(db, (struct db_event_query){.limit = 2}, "four three");
	are(db, (struct db_event_query){.app = "shop"}, "three one");
	are(db, (struct db_event_query){.since_us = now}, "four");
	are(db, (struct db_event_query){.after = 1, .rising = true, .limit = 2},
		"two three");
	are(db, (struct db_event_query){.after = 4, .rising = true}, "");
}

static void they_survive_their_app(void **state)
{
	struct db *db = ((struct fixture *)*state)->db;
	uint32_t app;

	assert_int_equal(db_app_create(db, "shop", &app), 0);
	add(db, "one", "shop");
	assert_int_equal(db_app_delete(db, app), 0);
	are(db, (struct db_event_query){.app = "shop"}, "one");
}

static void of_an_app_they_are_its_own_whatever_it_was_called(void **state)
{
	struct db *db = ((struct fixture *)*state)->db;
	uint32_t shop, blog, stranger;
	char ids[32];

	add(db, "before", "shop");
	assert_int_equal(db_app_create(db, "shop", &shop), 0);
	add(db, "one", "shop");
	assert_int_equal(db_app_create(db, "blog", &blog), 0);
	add(db, "two", "blog");
	add(db, "three", NULL);
	snprintf(ids, sizeof(ids), "[%u]", shop);
	are(db, (struct db_event_query){.apps = ids}, "one");
	are(db, (struct db_event_query){.apps = "[]"}, "");
	assert_int_equal(db_app_create(db, "store", &stranger), 0);
	add(db, "of another", "store");
	assert_int_equal(db_app_delete(db, stranger), 0);
	assert_int_equal(db_app_rename_begin(db, shop, "store"), 0);
	assert_int_equal(db_app_rename_end(db, shop), 0);
	add(db, "four", "shop");
	add(db, "five", "store");
	are(db, (struct db_event_query){.apps = ids}, "five one");
	snprintf(ids, sizeof(ids), "[%u,%u]", shop, blog);
	are(db, (struct db_event_query){.apps = ids, .limit = 2}, "five two");
	are(db, (struct db_event_query){.apps = ids, .rising = true}, "one two five");
	/* nor does a second one take those along */
	assert_int_equal(db_app_rename_begin(db, shop, "mall"), 0);
	assert_int_equal(db_app_rename_end(db, shop), 0);
	are(db, (struct db_event_query){.app = "store"}, "of another");
}

static void old_ones_go(void **state)
{
	struct db *db = ((struct fixture *)*state)->db;

	add(db, "old", NULL);
	add(db, "young", NULL);
	assert_int_equal(query_exec(db, "UPDATE event SET time_us=? WHERE id=1", "U",
				 io_now_us() - (DB_EVENTS_DAYS + 1) * DAY_US),
		1);
	assert_int_equal(query_exec(db, "UPDATE event SET time_us=? WHERE id=2", "U",
				 io_now_us() - (DB_EVENTS_DAYS - 1) * DAY_US),
		1);
	for (int i = 0; i < 64; i++)
		add(db, "new", NULL);
	are(db, (struct db_event_query){.rising = true, .limit = 2}, "young new");
}

static void no_more_than_so_many_stay(void **state)
{
	struct db *db = ((struct fixture *)*state)->db;

	add(db, "first", NULL);
	assert_true(query_exec(db, "UPDATE sqlite_sequence SET seq=? WHERE name='event'",
			    "u", DB_EVENTS_KEPT - 32) >= 0);
	add(db, "second", NULL);
	are(db, (struct db_event_query){.rising = true}, "first second");
	for (int i = 0; i < 96; i++)
		add(db, "more", NULL);
	are(db, (struct db_event_query){.rising = true, .limit = 2}, "second more");
}

static void berths_own_ones_are_fewer(void **state)
{
	struct db *db = ((struct fixture *)*state)->db;
	json_t *j;

	add(db, "mine", "z");
	for (int i = 0; i < 250; i++)
		assert_int_equal(db_event_add_own(db, "ps:wake", "z", "ok"), 0);
	assert_int_equal(db_event_list(db, &(struct db_event_query){.app = "z"}, &j), 0);
	assert_int_equal(json_array_size(j), DB_OWN_EVENTS_KEPT + 1);
	json_decref(j);
}

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	eventfd_t n;
	bool is = poll(&p, 1, 0) > 0;

	if (is)
		eventfd_read(fd, &n);
	return is;
}

static void followers_are_told(void **state)
{
	struct db *db = ((struct fixture *)*state)->db;
	int fds[DB_EVENT_WATCHERS_MAX];

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		assert_true((fds[i] = db_event_watch(db)) >= 0);
	assert_int_equal(db_event_watch(db), -EBUSY);
	assert_false(readable(fds[0]));
	add(db, "one", NULL);
	assert_true(readable(fds[0]) && readable(fds[63]));
	assert_false(readable(fds[0]));
	db_event_unwatch(db, fds[0]);
	add(db, "two", NULL);
	assert_true(readable(fds[1]) && readable(fds[63]));
	for (size_t i = 1; i < ARRAY_LEN(fds); i++)
		db_event_unwatch(db, fds[i]);
	assert_int_equal(db_event_watch(db) < 0, 0);
	add(db, "three", NULL);
}

static void a_deploy_that_was_interrupted_is_told(void **state)
{
	struct db *db = ((struct fixture *)*state)->db;
	struct db_image i = {.pack = "node"};
	struct db_release r = {.actor = "bob"};
	json_t *list;

	assert_int_equal(db_app_create(db, "shop", &i.app), 0);
	assert_int_equal(db_image_create(db, &i), 0);
	r.app = i.app;
	r.image = i.id;
	assert_int_equal(db_release_create(db, &r), 0);
	assert_int_equal(db_release_fail_pending(db, "berth was interrupted"), 1);
	assert_int_equal(db_release_fail_pending(db, "berth was interrupted"), 0);
	assert_int_equal(
		db_event_list(db, &(struct db_event_query){.app = "shop"}, &list), 0);
	assert_int_equal(json_array_size(list), 1);
	const json_t *row = json_array_get(list, 0);
	assert_string_equal(json_string_value(json_object_get(row, "who")), "bob");
	assert_string_equal(json_string_value(json_object_get(row, "detail")), "v1");
	assert_string_equal(json_string_value(json_object_get(row, "outcome")),
		"failed: berth was interrupted");
	json_decref(list);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(they_are_read_by_app_number_and_time),
		T(they_survive_their_app),
		T(of_an_app_they_are_its_own_whatever_it_was_called),
		T(old_ones_go),
		T(no_more_than_so_many_stay),
		T(berths_own_ones_are_fewer),
		T(followers_are_told),
		T(a_deploy_that_was_interrupted_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

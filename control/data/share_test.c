/* Whose the bytes on the disk are: each in one place, and the sum is the disk's. */
#include "control/data/share.h"
#include "control/data/space.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ROW(k, i, a, b)                                                                  \
	{                                                                                \
		.kind = (k), .id = (i), .app = (a), .bytes = (b)                         \
	}

static struct usage_row rows[] = {
	ROW(USAGE_LAYER, 1, 0, 1000),  /* base */
	ROW(USAGE_LAYER, 2, 0, 200),   /* of both apps */
	ROW(USAGE_LAYER, 3, 0, 30),    /* of one */
	ROW(USAGE_LAYER, 4, 0, 4),     /* of one, and tagged */
	ROW(USAGE_LAYER, 5, 0, 50),    /* tagged only */
	ROW(USAGE_LAYER, 6, 0, 600),   /* nobody's */
	ROW(USAGE_LAYER, 7, 0, 7000),  /* being made */
	ROW(USAGE_LAYER, 8, 0, 80000), /* an old base */
	ROW(USAGE_LAYER, 99, 0, 1),    /* without a row */
	ROW(USAGE_UPPER, 9, 0, 2),
	{.kind = USAGE_REPO, .name = "blog", .bytes = 11},
	{.kind = USAGE_REPO, .name = "none", .bytes = 12},
	ROW(USAGE_CACHE, 0, 10, 13),
	ROW(USAGE_CACHE, 5, 10, 14),
	ROW(USAGE_LOGS, 0, 20, 15),
	ROW(USAGE_LOGS, 0, 30, 16),
	ROW(USAGE_VOLUME, 1, 0, 17),
	ROW(USAGE_VOLUME, 2, 0, 18),
	ROW(USAGE_SNAPSHOTS, 1, 0, 100),
	ROW(USAGE_SNAPSHOTS, 2, 0, 200),
	ROW(USAGE_SCRATCH, 70, 10, 19),
	ROW(USAGE_SCRATCH, 71, 0, 20),
	ROW(USAGE_UNNAMED, 72, 20, 21),
	ROW(USAGE_CONTROL, 0, 0, 22),
	ROW(USAGE_TRASH, 0, 0, 23),
	ROW(USAGE_OTHER, 0, 0, 24),
};
static const struct usage usage = {rows, ARRAY_LEN(rows)};
static const struct db_app apps[] = {
	{.id = 20, .name = "blog"}, {.id = 10, .name = "api"}};
static const struct db_layer layers[] = {
	{.id = 1, .kind = "stack", .key = "debian-12", .ready = true},
	{.id = 2, .kind = "toolchain", .ready = true},
	{.id = 3, .kind = "source", .ready = true},
	{.id = 4, .kind = "build", .ready = true},
	{.id = 5, .kind = "import", .ready = true},
	{.id = 6, .kind = "deps", .ready = true},
	{.id = 7, .kind = "deps"},
	{.id = 8, .kind = "stack", .key = "debian-12@8", .ready = true},
};
static const struct db_need needs[] = {
	{1, 10}, {1, 20}, {2, 10}, {2, 20}, {3, 20}, {4, 0}, {4, 10}, {5, 0}};
static const struct db_mount mounts[] = {
	{.volume = 1, .app = 20}, {.volume = 1, .app = 10}};
static const struct share_from from = {.usage = &usage,
	.apps = apps,
	.n_apps = ARRAY_LEN(apps),
	.layers = layers,
	.n_layers = ARRAY_LEN(layers),
	.needs = needs,
	.n_needs = ARRAY_LEN(needs),
	.mounts = mounts,
	.n_mounts = ARRAY_LEN(mounts)};

static void each_byte_is_somebodys_once(void **state UNUSED)
{
	struct shares s;
	uint64_t sum = 0;

	assert_int_equal(shares_make(&from, &s), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		sum += rows[i].bytes;
	assert_int_equal(shares_total(&s), sum);
	assert_false(s.partial);
	shares_clear(&s);
	/* nothing in the database: still every byte */
	assert_int_equal(shares_make(&(struct share_from){.usage = &usage}, &s), 0);
	assert_int_equal(shares_total(&s), sum);
	shares_clear(&s);
}

static void layers_belong_to_whom_needs_them(void **state UNUSED)
{
	struct shares s;

	assert_int_equal(shares_make(&from, &s), 0);
	const struct share *blog = &s.apps[0], *api = &s.apps[1];
	assert_string_equal(blog->name, "blog");
	assert_int_equal(blog->layers, 30);
	assert_int_equal(api->layers, 4);
	assert_int_equal(blog->shared, 1200);
	assert_int_equal(api->shared, 1200);
	assert_int_equal(s.base, 1000);
	assert_int_equal(s.shared, 200);
	assert_int_equal(s.tagged, 50);
	assert_int_equal(s.unneeded, 80601);
	assert_int_equal(s.unfinished, 7002);
	shares_clear(&s);
}

static void all_else_belongs_to_its_app(void **state UNUSED)
{
	struct shares s;

	assert_int_equal(shares_make(&from, &s), 0);
	const struct share *blog = &s.apps[0], *api = &s.apps[1];
	assert_int_equal(blog->git, 11);
	assert_int_equal(api->caches, 27);
	assert_int_equal(blog->logs, 15);
	assert_int_equal(blog->volumes, 117); /* the first that mounts it */
	assert_int_equal(blog->snapshots, 100);
	assert_int_equal(s.volumes, 218);
	assert_int_equal(s.snapshots, 300);
	assert_int_equal(api->scratch, 19);
	assert_int_equal(blog->scratch, 21);
	assert_int_equal(blog->unnamed, 21);
	assert_int_equal(s.unnamed, 21);
	assert_int_equal(s.scratch, 20);
	assert_int_equal(s.gone, 12 + 16);
	assert_int_equal(share_total(blog), 30 + 11 + 15 + 117 + 21);
	shares_clear(&s);
	rows[0].flags = USAGE_PARTIAL;
	assert_int_equal(shares_make(&from, &s), 0);
	assert_true(s.partial);
	shares_clear(&s);
}

static void room_is_what_reserve_and_budget_leave(void **state UNUSED)
{
	struct space s = {.free = 1000, .total = 5000, .reserve = 300};

	assert_int_equal(space_room(&s), 700);
	s.budget = 400;
	s.used = 100;
	assert_int_equal(space_room(&s), 300);
	s.used = 500;
	assert_int_equal(space_room(&s), 0);
	s.used = 0;
	s.budget = 5000;
	assert_int_equal(space_room(&s), 700);
	s.reserve = 1001;
	assert_int_equal(space_room(&s), 0);
	assert_int_equal(space_reserve_default((uint64_t)900 << 20), (uint64_t)45 << 20);
	assert_int_equal(space_reserve_default((uint64_t)1 << 50), SPACE_RESERVE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_byte_is_somebodys_once),
		cmocka_unit_test(layers_belong_to_whom_needs_them),
		cmocka_unit_test(all_else_belongs_to_its_app),
		cmocka_unit_test(room_is_what_reserve_and_budget_leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

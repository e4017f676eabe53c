/* Snapshots of volumes: which are found, which stay. */
#include "lib/io.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
/* cmocka, which the fixture includes, wants the ones above */
#include "db/fixture.h"

static uint64_t volume(struct db *db)
{
	uint64_t id = 0;

	assert_int_equal(db_volume_create(db, "data", 0, &id), 0);
	return id;
}

static uint64_t take(struct db *db, uint64_t v, uint32_t app, uint32_t release)
{
	struct db_snapshot s = {
		.volume = v, .app = app, .release = release, .why = "manual", .files = 3};

	assert_int_equal(db_snapshot_begin(db, &s), 0);
	assert_int_equal(db_snapshot_ready(db, &s), 0);
	return s.id;
}

static uint32_t release(struct db *db, uint32_t app)
{
	struct db_image i = {.app = app};
	struct db_release r = {.app = app, .config = json_object(), .description = "d"};

	assert_int_equal(db_image_create(db, &i), 0);
	r.image = i.id;
	assert_int_equal(db_release_create(db, &r), 0);
	assert_int_equal(db_release_switch(db, app, r.version), 0);
	db_release_clear(&r);
	return r.version;
}

static int surplus(struct db *db, uint64_t v, uint64_t now_us)
{
	uint64_t *ids autofree = NULL;

	return db_snapshot_surplus(db, v, now_us, &ids);
}

static void only_finished_ones_are_listed_newest_first(void **state)
{
	struct fixture *f = *state;
	struct db_snapshot *rows autofree = NULL, half = {.why = "manual"}, s;
	uint64_t v = volume(f->db), one = take(f->db, v, 0, 0),
		 two = take(f->db, v, 0, 0);

	half.volume = v;
	assert_int_equal(db_snapshot_begin(f->db, &half), 0);
	assert_int_equal(db_snapshot_list(f->db, v, &rows), 2);
	assert_int_equal(rows[0].id, two);
	assert_int_equal(rows[1].id, one);
	assert_int_equal(rows[0].files, 3);
	assert_int_equal(db_snapshot_get(f->db, v, half.id, &s), -ENOENT);
	assert_int_equal(db_snapshot_get(f->db, v + 1, one, &s), -ENOENT);
	assert_int_equal(db_snapshot_drop_unready(f->db, half.created_us), 0);
	assert_int_equal(db_snapshot_drop_unready(f->db, half.created_us + 1), 1);
	assert_int_equal(db_volume_delete(f->db, v), 0);
	assert_int_equal(db_snapshot_get(f->db, v, one, &s), -ENOENT);
}

static void of_a_release_the_newest_counts(void **state)
{
	struct fixture *f = *state;
	struct db_snapshot s;
	uint64_t v = volume(f->db);
	uint32_t app = 0;

	assert_int_equal(db_app_create(f->db, "blog", &app), 0);
	take(f->db, v, app, 1);
	uint64_t newer = take(f->db, v, app, 1);
	take(f->db, v, app, 2);
	assert_int_equal(db_snapshot_of_release(f->db, v, app, 1, &s), 0);
	assert_int_equal(s.id, newer);
	assert_int_equal(db_snapshot_of_release(f->db, v, app, 3, &s), -ENOENT);
}

static void what_is_beyond_number_and_days_may_go(void **state)
{
	struct fixture *f = *state;
	uint64_t v = volume(f->db), now;
	struct db_volume_snapshots set;

	for (int i = 0; i < 5; i++)
		take(f->db, v, 0, 0);
	now = io_now_us() + 1000000;
	assert_int_equal(db_volume_snapshots(f->db, v, &set), 0);
	assert_int_equal(set.keep, DB_SNAPSHOTS_KEPT);
	assert_true(set.automatic);
	assert_int_equal(surplus(f->db, v, now), 0);
	set.keep = 2;
	assert_int_equal(db_volume_set_snapshots(f->db, v, &set), 0);
	assert_int_equal(surplus(f->db, v, now), 3);
	set.keep_days = 3;
	assert_int_equal(db_volume_set_snapshots(f->db, v, &set), 0);
	assert_int_equal(surplus(f->db, v, now), 0);
	assert_int_equal(surplus(f->db, v, now + UINT64_C(4) * 86400 * 1000000), 3);
}

/* It goes when the archive is written, or control starts anew. */
static void one_that_is_being_exported_takes_no_others_place(void **state)
{
	struct fixture *f = *state;
	uint64_t v = volume(f->db), now;
	struct db_volume_snapshots set;
	struct db_snapshot s = {.volume = v, .why = "export"};

	assert_int_equal(db_volume_snapshots(f->db, v, &set), 0);
	set.keep = 2;
	assert_int_equal(db_volume_set_snapshots(f->db, v, &set), 0);
	take(f->db, v, 0, 0);
	take(f->db, v, 0, 0);
	assert_int_equal(db_snapshot_begin(f->db, &s), 0);
	assert_int_equal(db_snapshot_ready(f->db, &s), 0);
	now = io_now_us() + 1000000;
	assert_int_equal(surplus(f->db, v, now), 0);
	take(f->db, v, 0, 0);
	take(f->db, v, 0, 0);
	assert_int_equal(surplus(f->db, v, now), 2);
	assert_int_equal(db_snapshot_get(f->db, v, s.id, &s), 0);
	assert_int_equal(db_snapshot_drop_unready(f->db, now), 1);
	assert_int_equal(db_snapshot_get(f->db, v, s.id, &s), -ENOENT);
}

static void those_of_kept_releases_and_of_a_restore_stay(void **state)
{
	struct fixture *f = *state;
	uint64_t v = volume(f->db), now, undo;
	uint64_t *undone autofree = NULL;
	struct db_volume_snapshots set;
	uint32_t app = 0;

	assert_int_equal(db_app_create(f->db, "blog", &app), 0);
	undo = take(f->db, v, 0, 0);
	for (int i = 0; i < 12; i++)
		take(f->db, v, app, release(f->db, app));
	take(f->db, v, 0, 0);
	now = io_now_us() + 1000000;
	assert_int_equal(db_volume_snapshots(f->db, v, &set), 0);
	set.keep = 1;
	assert_int_equal(db_volume_set_snapshots(f->db, v, &set), 0);
	assert_int_equal(db_volume_set_undo(f->db, v, undo), 0);
	/* v1 and v2: ten newer ones there are */
	assert_int_equal(surplus(f->db, v, now), 2);
	assert_int_equal(db_volume_undone(f->db, &undone), 1);
	assert_int_equal(undone[0], v);
	assert_int_equal(db_volume_set_undo(f->db, v, 0), 0);
	assert_int_equal(surplus(f->db, v, now), 3);
	assert_int_equal(db_app_delete(f->db, app), 0);
	assert_int_equal(surplus(f->db, v, now), 13);
}

/* volumes:set looks, and writes when a restore has begun or ended meanwhile. */
static void what_is_set_and_a_restore_leave_each_other_alone(void **state)
{
	struct fixture *f = *state;
	uint64_t v = volume(f->db);
	struct db_volume_snapshots set;

	assert_int_equal(db_volume_set_undo(f->db, v, 7), 0);
	assert_int_equal(db_volume_snapshots(f->db, v, &set), 0);
	assert_int_equal(set.undo, 7);
	assert_int_equal(set.keep, DB_SNAPSHOTS_KEPT);
	assert_true(set.automatic);
	set.keep = 3;
	set.keep_days = 4;
	set.automatic = false;
	assert_int_equal(db_volume_set_undo(f->db, v, 0), 0);
	assert_int_equal(db_volume_set_snapshots(f->db, v, &set), 0);
	assert_int_equal(db_volume_set_undo(f->db, v, 8), 0);
	set.undo = 0;
	assert_int_equal(db_volume_set_snapshots(f->db, v, &set), 0);
	assert_int_equal(db_volume_snapshots(f->db, v, &set), 0);
	assert_int_equal(set.undo, 8);
	assert_int_equal(set.keep, 3);
	assert_int_equal(set.keep_days, 4);
	assert_false(set.automatic);
	set.undo = 8;
	assert_int_equal(db_volume_set_undo(f->db, v, 0), 0);
	assert_int_equal(db_volume_set_snapshots(f->db, v, &set), 0);
	assert_int_equal(db_volume_snapshots(f->db, v, &set), 0);
	assert_int_equal(set.undo, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(only_finished_ones_are_listed_newest_first),
		T(of_a_release_the_newest_counts),
		T(what_is_beyond_number_and_days_may_go),
		T(one_that_is_being_exported_takes_no_others_place),
		T(those_of_kept_releases_and_of_a_restore_stay),
		T(what_is_set_and_a_restore_leave_each_other_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

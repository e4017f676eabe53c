/* Which volumes a deploy takes snapshots of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/data/snapshot_step.h"
#include "control/deploy/release_data.h"
#include "db/fixture.h"

static uint64_t make_volume(struct db *db, const char *name)
{
	const struct db_volume_snapshots none = {.automatic = false};
	uint64_t id;

	assert_int_equal(db_volume_create(db, name, 0, &id), 0);
	assert_int_equal(db_volume_set_whole(db, id, true), 0);
	assert_int_equal(db_volume_set_snapshots(db, id, &none), 0);
	return id;
}

static void mount(
	struct db *db, uint32_t app, uint64_t volume, const char *path, bool read_only)
{
	struct db_mount m = {.app = app, .volume = volume, .read_only = read_only};

	snprintf(m.path, sizeof(m.path), "%s", path);
	assert_int_equal(db_mount_add(db, &m), 0);
}

/* A second time would wait for the first one's end. */
static void a_volume_that_is_mounted_twice_is_locked_once(void **state)
{
	struct fixture *f = *state;
	struct control c = {.db = f->db};
	struct sink quiet = vault_quiet();
	struct release_data d;
	struct db_app a;

	assert_int_equal(db_app_create(f->db, "blog", &a.id), 0);
	assert_int_equal(db_app_by_id(f->db, a.id, &a), 0);
	uint64_t first = make_volume(f->db, "first"),
		 second = make_volume(f->db, "second"), read = make_volume(f->db, "read");
	mount(f->db, a.id, second, "/a", false);
	mount(f->db, a.id, first, "/b", false);
	mount(f->db, a.id, second, "/c", false);
	mount(f->db, a.id, read, "/d", true);
	release_data_begin(&c, &a, false, &quiet, &d);
	assert_int_equal(d.n, 2);
	assert_int_equal(d.volumes[0].v.id, first);
	assert_int_equal(d.volumes[1].v.id, second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_volume_that_is_mounted_twice_is_locked_once, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

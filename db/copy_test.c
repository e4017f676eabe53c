/* Copies of the database: what they hold, which ones stay, and the way back to one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "db/fixture.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define DAY_US ((uint64_t)86400 * 1000000)
#define DAY_1 (20000 * DAY_US) /* 2024-10-04 */
#define DAY_WRONG (120000 * DAY_US)
#define DAY_WRONG_NAME "2298-07-20.db"

static const char *copy_path(struct fixture *f, const char *name)
{
	snprintf(f->path, sizeof(f->path), "%s/copies/%s", f->folder, name);
	return f->path;
}

static bool there(struct fixture *f, const char *name)
{
	return access(copy_path(f, name), F_OK) == 0;
}

/* As the advice has it. */
static void go_back_to(struct fixture *f, const char *name)
{
	static const char *const old[] = {"berth.db", "berth.db-wal", "berth.db-shm"};
	autobuf copy = {.max = 16 << 20};
	char path[160];

	for (size_t i = 0; i < ARRAY_LEN(old); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->folder, old[i]);
		unlink(path);
	}
	assert_int_equal(io_read_file(AT_FDCWD, copy_path(f, name), &copy), 0);
	snprintf(path, sizeof(path), "%s/berth.db", f->folder);
	int fd autoclose = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, copy.data, copy.len), 0);
}

static void a_copy_holds_what_was_there_and_no_more(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	struct db_app a;
	struct stat st;
	uint32_t id;

	assert_int_equal(db_app_create(f->db, "before", &id), 0);
	assert_int_equal(db_begin(f->db), 0); /* nobody waits for the other */
	assert_int_equal(db_app_create(f->db, "during", &id), 0);
	assert_int_equal(db_copy_daily(f->folder, DAY_1, &e), 1);
	assert_int_equal(db_end(f->db, true), 0);
	assert_int_equal(db_copy_daily(f->folder, DAY_1 + DAY_US - 1, &e), 0);
	assert_int_equal(stat(copy_path(f, "2024-10-04.db"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_false(there(f, "new"));
	db_close(f->db);
	go_back_to(f, "2024-10-04.db");
	assert_int_equal(db_open(f->folder, fixture_key, &f->db, &e), 0);
	assert_int_equal(db_app_by_name(f->db, "before", &a), 0);
	assert_int_equal(db_app_by_name(f->db, "during", &a), -ENOENT);
}

static void the_copies_of_seven_days_stay(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	for (uint64_t day = 0; day < 9; day++)
		assert_int_equal(db_copy_daily(f->folder, DAY_1 + day * DAY_US, &e), 1);
	assert_false(there(f, "2024-10-04.db"));
	assert_false(there(f, "2024-10-05.db"));
	assert_true(there(f, "2024-10-06.db"));
	assert_true(there(f, "2024-10-12.db"));
	for (uint32_t v = 1; v < 6; v++)
		assert_int_equal(db_copy_version(f->folder, v, &e), 0);
	assert_false(there(f, "version-0002.db"));
	assert_true(there(f, "version-0003.db"));
	assert_true(there(f, "2024-10-06.db")); /* each kind for itself */
}

static void what_a_person_put_there_stays(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	assert_int_equal(db_copy_daily(f->folder, DAY_1, &e), 1);
	int fd autoclose =
		open(copy_path(f, "2024-10-04.db.mine"), O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	for (uint64_t day = 1; day < 9; day++)
		assert_int_equal(db_copy_daily(f->folder, DAY_1 + day * DAY_US, &e), 1);
	assert_true(there(f, "2024-10-04.db.mine"));
}

static void a_schema_that_changes_is_copied_before(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	char sql[64];
	autoquery q = QUERY_INIT;

	assert_int_equal(query_first(&q, f->db, "PRAGMA user_version", ""), 0);
	const uint32_t version = query_u32(&q, 0);
	query_close(&q);
	assert_false(there(f, "version-0001.db"));
	/* the last migration made the columns that it would make now: it fails, and the copy is there */
	snprintf(sql, sizeof(sql), "PRAGMA user_version=%u", version - 1);
	assert_true(query_exec(f->db, sql, "") >= 0);
	db_close(f->db);
	f->db = NULL;
	assert_true(db_open(f->folder, fixture_key, &f->db, &e) < 0);
	snprintf(sql, sizeof(sql), "version-%04u.db", version - 1);
	assert_true(there(f, sql));
}

/* Pages in the middle, as a failing disk leaves them. */
static void damage(struct fixture *f)
{
	char path[160], junk[8192];
	struct stat st;

	memset(junk, 0x5a, sizeof(junk));
	snprintf(path, sizeof(path), "%s/berth.db", f->folder);
	int fd autoclose = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_size > 16 * 1024);
	for (off_t at = 4096; at + (off_t)sizeof(junk) <= st.st_size; at += sizeof(junk))
		assert_int_equal(pwrite(fd, junk, sizeof(junk), at), sizeof(junk));
}

static void a_damaged_one_is_refused_with_the_way_back(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	struct db_app a;
	uint32_t id;

	assert_int_equal(db_app_create(f->db, "kept", &id), 0);
	assert_int_equal(db_copy_daily(f->folder, DAY_1, &e), 1);
	db_close(f->db);
	f->db = NULL;
	damage(f);
	assert_int_equal(db_open(f->folder, fixture_key, &f->db, &e), -EIO);
	assert_non_null(strstr(e.text, "2024-10-04"));
	assert_non_null(strstr(e.text, "stop berthd"));
	go_back_to(f, "2024-10-04.db");
	assert_int_equal(db_open(f->folder, fixture_key, &f->db, &e), 0);
	assert_int_equal(db_app_by_name(f->db, "kept", &a), 0);
}

static void one_of_a_wrong_clock_is_the_first_to_go(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	assert_int_equal(db_copy_daily(f->folder, DAY_WRONG, &e), 1);
	for (uint64_t day = 0; day < 6; day++)
		assert_int_equal(db_copy_daily(f->folder, DAY_1 + day * DAY_US, &e), 1);
	assert_true(there(f, DAY_WRONG_NAME));
	assert_int_equal(db_copy_advise(f->folder, &e), -EIO);
	assert_non_null(strstr(e.text, "copies/2024-10-09.db"));
	assert_int_equal(db_copy_daily(f->folder, DAY_1 + 6 * DAY_US, &e), 1);
	assert_false(there(f, DAY_WRONG_NAME));
	assert_true(there(f, "2024-10-04.db"));
	/* a clock that stands still in the past takes one of them, not all */
	assert_int_equal(db_copy_daily(f->folder, DAY_US, &e), 1);
	assert_true(there(f, "1970-01-02.db") && there(f, "2024-10-05.db"));
	assert_false(there(f, "2024-10-04.db"));
}

static void without_one_of_a_day_that_of_a_version_is_the_way_back(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	assert_int_equal(db_copy_advise(f->folder, &e), -EIO);
	assert_non_null(strstr(e.text, "there is no copy"));
	assert_int_equal(db_copy_version(f->folder, 8, &e), 0);
	assert_int_equal(db_copy_version(f->folder, 9, &e), 0);
	assert_int_equal(db_copy_advise(f->folder, &e), -EIO);
	assert_non_null(strstr(e.text, "copies/version-0009.db"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_copy_holds_what_was_there_and_no_more),
		T(the_copies_of_seven_days_stay),
		T(what_a_person_put_there_stays),
		T(a_schema_that_changes_is_copied_before),
		T(a_damaged_one_is_refused_with_the_way_back),
		T(one_of_a_wrong_clock_is_the_first_to_go),
		T(without_one_of_a_day_that_of_a_version_is_the_way_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

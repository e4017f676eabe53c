/* A database's file as accidents leave it: refused, with the way back, and never taken for a new one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "db/fixture.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define DAY_1 ((uint64_t)20000 * 86400 * 1000000) /* 2024-10-04 */

static const char *file(struct fixture *f, const char *name)
{
	snprintf(f->path, sizeof(f->path), "%s/%s", f->folder, name);
	return f->path;
}

/* With an app, a copy of the day, and (log) some of it only in the log; closed as a kill leaves it. */
static void fill(struct fixture *f, bool log)
{
	autobuf wal = {.max = 64 << 20}, db = {.max = 64 << 20};
	struct err e = {0};
	uint32_t id;

	assert_int_equal(db_app_create(f->db, "kept", &id), 0);
	assert_int_equal(db_copy_daily(f->folder, DAY_1, &e), 1);
	assert_int_equal(io_read_file(AT_FDCWD, file(f, "berth.db"), &db), 0);
	assert_int_equal(io_read_file(AT_FDCWD, file(f, "berth.db-wal"), &wal), 0);
	db_close(f->db);
	f->db = NULL;
	if (!log)
		return;
	int fd autoclose =
		open(file(f, "berth.db-wal"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(io_write_all(fd, wal.data, wal.len), 0);
	int main_fd autoclose = open(file(f, "berth.db"), O_WRONLY | O_TRUNC);
	assert_int_equal(io_write_all(main_fd, db.data, db.len), 0);
}

static void opens_with_the_app(struct fixture *f)
{
	struct err e = {0};
	struct db_app a;

	assert_int_equal(db_open(f->folder, fixture_key, &f->db, &e), 0);
	assert_int_equal(db_app_by_name(f->db, "kept", &a), 0);
}

static void is_refused(struct fixture *f, const char *why)
{
	struct err e = {0};

	assert_true(db_open(f->folder, fixture_key, &f->db, &e) < 0);
	assert_null(f->db);
	assert_null(strchr(e.text, '\n'));
	if (!strstr(e.text, why))
		fail_msg("\"%s\" is not in \"%s\"", why, e.text);
}

/* And says how to go back to the copy, which then works. */
static void is_refused_with_the_way_back(struct fixture *f, const char *why)
{
	static const char *const old[] = {"berth.db", "berth.db-wal", "berth.db-shm"};

	is_refused(f, why);
	is_refused(f, "cp -p copies/2024-10-04.db berth.db");
	for (size_t i = 0; i < ARRAY_LEN(old); i++)
		unlink(file(f, old[i]));
	char from[160];
	snprintf(from, sizeof(from), "%s", file(f, "copies/2024-10-04.db"));
	assert_int_equal(link(from, file(f, "berth.db")), 0);
	opens_with_the_app(f);
}

static void overwrite(struct fixture *f, const char *name, off_t at, size_t len)
{
	char junk[4096];
	int fd autoclose = open(file(f, name), O_WRONLY | O_CLOEXEC);

	memset(junk, 0x5a, sizeof(junk));
	assert_true(fd >= 0 && len <= sizeof(junk));
	assert_int_equal(pwrite(fd, junk, len, at), len);
}

static void a_kill_leaves_a_log_that_is_read(void **state)
{
	struct fixture *f = *state;

	fill(f, true);
	opens_with_the_app(f);
}

static void a_damaged_header(void **state)
{
	fill(*state, false);
	overwrite(*state, "berth.db", 0, 100);
	is_refused_with_the_way_back(*state, "not a database");
}

static void damaged_pages_in_the_middle(void **state)
{
	fill(*state, false);
	for (off_t page = 8; page < 12; page++)
		overwrite(*state, "berth.db", page * 4096, 4096);
	is_refused_with_the_way_back(*state, "damaged");
}

static void a_file_that_was_cut(void **state)
{
	struct fixture *f = *state;

	fill(f, false);
	assert_int_equal(truncate(file(f, "berth.db"), 40000), 0);
	is_refused_with_the_way_back(f, "malformed");
}

static void a_log_of_garbage(void **state)
{
	fill(*state, true);
	overwrite(*state, "berth.db-wal", 0, 4096);
	is_refused_with_the_way_back(*state, "its log");
}

/* Space that was given to it before anything was written. */
static void a_log_of_zeros_is_none(void **state)
{
	struct fixture *f = *state;

	fill(f, false);
	int fd autoclose =
		open(file(f, "berth.db-wal"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 8192), 0);
	opens_with_the_app(f);
}

static void a_file_that_is_gone_is_no_first_start(void **state)
{
	struct fixture *f = *state;

	fill(f, false);
	assert_int_equal(unlink(file(f, "berth.db")), 0);
	is_refused(f, "to begin anew");
	is_refused_with_the_way_back(f, "is missing");
}

static void a_file_that_is_empty_is_no_first_start(void **state)
{
	struct fixture *f = *state;

	fill(f, false);
	assert_int_equal(truncate(file(f, "berth.db"), 0), 0);
	is_refused_with_the_way_back(f, "is empty");
}

static void a_folder_in_its_place(void **state)
{
	struct fixture *f = *state;

	fill(f, false);
	assert_int_equal(unlink(file(f, "berth.db")), 0);
	assert_int_equal(mkdir(file(f, "berth.db"), 0700), 0);
	is_refused(f, "is no file");
}

static void one_that_only_may_be_read_is_made_writable(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	uint32_t id;

	fill(f, false);
	assert_int_equal(chmod(file(f, "berth.db"), 0444), 0);
	opens_with_the_app(f);
	assert_int_equal(db_app_create(f->db, "more", &id), 0);
	assert_int_equal(stat(file(f, "berth.db"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_kill_leaves_a_log_that_is_read),
		T(a_damaged_header),
		T(damaged_pages_in_the_middle),
		T(a_file_that_was_cut),
		T(a_log_of_garbage),
		T(a_log_of_zeros_is_none),
		T(a_file_that_is_gone_is_no_first_start),
		T(a_file_that_is_empty_is_no_first_start),
		T(a_folder_in_its_place),
		T(one_that_only_may_be_read_is_made_writable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

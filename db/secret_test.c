/* Secrets at rest: what lies in the files, and what is not opened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "db/fixture.h"
#include "db/secret.h"
#include <dirent.h>
#include <errno.h>
#include <string.h>

#define DAY_US ((uint64_t)86400 * 1000000)

static const char planted[] = "hunter2-planted-by-the-test";

static void reopen(struct fixture *f)
{
	struct err e = {0};

	db_close(f->db);
	f->db = NULL;
	assert_int_equal(db_open(f->folder, fixture_key, &f->db, &e), 0);
}

/* How many files below the folder have the planted text. */
static int files_with(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *entry;
	int n = 0;

	while (d && (entry = readdir(d))) {
		autobuf b = {.max = 64 << 20};
		char path[512];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		if (entry->d_type == DT_DIR)
			n += files_with(path);
		else if (io_read_file(AT_FDCWD, path, &b) == 0 && b.len)
			n += memmem(b.data, b.len, planted, strlen(planted)) != NULL;
	}
	if (d)
		closedir(d);
	return n;
}

static uint32_t make_app(struct db *db, const char *name)
{
	uint32_t id;

	assert_int_equal(db_app_create(db, name, &id), 0);
	return id;
}

static uint32_t make_release(struct db *db, uint32_t app, json_t *config)
{
	struct db_image i = {.app = app, .pack = "node"};
	struct db_release r = {.app = app, .config = config, .actor = "tester"};

	assert_int_equal(db_image_create(db, &i), 0);
	r.image = i.id;
	assert_int_equal(db_release_create(db, &r), 0);
	db_image_clear(&i);
	db_release_clear(&r);
	return r.version;
}

/* Config, a release and a login with the planted text. */
static uint32_t plant(struct db *db)
{
	uint32_t app = make_app(db, "shop");
	json_t *config = json_pack("{s:s, s:s}", "TOKEN", planted, "EMPTY", "");
	autobuf large = {.max = 1 << 20};

	while (large.len < 60000)
		buf_adds(&large, planted);
	json_object_set_new(config, "LARGE", json_string(large.data));
	assert_int_equal(db_config_put(db, app, config), 0);
	make_release(db, app, config);
	assert_int_equal(db_login_put(db, "registry.example.com", "me", planted), 0);
	return app;
}

static void check_planted(struct db *db, uint32_t app)
{
	struct db_release r = {0};
	struct db_login l;
	json_t *config;

	assert_int_equal(db_config_get(db, app, &config), 0);
	assert_string_equal(json_string_value(json_object_get(config, "TOKEN")), planted);
	assert_string_equal(json_string_value(json_object_get(config, "EMPTY")), "");
	assert_int_equal(db_release_get(db, app, 1, &r), 0);
	assert_true(json_equal(config, r.config));
	assert_int_equal(db_login_get(db, "registry.example.com", &l), 0);
	assert_string_equal(l.password, planted);
	db_login_clear(&l);
	db_release_clear(&r);
	json_decref(config);
}

static void secrets_are_in_no_file_and_read_back(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	uint32_t app = plant(f->db);

	assert_int_equal(db_copy_daily(f->folder, 20000 * DAY_US, &e), 1);
	assert_int_equal(files_with(f->folder), 0); /* database, log, copy */
	reopen(f);
	check_planted(f->db, app);
	assert_int_equal(files_with(f->folder), 0);
	/* the same search finds what is no secret: it looks at the right files */
	make_app(f->db, planted);
	assert_true(files_with(f->folder) > 0);
}

/* Rows as the version before wrote them. */
static void open_rows(struct db *db, uint32_t app)
{
	json_t *config;

	assert_int_equal(db_config_get(db, app, &config), 0);
	char *text autofree = json_dumps(config, JSON_COMPACT);
	json_decref(config);
	assert_int_equal(query_exec(db, "UPDATE config SET value=? WHERE key='TOKEN'",
				 "s", planted),
		1);
	assert_int_equal(
		query_exec(db, "UPDATE config SET value='' WHERE key='EMPTY'", ""), 1);
	assert_int_equal(query_exec(db,
				 "UPDATE config SET value=(SELECT json_extract(?1, "
				 "'$.LARGE')) WHERE key='LARGE'",
				 "s", text),
		1);
	assert_int_equal(query_exec(db, "UPDATE release SET config=?", "s", text), 1);
	assert_int_equal(query_exec(db, "UPDATE login SET password=?", "s", planted), 1);
	undo_members(db);
	undo_later(db);
	assert_true(query_exec(db, "DROP TABLE secret_key", "") >= 0);
	assert_true(query_exec(db, "DROP INDEX event_app", "") >= 0);
	assert_true(query_exec(db, "DROP INDEX event_time", "") >= 0);
	assert_true(query_exec(db, "ALTER TABLE event DROP COLUMN detail", "") >= 0);
	assert_true(query_exec(db, "DROP INDEX event_of", "") >= 0);
	assert_true(query_exec(db, "ALTER TABLE event DROP COLUMN of_app", "") >= 0);
	/* what later versions added */
	assert_true(query_exec(db, "ALTER TABLE volume DROP COLUMN whole", "") >= 0);
	assert_true(
		query_exec(db, "ALTER TABLE volume_mount DROP COLUMN pending", "") >= 0);
	assert_true(
		query_exec(db, "ALTER TABLE app DROP COLUMN config_pending", "") >= 0);
	assert_true(query_exec(db, "DROP TABLE snapshot", "") >= 0);
	assert_true(query_exec(db, "DROP TABLE volume_snapshots", "") >= 0);
	assert_true(query_exec(db, "DROP TABLE drain", "") >= 0);
	assert_true(query_exec(db, "ALTER TABLE volume DROP COLUMN size_bytes", "") >= 0);
	assert_true(query_exec(db, "ALTER TABLE volume_mount DROP COLUMN type", "") >= 0);
	assert_true(query_exec(db, "PRAGMA user_version=12", "") >= 0);
}

static void what_lay_open_is_encrypted_and_leaves_no_trace(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	uint32_t app = plant(f->db), gone = make_app(f->db, "gone");

	open_rows(f->db, app);
	/* and one that is only in pages that are free by now */
	assert_int_equal(query_exec(f->db, "INSERT INTO config VALUES(?, 'A', ?)", "us",
				 gone, planted),
		1);
	assert_int_equal(db_app_delete(f->db, gone), 0);
	assert_int_equal(db_copy_daily(f->folder, 20000 * DAY_US, &e), 1);
	assert_int_equal(db_copy_version(f->folder, 11, &e), 0);
	assert_true(files_with(f->folder) >= 3);
	reopen(f);
	assert_int_equal(files_with(f->folder), 0);
	check_planted(f->db, app);
	/* done once: copies stay from now on */
	assert_int_equal(db_copy_daily(f->folder, 20000 * DAY_US, &e), 1);
	reopen(f);
	assert_int_equal(db_copy_daily(f->folder, 20000 * DAY_US, &e), 0);
	check_planted(f->db, app);
}

/* As if the process had been killed between the migration and the removal of its traces. */
static void a_removal_that_was_cut_off_is_done_at_the_next_start(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	uint32_t app = plant(f->db);

	assert_int_equal(db_copy_daily(f->folder, 20000 * DAY_US, &e), 1);
	assert_int_equal(query_exec(f->db, "UPDATE secret_key SET swept=0", ""), 1);
	reopen(f);
	assert_int_equal(
		db_copy_daily(f->folder, 20000 * DAY_US, &e), 1); /* it was removed */
	check_planted(f->db, app);
}

static void another_key_is_refused(void **state)
{
	struct fixture *f = *state;
	uint8_t other[DB_KEY_SIZE];
	struct err e = {0};
	uint32_t app = plant(f->db);

	memcpy(other, fixture_key, sizeof(other));
	other[31] ^= 1;
	db_close(f->db);
	f->db = NULL;
	assert_int_equal(db_open(f->folder, other, &f->db, &e), -EKEYREJECTED);
	assert_non_null(strstr(e.text, "secret.key"));
	assert_null(f->db);
	assert_int_equal(db_open(f->folder, fixture_key, &f->db, &e), 0);
	check_planted(f->db, app);
}

static void a_value_in_another_row_is_not_opened(void **state)
{
	struct fixture *f = *state;
	uint32_t app = plant(f->db), other = make_app(f->db, "other");
	struct db_release r = {0};
	json_t *config = NULL;

	make_release(f->db, app, json_pack("{s:s}", "TOKEN", "2"));
	assert_int_equal(query_exec(f->db,
				 "INSERT INTO config SELECT ?, key, value FROM config "
				 "WHERE key='TOKEN'",
				 "u", other),
		1);
	assert_int_equal(db_config_get(f->db, other, &config), -EBADMSG);
	assert_int_equal(query_exec(f->db,
				 "UPDATE release SET config=(SELECT config FROM release "
				 "WHERE version=1) WHERE version=2",
				 ""),
		1);
	assert_int_equal(db_release_get(f->db, app, 2, &r), -EBADMSG);
	db_release_clear(&r);
	assert_int_equal(db_release_get(f->db, app, 1, &r), 0);
	db_release_clear(&r);
}

static void a_changed_byte_is_seen(void **state)
{
	struct fixture *f = *state;
	const struct secret_place p = secret_place("config/1/A");
	autobuf sealed = BUF_INIT, again = BUF_INIT;

	assert_int_equal(secret_seal(f->db, &p, planted, strlen(planted), &sealed), 0);
	assert_int_equal(secret_seal(f->db, &p, planted, strlen(planted), &again), 0);
	assert_int_equal(sealed.len, again.len);
	assert_memory_not_equal(sealed.data, again.data, sealed.len); /* a nonce each */
	for (size_t i = 0; i < sealed.len; i += 4) { /* form, id, nonce, text and tag */
		autobuf out = BUF_INIT;

		sealed.data[i] ^= 1;
		assert_int_equal(
			secret_open(f->db, &p, sealed.data, sealed.len, &out), -EBADMSG);
		assert_int_equal(out.len, 0);
		sealed.data[i] ^= 1;
	}
	for (size_t len = 0; len < sealed.len; len += 16) {
		autobuf out = BUF_INIT;

		assert_int_equal(
			secret_open(f->db, &p, sealed.data, len, &out), -EBADMSG);
	}
	autobuf out = BUF_INIT;
	assert_int_equal(secret_open(f->db, &p, sealed.data, sealed.len, &out), 0);
	assert_string_equal(out.data, planted);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(secrets_are_in_no_file_and_read_back),
		T(what_lay_open_is_encrypted_and_leaves_no_trace),
		T(a_removal_that_was_cut_off_is_done_at_the_next_start),
		T(another_key_is_refused),
		T(a_value_in_another_row_is_not_opened),
		T(a_changed_byte_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

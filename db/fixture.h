/* A database of a test's own. Include after the standard headers that cmocka needs. */
#ifndef DB_FIXTURE_H
#define DB_FIXTURE_H

#include "db/query.h"
#include "lib/io.h"
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>

/* To use in place of berthd's. */
static const uint8_t fixture_key[DB_KEY_SIZE] = "a key of the tests, 32 bytes lon";

struct fixture {
	char folder[64];
	char path[160]; /* a place to put a name together */
	struct db *db;
};

/* As before there were members: a key is a name. */
UNUSED static void undo_members(struct db *db)
{
	static const char *const back[] = {"DROP TRIGGER access_of_app",
		"DROP TABLE volume_maker", "DROP TABLE token", "DROP TABLE access",
		"DROP TABLE ssh_key", "DROP TABLE member",
		"CREATE TABLE ssh_key (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT "
		"NOT NULL, type TEXT NOT NULL, blob TEXT NOT NULL UNIQUE, fingerprint "
		"TEXT NOT NULL, created_us INTEGER NOT NULL)"};

	for (size_t i = 0; i < ARRAY_LEN(back); i++)
		assert_true(query_exec(db, back[i], "") >= 0);
}

/* As before migration 20. */
UNUSED static void undo_later(struct db *db)
{
	static const char *const back[] = {"ALTER TABLE app DROP COLUMN rename_to",
		"DROP TABLE former_name", "DROP TABLE preview",
		"DROP TABLE webhook_delivery", "DROP TABLE webhook", "DROP TABLE pushed",
		"DROP TABLE cron_run", "DROP TABLE cron_task",
		"ALTER TABLE instance DROP COLUMN command",
		"ALTER TABLE instance DROP COLUMN actor",
		"ALTER TABLE instance DROP COLUMN detached"};

	for (size_t i = 0; i < ARRAY_LEN(back); i++)
		assert_true(query_exec(db, back[i], "") >= 0);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e = {0};

	snprintf(f->folder, sizeof(f->folder), "/tmp/berth-db.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	assert_int_equal(db_open(f->folder, fixture_key, &f->db, &e), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	db_close(f->db);
	io_remove_tree(AT_FDCWD, f->folder);
	free(f);
	return 0;
}

#endif

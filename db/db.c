/* Opens the database, checks it, brings its schema up to date; transactions. */
#include "db/secret.h"
#include "lib/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define RESERVE_BYTES (8 << 20)
#define CHUNK_BYTES (256 << 10)

/* The schema travels inside the program, so that program and schema cannot come from two
 * versions. */
#define SQL_FILE(symbol, file)                                                           \
	__asm__(".pushsection .rodata\n"                                                 \
		".global " #symbol "\n" #symbol ": .incbin \"" file "\"\n"               \
		".byte 0\n"                                                              \
		".popsection\n");                                                        \
	extern const char symbol[]
SQL_FILE(db_schema_1, "db/schema.sql");
SQL_FILE(db_schema_2, "db/migration_2.sql");
SQL_FILE(db_schema_3, "db/migration_3.sql");
SQL_FILE(db_schema_4, "db/migration_4.sql");
SQL_FILE(db_schema_5, "db/migration_5.sql");
SQL_FILE(db_schema_6, "db/migration_6.sql");
SQL_FILE(db_schema_7, "db/migration_7.sql");
SQL_FILE(db_schema_8, "db/migration_8.sql");
SQL_FILE(db_schema_9, "db/migration_9.sql");
SQL_FILE(db_schema_10, "db/migration_10.sql");
SQL_FILE(db_schema_11, "db/migration_11.sql");
SQL_FILE(db_schema_12, "db/migration_12.sql");
SQL_FILE(db_schema_13, "db/migration_13.sql");
SQL_FILE(db_schema_14, "db/migration_14.sql");
SQL_FILE(db_schema_15, "db/migration_15.sql");
SQL_FILE(db_schema_16, "db/migration_16.sql");
SQL_FILE(db_schema_17, "db/migration_17.sql");
SQL_FILE(db_schema_18, "db/migration_18.sql");
SQL_FILE(db_schema_19, "db/migration_19.sql");
SQL_FILE(db_schema_20, "db/migration_20.sql");
SQL_FILE(db_schema_21, "db/migration_21.sql");
SQL_FILE(db_schema_22, "db/migration_22.sql");
SQL_FILE(db_schema_23, "db/migration_23.sql");
SQL_FILE(db_schema_24, "db/migration_24.sql");

/* Migration N brings a database of user_version N-1 to N. Only ever append. */
static const char *const migrations[] = {
	db_schema_1,
	db_schema_2,
	db_schema_3,
	db_schema_4,
	db_schema_5,
	db_schema_6,
	db_schema_7,
	db_schema_8,
	db_schema_9,
	db_schema_10,
	db_schema_11,
	db_schema_12,
	db_schema_13,
	db_schema_14,
	db_schema_15,
	db_schema_16,
	db_schema_17,
	db_schema_18,
	db_schema_19,
	db_schema_20,
	db_schema_21,
	db_schema_22,
	db_schema_23,
	db_schema_24,
};
#define MIGRATION_SECRETS 13 /* what secret_seal_all is part of */

/*
 * WAL with synchronous=NORMAL: a killed process loses nothing; a power cut may lose the
 * last transactions but never the database. An fsync a commit would cost several
 * milliseconds in each of the dozen steps of a deploy: there is one before each answer
 * (db_settle).
 */
static const char setup_sql[] =
	"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;"
	"PRAGMA trusted_schema=OFF; PRAGMA temp_store=MEMORY;"
	"PRAGMA journal_size_limit=16777216;";

static int exec(struct db *db, const char *sql, struct err *e)
{
	char *message = NULL;

	if (sqlite3_exec(db->handle, sql, NULL, NULL, &message) == SQLITE_OK)
		return 0;
	int code = sqlite3_errcode(db->handle) == SQLITE_FULL ? ENOSPC : EIO;
	int r = err_set(
		e, code, "database: %s", message ? message : sqlite3_errmsg(db->handle));
	sqlite3_free(message);
	return r;
}

/* The first line of what SQLite found names only the database. */
static int tell_damage(const char *found, struct err *e)
{
	const char *line = strchr(found, '\n');

	return err_set(e, EUCLEAN, "database is damaged: %s", line ? line + 1 : found);
}

static int check(struct db *db, struct err *e)
{
	autoquery q = QUERY_INIT;

	if (query_open(&q, db, "PRAGMA quick_check(1)", "") < 0 || query_next(&q) != 1)
		return err_set(e, EIO, "database: cannot be read: %s",
			sqlite3_errmsg(db->handle));
	if (strcmp(query_str(&q, 0), "ok") != 0)
		return tell_damage(query_str(&q, 0), e);
	return 0;
}

static bool is_damaged(struct db *db, int r)
{
	int code = sqlite3_errcode(db->handle) & 0xff;

	return r == -EUCLEAN || code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
}

static int read_version(struct db *db, uint32_t *ret)
{
	autoquery q = QUERY_INIT;
	int r = query_open(&q, db, "PRAGMA user_version", "");

	if (r < 0)
		return r;
	r = query_next(&q);
	if (r <= 0)
		return r < 0 ? r : -EIO;
	*ret = query_u32(&q, 0);
	return 0;
}

static int migrate_one(struct db *db, uint32_t number, bool fresh, struct err *e)
{
	char version[64];
	int r = exec(db, "BEGIN IMMEDIATE", e);

	if (r < 0)
		return r;
	snprintf(version, sizeof(version), "PRAGMA user_version=%u", number);
	r = exec(db, migrations[number - 1], e);
	if (r == 0 && number == MIGRATION_SECRETS)
		r = secret_seal_all(db, fresh, e);
	if (r == 0)
		r = exec(db, version, e);
	if (r == 0)
		r = exec(db, "COMMIT", e);
	if (r < 0) {
		exec(db, "ROLLBACK", NULL);
		return err_add(e, "migration %u", number);
	}
	log_info("database: migrated to version %u", number);
	return 0;
}

static int migrate(struct db *db, const char *folder, struct err *e)
{
	uint32_t version = 0;
	int r = read_version(db, &version);

	if (r < 0)
		return err_sys(e, -r, "database: its version cannot be read");
	if (version > ARRAY_LEN(migrations))
		return err_set(e, EPROTO,
			"database: made by a newer berth (version %u, this one knows "
			"%zu): install that one again",
			version, ARRAY_LEN(migrations));
	if (version > 0 && version < ARRAY_LEN(migrations))
		r = db_copy_version(folder, version, e);
	for (uint32_t n = version + 1; r == 0 && n <= ARRAY_LEN(migrations); n++)
		r = migrate_one(db, n, version == 0, e);
	return r;
}

static struct db *new_db(void)
{
	struct db *db = calloc(1, sizeof(*db));
	pthread_mutexattr_t attr;

	if (!db)
		return NULL;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&db->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	pthread_mutex_init(&db->watchers_lock, NULL);
	return db;
}

/* SQLite locks other files of the database, not this one: it may be opened and closed. */
static int open_log(struct db *db)
{
	const char *name = sqlite3_db_filename(db->handle, "main");
	char path[4096];
	int fd;

	if (!name || snprintf(path, sizeof(path), "%s-wal", name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* What has left the log already was synced into the database before (SQLite, "WAL", checkpoints). */
int db_settle(struct db *db)
{
	int fd autoclose = open_log(db);

	return fd < 0 ? fd : fdatasync(fd) < 0 ? -errno : 0;
}

void db_reserve(struct db *db)
{
	int fd autoclose = open_log(db);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size < RESERVE_BYTES)
		(void)fallocate(
			fd, FALLOC_FL_KEEP_SIZE, st.st_size, RESERVE_BYTES - st.st_size);
}

int db_open(const char *folder, const uint8_t key[DB_KEY_SIZE], struct db **ret,
	struct err *e)
{
	char path[4096];
	int n = snprintf(path, sizeof(path), "%s/berth.db", folder);

	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(
			e, ENAMETOOLONG, "database: the folder's name is too long");
	int r = db_file_check(folder, e);
	if (r < 0)
		return r == -EUCLEAN ? db_copy_advise(folder, e) : r;
	struct db *db = new_db();
	if (!db)
		return err_sys(e, ENOMEM, "database");
	memcpy(db->key, key, DB_KEY_SIZE);
	int chunk = CHUNK_BYTES,
	    flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	if (sqlite3_open_v2(path, &db->handle, flags, NULL) != SQLITE_OK) {
		r = err_set(e, EIO, "database: %s: %s", path,
			db->handle ? sqlite3_errmsg(db->handle) : "out of memory");

		db_close(db);
		return r;
	}
	chmod(path, 0600);
	sqlite3_extended_result_codes(db->handle, 1);
	sqlite3_busy_timeout(
		db->handle, 2000); /* a person's sqlite3 shell or a backup beside us */
	r = exec(db, setup_sql, e);
	if (r == 0 && sqlite3_db_readonly(db->handle, "main") == 1)
		r = err_set(e, EROFS,
			"database: %s cannot be written: is its file system mounted "
			"read-only?",
			path);
	if (r == 0)
		r = check(db, e);
	if (r < 0 && is_damaged(db, r))
		r = db_copy_advise(folder, e);
	if (r == 0)
		r = migrate(db, folder, e);
	if (r == 0)
		r = secret_check(db, folder, e);
	if (r < 0) {
		db_close(db);
		return r;
	}
	/* From here on, as it would keep pages that were cut off in the file. */
	sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk);
	db_reserve(db);
	*ret = db;
	return 0;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	sqlite3_close_v2(db->handle);
	pthread_mutex_destroy(&db->lock);
	pthread_mutex_destroy(&db->watchers_lock);
	explicit_bzero(db->key, sizeof(db->key));
	free(db);
}

int db_begin(struct db *db)
{
	pthread_mutex_lock(&db->lock);
	int r = query_exec(db, db->depth ? "SAVEPOINT inner" : "BEGIN IMMEDIATE", "");
	if (r < 0) {
		pthread_mutex_unlock(&db->lock);
		return r;
	}
	db->depth++;
	return 0;
}

int db_end(struct db *db, bool ok)
{
	bool inner = db->depth > 1;
	int r = 0;

	if (ok)
		r = query_exec(db, inner ? "RELEASE inner" : "COMMIT", "");
	if (!ok || r < 0) {
		query_exec(db, inner ? "ROLLBACK TO inner" : "ROLLBACK", "");
		if (inner)
			query_exec(db, "RELEASE inner", "");
	}
	db->depth--;
	pthread_mutex_unlock(&db->lock);
	return r < 0 ? r : 0;
}

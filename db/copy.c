/* Copies of the database: one a day, and one before each change of its schema. */
#include "db/query.h"
#include "db/restore.h"
#include "lib/io.h"
#include "lib/stamp.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define COPIES "copies"
#define NEW_NAME "new"
#define DAYS_KEPT 7
#define VERSIONS_KEPT 3
#define NAME_SIZE 32
#define BUSY_MS 2000

/* 0: any digit. */
static const char day_pattern[] = "0000-00-00.db", version_pattern[] = "version-0000.db";

static void name_day(uint64_t now_us, char out[NAME_SIZE])
{
	char stamp[STAMP_SIZE];

	stamp_format(now_us, stamp);
	snprintf(out, NAME_SIZE, "%.10s.db", stamp);
}

static bool matches(const char *name, const char *pattern)
{
	for (; *pattern && *name; pattern++, name++)
		if (*pattern == '0' ? *name < '0' || *name > '9' : *name != *pattern)
			return false;
	return !*pattern && !*name;
}

/* ---- one copy ---- */

static int vacuum(const char *from, const char *to, struct err *e)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *s = NULL;
	int code = sqlite3_open_v2(
		from, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	if (code == SQLITE_OK) {
		sqlite3_busy_timeout(db, BUSY_MS);
		code = sqlite3_prepare_v2(db, "VACUUM INTO ?", -1, &s, NULL);
	}
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(s, 1, to, -1, SQLITE_STATIC);
	if (code == SQLITE_OK && sqlite3_step(s) != SQLITE_DONE)
		code = sqlite3_errcode(db);
	int r = code == SQLITE_OK ? 0
				  : err_set(e, code == SQLITE_FULL ? ENOSPC : EIO, "%s",
					    db ? sqlite3_errmsg(db) : "out of memory");
	sqlite3_finalize(s);
	sqlite3_close(db);
	return r;
}

/* On disk, then under its name: a copy is whole or not there. */
static int settle(int dir, int file, const char *name, struct err *e)
{
	if (fsync(file) < 0 || renameat(dir, NEW_NAME, dir, name) < 0 || fsync(dir) < 0)
		return err_sys(e, errno, COPIES "/%s", name);
	return 0;
}

static int open_copies(const char *folder, bool make, struct err *e)
{
	char path[4096];
	int dir;

	snprintf(path, sizeof(path), "%s/" COPIES, folder);
	if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "make %s", path);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? err_sys(e, errno, "open %s", path) : dir;
}

static int copy_into(int dir, const char *folder, const char *name, struct err *e)
{
	char from[4096], to[4096];
	int file autoclose = -1, r;

	snprintf(from, sizeof(from), "%s/berth.db", folder);
	snprintf(to, sizeof(to), "%s/" COPIES "/" NEW_NAME, folder);
	unlinkat(dir, NEW_NAME, 0); /* of one that was cut off */
	file = openat(dir, NEW_NAME, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file < 0)
		return err_sys(e, errno, "make %s", to);
	r = vacuum(from, to, e);
	if (r == 0)
		r = settle(dir, file, name, e);
	if (r < 0)
		unlinkat(dir, NEW_NAME, 0);
	return r;
}

int db_copy_file(const char *folder, const char *to, struct err *e)
{
	char from[4096];

	snprintf(from, sizeof(from), "%s/berth.db", folder);
	return vacuum(from, to, e) < 0 ? err_add(e, "cannot copy the database") : 0;
}

/* ---- which ones stay ---- */

/*
 * Their names tell their age, but for those that are of a day to come: a clock was wrong when they were made, or is now. Either
 * way they are older than what is made under today's.
 */
static bool is_newer(const char *a, const char *b, const char *today)
{
	bool a_later = strcmp(a, today) > 0, b_later = strcmp(b, today) > 0;

	return a_later == b_later ? strcmp(a, b) > 0 : b_later;
}

/* The oldest of a kind, and how many there are; with newest, the newest. */
static unsigned int look(
	int dir, const char *pattern, bool newest, uint64_t now_us, char out[NAME_SIZE])
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	char today[NAME_SIZE];
	unsigned int n = 0;

	if (pattern == day_pattern)
		name_day(now_us, today);
	else
		snprintf(today, sizeof(today), "~"); /* behind every version */
	out[0] = '\0';
	while (d && (entry = readdir(d))) {
		if (!matches(entry->d_name, pattern))
			continue;
		if (n++ == 0 || is_newer(entry->d_name, out, today) == newest)
			snprintf(out, NAME_SIZE, "%.31s", entry->d_name);
	}
	if (d)
		closedir(d);
	return n;
}

static void drop_old(int dir, const char *pattern, unsigned int kept, uint64_t now_us)
{
	char oldest[NAME_SIZE];

	while (look(dir, pattern, false, now_us, oldest) > kept)
		if (unlinkat(dir, oldest, 0) < 0)
			return;
}

int db_copy_daily(const char *folder, uint64_t now_us, struct err *e)
{
	int dir autoclose = open_copies(folder, true, e);
	char name[NAME_SIZE];
	int r;

	if (dir < 0)
		return dir;
	name_day(now_us, name);
	if (faccessat(dir, name, F_OK, 0) == 0)
		return 0;
	r = copy_into(dir, folder, name, e);
	if (r == 0)
		drop_old(dir, day_pattern, DAYS_KEPT, now_us);
	return r < 0 ? err_add(e, "cannot copy the database") : 1;
}

int db_copy_version(const char *folder, uint32_t version, struct err *e)
{
	int dir autoclose = open_copies(folder, true, e);
	char name[NAME_SIZE];
	int r;

	if (dir < 0)
		return dir;
	snprintf(name, sizeof(name), "version-%04u.db", version);
	r = copy_into(dir, folder, name, e); /* in the place of one of an earlier try */
	if (r == 0)
		drop_old(dir, version_pattern, VERSIONS_KEPT, 0);
	return r < 0 ? err_add(e, "cannot copy the database before its schema changes")
		     : 0;
}

/* Its bytes too, where the file system writes in place. */
static int overwrite(int dir, const char *name)
{
	static const char zeros[1 << 16];
	int file autoclose = openat(dir, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (file < 0 || fstat(file, &st) < 0)
		return -errno;
	for (off_t at = 0; at < st.st_size; at += (off_t)sizeof(zeros))
		if (io_write_all(file, zeros, sizeof(zeros)) < 0)
			return -errno;
	return fsync(file) < 0 ? -errno : 0;
}

bool db_copy_any(const char *folder)
{
	int dir autoclose = open_copies(folder, false, NULL);
	char name[NAME_SIZE];

	return dir >= 0 && (look(dir, day_pattern, true, 0, name) > 0 ||
				   look(dir, version_pattern, true, 0, name) > 0);
}

int db_copy_forget(const char *folder, struct err *e)
{
	int dir autoclose = open_copies(folder, true, e);
	static const char *const patterns[] = {day_pattern, version_pattern};
	char name[NAME_SIZE];

	if (dir < 0)
		return dir;
	for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
		while (look(dir, patterns[i], false, 0, name) > 0) {
			(void)overwrite(dir, name); /* a full disk: then only removed */
			if (unlinkat(dir, name, 0) < 0)
				return err_sys(e, errno, "remove " COPIES "/%s", name);
		}
	return fsync(dir) < 0 ? err_sys(e, errno, COPIES) : 0;
}

int db_copy_advise(const char *folder, struct err *e)
{
	int dir autoclose = open_copies(folder, false, NULL);
	char newest[NAME_SIZE] = "", was[300], what[64];

	snprintf(was, sizeof(was), "%.299s", e->text);
	if (dir >= 0 && look(dir, day_pattern, true, io_now_us(), newest) > 0)
		snprintf(what, sizeof(what), "of %.10s", newest);
	else if (dir >= 0 && look(dir, version_pattern, true, 0, newest) > 0)
		snprintf(what, sizeof(what), "from before a newer berth changed it");
	else
		return err_set(e, EIO,
			"%s; there is no copy of it in %s/" COPIES
			": restore berth.db from a backup of this host, with berthd "
			"stopped",
			was, folder);
	return err_set(e, EIO,
		"%s; to go back to the copy %s: stop berthd, and in %s move "
		"berth.db, "
		"berth.db-wal and berth.db-shm away, `cp -p " COPIES
		"/%s berth.db`, start "
		"berthd; what was deployed or set since then is to be done again",
		was, what, folder, newest);
}

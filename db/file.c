/* The database's file, before SQLite opens it: what SQLite would take for a new one, or not tell. */
#include "db/db.h"
#include "lib/io.h"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define WAL_MAGIC                                                                        \
	0x377f0682u /* SQLite, "The WAL file format"; its last bit is a byte order */

/* A log that does not begin like one is skipped by SQLite, with all that was done last. One that was cut off before its
 * beginning was on the disk is zeros: nothing in it was said to be done. */
static int check_log(const char *path, off_t *ret_size, struct err *e)
{
	char name[4200];
	uint32_t magic = 0;
	struct stat st;

	*ret_size = 0;
	snprintf(name, sizeof(name), "%s-wal", path);
	int fd autoclose = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, errno, "database: %s", name);
	*ret_size = st.st_size;
	if (pread(fd, &magic, sizeof(magic), 0) < (ssize_t)sizeof(magic) || !magic ||
		(be32toh(magic) | 1) == (WAL_MAGIC | 1))
		return 0;
	return err_set(e, EUCLEAN, "database is damaged: its log %s is none", name);
}

/* Not there, or empty: right at the first start only. */
static int check_absent(
	const char *folder, const char *path, const char *how, off_t log, struct err *e)
{
	if (log == 0 && !db_copy_any(folder))
		return 0;
	return err_set(e, EUCLEAN,
		"database is damaged: %s %s, but there was one (to begin anew without "
		"any "
		"app, move all of %s away)",
		path, how, folder);
}

static int check_access(const char *path, const struct stat *st, struct err *e)
{
	if (!S_ISREG(st->st_mode))
		return err_set(e, EINVAL, "database: %s is no file: move it away", path);
	if (st->st_uid == geteuid())
		(void)chmod(path, 0600);
	if (access(path, R_OK | W_OK) == 0)
		return 0;
	return err_sys(e, errno,
		"database: %s belongs to user %u and cannot be written: chown it and "
		"what "
		"is beside it to _berth, and start berthd again; access",
		path, (unsigned int)st->st_uid);
}

int db_file_check(const char *folder, struct err *e)
{
	char path[4160];
	struct stat st;
	off_t log;

	snprintf(path, sizeof(path), "%s/berth.db", folder);
	int r = check_log(path, &log, e);
	if (r < 0)
		return r;
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? check_absent(folder, path, "is missing", log, e)
				       : err_sys(e, errno, "database: %s", path);
	r = check_access(path, &st, e);
	return r < 0 || st.st_size > 0 ? r
				       : check_absent(folder, path, "is empty", log, e);
}

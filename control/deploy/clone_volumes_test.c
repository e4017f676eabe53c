/* Volumes of a new app. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/data/snapshots.h"
#include "control/data/volumes.h"
#include "control/deploy/clone.h"
#include "control/network/network.h"
#include "lib/io.h"
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MUCH (1u << 20) /* more than a pipe holds */

static bool import_fails, export_fails;
static bool was_whole; /* while it was filled */

/* ---- in the place of the real ones (see the Makefile) ---- */

int network_apply(struct control *c UNUSED, uint32_t app UNUSED, struct err *e UNUSED)
{
	return 0;
}

int volume_make(struct control *c UNUSED, uint64_t id UNUSED, uint64_t size_bytes UNUSED,
	struct err *e UNUSED)
{
	return 0;
}

int volume_destroy(struct control *c, uint64_t id, struct err *e UNUSED)
{
	return db_volume_delete(c->db, id);
}

int volume_import(struct control *c, const struct db_volume *v,
	const struct volume_archive *a, struct sink *s UNUSED, struct err *e)
{
	char block[4096];
	struct db_volume now;
	ssize_t n;

	was_whole = db_volume_by_id(c->db, v->id, &now) < 0 || now.whole;

	if (import_fails)
		return err_set(e, ENOSPC, "the copy is full");
	while ((n = read(a->fd, block, sizeof(block))) > 0)
		;
	return export_fails ? err_set(e, EBADMSG, "the archive is cut off") : 0;
}

int volume_export(struct control *c UNUSED, const struct db_volume *v UNUSED,
	uint64_t id UNUSED, int fd, struct sink *s UNUSED, struct err *e)
{
	static const char nothing[MUCH];

	if (export_fails)
		return err_set(e, EIO, "the first one cannot be read");
	int r = io_write_all(fd, nothing, sizeof(nothing));
	return r < 0 ? err_sys(e, -r, "write the archive") : 0;
}

/* ---- tests ---- */

static void write_nothing(
	struct sink *s UNUSED, char kind UNUSED, const char *text UNUSED)
{
}

static void a_copy_that_fails_says_why(void **state UNUSED)
{
	struct sink quiet = {.write = write_nothing, .watch_fd = -1};
	struct db_mount mount = {.path = "/data"}, *mounts = NULL;
	struct db_volume copy;
	char folder[] = "/tmp/berth-clone.XXXXXX";
	struct control c = {0};
	struct err e = {0};
	uint32_t from, to;

	signal(SIGPIPE, SIG_IGN);
	assert_non_null(mkdtemp(folder));
	assert_int_equal(db_open(folder, (const uint8_t[DB_KEY_SIZE]){1}, &c.db, &e), 0);
	assert_int_equal(db_app_create(c.db, "blog", &from), 0);
	assert_int_equal(db_app_create(c.db, "copy", &to), 0);
	assert_int_equal(db_volume_create(c.db, "data", 0, &mount.volume), 0);
	assert_true(db_volume_set_whole(c.db, mount.volume, true) >= 0);
	mount.app = from;
	assert_int_equal(db_mount_add(c.db, &mount), 0);
	import_fails = true;
	assert_true(clone_fill(&c, from, to, CLONE_COPIES, &quiet, &e) < 0);
	assert_string_equal(e.text, "the copy is full");
	import_fails = false;
	export_fails = true;
	assert_true(clone_fill(&c, from, to, CLONE_COPIES, &quiet, &e) < 0);
	assert_string_equal(e.text, "the first one cannot be read");
	export_fails = false;
	assert_int_equal(clone_fill(&c, from, to, CLONE_COPIES, &quiet, &e), 0);
	/* what is cut off in the middle of it goes at the next start */
	assert_false(was_whole);
	assert_int_equal(db_volume_by_name(c.db, "copy-data", &copy), 0);
	assert_true(copy.whole);
	assert_int_equal(db_mount_list(c.db, to, &mounts), 1);
	assert_int_equal(mounts[0].volume, copy.id);
	free(mounts);
	db_close(c.db);
	assert_int_equal(io_remove_tree(AT_FDCWD, folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copy_that_fails_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

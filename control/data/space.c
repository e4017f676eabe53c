/* Room on the disk. */
#include "control/data/space.h"
#include "control/data/retention.h"
#include "control/data/usage.h"
#include "control/engine.h"
#include "control/repos.h"
#include "control/settings.h"
#include "lib/io.h"
#include "lib/log.h"
#include "receiver/source.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define REMOVE_WAIT_MS 60000 /* berthd removes trees in the background */
#define LOOK_MS 100
#define BLOCK 4096 /* what a small file or a folder takes */

/* ---- how it stands ---- */

uint64_t space_reserve_default(uint64_t total)
{
	uint64_t part = total / 20;

	return part < SPACE_RESERVE_MAX ? part : SPACE_RESERVE_MAX;
}

uint64_t space_reserve(struct control *c, uint64_t total)
{
	return setting_size(c, 0, "disk", "reserve", space_reserve_default(total));
}

static uint64_t above(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

uint64_t space_room(const struct space *s)
{
	uint64_t disk = above(s->free, s->reserve), budget = above(s->budget, s->used);

	return s->budget && budget < disk ? budget : disk;
}

static int compare_used(const void *a, const void *b)
{
	uint64_t x = ((const struct usage_row *)a)->used_us,
		 y = ((const struct usage_row *)b)->used_us;

	return x < y ? -1 : x > y;
}

/* Those of all apps; the least recently used one first. usage_clear. */
static int read_caches(struct control *c, struct usage *ret)
{
	struct err e = {0};
	int r = usage_read(c, 1u << USAGE_CACHE, ret, &e);

	if (r < 0)
		log_warn("%s", e.text);
	else if (ret->n)
		qsort(ret->rows, ret->n, sizeof(*ret->rows), compare_used);
	return r;
}

static uint64_t used(struct control *c)
{
	struct usage caches = {0};
	uint64_t sum = 0;

	retention_count(c);
	db_layers_size(c->db, &sum);
	read_caches(c, &caches);
	for (size_t i = 0; i < caches.n; i++)
		sum += caches.rows[i].bytes;
	usage_clear(&caches);
	return sum;
}

int space_look(struct control *c, struct space *ret)
{
	*ret = (struct space){0};
	int r = disk_free(c, &ret->free, &ret->total);

	if (r < 0)
		return r;
	ret->reserve = space_reserve(c, ret->total);
	ret->budget = setting_size(c, 0, "disk", "budget", 0);
	if (ret->budget)
		ret->used = used(c);
	return 0;
}

/* ---- making room ---- */

struct making {
	struct control *c;
	struct sink *s;
	uint64_t bytes; /* wanted */
	uint32_t app;	/* whose caches go last */
	struct space now;
};

static bool fits(struct making *m)
{
	return space_look(m->c, &m->now) < 0 || space_room(&m->now) >= m->bytes;
}

/* Until what was removed takes no space any more, or it fits. */
static bool fits_soon(struct making *m)
{
	for (int i = 0; i < REMOVE_WAIT_MS / LOOK_MS && disk_removing(m->c) &&
			!sink_cancelled(m->s);
		i++) {
		uint64_t left, total;

		if (disk_free(m->c, &left, &total) == 0 &&
			above(left, m->now.reserve) >= m->bytes)
			break;
		poll(NULL, 0, LOOK_MS);
	}
	return fits(m);
}

static void say(struct making *m, uint64_t bytes, const char *what)
{
	char size[24];

	num_format_size(bytes, size);
	if (bytes)
		sink_detail(m->s, "making room: %s of %s", size, what);
}

static bool drop_layers(struct making *m)
{
	say(m, retention_drop(m->c, DB_KEPT_USUAL), "layers that nothing needs any more");
	return fits_soon(m);
}

static uint64_t drop_cache(struct making *m, const struct usage_row *row)
{
	struct msg_cache body = {.app = row->app, .part = row->id};

	if (db_build_running(m->c->db, row->app) != 0 && row->app != m->app)
		return 0; /* a later step of it may count on this */
	return engine_call(m->c->engine, MSG_CACHE_REMOVE, &body, sizeof(body), NULL, 0,
		       NULL) < 0
		       ? 0
		       : row->bytes;
}

/* own: those of the app, else those of all others. */
static bool drop_caches(struct making *m, bool own)
{
	uint64_t missing = above(m->bytes, space_room(&m->now)), freed = 0;
	struct usage caches = {0};

	read_caches(m->c, &caches);
	for (size_t i = 0; i < caches.n && freed < missing; i++)
		if ((caches.rows[i].app == m->app) == own)
			freed += drop_cache(m, &caches.rows[i]);
	usage_clear(&caches);
	say(m, freed,
		own ? "this app's build caches"
		    : "build caches that were not used for longest");
	return freed && fits_soon(m);
}

static bool drop_releases(struct making *m)
{
	uint64_t freed = retention_drop(m->c, DB_KEPT_LEAST);

	say(m, freed, "releases above releases-min");
	return freed && fits_soon(m);
}

static bool make(struct making *m)
{
	static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;

	if (fits(m))
		return true;
	pthread_mutex_lock(&one);
	bool yes = fits(m) || drop_layers(m) || drop_caches(m, false) ||
		   drop_caches(m, true) || drop_releases(m);
	pthread_mutex_unlock(&one);
	return yes;
}

/* ---- who asks ---- */

static int refuse(struct making *m, const char *what, struct err *e)
{
	const struct space *s = &m->now;
	char needed[24], room[24], kept[24];

	num_format_size(m->bytes, needed);
	num_format_size(space_room(s), room);
	if (s->budget && above(s->budget, s->used) < above(s->free, s->reserve)) {
		num_format_size(s->budget, kept);
		return err_set(e, ENOSPC,
			SPACE_FULL
			"%s needs about %s, %s free in the "
			"budget of %s for layers and caches; `berth disk:report` says "
			"what takes it, `berth disk:set --global budget` gives more",
			what, needed, room, kept);
	}
	num_format_size(s->reserve, kept);
	return err_set(e, ENOSPC,
		SPACE_FULL
		"%s needs about %s, %s free beside the %s "
		"that are kept for what runs; `berth disk:report` says what takes the "
		"rest, `berth disk:set --global reserve` keeps less",
		what, needed, room, kept);
}

int space_for(struct control *c, uint64_t bytes, const char *what, uint32_t app,
	struct sink *s, struct err *e)
{
	struct making m = {.c = c, .s = s, .bytes = bytes, .app = app};

	return make(&m) ? 0 : refuse(&m, what, e);
}

/* Is so much left where the folder lies? Also when nobody can say. */
static bool has_left(const char *folder, uint64_t bytes, struct statvfs *st)
{
	if (!folder || statvfs(folder, st) < 0)
		return true;
	return (uint64_t)st->f_bavail * st->f_frsize >= bytes &&
	       (st->f_files == 0 || st->f_favail >= SPACE_FILES);
}

bool space_words(const struct control *c, const char *text, char out[256])
{
	struct statvfs st;

	if ((!strstr(text, "No space left") && !strstr(text, "disk is full")) ||
		strstr(text, SPACE_FULL))
		return false;
	bool state = !has_left(c->state, SPACE_RELEASE, &st);
	if (!state && has_left(c->run, SPACE_RUN, &st))
		return false; /* there is space again */
	snprintf(out, 256,
		"%llu kB and %llu files are free in %.100s, a change needs up to %llu kB "
		"and %u files%s",
		(unsigned long long)st.f_bavail * st.f_frsize >> 10,
		(unsigned long long)st.f_favail, state ? c->state : c->run,
		(unsigned long long)(state ? SPACE_RELEASE : SPACE_RUN) >> 10,
		SPACE_FILES,
		state ? "; `berth disk:report` says what takes the rest" : "");
	return true;
}

int space_for_start(struct control *c, struct err *e)
{
	struct statvfs st;

	if (has_left(c->run, SPACE_RUN, &st))
		return 0;
	return err_set(e, ENOSPC,
		SPACE_FULL "%llu kB and %llu files are free in %s, a start "
			   "needs %u kB and %u files",
		(unsigned long long)st.f_bavail * st.f_frsize >> 10,
		(unsigned long long)st.f_favail, c->run, (unsigned int)(SPACE_RUN >> 10),
		SPACE_FILES);
}

int space_for_release(struct control *c, struct sink *s, struct err *e)
{
	uint64_t left, total;
	int r = space_for_start(c, e);

	if (r < 0)
		return r;
	if (disk_free(c, &left, &total) < 0 || left >= SPACE_RELEASE)
		return 0;
	struct making m = {.c = c, .s = s, .bytes = SPACE_RELEASE};
	make(&m);
	if (disk_free(c, &left, &total) < 0 || left >= SPACE_RELEASE)
		return 0;
	return err_set(e, ENOSPC,
		SPACE_FULL "%u kB are free in %s, a deploy needs %u MB; "
			   "`berth disk:report` says what takes the rest",
		(unsigned int)(left >> 10), c->state,
		(unsigned int)(SPACE_RELEASE >> 20));
}

/* The commit that serves; "": there is none. */
static void live_commit(struct control *c, const struct db_app *a, char out[65])
{
	struct db_release live = {0};
	struct db_image image = {0};

	out[0] = '\0';
	if (a->live_version &&
		db_release_get(c->db, a->id, a->live_version, &live) == 0 &&
		db_image_get(c->db, live.image, &image) == 0)
		snprintf(out, 65, "%s", image.commit);
	db_image_clear(&image);
	db_release_clear(&live);
}

/* Of the files that differ from what serves, as a layer. 0: they cannot be read; the build will say why. */
static uint64_t commit_size(struct control *c, const struct db_app *a, const char *commit)
{
	struct source_report report = {0};
	struct source_filter f = {.base = NULL};
	git_repository *repo = NULL;
	char path[PATH_MAX], live[65];
	git_oid tree, base;

	live_commit(c, a, live);
	repo_path(c, a, path);
	if (source_open(path, &repo, NULL) == 0 &&
		source_commit(repo, commit, &tree, NULL, NULL) == 0) {
		if (live[0] && source_commit(repo, live, &base, NULL, NULL) == 0)
			f.base = &base;
		source_stream(repo, &tree, -1, &f, &report, NULL);
	}
	uint64_t bytes = report.bytes + report.entries * BLOCK;
	git_repository_free(repo);
	source_report_free(&report);
	return bytes;
}

int space_for_build(struct control *c, const struct db_app *a, const char *commit,
	struct sink *s, struct err *e)
{
	uint64_t last = 0, files;
	struct space now;

	if (space_look(c, &now) < 0 || space_room(&now) >= SPACE_PLENTY)
		return 0;
	retention_count(c);
	db_build_size(c->db, a->id, &last);
	files = commit_size(c, a, commit);
	return space_for(c, last + files + SPACE_RELEASE, "this build", a->id, s, e);
}

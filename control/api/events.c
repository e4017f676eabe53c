/* GET events: the audit trail as it stands, and as it grows. */
#include "control/api/feed.h"
#include "control/api/handlers.h"
#include "control/api/inside.h"
#include "lib/io.h"
#include "lib/stamp.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#define BATCH 100
#define EVENTS_MAX 1000 /* in one answer */

/* One who follows. Lines of JSON, the oldest first. */
struct follow {
	struct db *db;
	int events, connection; /* an eventfd of the database's; its hang-up ends it */
	char app[NAME_MAX_LEN + 1], apps[16]; /* of want */
	uint32_t id; /* it is over when that app is gone; 0: never */
	struct db_event_query want;
};

/* What came since. */
static int read_some(void *arg, struct buf *out)
{
	struct follow *f = arg;
	json_t *rows = NULL, *row;
	struct db_app app;
	size_t i;
	int r = db_event_list(f->db, &f->want, &rows);

	if (r < 0)
		return r;
	json_array_foreach (rows, i, row) {
		char *line autofree = json_dumps(row, JSON_COMPACT);

		f->want.after = (uint64_t)json_integer_value(json_object_get(row, "id"));
		if (line)
			buf_addf(out, "%s\n", line);
	}
	json_decref(rows);
	if (i)
		return FEED_SOME;
	return f->id && db_app_by_id(f->db, f->id, &app) == -ENOENT ? FEED_OVER
								    : FEED_NOTHING;
}

static bool wait_for_more(void *arg, int ms)
{
	struct follow *f = arg;
	struct pollfd p[2] = {{.fd = f->events, .events = POLLIN},
		{.fd = f->connection, .events = POLLRDHUP}};
	eventfd_t n;

	if (poll(p, 2, ms) < 0)
		return errno == EINTR;
	(void)eventfd_read(f->events, &n);
	return !p[1].revents;
}

static void free_follow(void *arg)
{
	struct follow *f = arg;

	if (f->events >= 0)
		db_event_unwatch(f->db, f->events);
	free(f);
}

static const struct feed_source source = {.kind = FEED_TRAIL,
	.read = read_some,
	.wait = wait_for_more,
	.close = free_follow};

/* The last ones of now come first, in the order in which they happened. */
static int begin_follow(struct follow *f)
{
	json_t *rows = NULL;
	int r = db_event_list(f->db, &f->want, &rows);

	if (r < 0)
		return r;
	const json_t *oldest = json_array_get(rows, json_array_size(rows) - 1);
	if (oldest)
		f->want.after =
			(uint64_t)json_integer_value(json_object_get(oldest, "id")) - 1;
	json_decref(rows);
	return 0;
}

/* After the one with that id, which the asker saw last. */
static int begin_after(struct follow *f, const char *id)
{
	return num_parse_u64(id, 0, INT64_MAX, &f->want.after);
}

static int follow(struct request *r, const struct db_event_query *want, bool events)
{
	const char *last_id = events ? feed_last_id(r->connection) : NULL;
	struct follow *f = calloc(1, sizeof(*f));

	if (!f)
		return request_fail(r, FAIL_BERTH, "out of memory");
	f->db = r->c->db;
	f->connection = r->fd;
	f->want = *want;
	f->id = r->app.id;
	if (want->app)
		snprintf(f->app, sizeof(f->app), "%s", want->app);
	f->want.app = want->app ? f->app : NULL;
	if (want->apps)
		snprintf(f->apps, sizeof(f->apps), "%s", want->apps);
	f->want.apps = want->apps ? f->apps : NULL;
	f->events = db_event_watch(f->db);
	int n = f->events < 0 ? f->events
		: last_id     ? begin_after(f, last_id)
			      : begin_follow(f);
	f->want.rising = true;
	f->want.limit = BATCH;
	if (n == 0)
		r->response =
			feed_start(&source, f, "application/x-ndjson", events, NULL);
	if (!r->response) {
		free_follow(f);
		return n == -EBUSY ? request_fail(r, FAIL_CONFLICT,
					     "%d others follow the events already",
					     DB_EVENT_WATCHERS_MAX)
		       : n == -EINVAL || n == -ERANGE
			       ? request_fail(r, FAIL_USAGE,
					 "Last-Event-ID is not one of the events")
			       : request_fail_db(r, n, "events");
	}
	return 0;
}

static bool sees_all(const struct request *r)
{
	return access_role(&r->access, 0) >= ROLE_VIEW;
}

/* What comes later is not looked at again: all of it must be for the asker. */
static int check_follow(struct request *r)
{
	if (!sees_all(r) && !r->app.id && access_need(r, NULL, ROLE_VIEW) < 0)
		return -1;
	connections_note(r->c->api, r, ROLE_VIEW);
	return 0;
}

/* One that is there, or, for who sees all, that was. 0 or -1. */
static int check_app(struct request *r, const char *name)
{
	struct db_event_query any = {.app = name, .limit = 1};
	json_t *rows = NULL;
	struct db_app a;

	if (!sees_all(r))
		return request_app(r, name, &r->app);
	if (request_app(r, name, &a) == 0)
		return 0;
	if (r->failure.kind == FAIL_NO_APP && db_event_list(r->c->db, &any, &rows) == 0 &&
		json_array_size(rows))
		r->failure = (struct failure){0};
	json_decref(rows);
	return r->failure.set ? -1 : 0;
}

/* Who does not see all sees apps, and no names: those pass to others. ids: for want. */
static int narrow(struct request *r, struct db_event_query *want, struct buf *ids)
{
	struct db_app *apps autofree = NULL;
	int n = r->app.id ? 0 : db_app_list(r->c->db, &apps);

	if (n < 0)
		return request_fail_db(r, n, "events");
	buf_addf(ids, "[%u", r->app.id); /* 0 is no app's */
	for (int i = 0; i < n; i++)
		if (access_role(&r->access, apps[i].id) >= ROLE_VIEW)
			buf_addf(ids, ",%u", apps[i].id);
	buf_adds(ids, "]");
	if (ids->failed)
		return request_fail(r, FAIL_BERTH, "out of memory");
	want->app = NULL;
	want->apps = ids->data;
	return 0;
}

int events_show(struct request *r)
{
	const char *since = request_query(r, "since"),
		   *wants = request_query(r, "follow");
	bool events = feed_wants_events(r->connection);
	struct db_event_query want = {.app = request_query(r, "app")};
	autobuf ids = BUF_INIT;
	json_t *list = NULL;
	uint64_t limit;

	if (want.app && check_app(r, want.app) < 0)
		return -1;
	if (since && stamp_parse(since, io_now_us(), &want.since_us) < 0)
		return request_fail(r, FAIL_USAGE,
			"since must be a time such as 2026-01-02T03:04:05Z, or how long "
			"ago: 90s, 10m, 2h, 3d");
	if (request_query_u64(
		    r, "limit", 1, EVENTS_MAX, since ? EVENTS_MAX : 100, &limit) < 0)
		return -1;
	want.limit = (uint32_t)limit;
	if (!sees_all(r) && narrow(r, &want, &ids) < 0)
		return -1;
	if (events || (wants && strcmp(wants, "0") != 0))
		return check_follow(r) < 0 ? -1 : follow(r, &want, events);
	int n = db_event_list(r->c->db, &want, &list);
	return n < 0 ? request_fail_db(r, n, "events") : request_reply(r, 200, list);
}

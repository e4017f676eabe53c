/* GET events: the audit trail as it stands, and as it grows. */
#include "control/api_handlers.h"
#include "lib/io.h"
#include "lib/stamp.h"
#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#define BATCH 100
#define EVENTS_MAX 1000 /* in one answer */

/* One who follows. Lines of JSON, the oldest first. */
struct follow {
	struct db *db;
	int events, connection; /* an eventfd of the database's; its hang-up ends it */
	char app[NAME_MAX_LEN + 1];
	struct db_event_query want;
	struct buf out;
};

/* What came since: 1 when there is something to send, 0, or -errno. */
static int take_new(struct follow *f)
{
	json_t *rows = NULL, *row;
	size_t i;
	int r = db_event_list(f->db, &f->want, &rows);

	if (r < 0)
		return r;
	json_array_foreach (rows, i, row) {
		char *line autofree = json_dumps(row, JSON_COMPACT);

		f->want.after = (uint64_t)json_integer_value(json_object_get(row, "id"));
		if (line)
			buf_addf(&f->out, "%s\n", line);
	}
	json_decref(rows);
	return f->out.failed ? -ENOMEM : f->out.len > 0;
}

static ssize_t read_some(void *cls, uint64_t pos, char *out, size_t max)
{
	struct follow *f = cls;
	eventfd_t n;

	(void)pos;
	while (!f->out.len) {
		struct pollfd p[2] = {{.fd = f->events, .events = POLLIN},
			{.fd = f->connection, .events = POLLRDHUP}};
		int r = take_new(f);

		if (r < 0)
			return MHD_CONTENT_READER_END_WITH_ERROR;
		if (r == 0 && (poll(p, 2, -1) < 0 || p[1].revents) && errno != EINTR)
			return MHD_CONTENT_READER_END_WITH_ERROR;
		(void)eventfd_read(f->events, &n);
	}
	size_t part = f->out.len < max ? f->out.len : max;
	memcpy(out, f->out.data, part);
	buf_consume(&f->out, part);
	return (ssize_t)part;
}

static void free_follow(void *cls)
{
	struct follow *f = cls;

	if (f->events >= 0)
		db_event_unwatch(f->db, f->events);
	buf_free(&f->out);
	free(f);
}

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
	f->want.rising = true;
	f->want.limit = BATCH;
	return 0;
}

static int follow(struct request *r, const struct db_event_query *want)
{
	struct follow *f = calloc(1, sizeof(*f));

	if (!f)
		return request_fail(r, FAIL_BERTH, "out of memory");
	f->db = r->c->db;
	f->connection = r->fd;
	f->want = *want;
	if (want->app)
		snprintf(f->app, sizeof(f->app), "%s", want->app);
	f->want.app = want->app ? f->app : NULL;
	f->events = db_event_watch(f->db);
	int n = f->events < 0 ? f->events : begin_follow(f);
	if (n == 0)
		r->response = MHD_create_response_from_callback(
			MHD_SIZE_UNKNOWN, 32768, read_some, f, free_follow);
	if (!r->response) {
		free_follow(f);
		return n == -EBUSY ? request_fail(r, FAIL_CONFLICT,
					     "%d others follow the events already",
					     DB_EVENT_WATCHERS_MAX)
				   : request_fail_db(r, n, "events");
	}
	MHD_add_response_header(r->response, "Content-Type", "application/x-ndjson");
	return 0;
}

/* What comes later is not looked at again: all of it must be for the asker. */
static int check_follow(struct request *r, const char *app)
{
	struct db_app a;

	if (access_role(&r->access, 0) >= ROLE_VIEW)
		return 0;
	return app ? request_app(r, app, &a) : access_need(r, NULL, ROLE_VIEW);
}

/* One that is there, or that was. 0 or -1. */
static int check_app(struct request *r, const char *name)
{
	struct db_event_query any = {.app = name, .limit = 1};
	json_t *rows = NULL;
	struct db_app a;

	if (request_app(r, name, &a) == 0)
		return 0;
	if (r->failure.kind == FAIL_NO_APP && access_role(&r->access, 0) >= ROLE_VIEW &&
		db_event_list(r->c->db, &any, &rows) == 0 && json_array_size(rows))
		r->failure = (struct failure){0};
	json_decref(rows);
	return r->failure.set ? -1 : 0;
}

int events_show(struct request *r)
{
	const char *since = request_query(r, "since"),
		   *wants = request_query(r, "follow");
	struct db_event_query want = {.app = request_query(r, "app")};
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
	if (wants && strcmp(wants, "0") != 0)
		return check_follow(r, want.app) < 0 ? -1 : follow(r, &want);
	if (access_role(&r->access, 0) < ROLE_VIEW)
		want.limit = EVENTS_MAX; /* many of them may be of other apps */
	int n = db_event_list(r->c->db, &want, &list);
	if (n < 0 || request_reply(r, 200, list) < 0)
		return n < 0 ? request_fail_db(r, n, "events") : -1;
	access_filter(r);
	while (json_array_size(list) > limit)
		json_array_remove(list, json_array_size(list) - 1);
	return 0;
}

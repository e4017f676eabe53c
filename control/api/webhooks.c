/* Webhooks. Their secrets go in and never out, but for one that is made here: it is shown once. */
#include "control/logs/webhooks.h"
#include "control/api/handlers.h"
#include "control/logs/drains.h"
#include "lib/addr.h"
#include "lib/drain_url.h"
#include "lib/io.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define SECRET_MIN 8u
#define SECRET_MADE 20u /* bytes of one that is made here */
#define TEST_MS 15000
#define TEST_LOOK_US 50000

static int check_url(struct request *r, const char *url, struct drain_url *ret)
{
	struct err e = {0};

	if (drain_url_parse(url, ret, &e) < 0)
		return request_fail(r, FAIL_USAGE, "%s", e.text);
	if (ret->kind != DRAIN_HTTP && ret->kind != DRAIN_HTTPS)
		return request_fail(
			r, FAIL_USAGE, "a webhook is https:// or http://, not a drain");
	return drain_check_address(r, ret);
}

static int fill_secret(struct request *r, struct db_webhook *h)
{
	const char *secret = request_string(r, "secret");
	uint8_t bytes[SECRET_MADE];
	size_t len = secret ? strlen(secret) : 0;

	if (secret && (len < SECRET_MIN || len > DB_HOOK_SECRET_MAX))
		return request_fail(r, FAIL_USAGE, "a secret has %u to %u bytes",
			SECRET_MIN, DB_HOOK_SECRET_MAX);
	if (secret) {
		snprintf(h->secret, sizeof(h->secret), "%s", secret);
		return 0;
	}
	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return request_fail(r, FAIL_BERTH, "no random bytes for a secret");
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(h->secret + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

static int fill_events(struct request *r, struct db_webhook *h)
{
	const char *events = request_string(r, "events");

	h->events = events ? webhook_events_parse(events) : HOOK_ALL;
	return h->events ? 0
			 : request_fail(r, FAIL_USAGE,
				   "events are deploy, crash, disk and certificate, with "
				   "commas between");
}

/* Those of that app, 0: those for all. Count or -1. */
static int list(struct request *r, uint32_t app, struct db_webhook **ret)
{
	int n = db_webhook_list(r->c->db, ret), k = 0;

	for (int i = 0; i < n; i++)
		if ((*ret)[i].app == app)
			(*ret)[k++] = (*ret)[i];
	return n < 0 ? request_fail_db(r, n, "webhooks") : k;
}

static int add(struct request *r, uint32_t app)
{
	struct db_webhook h = {.app = app}, *rows autofree = NULL;
	const char *url = request_string(r, "url");
	char shown[DRAIN_URL_MAX];
	struct drain_url u;
	int n;

	if (check_url(r, url, &u) < 0 || fill_events(r, &h) < 0 ||
		fill_secret(r, &h) < 0 || (n = list(r, app, &rows)) < 0)
		return -1;
	if (n >= WEBHOOKS_MAX)
		return request_fail(r, FAIL_CONFLICT,
			"%s has %d webhooks, which is all it can: remove one",
			app ? r->app.name : "this berth", n);
	snprintf(h.url, sizeof(h.url), "%s", url);
	h.local = r->who.uid == 0 && !r->who.key;
	n = db_webhook_add(r->c->db, &h);
	if (n < 0)
		return request_fail_db(r, n, "the webhook");
	drains_changed(r->c);
	webhooks_look_soon();
	drain_url_show(&u, shown);
	return request_reply(r, 201,
		json_pack("{s:I, s:s, s:o}", "id", (json_int_t)h.id, "url", shown,
			"secret",
			request_string(r, "secret") ? json_null()
						    : json_string(h.secret)));
}

int webhooks_add(struct request *r)
{
	return add(r, r->app.id);
}

int webhooks_add_global(struct request *r)
{
	return add(r, 0);
}

/* The one of that number or URL among those of the app. */
static int find(struct request *r, uint32_t app, const char *word, struct db_webhook *ret)
{
	struct db_webhook *rows autofree = NULL;
	uint64_t id = 0;
	int n = word ? list(r, app, &rows) : 0;

	if (n < 0)
		return -1;
	if (word)
		(void)num_parse_u64(word, 1, INT64_MAX, &id);
	for (int i = 0; i < n; i++)
		if (rows[i].id == id || strcmp(rows[i].url, word) == 0) {
			*ret = rows[i];
			return 0;
		}
	request_fail(r, FAIL_MISSING, "%s has no webhook %.40s",
		app ? r->app.name : "this berth", word ? word : "");
	return request_hint(
		r, "see them: berth webhooks:list %s", app ? r->app.name : "--global");
}

static int take_away(struct request *r, uint32_t app)
{
	struct db_webhook h;

	if (find(r, app, request_query(r, "webhook"), &h) < 0)
		return -1;
	int n = db_webhook_remove(r->c->db, h.id);
	if (n < 0)
		return request_fail_db(r, n, "the webhook");
	drains_changed(r->c);
	return request_reply(r, 200, json_pack("{s:I}", "id", (json_int_t)h.id));
}

int webhooks_remove(struct request *r)
{
	return take_away(r, r->app.id);
}

int webhooks_remove_global(struct request *r)
{
	return take_away(r, 0);
}

/* ---- reports ---- */

static const char *state_of(const struct db_delivery *d)
{
	if (d->next_us)
		return d->attempts ? "retrying" : "waiting";
	return d->error[0] ? "failed" : "delivered";
}

static json_t *deliveries(struct request *r, const struct db_webhook *h)
{
	struct db_delivery *rows autofree = NULL;
	int n = db_delivery_list(r->c->db, h->id, &rows);
	json_t *all = json_array();

	for (int i = 0; i < n; i++) {
		const struct db_delivery *d = &rows[i];

		json_array_append_new(all,
			json_pack("{s:I, s:s, s:s, s:i, s:i, s:o, s:o, s:o, s:o}", "id",
				(json_int_t)d->id, "event", d->event, "state",
				state_of(d), "attempts", (int)d->attempts, "status",
				(int)d->status, "error", db_text_json(d->error), "time",
				json_stamp(d->created_us), "next", json_stamp(d->next_us),
				"done", json_stamp(d->done_us)));
	}
	return all;
}

static json_t *hook_json(struct request *r, const struct db_webhook *h)
{
	char shown[DRAIN_URL_MAX] = "?";
	json_t *events = json_array();
	struct drain_url u;

	if (drain_url_parse(h->url, &u, NULL) == 0)
		drain_url_show(&u, shown);
	for (uint32_t bit = 1; bit < HOOK_ALL; bit <<= 1)
		if (h->events & bit)
			json_array_append_new(
				events, json_string(webhook_event_name(bit)));
	return json_pack("{s:I, s:s, s:s, s:o, s:o, s:o}", "id", (json_int_t)h->id, "app",
		h->app ? h->app_name : "(all)", "url", shown, "events", events, "added",
		json_stamp(h->created_us), "deliveries", deliveries(r, h));
}

static int report(struct request *r, uint32_t app)
{
	struct db_webhook *rows autofree = NULL;
	int n = db_webhook_list(r->c->db, &rows);
	json_t *all = json_array();

	for (int i = 0; i < n; i++)
		if (!app || rows[i].app == app)
			json_array_append_new(all, hook_json(r, &rows[i]));
	if (n >= 0)
		return request_reply(r, 200, all);
	json_decref(all);
	return request_fail_db(r, n, "webhooks");
}

int webhooks_show(struct request *r)
{
	return report(r, r->app.id);
}

int webhooks_list(struct request *r)
{
	return report(r, 0);
}

/* ---- a test ---- */

static int check_test(struct request *r, uint32_t app)
{
	struct db_webhook *h = calloc(1, sizeof(*h));

	if (!h)
		return request_fail(r, FAIL_BERTH, "out of memory");
	r->data = h;
	r->data_free = free;
	return find(r, app, request_string(r, "webhook"), h);
}

int webhooks_check_test(struct request *r)
{
	return check_test(r, r->app.id);
}

int webhooks_check_test_global(struct request *r)
{
	return check_test(r, 0);
}

int webhooks_test(struct request *r, struct sink *s, struct err *e)
{
	const struct db_webhook *h = r->data;
	struct db_delivery d = {0};
	uint64_t id;
	int n = webhooks_ping(r->c, h, &id);

	if (n < 0)
		return err_sys(e, -n, "record the delivery");
	for (int i = 0; i < TEST_MS * 1000 / TEST_LOOK_US && !sink_cancelled(s); i++) {
		if (db_delivery_get(r->c->db, id, &d) < 0)
			return err_set(e, ENOENT, "the webhook was removed meanwhile");
		if (d.status || d.error[0])
			break;
		usleep(TEST_LOOK_US);
	}
	if (d.error[0] || !d.status)
		return err_set(e, EIO, "%s",
			d.error[0] ? d.error : "no answer yet; it is tried again");
	sink_step(s, "Webhook %llu took the ping: the receiver answers %u",
		(unsigned long long)h->id, d.status);
	return 0;
}

/* Webhooks: from what happened to what is sent. */
#include "control/logs/webhooks.h"
#include "control/logs/drains.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/stamp.h"
#include <errno.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define LEASE_US                                                                         \
	(60 * UINT64_C(1000000)) /* until an answer that does not come is given up */
#define ID_HEX 32
#define LEAST_MS 200
#define NAMES_BYTES_MAX (DB_DELIVERY_BODY_MAX / 2) /* a certificate may have more */

static const char *const event_names[] = {"deploy", "crash", "disk", "certificate"};

/* After each try that failed, in seconds; a quarter more at random would not help one receiver. */
static const uint32_t pauses_s[WEBHOOK_TRIES - 1] = {
	5, 30, 120, 600, 3600, 4 * 3600, 12 * 3600};

const char *webhook_event_name(enum db_hook_events event)
{
	for (size_t i = 0; i < ARRAY_LEN(event_names); i++)
		if (event == 1u << i)
			return event_names[i];
	return "";
}

uint32_t webhook_events_parse(const char *text)
{
	uint32_t events = 0;

	for (size_t len; *text; text += len + (text[len] == ',')) {
		uint32_t bit = 0;

		len = strcspn(text, ",");
		for (size_t i = 0; i < ARRAY_LEN(event_names); i++)
			if (strlen(event_names[i]) == len &&
				memcmp(event_names[i], text, len) == 0)
				bit = 1u << i;
		if (!bit)
			return 0;
		events |= bit;
	}
	return events;
}

int webhooks_count(struct control *c)
{
	struct db_webhook *rows autofree = NULL;
	int n = db_webhook_list(c->db, &rows);

	for (int i = 0; i < n; i++)
		explicit_bzero(&rows[i], sizeof(rows[i]));
	return n;
}

/* ---- what is told ---- */

static int make_id(char out[ID_HEX + 1])
{
	uint8_t bytes[ID_HEX / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

/* {event, delivery, time, host, app?, detail…}: the same but for the delivery's id. */
static int put(struct control *c, const struct db_webhook *h, const char *event,
	const json_t *told, uint64_t *ret_id)
{
	char id[ID_HEX + 1];
	json_t *body = json_copy((json_t *)(uintptr_t)told);
	int r = make_id(id);

	if (r == 0)
		r = json_object_set_new(body, "delivery", json_string(id));
	char *text = r == 0 ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	r = !text || strlen(text) >= DB_DELIVERY_BODY_MAX
		    ? -E2BIG
		    : db_delivery_add(c->db, h->id, event, text, ret_id);
	free(text);
	if (r < 0)
		log_warn("webhook %llu is not told of %s: %s", (unsigned long long)h->id,
			event, strerror(-r));
	return r;
}

static json_t *body_of(
	struct control *c, uint32_t app, const char *event, const json_t *detail)
{
	char host[HOST_MAX_LEN + 1] = "", now[STAMP_SIZE];
	struct db_preview p;
	struct db_app a;
	json_t *o;

	gethostname(host, sizeof(host) - 1);
	stamp_format(io_now_us(), now);
	o = json_pack("{s:s, s:s, s:s}", "event", event, "time", now, "host", host);
	if (app && db_app_by_id(c->db, app, &a) == 0)
		json_object_set_new(o, "app", json_string(a.name));
	if (app && db_preview_get(c->db, app, &p) == 0)
		json_object_set_new(o, "preview",
			json_pack("{s:s, s:s}", "of", p.parent_name, "branch", p.branch));
	json_object_update(o, (json_t *)(uintptr_t)detail);
	return o;
}

void webhooks_emit(
	struct control *c, uint32_t app, enum db_hook_events event, json_t *detail)
{
	struct db_webhook *rows autofree = NULL;
	struct db_preview p = {0};
	int n = db_webhook_list(c->db, &rows);
	bool any = false;
	json_t *body = NULL;

	if (app)
		(void)db_preview_get(c->db, app, &p);
	for (int i = 0; i < n; i++) {
		uint64_t id;

		if ((rows[i].events & event) &&
			(!rows[i].app || rows[i].app == app || rows[i].app == p.parent)) {
			body = body ? body
				    : body_of(c, app, webhook_event_name(event), detail);
			any |= put(c, &rows[i], webhook_event_name(event), body, &id) ==
			       0;
		}
		explicit_bzero(&rows[i], sizeof(rows[i]));
	}
	json_decref(body);
	json_decref(detail);
	if (any)
		drains_changed(c);
}

void webhooks_put_names(json_t *detail, const json_t *names)
{
	size_t bytes = 0, more = 0, i;
	json_t *told = json_array(), *name;

	json_array_foreach (names, i, name) {
		bytes += json_string_length(name) + sizeof("\"\"");
		if (bytes <= NAMES_BYTES_MAX)
			json_array_append(told, name);
		else
			more++;
	}
	json_object_set_new(detail, "names", told);
	if (more)
		json_object_set_new(detail, "more", json_integer((json_int_t)more));
}

int webhooks_ping(struct control *c, const struct db_webhook *h, uint64_t *ret_id)
{
	json_t *body = body_of(c, h->app, "ping", NULL);
	int r = put(c, h, "ping", body, ret_id);

	json_decref(body);
	if (r == 0)
		drains_changed(c);
	return r;
}

/* ---- what is sent ---- */

static void add(json_t *headers, const char *name, const char *value)
{
	json_array_append_new(headers, json_sprintf("%s: %s", name, value));
}

static void add_signature(json_t *headers, const char *secret, const char *body)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	char text[sizeof("sha256=") + 2 * EVP_MAX_MD_SIZE] = "sha256=";

	if (!HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)body,
		    strlen(body), mac, &len))
		return;
	for (unsigned int i = 0; i < len; i++)
		snprintf(text + 7 + 2 * i, 3, "%02x", mac[i]);
	add(headers, "X-Hub-Signature-256", text);
}

static json_t *headers_of(const struct db_webhook *h, const struct db_delivery *d)
{
	json_t *headers = json_array(), *body = json_loads(d->body, 0, NULL);
	const char *id = json_string_value(json_object_get(body, "delivery"));
	char now[24];

	snprintf(now, sizeof(now), "%llu", (unsigned long long)(io_now_us() / 1000000));
	add(headers, "Content-Type", "application/json");
	add(headers, "Expect", "");
	add(headers, "X-Berth-Event", d->event);
	add(headers, "X-Berth-Delivery", id ? id : "");
	add(headers, "X-Berth-Timestamp", now);
	add_signature(headers, h->secret, d->body);
	json_decref(body);
	return headers;
}

/* As if it had failed already: what becomes of berth-drain or of us, it is tried again. -ETIME: not any more. */
static int lease(struct control *c, struct db_delivery *d)
{
	const bool over = d->attempts >= WEBHOOK_TRIES;
	const uint64_t now = io_now_us();

	if (over) {
		snprintf(
			d->error, sizeof(d->error), "no answer is known of the last try");
		d->status = 0;
		d->done_us = now;
	} else {
		d->attempts++;
	}
	d->next_us = over ? 0 : now + LEASE_US;
	int r = db_delivery_put(c->db, d);
	return r < 0 ? r : over ? -ETIME : 0;
}

static int send_one(struct control *c, struct db_delivery *d,
	int (*tell)(void *arg, json_t *o), void *arg)
{
	struct db_webhook h;
	int r = db_webhook_get(c->db, d->webhook, &h);

	if (r < 0 || lease(c, d) < 0)
		return 0; /* it is gone, or given up */
	r = tell(arg, json_pack("{s:I, s:s, s:b, s:o, s:s}", "hook", (json_int_t)d->id,
			      "url", h.url, "local", h.local, "headers",
			      headers_of(&h, d), "body", d->body));
	explicit_bzero(&h, sizeof(h));
	return r;
}

int webhooks_send(struct control *c, int (*tell)(void *arg, json_t *o), void *arg)
{
	struct db_delivery *due autofree = NULL;
	int n = db_delivery_due(c->db, io_now_us(), &due), r = 0;

	for (int i = 0; r == 0 && i < n; i++)
		r = send_one(c, &due[i], tell, arg);
	return r;
}

void webhooks_answered(
	struct control *c, uint64_t delivery, uint32_t status, const char *text)
{
	struct db_delivery d;

	if (db_delivery_get(c->db, delivery, &d) < 0 || !d.next_us)
		return;
	d.status = status;
	d.error[0] = '\0';
	d.next_us = 0;
	if (status / 100 != 2) {
		if (status)
			snprintf(d.error, sizeof(d.error), "the receiver answers %u",
				status);
		else
			snprintf(d.error, sizeof(d.error), "%s", text);
		if (d.attempts < WEBHOOK_TRIES)
			d.next_us =
				io_now_us() + pauses_s[d.attempts ? d.attempts - 1 : 0] *
						      UINT64_C(1000000);
	}
	if (!d.next_us)
		d.done_us = io_now_us();
	if (db_delivery_put(c->db, &d) < 0)
		log_warn("what became of webhook delivery %llu could not be recorded",
			(unsigned long long)delivery);
}

int webhooks_wait_ms(struct control *c)
{
	uint64_t next = 0, now = io_now_us();

	if (db_delivery_next(c->db, &next) < 0 || !next)
		return -1;
	/* not at once: what is due could not be recorded; what is added wakes the thread itself */
	if (next < now + LEAST_MS * 1000)
		return LEAST_MS;
	return next - now > 3600000000u ? 3600000 : (int)((next - now) / 1000) + 1;
}

/* All drains: which there are, and what is kept of them. */
#include "drain/outlet.h"
#include "drain/state.h"
#include "lib/io.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define SAVE_MS 500
#define ASK_MS 100 /* control has more to read than fits */

/* ---- what is kept ---- */

static void on_save(void *arg)
{
	struct outlet *o = arg;

	o->saving = NULL;
	outlet_save(o);
}

void drain_changed(struct drain *d)
{
	d->unsaved = true;
	if (!d->outlet->saving)
		d->outlet->saving =
			loop_after(d->outlet->loop, SAVE_MS, on_save, d->outlet);
}

void outlet_save(struct outlet *o)
{
	for (struct drain *d = o->first; d; d = d->next)
		if (d->unsaved && state_save(o->state, d) == 0)
			d->unsaved = false;
}

/* ---- which there are ---- */

static void ask_name(struct outlet *o, struct app_log *l);

static void on_ask(void *arg)
{
	struct outlet *o = arg;

	o->asking = NULL;
	for (struct app_log *l = logs_first(o->logs); l && !o->asking; l = l->next)
		if (l->cursors)
			ask_name(o, l);
}

static void ask_name(struct outlet *o, struct app_log *l)
{
	if (l->name[0] || l->asked)
		return;
	l->asked = true;
	o->ask(o, l);
	if (!l->asked && !o->asking)
		o->asking = loop_after(o->loop, ASK_MS, on_ask, o);
}

static void put_cursor(struct drain *d, struct cursor *c)
{
	if (!c)
		return;
	c->next = d->cursors;
	d->cursors = c;
	ask_name(d->outlet, c->log);
	drain_run_in(d, d->transport->linger_ms);
}

static void read_app(struct drain *d, struct app_log *l)
{
	struct place from;

	for (struct cursor *c = d->cursors; c; c = c->next)
		if (c->log == l)
			return;
	put_cursor(
		d, cursor_new(l, d, state_place(d->saved, l->app, &from) ? &from : NULL,
			   d->created_us));
}

static void on_more(void *arg UNUSED, struct cursor *c)
{
	struct drain *d = c->owner;

	if (c->lost.gaps != c->kept.told.gaps)
		drain_changed(d); /* its report has it before the receiver */
	if (d->phase == PHASE_CLOSED || d->phase == PHASE_OPEN)
		drain_run_in(d, d->transport->linger_ms);
}

static void on_found(void *arg, struct app_log *l)
{
	struct outlet *o = arg;

	for (struct drain *d = o->first; d; d = d->next)
		if (!d->app)
			read_app(d, l);
}

/* Its readers go; what is on its way of them is forgotten. */
static void forget(struct drain *d, struct app_log *l)
{
	struct cursor **at = &d->cursors;

	while (*at && (*at)->log != l)
		at = &(*at)->next;
	if (!*at)
		return;
	struct cursor *c = *at;
	drain_stop(d);
	*at = c->next;
	d->turn = NULL;
	cursor_free(c);
	drain_run_in(d, 0);
}

static void on_gone(void *arg, struct app_log *l)
{
	struct outlet *o = arg;

	for (struct drain *d = o->first; d; d = d->next)
		if (!d->app)
			forget(d, l);
}

void outlet_name(struct outlet *o, uint32_t app, const char *name)
{
	struct app_log *l = logs_first(o->logs);

	while (l && l->app != app)
		l = l->next;
	if (!l)
		return;
	l->asked = false;
	if (!name[0])
		on_gone(o, l);
	snprintf(l->name, sizeof(l->name), "%s", name);
	for (struct cursor *c = l->cursors; c; c = c->next_of_log)
		on_more(o, c);
}

static struct drain *find(struct outlet *o, uint64_t id)
{
	struct drain *d = o->first;

	while (d && d->id != id)
		d = d->next;
	return d;
}

static const struct transport *transport_of(enum drain_kind kind)
{
	switch (kind) {
	case DRAIN_TCP:
	case DRAIN_TLS:
		return &transport_stream;
	case DRAIN_UDP:
		return &transport_udp;
	case DRAIN_HTTP:
	case DRAIN_HTTPS:
		return &transport_http;
	case DRAIN_FILE:
		break;
	}
	return &transport_file;
}

static void free_drain(struct drain *d)
{
	drain_stop(d);
	while (d->cursors) {
		struct cursor *c = d->cursors;

		d->cursors = c->next;
		cursor_free(c);
	}
	explicit_bzero(&d->url, sizeof(d->url));
	json_decref(d->saved);
	free(d->ca);
	free(d);
}

static bool is_on(const json_t *said, const char *key)
{
	return json_is_true(json_object_get(said, key));
}

/* NULL with e. */
static struct drain *make(
	struct outlet *o, uint64_t id, const json_t *said, struct err *e)
{
	const char *url = json_string_value(json_object_get(said, "url"));
	const char *ca = json_string_value(json_object_get(said, "ca"));
	struct drain *d = calloc(1, sizeof(*d));

	if (!d || !url || drain_url_parse(url, &d->url, e) < 0) {
		free(d);
		err_set(e, EPROTO, "control named a drain without a URL");
		return NULL;
	}
	d->outlet = o;
	d->id = id;
	d->app = (uint32_t)json_integer_value(json_object_get(said, "app"));
	d->created_us = (uint64_t)json_integer_value(json_object_get(said, "created_us"));
	d->gzip = is_on(said, "gzip");
	d->insecure = is_on(said, "insecure");
	d->local = is_on(said, "local");
	d->ca = ca ? strdup(ca) : NULL;
	d->transport = transport_of(d->url.kind);
	d->batch_bytes = d->transport->batch_bytes;
	return d;
}

int outlet_put(struct outlet *o, const json_t *said, struct err *e)
{
	const uint64_t id = (uint64_t)json_integer_value(json_object_get(said, "drain"));
	struct drain *d = find(o, id);

	if (d) {
		d->named = true;
		return 0;
	}
	d = make(o, id, said, e);
	if (!d)
		return -e->code;
	d->named = true;
	d->saved = state_load(o->state, d);
	d->next = o->first;
	o->first = d;
	if (d->app) {
		struct app_log *l = logs_get(o->logs, d->app);

		if (l)
			read_app(d, l);
	} else {
		logs_find(o->logs);
		for (struct app_log *l = logs_first(o->logs); l; l = l->next)
			read_app(d, l);
	}
	drain_changed(d);
	return 0;
}

void outlet_settle_list(struct outlet *o)
{
	struct drain **at = &o->first;

	while (*at) {
		struct drain *d = *at;

		if (d->named) {
			d->named = false;
			at = &d->next;
			continue;
		}
		*at = d->next;
		state_remove(o->state, d->id);
		free_drain(d);
	}
	logs_tidy(o->logs);
}

int outlet_open(struct outlet *o, struct err *e)
{
	const struct log_events events = {
		.more = on_more, .found = on_found, .gone = on_gone, .arg = o};
	char folder[512];
	uint64_t random[2];
	int r;

	if (getrandom(random, sizeof(random), 0) != sizeof(random) ||
		gethostname(o->host, sizeof(o->host) - 1) < 0)
		return err_sys(e, errno, "look at the host");
	snprintf(o->nonce, sizeof(o->nonce), "drain-%016llx%016llx",
		(unsigned long long)random[0], (unsigned long long)random[1]);
	snprintf(folder, sizeof(folder), "%s/logs", o->state);
	r = logs_open(o->loop, folder, &events, &o->logs);
	if (r < 0)
		return err_sys(e, -r, "open %s", folder);
	r = net_open(o->loop, &o->net);
	return r < 0 ? err_sys(e, -r, "start libcurl") : 0;
}

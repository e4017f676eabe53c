/* Automatic certificates: the thread, and what others may ask of it. */
#include "control/certs/acme.h"
#include "control/certs/acme_order.h"
#include "control/certs/cert.h"
#include "control/certs/certs.h"
#include "control/logs/applog.h"
#include "control/logs/webhooks.h"
#include "control/network/own_host.h"
#include "control/thread.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/stamp.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define LOOK_MS 600000		   /* at least so often: the clock may be set */
#define SETTLE_US (2ull * 1000000) /* domains are often added one by one */
#define AGAIN_US (60ull * 1000000) /* after a try that nobody saw the end of */
#define WAIT_LOOK_MS 200 /* whoever waits looks so often whether its asker is there */
#define STACK_BYTES ((size_t)512 << 10)

struct acme {
	pthread_mutex_t lock;
	pthread_cond_t wake, ended; /* CLOCK_MONOTONIC */
	bool woken;
	uint32_t ordering; /* app, 0: none */
	bool stuck; /* of the thread: an order could not begin, and that was logged */
	pthread_mutex_t
		store; /* an app is switched off before or after a certificate is stored */
};

int acme_open(struct control *c, struct acme **ret, struct err *e)
{
	struct acme *a = calloc(1, sizeof(*a));
	pthread_condattr_t attr;
	int r = a ? acme_order_open(c, e) : err_sys(e, ENOMEM, "automatic certificates");

	if (r < 0) {
		free(a);
		return r;
	}
	pthread_mutex_init(&a->lock, NULL);
	pthread_mutex_init(&a->store, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&a->wake, &attr);
	pthread_cond_init(&a->ended, &attr);
	pthread_condattr_destroy(&attr);
	*ret = a;
	return 0;
}

static void wake(struct acme *a)
{
	pthread_mutex_lock(&a->lock);
	a->woken = true;
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
}

/* ---- looking ---- */

void acme_view_clear(struct acme_view *v)
{
	json_decref(v->names);
	db_cert_clear(&v->have);
	*v = (struct acme_view){0};
}

/* The automatic one moves out of the list. */
static void take_own(struct db_cert *list, int n, struct db_cert *ret)
{
	for (int i = 0; i < n; i++) {
		if (list[i].name[0])
			continue;
		*ret = list[i];
		list[i] = (struct db_cert){.name = "-"};
	}
}

static int find_next(struct control *c, struct acme_view *v, uint64_t now_us)
{
	char *text autofree = acme_names_text(v->names);
	uint64_t allowed = 0;

	if (v->need == ACME_NONE) {
		v->next_us = v->have.names && json_array_size(v->names)
				     ? acme_renew_us(&v->have)
				     : 0;
		return 0;
	}
	if (!text)
		return -ENOMEM;
	int r = acme_allowed_us(c, v->row.app, text, now_us, &allowed, &v->limit);
	v->next_us = v->row.after_us > now_us ? v->row.after_us : now_us;
	if (allowed > v->next_us)
		v->next_us = allowed;
	else
		v->limit = NULL;
	return r;
}

int acme_look(struct control *c, const struct db_app *app, struct acme_view *ret)
{
	struct acme_view v = {0};
	struct db_cert *list = NULL;
	uint64_t now = io_now_us();
	json_t *hosts = NULL;
	int r = db_acme_get(c->db, app->id, &v.row);

	v.enabled = r == 0;
	if (r < 0 && r != -ENOENT)
		return r;
	int n = db_cert_list(c->db, app->id, &list);
	if (n < 0 || !(hosts = own_host_with(c, app))) {
		db_cert_free(list, n);
		return n < 0 ? n : -EIO;
	}
	v.names = acme_names(hosts, list, n, now);
	json_decref(hosts);
	take_own(list, n, &v.have);
	db_cert_free(list, n);
	if (v.enabled) {
		v.need = acme_need(
			v.names, v.have.names ? &v.have : NULL, v.row.forced, now);
		r = find_next(c, &v, now);
	}
	pthread_mutex_lock(&c->acme->lock);
	v.ordering = c->acme->ordering == app->id;
	pthread_mutex_unlock(&c->acme->lock);
	if (r < 0 && v.enabled) {
		acme_view_clear(&v);
		return r;
	}
	*ret = v;
	return 0;
}

/* ---- asking ---- */

static int change_row(struct control *c, uint32_t app,
	void (*change)(struct db_acme *row, uint64_t now_us))
{
	struct db_acme row;
	int r = db_begin(c->db);

	if (r < 0)
		return r;
	r = db_acme_get(c->db, app, &row);
	if (r == 0) {
		change(&row, io_now_us());
		r = db_acme_save(c->db, &row);
	}
	int ended = db_end(c->db, r == 0);
	return r < 0 ? r : ended;
}

static void force(struct db_acme *row, uint64_t now_us)
{
	(void)now_us;
	row->forced = true;
	row->after_us = 0;
}

static void settle(struct db_acme *row, uint64_t now_us)
{
	row->after_us = now_us + SETTLE_US;
}

static void retry(struct db_acme *row, uint64_t now_us)
{
	(void)now_us;
	row->after_us = 0;
}

int acme_enable(struct control *c, uint32_t app)
{
	int r = db_acme_enable(c->db, app);

	if (r == 0)
		r = change_row(c, app, retry);
	if (r >= 0)
		wake(c->acme);
	return r < 0 ? r : 0;
}

int acme_disable(struct control *c, uint32_t app, struct err *e)
{
	struct acme *a = c->acme;
	int r;

	pthread_mutex_lock(&a->store);
	r = db_acme_disable(c->db, app);
	if (r == 0) {
		r = certs_remove(c, app, "", e);
		r = r == -ENOENT ? 0 : r;
	}
	pthread_mutex_unlock(&a->store);
	return r < 0 ? r : certs_went(c, e);
}

int acme_force(struct control *c, uint32_t app)
{
	int r = change_row(c, app, force);

	if (r == 0)
		wake(c->acme);
	return r;
}

static void change_rows(struct control *c, uint32_t app,
	void (*change)(struct db_acme *row, uint64_t now_us))
{
	struct db_acme *rows autofree = NULL;
	int n = db_acme_list(c->db, app, &rows);

	for (int i = 0; i < n; i++)
		change_row(c, rows[i].app, change);
	if (n > 0)
		wake(c->acme);
}

void acme_changed(struct control *c, uint32_t app)
{
	change_rows(c, app, settle);
}

void acme_retry(struct control *c)
{
	change_rows(c, 0, retry);
}

/* 0, -EAGAIN: it goes on, or how it ended. */
static int ended(const struct acme_view *v, uint64_t since_us, struct err *e)
{
	char at[STAMP_SIZE];

	stamp_format(v->next_us, at);
	if (!v->enabled)
		return err_set(e, ECANCELED, "automatic certificates were switched off");
	if (v->ordering)
		return -EAGAIN;
	if (v->row.error[0] && v->row.tried_us >= since_us)
		return err_set(e, EPROTO,
			"%s; the next try is at %s (berth tls:report shows it)",
			v->row.error, at);
	if (v->limit)
		return err_set(e, EBUSY,
			"authorities take no more of this app's orders (%s); the next "
			"is tried at %s",
			v->limit, at);
	return v->need == ACME_NONE ? 0 : -EAGAIN;
}

static void pause_ms(struct acme *a, int ms)
{
	struct timespec until = io_mono_in(ms);

	pthread_mutex_lock(&a->lock);
	pthread_cond_timedwait(&a->ended, &a->lock, &until);
	pthread_mutex_unlock(&a->lock);
}

int acme_wait(
	struct control *c, uint32_t app, uint64_t since_us, struct sink *s, struct err *e)
{
	struct db_app row;

	for (;;) {
		struct acme_view v;
		int r = db_app_by_id(c->db, app, &row);

		if (r == 0)
			r = acme_look(c, &row, &v);
		if (r < 0)
			return err_sys(e, -r, "look at the app's certificates");
		r = ended(&v, since_us, e);
		acme_view_clear(&v);
		if (r != -EAGAIN)
			return r;
		if (sink_cancelled(s))
			return err_set(e, ECANCELED,
				"not waited for; berth tls:report shows the end");
		pause_ms(c->acme, WAIT_LOOK_MS);
	}
}

/* ---- the thread ---- */

static uint32_t random_number(void)
{
	uint32_t n = 0;

	(void)!getrandom(&n, sizeof(n), 0);
	return n;
}

static void set_ordering(struct acme *a, uint32_t app)
{
	pthread_mutex_lock(&a->lock);
	a->ordering = app;
	pthread_cond_broadcast(&a->ended);
	pthread_mutex_unlock(&a->lock);
}

/* Before the order: when nobody sees its end, the next start knows that there was one. */
static int begin(struct control *c, struct acme_view *v, uint64_t *ret_order)
{
	char *names autofree = acme_names_text(v->names);
	uint64_t now = io_now_us();

	if (!names)
		return -ENOMEM;
	v->row.tried_us = now;
	v->row.after_us = now + AGAIN_US;
	v->row.error[0] = '\0'; /* whoever waits would take it for this one's */
	int r = db_acme_save(c->db, &v->row);
	if (r == 0)
		r = db_order_begin(c->db, v->row.app, names, now, ret_order);
	db_order_prune(c->db, now - ACME_ORDERS_KEPT_US);
	return r;
}

static void note_failure(struct control *c, struct acme_view *v, const struct err *e)
{
	uint64_t pause;
	char at[STAMP_SIZE];

	v->row.failures++;
	pause = acme_pause_us(v->row.failures, random_number());
	if (e->code == EAGAIN && pause < ACME_LIMITED_US)
		pause = ACME_LIMITED_US;
	v->row.after_us = io_now_us() + pause;
	snprintf(v->row.error, sizeof(v->row.error), "%.500s", e->text);
	if (db_acme_save(c->db, &v->row) < 0)
		return; /* switched off meanwhile */
	stamp_format(v->row.after_us, at);
	applog(v->row.app, "berth[tls]", "no certificate: %s; next try %s%s",
		v->row.error, at, v->have.names ? "; the old certificate goes on" : "");
	if (v->row.failures == 1)
		webhooks_emit(c, v->row.app, HOOK_CERTIFICATE,
			json_pack("{s:s, s:s, s:o, s:s}", "what", "failed", "certificate",
				"automatic", "error", db_text_json(v->row.error),
				"next_try", at));
}

/* The app may have been switched off while the authority thought. */
static int store(struct control *c, struct acme_view *v, const struct cert_pair *p,
	uint64_t order, struct err *e)
{
	struct acme *a = c->acme;

	pthread_mutex_lock(&a->store);
	v->row.failures = 0;
	v->row.forced = false;
	v->row.after_us = 0;
	v->row.error[0] = '\0';
	int r = db_acme_save(c->db, &v->row);
	if (r == 0) {
		db_order_issued(c->db, order);
		r = certs_put(c, v->row.app, "", p, e);
	} else {
		err_sys(e, -r, "the certificate cannot be recorded");
	}
	pthread_mutex_unlock(&a->store);
	return r;
}

static void tell_success(struct control *c, struct acme_view *v, struct cert_pair *p)
{
	char until[STAMP_SIZE];
	char *names autofree = acme_names_text(v->names);
	struct err e = {0};

	stamp_format(p->facts.until_us, until);
	applog(v->row.app, "berth[tls]",
		"certificate for %s, issued by %s, valid until %s", names ? names : "?",
		p->facts.issuer, until);
	json_t *o = json_pack("{s:s, s:s, s:s}", "what", "renewed", "certificate",
		"automatic", "until", until);
	webhooks_put_names(o, v->names);
	webhooks_emit(c, v->row.app, HOOK_CERTIFICATE, o);
	if (certs_came(c, &e) < 0)
		log_warn("%s", e.text);
}

/* 0, however it ended, or -errno: it could not begin. */
static int order(struct control *c, const struct db_app *app, struct acme_view *v)
{
	struct cert_pair p = {0};
	struct err e = {0};
	uint64_t id = 0;
	int r = begin(c, v, &id);

	if (r < 0 && r != -ENOENT && !c->acme->stuck)
		log_warn("the order of a certificate for %s cannot begin: %s", app->name,
			strerror(-r));
	c->acme->stuck = r < 0 && r != -ENOENT;
	if (r < 0)
		return r;
	set_ordering(c->acme, app->id);
	r = acme_order(c, app->id, v->names, &p, &e);
	if (r == 0) {
		r = store(c, v, &p, id, &e);
		if (r == 0)
			tell_success(c, v, &p);
		else if (r == -ENOENT)
			r = 0;
	}
	if (r < 0)
		note_failure(c, v, &e);
	cert_pair_clear(&p);
	set_ordering(c->acme, 0);
	return 0;
}

uint64_t acme_serve(struct control *c, uint32_t id)
{
	struct acme_view v;
	struct db_app app;
	uint64_t next, soonest = 0;

	if (db_app_by_id(c->db, id, &app) < 0 || app.removing ||
		acme_look(c, &app, &v) < 0)
		return 0;
	if (v.enabled && v.need != ACME_NONE && v.next_us <= io_now_us() &&
		order(c, &app, &v) < 0)
		soonest = io_now_us() + AGAIN_US; /* nothing says so but this */
	acme_view_clear(&v);
	if (acme_look(c, &app, &v) < 0)
		return 0;
	next = v.enabled ? v.next_us : 0;
	acme_view_clear(&v);
	return next && next < soonest ? soonest : next;
}

/* The moment at which to look again. */
static uint64_t serve_all(struct control *c)
{
	struct db_acme *rows autofree = NULL;
	int n = db_acme_list(c->db, 0, &rows);
	uint64_t soonest = UINT64_MAX;

	for (int i = 0; i < n; i++) {
		uint64_t next = acme_serve(c, rows[i].app);

		if (next && next < soonest)
			soonest = next;
	}
	return soonest;
}

static void rest(struct acme *a, uint64_t until_us)
{
	uint64_t now = io_now_us();
	uint64_t ms = until_us <= now ? 0 : (until_us - now) / 1000 + 1;
	struct timespec until = io_mono_in(ms > LOOK_MS ? LOOK_MS : (int)ms);

	pthread_mutex_lock(&a->lock);
	while (!a->woken && pthread_cond_timedwait(&a->wake, &a->lock, &until) == 0)
		;
	a->woken = false;
	pthread_mutex_unlock(&a->lock);
}

static void *acme_main(void *arg)
{
	struct control *c = arg;
	uint64_t daily = io_now_us();

	for (;;) {
		rest(c->acme, serve_all(c));
		if (io_now_us() - daily >= ACME_DAY_US) {
			certs_daily(c);
			daily = io_now_us();
		}
	}
	return NULL;
}

int acme_run(struct control *c)
{
	return thread_detached(acme_main, c, STACK_BYTES);
}

/* Automatic certificates: switched on and off, renewed, shown. */
#include "control/api/handlers.h"
#include "control/api/view.h"
#include "control/certs/acme.h"
#include "control/certs/acme_order.h"
#include "control/certs/cert.h"
#include "lib/io.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *state_of(const struct acme_view *v)
{
	if (!v->enabled)
		return "off";
	if (v->ordering)
		return "ordering";
	if (json_array_size(v->names) == 0)
		return "no names";
	if (v->row.error[0])
		return v->have.names ? "renewal fails" : "fails";
	if (v->need != ACME_NONE)
		return v->limit ? "waits" : "due";
	return "valid";
}

static json_t *issuer_of(const struct db_cert *have)
{
	struct cert facts = {0};
	struct err e = {0};

	if (!have->chain || cert_read(have->chain, &facts, &e) < 0)
		return json_null();
	json_t *issuer = json_string(facts.issuer);
	cert_clear(&facts);
	return issuer;
}

static json_t *text_or_null(const char *s)
{
	return s && *s ? json_string(s) : json_null();
}

static json_t *view_json(const struct acme_view *v)
{
	bool has = v->have.names != NULL;

	return json_pack("{s:b, s:s, s:O, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "enabled",
		v->enabled, "state", state_of(v), "names", v->names, "certified",
		has ? json_incref(v->have.names) : json_array(), "issuer",
		issuer_of(&v->have), "expires", json_stamp(v->have.until_us), "last_try",
		json_stamp(v->row.tried_us), "last_error", text_or_null(v->row.error),
		"next_try", json_stamp(v->next_us), "waits_for", text_or_null(v->limit));
}

int tls_show(struct request *r)
{
	struct acme_view v;
	int n = acme_look(r->c, &r->app, &v);

	if (n < 0)
		return request_fail_db(r, n, r->app.name);
	json_t *o = view_json(&v);
	acme_view_clear(&v);
	return request_reply(r, 200, o);
}

/* Of all apps that have them on. */
int tls_list(struct request *r)
{
	struct db_acme *rows autofree = NULL;
	int n = db_acme_list(r->c->db, 0, &rows);
	json_t *list = json_array();

	for (int i = 0; i < n; i++) {
		struct acme_view v;
		struct db_app app;

		if (db_app_by_id(r->c->db, rows[i].app, &app) < 0 ||
			acme_look(r->c, &app, &v) < 0)
			continue;
		json_t *o = view_json(&v);
		if (o)
			json_object_set_new(o, "app", json_string(app.name));
		json_array_append_new(list, o);
		acme_view_clear(&v);
	}
	if (n < 0)
		return request_fail_db(r, n, "automatic certificates");
	return request_reply(r, 200, list);
}

/* ---- enable, renew ---- */

/* Before anything is tried: an authority asks for nothing when nobody could use what it gives. */
static int check_listens(struct request *r)
{
	if (https_is_served())
		return 0;
	request_fail(r, FAIL_CONFLICT, "this berth does not serve https");
	return request_hint(r, "start berthd with --https 0.0.0.0:443,[::]:443");
}

int tls_check_enable(struct request *r)
{
	struct acme_view v;
	int n = acme_look(r->c, &r->app, &v);

	if (n < 0)
		return request_fail_db(r, n, r->app.name);
	n = json_array_size(v.names) ? 0 : -1;
	acme_view_clear(&v);
	if (n == 0)
		return check_listens(r);
	request_fail(r, FAIL_CONFLICT,
		"%s has no hostname that an authority can check: only names without * "
		"that lead here from the internet, and that no certificate of certs:add "
		"covers",
		r->app.name);
	return request_hint(r, "berth domains:add %s www.example.com", r->app.name);
}

static void tell_names(struct control *c, const struct db_app *app, struct sink *s)
{
	struct acme_view v;
	const json_t *name;
	size_t i;

	if (acme_look(c, app, &v) < 0)
		return;
	json_array_foreach (v.names, i, name)
		sink_detail(s, "%s", json_string_value(name));
	acme_view_clear(&v);
}

static void tell_certificate(struct control *c, const struct db_app *app, struct sink *s)
{
	struct acme_view v;
	struct cert facts = {0};
	struct err e = {0};

	if (acme_look(c, app, &v) < 0)
		return;
	if (v.have.chain && cert_read(v.have.chain, &facts, &e) == 0) {
		json_t *until = json_stamp(facts.until_us), *next = json_stamp(v.next_us);
		char url[HOST_MAX_LEN + 32];

		host_url(c, json_string_value(json_array_get(v.names, 0)), url,
			sizeof(url));
		sink_step(s, "Certificate by %s, valid until %s, renewed from %s",
			facts.issuer, json_string_value(until), json_string_value(next));
		sink_detail(
			s, "https://%s", json_string_value(json_array_get(v.names, 0)));
		json_decref(until);
		json_decref(next);
		cert_clear(&facts);
	}
	acme_view_clear(&v);
}

static int wait_end(struct request *r, uint64_t since_us, struct sink *s, struct err *e)
{
	int n = acme_wait(r->c, r->app.id, since_us, s, e);

	if (n == 0)
		tell_certificate(r->c, &r->app, s);
	return n;
}

int tls_enable(struct request *r, struct sink *s, struct err *e)
{
	uint64_t since = io_now_us();

	sink_step(s, "Getting a certificate for %s", r->app.name);
	tell_names(r->c, &r->app, s);
	int n = acme_enable(r->c, r->app.id);
	return n < 0 ? err_sys(e, -n, "%s", r->app.name) : wait_end(r, since, s, e);
}

static int check_enabled(struct request *r)
{
	struct db_acme row;
	int n = db_acme_get(r->c->db, r->app.id, &row);

	if (n == -ENOENT) {
		request_fail(r, FAIL_CONFLICT, "%s has no automatic certificates",
			r->app.name);
		return request_hint(r, "berth tls:enable %s", r->app.name);
	}
	return n < 0 ? request_fail_db(r, n, r->app.name) : 0;
}

int tls_check_renew(struct request *r)
{
	return check_enabled(r) < 0 ? -1 : tls_check_enable(r);
}

int tls_renew(struct request *r, struct sink *s, struct err *e)
{
	uint64_t since = io_now_us();
	int n = 0;

	sink_step(s, "Renewing the certificate of %s", r->app.name);
	tell_names(r->c, &r->app, s);
	if (request_bool(r, "new_account", false))
		n = acme_order_new_account(r->c, e);
	if (n == 0 && (n = acme_force(r->c, r->app.id)) < 0)
		err_sys(e, -n, "%s", r->app.name);
	return n < 0 ? n : wait_end(r, since, s, e);
}

int tls_disable(struct request *r)
{
	struct err e = {0};

	if (check_enabled(r) < 0)
		return -1;
	if (acme_disable(r->c, r->app.id, &e) < 0)
		return request_fail(r, FAIL_BERTH, "%s",
			e.text[0] ? e.text : "they were switched off by another");
	return tls_show(r);
}

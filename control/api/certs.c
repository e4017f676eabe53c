/* Certificates that somebody brings: added, shown, removed. Keys go in and never out. */
#include "control/certs/certs.h"
#include "control/api/handlers.h"
#include "control/api/view.h"
#include "control/certs/acme_plan.h"
#include "control/network/own_host.h"
#include "lib/io.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define AUTOMATIC "automatic"

static const char *shown_name(const struct db_cert *c)
{
	return c->name[0] ? c->name : AUTOMATIC;
}

const char *certs_state(const struct db_cert *c, uint64_t now_us)
{
	if (now_us > c->until_us)
		return "expired";
	if (now_us < c->from_us)
		return "not valid yet";
	bool soon = c->until_us - now_us < CERT_SOON_US &&
		    (c->name[0] || acme_late(c, now_us));
	return soon ? "expires soon" : "valid";
}

/* The hostnames that one of the list serves. */
static json_t *served(const struct db_cert *list, int n, int which, const json_t *hosts,
	uint64_t now_us)
{
	json_t *names = json_array(), *v;
	size_t i;

	json_array_foreach (hosts, i, v)
		if (certs_choose(list, n, json_string_value(v), now_us) == which)
			json_array_append(names, v);
	return names;
}

static json_t *cert_json(const struct db_cert *c, json_t *serves, uint64_t now_us)
{
	struct cert facts = {0};
	struct err e = {0};
	json_t *o;

	if (!c->chain || cert_read(c->chain, &facts, &e) < 0)
		return json_pack("{s:s, s:o}", "state", "damaged", "serves", serves);
	o = json_pack("{s:s, s:o, s:o, s:s, s:s, s:o, s:o, s:s, s:s}", "state",
		certs_state(c, now_us), "serves", serves, "names",
		json_incref(facts.names), "issuer", facts.issuer, "subject",
		facts.subject, "starts", json_stamp(c->from_us), "expires",
		json_stamp(c->until_us), "key", facts.key, "fingerprint",
		facts.fingerprint);
	json_object_set_new(o, "chain_length", json_integer(facts.n_chain));
	cert_clear(&facts);
	return o;
}

static json_t *without_any(
	const struct db_cert *list, int n, const json_t *hosts, uint64_t now_us)
{
	json_t *names = json_array(), *v;
	size_t i;

	json_array_foreach (hosts, i, v)
		if (certs_choose(list, n, json_string_value(v), now_us) < 0)
			json_array_append(names, v);
	return names;
}

static json_t *report(struct request *r, const struct db_app *app)
{
	struct db_cert *list = NULL;
	uint64_t now = io_now_us();
	int n = db_cert_list(r->c->db, app->id, &list);
	json_t *hosts = n < 0 ? NULL : own_host_with(r->c, app), *certs = json_object();

	if (!hosts) {
		json_decref(certs);
		db_cert_free(list, n);
		return NULL;
	}
	for (int i = 0; i < n; i++)
		json_object_set_new(certs, shown_name(&list[i]),
			cert_json(&list[i], served(list, n, i, hosts, now), now));
	json_t *o = json_pack("{s:b, s:o, s:o}", "enabled", n > 0, "without",
		without_any(list, n, hosts, now), "certificates", certs);
	json_decref(hosts);
	db_cert_free(list, n);
	return o;
}

int certs_show(struct request *r)
{
	return request_reply(r, 200, report(r, &r->app));
}

/* One line an app: what a look at all of them is for. */
int certs_list(struct request *r)
{
	struct db_cert *list = NULL;
	uint64_t now = io_now_us();
	int n = db_cert_list(r->c->db, 0, &list);
	json_t *out = json_array();

	for (int i = 0; i < n; i++) {
		struct db_app app;
		if (db_app_by_id(r->c->db, list[i].app, &app) < 0)
			continue;
		json_array_append_new(
			out, json_pack("{s:s, s:s, s:O, s:s, s:o}", "app", app.name,
				     "name", shown_name(&list[i]), "names", list[i].names,
				     "state", certs_state(&list[i], now), "expires",
				     json_stamp(list[i].until_us)));
	}
	db_cert_free(list, n);
	return n < 0 ? request_fail_db(r, n, "certificates") : request_reply(r, 200, out);
}

/* ---- one of them ---- */

static int find(struct request *r, const char *name, struct db_cert *ret)
{
	int n = db_cert_get(
		r->c->db, r->app.id, strcmp(name, AUTOMATIC) == 0 ? "" : name, ret);

	if (n == -ENOENT) {
		request_fail(r, FAIL_MISSING, "%s has no certificate named %.80s",
			r->app.name, name);
		return request_hint(r, "berth certs:report %s lists them", r->app.name);
	}
	return n < 0 ? request_fail_db(r, n, name) : 0;
}

int certs_chain(struct request *r)
{
	struct db_cert c;

	if (find(r, r->args[1], &c) < 0)
		return -1;
	json_t *o = cert_json(&c, json_array(), io_now_us());
	json_object_del(o, "serves");
	json_object_set_new(o, "chain", json_string(c.chain ? c.chain : ""));
	db_cert_clear(&c);
	return request_reply(r, 200, o);
}

int certs_delete(struct request *r)
{
	struct db_cert c;
	struct err e = {0};

	if (strcmp(r->args[1], AUTOMATIC) == 0) {
		request_fail(r, FAIL_CONFLICT,
			"that certificate is berth's own: it would get another one");
		return request_hint(r, "berth tls:disable %s", r->app.name);
	}
	if (find(r, r->args[1], &c) < 0)
		return -1;
	db_cert_clear(&c);
	if (certs_remove(r->c, r->app.id, r->args[1], &e) < 0)
		return request_fail(r, FAIL_BERTH, "%s", e.text);
	if (certs_went(r->c, &e) < 0)
		return request_fail(r, FAIL_BERTH,
			"removed, but the router still uses it: %s", e.text);
	return certs_show(r);
}

/* ---- adding ---- */

static const char *pem_field(struct request *r, const char *field)
{
	const json_t *v = request_json(r, field);
	const char *text = json_string_value(v);

	if (text && strlen(text) == json_string_length(v) && strlen(text) <= CERT_PEM_MAX)
		return text;
	request_fail(r, FAIL_USAGE, "the %s must be PEM text of at most %zu bytes", field,
		CERT_PEM_MAX);
	return NULL;
}

static int check_name(struct request *r, const char *name)
{
	if (request_name(r, "certificate", name) < 0)
		return -1;
	if (strcmp(name, AUTOMATIC) == 0)
		return request_fail(r, FAIL_USAGE,
			"\"" AUTOMATIC "\" is the name of the one that berth gets by "
			"itself; choose another");
	return 0;
}

static int check(
	struct request *r, const char *chain, const char *key, struct cert_pair *p)
{
	json_t *hosts = own_host_with(r->c, &r->app);
	struct err e = {0};
	int n = hosts ? cert_check(chain, key, hosts, io_now_us(), p, &e) : -EIO;

	json_decref(hosts);
	if (n == 0)
		return 0;
	return request_fail(r, n == -EINVAL ? FAIL_CONFLICT : FAIL_BERTH, "%s",
		e.text[0] ? e.text : "the app's hostnames cannot be read");
}

static int store(struct request *r, const char *name, const struct cert_pair *p)
{
	struct err e = {0};
	int n = certs_put(r->c, r->app.id, name, p, &e);

	if (n == -E2BIG)
		return request_fail(r, FAIL_CONFLICT,
			"%s has %d certificates, the most that berth takes; remove one "
			"first",
			r->app.name, CERTS_OF_APP_MAX);
	if (n < 0)
		return request_fail(r, FAIL_BERTH, "%s", e.text);
	if (certs_came(r->c, &e) < 0)
		return request_fail(r, FAIL_BERTH,
			"stored, but the router does not use it yet: %s", e.text);
	return 0;
}

int certs_add(struct request *r)
{
	const char *name = request_string(r, "name");
	const char *chain = pem_field(r, "chain");
	const char *key = chain ? pem_field(r, "key") : NULL;
	struct cert_pair p;

	name = name ? name : CERTS_DEFAULT_NAME;
	if (!key || check_name(r, name) < 0 || check(r, chain, key, &p) < 0)
		return -1;
	int n = store(r, name, &p);
	json_t *warnings = json_incref(p.warnings);
	if (!https_is_served())
		json_array_append_new(warnings,
			json_string("this berth does not serve https: start berthd with "
				    "--https 0.0.0.0:443,[::]:443"));
	cert_pair_clear(&p);
	json_t *o = n == 0 ? report(r, &r->app) : NULL;
	if (o)
		json_object_set(o, "warnings", warnings);
	json_decref(warnings);
	return n < 0 ? n : request_reply(r, 201, o);
}

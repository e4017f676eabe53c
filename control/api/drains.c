/* Drains of logs. What a URL holds of passwords goes in and never out. */
#include "control/logs/drains.h"
#include "control/api/handlers.h"
#include "control/certs/cert.h"
#include "lib/addr.h"
#include "lib/drain_url.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Root on the host may name its loopback; whoever comes by ssh may not. */
static bool is_host(const struct request *r)
{
	return r->who.uid == 0 && !r->who.key;
}

int drain_check_address(struct request *r, const struct drain_url *u)
{
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
	} a = {.six = {0}};

	if (inet_pton(AF_INET, u->host, &a.four.sin_addr) == 1)
		a.any.sa_family = AF_INET;
	else if (inet_pton(AF_INET6, u->host, &a.six.sin6_addr) == 1)
		a.any.sa_family = AF_INET6;
	else
		return 0;
	if (drain_address_allowed(&a.any, is_host(r)))
		return 0;
	if (drain_address_allowed(&a.any, true))
		return request_fail(r, FAIL_FORBIDDEN,
			"%s is the host itself: only root on the host may send there",
			u->host);
	return request_fail(r, FAIL_USAGE,
		"%s is never for drains: link-local (which tells cloud machines their "
		"secrets), "
		"multicast and berth's own addresses",
		u->host);
}

/* *ret_ca: the caller's, NULL: none. Without what else the file has: the whole must fit a message to berth-drain. */
static int check_trust(struct request *r, const struct drain_url *u, char **ret_ca)
{
	const char *ca = request_string(r, "ca");
	const bool tls = u->kind == DRAIN_TLS || u->kind == DRAIN_HTTPS;
	struct err e = {0};

	if ((ca || request_bool(r, "insecure", false)) && !tls)
		return request_fail(r, FAIL_USAGE,
			"--ca and --insecure are for syslog+tls:// and https://");
	if (request_bool(r, "gzip", false) && u->kind != DRAIN_HTTP &&
		u->kind != DRAIN_HTTPS)
		return request_fail(r, FAIL_USAGE, "--gzip is for http:// and https://");
	if (ca && strlen(ca) > DRAIN_CA_MAX)
		return request_fail(r, FAIL_USAGE,
			"--ca is a file of certificates in PEM, of up to %u kB",
			DRAIN_CA_MAX >> 10);
	if (ca && cert_bundle(ca, ret_ca, &e) < 0)
		return request_fail(r, FAIL_USAGE, "--ca: %s", e.text);
	return 0;
}

/* Of that app, 0: of all. The count or -1. */
static int list(struct request *r, uint32_t app, struct db_drain **ret)
{
	int n = db_drain_list(r->c->db, ret), k = 0;

	for (int i = 0; i < n; i++)
		if ((*ret)[i].app == app)
			(*ret)[k++] = (*ret)[i];
	return n < 0 ? request_fail_db(r, n, "drains") : k;
}

static int check_count(struct request *r, uint32_t app)
{
	struct db_drain *rows autofree = NULL;
	int n = list(r, app, &rows);

	if (n < DRAINS_MAX)
		return n < 0 ? -1 : 0;
	return request_fail(r, FAIL_CONFLICT,
		"%s has %d drains, which is all it can: remove one",
		app ? r->app.name : "this berth", n);
}

static int add(struct request *r, uint32_t app)
{
	struct db_drain d = {.app = app};
	const char *url = request_string(r, "url");
	char *ca autofree = NULL;
	struct drain_url u;
	struct err e = {0};
	uint64_t id;
	int n;

	if (drain_url_parse(url, &u, &e) < 0)
		return request_fail(r, FAIL_USAGE, "%s", e.text);
	if (drain_check_address(r, &u) < 0 || check_trust(r, &u, &ca) < 0 ||
		check_count(r, app) < 0)
		return -1;
	d.flags = (request_bool(r, "gzip", false) ? DRAIN_GZIP : 0) |
		  (request_bool(r, "insecure", false) ? DRAIN_INSECURE : 0) |
		  (is_host(r) ? DRAIN_LOCAL : 0);
	snprintf(d.url, sizeof(d.url), "%s", url);
	n = db_drain_add(r->c->db, &d, ca ? ca : "", &id);
	if (n == -EEXIST)
		return request_fail(r, FAIL_CONFLICT, "this drain is there already");
	if (n < 0)
		return request_fail_db(r, n, "the drain");
	drains_changed(r->c);
	char shown[DRAIN_URL_MAX];
	drain_url_show(&u, shown);
	return request_reply(
		r, 201, json_pack("{s:I, s:s}", "id", (json_int_t)id, "url", shown));
}

int drains_add(struct request *r)
{
	return add(r, r->app.id);
}

int drains_add_global(struct request *r)
{
	return add(r, 0);
}

/* By its id, its URL, or what is shown of that. */
static bool is_named(const struct db_drain *d, const char *word)
{
	char shown[DRAIN_URL_MAX];
	struct drain_url u;
	uint64_t id;

	if (num_parse_u64(word, 1, UINT64_MAX, &id) == 0)
		return d->id == id;
	if (strcmp(word, d->url) == 0)
		return true;
	if (drain_url_parse(d->url, &u, NULL) < 0)
		return false;
	drain_url_show(&u, shown);
	return strcmp(word, shown) == 0;
}

static int take_away(struct request *r, uint32_t app)
{
	struct db_drain *rows autofree = NULL;
	const char *word = request_query(r, "drain");
	int n = list(r, app, &rows), found = -1, many = 0;

	if (n < 0)
		return -1;
	for (int i = 0; i < n && word; i++)
		if (is_named(&rows[i], word)) {
			found = i;
			many++;
		}
	if (many > 1)
		return request_fail(r, FAIL_CONFLICT,
			"%d drains are shown so: name it by its id", many);
	if (many == 0) {
		request_fail(r, FAIL_MISSING, "%s has no such drain",
			app ? r->app.name : "this berth");
		return request_hint(r, "see them, with their ids: berth logs:drain %s",
			app ? r->app.name : "");
	}
	n = db_drain_remove(r->c->db, rows[found].id);
	if (n < 0)
		return request_fail_db(r, n, "the drain");
	drains_changed(r->c);
	return request_reply(
		r, 200, json_pack("{s:I}", "id", (json_int_t)rows[found].id));
}

int drains_remove(struct request *r)
{
	return take_away(r, r->app.id);
}

int drains_remove_global(struct request *r)
{
	return take_away(r, 0);
}

/* ---- reports ---- */

static int report(struct request *r, uint32_t app)
{
	struct db_drain *rows autofree = NULL;
	int n = db_drain_list(r->c->db, &rows);
	json_t *all = json_array();

	for (int i = 0; i < n; i++)
		if (!app || rows[i].app == app || !rows[i].app)
			json_array_append_new(all, drain_report(r->c, &rows[i]));
	if (n >= 0)
		return request_reply(r, 200, all);
	json_decref(all);
	return request_fail_db(r, n, "drains");
}

int drains_show(struct request *r)
{
	return report(r, r->app.id);
}

int drains_list(struct request *r)
{
	return report(r, 0);
}

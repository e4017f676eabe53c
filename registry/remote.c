/* A registry that is spoken to. */
#include "registry/remote.h"
#include "lib/base64.h"
#include "registry/challenge.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define REDIRECTS_MAX 5
#define TOKEN_ANSWER_MAX ((size_t)64 << 10)

/* ---- proving who asks ---- */

static int basic(const struct remote *r, char *out, size_t size, struct err *e)
{
	autobuf pair = BUF_INIT, coded = BUF_INIT;

	buf_addf(&pair, "%s:%s", r->user, r->password);
	if (pair.failed || base64_encode(pair.data, pair.len, &coded) < 0 ||
		(size_t)snprintf(out, size, "Basic %s", coded.data) >= size)
		return err_set(e, EINVAL, "the password is too long");
	return 0;
}

static int no_login(const struct remote *r, struct err *e)
{
	if (r->user)
		return err_set(e, EACCES,
			"%s does not take the password of %.80s: `berth registry:login "
			"%s "
			"--user %.80s` with the right one",
			r->host, r->user, r->host, r->user);
	return err_set(e, EACCES,
		"%s answers only to who is logged in: `berth registry:login %s --user "
		"USER`, with the password on standard input",
		r->host, r->host);
}

static void add_query(
	struct buf *url, CURL *curl, const char *key, const char *value, size_t len)
{
	char *coded = len ? curl_easy_escape(curl, value, (int)len) : NULL;

	if (coded)
		buf_addf(url, "%c%s=%s", strchr(url->data, '?') ? '&' : '?', key, coded);
	curl_free(coded);
}

/* The realm, asked for what the challenge says. */
static void token_url(const struct remote *r, const struct challenge *c, struct buf *url)
{
	char own[320];
	const char *s = c->scope;

	snprintf(own, sizeof(own), "repository:%s:%s", r->repository, r->action);
	if (!*s && r->repository[0])
		s = own;
	buf_adds(url, c->realm);
	add_query(url, r->curl, "service", c->service, strlen(c->service));
	for (size_t n; *s; s += n) {
		s += strspn(s, " ");
		n = strcspn(s, " ");
		add_query(url, r->curl, "scope", s, n);
	}
	if (r->user)
		add_query(url, r->curl, "account", r->user, strlen(r->user));
}

static bool keep_token(struct remote *r, const struct buf *text)
{
	json_t *o = json_loadb(text->data ? text->data : "", text->len, 0, NULL);
	const char *token = json_string_value(json_object_get(o, "token"));

	if (!token)
		token = json_string_value(json_object_get(o, "access_token"));
	bool ok = token && *token && !strpbrk(token, "\r\n") &&
		  (size_t)snprintf(r->authorization, sizeof(r->authorization),
			  "Bearer %s", token) < sizeof(r->authorization);
	if (!ok)
		r->authorization[0] = '\0';
	json_decref(o);
	return ok;
}

/* Whether this registry may lead there at all. */
static bool allowed(const struct remote *r, const struct origin *o)
{
	return strcmp(o->scheme, "https") == 0 ||
	       (origin_loopback(&r->origin) && origin_loopback(o));
}

static void address(
	const struct remote *r, const struct origin *o, struct http_request *q)
{
	q->plain = origin_loopback(&r->origin) && origin_loopback(o);
	q->direct = origin_loopback(o);
}

static int fetch_token(struct remote *r, const struct challenge *c, struct err *e)
{
	struct http_answer a = {0};
	struct origin o;
	char login[8192];
	autobuf url = BUF_INIT;
	struct http_request q = {.method = "GET", .text_max = TOKEN_ANSWER_MAX};

	if (origin_of(c->realm, &o) < 0 || !allowed(r, &o))
		return err_set(e, EPROTO,
			"refused: %s wants its tokens asked for at %.200s, which is not "
			"https",
			r->host, c->realm);
	token_url(r, c, &url);
	if (url.failed)
		return err_set(e, ENOMEM, "out of memory");
	q.url = url.data;
	address(r, &o, &q);
	if (r->user && basic(r, login, sizeof(login), e) < 0)
		return -EINVAL;
	q.authorization = r->user ? login : NULL;
	int n = http_do(r->curl, &q, &a, e);
	if (n < 0)
		err_add(e, "ask %s for a token of %s", o.host, r->host);
	else if (a.status == 401 || a.status == 403)
		n = no_login(r, e);
	else if (a.status != 200 || !keep_token(r, &a.text))
		n = err_set(e, EPROTO, "%s gives no token for %s (status %ld)", o.host,
			r->host, a.status);
	http_answer_free(&a);
	explicit_bzero(login, sizeof(login));
	return n;
}

static int prove(struct remote *r, const struct http_answer *a, struct err *e)
{
	struct challenge c;

	challenge_parse(a->challenge, &c);
	if (c.scheme == CHALLENGE_BEARER)
		return fetch_token(r, &c, e);
	if (c.scheme == CHALLENGE_NONE)
		return err_set(e, EPROTO,
			"%s wants a login of a kind that is not known here (Bearer and "
			"Basic are)",
			r->host);
	if (!r->user || r->authorization[0])
		return no_login(r, e);
	return basic(r, r->authorization, sizeof(r->authorization), e);
}

/* ---- questions ---- */

static int unreachable(const struct origin *o, int n, struct err *e)
{
	switch (-n) {
	case EPROTO:
		return err_add(e,
			"%s speaks no https, and plain http is only taken from a "
			"registry on a loopback address",
			o->host);
	case EKEYREJECTED:
		return err_add(e,
			"the certificate of %s is not trusted (an own authority goes "
			"into "
			"/usr/local/share/ca-certificates, then update-ca-certificates)",
			o->host);
	case EHOSTUNREACH:
		return err_add(e, "%s cannot be reached", o->host);
	case EAGAIN:
		return err_add(e, "the connection to %s broke", o->host);
	default:
		return n;
	}
}

static bool redirected(const struct http_request *q, const struct http_answer *a)
{
	bool status = a->status == 301 || a->status == 302 || a->status == 303 ||
		      a->status == 307 || a->status == 308;

	return status && a->location[0] &&
	       (strcmp(q->method, "GET") == 0 || strcmp(q->method, "HEAD") == 0);
}

/* To where q->url leads. */
static int ask_once(struct remote *r, struct http_request *q, struct http_answer *a,
	bool *ret_home, struct err *e)
{
	struct origin o;

	if (origin_of(q->url, &o) < 0 || !allowed(r, &o))
		return err_set(e, EPROTO,
			"refused: %s leads to %.200s, which is not https", r->host,
			q->url);
	address(r, &o, q);
	*ret_home = origin_same(&o, &r->origin);
	q->authorization = *ret_home && r->authorization[0] ? r->authorization : NULL;
	int n = http_do(r->curl, q, a, e);
	return n < 0 ? unreachable(&o, n, e) : 0;
}

int remote_do(
	struct remote *r, struct http_request *q, struct http_answer *a, struct err *e)
{
	char at[URL_MAX_LEN], next[URL_MAX_LEN];
	bool proved = false, home = true;
	int n = q->url[0] == '/' ? snprintf(at, sizeof(at), "%s%s", r->base, q->url)
				 : snprintf(at, sizeof(at), "%s", q->url);

	if (n < 0 || (size_t)n >= sizeof(at))
		return err_set(e, EINVAL, "an address of %s is too long", r->host);
	for (int hops = 0; hops <= REDIRECTS_MAX;) {
		q->url = at;
		n = ask_once(r, q, a, &home, e);
		if (n < 0)
			return n;
		if (a->status == 401 && home && !proved) {
			proved = true;
			n = prove(r, a, e);
			if (n < 0)
				return n;
		} else if (redirected(q, a)) {
			hops++;
			if (origin_join(at, a->location, next) < 0)
				return err_set(
					e, EPROTO, "%s leads to no address", r->host);
			memcpy(at, next, sizeof(at));
		} else {
			return 0;
		}
	}
	return err_set(e, ELOOP, "%s leads from one address to another", r->host);
}

bool remote_busy(long status)
{
	return status == 429 || status == 502 || status == 503 || status == 504;
}

void remote_pause(unsigned int try)
{
	const unsigned int ms = 200u << (try < 4 ? try : 4);
	const struct timespec t = {
		.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&t, NULL);
}

int remote_ask(
	struct remote *r, struct http_request *q, struct http_answer *a, struct err *e)
{
	const char *url = q->url;
	int n = 0;

	for (unsigned int try = 0; try < REMOTE_TRIES; try++) {
		if (try)
			remote_pause(try - 1);
		q->url = url;
		n = remote_do(r, q, a, e);
		if (n != -EAGAIN && (n < 0 || !remote_busy(a->status)))
			break;
	}
	return n;
}

/* ---- what answers mean ---- */

/* The first of {"errors": [{code, message}]}, "" when the page is something else. */
static void first_error(const struct http_answer *a, char out[256])
{
	json_t *o = json_loadb(a->text.data ? a->text.data : "", a->text.len, 0, NULL);
	json_t *first = json_array_get(json_object_get(o, "errors"), 0);
	const char *code = json_string_value(json_object_get(first, "code"));
	const char *text = json_string_value(json_object_get(first, "message"));

	snprintf(out, 256, "%s%.60s%s%.150s", code || text ? ": " : "", code ? code : "",
		code && text ? ", " : "", text ? text : "");
	json_decref(o);
}

int remote_fail(const struct remote *r, const struct http_answer *a, const char *what,
	struct err *e)
{
	char said[256];

	first_error(a, said);
	if (a->status == 404)
		return err_set(e, ENOENT, "%s has no %s%s", r->host, what, said);
	if (a->status == 401 || a->status == 403)
		return err_set(e, EACCES,
			"%s does not let %.80s %s %s%s (`berth registry:login %s --user "
			"USER` as somebody who may)",
			r->host, r->user ? r->user : "anybody",
			strcmp(r->action, "pull") == 0 ? "pull" : "push", r->repository,
			said, r->host);
	if (a->status == 429)
		return err_set(e, EBUSY,
			"%s has had too many questions%s: try again later", r->host,
			said);
	return err_set(
		e, EPROTO, "%s answers %ld for the %s%s", r->host, a->status, what, said);
}

static int ask_version(struct remote *r, struct http_answer *a, struct err *e)
{
	struct http_request q = {
		.method = "GET", .url = "/v2/", .text_max = HTTP_ERROR_MAX};

	return remote_do(r, &q, a, e);
}

/* Without a login: only whether TLS is spoken there. */
static int find_scheme(struct remote *r, struct err *e)
{
	struct http_answer a = {0};
	struct http_request q = {
		.method = "GET", .direct = true, .text_max = HTTP_ERROR_MAX};
	char url[320];

	snprintf(url, sizeof(url), "%s/v2/", r->base);
	q.url = url;
	int n = http_do(r->curl, &q, &a, e);
	http_answer_free(&a);
	if (n == -EPROTO) {
		snprintf(r->base, sizeof(r->base), "http://%s", r->host);
		origin_of(r->base, &r->origin);
	}
	return n == -EPROTO || n == -EAGAIN ? 0
	       : n < 0			    ? unreachable(&r->origin, n, e)
					    : 0;
}

int remote_open(struct remote *r, struct err *e)
{
	r->curl = curl_easy_init();
	if (!r->curl)
		return err_set(e, ENOMEM, "out of memory");
	snprintf(r->base, sizeof(r->base), "https://%s", r->host);
	if (origin_of(r->base, &r->origin) < 0)
		return err_set(e, EINVAL, "%s is no registry's host", r->host);
	return origin_loopback(&r->origin) ? find_scheme(r, e) : 0;
}

void remote_close(struct remote *r)
{
	if (r->curl)
		curl_easy_cleanup(r->curl);
	explicit_bzero(r->authorization, sizeof(r->authorization));
}

int remote_login(struct remote *r, struct err *e)
{
	struct http_answer a = {0};
	int n = ask_version(r, &a, e);

	if (n == 0 && (a.status == 401 || a.status == 403))
		n = no_login(r, e);
	else if (n == 0 && a.status != 200)
		n = err_set(e, EPROTO,
			"%s is no registry: it answers %ld where one says which version "
			"it "
			"speaks",
			r->host, a.status);
	else if (n == 0 && !r->authorization[0])
		n = err_set(e, EINVAL,
			"%s asks nobody for a password: no login is needed there",
			r->host);
	http_answer_free(&a);
	return n;
}

/* What an app's owner has set: who may go on, and whose page is shown. */
#include "router/policy.h"
#include "lib/base64.h"
#include "lib/credentials.h"
#include "router/compress.h"
#include "router/rate.h"
#include "router/worker.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define KNOWN 16u	   /* credentials that were right lately */
#define PASSWORD_MS 50u	   /* one check of a password in that time, */
#define PASSWORDS_MS 1000u /* or all of that time's at once */
#define AUTHORIZATION_MAX 1024u

struct policy {
	uint32_t id; /* of the app */
	uint32_t generation;
	uint32_t waiting; /* requests that have no answer yet */
	uint32_t known_at;
	uint8_t (*known)[CREDENTIALS_KEY]; /* digests; NULL: none yet */
	struct rates *rates;		   /* the same */
	uint64_t secret[2], drawn; /* drawn: how many clients were given to a group */
	struct policy *next;
};

static struct policy **bucket(struct worker *w, uint32_t id)
{
	return &w->policies[id % INSTANCE_BUCKETS];
}

static struct policy *find_or_make(struct worker *w, uint32_t id)
{
	struct policy **b = bucket(w, id), *p = *b;

	while (p && p->id != id)
		p = p->next;
	if (p || !(p = calloc(1, sizeof(*p))))
		return p;
	p->id = id;
	/* out of entropy at boot: then they are only as good as the kernel's start */
	(void)!getrandom(p->secret, sizeof(p->secret), GRND_NONBLOCK);
	p->next = *b;
	*b = p;
	return p;
}

int policies_enlist(struct worker *w, struct table *t)
{
	for (uint32_t k = 0; t->n_options && k < t->n_apps; k++) {
		if (!t->apps[k].options)
			continue;
		t->policies[k] = find_or_make(w, t->apps[k].id);
		if (!t->policies[k])
			return -ENOMEM;
	}
	return 0;
}

void policies_list(struct worker *w)
{
	const struct table *t = w->table;

	for (uint32_t k = 0; t->n_options && k < t->n_apps; k++) {
		if (t->policies[k])
			t->policies[k]->generation = w->generation;
	}
}

/* Requests still count in it: they let go of it later. */
static bool needed(const struct worker *w, const struct policy *p)
{
	return p->waiting || p->generation == w->generation;
}

void policies_sweep(struct worker *w)
{
	for (uint32_t k = 0; k < INSTANCE_BUCKETS; k++) {
		struct policy **at = &w->policies[k], *p;

		while ((p = *at)) {
			if (needed(w, p)) {
				at = &p->next;
				continue;
			}
			*at = p->next;
			free(p->known);
			free(p->rates);
			free(p);
		}
	}
}

void policy_leave(struct exchange *x)
{
	x->policy->waiting--;
	x->policy = NULL;
}

static bool join(struct exchange *x, struct policy *p, uint32_t queue_max)
{
	if (x->policy == p)
		return true;
	if (x->policy)
		policy_leave(x);
	if (queue_max && p->waiting >= queue_max)
		return false;
	p->waiting++;
	x->policy = p;
	return true;
}

/* ---- rate ---- */

static bool refuse_for(struct exchange *x, uint64_t ms)
{
	char fields[48];

	snprintf(fields, sizeof(fields), "Retry-After: %llu\r\n",
		(unsigned long long)(ms + 999) / 1000);
	exchange_answer(x, 429, fields);
	return false;
}

static bool rate_allows(
	struct exchange *x, const struct table_options *o, struct policy *p)
{
	const struct downstream *c = x->client;
	uint64_t ms;

	if (!o->rate_n || x->rated)
		return true;
	if (!p->rates && !(p->rates = rates_new(p->secret)))
		return true;
	x->rated = true;
	ms = rates_take(p->rates, x->fwd_len ? x->head + x->fwd : c->ip,
		x->fwd_len ? x->fwd_len : c->ip_len, o->rate_n, o->rate_period_ms,
		c->w->now_ms);
	return !ms || refuse_for(x, ms);
}

/* ---- name ---- */

static bool same_name(const char *p, size_t n, const char *lower, size_t len)
{
	size_t i;

	for (i = 0; i < n && i < len; i++) {
		char c = p[i];

		if ((c >= 'A' && c <= 'Z' ? c | 0x20 : c) != lower[i])
			return false;
	}
	return n == len;
}

/* Methods that may have a body keep it: 308 (RFC 9110 15.4.9). */
static bool name_is_canonical(
	struct exchange *x, const struct table *t, const struct table_options *o)
{
	const char *host = x->head + x->host, *name = t->strings + o->canonical.off;
	int len = http_host_name(host, x->host_len), port_len;
	char fields[HTTP_TARGET_MAX + 512];
	const char *port = memrchr(host, ':', x->host_len);
	bool path = x->head[x->path] == '/'; /* not of OPTIONS * */

	if (!o->canonical.len || len <= 0 ||
		same_name(host, (size_t)len, name, o->canonical.len))
		return true;
	if (port && port < host + len)
		port = NULL;
	port_len = port ? (int)(host + x->host_len - port) : 0;
	snprintf(fields, sizeof(fields), "Location: http%s://%.*s%.*s%.*s\r\n",
		x->https ? "s" : "", (int)o->canonical.len, name, port_len,
		port ? port : "", path ? (int)x->path_len : 0, x->head + x->path);
	exchange_answer(x, exchange_gets(x) ? 301 : 308, fields);
	return false;
}

/* ---- name and password ---- */

/* The value of the first field of that name in the head as it goes to the app; NULL: none. */
static const char *head_field(const struct exchange *x, const char *name, size_t *ret_len)
{
	const char *p = x->head, *end = x->head + x->head_len, *line;
	size_t n = strlen(name);

	while ((line = memmem(p, (size_t)(end - p), "\r\n", 2))) {
		line += 2;
		if (end - line < 2 || line[0] == '\r')
			return NULL;
		p = line;
		if ((size_t)(end - line) <= n || line[n] != ':' ||
			!http_equal(line, n, name))
			continue;
		for (line += n + 1; line < end && (*line == ' ' || *line == '\t');)
			line++;
		p = memmem(line, (size_t)(end - line), "\r\n", 2);
		*ret_len = p ? (size_t)(p - line) : 0;
		return p ? line : NULL;
	}
	return NULL;
}

static bool is_known(const struct policy *p, const uint8_t digest[CREDENTIALS_KEY])
{
	bool any = false;

	for (uint32_t i = 0; p->known && i < KNOWN; i++)
		any |= credentials_equal(p->known[i], digest);
	return any;
}

static void learn(struct policy *p, const uint8_t digest[CREDENTIALS_KEY])
{
	if (!p->known)
		p->known = calloc(KNOWN, CREDENTIALS_KEY);
	if (p->known)
		memcpy(p->known[p->known_at++ % KNOWN], digest, CREDENTIALS_KEY);
}

/* Checking costs a millisecond: so many a second and worker, lest guesses take all its time. */
static bool may_check(struct worker *w)
{
	uint64_t spent = w->passwords_ms > w->now_ms ? w->passwords_ms : w->now_ms;

	if (spent + PASSWORD_MS > w->now_ms + PASSWORDS_MS)
		return false;
	w->passwords_ms = spent + PASSWORD_MS;
	return true;
}

static bool key_fits(const struct table_options *o, const struct buf *text)
{
	uint8_t key[CREDENTIALS_KEY];

	credentials_key(text->data, text->len, o->auth_salt, o->auth_rounds, key);
	return credentials_equal(key, o->auth_key);
}

/* "Basic" and base64 of NAME:PASSWORD (RFC 7617 2). */
static bool read_basic(const struct exchange *x, struct buf *text)
{
	size_t len = 0;
	const char *p = head_field(x, "authorization", &len);

	if (!p || len < 7 || len > AUTHORIZATION_MAX || !http_equal(p, 6, "basic "))
		return false;
	for (p += 6, len -= 6; len && *p == ' '; p++)
		len--;
	return base64_decode(p, len, text) == 0 && text->len;
}

static bool is_authorized(
	struct exchange *x, const struct table_options *o, struct policy *p)
{
	static const char ask[] =
		"WWW-Authenticate: Basic realm=\"berth\", charset=\"UTF-8\"\r\n";
	uint8_t secret[sizeof(p->secret) + CREDENTIALS_KEY], digest[CREDENTIALS_KEY];
	autobuf text = BUF_INIT;

	if (!o->auth_rounds)
		return true;
	if (read_basic(x, &text)) {
		memcpy(secret, p->secret, sizeof(p->secret));
		memcpy(secret + sizeof(p->secret), o->auth_key, CREDENTIALS_KEY);
		credentials_digest(secret, sizeof(secret), text.data, text.len, digest);
		if (is_known(p, digest))
			return true;
		if (!may_check(x->client->w))
			return refuse_for(x, PASSWORDS_MS);
		if (key_fits(o, &text)) {
			learn(p, digest);
			return true;
		}
	}
	exchange_answer(x, 401, ask);
	return false;
}

/* ---- cookies ---- */

#define COOKIE_INSTANCE "berth_instance="
#define COOKIE_GROUP "berth_canary="

/* Says nothing of the instance or group to whom the key is not known. Never 0. */
uint64_t policy_sticky(uint64_t key, uint64_t id)
{
	uint64_t h = key ^ id * 0x9e3779b97f4a7c15ull;

	for (int i = 0; i < 3; i++) {
		h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9ull;
		h ^= key << 7 | key >> 57;
	}
	return (h ^ h >> 32) | 1;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 6265 4.2.1: NAME=VALUE between "; ". 0: none, or none of ours. */
static uint64_t read_cookie(const struct exchange *x, const char *name)
{
	size_t len = 0, skip = strlen(name);
	const char *p = head_field(x, "cookie", &len), *end = p + len;
	uint64_t v = 0;

	while (p && (p = memmem(p, (size_t)(end - p), name, skip))) {
		const char *value = p + skip;
		int digits = 0;

		for (v = 0; value + digits < end && hex_digit(value[digits]) >= 0;
			digits++)
			v = v << 4 | (uint64_t)hex_digit(value[digits]);
		if (digits == 16)
			return v;
		p = value;
	}
	return 0;
}

static size_t add_cookie(
	const struct exchange *x, char *out, const char *name, uint64_t v)
{
	return (size_t)snprintf(out, POLICY_COOKIES_MAX / 2,
		"Set-Cookie: %s%016llx; Path=/; HttpOnly; SameSite=Lax%s\r\n", name,
		(unsigned long long)v, x->https ? "; Secure" : "");
}

size_t policy_cookies(const struct exchange *x, char *out)
{
	uint64_t v = x->sticky_key ? policy_sticky(x->sticky_key, x->inst->id) : 0;
	size_t n = 0;

	if (v != x->sticky)
		n += add_cookie(x, out, COOKIE_INSTANCE, v);
	v = x->group ? policy_sticky(x->canary_key, x->group) : 0;
	if (v != x->canary_said)
		n += add_cookie(x, out + n, COOKIE_GROUP, v);
	return n;
}

/* ---- canary ---- */

static enum group group_said(const struct exchange *x)
{
	for (enum group g = GROUP_LIVE; g <= GROUP_CANARY; g++)
		if (x->canary_said == policy_sticky(x->canary_key, g))
			return g;
	return GROUP_NONE;
}

/* Of the instance that a sticky app's client has: it is no new one. */
static enum group group_of_instance(const struct exchange *x, const struct table *t,
	const struct table_app *app, uint32_t canary)
{
	const struct table_instance *i = t->instances + app->first_instance;

	for (uint32_t k = 0; x->sticky && k < app->n_instances; k++)
		if (x->sticky == policy_sticky(x->sticky_key, i[k].id))
			return i[k].release == canary ? GROUP_CANARY : GROUP_LIVE;
	return GROUP_NONE;
}

static enum group draw(struct policy *p, uint32_t percent)
{
	uint64_t random = policy_sticky(p->secret[0], ++p->drawn) >> 16;

	return random % 100 < percent ? GROUP_CANARY : GROUP_LIVE;
}

static void find_group(struct exchange *x, const struct table *t,
	const struct table_app *app, const struct table_options *o, struct policy *p)
{
	enum group g;

	/* under a new table of the same canary it stays where it was */
	if (x->group && x->canary_key == o->canary_key)
		return;
	x->group = GROUP_NONE;
	x->canary_said = 0;
	x->canary_key = o->canary_key;
	if (!o->canary_key)
		return;
	x->canary_said = read_cookie(x, COOKIE_GROUP);
	g = group_said(x);
	if (!g)
		g = group_of_instance(x, t, app, o->canary_release);
	x->group = (uint8_t)(g ? g : draw(p, o->canary_percent));
}

static uint8_t gzip_for(const struct exchange *x, const struct table_options *o)
{
	size_t n = 0;
	const char *p;

	if (!(o->flags & OPTION_GZIP))
		return GZIP_OFF;
	p = head_field(x, "accept-encoding", &n);
	return p && compress_accepted(p, n) ? GZIP_TAKEN : GZIP_REFUSED;
}

bool policy_admit(struct exchange *x, const struct table_app *app)
{
	const struct worker *w = x->client->w;
	const struct table *t = w->table;
	const struct table_options *o = table_options_of(t, app);
	struct policy *p = t->policies[app - t->apps];

	if (!o || x->admitted == w->generation)
		return true;
	x->body_max = o->body_max_bytes ? o->body_max_bytes : REQUEST_BODY_MAX;
	if (!rate_allows(x, o, p) || !name_is_canonical(x, t, o))
		return false;
	if (!(app->flags & APP_MAINTENANCE) && !is_authorized(x, o, p))
		return false;
	if (!join(x, p, o->queue_max)) {
		exchange_fail(x, H11);
		return false;
	}
	x->sticky_key = o->sticky_key;
	x->sticky = o->sticky_key ? read_cookie(x, COOKIE_INSTANCE) : 0;
	find_group(x, t, app, o, p);
	x->gzip = gzip_for(x, o);
	x->admitted = w->generation;
	return true;
}

struct page policy_page(const struct exchange *x, unsigned int status, enum hcode code)
{
	const struct table *t = x->client->w->table;
	const struct table_app *app =
		x->app && t && t->n_options ? exchange_app(x) : NULL;
	const struct table_options *o = app ? table_options_of(t, app) : NULL;
	const struct table_text *own = NULL;

	if (o && code == H80 && o->maintenance_page.len)
		own = &o->maintenance_page;
	else if (o && status >= 500 && o->error_page.len)
		own = &o->error_page;
	return (struct page){
		.html = own ? t->strings + own->off : NULL, .len = own ? own->len : 0};
}

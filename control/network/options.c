/* What the router is told of apps' settings: the options of its table. */
#include "control/network/options.h"
#include "lib/credentials.h"
#include "lib/name.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

const char *options_value(const json_t *topic, uint32_t app, const char *key)
{
	char id[16];

	snprintf(id, sizeof(id), "%u", app);
	return json_string_value(json_object_get(json_object_get(topic, id), key));
}

static const char *own_or_global(const json_t *topic, uint32_t app, const char *key)
{
	const char *own = options_value(topic, app, key);

	return own ? own : options_value(topic, 0, key);
}

static bool is_on(const char *value)
{
	return value && strcmp(value, "on") == 0;
}

static uint32_t seconds_as_ms(const char *value)
{
	uint64_t s;

	return value && num_parse_u64(value, 1, 86400, &s) == 0 ? (uint32_t)s * 1000 : 0;
}

/* Each worker counts alone: its part, rounded up. */
static uint32_t part(const struct options *o, uint64_t whole)
{
	return (uint32_t)((whole + o->workers - 1) / o->workers);
}

/* ---- one row a setting: what is said sets the field, else it stays as for all apps ---- */

static void set_body_max(struct options *o, const char *value, struct table_options *t)
{
	uint64_t bytes;

	(void)o;
	if (num_parse_size(value, &bytes) == 0 && bytes <= TABLE_BODY_MAX)
		t->body_max_bytes = bytes;
}

static void set_queue(struct options *o, const char *value, struct table_options *t)
{
	uint64_t n;

	if (num_parse_u64(value, 1, TABLE_QUEUE_MAX, &n) == 0)
		t->queue_max = part(o, n);
}

static struct table_text add_text(struct options *o, const char *value)
{
	struct table_text t = {
		o->from + (uint32_t)o->strings->len, (uint32_t)strlen(value)};

	buf_add(o->strings, value, t.len);
	return t;
}

static void set_error_page(struct options *o, const char *value, struct table_options *t)
{
	t->error_page = add_text(o, value);
}

static void set_maintenance_page(
	struct options *o, const char *value, struct table_options *t)
{
	t->maintenance_page = add_text(o, value);
}

static void set_canonical(struct options *o, const char *value, struct table_options *t)
{
	t->canonical = add_text(o, value);
}

/* A client's connections may all be one worker's: each gets the whole number. */
static void set_rate(struct options *o, const char *value, struct table_options *t)
{
	(void)o;
	options_parse_rate(value, &t->rate_n, &t->rate_period_ms);
}

static void set_compression(struct options *o, const char *value, struct table_options *t)
{
	(void)o;
	t->flags =
		is_on(value) ? t->flags | OPTION_GZIP : t->flags & ~(uint32_t)OPTION_GZIP;
}

static void set_protocol(struct options *o, const char *value, struct table_options *t)
{
	(void)o;
	if (strcmp(value, OPTIONS_H2C) == 0)
		t->flags |= OPTION_H2C;
}

/* "on:KEY", or "off". */
static void set_sticky(struct options *o, const char *value, struct table_options *t)
{
	unsigned long long key = 0;

	(void)o;
	t->sticky_key = sscanf(value, "on:%16llx", &key) == 1 ? key : 0;
}

static int from_hex(const char *hex, uint8_t *ret, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned int byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return -EINVAL;
		ret[i] = (uint8_t)byte;
	}
	return 0;
}

/* What cannot be read lets nobody in. */
static void set_auth(struct options *o, const char *value, struct table_options *t)
{
	const char *rounds = strchr(value, ':');
	unsigned int n = 0;
	int at = 0;

	(void)o;
	t->auth_rounds = 1;
	memset(t->auth_key, 0, sizeof(t->auth_key));
	if (!rounds || sscanf(rounds, ":%u:%n", &n, &at) != 1 || !at ||
		strlen(rounds + at) !=
			2 * sizeof(t->auth_salt) + 1 + 2 * sizeof(t->auth_key) ||
		n < 1 || n > CREDENTIALS_ROUNDS_MAX)
		return;
	if (from_hex(rounds + at, t->auth_salt, sizeof(t->auth_salt)) < 0 ||
		from_hex(rounds + at + 2 * sizeof(t->auth_salt) + 1, t->auth_key,
			sizeof(t->auth_key)) < 0)
		return;
	t->auth_rounds = n;
}

static const struct row {
	bool maintenance; /* its topic; else http */
	const char *key;
	void (*set)(struct options *o, const char *value, struct table_options *t);
} rows[] = {
	{false, "body-limit", set_body_max},
	{false, "queue-limit", set_queue},
	{false, "error-page", set_error_page},
	{false, "canonical", set_canonical},
	{false, "rate-limit", set_rate},
	{false, "auth", set_auth},
	{false, "compression", set_compression},
	{false, "sticky", set_sticky},
	{false, "app-protocol", set_protocol},
	{true, "page", set_maintenance_page},
};

/* Whether anything of app is set; t is as for all apps before. */
static bool fill(struct options *o, uint32_t app, struct table_options *t)
{
	bool any = false;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *value = options_value(
			rows[i].maintenance ? o->maintenance : o->http, app, rows[i].key);

		if (!value)
			continue;
		rows[i].set(o, value, t);
		any = true;
	}
	return any;
}

int options_open(struct control *c, uint32_t workers, uint32_t app, struct options *ret)
{
	*ret = (struct options){.workers = workers ? workers : 1};
	int r = db_setting_topic(c->db, "http", app, &ret->http);

	return r < 0 ? r : db_setting_topic(c->db, "maintenance", app, &ret->maintenance);
}

void options_close(struct options *o)
{
	json_decref(o->http);
	json_decref(o->maintenance);
}

unsigned int options_nets(const struct options *o, struct table_net ret[TABLE_NETS_MAX])
{
	const char *text = options_value(o->http, 0, "trusted-proxies");
	char bad[ADDR_TEXT_MAX];
	int n = text ? options_parse_nets(text, ret, bad) : 0;

	return n > 0 ? (unsigned int)n : 0;
}

bool options_all(struct options *o, struct table_options *ret, struct buf *strings)
{
	*ret = (struct table_options){0};
	o->strings = strings;
	o->from = 0;
	return fill(o, 0, ret);
}

static bool set_canary(const struct db_app *a, struct table_options *t)
{
	t->canary_release = a->canary_version;
	t->canary_percent = a->canary_percent;
	t->canary_key = a->canary_key;
	return a->canary_version;
}

bool options_own(struct options *o, const struct db_app *a, struct table_app *row,
	struct table_options *ret, struct buf *strings, uint32_t all_size)
{
	row->timeout_ms = seconds_as_ms(own_or_global(o->http, a->id, "timeout"));
	row->idle_timeout_ms =
		seconds_as_ms(own_or_global(o->http, a->id, "idle-timeout"));
	if (is_on(options_value(o->maintenance, a->id, "enabled")))
		row->flags |= APP_MAINTENANCE;
	o->strings = strings;
	o->from = all_size;
	bool any = fill(o, a->id, ret);
	return set_canary(a, ret) || any;
}

/* ---- values as people write them ---- */

int options_parse_rate(const char *text, uint32_t *ret_n, uint32_t *ret_period_ms)
{
	const char *slash = strchr(text, '/');
	char number[16];
	uint64_t n;

	if (!slash || (size_t)(slash - text) >= sizeof(number) || strlen(slash) != 2 ||
		!strchr("sm", slash[1]))
		return -EINVAL;
	memcpy(number, text, (size_t)(slash - text));
	number[slash - text] = '\0';
	if (num_parse_u64(number, 1, TABLE_RATE_MAX, &n) < 0)
		return -EINVAL;
	*ret_n = (uint32_t)n;
	*ret_period_ms = slash[1] == 's' ? 1000 : 60000;
	return 0;
}

int options_parse_nets(
	const char *text, struct table_net ret[TABLE_NETS_MAX], char bad[ADDR_TEXT_MAX])
{
	static const char between[] = " ,\t\n";
	int n = 0;

	for (text += strspn(text, between); *text; text += strspn(text, between)) {
		size_t len = strcspn(text, between);
		struct addr a;

		snprintf(bad, ADDR_TEXT_MAX, "%.*s", (int)(len < 60 ? len : 60), text);
		if (addr_parse(bad, &a) < 0)
			return -EINVAL;
		if (n == TABLE_NETS_MAX)
			return -E2BIG;
		ret[n] = (struct table_net){
			.family = (uint32_t)a.family, .prefix = a.prefix};
		memcpy(ret[n++].addr, a.bytes, sizeof(a.bytes));
		text += len;
	}
	return n ? n : -EINVAL;
}

static void add_hex(struct buf *out, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addf(out, "%02x", p[i]);
}

int options_make_sticky(char out[OPTIONS_STICKY_MAX])
{
	unsigned long long key;

	if (getrandom(&key, sizeof(key), 0) != (ssize_t)sizeof(key))
		return -EIO;
	snprintf(out, OPTIONS_STICKY_MAX, "on:%016llx", key | 1);
	return 0;
}

int options_hide_password(const char *text, struct buf *out)
{
	uint8_t salt[CREDENTIALS_SALT], key[CREDENTIALS_KEY];
	const char *colon = strchr(text, ':');

	if (!colon || colon == text || !colon[1] || strlen(text) > 256)
		return -EINVAL;
	if (getrandom(salt, sizeof(salt), 0) != (ssize_t)sizeof(salt))
		return -EIO;
	credentials_key(text, strlen(text), salt, CREDENTIALS_ROUNDS, key);
	buf_addf(out, "%.*s:%u:", (int)(colon - text), text, CREDENTIALS_ROUNDS);
	add_hex(out, salt, sizeof(salt));
	buf_adds(out, ":");
	add_hex(out, key, sizeof(key));
	return out->failed ? -ENOMEM : 0;
}

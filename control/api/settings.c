/* Settings: one row a key says who may set it, to what, and what holds while it is not
 * set. */
#include "control/settings.h"
#include "control/api/handlers.h"
#include "control/api/view.h"
#include "control/builds/build_input.h"
#include "control/builds/work.h"
#include "control/certs/acme.h"
#include "control/certs/certs.h"
#include "control/cron/cron.h"
#include "control/data/space.h"
#include "control/deploy/preview.h"
#include "control/deploy/rollout.h"
#include "control/images/reference.h"
#include "control/logs/loglimits.h"
#include "control/logs/webhooks.h"
#include "control/network/network.h"
#include "control/network/options.h"
#include "control/network/own_host.h"
#include "control/run/restart.h"
#include "lib/stamp.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum setting_kind {
	SETTING_BRANCH,
	SETTING_ON_OFF,
	SETTING_NUMBER,
	SETTING_PORT, /* or unix */
	SETTING_PATH,
	SETTING_SPAN,
	SETTING_SLEEP,
	SETTING_SIZE,
	SETTING_PAGE, /* HTML; shown as its size */
	SETTING_EMAIL,
	SETTING_HTTPS,
	SETTING_HOST, /* one of the app's names */
	SETTING_AUTH, /* NAME:PASSWORD; kept as a key, shown as the name */
	SETTING_RATE,
	SETTING_STICKY, /* on or off; kept with a key */
	SETTING_NETS,
	SETTING_PROTOCOL,
	SETTING_BUILD_NETWORK,
	SETTING_BUILD_CONFIG,
	SETTING_REGISTRY,  /* its host */
	SETTING_BUILD_ARG, /* KEY.NAME alone, of the ARG NAME */
	SETTING_LOG_RATE,
	SETTING_API_HOST,
	SETTING_API_CERTS, /* an app */
	SETTING_PREVIEW_VOLUMES,
	SETTING_ZONE,	 /* a time zone of this host */
	SETTING_RESTART, /* KEY.TYPE sets it for one process type */
};
enum setting_scope { SCOPE_APP = 1, SCOPE_GLOBAL = 2, SCOPE_BOTH = 3 };

#define SIZE_MAX_SET ((uint64_t)1 << 50)

static const struct setting {
	const char *topic, *key;
	enum setting_kind kind;
	enum setting_scope scope;
	const char *fallback; /* NULL: decided by the app's state, or nothing */
	uint64_t min, max;
	const char *unit;
} settings[] = {
	{"git", "deploy-branch", SETTING_BRANCH, SCOPE_APP, NULL, 0, 0, ""},
	{PREVIEW_TOPIC, "enabled", SETTING_ON_OFF, SCOPE_BOTH, "off", 0, 0, ""},
	{PREVIEW_TOPIC, "volumes", SETTING_PREVIEW_VOLUMES, SCOPE_BOTH, "empty", 0, 0,
		""},
	{PREVIEW_TOPIC, "expires", SETTING_SPAN, SCOPE_BOTH, PREVIEW_EXPIRES, 60,
		PREVIEW_EXPIRES_MAX_S, "365d"},
	{PREVIEW_TOPIC, "limit", SETTING_NUMBER, SCOPE_BOTH, "10", 0, 1000, ""},
	{"ps", "overlap", SETTING_ON_OFF, SCOPE_APP, NULL, 0, 0, ""},
	{"ps", "restart-policy", SETTING_RESTART, SCOPE_BOTH, "always", 0, 0, ""},
	{"ps", "idle-after", SETTING_SPAN, SCOPE_BOTH, NULL, 1, IDLE_AFTER_MAX_S, "30d"},
	{"ps", "sleep", SETTING_SLEEP, SCOPE_BOTH, NULL, 0, 0, ""},
	{"ports", "web", SETTING_PORT, SCOPE_BOTH, "5000", 1, 65535, ""},
	{"checks", "timeout", SETTING_NUMBER, SCOPE_BOTH, "30", 1, 3600, " seconds"},
	{"checks", "path", SETTING_PATH, SCOPE_APP, NULL, 0, 0, ""},
	{"checks", "stop-timeout", SETTING_NUMBER, SCOPE_BOTH, "30", 1, 3600, " seconds"},
	{"http", "timeout", SETTING_NUMBER, SCOPE_BOTH, "30", 1, 3600, " seconds"},
	{"http", "idle-timeout", SETTING_NUMBER, SCOPE_BOTH, "55", 1, 86400, " seconds"},
	{"http", "body-limit", SETTING_SIZE, SCOPE_BOTH, "1G", 1, TABLE_BODY_MAX, ""},
	{"http", "queue-limit", SETTING_NUMBER, SCOPE_BOTH, NULL, 1, TABLE_QUEUE_MAX,
		" requests"},
	{"http", "error-page", SETTING_PAGE, SCOPE_BOTH, NULL, 0, 0, ""},
	{"http", "canonical", SETTING_HOST, SCOPE_APP, NULL, 0, 0, ""},
	{"http", "auth", SETTING_AUTH, SCOPE_BOTH, NULL, 0, 0, ""},
	{"http", "rate-limit", SETTING_RATE, SCOPE_BOTH, NULL, 0, 0, ""},
	{"http", "compression", SETTING_ON_OFF, SCOPE_BOTH, "off", 0, 0, ""},
	{"http", "sticky", SETTING_STICKY, SCOPE_BOTH, "off", 0, 0, ""},
	{"http", "app-protocol", SETTING_PROTOCOL, SCOPE_APP, OPTIONS_HTTP1, 0, 0, ""},
	{"http", "trusted-proxies", SETTING_NETS, SCOPE_GLOBAL, NULL, 0, 0, ""},
	{"maintenance", "enabled", SETTING_ON_OFF, SCOPE_APP, "off", 0, 0, ""},
	{"maintenance", "page", SETTING_PAGE, SCOPE_BOTH, NULL, 0, 0, ""},
	{"tls", "email", SETTING_EMAIL, SCOPE_GLOBAL, NULL, 0, 0, ""},
	{"tls", "server", SETTING_HTTPS, SCOPE_GLOBAL, NULL, 0, 0, ""},
	{"builds", "timeout", SETTING_SPAN, SCOPE_BOTH, "1h", 1, WORK_TIMEOUT_MAX_S,
		"1d"},
	{"builds", "parallel", SETTING_NUMBER, SCOPE_GLOBAL, NULL, 1, WORK_PARALLEL_MAX,
		""},
	{"builds", "config", SETTING_BUILD_CONFIG, SCOPE_BOTH, "all", 0, 0, ""},
	{"builds", "build-arg", SETTING_BUILD_ARG, SCOPE_APP, NULL, 0, 0, ""},
	{"builds", "base-registry", SETTING_REGISTRY, SCOPE_GLOBAL, NULL, 0, 0, ""},
	{"builds", "network", SETTING_BUILD_NETWORK, SCOPE_BOTH, "internet", 0, 0, ""},
	{LOGLIMITS_TOPIC, LOGLIMITS_BUDGET, SETTING_SIZE, SCOPE_BOTH, "100M",
		LOG_BUDGET_MIN, LOG_BUDGET_MAX, ""},
	{LOGLIMITS_TOPIC, LOGLIMITS_RATE, SETTING_LOG_RATE, SCOPE_BOTH, "off", 0, 0, ""},
	{CRON_TOPIC, "enabled", SETTING_ON_OFF, SCOPE_BOTH, "on", 0, 0, ""},
	{CRON_TOPIC, "timezone", SETTING_ZONE, SCOPE_BOTH, NULL, 0, 0, ""},
	{CRON_TOPIC, "timeout", SETTING_SPAN, SCOPE_BOTH, "1d", 1, CRON_TIMEOUT_MAX_S,
		"30d"},
	{CRON_TOPIC, "catch-up", SETTING_SPAN, SCOPE_BOTH, "1h", 0, CRON_CATCH_UP_MAX_S,
		"1d"},
	{CRON_TOPIC, "parallel", SETTING_NUMBER, SCOPE_GLOBAL, "32", 1, CRON_PARALLEL_MAX,
		" runs"},
	{"apps", "autocreate", SETTING_ON_OFF, SCOPE_GLOBAL, "on", 0, 0, ""},
	{"apps", "members-create", SETTING_ON_OFF, SCOPE_GLOBAL, "off", 0, 0, ""},
	{OWN_HOST_TOPIC, OWN_HOST_KEY, SETTING_API_HOST, SCOPE_GLOBAL, NULL, 0, 0, ""},
	{OWN_HOST_TOPIC, OWN_HOST_CERTS_KEY, SETTING_API_CERTS, SCOPE_GLOBAL, NULL, 0, 0,
		""},
	{"disk", "budget", SETTING_SIZE, SCOPE_GLOBAL, NULL, 64 << 20, SIZE_MAX_SET, ""},
	{"disk", "reserve", SETTING_SIZE, SCOPE_GLOBAL, NULL, 1 << 20, SIZE_MAX_SET, ""},
	{"disk", "releases", SETTING_NUMBER, SCOPE_BOTH, "10", 1, 1000, ""},
	{"disk", "releases-min", SETTING_NUMBER, SCOPE_BOTH, NULL, 1, 1000, ""},
};

static bool named(const struct setting *st, const char *key)
{
	size_t len = strlen(st->key);
	bool dot = strncmp(key, st->key, len) == 0 && key[len] == '.';

	if (st->kind == SETTING_BUILD_ARG)
		return dot && name_key_valid(key + len + 1);
	if (strcmp(st->key, key) == 0)
		return true;
	return st->kind == SETTING_RESTART && dot && name_type_valid(key + len + 1);
}

static const struct setting *find(const char *topic, const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		if (strcmp(settings[i].topic, topic) == 0 &&
			(!key || named(&settings[i], key)))
			return &settings[i];
	}
	return NULL;
}

bool settings_is_on(struct control *c, uint32_t app, const char *topic, const char *key,
	bool fallback)
{
	for (int global = app == 0; global < 2; global++) {
		char *value autofree = NULL;

		if (db_setting_get(c->db, global ? 0 : app, topic, key, &value) == 0 &&
			value)
			return strcmp(value, "on") == 0;
	}
	return fallback;
}

/* git-check-ref-format(1), for a name below refs/heads/. */
static bool branch_valid(const char *s)
{
	size_t len = strlen(s);

	if (!len || len > 200 || s[0] == '-' || s[0] == '/' || s[0] == '.' ||
		s[len - 1] == '/' || s[len - 1] == '.')
		return false;
	if (strstr(s, "..") || strstr(s, "//") || strstr(s, "@{") || strstr(s, "/.") ||
		strstr(s, ".lock"))
		return false;
	for (; *s; s++) {
		if ((unsigned char)*s <= ' ' || *s == 0x7f || strchr("~^:?*[\\", *s))
			return false;
	}
	return true;
}

static bool url_path_valid(const char *s)
{
	if (*s != '/' || strlen(s) > 255)
		return false;
	for (; *s; s++) {
		if ((unsigned char)*s <= ' ' || (unsigned char)*s > '~')
			return false;
	}
	return true;
}

/* Close enough: the authority looks closer. */
static bool email_valid(const char *s)
{
	size_t n =
		strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			  ".!#$%&'*+/=?^_`{|}~-");

	return n >= 1 && n <= 64 && s[0] != '-' && s[n] == '@' &&
	       name_host_valid(s + n + 1) && s[n + 1] != '*';
}

static bool https_valid(const char *s)
{
	static const char scheme[] = "https://";
	size_t n = strlen(s);

	if (strncmp(s, scheme, sizeof(scheme) - 1) != 0 || n > 255 ||
		n < sizeof(scheme) || s[sizeof(scheme) - 1] == '/')
		return false;
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || (unsigned char)*s > '~')
			return false;
	return true;
}

static int check_host(struct request *r, const struct setting *st, const char *value)
{
	json_t *names = view_hostnames(r->c, &r->app), *name;
	bool ours = false;
	size_t i;

	json_array_foreach (names, i, name)
		ours |= strcmp(json_string_value(name), value) == 0;
	json_decref(names);
	if (ours && value[0] != '*')
		return 0;
	request_fail(r, FAIL_USAGE, "%s must be one of the names of %s, not \"%.100s\"",
		st->key, r->app.name, value);
	return request_hint(r, "berth domains:add %s %.100s", r->app.name, value);
}

static int check_nets(struct request *r, const struct setting *st, const char *value)
{
	struct table_net nets[TABLE_NETS_MAX];
	char bad[ADDR_TEXT_MAX] = "";
	int n = options_parse_nets(value, nets, bad);

	if (n >= 0)
		return 0;
	if (n == -E2BIG)
		return request_fail(r, FAIL_USAGE,
			"%s may be at most %u addresses and ranges", st->key,
			TABLE_NETS_MAX);
	return request_fail(r, FAIL_USAGE,
		"%s must be addresses and ranges such as 10.0.0.0/8, not \"%s\"", st->key,
		bad);
}

static int check_auth(struct request *r, const struct setting *st, const char *value)
{
	autobuf hidden = BUF_INIT;

	if (options_hide_password(value, &hidden) == 0)
		return 0;
	return request_fail(
		r, FAIL_USAGE, "%s must be NAME:PASSWORD, at most 256 bytes", st->key);
}

static int check_rate(struct request *r, const struct setting *st, const char *value)
{
	uint32_t n, period;

	if (options_parse_rate(value, &n, &period) == 0)
		return 0;
	return request_fail(r, FAIL_USAGE,
		"%s must be requests in a second or a minute, such as 20/s or 600/m",
		st->key);
}

static int check_zone(struct request *r, const char *value)
{
	struct zone *z = NULL;
	struct err e = {0};

	if (zone_open(value, &z, &e) < 0)
		return request_fail(r, FAIL_USAGE, "%s", e.text);
	zone_close(z);
	return 0;
}

static int check_value(struct request *r, const struct setting *st, const char *value)
{
	struct restart_policy policy;
	struct msg_log_limits log;
	uint64_t n;

	switch (st->kind) {
	case SETTING_ON_OFF:
	case SETTING_STICKY:
		if (strcmp(value, "on") == 0 || strcmp(value, "off") == 0)
			return 0;
		return request_fail(r, FAIL_USAGE, "%s must be on or off", st->key);
	case SETTING_NUMBER:
		if (num_parse_u64(value, st->min, st->max, &n) == 0)
			return 0;
		return request_fail(r, FAIL_USAGE,
			"%s must be a whole number from %llu to %llu%s", st->key,
			(unsigned long long)st->min, (unsigned long long)st->max,
			st->unit);
	case SETTING_PORT:
		if (num_parse_u64(value, st->min, st->max, &n) == 0 ||
			strcmp(value, PORT_UNIX) == 0)
			return 0;
		return request_fail(r, FAIL_USAGE,
			"%s must be a port from %llu to %llu, or " PORT_UNIX, st->key,
			(unsigned long long)st->min, (unsigned long long)st->max);
	case SETTING_BRANCH:
		if (branch_valid(value))
			return 0;
		return request_fail(
			r, FAIL_USAGE, "\"%.80s\" is not a branch name", value);
	case SETTING_PATH:
		if (url_path_valid(value))
			return 0;
		return request_fail(r, FAIL_USAGE,
			"%s must be the path of a URL, such as /health", st->key);
	case SETTING_SPAN:
		if (span_parse(value, &n) == 0 && n >= st->min && n <= st->max)
			return 0;
		return request_fail(r, FAIL_USAGE,
			"%s must be a time such as 90s, 15m or 2h, at most %s", st->key,
			st->unit);
	case SETTING_SLEEP:
		if (strcmp(value, "stop") == 0 || strcmp(value, "freeze") == 0)
			return 0;
		return request_fail(r, FAIL_USAGE, "%s must be stop or freeze", st->key);
	case SETTING_SIZE:
		if (num_parse_size(value, &n) == 0 && n >= st->min && n <= st->max)
			return 0;
		return request_fail(r, FAIL_USAGE,
			"%s must be a size such as 512K, 20M or 5G", st->key);
	case SETTING_PAGE:
		if (strlen(value) <= PAGE_MAX)
			return 0;
		return request_fail(r, FAIL_USAGE,
			"%s is %zu bytes; at most %zu fit: let it load what is large",
			st->key, strlen(value), PAGE_MAX);
	case SETTING_EMAIL:
		if (email_valid(value))
			return 0;
		return request_fail(
			r, FAIL_USAGE, "\"%.80s\" is no address of e-mail", value);
	case SETTING_HTTPS:
		if (https_valid(value))
			return 0;
		return request_fail(r, FAIL_USAGE,
			"%s must be the https:// address of an authority's ACME "
			"directory",
			st->key);
	case SETTING_HOST:
		return check_host(r, st, value);
	case SETTING_AUTH:
		return check_auth(r, st, value);
	case SETTING_RATE:
		return check_rate(r, st, value);
	case SETTING_NETS:
		return check_nets(r, st, value);
	case SETTING_PROTOCOL:
		if (strcmp(value, OPTIONS_HTTP1) == 0 || strcmp(value, OPTIONS_H2C) == 0)
			return 0;
		return request_fail(r, FAIL_USAGE,
			"%s must be " OPTIONS_HTTP1 ", or " OPTIONS_H2C
			" for apps that speak HTTP/2 without TLS, such as gRPC servers",
			st->key);
	case SETTING_BUILD_NETWORK:
		if (build_network_parse(value) >= 0)
			return 0;
		return request_fail(r, FAIL_USAGE,
			"%s must be internet, registries or none", st->key);
	case SETTING_BUILD_CONFIG:
		if (build_config_valid(value))
			return 0;
		return request_fail(r, FAIL_USAGE,
			"%s must be all, none, or names of config variables with commas "
			"between",
			st->key);
	case SETTING_REGISTRY:
		if (reference_host_valid(value))
			return 0;
		return request_fail(r, FAIL_USAGE,
			"%s must be the host of a registry, such as registry.example.com",
			st->key);
	case SETTING_BUILD_ARG:
		if (strlen(value) <= BUILD_ARG_MAX)
			return 0;
		return request_fail(r, FAIL_USAGE, "%s is %zu bytes; at most %d fit",
			st->key, strlen(value), BUILD_ARG_MAX);
	case SETTING_LOG_RATE:
		if (loglimits_parse_rate(value, &log) == 0)
			return 0;
		return request_fail(r, FAIL_USAGE,
			"%s must be lines a second such as 10000, bytes a second such as "
			"512K or 1M, or off",
			st->key);
	case SETTING_API_HOST:
		return own_host_check(r, value);
	case SETTING_API_CERTS:
		return own_host_check_certs(r, value);
	case SETTING_PREVIEW_VOLUMES:
		if (strcmp(value, "copy") == 0 || strcmp(value, "empty") == 0)
			return 0;
		return request_fail(r, FAIL_USAGE, "%s must be copy or empty", st->key);
	case SETTING_ZONE:
		return check_zone(r, value);
	case SETTING_RESTART:
		if (restart_policy_parse(value, &policy) == 0)
			return 0;
		return request_fail(r, FAIL_USAGE,
			"%s must be always, unless-stopped, on-failure, on-failure:N "
			"(up to N restarts, 1 to 1000) or never",
			st->key);
	}
	return -1;
}

static void topic_keys(const char *topic, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(settings) && len < size; i++) {
		if (strcmp(settings[i].topic, topic) == 0)
			len += (size_t)snprintf(out + len, size - len, "%s%s%s",
				len ? ", " : "", settings[i].key,
				settings[i].kind == SETTING_BUILD_ARG ? ".NAME" : "");
	}
}

static int check_topic(struct request *r, const char *topic)
{
	if (find(topic, NULL))
		return 0;
	return request_fail(r, FAIL_MISSING, "there are no settings of \"%.40s\"", topic);
}

/* ---- reading ---- */

static json_t *shown(const struct setting *st, const char *s)
{
	if (!s || !*s)
		return json_null();
	if (st->kind == SETTING_PAGE)
		return json_sprintf("%zu bytes of HTML", strlen(s));
	if (st->kind == SETTING_AUTH || st->kind == SETTING_STICKY)
		return json_stringn(s, strcspn(s, ":"));
	return json_string(s);
}

static bool serves_files(struct request *r)
{
	json_t *processes = r->app.id ? view_processes(r->c, r->app.id) : NULL;
	const char *web = json_string_value(json_object_get(processes, "web"));
	bool yes = web && command_serves_files(web);

	json_decref(processes);
	return yes;
}

/* What holds for the app when neither it nor the host sets the key. */
static const char *fallback_of(
	struct request *r, const struct setting *st, char number[24])
{
	if (strcmp(st->topic, "ps") == 0 && strcmp(st->key, "overlap") == 0)
		return rollout_stop_first(r->c, r->app.id, "web") ? "off" : "on";
	if (st->kind == SETTING_SLEEP)
		return settings_sleep_default();
	if (st->kind == SETTING_PORT && serves_files(r))
		return PORT_UNIX;
	if (strcmp(st->topic, "disk") == 0 && strcmp(st->key, "reserve") == 0) {
		uint64_t left, total;

		if (disk_free(r->c, &left, &total) == 0)
			num_format_size(space_reserve_default(total), number);
		return number;
	}
	if (strcmp(st->topic, "builds") == 0 && st->kind == SETTING_NUMBER) {
		snprintf(number, 24, "%u", work_parallel_default());
		return number;
	}
	return st->fallback;
}

static json_t *entry(struct request *r, const struct setting *st, const char *key)
{
	char *own autofree = NULL, *global autofree = NULL;
	char number[24] = "";

	if (st->kind == SETTING_BRANCH)
		own = strdup(r->app.deploy_branch);
	else if (r->app.id)
		db_setting_get(r->c->db, r->app.id, st->topic, key, &own);
	if (st->scope & SCOPE_GLOBAL)
		db_setting_get(r->c->db, 0, st->topic, st->key, &global);
	const char *computed = own && *own ? own
			       : global	   ? global
					   : fallback_of(r, st, number);

	return json_pack("{s:o, s:o, s:o}", "app", shown(st, own), "global",
		shown(st, global), "computed", shown(st, computed));
}

/* KEY.TYPE of the process types that have a value of their own. */
static void show_types(struct request *r, const struct setting *st, json_t *o)
{
	json_t *processes = view_processes(r->c, r->app.id), *command;
	const char *type;

	json_object_foreach (processes, type, command) {
		char *own autofree = NULL;
		char key[96];

		snprintf(key, sizeof(key), "%s.%s", st->key, type);
		db_setting_get(r->c->db, r->app.id, st->topic, key, &own);
		if (own)
			json_object_set_new(o, key, entry(r, st, key));
	}
	json_decref(processes);
}

static void show_args(struct request *r, const struct setting *st, json_t *o)
{
	json_t *args = build_args(r->c, r->app.id), *value;
	const char *name;

	json_object_foreach (args, name, value) {
		char key[300];

		snprintf(key, sizeof(key), BUILD_ARG "%s", name);
		json_object_set_new(o, key, entry(r, st, key));
	}
	json_decref(args);
}

static int show(struct request *r, const char *topic, enum setting_scope scope)
{
	json_t *o = json_object();

	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		const struct setting *st = &settings[i];

		if (strcmp(st->topic, topic) != 0 || !(st->scope & scope))
			continue;
		if (st->kind == SETTING_BUILD_ARG) {
			show_args(r, st, o);
			continue;
		}
		json_object_set_new(o, st->key, entry(r, st, st->key));
		if (st->kind == SETTING_RESTART && r->app.id)
			show_types(r, st, o);
	}
	return request_reply(r, 200, o);
}

/* The values of one topic that the app, or with 0 the host, has. */
static json_t *topic_state(struct request *r, const char *topic, uint32_t app, int *ret_n)
{
	json_t *all = NULL, *o = json_object(), *v;
	const char *key;
	char id[16];

	snprintf(id, sizeof(id), "%u", app);
	*ret_n = db_setting_topic(r->c->db, topic, app, &all);
	json_object_foreach (json_object_get(all, id), key, v) {
		const struct setting *st = find(topic, key);
		const char *s = json_string_value(v);

		if (st && (st->kind == SETTING_AUTH || st->kind == SETTING_STICKY))
			json_object_set_new(o, key, json_stringn(s, strcspn(s, ":")));
		else if (st)
			json_object_set(o, key, v);
	}
	json_decref(all);
	return o;
}

int settings_state(struct request *r, uint32_t app, json_t **ret)
{
	json_t *topics = json_object();
	int n = 0;

	for (size_t i = 0; i < ARRAY_LEN(settings) && n >= 0; i++)
		if (!json_object_get(topics, settings[i].topic))
			json_object_set_new(topics, settings[i].topic,
				topic_state(r, settings[i].topic, app, &n));
	if (app && r->app.deploy_branch[0])
		json_object_set_new(json_object_get(topics, "git"), "deploy-branch",
			json_string(r->app.deploy_branch));
	*ret = topics;
	return n;
}

int settings_show(struct request *r)
{
	return check_topic(r, r->args[1]) < 0 ? -1 : show(r, r->args[1], SCOPE_APP);
}

int settings_show_global(struct request *r)
{
	return check_topic(r, r->args[0]) < 0 ? -1 : show(r, r->args[0], SCOPE_GLOBAL);
}

/* ---- writing ---- */

static int check_entry(struct request *r, const char *topic, const char *key, json_t *v,
	enum setting_scope scope)
{
	const struct setting *st = find(topic, key);
	char keys[256];

	if (!st) {
		topic_keys(topic, keys, sizeof(keys));
		return request_fail(r, FAIL_USAGE,
			"there is no setting %s \"%.40s\"; known: %s", topic, key, keys);
	}
	if (scope == SCOPE_GLOBAL && strcmp(key, st->key) != 0)
		return request_fail(r, FAIL_USAGE,
			"%s of one process type can only be set for one app", st->key);
	if (!(st->scope & scope))
		return request_fail(r, FAIL_USAGE, "%s can only be set %s", key,
			scope == SCOPE_APP ? "for all apps, with --global"
					   : "for one app");
	if (json_is_null(v))
		return 0;
	if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
		return request_fail(r, FAIL_USAGE, "%s must be text or null", key);
	return json_string_length(v) ? check_value(r, st, json_string_value(v)) : 0;
}

static int store(
	struct request *r, const struct setting *st, const char *key, const char *value)
{
	if (st->kind == SETTING_BRANCH)
		return db_app_set_branch(r->c->db, r->app.id, value ? value : "");
	if (st->kind == SETTING_STICKY && value && strcmp(value, "on") == 0) {
		char kept[OPTIONS_STICKY_MAX];
		int n = options_make_sticky(kept);

		return n < 0 ? n
			     : db_setting_set(r->c->db, r->app.id, st->topic, key, kept);
	}
	if (st->kind == SETTING_AUTH && value) {
		autobuf hidden = BUF_INIT;
		int n = options_hide_password(value, &hidden);

		return n < 0 ? n
			     : db_setting_set(
				       r->c->db, r->app.id, st->topic, key, hidden.data);
	}
	return db_setting_set(r->c->db, r->app.id, st->topic, key, value);
}

/* The router is told by its table. */
static bool in_table(const char *topic)
{
	return strcmp(topic, "http") == 0 || strcmp(topic, "maintenance") == 0 ||
	       strcmp(topic, "ps") == 0;
}

static int set(struct request *r, const char *topic, enum setting_scope scope)
{
	struct err e = {0};
	const char *key;
	json_t *v;

	if (check_topic(r, topic) < 0)
		return -1;
	json_object_foreach (r->body, key, v) {
		if (check_entry(r, topic, key, v, scope) < 0)
			return -1;
	}
	json_object_foreach (r->body, key, v) {
		const char *value = json_string_value(v);
		int n = store(r, find(topic, key), key, value && *value ? value : NULL);

		if (n < 0)
			return request_fail_db(r, n, key);
	}
	if (r->app.id && db_app_by_id(r->c->db, r->app.id, &r->app) < 0)
		return request_fail_db(r, -EIO, r->app.name);
	if (strcmp(topic, "tls") == 0)
		acme_retry(r->c);
	if (strcmp(topic, PREVIEW_TOPIC) == 0)
		previews_soon();
	if (strcmp(topic, "disk") == 0)
		webhooks_look_soon();
	if (strcmp(topic, "builds") == 0 && r->app.id &&
		network_apply(r->c, r->app.id, &e) < 0)
		return request_fail(
			r, FAIL_BERTH, "stored, but not in force: %s", e.text);
	if (strcmp(topic, LOGLIMITS_TOPIC) == 0 &&
		loglimits_apply(r->c, r->app.id, &e) < 0)
		return request_fail(
			r, FAIL_BERTH, "stored, but not in force: %s", e.text);
	if (strcmp(topic, OWN_HOST_TOPIC) == 0 &&
		(json_object_get(r->body, OWN_HOST_KEY) ||
			json_object_get(r->body, OWN_HOST_CERTS_KEY))) {
		acme_changed(r->c, 0);
		if (certs_came(r->c, &e) < 0)
			return request_fail(r, FAIL_BERTH,
				"stored, but the router does not use it yet: %s", e.text);
	}
	if (strcmp(topic, CRON_TOPIC) == 0)
		cron_changed(r->c);
	if (in_table(topic) && routes_refresh(r->c, &e) < 0)
		return request_fail(r, FAIL_BERTH,
			"stored, but the router does not use it yet: %s", e.text);
	return show(r, topic, scope);
}

int settings_set(struct request *r)
{
	return set(r, r->args[1], SCOPE_APP);
}

int settings_set_global(struct request *r)
{
	return set(r, r->args[0], SCOPE_GLOBAL);
}

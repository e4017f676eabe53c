/* What is to be done so that the host is as its file says: section by section, each compared in the form of the API. */
#include "cli/plan.h"
#include "lib/drain_url.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One section of one app, or of the host, on its way to a step. */
struct part {
	const char *app; /* NULL: the host's */
	const char *section;
	bool prune;
	json_t *changes, *calls;
};

static struct part begin(const char *app, const char *section, bool prune)
{
	return (struct part){.app = app,
		.section = section,
		.prune = prune,
		.changes = json_array(),
		.calls = json_array()};
}

static void finish(struct part *p, json_t *steps)
{
	if (json_array_size(p->changes))
		json_array_append_new(steps,
			json_pack("{s:s?, s:s, s:O, s:O}", "app", p->app, "section",
				p->section, "changes", p->changes, "calls", p->calls));
	json_decref(p->changes);
	json_decref(p->calls);
}

/* path: of the host, or of the app. */
static void call(struct part *p, const char *method, json_t *body, bool stream,
	const char *fmt, ...) PRINTF(5, 6);
static void call(struct part *p, const char *method, json_t *body, bool stream,
	const char *fmt, ...)
{
	char path[4096];
	size_t n = 0;
	va_list ap;

	if (p->app && *fmt != '/')
		n = (size_t)snprintf(path, sizeof(path), "/v1/apps/%s/", p->app);
	va_start(ap, fmt);
	vsnprintf(path + n, sizeof(path) - n, fmt, ap);
	va_end(ap);
	json_array_append_new(
		p->calls, json_pack("{s:s, s:s, s:o*, s:b}", "method", method, "path",
				  path, "body", body, "stream", stream));
}

static json_t *place(const struct part *p, const char *first, const char *second)
{
	json_t *path = p->app ? json_pack("[s, s, s]", "apps", p->app, p->section)
			      : json_pack("[s]", p->section);

	if (first)
		json_array_append_new(path, json_string(first));
	if (second)
		json_array_append_new(path, json_string(second));
	return path;
}

/* from and to are borrowed; NULL: there is none, or it is nobody's to see. */
static void note(struct part *p, const char *kind, const char *what, const json_t *from,
	const json_t *to, json_t *path)
{
	json_array_append_new(
		p->changes, json_pack("{s:s, s:s, s:O*, s:O*, s:o}", "change", kind,
				    "what", what, "from", from, "to", to, "path", path));
}

static bool is_none(const json_t *v)
{
	return !v || json_is_null(v);
}

/* Each key that is to change, with what it is to be (NULL: it goes), and what it is. */
static void differ(struct part *p, const json_t *want, const json_t *have,
	void (*each)(
		struct part *p, const char *key, json_t *from, json_t *to, void *arg),
	void *arg)
{
	const char *key;
	json_t *v, *old;

	json_object_foreach ((json_t *)(uintptr_t)want, key, v) {
		old = json_object_get(have, key);
		if (is_none(v) ? !is_none(old) : !old || !json_equal(v, old))
			each(p, key, old, is_none(v) ? NULL : v, arg);
	}
	json_object_foreach ((json_t *)(uintptr_t)have, key, v)
		if (p->prune && !json_object_get(want, key))
			each(p, key, v, NULL, arg);
}

static const char *kind_of(const json_t *from, const json_t *to)
{
	return !to ? "remove" : is_none(from) ? "add" : "change";
}

/* ---- sections that are objects ---- */

static void config_each(
	struct part *p, const char *key, json_t *from, json_t *to, void *body)
{
	note(p, kind_of(from, to), key, NULL, NULL, place(p, key, NULL));
	if (to)
		json_object_set(json_object_get(body, "set"), key, to);
	else
		json_array_append_new(json_object_get(body, "unset"), json_string(key));
}

static void plan_config(struct part *p, const json_t *want, const json_t *have)
{
	json_t *body = json_pack("{s:{}, s:[], s:b}", "set", "unset", "restart", 1);

	differ(p, want, have, config_each, body);
	call(p, "PATCH", body, true, "config");
}

struct topic {
	const char *name;
	json_t *body;
};

static bool same_user(const json_t *from, const json_t *to)
{
	const char *kept = json_string_value(from), *given = json_string_value(to);
	size_t len = kept ? strlen(kept) : 0;

	return kept && given && strncmp(kept, given, len) == 0 && given[len] == ':';
}

static void setting_each(
	struct part *p, const char *key, json_t *from, json_t *to, void *arg)
{
	const struct topic *t = arg;
	bool secret = strcmp(key, "auth") == 0 || strncmp(key, "build-arg.", 10) == 0;
	char what[128];

	/* Of a password the API tells nothing: its user is what can be compared. */
	if (strcmp(key, "auth") == 0 && same_user(from, to))
		return;
	snprintf(what, sizeof(what), "%s %s", t->name, key);
	note(p, kind_of(from, to), what, secret ? NULL : from, secret ? NULL : to,
		place(p, t->name, key));
	json_object_set(t->body, key, to ? to : json_null());
}

static void plan_settings(struct part *p, const json_t *want, const json_t *have)
{
	json_t *topics = json_object(), *v;
	const char *name;

	json_object_update(topics, (json_t *)(uintptr_t)want);
	if (p->prune)
		json_object_update(topics, (json_t *)(uintptr_t)have);
	json_object_foreach (topics, name, v) {
		struct topic t = {.name = name, .body = json_object()};

		differ(p, json_object_get(want, name), json_object_get(have, name),
			setting_each, &t);
		if (json_object_size(t.body))
			call(p, "PUT", json_incref(t.body), false,
				p->app ? "settings/%s" : "/v1/settings/%s",
				api_word(name));
		json_decref(t.body);
	}
	json_decref(topics);
}

/* "1.5" of processors, "256M", or a count. */
static json_t *limit_text(const char *key, const json_t *v)
{
	if (is_none(v))
		return NULL;
	if (strcmp(key, "cpu") == 0)
		return json_sprintf("%g", (double)json_integer_value(v) / 1000);
	return json_string(strcmp(key, "pids") == 0 || strcmp(key, "nofile") == 0
				   ? out_value(v)
				   : out_size(v));
}

static void limit_each(
	struct part *p, const char *key, json_t *from, json_t *to, void *arg)
{
	const struct topic *t = arg;
	json_t *was = limit_text(key, from), *is = limit_text(key, to);
	char what[128], field[32];

	snprintf(what, sizeof(what), "%s %s", t->name, key);
	note(p, kind_of(from, to), what, was, is, place(p, t->name, key));
	json_decref(was);
	json_decref(is);
	snprintf(field, sizeof(field), "%s", key);
	for (char *s = field; *s; s++)
		*s = *s == '-' ? '_' : *s;
	json_object_set_new(t->body, field, to ? json_incref(to) : json_integer(0));
}

static void plan_resources(struct part *p, const json_t *want, const json_t *have)
{
	json_t *types = json_object(), *v;
	const char *type;

	json_object_update(types, (json_t *)(uintptr_t)want);
	if (p->prune)
		json_object_update(types, (json_t *)(uintptr_t)have);
	json_object_foreach (types, type, v) {
		struct topic t = {.name = type, .body = json_object()};

		differ(p, json_object_get(want, type), json_object_get(have, type),
			limit_each, &t);
		if (json_object_size(t.body)) {
			if (strcmp(type, "*") != 0)
				json_object_set_new(t.body, "process", json_string(type));
			call(p, "PUT", json_incref(t.body), true, "resources");
		}
		json_decref(t.body);
	}
	json_decref(types);
}

static void quantity_each(
	struct part *p, const char *type, json_t *from, json_t *to, void *formation)
{
	/* What is not named any more is as many as of a new app. */
	json_t *least = json_integer(strcmp(type, "web") == 0);

	if (to || !json_equal(from, least)) {
		note(p, kind_of(from, to), type, from, to, place(p, type, NULL));
		json_object_set(formation, type, to ? to : least);
	}
	json_decref(least);
}

static void plan_formation(struct part *p, const json_t *want, const json_t *have)
{
	json_t *formation = json_object();

	differ(p, want, have, quantity_each, formation);
	call(p, "POST", json_pack("{s:o}", "formation", formation), true, "scale");
}

static void access_each(
	struct part *p, const char *member, json_t *from, json_t *to, void *arg)
{
	(void)arg;
	note(p, kind_of(from, to), member, from, to, place(p, member, NULL));
	if (to)
		call(p, "POST", json_pack("{s:s, s:O}", "member", member, "role", to),
			false, "access");
	else
		call(p, "DELETE", NULL, false, "access/%s", api_word(member));
}

static void plan_access(struct part *p, const json_t *want, const json_t *have)
{
	differ(p, want, have, access_each, NULL);
}

/* ---- mounts ---- */

static void unmount(struct part *p, const char *path, const json_t *mount)
{
	call(p, "POST",
		json_pack("{s:s, s:s, s:b}", "app", p->app, "path", path, "restart", 0),
		true, "/v1/volumes/%s/unmount", api_word(out_member(mount, "volume")));
}

static void mount(struct part *p, const char *path, const json_t *to)
{
	json_t *type = json_object_get(to, "process-type");

	call(p, "POST",
		json_pack("{s:s, s:s, s:b, s:O*, s:b}", "app", p->app, "path", path,
			"read_only", json_is_true(json_object_get(to, "read-only")),
			"process_type", type, "restart", 0),
		true, "/v1/volumes/%s/mount", api_word(out_member(to, "volume")));
}

/* A volume is at one place of an app: from one that the file does not speak of it has to go. */
static void leave_other_place(struct part *p, const char *path, const json_t *to,
	const json_t *want, const json_t *have)
{
	const char *other;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)have, other, v) {
		if (json_object_get(want, other) ||
			!json_equal(json_object_get(v, "volume"),
				json_object_get(to, "volume")))
			continue;
		note(p, "remove", other, NULL, NULL, place(p, path, NULL));
		unmount(p, other, v);
	}
}

static bool is_moved(const json_t *want, const char *path, const json_t *from)
{
	const char *other;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)want, other, v)
		if (strcmp(other, path) != 0 && !is_none(v) &&
			json_equal(json_object_get(v, "volume"),
				json_object_get(from, "volume")))
			return true;
	return false;
}

/* What goes is called first: a volume can be mounted again only then. */
static void plan_mounts(struct part *p, const json_t *want, const json_t *have)
{
	const char *path;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)have, path, v) {
		json_t *to = json_object_get(want, path);

		if (!(to ? !json_equal(to, v) : p->prune && !is_moved(want, path, v)))
			continue;
		if (is_none(to))
			note(p, "remove", path, json_object_get(v, "volume"), NULL,
				place(p, path, NULL));
		unmount(p, path, v);
	}
	json_object_foreach ((json_t *)(uintptr_t)want, path, v) {
		json_t *from = json_object_get(have, path);

		if (is_none(v) || (from && json_equal(from, v)))
			continue;
		leave_other_place(p, path, v, want, have);
		note(p, from ? "change" : "add", path, json_object_get(from, "volume"),
			json_object_get(v, "volume"), place(p, path, NULL));
		mount(p, path, v);
	}
}

/* The last one makes the release of all, unless the config's does. */
static void restart_last(const struct part *mounts)
{
	size_t n = json_array_size(mounts->calls);

	if (n)
		json_object_set(
			json_object_get(json_array_get(mounts->calls, n - 1), "body"),
			"restart", json_true());
}

/* ---- sections that are lists ---- */

static bool holds(const json_t *list, const json_t *v)
{
	json_t *e;
	size_t i;

	json_array_foreach (list, i, e)
		if (json_equal(e, v))
			return true;
	return false;
}

static void plan_domains(struct part *p, const json_t *want, const json_t *have)
{
	json_t *body = json_pack("{s:[], s:[]}", "add", "remove"), *v;
	char index[24];
	size_t i;

	json_array_foreach (want, i, v) {
		snprintf(index, sizeof(index), "%zu", i);
		if (holds(have, v))
			continue;
		note(p, "add", json_string_value(v), NULL, NULL, place(p, index, NULL));
		json_array_append(json_object_get(body, "add"), v);
	}
	json_array_foreach (have, i, v) {
		if (!p->prune || holds(want, v))
			continue;
		note(p, "remove", json_string_value(v), NULL, NULL, place(p, NULL, NULL));
		json_array_append(json_object_get(body, "remove"), v);
	}
	call(p, "PATCH", body, false, p->app ? "domains" : "/v1/domains");
}

/* Their order counts: a list that is another takes the place of the one there. */
static void plan_buildpacks(struct part *p, const json_t *want, const json_t *have)
{
	json_t *body = json_pack("{s:O}", "set", want);

	if (!json_equal(want, have) && (json_array_size(want) || json_array_size(have)))
		note(p, "change", "list", NULL, NULL, place(p, NULL, NULL));
	call(p, "PATCH", body, false, "buildpacks");
}

/* As the API shows it: without passwords, and the certificate as a fact. */
static json_t *drain_shown(const json_t *drain)
{
	json_t *o = json_deep_copy(drain);
	char shown[DRAIN_URL_MAX];
	struct drain_url u;

	if (drain_url_parse(out_member(drain, "url"), &u, NULL) == 0) {
		drain_url_show(&u, shown);
		json_object_set_new(o, "url", json_string(shown));
	}
	if (json_object_get(o, "ca"))
		json_object_set_new(o, "own-ca", json_true());
	json_object_del(o, "ca");
	if (!json_is_true(json_object_get(o, "gzip")))
		json_object_del(o, "gzip");
	if (!json_is_true(json_object_get(o, "insecure")))
		json_object_del(o, "insecure");
	return o;
}

static void drop_drain(struct part *p, const json_t *drain)
{
	call(p, "DELETE", NULL, false, p->app ? "drains?drain=%s" : "/v1/drains?drain=%s",
		api_word(out_member(drain, "url")));
}

/* The one of that URL; NULL. */
static json_t *drain_at(const json_t *list, const json_t *url)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (json_equal(json_object_get(v, "url"), url))
			return v;
	return NULL;
}

static void plan_drains(struct part *p, const json_t *want, const json_t *have)
{
	json_t *named = json_array(), *v;
	size_t i;

	json_array_foreach (want, i, v) {
		json_t *shown = drain_shown(v), *url = json_object_get(shown, "url");
		json_t *old = drain_at(have, url);
		char index[24];

		snprintf(index, sizeof(index), "%zu", i);
		json_array_append_new(named, shown);
		if (old && json_equal(old, shown))
			continue;
		if (old)
			drop_drain(p, old);
		note(p, old ? "change" : "add", json_string_value(url), NULL, NULL,
			place(p, index, NULL));
		call(p, "POST", json_deep_copy(v), false,
			p->app ? "drains" : "/v1/drains");
	}
	json_array_foreach (have, i, v) {
		if (!p->prune || drain_at(named, json_object_get(v, "url")))
			continue;
		note(p, "remove", out_member(v, "url"), NULL, NULL, place(p, NULL, NULL));
		drop_drain(p, v);
	}
	json_decref(named);
}

/* ---- network ---- */

static const char *rule_target(const json_t *rule)
{
	json_t *allow = json_object_get(rule, "allow");

	return json_string_value(allow ? allow : json_object_get(rule, "deny"));
}

/* The same of two: allowed or denied aside. */
static bool same_rule(const json_t *a, const json_t *b)
{
	return strcmp(rule_target(a), rule_target(b)) == 0 &&
	       strcmp(out_member(a, "ports"), out_member(b, "ports")) == 0 &&
	       strcmp(out_member(a, "protocol"), out_member(b, "protocol")) == 0 &&
	       json_is_true(json_object_get(a, "builds")) ==
		       json_is_true(json_object_get(b, "builds"));
}

static json_t *rule_like(const json_t *list, const json_t *rule)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (same_rule(v, rule))
			return v;
	return NULL;
}

static const char *rule_text(const json_t *rule)
{
	static char text[512];
	const char *ports = out_member(rule, "ports"),
		   *protocol = out_member(rule, "protocol");

	snprintf(text, sizeof(text), "%s %s%s%s%s%s%s",
		json_object_get(rule, "allow") ? "allow" : "deny", rule_target(rule),
		*ports ? " port " : "", ports, *protocol ? " " : "", protocol,
		json_is_true(json_object_get(rule, "builds")) ? " of builds" : "");
	return text;
}

static void put_rule(struct part *p, const json_t *rule)
{
	call(p, "POST",
		json_pack("{s:s, s:O*, s:O*, s:O*}", "target", rule_target(rule), "ports",
			json_object_get(rule, "ports"), "protocol",
			json_object_get(rule, "protocol"), "builds",
			json_object_get(rule, "builds")),
		false, "network/%s", json_object_get(rule, "allow") ? "allow" : "deny");
}

/* A rule without ports takes all about its target with it: those that stay are put again. */
static void drop_rule(struct part *p, const json_t *rule, const json_t *want)
{
	const char *ports = out_member(rule, "ports"),
		   *protocol = out_member(rule, "protocol");
	json_t *v;
	size_t i;

	call(p, "DELETE", NULL, false, "network?target=%s%s%s%s%s%s",
		api_word(rule_target(rule)), *ports ? "&ports=" : "", api_word(ports),
		*protocol ? "&protocol=" : "", api_word(protocol),
		json_is_true(json_object_get(rule, "builds")) ? "&builds=1" : "");
	json_array_foreach (want, i, v)
		if (!*ports && !*protocol &&
			strcmp(rule_target(v), rule_target(rule)) == 0)
			put_rule(p, v);
}

static void plan_network(struct part *p, const json_t *want, const json_t *have)
{
	json_t *v;
	size_t i;

	json_array_foreach (have, i, v) {
		if (!p->prune || rule_like(want, v))
			continue;
		note(p, "remove", rule_text(v), NULL, NULL, place(p, NULL, NULL));
		drop_rule(p, v, want);
	}
	json_array_foreach (want, i, v) {
		json_t *old = rule_like(have, v);
		char index[24];

		snprintf(index, sizeof(index), "%zu", i);
		if (old && !json_object_get(old, "allow") == !json_object_get(v, "allow"))
			continue;
		note(p, old ? "change" : "add", rule_text(v), NULL, NULL,
			place(p, index, NULL));
		put_rule(p, v);
	}
}

/* ---- yes or no ---- */

static void plan_flag(struct part *p, const json_t *want, const json_t *have,
	const char *on, const char *off, bool stream)
{
	if (json_is_true(want) == json_is_true(have))
		return;
	note(p, "change", json_is_true(want) ? "on" : "off", NULL, NULL,
		place(p, NULL, NULL));
	call(p, "POST", NULL, stream && json_is_true(want), "%s",
		json_is_true(want) ? on : off);
}

static void plan_tls(struct part *p, const json_t *want, const json_t *have)
{
	plan_flag(p, want, have, "tls/enable", "tls/disable", true);
}

static void plan_locked(struct part *p, const json_t *want, const json_t *have)
{
	plan_flag(p, want, have, "lock", "unlock", false);
}

/* ---- the host's ---- */

static void volume_setting(
	struct part *p, const char *name, const char *key, const json_t *v)
{
	call(p, "POST",
		json_pack("{s:s, s:o}", "key", key, "value", json_string(out_value(v))),
		false, "/v1/volumes/%s/settings", api_word(name));
}

static void plan_volume(
	struct part *p, const char *name, const json_t *want, const json_t *have)
{
	json_t *size = json_object_get(want, "size"), *v;
	const char *key;

	if (!have) {
		note(p, "add", name, NULL, NULL, place(p, name, NULL));
		call(p, "POST",
			json_pack("{s:s, s:O*}", "name", name, "size",
				is_none(size) ? NULL : size),
			false, "/v1/volumes");
	}
	json_object_foreach ((json_t *)(uintptr_t)want, key, v) {
		bool is_size = strcmp(key, "size") == 0;
		json_t *old = json_object_get(have, key);
		char what[128];

		if (is_none(v) || (is_size && !have) || (old && json_equal(v, old)))
			continue;
		snprintf(what, sizeof(what), "%s %s", name, key);
		note(p, have ? "change" : "add", what, old, v, place(p, name, key));
		if (is_size)
			call(p, "POST", json_pack("{s:O}", "size", v), false,
				"/v1/volumes/%s/resize", api_word(name));
		else
			volume_setting(p, name, key, v);
	}
}

static void plan_volumes(struct part *p, const json_t *want, const json_t *have)
{
	const char *name;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)want, name, v)
		plan_volume(p, name, v, json_object_get(have, name));
}

static void plan_keys(
	struct part *p, const char *name, const json_t *want, const json_t *have)
{
	json_t *v;
	bool surplus = false;
	size_t i;

	json_array_foreach (have, i, v)
		surplus |= p->prune && want && !holds(want, v);
	if (surplus) { /* there is no taking one alone */
		note(p, "remove", "keys that the file does not name", NULL, NULL,
			place(p, name, "keys"));
		call(p, "DELETE", NULL, false, "/v1/ssh-keys/%s", api_word(name));
	}
	json_array_foreach (want, i, v) {
		bool there = holds(have, v);
		char what[160];

		snprintf(what, sizeof(what), "%s key %.24s…", name, json_string_value(v));
		if (!there)
			note(p, "add", what, NULL, NULL, place(p, name, "keys"));
		if (!there || surplus)
			call(p, "POST", json_pack("{s:s, s:O}", "name", name, "key", v),
				false, "/v1/ssh-keys");
	}
}

static void plan_role(
	struct part *p, const char *name, const json_t *want, const json_t *have)
{
	json_t *to = json_object_get(want, "role"), *from = json_object_get(have, "role");

	if (!to || (is_none(to) ? is_none(from) : from && json_equal(from, to)))
		return;
	note(p,
		is_none(to)	? "remove"
		: is_none(from) ? "add"
				: "change",
		name, from, to, place(p, name, "role"));
	if (is_none(to))
		call(p, "DELETE", NULL, false, "/v1/access/%s", api_word(name));
	else
		call(p, "POST", json_pack("{s:s, s:O}", "member", name, "role", to),
			false, "/v1/access");
}

static void member_each(
	struct part *p, const char *name, json_t *from, json_t *to, void *arg)
{
	(void)arg;
	if (!to) {
		note(p, "remove", name, NULL, NULL, place(p, NULL, NULL));
		call(p, "DELETE", NULL, false, "/v1/members/%s", api_word(name));
		return;
	}
	if (!from) {
		note(p, "add", name, NULL, NULL, place(p, name, NULL));
		call(p, "POST", json_pack("{s:s}", "name", name), false, "/v1/members");
	}
	plan_keys(p, name, json_object_get(to, "keys"), json_object_get(from, "keys"));
	plan_role(p, name, to, from);
}

static void plan_members(struct part *p, const json_t *want, const json_t *have)
{
	differ(p, want, have, member_each, NULL);
}

/* ---- the whole ---- */

struct section {
	const char *name;
	void (*plan)(struct part *p, const json_t *want, const json_t *have);
};

static const struct section host_sections[] = {
	{"settings", plan_settings},
	{"domains", plan_domains},
	{"members", plan_members},
	{"volumes", plan_volumes},
	{"drains", plan_drains},
};

/* Hostnames before settings that name one; what several instances may share before how many there are; the config last of
 * what makes a release. */
static const struct section app_sections[] = {
	{"domains", plan_domains},
	{"settings", plan_settings},
	{"resources", plan_resources},
	{"buildpacks", plan_buildpacks},
	{"formation", plan_formation},
	{"network", plan_network},
	{"mounts", plan_mounts},
	{"config", plan_config},
	{"drains", plan_drains},
	{"access", plan_access},
	{"tls", plan_tls},
};

static int plan_host(struct cli *c, const struct hostfile *f, bool prune, json_t *steps)
{
	json_t *have = NULL;
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(host_sections) && r == 0; i++) {
		const struct section *s = &host_sections[i];
		json_t *want = json_object_get(f->root, s->name);
		struct part p;

		if (!want)
			continue;
		if (!have && (r = api_json(c, "GET", NULL, &have, "/v1/state")))
			break;
		p = begin(NULL, s->name, prune);
		s->plan(&p, want, json_object_get(have, s->name));
		finish(&p, steps);
	}
	json_decref(have);
	return r;
}

/* An unlocked app can be changed; a locked one is locked at the end. */
static void plan_lock(
	const char *app, const json_t *want, const json_t *have, bool on, json_t *steps)
{
	struct part p = begin(app, "locked", false);
	json_t *locked = json_object_get(want, "locked");

	if (locked && json_is_true(locked) == on)
		plan_locked(&p, locked, json_object_get(have, "locked"));
	finish(&p, steps);
}

static void plan_app(const char *app, const json_t *want, const json_t *have, bool prune,
	json_t *steps)
{
	struct part parts[ARRAY_LEN(app_sections)], *mounts = NULL;
	bool releases = false;

	plan_lock(app, want, have, false, steps);
	for (size_t i = 0; i < ARRAY_LEN(app_sections); i++) {
		const struct section *s = &app_sections[i];
		json_t *section = json_object_get(want, s->name);

		parts[i] = begin(app, s->name, prune);
		if (section)
			s->plan(&parts[i], section, json_object_get(have, s->name));
		if (s->plan == plan_mounts)
			mounts = &parts[i];
		releases |= s->plan == plan_config && json_array_size(parts[i].changes);
	}
	if (!releases)
		restart_last(mounts);
	for (size_t i = 0; i < ARRAY_LEN(app_sections); i++)
		finish(&parts[i], steps);
	plan_lock(app, want, have, true, steps);
}

static void create(const char *app, json_t *steps)
{
	struct part p = begin(app, "app", false);

	note(&p, "add", app, NULL, NULL, json_pack("[s, s]", "apps", app));
	call(&p, "POST", json_pack("{s:s}", "name", app), false, "/v1/apps");
	finish(&p, steps);
}

static void destroy(const char *app, json_t *steps)
{
	struct part p = begin(app, "app", true);

	note(&p, "remove", app, NULL, NULL, json_pack("[s]", "apps"));
	call(&p, "DELETE", NULL, true, "/v1/apps/%s?confirm=%s&volumes=keep", app, app);
	finish(&p, steps);
}

/* Apps by name -> what they are set to; {} of those that are not there yet. */
static int read_apps(struct cli *c, const json_t *want, json_t *list, json_t **ret)
{
	json_t *have = json_object(), *v, *state;
	const char *app;
	size_t i;
	int r = 0;

	json_array_foreach (list, i, v) {
		const char *name = out_member(v, "name");

		if (r || !json_object_get(want, name))
			continue;
		r = api_json(c, "GET", NULL, &state, "/v1/apps/%s/state", name);
		if (r == 0)
			json_object_set_new(have, name, state);
	}
	json_object_foreach ((json_t *)(uintptr_t)want, app, v)
		if (!json_object_get(have, app))
			json_object_set_new(have, app, json_null());
	*ret = have;
	return r;
}

/* All are there before one is told of another. */
static int plan_apps(struct cli *c, const json_t *want, bool prune, json_t *steps)
{
	json_t *list = NULL, *have = NULL, *v;
	const char *app;
	size_t i;
	int r = api_json(c, "GET", NULL, &list, "/v1/apps");

	if (r == 0)
		r = read_apps(c, want, list, &have);
	if (r)
		return r;
	json_object_foreach ((json_t *)(uintptr_t)want, app, v)
		if (json_is_null(json_object_get(have, app)))
			create(app, steps);
	json_object_foreach ((json_t *)(uintptr_t)want, app, v)
		plan_app(app, v, json_object_get(have, app), prune, steps);
	json_array_foreach (list, i, v)
		if (prune && !json_object_get(want, out_member(v, "name")))
			destroy(out_member(v, "name"), steps);
	json_decref(list);
	json_decref(have);
	return 0;
}

int plan_make(struct cli *c, const struct hostfile *f, bool prune, json_t **ret)
{
	json_t *steps = json_array(), *apps = json_object_get(f->root, "apps");
	int r = plan_host(c, f, prune, steps);

	if (r == 0 && apps)
		r = plan_apps(c, apps, prune, steps);
	if (r == 0)
		*ret = steps;
	else
		json_decref(steps);
	return r;
}

size_t plan_count(const json_t *steps, const char *kind)
{
	json_t *step, *change;
	size_t i, j, n = 0;

	json_array_foreach (steps, i, step)
		json_array_foreach (json_object_get(step, "changes"), j, change)
			n += !kind || strcmp(out_member(change, "change"), kind) == 0;
	return n;
}

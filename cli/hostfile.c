/* Reading the file of `berth apply`: a table says what may stand where, and what becomes of it. */
#include "cli/hostfile.h"
#include "cli/cli.h"
#include "lib/addr.h"
#include "lib/io.h"
#include "lib/jtext.h"
#include "lib/name.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- values ---- */

struct walk {
	struct hostfile *f;
	const char *path[HOSTFILE_DEPTH];
	size_t n;
	int status;
};

static json_t *fail(struct walk *w, const char *fmt, ...) PRINTF(2, 3);
static json_t *fail(struct walk *w, const char *fmt, ...)
{
	autobuf place = BUF_INIT;
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < w->n; i++)
		buf_addf(&place, "%s%s", i ? "." : "", w->path[i]);
	say("%s line %u: %s%s%s", w->f->name, hostfile_line(w->f, w->path, w->n),
		place.len ? place.data : "", place.len ? ": " : "", text);
	if (!w->status)
		w->status = STATUS_USAGE;
	return NULL;
}

/* With as many digits as the number needs. */
static json_t *real_text(double v)
{
	char text[32];

	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	return json_string(text);
}

/* As text: numbers as they are written, true and false as these words. */
static json_t *text_of(const json_t *v, const char *yes, const char *no)
{
	if (json_is_boolean(v))
		return json_string(json_is_true(v) ? yes : no);
	if (json_is_integer(v))
		return json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(v));
	return json_is_real(v) ? real_text(json_real_value(v)) : NULL;
}

static json_t *take_word(struct walk *w, json_t *v)
{
	return json_is_string(v) ? json_incref(v) : fail(w, "text is expected");
}

/* As the API keeps a hostname: lower case, without the dot that ends an absolute one. */
static json_t *host_text(const char *prefix, const char *name)
{
	char *host autofree = strdup(name);
	size_t len = strlen(name);

	if (!host)
		abort();
	for (size_t i = 0; i < len; i++)
		host[i] = (char)tolower((unsigned char)host[i]);
	len -= len && host[len - 1] == '.';
	return json_sprintf("%s%.*s", prefix, (int)len, host);
}

static json_t *take_host(struct walk *w, json_t *v)
{
	return json_is_string(v) ? host_text("", json_string_value(v))
				 : fail(w, "a hostname is expected");
}

static json_t *take_text(struct walk *w, json_t *v)
{
	json_t *text = text_of(v, "true", "false");

	if (text || json_is_null(v) || json_is_string(json_object_get(v, "base64")))
		return text ? text : json_incref(v);
	return json_is_string(v)
		       ? json_incref(v)
		       : fail(w, "text is expected, {\"env\": NAME}, {\"file\": "
				 "NAME}, or null for none");
}

static json_t *take_setting(struct walk *w, json_t *v)
{
	json_t *text = text_of(v, "on", "off");

	if (json_is_string(v) && !json_string_length(v))
		return json_null();
	return text ? text : take_text(w, v);
}

static json_t *take_bool(struct walk *w, json_t *v)
{
	return json_is_boolean(v) ? json_incref(v) : fail(w, "true or false is expected");
}

static json_t *take_count(struct walk *w, json_t *v)
{
	return json_is_integer(v) && json_integer_value(v) >= 0
		       ? json_incref(v)
		       : fail(w, "a whole number is expected");
}

/* "256M" or bytes. */
static json_t *take_size(struct walk *w, json_t *v)
{
	const char *text = json_string_value(v);
	uint64_t bytes;

	if (json_is_null(v) || (json_is_integer(v) && json_integer_value(v) >= 0))
		return json_incref(v);
	if (text && num_parse_size(text, &bytes) == 0 && bytes <= INT64_MAX)
		return json_integer((json_int_t)bytes);
	return fail(w, "a size is expected, such as 256M or 2G");
}

/* A volume's: written again as the API does. */
static json_t *take_volume_size(struct walk *w, json_t *v)
{
	json_t *bytes = take_size(w, v);
	char text[24];

	if (!json_is_integer(bytes))
		return bytes;
	num_write_size((uint64_t)json_integer_value(bytes), text);
	json_decref(bytes);
	return json_string(text);
}

/* In thousandths. */
static json_t *take_cpu(struct walk *w, json_t *v)
{
	const char *text = json_string_value(v);
	char *end = NULL;
	double cpus = text ? strtod(text, &end) : json_number_value(v);

	if (json_is_null(v))
		return json_incref(v);
	if ((text && (end == text || *end)) || !isfinite(cpus) || cpus < CPU_LEAST ||
		cpus > 4096)
		return fail(w, "a number of processors is expected, such as 0.5");
	return json_integer((json_int_t)(cpus * 1000 + 0.5));
}

static json_t *take_limit_count(struct walk *w, json_t *v)
{
	return json_is_null(v) ? json_incref(v) : take_count(w, v);
}

static json_t *take_on_off(struct walk *w, json_t *v)
{
	const char *text = json_string_value(v);

	if (json_is_boolean(v))
		return text_of(v, "on", "off");
	if (text && (strcmp(text, "on") == 0 || strcmp(text, "off") == 0))
		return json_incref(v);
	return fail(w, "on or off is expected");
}

static json_t *take_role(struct walk *w, json_t *v)
{
	static const char *const roles[] = {"view", "logs", "deploy", "admin"};
	const char *text = json_string_value(v);

	for (size_t i = 0; text && i < ARRAY_LEN(roles); i++)
		if (strcmp(roles[i], text) == 0)
			return json_incref(v);
	return json_is_null(v) ? json_incref(v)
			       : fail(w, "view, logs, deploy or admin is expected");
}

/* Its kind and what is in it; a comment behind it goes. */
static json_t *take_key(struct walk *w, json_t *v)
{
	const char *text = json_string_value(v);
	size_t kind = text ? strcspn(text, HOSTFILE_BLANKS) : 0;
	size_t gap = text ? strspn(text + kind, HOSTFILE_BLANKS) : 0;
	size_t rest = text ? strcspn(text + kind + gap, HOSTFILE_BLANKS) : 0;

	if (!kind || !rest)
		return fail(w, "a public key is expected, such as \"ssh-ed25519 AAAA…\"");
	return json_sprintf("%.*s %.*s", (int)kind, text, (int)rest, text + kind + gap);
}

static json_t *take_object(struct walk *w, json_t *v)
{
	if (json_is_object(v))
		return json_incref(v);
	return json_is_null(v) ? json_object() : fail(w, "an object is expected: {…}");
}

/* Of an app, a member or a volume. */
static json_t *take_named(struct walk *w, json_t *v)
{
	return name_valid(w->path[w->n - 1])
		       ? take_object(w, v)
		       : fail(w, "a name is 1 to 63 of a-z, 0-9 and '-', not starting "
				 "with '-'");
}

static json_t *take_list(struct walk *w, json_t *v)
{
	return json_is_array(v) ? json_incref(v) : fail(w, "a list is expected: […]");
}

/* "NAME" is {"volume": "NAME"}. */
static json_t *take_mount(struct walk *w, json_t *v)
{
	if (json_is_string(v))
		return json_pack("{s:O}", "volume", v);
	if (json_is_null(v))
		return json_incref(v);
	return json_is_object(v) && json_object_get(v, "volume")
		       ? json_incref(v)
		       : fail(w, "a volume's name is expected, or {\"volume\": NAME, "
				 "\"read-only\": true}");
}

static json_t *take_drain(struct walk *w, json_t *v)
{
	if (json_is_string(v))
		return json_pack("{s:O}", "url", v);
	return json_is_object(v) && json_object_get(v, "url")
		       ? json_incref(v)
		       : fail(w, "a URL is expected, or {\"url\": …, \"gzip\": true}");
}

static json_t *take_rule(struct walk *w, json_t *v)
{
	return json_is_object(v) &&
			       !json_object_get(v, "allow") != !json_object_get(v, "deny")
		       ? json_incref(v)
		       : fail(w, "{\"allow\": TARGET} or {\"deny\": TARGET} is expected");
}

/* As the API writes it: app:NAME, host:NAME, an address, a range, internet. */
static json_t *take_target(struct walk *w, json_t *v)
{
	const char *text = json_string_value(v);
	char address[ADDR_TEXT_MAX];
	struct addr a;

	if (!text || !*text)
		return fail(w, "an app, an address, a range, a host or internet is "
			       "expected");
	if (strcmp(text, "internet") == 0 || strncmp(text, "app:", 4) == 0)
		return json_incref(v);
	if (strncmp(text, "host:", 5) == 0)
		return host_text("host:", text + 5);
	if (addr_parse(text, &a) == 0) {
		addr_format(&a, address);
		return json_string(address);
	}
	return strchr(text, '.') ? host_text("host:", text)
				 : json_sprintf("app:%s", text);
}

static json_t *take_ports(struct walk *w, json_t *v)
{
	return json_is_integer(v) ? text_of(v, "", "") : take_word(w, v);
}

/* ---- what may stand where ---- */

static const struct shape {
	const char *place; /* names with dots between; * is any */
	json_t *(*take)(struct walk *w, json_t *v);
	bool reference; /* {"env": …} and {"file": …}, too */
} shapes[] = {
	{"settings", take_object, false},
	{"settings.*", take_object, false},
	{"settings.*.*", take_setting, true},
	{"domains", take_list, false},
	{"domains.*", take_host, false},
	{"drains", take_list, false},
	{"drains.*", take_drain, true},
	{"drains.*.url", take_word, true},
	{"drains.*.ca", take_word, true},
	{"drains.*.gzip", take_bool, false},
	{"drains.*.insecure", take_bool, false},
	{"members", take_object, false},
	{"members.*", take_named, false},
	{"members.*.role", take_role, false},
	{"members.*.keys", take_list, false},
	{"members.*.keys.*", take_key, true},
	{"volumes", take_object, false},
	{"volumes.*", take_named, false},
	{"volumes.*.size", take_volume_size, false},
	{"volumes.*.keep", take_count, false},
	{"volumes.*.keep-days", take_count, false},
	{"volumes.*.snapshots", take_on_off, false},
	{"apps", take_object, false},
	{"apps.*", take_named, false},
	{"apps.*.config", take_object, false},
	{"apps.*.config.*", take_text, true},
	{"apps.*.domains", take_list, false},
	{"apps.*.domains.*", take_host, false},
	{"apps.*.buildpacks", take_list, false},
	{"apps.*.buildpacks.*", take_word, false},
	{"apps.*.formation", take_object, false},
	{"apps.*.formation.*", take_count, false},
	{"apps.*.settings", take_object, false},
	{"apps.*.settings.*", take_object, false},
	{"apps.*.settings.*.*", take_setting, true},
	{"apps.*.resources", take_object, false},
	{"apps.*.resources.*", take_object, false},
	{"apps.*.resources.*.memory", take_size, false},
	{"apps.*.resources.*.cpu", take_cpu, false},
	{"apps.*.resources.*.pids", take_limit_count, false},
	{"apps.*.resources.*.nofile", take_limit_count, false},
	{"apps.*.resources.*.scratch", take_size, false},
	{"apps.*.resources.*.io-read", take_size, false},
	{"apps.*.resources.*.io-write", take_size, false},
	{"apps.*.network", take_list, false},
	{"apps.*.network.*", take_rule, false},
	{"apps.*.network.*.allow", take_target, false},
	{"apps.*.network.*.deny", take_target, false},
	{"apps.*.network.*.ports", take_ports, false},
	{"apps.*.network.*.protocol", take_word, false},
	{"apps.*.network.*.builds", take_bool, false},
	{"apps.*.mounts", take_object, false},
	{"apps.*.mounts.*", take_mount, false},
	{"apps.*.mounts.*.volume", take_word, false},
	{"apps.*.mounts.*.read-only", take_bool, false},
	{"apps.*.mounts.*.process-type", take_word, false},
	{"apps.*.drains", take_list, false},
	{"apps.*.drains.*", take_drain, true},
	{"apps.*.drains.*.url", take_word, true},
	{"apps.*.drains.*.ca", take_word, true},
	{"apps.*.drains.*.gzip", take_bool, false},
	{"apps.*.drains.*.insecure", take_bool, false},
	{"apps.*.access", take_object, false},
	{"apps.*.access.*", take_role, false},
	{"apps.*.tls", take_bool, false},
	{"apps.*.locked", take_bool, false},
};

/* The last name of the place when the ones before it fit the path's first n; NULL: they don't, or there are more or fewer. */
static const char *last_name(const char *place, const char *const *path, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strcspn(place, ".");

		if (!place[len] || ((len != 1 || *place != '*') &&
					   (strlen(path[i]) != len ||
						   strncmp(place, path[i], len) != 0)))
			return NULL;
		place += len + 1;
	}
	return strchr(place, '.') ? NULL : place;
}

static const struct shape *find(const struct walk *w)
{
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		const char *last = last_name(shapes[i].place, w->path, w->n - 1);

		if (last &&
			(strcmp(last, "*") == 0 || strcmp(last, w->path[w->n - 1]) == 0))
			return &shapes[i];
	}
	return NULL;
}

static void fail_unknown(struct walk *w)
{
	const char *names[16], *near;
	autobuf known = BUF_INIT;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(shapes) && n < ARRAY_LEN(names); i++) {
		const char *last = last_name(shapes[i].place, w->path, w->n - 1);

		if (!last)
			continue;
		buf_addf(&known, "%s%s", n ? ", " : "", last);
		names[n++] = last;
	}
	near = nearest(w->path[w->n - 1], names, n);
	if (near)
		fail(w, "there is no such thing; did you mean %s?", near);
	else
		fail(w, "there is no such thing here; there are: %s",
			n ? known.data : "none");
}

/* ---- {"env": NAME}, {"file": NAME} ---- */

static json_t *text_or_bytes(struct walk *w, const char *s, size_t len)
{
	if (memchr(s, 0, len))
		return fail(w, "the value has a NUL byte");
	return api_value(s);
}

static json_t *from_file(struct walk *w, const char *name)
{
	struct buf b = {.max = HOSTFILE_VALUE_MAX};
	char path[4096];
	json_t *v;

	snprintf(path, sizeof(path), "%s%s%s",
		w->f->folder && *name != '/' ? w->f->folder : "",
		w->f->folder && *name != '/' ? "/" : "", name);
	int r = io_read_file(AT_FDCWD, path, &b);
	if (r < 0 || buf_add(&b, "", 1) < 0) {
		w->status = STATUS_FAILED;
		return fail(
			w, "cannot read %s: %s", path, strerror(r < 0 ? -r : EMSGSIZE));
	}
	if (b.len > 1 && b.data[b.len - 2] == '\n')
		b.data[--b.len - 1] = '\0';
	v = text_or_bytes(w, b.data, b.len - 1);
	buf_free(&b);
	return v;
}

/* What stands for it; v itself when it is no reference. */
static json_t *resolve(struct walk *w, json_t *v)
{
	const char *env = json_string_value(json_object_get(v, "env")),
		   *file = json_string_value(json_object_get(v, "file")), *value;

	if (json_object_size(v) != 1 || (!env && !file))
		return json_incref(v);
	if (!w->f->references)
		return fail(w,
			"files and environment are the host's here, not yours: send "
			"values, or start berth apply where you are (BERTH_HOST)");
	if (file)
		return from_file(w, file);
	value = getenv(env);
	if (value)
		return text_or_bytes(w, value, strlen(value));
	w->status = STATUS_FAILED;
	return fail(w, "the environment has no %s", env);
}

/* v as it stands in the file. Bytes that are no text have a form in config only. */
static json_t *fail_bytes(struct walk *w, const json_t *v)
{
	const char *env = json_string_value(json_object_get(v, "env")),
		   *file = json_string_value(json_object_get(v, "file"));

	return fail(w,
		"%.200s has bytes that are no UTF-8, as only config may: write it in "
		"UTF-8",
		file  ? file
		: env ? env
		      : "the value");
}

/* ---- the walk ---- */

static json_t *take(struct walk *w, json_t *v)
{
	const struct shape *s = find(w);
	json_t *plain, *taken;

	if (!s) {
		fail_unknown(w);
		return NULL;
	}
	plain = s->reference ? resolve(w, v) : json_incref(v);
	if (!plain)
		return NULL;
	bool bytes = s->reference && s->take != take_text &&
		     json_is_string(json_object_get(plain, "base64"));
	taken = bytes ? fail_bytes(w, v) : s->take(w, plain);
	if (!taken || !w->f->raw) {
		json_decref(plain);
		return taken;
	}
	json_decref(taken);
	return plain;
}

/* Puts what was made of each member or element into its place, depth first. */
static void walk(struct walk *w, json_t *v);

static void walk_into(struct walk *w, const char *name, json_t *v, json_t **ret)
{
	*ret = NULL;
	if (w->n == HOSTFILE_DEPTH)
		return;
	w->path[w->n++] = name;
	*ret = take(w, v);
	if (*ret)
		walk(w, *ret);
	w->n--;
}

static void walk(struct walk *w, json_t *v)
{
	const char *key;
	json_t *sub, *made;
	void *next;
	size_t i;

	/* bytes that are no text */
	if (json_is_object(v) && json_object_get(v, "base64") && w->n == 4)
		return;
	json_object_foreach_safe (v, next, key, sub) {
		walk_into(w, key, sub, &made);
		if (made)
			json_object_set_new(v, key, made);
	}
	json_array_foreach (v, i, sub) {
		char name[24];

		snprintf(name, sizeof(name), "%zu", i);
		walk_into(w, name, sub, &made);
		if (made)
			json_array_set_new(v, i, made);
	}
}

int hostfile_parse(struct hostfile *f, char *text)
{
	struct walk w = {.f = f};
	json_error_t e;

	jtext_blank_comments(text);
	f->text = text;
	f->root = json_loads(text, JSON_REJECT_DUPLICATES, &e);
	if (!f->root) {
		say("%s line %d: %s", f->name, e.line, e.text);
		return STATUS_USAGE;
	}
	if (!json_is_object(f->root)) {
		fail(&w, "an object is expected: {\"apps\": {…}}");
		return w.status;
	}
	walk(&w, f->root);
	return w.status;
}

int hostfile_read(struct hostfile *f, const char *path)
{
	struct buf b = {.max = HOSTFILE_MAX};
	bool piped = strcmp(path, "-") == 0;
	int r = piped ? io_read_all(0, &b) : io_read_file(AT_FDCWD, path, &b);

	f->name = piped ? "standard input," : path;
	if (r < 0 || buf_add(&b, "", 1) < 0) {
		say("cannot read %s: %s", piped ? "standard input" : path,
			strerror(r < 0 ? -r : EFBIG));
		return STATUS_FAILED;
	}
	if (strlen(b.data) + 1 != b.len) {
		say("%s has a NUL byte: it must be text", f->name);
		return STATUS_USAGE;
	}
	char *copy = piped ? NULL : strdup(path);
	f->folder = copy ? dirname(copy) : NULL;
	return hostfile_parse(f, b.data);
}

/*
 * What control reads that is not a request: ssh keys, Procfile, app.json, network targets,
 * names of images in registries, config values, an instance's ports. A key that control takes, berthd takes too: one that
 * it refused would keep out all others.
 */
#include "tests/fuzz/fuzz.h"

#include "control/access/sshkey.h"
#include "control/api/frames.h"
#include "control/api/git_http.h"
#include "control/builds/appjson.h"
#include "control/builds/manifest.h"
#include "control/cron/schedule.h"
#include "control/env.h"
#include "control/images/reference.h"
#include "control/network/net_target.h"
#include "control/tcp_table.h"
#include "lib/proto.h"
#define keys_write berthd_keys_write /* control has one of that name */
#include "runtime/keys.h"
#undef keys_write

#include <errno.h>

static void try_key(const char *s)
{
	struct db_key k = {0}, again = {0};
	struct msg_key m = {.id = 1};
	struct err e = {0};
	autobuf lines = BUF_INIT;
	char line[2048];

	int r = sshkey_parse(s, &k, &e);
	CHECK(r == 0 || (r == -EINVAL && e.text[0]));
	if (r < 0)
		return;
	snprintf(line, sizeof(line), "%s %s\n", k.type, k.blob);
	CHECK(sshkey_parse(line, &again, &e) == 0);
	CHECK(strcmp(k.blob, again.blob) == 0 &&
		strcmp(k.fingerprint, again.fingerprint) == 0);
	/* as ops.c sends it */
	CHECK(sizeof(m.type) >= strlen(k.type) + 1 &&
		sizeof(m.blob) >= strlen(k.blob) + 1);
	memcpy(m.type, k.type, strlen(k.type));
	memcpy(m.blob, k.blob, strlen(k.blob));
	CHECK(keys_compose(&m, 1, "/run/berth", "/var/lib/berth", &lines, &e) == 0);
	CHECK(strstr(lines.data, k.blob) && !strpbrk(k.blob, "\n\r \""));
}

static void try_manifest(const char *s)
{
	json_t *o = NULL, *v;
	const char *name;
	struct err e = {0};

	int r = procfile_parse(s, &o, &e);
	CHECK(r == 0 ? json_is_object(o) : r == -EINVAL && e.text[0] && !o);
	if (r == 0)
		json_object_foreach (o, name, v)
			CHECK(name_type_valid(name) && json_is_string(v) &&
				json_string_length(v) > 0 &&
				!strchr(json_string_value(v), '\n'));
	json_decref(o);
	o = NULL;
	json_t *warnings = json_array();
	r = appjson_parse(s, &o, warnings, &e);
	CHECK(r == 0 ? json_is_object(o) : r == -EINVAL && e.text[0] && !o);
	json_decref(warnings);
	json_decref(o);
}

/* A table of one type without a change, and the rule: tzfile(5). */
static struct zone *make_zone(void)
{
	uint8_t file[2 * (44 + 7) + 28] = "TZif2";
	static const char rule[] = "\nCET-1CEST,M3.5.0,M10.5.0/3\n";
	struct zone *z = NULL;

	file[39] = file[43] = 1;
	memcpy(file + 44 + 7, file, 44);
	CHECK(sizeof(rule) - 1 == 28);
	memcpy(file + 2 * (44 + 7), rule, sizeof(rule) - 1);
	CHECK(zone_parse(file, sizeof(file), &z) == 0);
	return z;
}

/* What is taken comes, and then again, later. */
static void try_schedule(const char *s)
{
	struct schedule schedule;
	struct err e = {0};
	int64_t at = 1700000000, next;

	if (schedule_parse(s, &schedule, &e) < 0) {
		CHECK(e.text[0]);
		return;
	}
	struct zone *z = make_zone();
	for (int i = 0; i < 3; i++, at = next) {
		CHECK(schedule_next(&schedule, z, at, &next) == 0);
		CHECK(next > at && next % 60 == 0);
	}
	zone_close(z);
}

/* A file of the host: whatever it holds, it is read or refused. */
static void try_zone(const char *data, size_t size)
{
	struct zone *z = NULL;

	if (zone_parse(data, size, &z) == 0) {
		for (int64_t at = -3000000000; at < 5000000000; at += 700000000)
			CHECK(zone_at(z, at).until_s > at);
		zone_close(z);
	}
}

static void try_target(const char *s)
{
	char app[NAME_MAX_LEN + 1] = "", app2[NAME_MAX_LEN + 1] = "", text[NET_TEXT_MAX];
	struct db_net_rule rule = {0}, again = {0};
	struct err e = {0};

	if (net_target_parse(s, &rule, app, &e) == 0) {
		net_target_text(&rule, app, text);
		CHECK(net_target_parse(text, &again, app2, &e) == 0);
		CHECK(strcmp(rule.kind, again.kind) == 0 && strcmp(app, app2) == 0);
		CHECK(strcmp(rule.target, again.target) == 0);
	} else {
		CHECK(e.text[0]);
	}
	if (net_ports_parse(s, &rule, &e) == 0) {
		char ports[16];

		CHECK(strspn(s, "0123456789-") == strlen(s));
		net_ports_text(&rule, ports);
		CHECK(net_ports_parse(ports, &again, &e) == 0);
		CHECK(rule.first_port == again.first_port &&
			rule.last_port == again.last_port);
		CHECK(strtoul(s, NULL, 10) == rule.first_port);
	}
	(void)net_protocol_parse(s, &rule, &e);
}

static void try_value(const char *s, size_t n)
{
	json_t *v = json_loadb(s, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	autobuf out = BUF_INIT;

	if (v && env_value(v, &out) == 0)
		CHECK(!out.len || !memchr(out.data, '\0', out.len));
	json_decref(v);
}

static void try_ports(const char *s, size_t n)
{
	uint16_t ports[16];
	char *a = text_of((const uint8_t *)s, n), *b = text_of((const uint8_t *)s, n);
	int found = tcp_table_ports(a, ports, 0, 16);

	CHECK(found >= 0 && found <= 16);
	for (int i = 0; i < found; i++)
		for (int k = 0; k < i; k++)
			CHECK(ports[i] != ports[k]);
	CHECK(tcp_table_callers(b) >= 0);
	free(a);
	free(b);
}

static void try_reference(const char *s)
{
	struct reference f, again;
	struct err e = {0};
	char whole[1024];

	if (reference_parse(s, &f, &e) < 0) {
		CHECK(e.text[0]);
		return;
	}
	CHECK(reference_names_host(s) && !strpbrk(f.host, "/@?# ") &&
		!strpbrk(f.path, ":@?#% ") && !strstr(f.path, ".."));
	snprintf(whole, sizeof(whole), "%s/%s%s%s%s%s", f.host, f.path,
		f.tag[0] ? ":" : "", f.tag, f.digest[0] ? "@" : "", f.digest);
	CHECK(reference_parse(whole, &again, &e) == 0);
	CHECK(strcmp(f.host, again.host) == 0 && strcmp(f.path, again.path) == 0 &&
		strcmp(f.tag, again.tag) == 0 && strcmp(f.digest, again.digest) == 0);
}

/* The path, the password and the frames of who comes over the router. */
static void try_remote(const char *s, size_t n)
{
	struct git_path p;
	struct frame m;
	char password[TOKEN_SIZE], *text;

	if (git_path_parse(s, &p))
		CHECK(s[0] == '/' && (!p.app[0] || name_valid(p.app)));
	if (asprintf(&text, "Basic %s", s) >= 0) {
		if (git_http_password(text, password, sizeof(password)) == 0)
			CHECK(strlen(password) < sizeof(password));
		free(text);
	}
	int r = frame_parse(s, n, &m);
	CHECK(r == 0 || r == -EBADMSG ||
		((size_t)r <= n && m.len <= FRAMES_MAX && m.data + m.len == s + r));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *s = text_of(data, size);

	try_key(s);
	try_manifest(s);
	try_schedule(s);
	try_zone((const char *)data, size);
	try_target(s);
	try_reference(s);
	try_value(s, size);
	try_ports(s, size);
	try_remote(s, size);
	free(s);
	return 0;
}

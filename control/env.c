/* The environment of a process. */
#include "control/env.h"
#include "control/builds/own_start.h"
#include "control/config.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int base64_digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

static int base64_decode(const char *s, struct buf *out)
{
	unsigned int bits = 0, n = 0;

	for (; *s && *s != '='; s++) {
		int digit = base64_digit(*s);
		if (digit < 0)
			return -EINVAL;
		bits = (bits << 6 | (unsigned int)digit) & 0xffffff;
		n += 6;
		if (n >= 8) {
			n -= 8;
			char byte = (char)(bits >> n);
			if (!byte)
				return -EINVAL;
			buf_add(out, &byte, 1);
		}
	}
	return 0;
}

int env_value(const json_t *v, struct buf *out)
{
	const json_t *coded = json_object_get(v, "base64");

	if (json_is_string(v))
		return buf_adds(out, json_string_value(v));
	if (json_is_string(coded))
		return buf_add(out, "", 0), base64_decode(json_string_value(coded), out);
	return -EINVAL;
}

static void set(json_t *env, const char *key, const char *fmt, ...) PRINTF(3, 4);
static void set(json_t *env, const char *key, const char *fmt, ...)
{
	char value[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	json_object_set_new(env, key, json_string(value));
}

/* Programs read the host's memory and processors; these tell them what they really have. */
static void add_hints(json_t *env, const struct msg_limits_body *l)
{
	unsigned int cpus = (l->cpu_millis + 999) / 1000;
	unsigned int megabytes = (unsigned int)(l->memory_bytes >> 20);

	/* Of what is left of a runtime's own limit, stacks, code and buffers take their
	 * part. The JVM would read the host's memory: it finds no cgroup here. */
	set(env, "MEMORY_AVAILABLE", "%u", megabytes);
	set(env, "WEB_CONCURRENCY", "%u", cpus);
	set(env, "GOMAXPROCS", "%u", cpus);
	set(env, "GOMEMLIMIT", "%uMiB", megabytes / 10 * 9);
	set(env, "NODE_OPTIONS", "--max-old-space-size=%u", megabytes / 4 * 3);
	set(env, "JAVA_TOOL_OPTIONS",
		"-XX:MaxRAM=%um -XX:MaxRAMPercentage=70 -XX:ActiveProcessorCount=%u",
		megabytes, cpus);
}

static void add_own(json_t *env, const struct env_for *f)
{
	if (f->port)
		set(env, "PORT", "%u", f->port);
	set(env, "DYNO", "%s", f->name);
	set(env, "BERTH_INSTANCE", "%s", f->name);
	set(env, "BERTH_APP", "%s", f->app->name);
	set(env, "BERTH_RELEASE", "v%u", f->release->version);
	if (!own_start(f->image))
		set(env, "HOME", "/app");
	set(env, "GIT_REV", "%s", f->image->commit);
	set(env, "SOURCE_VERSION", "%s", f->image->commit);
	if (f->term)
		set(env, "TERM", "%.60s", f->term);
}

static char **flatten(const json_t *env)
{
	char **v = calloc(json_object_size(env) + 1, sizeof(*v));
	const char *key;
	json_t *value;
	size_t n = 0;

	if (!v)
		return NULL;
	json_object_foreach ((json_t *)(uintptr_t)env, key, value) {
		autobuf b = BUF_INIT;
		buf_addf(&b, "%s=", key);
		if (env_value(value, &b) < 0 || b.failed)
			continue;
		v[n++] = buf_take(&b);
	}
	return v;
}

char **env_build(const struct env_for *f)
{
	json_t *env = json_object();

	set(env, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	set(env, "LANG", "C.UTF-8");
	set(env, "HOME", "%s", own_start_home(f->image));
	add_hints(env, f->limits);
	json_object_update(env, f->image->env);
	json_t *config = config_of_type(f->release->config, f->type);
	json_object_update(env, config);
	json_decref(config);
	if (f->extra)
		json_object_update(env, (json_t *)(uintptr_t)f->extra);
	add_own(env, f);
	char **v = flatten(env);
	json_decref(env);
	return v;
}

void env_free(char **env)
{
	for (char **e = env; e && *e; e++)
		free(*e);
	free(env);
}

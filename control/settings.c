/* What an app is set to, with berth's defaults where nothing is set. */
#include "control/settings.h"
#include "control/builds/own_start.h"
#include "control/builds/work.h"
#include "control/network/network.h"
#include "lib/stamp.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#define DEFAULT_PORT 5000

uint64_t setting_u64(struct control *c, uint32_t app, const char *topic, const char *key,
	uint64_t fallback)
{
	uint64_t v;

	for (int i = 0; i < 2; i++) {
		char *text autofree = NULL;
		if (db_setting_get(c->db, i ? 0 : app, topic, key, &text) == 0 && text &&
			num_parse_u64(text, 0, UINT32_MAX, &v) == 0)
			return v;
	}
	return fallback;
}

uint16_t app_port(struct control *c, uint32_t app)
{
	return (uint16_t)setting_u64(c, app, "ports", "web", DEFAULT_PORT);
}

uint16_t app_image_port(struct control *c, uint32_t app, const struct db_image *image)
{
	uint16_t exposed = own_start_port(image);

	return (uint16_t)setting_u64(
		c, app, "ports", "web", exposed ? exposed : DEFAULT_PORT);
}

bool command_serves_files(const char *command)
{
	static const char server[] = "berth-static";
	size_t n = sizeof(server) - 1;

	return strncmp(command, server, n) == 0 && (!command[n] || command[n] == ' ');
}

uint32_t app_stop_timeout_ms(struct control *c, uint32_t app)
{
	return (uint32_t)setting_u64(c, app, "checks", "stop-timeout", 30) * 1000;
}

uint32_t app_quantity(struct control *c, uint32_t app, const char *type)
{
	json_t *formation = NULL;
	uint32_t n = strcmp(type, "web") == 0;

	if (db_formation_get(c->db, app, &formation) >= 0) {
		const json_t *set = json_object_get(formation, type);
		if (json_is_integer(set))
			n = (uint32_t)json_integer_value(set);
	}
	json_decref(formation);
	return n;
}

uint32_t app_canary_quantity(struct control *c, uint32_t app, uint32_t percent)
{
	return percent ? (app_quantity(c, app, "web") * percent + 99) / 100 : 0;
}

void app_restart_policy(
	struct control *c, uint32_t app, const char *type, struct restart_policy *ret)
{
	static const char key[] = "restart-policy";
	char own[64];

	*ret = (struct restart_policy){.when = RESTART_ALWAYS};
	snprintf(own, sizeof(own), "%s.%s", key, type);
	const struct {
		uint32_t app;
		const char *key;
	} places[] = {{app, own}, {app, key}, {0, key}};
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		char *text autofree = NULL;
		if (db_setting_get(c->db, places[i].app, "ps", places[i].key, &text) ==
				0 &&
			text && restart_policy_parse(text, ret) == 0)
			return;
	}
}

/* ---- sleep ---- */

char *setting_text(struct control *c, uint32_t app, const char *topic, const char *key)
{
	char *text = NULL;

	if (db_setting_get(c->db, app, topic, key, &text) < 0 || !text)
		db_setting_get(c->db, 0, topic, key, &text);
	return text;
}

uint64_t setting_size(struct control *c, uint32_t app, const char *topic, const char *key,
	uint64_t fallback)
{
	char *text autofree = setting_text(c, app, topic, key);
	uint64_t bytes;

	return text && num_parse_size(text, &bytes) == 0 ? bytes : fallback;
}

uint32_t app_build_timeout_s(struct control *c, uint32_t app)
{
	char *text autofree = setting_text(c, app, "builds", "timeout");
	uint64_t s;

	return text && span_parse(text, &s) == 0 && s && s <= WORK_TIMEOUT_MAX_S
		       ? (uint32_t)s
		       : WORK_TIMEOUT_S;
}

static const char *const build_networks[] = {[BUILD_INTERNET] = "internet",
	[BUILD_REGISTRIES] = "registries",
	[BUILD_NOTHING] = "none"};

int build_network_parse(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(build_networks); i++)
		if (strcmp(text, build_networks[i]) == 0)
			return (int)i;
	return -EINVAL;
}

const char *build_network_text(enum build_network mode)
{
	return build_networks[mode];
}

enum build_network app_build_network(struct control *c, uint32_t app)
{
	char *text autofree = setting_text(c, app, "builds", "network");
	int mode = text ? build_network_parse(text) : BUILD_INTERNET;

	return mode < 0 ? BUILD_NOTHING : (enum build_network)mode;
}

uint32_t idle_after_parse(const char *text)
{
	uint64_t s;

	if (!text || span_parse(text, &s) < 0 || s > IDLE_AFTER_MAX_S)
		return 0;
	return (uint32_t)s * 1000;
}

bool app_listens(struct control *c, uint32_t app, const char *command)
{
	char *text autofree = setting_text(c, app, "ports", "web");

	return text ? strcmp(text, PORT_UNIX) == 0
		    : command && command_serves_files(command);
}

/* What other apps ask of it goes past the router. */
uint32_t app_idle_after_ms(struct control *c, uint32_t app)
{
	char *text autofree = setting_text(c, app, "ps", "idle-after");
	uint32_t ms = idle_after_parse(text);

	return ms && network_is_called(c, app) ? 0 : ms;
}

const char *settings_sleep_default(void)
{
	struct sysinfo host;

	return sysinfo(&host) == 0 && host.totalswap ? "freeze" : "stop";
}

bool app_sleep_freezes(struct control *c, uint32_t app)
{
	char *text autofree = setting_text(c, app, "ps", "sleep");

	return strcmp(text ? text : settings_sleep_default(), "freeze") == 0;
}

/* ---- limits ---- */

static const struct msg_limits_body defaults = {.memory_bytes = 512u << 20,
	.scratch_bytes = 1u << 30,
	.cpu_millis = 1000,
	.pids = 512,
	.nofile = 65536};
static const struct msg_limits_body build_defaults = {.memory_bytes = (uint64_t)2 << 30,
	.cpu_millis = 2000,
	.pids = 4096,
	.nofile = 65536};

static void overlay(
	struct control *c, uint32_t app, const char *type, struct msg_limits_body *l)
{
	struct db_resource r = {0};

	if (db_resource_get(c->db, app, type, &r) < 0)
		return;
	if (r.memory_bytes)
		l->memory_bytes = r.memory_bytes;
	if (r.scratch_bytes)
		l->scratch_bytes = r.scratch_bytes;
	if (r.io_read_bytes)
		l->io_read_bytes = r.io_read_bytes;
	if (r.io_write_bytes)
		l->io_write_bytes = r.io_write_bytes;
	if (r.cpu_millis)
		l->cpu_millis = (uint32_t)r.cpu_millis;
	if (r.pids)
		l->pids = (uint32_t)r.pids;
	if (r.nofile)
		l->nofile = (uint32_t)r.nofile;
}

const struct msg_limits_body *default_limits(const char *type)
{
	return strcmp(type, "build") == 0 ? &build_defaults : &defaults;
}

void app_limits(
	struct control *c, uint32_t app, const char *type, struct msg_limits_body *ret)
{
	*ret = *default_limits(type);
	if (strcmp(type, "build") != 0)
		overlay(c, app, "", ret);
	if (strcmp(type, "run") == 0)
		overlay(c, app, "web", ret);
	overlay(c, app, type, ret);
}

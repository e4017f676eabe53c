/* Every request that the API takes, one a row. */
#include "control/api_handlers.h"

#define FIELDS(...) ((const struct field[]){__VA_ARGS__, {.name = NULL}})
#define APP ROUTE_APP
#define RELEASES (ROUTE_APP | ROUTE_UNLOCKED) /* makes a release: not while the app is locked */

#define STRING(n) {n, FIELD_STRING, false}
#define STRING_NEEDED(n) {n, FIELD_STRING, true}
#define BOOL(n) {n, FIELD_BOOL, false}
#define INT(n) {n, FIELD_INT, false}
#define OBJECT(n) {n, FIELD_OBJECT, false}
#define ARRAY(n) {n, FIELD_ARRAY, false}
#define ARRAY_NEEDED(n) {n, FIELD_ARRAY, true}

static const struct field domain_fields[] = {
	ARRAY("add"), ARRAY("remove"), ARRAY("set"), BOOL("clear"), {.name = NULL}};

const struct route api_table[] = {
	{"GET", "/v1/version", host_version},
	{"GET", "/v1/status", host_status},
	{"GET", "/v1/events", host_events, .query = "app limit"},

	{"GET", "/v1/apps", apps_list},
	{"POST", "/v1/apps", apps_create, .audit = "apps:create", .fields = FIELDS(STRING_NEEDED("name"))},
	{"GET", "/v1/apps/A", apps_report, .flags = APP},
	{"DELETE", "/v1/apps/A", apps_check_destroy, apps_destroy, "apps:destroy", .query = "confirm volumes",
		.flags = APP},
	{"POST", "/v1/apps/A/lock", apps_lock, .audit = "apps:lock", .flags = APP},
	{"POST", "/v1/apps/A/unlock", apps_unlock, .audit = "apps:unlock", .flags = APP},

	{"GET", "/v1/apps/A/config", config_show, .flags = APP},
	{"PATCH", "/v1/apps/A/config", config_check, config_change, "config:set",
		FIELDS(OBJECT("set"), ARRAY("unset"), BOOL("restart")), .flags = RELEASES},

	{"GET", "/v1/apps/A/domains", domains_show, .flags = APP},
	{"PATCH", "/v1/apps/A/domains", domains_change, .audit = "domains:set", .fields = domain_fields,
		.flags = APP},
	{"GET", "/v1/domains", domains_show_global},
	{"PATCH", "/v1/domains", domains_change_global, .audit = "domains:set-global", .fields = domain_fields},

	{"GET", "/v1/apps/A/ps", ps_show, .flags = APP},
	{"POST", "/v1/apps/A/scale", scale_check, scale_run, "ps:scale",
		FIELDS({"formation", FIELD_OBJECT, true}), .flags = APP},
	{"POST", "/v1/apps/A/restart", restart_check, restart_run, "ps:restart", FIELDS(STRING("process")),
		.flags = APP},
	{"POST", "/v1/apps/A/stop", NULL, stop_run, "ps:stop", .flags = APP},
	{"POST", "/v1/apps/A/start", released_check, start_run, "ps:start", .flags = APP},
	{"POST", "/v1/apps/A/rebuild", released_check, rebuild_run, "ps:rebuild", .flags = RELEASES},

	{"GET", "/v1/apps/A/releases", releases_list, .query = "limit", .flags = APP},
	{"GET", "/v1/apps/A/releases/N", releases_info, .flags = APP},
	{"POST", "/v1/apps/A/rollback", rollback_check, rollback_run, "rollback", FIELDS(INT("version")),
		.flags = RELEASES},
	{"GET", "/v1/apps/A/builds", builds_list, .flags = APP},
	{"GET", "/v1/apps/A/builds/N", builds_info, .flags = APP},
	{"GET", "/v1/apps/A/logs", logs_show, .query = "n p follow since grep", .flags = APP},

	{"GET", "/v1/volumes", volumes_list, .query = "app"},
	{"POST", "/v1/volumes", volumes_create, .audit = "volumes:create",
		.fields = FIELDS(STRING_NEEDED("name"))},
	{"DELETE", "/v1/volumes/V", volumes_destroy, .audit = "volumes:destroy", .query = "confirm"},
	{"POST", "/v1/volumes/V/mount", mount_check, mount_run, "volumes:mount",
		FIELDS(STRING_NEEDED("app"), STRING_NEEDED("path"), BOOL("read_only"))},
	{"POST", "/v1/volumes/V/unmount", unmount_check, unmount_run, "volumes:unmount",
		FIELDS(STRING_NEEDED("app"), STRING("path"), BOOL("read_only"))},

	{"GET", "/v1/apps/A/resources", resources_show, .flags = APP},
	{"PUT", "/v1/apps/A/resources", resources_check, resources_set, "resource:limit",
		FIELDS(STRING("process"), INT("memory"), INT("cpu"), INT("pids"), INT("scratch")), .flags = APP},
	{"DELETE", "/v1/apps/A/resources", resources_check_clear, resources_clear, "resource:limit-clear",
		.query = "process", .flags = APP},
	{"GET", "/v1/apps/A/settings/T", settings_show, .flags = APP},
	{"PUT", "/v1/apps/A/settings/T", settings_set, .audit = "settings:set", .flags = APP | ROUTE_ANY_FIELD},
	{"GET", "/v1/settings/T", settings_show_global},
	{"PUT", "/v1/settings/T", settings_set_global, .audit = "settings:set", .flags = ROUTE_ANY_FIELD},

	{"GET", "/v1/stacks", stacks_list},
	{"POST", "/v1/stacks", stacks_check, stacks_create, "stacks:create", FIELDS(STRING_NEEDED("name"))},
	{"GET", "/v1/ssh-keys", keys_list},
	{"POST", "/v1/ssh-keys", keys_add, .audit = "ssh-keys:add",
		.fields = FIELDS(STRING_NEEDED("name"), STRING_NEEDED("key"))},
	{"DELETE", "/v1/ssh-keys/N", keys_remove, .audit = "ssh-keys:remove"},

	{"POST", "/v1/apps/A/run", run_start, .audit = "run",
		.fields = FIELDS(ARRAY("command"), BOOL("tty"), INT("rows"), INT("cols"), STRING("term"),
			OBJECT("env"), BOOL("detach"), STRING("type")),
		.flags = APP},
	{"POST", "/v1/apps/A/enter", enter_start, .audit = "enter",
		.fields = FIELDS(STRING("instance"), ARRAY("command"), BOOL("tty"), INT("rows"), INT("cols"),
			STRING("term")),
		.flags = APP},

	{"POST", "/v1/git/A/access", git_access, .fields = FIELDS(STRING_NEEDED("service"))},
	{"POST", "/v1/git/A/update", git_check_update, git_update, "git:push",
		FIELDS(STRING_NEEDED("ref"), STRING_NEEDED("old"), STRING_NEEDED("new"), OBJECT("options"),
			BOOL("first_of_push")),
		.flags = RELEASES},
};
const size_t api_table_len = ARRAY_LEN(api_table);

/* Every request that the API takes, one a row. */
#include "control/api_handlers.h"

#define FIELDS(...) ((const struct field[]){__VA_ARGS__, {NULL, FIELD_STRING, false}})
#define APP ROUTE_APP
#define RELEASES                                                                         \
	(ROUTE_APP | ROUTE_UNLOCKED) /* makes a release: not while the app is locked */

#define STRING(n)                                                                        \
	{                                                                                \
		n, FIELD_STRING, false                                                   \
	}
#define STRING_NEEDED(n)                                                                 \
	{                                                                                \
		n, FIELD_STRING, true                                                    \
	}
#define BOOL(n)                                                                          \
	{                                                                                \
		n, FIELD_BOOL, false                                                     \
	}
#define INT(n)                                                                           \
	{                                                                                \
		n, FIELD_INT, false                                                      \
	}
#define OBJECT(n)                                                                        \
	{                                                                                \
		n, FIELD_OBJECT, false                                                   \
	}
#define ARRAY(n)                                                                         \
	{                                                                                \
		n, FIELD_ARRAY, false                                                    \
	}
#define ARRAY_NEEDED(n)                                                                  \
	{                                                                                \
		n, FIELD_ARRAY, true                                                     \
	}

static const struct field domain_fields[] = {ARRAY("add"), ARRAY("remove"), ARRAY("set"),
	BOOL("clear"), {NULL, FIELD_STRING, false}};

const struct route api_table[] = {
	{.method = "GET", .path = "/v1/version", .handle = host_version},
	{.method = "GET", .path = "/v1/status", .handle = host_status},
	{.method = "GET",
		.path = "/v1/events",
		.handle = host_events,
		.query = "app limit"},

	{.method = "GET", .path = "/v1/apps", .handle = apps_list},
	{.method = "POST",
		.path = "/v1/apps",
		.handle = apps_create,
		.audit = "apps:create",
		.fields = FIELDS(STRING_NEEDED("name"))},
	{.method = "GET", .path = "/v1/apps/A", .handle = apps_report, .flags = APP},
	{.method = "DELETE",
		.path = "/v1/apps/A",
		.handle = apps_check_destroy,
		.run = apps_destroy,
		.audit = "apps:destroy",
		.query = "confirm volumes",
		.flags = APP},
	{.method = "POST",
		.path = "/v1/apps/A/lock",
		.handle = apps_lock,
		.audit = "apps:lock",
		.flags = APP},
	{.method = "POST",
		.path = "/v1/apps/A/unlock",
		.handle = apps_unlock,
		.audit = "apps:unlock",
		.flags = APP},

	{.method = "GET",
		.path = "/v1/apps/A/config",
		.handle = config_show,
		.flags = APP},
	{.method = "PATCH",
		.path = "/v1/apps/A/config",
		.handle = config_check,
		.run = config_change,
		.audit = "config:set",
		.fields = FIELDS(OBJECT("set"), ARRAY("unset"), BOOL("restart")),
		.flags = RELEASES},

	{.method = "GET",
		.path = "/v1/apps/A/domains",
		.handle = domains_show,
		.flags = APP},
	{.method = "PATCH",
		.path = "/v1/apps/A/domains",
		.handle = domains_change,
		.audit = "domains:set",
		.fields = domain_fields,
		.flags = APP},
	{.method = "GET", .path = "/v1/domains", .handle = domains_show_global},
	{.method = "PATCH",
		.path = "/v1/domains",
		.handle = domains_change_global,
		.audit = "domains:set-global",
		.fields = domain_fields},

	{.method = "GET", .path = "/v1/apps/A/ps", .handle = ps_show, .flags = APP},
	{.method = "POST",
		.path = "/v1/apps/A/scale",
		.handle = scale_check,
		.run = scale_run,
		.audit = "ps:scale",
		.fields = FIELDS({"formation", FIELD_OBJECT, true}),
		.flags = APP},
	{.method = "POST",
		.path = "/v1/apps/A/restart",
		.handle = restart_check,
		.run = restart_run,
		.audit = "ps:restart",
		.fields = FIELDS(STRING("process")),
		.flags = APP},
	{.method = "POST",
		.path = "/v1/apps/A/stop",
		.handle = NULL,
		.run = stop_run,
		.audit = "ps:stop",
		.flags = APP},
	{.method = "POST",
		.path = "/v1/apps/A/start",
		.handle = released_check,
		.run = start_run,
		.audit = "ps:start",
		.flags = APP},
	{.method = "POST",
		.path = "/v1/apps/A/rebuild",
		.handle = released_check,
		.run = rebuild_run,
		.audit = "ps:rebuild",
		.flags = RELEASES},

	{.method = "GET",
		.path = "/v1/apps/A/releases",
		.handle = releases_list,
		.query = "limit",
		.flags = APP},
	{.method = "GET",
		.path = "/v1/apps/A/releases/N",
		.handle = releases_info,
		.flags = APP},
	{.method = "POST",
		.path = "/v1/apps/A/rollback",
		.handle = rollback_check,
		.run = rollback_run,
		.audit = "rollback",
		.fields = FIELDS(INT("version")),
		.flags = RELEASES},
	{.method = "GET",
		.path = "/v1/apps/A/builds",
		.handle = builds_list,
		.flags = APP},
	{.method = "GET",
		.path = "/v1/apps/A/builds/N",
		.handle = builds_info,
		.flags = APP},
	{.method = "GET",
		.path = "/v1/apps/A/logs",
		.handle = logs_show,
		.query = "n p follow since grep",
		.flags = APP},

	{.method = "GET", .path = "/v1/volumes", .handle = volumes_list, .query = "app"},
	{.method = "POST",
		.path = "/v1/volumes",
		.handle = volumes_create,
		.audit = "volumes:create",
		.fields = FIELDS(STRING_NEEDED("name"))},
	{.method = "DELETE",
		.path = "/v1/volumes/V",
		.handle = volumes_destroy,
		.audit = "volumes:destroy",
		.query = "confirm"},
	{.method = "POST",
		.path = "/v1/volumes/V/mount",
		.handle = mount_check,
		.run = mount_run,
		.audit = "volumes:mount",
		.fields = FIELDS(
			STRING_NEEDED("app"), STRING_NEEDED("path"), BOOL("read_only"))},
	{.method = "POST",
		.path = "/v1/volumes/V/unmount",
		.handle = unmount_check,
		.run = unmount_run,
		.audit = "volumes:unmount",
		.fields =
			FIELDS(STRING_NEEDED("app"), STRING("path"), BOOL("read_only"))},

	{.method = "GET",
		.path = "/v1/apps/A/resources",
		.handle = resources_show,
		.flags = APP},
	{.method = "PUT",
		.path = "/v1/apps/A/resources",
		.handle = resources_check,
		.run = resources_set,
		.audit = "resource:limit",
		.fields = FIELDS(STRING("process"), INT("memory"), INT("cpu"),
			INT("pids"), INT("scratch")),
		.flags = APP},
	{.method = "DELETE",
		.path = "/v1/apps/A/resources",
		.handle = resources_check_clear,
		.run = resources_clear,
		.audit = "resource:limit-clear",
		.query = "process",
		.flags = APP},
	{.method = "GET",
		.path = "/v1/apps/A/settings/T",
		.handle = settings_show,
		.flags = APP},
	{.method = "PUT",
		.path = "/v1/apps/A/settings/T",
		.handle = settings_set,
		.audit = "settings:set",
		.flags = APP | ROUTE_ANY_FIELD},
	{.method = "GET", .path = "/v1/settings/T", .handle = settings_show_global},
	{.method = "PUT",
		.path = "/v1/settings/T",
		.handle = settings_set_global,
		.audit = "settings:set",
		.flags = ROUTE_ANY_FIELD},

	{.method = "GET", .path = "/v1/stacks", .handle = stacks_list},
	{.method = "POST",
		.path = "/v1/stacks",
		.handle = stacks_check,
		.run = stacks_create,
		.audit = "stacks:create",
		.fields = FIELDS(STRING_NEEDED("name"))},
	{.method = "GET", .path = "/v1/ssh-keys", .handle = keys_list},
	{.method = "POST",
		.path = "/v1/ssh-keys",
		.handle = keys_add,
		.audit = "ssh-keys:add",
		.fields = FIELDS(STRING_NEEDED("name"), STRING_NEEDED("key"))},
	{.method = "DELETE",
		.path = "/v1/ssh-keys/N",
		.handle = keys_remove,
		.audit = "ssh-keys:remove"},

	{.method = "POST",
		.path = "/v1/apps/A/run",
		.handle = run_start,
		.audit = "run",
		.fields = FIELDS(ARRAY("command"), BOOL("tty"), INT("rows"), INT("cols"),
			STRING("term"), OBJECT("env"), BOOL("detach"), STRING("type")),
		.flags = APP},
	{.method = "POST",
		.path = "/v1/apps/A/enter",
		.handle = enter_start,
		.audit = "enter",
		.fields = FIELDS(STRING("instance"), ARRAY("command"), BOOL("tty"),
			INT("rows"), INT("cols"), STRING("term")),
		.flags = APP},

	{.method = "POST",
		.path = "/v1/git/A/access",
		.handle = git_access,
		.fields = FIELDS(STRING_NEEDED("service"))},
	{.method = "POST",
		.path = "/v1/git/A/update",
		.handle = git_check_update,
		.run = git_update,
		.audit = "git:push",
		.fields = FIELDS(STRING_NEEDED("ref"), STRING_NEEDED("old"),
			STRING_NEEDED("new"), OBJECT("options"), BOOL("first_of_push")),
		.flags = RELEASES},
};
const size_t api_table_len = ARRAY_LEN(api_table);

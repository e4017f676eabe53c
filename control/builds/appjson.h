/* app.json: what Heroku and Dokku have in it. docs/APPS.md says what berth does with each key. */
#ifndef CONTROL_APPJSON_H
#define CONTROL_APPJSON_H

#include "lib/buf.h"
#include "lib/err.h"
#include <jansson.h>

#define HEALTH_WAIT_MAX 3600 /* seconds between two attempts */
#define HEALTH_ATTEMPTS_MAX 1000
#define HEALTH_CHECKS_MAX 20u /* of one process type */
#define SCRIPT_MAX 4096u

/*
 * Comments (line and block) are allowed. Returns the checked object. What is known but wrong: -EINVAL with line, column and the path of the
 * key; what is not known, or not used by berth, adds a sentence to the array warnings (may be NULL).
 */
int appjson_parse(const char *text, json_t **ret, json_t *warnings, struct err *e);

/*
 * What `env` adds to config (both: objects). first: of an app's first release. A value is set where config has none, on the first release
 * or with `sync` on each; `generator: secret` makes one on the first, or where there is none. *ret_set: names that were set. -ENOKEY: some are required and
 * have no value, with e naming them all.
 */
int appjson_env(const json_t *app_json, bool first, json_t *config, json_t **ret_set,
	struct err *e);

enum script { SCRIPT_PREDEPLOY, SCRIPT_POSTDEPLOY, SCRIPT_FIRST };
/* predeploy; postdeploy: dokku's, after each deploy; first: Heroku's postdeploy, after the first one. NULL: none. */
const char *appjson_script(const json_t *app_json, enum script which);

#endif

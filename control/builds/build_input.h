/* What an app's owner lets its builds see: config variables, and values of ARGs. */
#ifndef CONTROL_BUILD_INPUT_H
#define CONTROL_BUILD_INPUT_H

#include "control/control.h"

#define BUILD_ARG_MAX 4096
#define BUILD_ARG                                                                        \
	"build-arg." /* a setting of the topic builds: this, and the ARG's name */

/* Of `builds:set APP build-arg.NAME VALUE`: {NAME: VALUE}; a new object. NULL: it cannot be read. */
json_t *build_args(struct control *c, uint32_t app);
/* `builds:set APP config`, as it is written: all, none, or names with commas between. */
bool build_config_valid(const char *text);
/* Those of config (of the app) that its builds may see; a new object, or NULL. */
json_t *build_config(struct control *c, uint32_t app, const json_t *config);

#endif

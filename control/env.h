/* The environment of a process: buildpack defaults, config over them, berth's own values over both. */
#ifndef CONTROL_ENV_H
#define CONTROL_ENV_H

#include "control/control.h"

struct env_for {
	const struct db_app *app;
	const struct db_release *release;
	const struct db_image *image;
	const char *name; /* web.1 */
	const char
		*type; /* process type whose part of the config counts too; NULL: none */
	const struct msg_limits_body *limits;
	uint16_t port;	     /* 0: no PORT */
	const char *term;    /* may be NULL */
	const json_t *extra; /* may be NULL; over everything but berth's own */
};
/* NULL-terminated vector of KEY=value in one allocation list: free with env_free. NULL when out of memory. */
char **env_build(const struct env_for *f);
void env_free(char **env);
/* A config value's bytes: a JSON string, or {"base64": "..."}. 0, -EINVAL. NUL inside is refused. */
int env_value(const json_t *v, struct buf *out);

#endif

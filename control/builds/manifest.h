/* What an app says about itself: its Procfile (app.json: appjson.h). Parsed before anything is built. */
#ifndef CONTROL_MANIFEST_H
#define CONTROL_MANIFEST_H

#include "lib/buf.h"
#include "lib/err.h"
#include <jansson.h>

#define MANIFEST_MAX (256u << 10) /* a Procfile or app.json larger than this is refused */

/*
 * Procfile text (may be NULL: none) to an object type -> command. "type: command" lines; '#' comments, blank lines, CRLF;
 * " #" starts a trailing comment. -EINVAL with a sentence that names the line.
 */
int procfile_parse(const char *text, json_t **ret, struct err *e);

#endif

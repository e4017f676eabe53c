/* Where an app's commits are. */
#ifndef CONTROL_REPOS_H
#define CONTROL_REPOS_H

#include "control/control.h"
#include <limits.h>

/* STATE/repos/NAME.git; a preview's is its parent's. */
void repo_path(struct control *c, const struct db_app *a, char out[PATH_MAX]);

#endif

/* Where an app's commits are. */
#ifndef CONTROL_REPOS_H
#define CONTROL_REPOS_H

#include "control/control.h"
#include <limits.h>

/* STATE/repos/NAME.git; a preview's is its parent's. */
void repo_path(struct control *c, const struct db_app *a, char out[PATH_MAX]);

/* The ref that keeps a release's commit. preview: the app of one, whose releases have numbers that its parent's have too; else 0. */
#define REPO_RELEASE_REF 64
void repo_release_ref(char out[REPO_RELEASE_REF], uint32_t preview, uint32_t version);

#endif

/*
 * Previews: where `previews:set APP enabled on` says so, a push of another branch than the one that deploys makes an app of
 * its own, APP-BRANCH, with the config, the settings and, copied or empty, the volumes of its parent. Its commits are in the
 * parent's repository; who has a role on the parent has it on the preview (control/access/access.h). It goes, with its volumes, when
 * its branch is deleted, when nothing was pushed for so long (expires), and with its parent.
 */
#ifndef CONTROL_PREVIEW_H
#define CONTROL_PREVIEW_H

#include "control/control.h"

#define PREVIEW_TOPIC "previews"
#define PREVIEW_EXPIRES "7d"
#define PREVIEW_LIMIT 10u
#define PREVIEW_EXPIRES_MAX_S 31536000u

/* What the preview of that branch is called: lower case, what a name cannot have as hyphens; a long one is cut and gets a hash. */
void preview_name(const char *parent, const char *branch, char out[NAME_MAX_LEN + 1]);
/* Do other branches of the app make previews? */
bool preview_enabled(struct control *c, const struct db_app *parent);
/*
 * The app of that branch, made when there is none (*ret_new). The caller deploys to it, and calls preview_failed when that
 * fails. 0, or -errno with e: -EEXIST another app has the name, -EDQUOT as many as the limit allows.
 */
int preview_get(struct control *c, const struct db_app *parent, const char *branch,
	const char *actor, struct sink *s, struct db_app *ret, bool *ret_new,
	struct err *e);
/* One that was new goes. */
void preview_failed(struct control *c, const struct db_app *preview, bool is_new);
/* The branch is deleted. 0, also when there is none, or -errno with e. */
int preview_branch_gone(struct control *c, const struct db_app *parent,
	const char *branch, const char *actor, struct sink *s, struct err *e);
/* All of a parent that goes; its lock is held, and it takes no more pushes. */
int preview_destroy_all(struct control *c, uint32_t parent, const char *actor,
	struct sink *s, struct err *e);
/* How long the parent's previews stay after a push, in seconds; 0: for ever. */
uint64_t preview_expires_s(struct control *c, uint32_t parent);
/* Destroys those whose time is over, but none that is being pushed to; first: also those that a crash cut off. */
void previews_look(struct control *c, bool first);
/* The thread that destroys those whose time is over, first those that a crash cut off. 0 or -errno. */
int previews_run(struct control *c);
/* It looks now. Any thread. */
void previews_soon(void);

#endif

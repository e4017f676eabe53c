/* An app's bare repository on disk: made by berth-shell, its refs written by berth-hook.
 */
#ifndef RECEIVER_REPO_H
#define RECEIVER_REPO_H

#include "lib/base.h"
#include "lib/err.h"

#define REPO_OID_HEX 40

/*
 * Makes STATE/repos/APP.git when it is missing: built under a temporary name, then
 * renamed, so it is whole or absent, also when two pushes race. umask decides who may
 * read it. hooks: absolute path for core.hooksPath. 0, or -errno with e.
 */
int repo_ensure(const char *repos, const char *app, const char *hooks, struct err *e);

/*
 * Makes STATE/repos/APP.git of what comes in as files (lib/stow.h), without its configuration, in the place of one that is there. Under
 * another name until it is whole.
 */
int repo_restore(
	const char *repos, const char *app, const char *hooks, int in, struct err *e);

/*
 * Sets a ref of the repository at git_dir as git does (lock file, rename). ref is below
 * refs/, or "HEAD" with value a branch ("refs/heads/master"); value is otherwise an
 * object id. 0, -EINVAL for a malformed ref or value, -errno.
 */
int repo_write_ref(
	const char *git_dir, const char *ref, const char *value, struct err *e);

/* What a killed push had still to write: both refs get the commit, if ref is where that push found it. */
struct repo_move {
	char ref[256], release[64], old[REPO_OID_HEX + 1],
		commit[REPO_OID_HEX + 1]; /* ref "": nothing */
};

/*
 * A descriptor by which this process, and what it becomes or starts, holds the repository for a push; several may. When
 * nobody else does, what pushes left that were killed goes first: quarantined objects, half-written packs, locks of refs
 * below heads and tags, of HEAD and packed-refs; then what was still to be written is. The caller's; kept across exec. -errno.
 */
int repo_hold(const char *git_dir, const struct repo_move *behind);

#endif

/* Where an app's commits are. */
#include "control/repos.h"
#include <stdio.h>

void repo_path(struct control *c, const struct db_app *a, char out[PATH_MAX])
{
	struct db_preview p;
	bool is_preview = db_preview_get(c->db, a->id, &p) == 0;

	snprintf(out, PATH_MAX, "%.4000s/repos/%s.git", c->state,
		is_preview ? p.parent_name : a->name);
}

void repo_release_ref(char out[REPO_RELEASE_REF], uint32_t preview, uint32_t version)
{
	if (preview)
		snprintf(out, REPO_RELEASE_REF, "refs/berth/previews/%u/%u", preview,
			version);
	else
		snprintf(out, REPO_RELEASE_REF, "refs/berth/releases/%u", version);
}

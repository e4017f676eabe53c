/* Where an app's commits are. */
#include "control/repos.h"
#include <stdio.h>

void repo_path(struct control *c, const struct db_app *a, char out[PATH_MAX])
{
	struct db_preview p;
	struct db_app parent;
	bool is_preview = db_preview_get(c->db, a->id, &p) == 0 &&
			  db_app_by_id(c->db, p.parent, &parent) == 0;

	snprintf(out, PATH_MAX, "%.4000s/repos/%s.git", c->state,
		is_preview ? parent.name : a->name);
}

/*
 * .slugignore, as Heroku has it: files of the commit that the build and the app do not get. A pattern a line, roughly those
 * of .gitignore: without a slash it fits a name in any folder, with one a path from the top (`/test`, `docs/?.pdf`; `**`
 * goes over several folders), with one at its end folders alone. `#` begins a comment. `!` takes nothing back in there
 * either: such a line is passed over.
 */
#ifndef BUILDPACKS_SLUGIGNORE_H
#define BUILDPACKS_SLUGIGNORE_H

#include "lib/base.h"
#include "lib/err.h"
#include <jansson.h>

#define SLUGIGNORE_NAME ".slugignore"
#define SLUGIGNORE_BYTES_MAX (64u << 10)
#define SLUGIGNORE_PATTERNS_MAX 1024u

struct slugignore {
	char *text; /* the patterns lie in it */
	struct {
		const char *pattern;
		bool anchored, folder;
	} * list;
	size_t n;
};

/* text is copied. Sentences about lines that are passed over go to warnings (a JSON array). 0, -E2BIG with e, -ENOMEM. */
int slugignore_parse(
	struct slugignore *s, const char *text, json_t *warnings, struct err *e);
void slugignore_free(struct slugignore *s);
/* path: relative, without slashes at its ends. What fits a folder fits all below it: that is the caller's. */
bool slugignore_fits(const struct slugignore *s, const char *path, bool folder);

/*
 * Removes from the folder what its .slugignore names. How many files and folders went, 0 without such a file; or -errno with
 * e.
 */
int slugignore_apply(const char *root, json_t *warnings, struct err *e);

#endif

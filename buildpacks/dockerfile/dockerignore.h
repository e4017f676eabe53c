/*
 * What a .dockerignore leaves out of a build, and the globs of COPY. Pure. As
 * github.com/moby/patternmatcher has it: `*` and `?` stay within one part of a path, `**` goes
 * over several, `[a-z]` and `[^a-z]`, `\` takes the next character as it is; `!` takes back in; the
 * last pattern that fits decides; what fits a folder fits all below it.
 */
#ifndef BUILDPACKS_DOCKERIGNORE_H
#define BUILDPACKS_DOCKERIGNORE_H

#include "lib/base.h"
#include "lib/err.h"

#define DOCKERIGNORE_MAX (256u << 10) /* bytes of the file */
#define DOCKERIGNORE_PATTERNS_MAX 2048

struct dockerignore {
	struct {
		char *pattern;
		bool keeps; /* written with ! */
		bool plain; /* no character of it means something */
	} * list;
	size_t n;
	bool any_keeps; /* what is below an ignored folder may be wanted all the same */
};

/* 0, -EINVAL with e (a malformed pattern and its line), -E2BIG, -ENOMEM. dockerignore_free in any
 * case. */
int dockerignore_parse(
	struct dockerignore *d, const char *text, size_t len, struct err *e);
void dockerignore_free(struct dockerignore *d);
/* Whether path (relative, no leading or trailing slash, no "." or "..") is left out. */
bool dockerignore_matches(const struct dockerignore *d, const char *path);

/* Whether the glob fits the whole path. deep: `**` goes over slashes; else it is as `*`. */
bool docker_glob(const char *glob, const char *path, bool deep);
/* Whether it has * ? [ or a backslash. */
bool docker_is_glob(const char *s);
/* NULL, or what is wrong with it (static). */
const char *docker_glob_fault(const char *glob);

#endif

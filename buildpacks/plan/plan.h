/*
 * What is known about how to build and start a source tree: collected from a pack's "key:
 * value" lines, printed as one JSON object for berth-control.
 *
 * Lines of bin/plan (and of bin/release after it was read; buildpacks/README.md has them
 * for authors of packs): name: Node.js              toolchain: WORD ...     one line of
 * the toolchain's key, handed to bin/toolchain; deps-file: package.json "apt PACKAGE"
 * lines are installed before it runs deps: WORD ...             compile: yes process: web
 * COMMAND env: NAME VALUE            warning: SENTENCE       error: SENTENCE
 * launch: no (the image goes without the toolchain and
 * dependency layers: what was compiled needs neither)
 */
#ifndef BUILDPACKS_PLAN_H
#define BUILDPACKS_PLAN_H

#include "lib/base.h"
#include "lib/buf.h"
#include "lib/err.h"
#include <jansson.h>

struct plan {
	char pack[32]; /* "" while none was found */
	char name[64];
	bool compile, profile_d;
	bool whole; /* the next tree cannot be written as changes of this one: some warnings are about files, or some were left out */
	bool build_only; /* the app runs without its toolchain and dependency layers */
	bool has_toolchain, has_deps;
	struct buf toolchain, deps; /* lines, each with its newline: the key inputs */
	char error[ERR_TEXT_MAX];
	json_t *files, *looked_for, *warnings; /* arrays of strings */
	json_t *processes, *env;	       /* objects: string -> string */
	json_t *docker; /* what a Dockerfile asks for (dockerfile/docker_plan.h), or NULL */
};

/* 0 or -ENOMEM. plan_free in any case. */
int plan_init(struct plan *p);
void plan_free(struct plan *p);
/* Adds the lines of text (length len). 0, -EINVAL with the line that is not understood,
 * -ENOMEM. */
int plan_add_lines(struct plan *p, const char *text, size_t len, struct err *e);
/* Adds one warning or sets the error; texts that are not UTF-8 are made so. The first
 * error stays. */
void plan_warn(struct plan *p, const char *fmt, ...) PRINTF(2, 3);
void plan_fail(struct plan *p, const char *fmt, ...) PRINTF(2, 3);
/* Sets a process type or a variable. 0, -EINVAL for a name that none may have, -ENOMEM.
 */
int plan_set_process(struct plan *p, const char *type, const char *command);
int plan_set_env(struct plan *p, const char *name, const char *value);
/* Writes the object and a newline to fd. 0 or -errno. */
int plan_print(const struct plan *p, int fd);

#endif

/* Reading a Dockerfile for its meaning: what the docker_*.c share. */
#ifndef BUILDPACKS_DOCKER_INSIDE_H
#define BUILDPACKS_DOCKER_INSIDE_H

#include "buildpacks/dockerfile/docker_plan.h"

/* What is known of a stage while it is read, and after. */
struct stage {
	char name[128]; /* "": none */
	json_t *from, *steps;
	json_t *config; /* of an OCI image, but Env; "health_path": what HEALTHCHECK asks for */
	json_t *env, *args;
	json_t *folders; /* of WORKDIR, to be made by the next step */
	json_t *made;	 /* folders that are there for sure */
	const struct docker_instruction
		*workdir; /* the one that asked for the last of them */
	bool needed, own_cmd, is_private;
	size_t first, end; /* its instructions, FROM first */
};

struct plan_of {
	const struct dockerfile *d;
	struct docker_context *context; /* NULL: only the bases are asked for */
	const json_t *bases, *given, *config_keys;
	json_t *global, *warnings, *used_bases;
	struct stage stages[DOCKER_STAGES_MAX];
	size_t n_stages;
	struct stage *s; /* the one being read */
	const struct docker_instruction *i;
	unsigned int n_steps;
	struct err *e;
};

/*
 * docker_text.c: words, variables, flags. What returns an int: 0, or -errno with p->e; what returns a pointer, the
 * caller's: NULL with p->e.
 */
int dp_no_memory(struct plan_of *p);
/* "Dockerfile:LINE: ..." for the pusher. */
void dp_warn(struct plan_of *p, const char *fmt, ...) PRINTF(2, 3);
const char *dp_text_at(const json_t *o, const char *key);
/* The value of a variable where the reading is (docker_lookup). */
const char *dp_look_up(void *arg, const char *name);
/* Expanded, without quotes. */
char *dp_expand(struct plan_of *p, const char *text);
/* The blank-separated words of text, each expanded. */
json_t *dp_expand_words(struct plan_of *p, const char *text);
/* The arguments of an instruction that takes JSON or words. */
json_t *dp_arguments(struct plan_of *p);
/*
 * "A=1 B='two words'": calls set for each, value NULL where there is no "=". All are expanded
 * before the first is set: in "A=2 B=$A", B has what A was before.
 */
int dp_pairs(struct plan_of *p, int (*set)(struct plan_of *p, const char *key,
					const char *value, const char *at));
int dp_put(struct plan_of *p, json_t *into, const char *key, const char *value);
const struct docker_flag *dp_flag(const struct plan_of *p, const char *name);
/* Every flag is one of the list (NULL at its end); another is named. */
int dp_check_flags(struct plan_of *p, const char *const *known);
/* path in workdir, without "." and ".."; a trailing slash goes. NULL: out of memory or too long. */
char *dp_absolute(const char *workdir, const char *path);

/* docker_stages.c */
int dp_find_stages(struct plan_of *p);
int dp_mark_needed(struct plan_of *p);
/* The number of the stage before this one with that name, or of that number; -1. */
int dp_find_stage(const struct plan_of *p, const char *name, size_t before);
/* Where COPY --from or FROM finds its files; a base is remembered. */
json_t *dp_source_of(struct plan_of *p, const char *name, size_t before);
/* The value of COPY --from as it is written, or NULL: variables are not for it. */
const char *dp_copies_from(const struct docker_instruction *i);

/* docker_steps.c, docker_copying.c: todo, context and from are taken over. */
int dp_add_step(
	struct plan_of *p, const char *op, json_t *todo, json_t *context, json_t *from);
/* What a shell or an argv form runs. */
json_t *dp_command_of(struct plan_of *p, const char *text);
const char *dp_workdir_of(const struct stage *s);
int dp_on_run(struct plan_of *p);
/* docker_mounts.c: one --mount of a RUN, into the lists of its todo. */
int dp_mount(struct plan_of *p, const struct docker_flag *f, json_t *todo);
/* Whether the build sees a config variable of that name. */
bool dp_is_config(const struct plan_of *p, const char *key);
int dp_on_copy(struct plan_of *p); /* and ADD */

/* docker_config.c: one instruction each. */
int dp_on_pairs(struct plan_of *p);
int dp_on_arg(struct plan_of *p);
int dp_on_cmd(struct plan_of *p);
int dp_on_entrypoint(struct plan_of *p);
int dp_on_workdir(struct plan_of *p);
int dp_on_user(struct plan_of *p);
int dp_on_expose(struct plan_of *p);
int dp_on_volume(struct plan_of *p);
int dp_on_shell(struct plan_of *p);
int dp_on_onbuild(struct plan_of *p);
int dp_on_stopsignal(struct plan_of *p);
int dp_on_healthcheck(struct plan_of *p);
int dp_on_maintainer(struct plan_of *p);

#endif

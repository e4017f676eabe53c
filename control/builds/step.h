/* One build step: a sandbox that makes a layer, fed by a tar stream, its words relayed, its answer collected. */
#ifndef CONTROL_STEP_H
#define CONTROL_STEP_H

#include "control/control.h"

/* A plan has a few hundred bytes; of a Dockerfile that copies all but some of many files, one line for each of these. */
#define STEP_ANSWER_MAX (16u << 20)
/* Builds that belong to no app (the stack) run in a uid range of their own. */
#define STEP_NO_APP 0x7fffffffu

struct step {
	uint32_t app;
	const char *command;	/* of berth-build: source toolchain deps compile unpack */
	const char *argument;	/* the pack, or NULL */
	const char *const *env; /* NULL-terminated, may be NULL */
	const json_t *layers;	/* ids below, bottom first; may be NULL */
	uint64_t upper;		/* the layer it makes; 0: none, what it writes goes */
	uint32_t profile, flags; /* of MSG_START */
	const char *title; /* what people read for command when it fails; may be NULL */
	bool cache;	   /* the app's build cache at /cache */
	bool discard;	   /* upper is only a place to be in: no layer becomes of it */
	bool quick;	   /* it does not wait for a turn among the builds (work.h) */
	bool untimed;	   /* it may take as long as it takes */
	/* Writes the step's standard input to fd, in a thread of its own; may be NULL. Returns 0 or -errno with e. */
	int (*feed)(void *arg, int fd, struct err *e);
	void *feed_arg;
	/* Of a layer: adds to what the step said before that is recorded; answer is an object. May be NULL. */
	void (*note)(void *feed_arg, json_t *answer);
	int stdin_fd; /* instead of feed: read by the step directly; -1 */
	/* To read images: */
	const json_t *others;		/* n_others of MSG_START; may be NULL */
	const struct msg_mount *mounts; /* before the cache */
	unsigned int n_mounts;
	/* Where its standard output goes, and then its answer is the last line on stderr that begins with '{'; 0: the
	 * answer is its standard output. */
	int output_fd;
};
/*
 * Waits for its turn and blocks until it ended. 0 and *ret_answer (JSON object, or NULL when it printed none); the layer is committed at
 * berthd. On failure the half-made layer is removed. -ECANCELED when the sink's asker went away,
 * -ETIME after `builds:set APP timeout`, -ENOSPC when the host's disk is nearly full.
 */
int step_run(struct control *c, const struct step *st, struct sink *s,
	json_t **ret_answer, struct err *e);

#endif

/*
 * One section of one app, or of the host, on its way to a step of a plan (cli/plan.h): what is wanted and what there is are
 * compared in the form of the API; each difference is a change that is told, and calls that make it.
 */
#ifndef CLI_PART_H
#define CLI_PART_H

#include "cli/cli.h"

struct part {
	const char *app; /* NULL: the host's */
	const char *section;
	bool prune; /* what is not wanted is to go */
	json_t *changes, *calls;
	size_t called; /* changes that a call makes already */
};

struct part part_begin(const char *app, const char *section, bool prune);
/* Adds it to the steps when something is to change; its parts are freed. */
void part_finish(struct part *p, json_t *steps);
/* A request that makes the changes told since the last one, or else the next; body is taken over (NULL: none). The path
 * begins at the app, or with a slash. */
void part_call(struct part *p, const char *method, json_t *body, bool stream,
	const char *fmt, ...) PRINTF(5, 6);
/* Where the section has this in the file: names from the top; NULL: no more. */
json_t *part_place(const struct part *p, const char *first, const char *second);
/* What is told of a change: add, change, remove. from and to are borrowed; NULL: there is none, or it is nobody's to see. path
 * is taken over. */
void part_note(struct part *p, const char *kind, const char *what, const json_t *from,
	const json_t *to, json_t *path);
/* "remove" when to is NULL, "add" where there was none. */
const char *part_kind(const json_t *from, const json_t *to);
/* Calls each for every key that is to change, with what it is and what it is to be (NULL: it goes). */
void part_differ(struct part *p, const json_t *want, const json_t *have,
	void (*each)(
		struct part *p, const char *key, json_t *from, json_t *to, void *arg),
	void *arg);
/* NULL or null. */
bool is_none(const json_t *v);
bool list_holds(const json_t *list, const json_t *v);

/* part_values.c */
void plan_config(struct part *p, const json_t *want, const json_t *have);
void plan_settings(struct part *p, const json_t *want, const json_t *have);
void plan_resources(struct part *p, const json_t *want, const json_t *have);
void plan_formation(struct part *p, const json_t *want, const json_t *have);
void plan_access(struct part *p, const json_t *want, const json_t *have);
void plan_tls(struct part *p, const json_t *want, const json_t *have);
void plan_locked(struct part *p, const json_t *want, const json_t *have);
/* part_lists.c */
void plan_domains(struct part *p, const json_t *want, const json_t *have);
void plan_buildpacks(struct part *p, const json_t *want, const json_t *have);
void plan_drains(struct part *p, const json_t *want, const json_t *have);
/* part_network.c */
void plan_network(struct part *p, const json_t *want, const json_t *have);
/* part_mounts.c */
void plan_mounts(struct part *p, const json_t *want, const json_t *have);
/* part_host.c */
void plan_volumes(struct part *p, const json_t *want, const json_t *have);
void plan_members(struct part *p, const json_t *want, const json_t *have);

#endif

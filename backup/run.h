/* The commands of berth-backup, and what they share. */
#ifndef BACKUP_RUN_H
#define BACKUP_RUN_H

#include "backup/store.h"
#include "backup/talk.h"

struct options {
	const char *place; /* a folder, a file, "-" */
	const char *app, *as, *id, *at;
	struct secret secret;
	bool json, quiet;
	bool drill; /* db/restore.h */
};

enum { LIST_FORMAT = 1 }; /* of a backup's list; a higher one is a newer berth's */

/* Each: 0 or -errno with e. */
int run_create(const struct options *o, struct err *e);
int run_list(const struct options *o, struct err *e);
int run_verify(const struct options *o, struct err *e);
int run_restore(const struct options *o, struct err *e);
int run_drill(const struct options *o, struct err *e);

/* "-----> ", seven spaces, " !     "; to stderr, stdout may be the backup. */
void say_step(const char *fmt, ...) PRINTF(1, 2);
void say_detail(const char *fmt, ...) PRINTF(1, 2);
void say_fail(const char *fmt, ...) PRINTF(1, 2);
/* Of a tree: what could not be kept of it. Nothing where all was. */
void say_lost(const json_t *item);
/* 1.5 MB and so on, in one of four static buffers. */
const char *size_text(uint64_t bytes);

/* Members of a JSON object; "" and 0 when absent. */
const char *text_of(const json_t *o, const char *key);
uint64_t number_of(const json_t *o, const char *key);

/* The list of a backup: -EPROTO when a newer berth made it. id NULL: the newest. */
int list_read(struct store *s, const char *id, json_t **ret, struct err *e);
/* An item of it; name or id may be NULL or 0. NULL: there is none. */
const json_t *item_find(
	const json_t *list, const char *kind, const char *name, uint64_t id);

/* restore.c: a whole backup into the berth of that run folder (NULL: this one). *ret what commit said, with `plan`. */
int restore_into(struct store *s, const json_t *list, const char *run, const char *state,
	const struct options *o, struct talk *t, json_t **ret, struct err *e);
/* create.c: reads a tree or a layer of that berth again, for its digest only. */
int tree_again(
	struct talk *t, struct store *s, json_t *request, json_t **ret, struct err *e);

#endif

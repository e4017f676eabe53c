/*
 * What berth-backup asks of control while it takes or restores a backup: one transfer (control/api/transfer.h) that lives as long as
 * that does. Requests are FRAME_JSON {"op": ...} on the client's way in; answers are frames on the way out, the last of each a
 * FRAME_JSON, {"error": TEXT} when it failed. Files are lib/stow.h's, bytes FRAME_DATA up to FRAME_END. Control keeps
 * no key of a backup and never sees where it goes.
 *
 * body {"op": "take", "app"?}: the database is copied at once, and no layer is removed as long as the transfer lasts.
 *   first              -> {app?, version, schema, layers, volumes: [{id, name, used}], repos: [app], acme: bool, hosts: {app: hostname}}
 *   {op: database}     -> its bytes
 *   {op: volume, id}, {op: repo, app}, {op: acme}; then FRAME_ENTRYs of what is known, FRAME_END -> files
 *   {op: layer, id}    -> its bytes as a tar; {diff_id}
 *   {op: keys}         -> {keys: {KEY_FILE: PEM}, secret: HEX}: the key of the database's secrets; of one app's, one that the host does not have
 *   {op: volume, id, frozen: true}: the same, with the instances that could write to it frozen meanwhile, at most 30 s; {pause_us}
 * body {"op": "restore", "app"?, "as"?, "drill"?}: nothing is to be seen of it before the commit
 *   {secret: HEX}; bytes of the database, FRAME_END -> {apps, volumes, layers: [.. here?: id], free, taken, acme: bool}
 *   {op: layer, id, diff_id}, its bytes -> {id}
 *   {op: volume, id}, files -> {};   {op: acme}, files -> {}
 *   {op: keys, keys: {..}} -> {}
 *   {op: commit} -> {rows, differ, kept, tables}: now it is there
 *   {op: start} -> {}: all apps are started
 */
#ifndef CONTROL_BACKUP_H
#define CONTROL_BACKUP_H

#include "control/api/transfer.h"
#include "lib/frame.h"

struct backup_session {
	struct control *c;
	struct transfer *t;
	struct sink *s;
	const json_t *body;
	struct frame f;
	char folder[4096]; /* of the copy of the database; "": none yet */
	struct db *copy;
	uint32_t app; /* 0: all */
	uint64_t
		root; /* a layer for sandboxes in which files are read and written; 0: not looked for yet */
	bool own_root;
	struct restore *restore;
};

/* A folder of its own below control/backup, for a database that is a file. 0 or -errno with e. */
int backup_folder(struct backup_session *b, struct err *e);
/* What an earlier control left there; before the API opens, and with it sessions. */
void backup_sweep(struct control *c);
/* FRAME_JSON; v is taken over. */
int backup_answer(struct backup_session *b, json_t *v);
/* `berth-build command` over a volume: stdin is what the client sends, stdout what it gets. */
int backup_volume(struct backup_session *b, const char *command, uint64_t volume,
	bool read_only, const char *const *env, struct err *e);
/* Requests until the client goes, each by the row of its op. */
struct backup_op {
	const char *op;
	int (*run)(struct backup_session *b, const json_t *request, struct err *e);
};
int backup_serve(
	struct backup_session *b, const struct backup_op *ops, size_t n, struct err *e);

/* The two kinds of a transfer. */
int backup_take(struct backup_session *b, struct err *e);
int backup_restore(struct backup_session *b, struct err *e);

#endif

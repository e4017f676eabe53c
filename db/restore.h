/*
 * The rows of a backup: what of a copy of the database belongs to one app, and how rows of a copy become rows of this one.
 * Tables and columns are read from the schema, so that a table that is added later is part of a backup without a line here:
 * what refers to an app, an image, a layer or a volume by a foreign key, or has a column `app`, is found and renumbered.
 */
#ifndef DB_RESTORE_H
#define DB_RESTORE_H

#include "db/db.h"

/* A consistent copy of folder/berth.db as the file `to`, which must not exist or be empty. 0, -ENOSPC or -EIO with e. */
int db_copy_file(const char *folder, const char *to, struct err *e);
/* The key that its secrets are sealed with: part of a backup, or nobody could read them on another host. Of a copy of one app: its own. */
void db_key(const struct db *db, uint8_t out[DB_KEY_SIZE]);
/* Of a copy: removes what does not belong to the app, and seals its secrets with a key of its own. 0 or -errno, -EBADMSG: one cannot be opened. */
int db_keep_only(struct db *copy, uint32_t app);
/*
 * Of a copy, perhaps of one app: the layers that its kept releases and its tags need, and all stacks: [{id, kind, key, digest, size,
 * below: [ids]}], below: what it lies on in an image. Those come before it.
 */
int db_backup_layers(struct db *copy, json_t **ret);

/*
 * Restoring: begin, db_restore_layer for each layer, commit; end in any case. One at a time (-EBUSY).
 * app NULL: all, and what belongs to no app. as NULL: under its own name.
 */
struct db_restoring {
	struct db *db, *copy;
	uint32_t app; /* only this one of the copy; 0: all */
	const char *as;
	bool drill; /* a copy that is to reach nobody: it orders no certificates, sends no logs, and runs web processes only */
};
/*
 * Reserves the numbers of all rows to come. *ret {apps: [{old, id, name}], volumes: [{old, id, name, row}], keys: [{old, new}], taken:
 * [hostnames]}. row: the volume's row in the copy, as an object. -EEXIST with the sentence: names that are taken; with app NULL: there
 * are apps or volumes.
 */
int db_restore_begin(
	struct db_restoring *r, const char *file, json_t **ret, struct err *e);
int db_restore_layer(struct db_restoring *r, uint64_t old, uint64_t id);
/* Before the folder of a volume of the plan is made: a row that is not whole, so that what a crash cuts off goes at the next start. */
int db_restore_volume(struct db_restoring *r, uint64_t id);
/*
 * All rows in one transaction; what is sealed (a table in restore.c) with this host's key, for its new place. *ret {rows, differ, tables: {name: rows}, kept: rows that were there already}. differ: rows that are not what
 * the copy has, renumbered; then nothing was done.
 */
int db_restore_commit(struct db_restoring *r, json_t **ret, struct err *e);
void db_restore_end(struct db_restoring *r);

#endif

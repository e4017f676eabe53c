/*
 * Inside db/: values that are secret lie encrypted in the database, each on its own with
 * AES-256-GCM, a random nonce, and the name of its place as what is authenticated beside
 * it (NIST SP 800-38D): a value that was moved to another row is no value. The key is the
 * host's (runtime/daemons/secret.h) and in no file of control's.
 */
#ifndef DB_SECRET_H
#define DB_SECRET_H

#include "db/query.h"
#include "lib/buf.h"

#define SECRET_PLACE_MAX 384 /* longest: a process type and a config key */

/* A value's place: config/APP/KEY, release/APP/VERSION, login/HOST, drain/ID, webhook/ID. */
struct secret_place {
	char text[SECRET_PLACE_MAX];
};
struct secret_place secret_place(const char *fmt, ...) PRINTF(1, 2);

/* Appends the sealed value to out. 0 or -ENOMEM, -EIO. */
int secret_seal(struct db *db, const struct secret_place *p, const void *data, size_t len,
	struct buf *out);
/* Appends what was sealed. -EBADMSG, logged: it was made with another key, for another place, or changed. */
int secret_open(struct db *db, const struct secret_place *p, const void *data, size_t len,
	struct buf *out);
/* The sealed column as JSON: a new reference; NULL: not to be opened, or not JSON. */
json_t *secret_json(struct query *q, int column, const struct secret_place *p);

/* Within the transaction of the migration that brings it: seals what lies open. fresh: nothing ever did. */
int secret_seal_all(struct db *db, bool fresh, struct err *e);
/*
 * Of a copy, within a transaction: seals all anew with a random key, which is the copy's from then on, so that what goes to others
 * with its key opens nothing of the host. 0 or -errno; -EBADMSG: a value that cannot be opened. Failed: the copy is of no use.
 */
int secret_rekey(struct db *copy);
/*
 * After migrations: -EKEYREJECTED with what to do when the database was made with another key. Where values lay open until
 * now: makes the file anew without them, and removes the copies that have them.
 */
int secret_check(struct db *db, const char *folder, struct err *e);

#endif

/*
 * Snapshots of volumes: what a volume was, kept in snapshots/ID beside the others of it, each piece of a file once
 * (buildpacks/volume/vault.h). berth-build reads and writes them in a sandbox of its own, which has the volume, its snapshots, and
 * nothing else; control knows rows.
 *
 * A snapshot of a volume in use is read twice: once while it is written to, and what changed meanwhile again while nobody
 * writes: the caller has stopped, or freezes (snapshot_hold), all that run with it. Who is frozen when control or berthd dies
 * is thawed by the next one (sleep_recover): only apps that the database calls asleep may be frozen.
 *
 * A restore first writes down which snapshot undoes it. What dies in the middle is undone at the next start
 * (snapshots_hold, snapshots_recover), before anything that has the volume is started.
 */
#ifndef CONTROL_SNAPSHOTS_H
#define CONTROL_SNAPSHOTS_H

#include "control/control.h"

/* One operation a volume at a time; waits, and says so. 0 or -ECANCELED. */
int volume_lock(uint64_t volume, struct sink *s, struct err *e);
void volume_unlock(uint64_t volume);

/* ---- one snapshot; the volume's lock is held from snapshot_begin to snapshot_end ---- */

struct snapshot_job;
/*
 * Starts reading, in a thread of its own. row: volume, app, release, why and message. second: there will be a snapshot_read;
 * else it goes on to its end. 0 or -errno with e.
 */
int snapshot_begin(struct control *c, const struct db_snapshot *row, bool second,
	struct snapshot_job **ret, struct err *e);
/* Of its row. */
uint64_t snapshot_id(const struct snapshot_job *j);
/* Until all has been read once. -ECANCELED when s's asker goes away. The job is to be ended in any case. */
int snapshot_await(struct snapshot_job *j, struct sink *s, struct err *e);
/* Nobody writes from here until it returns: what changed is read again. */
int snapshot_read(struct snapshot_job *j, struct err *e);
/*
 * Waits until it is on disk; *ret (may be NULL) is its row. One that was not read (snapshot_read did not succeed) ends
 * without a snapshot. Frees j. 0 or -errno with e.
 */
int snapshot_end(struct snapshot_job *j, uint64_t pause_us, struct db_snapshot *ret,
	struct err *e);

/* Who was frozen. */
struct snapshot_held {
	uint64_t *ids;
	unsigned int n;
	uint64_t since_ns;
};
/*
 * Freezes all that run with the volume and may write to it. -errno with e: somebody cannot be (another is inside with
 * `berth enter`, the host has no freezer); then nobody is.
 */
int snapshot_hold(
	struct control *c, uint64_t volume, struct snapshot_held *ret, struct err *e);
/* How long they were held, in microseconds. */
uint64_t snapshot_release(struct control *c, struct snapshot_held *h);

/* ---- whole operations ---- */

/* What people call it: "s12", or "12". 0 or -EINVAL. */
int snapshot_parse(const char *word, uint64_t *ret_id);
/* Of a volume as it is, held for a moment if something runs with it; says so on s. Takes the lock. */
int snapshot_take(struct control *c, const struct db_volume *v, struct db_snapshot *row,
	struct sink *s, struct err *e);
/* An app that runs something with the volume now. 0, -ENOENT: none, or -errno. */
int volume_user(struct control *c, uint64_t volume, char app[NAME_MAX_LEN + 1]);
/* A one-off or a task that runs with it: -EBUSY with the sentence. 0: none. */
int volume_check_oneoffs(struct control *c, const struct db_volume *v, struct err *e);
/*
 * The volume becomes what it was; the lock is held, nothing runs with it, and `undo` is a snapshot of it as it is. When this fails
 * it is that again. *ret (may be NULL): what berth-build says.
 */
int snapshot_give(struct control *c, uint64_t volume, uint64_t id, uint64_t undo,
	json_t **ret, struct err *e);
/* After snapshot_give, before somebody decides that it stays: back to undo. Failed: said on s, and the apps that have it stay stopped. */
int snapshot_give_back(struct control *c, uint64_t volume, uint64_t undo, struct sink *s);
/* It stays. Within a transaction, if need be. 0 or -errno. */
int snapshot_settle(struct control *c, uint64_t volume);
/*
 * The same, until it is recorded: what runs with a volume before that would lose at the next start what it wrote. A database that
 * takes no row for long (a full disk) takes none of an instance either. Says on s and in the log that it waits.
 */
void snapshot_settle_whole(struct control *c, uint64_t volume, struct sink *s);
/* volumes:restore and volumes:import, with the locks of all apps that have it. */
int volume_restore(struct control *c, const struct db_volume *v, uint64_t id,
	struct sink *s, struct err *e);
struct volume_archive {
	int fd;
	bool force;	 /* replace what is there */
	bool unverified; /* it may come without a checksum */
};
int volume_import(struct control *c, const struct db_volume *v,
	const struct volume_archive *a, struct sink *s, struct err *e);
/* Its present state, or that of the snapshot (0: none), as an archive to fd. */
int volume_export(struct control *c, const struct db_volume *v, uint64_t id, int fd,
	struct sink *s, struct err *e);
/* In the background: snapshots that nothing keeps any more go. */
void snapshots_forget_soon(struct control *c, uint64_t volume);

/*
 * At start-up, before anybody is served: volumes whose restore was interrupted, and the apps that have them, are locked.
 * 0 or -errno: nothing may be served.
 */
int snapshots_hold(struct control *c);
/* Those restores are undone, and what is locked is let go. Blocks. */
void snapshots_recover(struct control *c);

#endif

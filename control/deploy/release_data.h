/*
 * The data of a release: what the app's writable volumes were when it was replaced. A deploy takes their snapshot between
 * the last moment of the old release and the first of the new one; `rollback --with-data` gives it back.
 *
 * A snapshot never makes a deploy fail: what could not be taken is said, and the deploy goes on.
 */
#ifndef CONTROL_RELEASE_DATA_H
#define CONTROL_RELEASE_DATA_H

#include "control/data/snapshots.h"
#include "control/data/volumes.h"
#include "control/deploy/rollout.h"

struct release_volume {
	struct db_volume v;
	struct snapshot_job *job; /* NULL: none, or ended */
	struct db_snapshot taken; /* id 0: none */
	uint64_t restored;	  /* the snapshot that it has now; 0: none */
	uint64_t pause_us;
	struct volume_shut shut; /* while it is given */
	bool locked;
};
struct release_data {
	struct control *c;
	struct sink *s;
	uint32_t app, version; /* the release that is replaced */
	struct release_volume volumes[PROTO_MOUNTS_MAX];
	unsigned int n;
};

/* Which release's data a rollback takes along can be had: a snapshot for each writable volume, and no other app that runs with one. */
int release_data_check(
	struct control *c, const struct db_app *a, uint32_t version, struct err *e);

/* While the old release serves: reads the volumes a first time. all: also where automatic snapshots are off. */
void release_data_begin(struct control *c, const struct db_app *a, bool all,
	struct sink *s, struct release_data *ret);
/* The second time; who still runs with them is frozen meanwhile. */
void release_data_read(struct release_data *d);
/* The volumes become what they were when `version` was replaced. 0, or -errno with e: they are as they are. */
int release_data_give(struct release_data *d, uint32_t version, struct err *e);
/* The switch failed: they are as before. */
void release_data_give_back(struct release_data *d);
/* In the transaction of the switch: what was taken is the old release's, what was given stays. 0 or -errno. */
int release_data_settle(struct release_data *d);
/* Waits until the snapshots are on disk, says what was taken and given, and lets go. */
void release_data_end(struct release_data *d);

#endif

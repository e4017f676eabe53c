/* Volumes at berthd, and who has them. */
#ifndef CONTROL_VOLUMES_H
#define CONTROL_VOLUMES_H

#include "control/control.h"
#include "lib/proto.h"

/* All: 0, or -errno with the sentence. */
/* A new one; size_bytes 0: a folder without limit. */
int volume_make(struct control *c, uint64_t id, uint64_t size_bytes, struct err *e);
/* ret: as it is then. */
int volume_grow(struct control *c, uint64_t id, uint64_t size_bytes,
	struct msg_volume_info *ret, struct err *e);
/*
 * Row and files; waits some seconds for instances that had it and end. -EBUSY: an app mounts it; -EAGAIN: such an instance
 * takes longer, it is as it was; else -errno. e is set but for -EBUSY. What a crash cuts off volumes_recover ends at the next start.
 */
int volume_destroy(struct control *c, uint64_t id, struct err *e);
void volumes_recover(struct control *c);
int volume_look(
	struct control *c, uint64_t id, struct msg_volume_info *ret, struct err *e);
/* -ENOSPC: so much does not fit beside what is kept free (disk:set --global reserve). */
int volume_check_room(struct control *c, uint64_t bytes, struct err *e);
/* berthd knows numbers: "volume 0000000000000007" becomes the name; -ENOENT of one says that its files are gone. */
void volume_explain(struct control *c, struct err *e);
/*
 * While what it holds is replaced nobody starts with it, not a one-off, a task nor an app that wakes, for which no app's lock is
 * taken. Who runs already is seen by volume_user, afterwards: a row comes before the look here. The node is the caller's.
 */
struct volume_shut {
	uint64_t volume;
	struct volume_shut *next;
};
void volume_shut(struct volume_shut *v, uint64_t volume);
void volume_open(struct volume_shut *v);
/* -ETXTBSY with the sentence when it is shut. */
int volume_check_open(uint64_t volume, const char *name, struct err *e);
/* Returns when none of the app's volumes is shut. */
void volume_await(struct control *c, uint32_t app);
/* Whether instances of the process type have it. */
bool mount_is_of(const struct db_mount *m, const char *type);

#endif

/* authorized_keys of the ssh user, composed from the keys control sends: it names types
 * and bytes, never options. */
#ifndef RUNTIME_KEYS_H
#define RUNTIME_KEYS_H

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/proto.h"

#define KEYS_MAX 10000

/*
 * One line for each key: restrict,pty,command="berth-shell --run RUN --state STATE --key
 * ID" TYPE BLOB. 0, or -EINVAL with the key that is not acceptable.
 */
int keys_compose(const struct msg_key *keys, size_t n, const char *run, const char *state,
	struct buf *out, struct err *e);
/*
 * Reads the keys from memfd and replaces authorized_keys in ssh_dirfd (root's, readable
 * by gid: sshd reads it as that user, StrictModes is content). 0 or -errno.
 */
int keys_write(int memfd, int ssh_dirfd, gid_t gid, const char *run, const char *state,
	struct err *e);

#endif

/*
 * A tree of a vault as an archive, and back: a tar (POSIX pax) in zstd, which any tar reads, with a checksum after its end.
 *
 * The checksum is a skippable frame of zstd (RFC 8878, 3.1.2): decoders pass over it. It holds VAULT_TRAILER_WORDS and
 * the SHA-256 of all bytes before it, in hex, so that the stream verifies itself, wherever it comes from.
 */
#ifndef BUILDPACKS_VAULT_PACK_H
#define BUILDPACKS_VAULT_PACK_H

#include "buildpacks/volume/vault.h"

#define VAULT_TRAILER_WORDS "berth-volume-1 sha256 "
/* magic, length, words, 64 hex digits, newline */
#define VAULT_TRAILER (8 + sizeof(VAULT_TRAILER_WORDS) - 1 + 64 + 1)

/* Writes the tree to fd. Times in whole seconds; sockets are left out. Blocks. 0 or -errno with e (-EPIPE). */
int vault_pack(struct vault *v, const char *name, int fd, struct vault_stats *stats,
	struct err *e);

struct vault_unpack {
	int fd; /* the archive as it comes, to its end; tar, also in zstd, gzip, xz or bzip2 */
	uint64_t max_bytes, max_files; /* of what is in files; entries */
	bool unverified; /* also one without checksum; one that has a wrong checksum never */
};
/*
 * The archive's files as a tree: nothing of it becomes a file anywhere. Refused: absolute paths and "..", entries below what
 * is no folder, hard links to what is not there, more than allowed, a wrong checksum or none, an end too early. Made safe:
 * devices and sockets are left out, set-id bits of files go, owners beyond 65534 become that, attributes but user.* go. Of a
 * name that comes twice the later entry stays. 0; -EPERM, -EFBIG, -EBADMSG, -errno, with e.
 */
int vault_unpack(struct vault *v, const struct vault_unpack *u, struct vault_tree **ret,
	struct vault_stats *stats, struct err *e);

#endif

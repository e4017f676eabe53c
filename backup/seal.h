/*
 * Sealing: AES-256-GCM (NIST SP 800-38D). Each thing is sealed with a key of its own, HMAC-SHA256 of its name, and a random nonce of 96
 * bits: a nonce could only be met twice for the same name, of which there are a handful. A name is the HMAC of the bytes (chunks) or random (lists), so
 * that it tells nothing.
 */
#ifndef BACKUP_SEAL_H
#define BACKUP_SEAL_H

#include "backup/key.h"
#include "lib/buf.h"

#define SEAL_EXTRA 33u /* nonce 12, tag 16, form 1, size 4 */
#define CHUNK_MAX ((size_t)4 << 20)
#define SEALED_MAX ((size_t)64 << 20) /* a list of all items is larger than a chunk */

struct sealer;
/* level 0: nothing is compressed. NULL out of memory. */
struct sealer *sealer_open(const struct keys *k, int level);
void sealer_close(struct sealer *s);
/* The name of bytes. */
void seal_name(
	const struct sealer *s, const void *data, size_t size, unsigned char id[ID_SIZE]);
/*
 * Compresses where that helps, and seals, into out. kind and number are part of what is sealed: a thing in the place of
 * another is found out. 0 or -errno.
 */
int seal(struct sealer *s, char kind, uint64_t number, const unsigned char id[ID_SIZE],
	const void *data, size_t size, struct buf *out);
/* The reverse. -EBADMSG: not what was sealed under this name. */
int unseal(struct sealer *s, char kind, uint64_t number, const unsigned char id[ID_SIZE],
	const void *data, size_t size, struct buf *out);

#endif

/*
 * Writes a pack of git objects (gitformat-pack(5)): whole ones, each once, into a file that can seek. Whoever takes it in
 * (git receive-pack) checks it like a stranger's.
 */
#ifndef BUILDPACKS_GIT_PACK_H
#define BUILDPACKS_GIT_PACK_H

#include "lib/base.h"
#include <sha1.h>
#include <zlib.h>

#define GIT_OID 20u /* bytes of an object's name, SHA-1 */
#define GIT_OID_TEXT (2 * GIT_OID + 1)
#define GIT_PACK_BUFFER 65536u

enum git_type { GIT_COMMIT = 1, GIT_TREE = 2, GIT_BLOB = 3 };

struct git_pack {
	int fd;
	uint64_t written; /* bytes in the file; then those of out */
	size_t used;
	uint32_t n; /* objects */
	struct {
		uint8_t (*oids)[GIT_OID];
		size_t n, room; /* a power of two */
	} seen;
	z_stream z;
	SHA1_CTX hash;
	uint64_t began, left; /* of the object: where it begins, bytes to come */
	uint8_t out[GIT_PACK_BUFFER];
};

/* fd: empty, read and written, the caller's. 0 or -errno. */
int git_pack_open(struct git_pack *p, int fd);
/* An object of that many bytes: begin, then write all of them, then end, which gives its name. 0 or -errno. */
int git_pack_begin(struct git_pack *p, enum git_type type, uint64_t size);
int git_pack_write(struct git_pack *p, const void *data, size_t len);
int git_pack_end(struct git_pack *p, uint8_t ret[GIT_OID]);
/* The three in one. */
int git_pack_object(struct git_pack *p, enum git_type type, const void *data, size_t len,
	uint8_t ret[GIT_OID]);
/* The head, which says how many there are, and the checksum at the end. 0 or -errno. */
int git_pack_finish(struct git_pack *p);
void git_pack_free(struct git_pack *p);

void git_oid_text(const uint8_t oid[GIT_OID], char out[GIT_OID_TEXT]);

#endif

/* An archive as it comes, hashed, with the checksum at its end held back (buildpacks/volume/vault_pack.h). */
#ifndef BUILDPACKS_VAULT_STREAM_H
#define BUILDPACKS_VAULT_STREAM_H

#include "buildpacks/image/layer_in.h"
#include "buildpacks/volume/vault_pack.h"
#include <sha2.h>

#define VAULT_STREAM_PART ((size_t)128 << 10)

/* The caller sets fd and unverified, the rest is 0. */
struct vault_stream {
	int fd;
	bool unverified, ended;
	const char *refusal; /* why it is not taken, once it has ended */
	SHA2_CTX hash;
	size_t held; /* bytes of hold, at most VAULT_TRAILER: perhaps the trailer */
	uint8_t hold[VAULT_TRAILER];
	uint8_t part[VAULT_STREAM_PART + VAULT_TRAILER];
};

/* A tar in it, perhaps compressed. NULL with e. archive_read_free it before s goes. */
struct archive *vault_stream_open(struct vault_stream *s, struct err *e);
/* After the tar's own end: reads the rest. -EBADMSG with e: no checksum, or another one. */
int vault_stream_end(struct vault_stream *s, struct archive *a, struct err *e);

#endif

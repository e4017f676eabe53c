/* Layer keys: SHA-256 over length-prefixed fields, so that no two lists of fields hash alike. */
#ifndef CONTROL_KEY_H
#define CONTROL_KEY_H

#include "lib/base.h"
#include <sha2.h>
#include <sys/types.h>

struct key {
	SHA2_CTX ctx;
};
void key_begin(struct key *k, const char *kind);
void key_add(struct key *k, const void *data, size_t len);
void key_adds(struct key *k, const char *s);
void key_addu(struct key *k, uint64_t n);
void key_end(struct key *k, char out[65]);
/* Adds names, modes and contents of all files below the built-in buildpack, or one file of it (node/bin/toolchain).
 * Unreadable ones count as empty; what does not exist is all the same. */
void key_add_pack(struct key *k, const char *pack);
/* The same of the host's own in STATE/buildpacks. */
void key_add_host_packs(struct key *k, const char *state);

#endif

/* The three things berth-registry does; each begins with control's first message and ends with its last answer. */
#ifndef REGISTRY_TRANSFER_H
#define REGISTRY_TRANSFER_H

#include "registry/remote.h"
#include <jansson.h>

#define ARCHIVE STDOUT_FILENO

/* Fetches manifest, configuration and the layers that control wants, and writes an OCI layout as tar to ARCHIVE. */
int transfer_pull(
	struct remote *r, const char *reference, uint64_t max_bytes, struct err *e);
/* Sends blobs out of ARCHIVE as control names them, and last the manifest as reference. */
int transfer_push(struct remote *r, const char *reference, struct err *e);

#endif

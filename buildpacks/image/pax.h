/* Entries of a pax archive (POSIX.1-2017, pax, "pax Interchange Format") of any owner, mode and type: what a layer is
 * stored as. Deterministic: no times but mtime in whole seconds, no names of owners. */
#ifndef BUILDPACKS_PAX_H
#define BUILDPACKS_PAX_H

#include "buildpacks/image/blob.h"
#include "lib/buf.h"

struct pax_entry {
	const char *path; /* relative; of a folder with a slash at its end */
	const char *link; /* target of '1' and '2', else NULL */
	char type;	  /* '0' file, '1' hard link, '2' symlink, '5' folder, '6' FIFO */
	unsigned int mode, uid, gid;
	uint64_t size;
	int64_t mtime_s;
	const struct buf *xattrs; /* records made by pax_xattr; may be NULL */
};
/* The head; size bytes and pax_pad follow. 0 or -errno (-ENOMEM). */
int pax_head(struct blob *b, const struct pax_entry *n);
int pax_pad(struct blob *b, uint64_t size);
int pax_end(struct blob *b);
/* Adds an extended attribute's record. */
void pax_xattr(struct buf *records, const char *name, const void *value, size_t len);

#endif

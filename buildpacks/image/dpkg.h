/* What dpkg knows of a file system: its status file, /var/lib/dpkg/status (dpkg(1), deb-control(5)). */
#ifndef BUILDPACKS_DPKG_H
#define BUILDPACKS_DPKG_H

#include "lib/buf.h"
#include "lib/err.h"

#include <jansson.h>

#define DPKG_STATUS "var/lib/dpkg/status"
#define DPKG_STATUS_MAX ((size_t)16 << 20) /* a thousand packages have one */

/* Name -> version of what is installed below root; empty without a status file. The caller's. */
json_t *dpkg_packages(const char *root);
/*
 * A base is exchanged below what was built on it. base and next: the texts of the old and the new base, image: of the
 * whole. *ret becomes the status of the whole on the new base: that of next, and what image has beside base. 0, or -EEXIST
 * with the sentence that names the package in e: one of the base was changed above it, so that its files would hide the
 * new ones, or one of the new base is also above it, in another version. -ENOMEM.
 */
int dpkg_rebase(const char *base, const char *next, const char *image, struct buf *ret,
	struct err *e);

#endif

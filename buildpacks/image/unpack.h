/* Unpacks a stack's root file system (the tar that mmdebstrap writes) into an empty root.
 */
#ifndef BUILDPACKS_UNPACK_H
#define BUILDPACKS_UNPACK_H

#include "lib/err.h"

/*
 * Reads the tar at fd into the folder root ("/"), keeping owners, modes, times, hard
 * links, symlinks, ACLs and extended attributes. Devices and FIFOs are skipped, as is
 * what lies below dev, proc, sys, berth and cache: berthd mounts its own there. Needs
 * container root. 0 or -errno with e naming the entry.
 */
int unpack_archive(int fd, const char *root, struct err *e);

/*
 * Makes what every sandbox relies on in the unpacked root: /app owned by user and group
 * app (1000:1000), its line in passwd and group, /tmp, mount points, and empty
 * resolv.conf, hosts and hostname. 0 or -errno.
 */
int unpack_finish(const char *root, struct err *e);

#endif

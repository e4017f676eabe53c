/*
 * A tree of files as frames (lib/frame.h), sent by who may read it and received by who may write it: a backup and its
 * restoring. Whoever keeps the frames in between need not know what is in them.
 *
 * An entry, all numbers little endian:
 *   identity  u64 inode, i64 and u32 ctime, u64 0, u32 1: what tells that a file did not change; not part of the content.
 *             Zeros: it changed so recently that nothing can be told
 *   u8 type   d folder, f file, l symbolic link, h hard link, p FIFO
 *   u32 mode (of chmod), u32 uid, u32 gid, i64 and u32 mtime, u64 size
 *   u16 path  relative, "" for the top folder; u16 target of a link (h: a path before it in the stream)
 *   u16 n     extended attributes, each u16 name and u32 value; only user.*
 * Folders come before what is in them; what is in one is sorted by bytes, files before folders. A tree of the same content gives the same entries but for the
 * identities.
 */
#ifndef LIB_STOW_H
#define LIB_STOW_H

#include "lib/err.h"
#include "lib/frame.h"

#define STOW_IDENTITY 32u	/* bytes of an entry that are not content */
#define STOW_PATH_MAX 4095u	/* openat2(2) takes no longer one */
#define STOW_NAMES_MAX 1000000u /* of one folder, all in memory */
#define STOW_ENTRY_MAX                                                                   \
	((size_t)512 << 10) /* attributes of a file have at most 64 kB on ext4 */
#define STOW_RECENT_S 1	    /* clocks of file systems are no finer than some ms */

struct stow {
	int fd; /* the tree's top folder */
	const char *
		last; /* a name in the top folder that is walked after all others, or NULL */
	bool (*skip)(
		const char *name); /* what is left out, at any depth; NULL: nothing is */
	const char *omit; /* a name in the top folder that is left out, or NULL */
};
/*
 * Sends the tree to out: an entry for each file, its bytes, or FRAME_SAME where the entry is one of those that come in at
 * `before` (FRAME_ENTRY up to FRAME_END; -1: none come). Never follows a link and never leaves the file system. Files that change meanwhile are
 * sent as they were read. What cannot be kept is left out, with a FRAME_LOST each: what lies at a longer path than STOW_PATH_MAX, what is in a
 * folder of more than STOW_NAMES_MAX names, attributes of more than STOW_ENTRY_MAX, a file under a lease,
 * folders whose paths together have more than 256 MB. Blocks. 0 or -errno with e.
 */
int stow_send(const struct stow *t, int before, int out, struct err *e);
/*
 * Receives one into fd, an empty folder: all entries of it up to FRAME_END. owners: uid and gid are set, which takes root.
 * Trusts nothing in it: -EBADMSG. What was written when it fails is the caller's to remove. max_bytes of all files. 0 or -errno with e.
 */
int stow_receive(int fd, int in, bool owners, uint64_t max_bytes, struct err *e);

/* What is read of an entry by others. The strings are in it, not terminated. 0 or -EBADMSG. */
struct stow_entry {
	char type;
	const char *path, *target;
	size_t path_len, target_len;
	uint32_t mode, uid, gid, mtime_ns;
	int64_t mtime_s;
	uint64_t size;
	const unsigned char *attributes, *end;
	unsigned int n_attributes;
};
int stow_entry_read(const void *data, size_t size, struct stow_entry *ret);

#endif

/* Writes a tar stream: ustar, with pax records for long names. Deterministic: equal calls
 * give equal bytes. */
#ifndef LIB_TAR_H
#define LIB_TAR_H

#include "lib/base.h"

#define TAR_BUFFER                                                                       \
	((size_t)256                                                                     \
		<< 10) /* one write a few hundred small files; the pipe's own size  \
			       limit is 1 MB */
#define TAR_OWNER 1000 /* uid and gid of every entry: user `app` of every sandbox */
#define TAR_SIZE_MAX (((uint64_t)1 << 33) - 1) /* what ustar's octal field holds */

struct tar {
	int fd;
	int64_t mtime_s;
	size_t used;
	char *out;
};

/* fd is blocking and stays the caller's. mtime_s, of every entry: below 0 counts as 0. 0
 * or -ENOMEM. */
int tar_open(struct tar *t, int fd, int64_t mtime_s);
/*
 * One entry each. path is relative, without a leading slash; a folder's ends with one.
 * Files are 0644 or 0755, folders 0755, links 0777. 0 or -errno of write(2) (-EPIPE when
 * the reader went away and SIGPIPE is ignored), -EFBIG.
 */
int tar_folder(struct tar *t, const char *path);
int tar_file(
	struct tar *t, const char *path, bool executable, const void *data, size_t size);
int tar_link(struct tar *t, const char *path, const char *target, size_t target_len);
/* Our own kind of entry: what has this path, with all below it, is to go. */
int tar_gone(struct tar *t, const char *path);
#define TAR_GONE 'W' /* POSIX leaves 'A' to 'Z' to custom implementations */
/*
 * A file of so many bytes that the caller writes to t->fd itself between the two, which see that all before is there. 0 or
 * -errno as above.
 */
int tar_file_begin(struct tar *t, const char *path, uint64_t size);
int tar_file_end(struct tar *t, uint64_t size);
/* The end mark, and everything buffered. */
int tar_end(struct tar *t);
void tar_free(struct tar *t);

#endif

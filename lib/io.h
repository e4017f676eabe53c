/* Files and descriptors: whole reads and writes, atomic replacement, sealed memory files. */
#ifndef LIB_IO_H
#define LIB_IO_H

#include "lib/base.h"
#include "lib/buf.h"
#include "lib/err.h"
#include <sys/types.h>
#include <time.h>

/* Writes all of it, retrying EINTR and short writes; blocks. 0 or -errno. */
int io_write_all(int fd, const void *data, size_t len);
/* Reads exactly len bytes. 0, -EPIPE at early end, or -errno. */
int io_read_full(int fd, void *data, size_t len);
/* Reads to the end, at most b->max. 0 or -errno (-EMSGSIZE when larger). */
int io_read_all(int fd, struct buf *b);
/* Reads the file at path (relative to dirfd, AT_FDCWD allowed) into b. 0 or -errno. */
int io_read_file(int dirfd, const char *path, struct buf *b);
/* Replaces name in dirfd: temp file, fsync, rename, fsync of the directory. 0 or -errno. */
int io_replace_file(
	int dirfd, const char *name, const void *data, size_t len, mode_t mode);
/* A memfd with the data, sealed against every change; CLOEXEC. fd or -errno. */
int io_memfd_sealed(const char *name, const void *data, size_t len);
/* 0 when fd is a memfd sealed against write, grow and shrink; -EPERM otherwise. */
int io_memfd_check(int fd);
/* Maps such a memfd of least .. most bytes for reading (munmap); fd stays the caller's. 0, -EPERM not sealed, -EBADMSG
 * another size, -errno, with the sentence about "what". */
int io_memfd_map(int fd, const char *what, size_t least, size_t most, void **ret,
	size_t *ret_size, struct err *e);
int io_set_cloexec(int fd, bool on);
int io_set_nonblock(int fd, bool on);
/* Removes the tree name below dirfd without following links; -EXDEV at a mount point in it, whatever is mounted there.
 * Absent is 0. */
int io_remove_tree(int dirfd, const char *name);
/* As that, but not more than so many entries: -EINPROGRESS when some are left, to be called again. */
int io_remove_part(int dirfd, const char *name, uint64_t most);
/* mkdir -p for an absolute path; existing folders are left as they are. 0 or -errno. */
int io_mkdirs(const char *path, mode_t mode);
/* The path of a file beside the program that runs; name "": the folder, with a slash at its end. 0, -ENAMETOOLONG or -errno. */
int io_beside_program(const char *name, char *out, size_t size);
/* Connects to / listens on a unix socket (type SOCK_STREAM or SOCK_SEQPACKET). fd or -errno. */
int io_unix_connect(const char *path, int type);
int io_unix_listen(const char *path, int type, mode_t mode);

/* Clocks: microseconds since 1970; monotonic nanoseconds. */
uint64_t io_now_us(void);
uint64_t io_mono_ns(void);
/* The monotonic clock ms from now, as pthread_cond_timedwait takes it. */
struct timespec io_mono_in(int ms);

#endif

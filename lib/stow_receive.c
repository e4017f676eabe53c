/* A tree of files, received. */
#include "lib/io.h"
#include "lib/stow.h"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

struct receiving {
	int top, in;
	bool owners;
	uint64_t left; /* of max_bytes */
	struct frame f;
	struct stow_entry entry; /* the strings are in `own` */
	struct buf own;
	struct buf
		folders; /* entries of folders, each after its size_t: their times are set last */
	int file; /* that gets bytes; -1 */
	char path[STOW_PATH_MAX + 1], target[65536];
	struct err *e;
};

static int refuse(struct receiving *r, const char *what)
{
	return err_set(r->e, EBADMSG, "%s: %s", r->path, what);
}

/* Relative, no empty part, no "." or "..". The top folder is "". */
static bool path_is_plain(const char *path)
{
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 0 || (n == 1 && path[0] == '.') ||
			(n == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += n;
		if (*path == '/' && !*++path)
			return false;
	}
	return true;
}

static int open_below(const struct receiving *r, const char *path, uint64_t flags)
{
	struct open_how how = {.flags = flags | O_CLOEXEC | O_NOFOLLOW,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};

	return (int)syscall(SYS_openat2, r->top, *path ? path : ".", &how, sizeof(how));
}

/* The folder that the path lies in; *ret_name is what is left of it. */
static int open_above(const struct receiving *r, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char above[STOW_PATH_MAX + 1];

	*ret_name = slash ? slash + 1 : path;
	snprintf(above, sizeof(above), "%.*s", slash ? (int)(slash - path) : 0, path);
	return open_below(r, above, O_RDONLY | O_DIRECTORY);
}

/* ---- what belongs to a file beside its bytes ---- */

static int set_attributes(struct receiving *r, int fd)
{
	const unsigned char *at = r->entry.attributes, *end = r->entry.end;
	char name[256];

	for (unsigned int i = 0; i < r->entry.n_attributes; i++) {
		uint16_t len;
		uint32_t size;

		if ((size_t)(end - at) < sizeof(len))
			return refuse(r, "its attributes are cut off");
		memcpy(&len, at, sizeof(len));
		len = le16toh(len);
		at += sizeof(len);
		if ((size_t)(end - at) < len + sizeof(size) || len >= sizeof(name))
			return refuse(r, "its attributes are cut off");
		snprintf(name, sizeof(name), "%.*s", (int)len, (const char *)at);
		memcpy(&size, at + len, sizeof(size));
		size = le32toh(size);
		at += len + sizeof(size);
		if ((size_t)(end - at) < size || strncmp(name, "user.", 5) != 0)
			return refuse(r, "an attribute is none of the user's");
		if (fsetxattr(fd, name, at, size, 0) < 0)
			return err_sys(r->e, errno, "set %s of %s", name, r->path);
		at += size;
	}
	return 0;
}

static void times_of(const struct stow_entry *n, struct timespec out[2])
{
	out[1] = (struct timespec){n->mtime_s, n->mtime_ns};
	out[0] = out[1];
}

/*
 * The owner before the mode: a change of owner drops the set-user-id bit. A folder that has its mode keeps it as it is: who
 * is not of its group would take its set-group-id bit, which it has from the folder above.
 */
static int finish(struct receiving *r, int fd)
{
	struct timespec times[2];
	struct stat st;
	int result = set_attributes(r, fd);

	times_of(&r->entry, times);
	if (result < 0)
		return result;
	if ((r->owners && fchown(fd, r->entry.uid, r->entry.gid) < 0) ||
		fstat(fd, &st) < 0 ||
		((st.st_mode & 07777) != r->entry.mode &&
			fchmod(fd, r->entry.mode) < 0) ||
		futimens(fd, times) < 0)
		return err_sys(r->e, errno, "set owner, mode and time of %s", r->path);
	return 0;
}

static int end_file(struct receiving *r)
{
	int fd autoclose = TAKE_FD(r->file);

	if (fd < 0)
		return 0;
	if ((uint64_t)lseek(fd, 0, SEEK_CUR) != r->entry.size ||
		ftruncate(fd, (off_t)r->entry.size) < 0)
		return refuse(r, "its bytes are cut off");
	return finish(r, fd);
}

/* ---- entries ---- */

static int make_folder(struct receiving *r, int dir, const char *name)
{
	size_t size = r->own.len;

	/* An empty ext4 has lost+found. */
	if (*r->path &&
		mkdirat(dir, name, r->owners ? 0700 : 0700 | (r->entry.mode & 0777)) <
			0 &&
		errno != EEXIST)
		return err_sys(r->e, errno, "make %s/", r->path);
	buf_add(&r->folders, &size, sizeof(size));
	return buf_add(&r->folders, r->own.data, size) < 0
		       ? err_set(r->e, ENOMEM, "out of memory")
		       : 0;
}

static int set_link(struct receiving *r, int dir, const char *name)
{
	struct timespec times[2];

	times_of(&r->entry, times);
	if ((r->owners && fchownat(dir, name, r->entry.uid, r->entry.gid,
				  AT_SYMLINK_NOFOLLOW) < 0) ||
		utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(r->e, errno, "set owner and time of %s", r->path);
	return 0;
}

static int make_link(struct receiving *r, int dir, const char *name)
{
	if (symlinkat(r->target, dir, name) < 0)
		return err_sys(r->e, errno, "make the link %s", r->path);
	return set_link(r, dir, name);
}

/* Both ends by descriptors of folders that were reached without a link. */
static int make_hard_link(struct receiving *r, int dir, const char *name)
{
	const char *first;
	int from autoclose = -1;

	if (!*r->target || !path_is_plain(r->target))
		return refuse(r, "a hard link leads out");
	from = open_above(r, r->target, &first);
	if (from < 0 || linkat(from, first, dir, name, 0) < 0)
		return err_sys(r->e, errno, "make the link %s", r->path);
	return 0;
}

static int make_fifo(struct receiving *r, int dir, const char *name)
{
	if (mkfifoat(dir, name, 0600) < 0 || fchmodat(dir, name, r->entry.mode, 0) < 0)
		return err_sys(r->e, errno, "make the FIFO %s", r->path);
	return set_link(r, dir, name);
}

static int make_file(struct receiving *r, int dir, const char *name)
{
	if (r->entry.size > INT64_MAX)
		return refuse(r, "its size is no size");
	r->file = openat(
		dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return r->file < 0 ? err_sys(r->e, errno, "make %s", r->path) : 0;
}

static int take_entry(struct receiving *r)
{
	buf_reset(&r->own);
	if (buf_add(&r->own, r->f.body.data, r->f.body.len) < 0)
		return err_set(r->e, ENOMEM, "out of memory");
	if (stow_entry_read(r->own.data, r->own.len, &r->entry) < 0)
		return err_set(r->e, EBADMSG, "an entry is none");
	snprintf(r->path, sizeof(r->path), "%.*s", (int)r->entry.path_len, r->entry.path);
	snprintf(r->target, sizeof(r->target), "%.*s", (int)r->entry.target_len,
		r->entry.target);
	if (!path_is_plain(r->path) || (!*r->path && r->entry.type != 'd'))
		return refuse(r, "it leads out of the tree");
	return 0;
}

static int make(struct receiving *r)
{
	const char *name;
	int result = take_entry(r), dir autoclose = -1;

	if (result < 0)
		return result;
	dir = open_above(r, r->path, &name);
	if (dir < 0)
		return err_sys(r->e, errno, "open the folder of %s", r->path);
	switch (r->entry.type) {
	case 'd':
		return make_folder(r, dir, name);
	case 'l':
		return make_link(r, dir, name);
	case 'h':
		return make_hard_link(r, dir, name);
	case 'p':
		return make_fifo(r, dir, name);
	default:
		return make_file(r, dir, name);
	}
}

/* ---- bytes ---- */

static int write_bytes(struct receiving *r)
{
	int result;

	if (r->file < 0)
		return refuse(r, "bytes that belong to no file");
	if (r->f.body.len > r->left)
		return err_set(
			r->e, EFBIG, "%s: there are more bytes than were said", r->path);
	r->left -= r->f.body.len;
	result = io_write_all(r->file, r->f.body.data, r->f.body.len);
	return result < 0 ? err_sys(r->e, -result, "write %s", r->path) : 0;
}

static int make_hole(struct receiving *r)
{
	uint64_t size;

	if (r->file < 0 || frame_number(&r->f, &size) < 0 || size > r->entry.size ||
		lseek(r->file, (off_t)size, SEEK_CUR) < 0)
		return refuse(r, "a hole that belongs to no file");
	return 0;
}

static int take(struct receiving *r)
{
	int result;

	switch (r->f.kind) {
	case FRAME_ENTRY:
		result = end_file(r);
		return result < 0 ? result : make(r);
	case FRAME_DATA:
		return write_bytes(r);
	case FRAME_HOLE:
		return make_hole(r);
	case FRAME_END:
		return end_file(r);
	case FRAME_LOST:
		return 0;
	case FRAME_JSON:
	case FRAME_SAME:
		break;
	}
	return refuse(r, "not what makes a tree");
}

/* From the last one to the first, as what is made in a folder changes its time. */
static int finish_folders(struct receiving *r)
{
	size_t at = 0, n = 0, *starts autofree = NULL;

	starts = malloc(
		(r->folders.len / (sizeof(at) + STOW_IDENTITY) + 1) * sizeof(*starts));
	if (!starts)
		return err_set(r->e, ENOMEM, "out of memory");
	while (at < r->folders.len) {
		size_t size;

		memcpy(&size, r->folders.data + at, sizeof(size));
		starts[n++] = at;
		at += sizeof(size) + size;
	}
	while (n-- > 0) {
		size_t size;

		memcpy(&size, r->folders.data + starts[n], sizeof(size));
		stow_entry_read(
			r->folders.data + starts[n] + sizeof(size), size, &r->entry);
		snprintf(r->path, sizeof(r->path), "%.*s", (int)r->entry.path_len,
			r->entry.path);
		int fd autoclose = open_below(r, r->path, O_RDONLY | O_DIRECTORY);
		if (fd < 0)
			return err_sys(r->e, errno, "open %s/", r->path);
		int result = finish(r, fd);
		if (result < 0)
			return result;
	}
	return 0;
}

static int receive(struct receiving *r)
{
	do {
		int result = frame_read(r->in, &r->f);

		if (result < 0)
			return err_sys(r->e, -result, "read what comes");
		if ((result = take(r)) < 0)
			return result;
	} while (r->f.kind != FRAME_END);
	return finish_folders(r);
}

int stow_receive(int fd, int in, bool owners, uint64_t max_bytes, struct err *e)
{
	struct receiving *r autofree = calloc(1, sizeof(*r));

	if (!r)
		return err_set(e, ENOMEM, "out of memory");
	*r = (struct receiving){.top = fd,
		.in = in,
		.owners = owners,
		.left = max_bytes,
		.file = -1,
		.folders.max = (size_t)1 << 30,
		.e = e};
	int result = receive(r);
	if (r->file >= 0)
		close(r->file);
	frame_free(&r->f);
	buf_free(&r->own);
	buf_free(&r->folders);
	return result;
}

/* A folder is made equal to a tree. Both come in the same order: one walk beside the other, twice. */
#include "buildpacks/volume/vault_inside.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

struct restore {
	struct vault *v;
	const struct vault_tree *now;
	struct vault_entry before; /* of now */
	size_t at;
	bool has_before;
	int target;
	struct vault_stats *stats;
	struct vault_entry *folders; /* whose times are set when all in them is done */
	size_t depth;
	uint8_t have[VAULT_CHUNK], want[VAULT_CHUNK];
	struct err *e;
};

static int fail(struct restore *s, const char *path)
{
	return err_sys(s->e, errno, "restore %s", *path ? path : "the volume's folder");
}

/* No link on the way, no other file system. */
static int open_beneath(struct restore *s, const char *path, uint64_t flags)
{
	struct open_how how = {.flags = flags | O_CLOEXEC | O_NOFOLLOW,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
	long fd = syscall(SYS_openat2, s->target, *path ? path : ".", &how, sizeof(how));

	return (int)fd;
}

static int open_parent(struct restore *s, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char parent[VAULT_PATH_MAX];

	*ret_name = slash ? slash + 1 : path;
	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) : 0, path);
	return open_beneath(s, parent, O_PATH | O_DIRECTORY);
}

/* ---- removing what is extra ---- */

static int remove_any(struct restore *s, const char *path)
{
	const char *name;
	int parent autoclose = open_parent(s, path, &name);
	int r;

	if (parent < 0)
		return fail(s, path);
	s->stats->removed++;
	if (unlinkat(parent, name, 0) == 0)
		return 0;
	r = errno == EISDIR || errno == EPERM ? io_remove_tree(parent, name) : -errno;
	errno = -r;
	return r < 0 ? fail(s, path) : 0;
}

/* ---- owner, mode, attributes, times ---- */

static const char *next_xattr(const struct vault_entry *n, size_t *at,
	const char **ret_value, uint32_t *ret_len)
{
	const char *name = n->xattrs + *at;

	if (*at >= n->xattrs_len)
		return NULL;
	*at += strlen(name) + 1;
	memcpy(ret_len, n->xattrs + *at, sizeof(*ret_len));
	*ret_value = n->xattrs + *at + sizeof(*ret_len);
	*at += sizeof(*ret_len) + *ret_len;
	return name;
}

static int set_xattrs(int fd, const struct vault_entry *n)
{
	struct vault_entry have = {0};
	autobuf b = BUF_INIT;
	const char *name, *value;
	uint32_t len;
	int r = vault_xattrs_read(fd, &b);

	if (r < 0 || (b.len == n->xattrs_len &&
			     (b.len == 0 || memcmp(b.data, n->xattrs, b.len) == 0)))
		return r;
	have.xattrs = b.data ? b.data : "";
	have.xattrs_len = b.len;
	for (size_t at = 0; (name = next_xattr(&have, &at, &value, &len));)
		if (fremovexattr(fd, name) < 0 && errno != ENODATA)
			return -errno;
	for (size_t at = 0; (name = next_xattr(n, &at, &value, &len));)
		if (fsetxattr(fd, name, value, len, 0) < 0)
			return -errno;
	return 0;
}

static void times_of(const struct vault_entry *n, struct timespec ret[2])
{
	int64_t s = n->mtime_ns / 1000000000, ns = n->mtime_ns % 1000000000;

	if (ns < 0) {
		ns += 1000000000;
		s--;
	}
	ret[0] = (struct timespec){.tv_nsec = UTIME_OMIT};
	ret[1] = (struct timespec){.tv_sec = s, .tv_nsec = ns};
}

/* Of a file or folder that is open. Only what differs: a change makes the next snapshot read the file. */
static int settle_open(int fd, const struct vault_entry *n)
{
	struct timespec times[2];
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_uid != n->uid || st.st_gid != n->gid) &&
		fchown(fd, n->uid, n->gid) < 0)
		return -errno;
	r = set_xattrs(fd, n);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0 ||
		((st.st_mode & 07777) != n->mode && fchmod(fd, n->mode) < 0))
		return -errno;
	times_of(n, times);
	if (vault_ns(st.st_mtim) != n->mtime_ns && futimens(fd, times) < 0)
		return -errno;
	return 0;
}

/* Of what cannot be opened: links, FIFOs, sockets. */
static int settle_name(int parent, const char *name, const struct vault_entry *n)
{
	struct timespec times[2];
	struct stat st;

	times_of(n, times);
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		((st.st_uid != n->uid || st.st_gid != n->gid) &&
			fchownat(parent, name, n->uid, n->gid, AT_SYMLINK_NOFOLLOW) <
				0) ||
		(n->kind != VAULT_SYMLINK && (st.st_mode & 07777) != n->mode &&
			fchmodat(parent, name, n->mode, 0) < 0) ||
		(vault_ns(st.st_mtim) != n->mtime_ns &&
			utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) < 0))
		return -errno;
	return 0;
}

/* ---- contents ---- */

/* Whether the file has these bytes there already. 1, 0, -errno. */
static int has_bytes(struct restore *s, int fd, uint64_t offset, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(fd, s->have + got, len - got, (off_t)(offset + got));

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return 0;
		got += n > 0 ? (size_t)n : 0;
	}
	return memcmp(s->have, s->want, len) == 0;
}

static int punch(int fd, uint64_t offset, size_t len)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
		       (off_t)len) < 0 &&
			       errno != EOPNOTSUPP
		       ? -errno
		       : 0;
}

static int write_all_at(int fd, const uint8_t *data, size_t len, uint64_t offset)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, data, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		data += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* A new file: what is zero there is left a hole, by blocks. */
static int write_piece(struct restore *s, int fd, uint64_t offset, size_t len, bool fresh)
{
	const size_t block = 4096;

	if (!fresh)
		return write_all_at(fd, s->want, len, offset);
	for (size_t at = 0; at < len;) {
		size_t end = at;

		while (end < len && !vault_zeros(s->want + end,
					    len - end < block ? len - end : block))
			end += block;
		if (end > len)
			end = len;
		int r = end > at ? write_all_at(fd, s->want + at, end - at, offset + at)
				 : 0;
		if (r < 0)
			return r;
		at = end + (end < len ? block : 0);
	}
	return 0;
}

static int put_piece(struct restore *s, int fd, const uint8_t *id, uint64_t offset,
	size_t len, bool fresh)
{
	int r;

	if (vault_zero_id(id) && fresh)
		return 0;
	if (vault_zero_id(id) && (r = punch(fd, offset, len)) < 0)
		return r;
	r = vault_chunk_read(s->v, id, len, s->want, s->e);
	if (r < 0)
		return r;
	r = fresh ? 0 : has_bytes(s, fd, offset, len);
	if (r != 0)
		return r < 0 ? r : 0;
	s->stats->wrote_bytes += len;
	return write_piece(s, fd, offset, len, fresh);
}

/* known: what the file holds, by the tree of now; NULL: read and compare. */
static int put_pieces(struct restore *s, int fd, const struct vault_entry *n,
	const struct vault_entry *known, bool fresh)
{
	struct stat st;
	int r = 0;

	if (fstat(fd, &st) < 0 ||
		((uint64_t)st.st_size != n->size && ftruncate(fd, (off_t)n->size) < 0))
		return -errno;
	for (size_t i = 0; r == 0 && i < n->n_ids; i++) {
		const uint8_t *id = n->ids + i * VAULT_ID;
		uint64_t offset = (uint64_t)i * VAULT_CHUNK;
		size_t len = n->size - offset < VAULT_CHUNK ? (size_t)(n->size - offset)
							    : VAULT_CHUNK;
		/* of the last piece the id alone does not tell the length */
		bool whole = known && (known->size == n->size ||
					      (i + 1 < known->n_ids && i + 1 < n->n_ids));
		if (whole && i < known->n_ids &&
			memcmp(id, known->ids + i * VAULT_ID, VAULT_ID) == 0)
			continue;
		r = put_piece(s, fd, id, offset, len, fresh);
	}
	return r;
}

/* ---- entries ---- */

static const struct vault_entry *find_now(struct restore *s, const char *path)
{
	while (s->has_before && vault_path_order(s->before.path, path) < 0)
		s->has_before = vault_tree_next(s->now, &s->at, &s->before);
	return s->has_before && s->before.kind == VAULT_FILE &&
			       strcmp(s->before.path, path) == 0
		       ? &s->before
		       : NULL;
}

static bool same(const struct vault_entry *n, const struct stat *st)
{
	return n && n->ctime_ns && n->ctime_ns == vault_ns(st->st_ctim) &&
	       n->ino == st->st_ino && n->mtime_ns == vault_ns(st->st_mtim) &&
	       n->size == (uint64_t)st->st_size;
}

static int finish_file(struct restore *s, int fd, const struct vault_entry *n,
	const struct vault_entry *known, bool fresh)
{
	const uint64_t wrote = s->stats->wrote_bytes;
	int r = put_pieces(s, fd, n, known, fresh);

	if (r == 0)
		r = settle_open(fd, n);
	s->stats->wrote_files += fresh || s->stats->wrote_bytes > wrote;
	return r;
}

/* Beside, then into its place: other names of the file that was there keep theirs. */
static int new_file(
	struct restore *s, int parent, const char *name, const struct vault_entry *n)
{
	int fd autoclose = -1;
	int r;

	if (unlinkat(parent, VAULT_TEMP, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(parent, VAULT_TEMP,
		O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = finish_file(s, fd, n, NULL, true);
	if (r == 0 && renameat(parent, VAULT_TEMP, parent, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(parent, VAULT_TEMP, 0);
	return r;
}

static int put_file(
	struct restore *s, const struct vault_entry *n, const struct vault_seen *f)
{
	const struct vault_entry *known = find_now(s, n->path);
	const char *name;

	if (f && same(n, &f->st) && f->st.st_uid == n->uid && f->st.st_gid == n->gid)
		return 0;
	if (!f || !same(known, &f->st))
		known = NULL;
	int parent autoclose = open_parent(s, n->path, &name);
	if (parent < 0)
		return -errno;
	if (!f || f->st.st_nlink > 1)
		return new_file(s, parent, name, n);
	int fd autoclose =
		openat(parent, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : finish_file(s, fd, n, known, false);
}

static int put_hardlink(
	struct restore *s, const struct vault_entry *n, const struct vault_seen *f)
{
	const char *name, *first_name;
	int first autoclose = open_parent(s, n->link, &first_name);
	int parent autoclose = open_parent(s, n->path, &name);
	struct stat st;

	if (first < 0 || parent < 0 ||
		fstatat(first, first_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	if (f && f->st.st_ino == st.st_ino)
		return 0;
	if (f && unlinkat(parent, name, 0) < 0)
		return -errno;
	return linkat(first, first_name, parent, name, 0) < 0 ? -errno : 0;
}

static int put_symlink(
	struct restore *s, const struct vault_entry *n, const struct vault_seen *f)
{
	const char *name;
	int parent autoclose = open_parent(s, n->path, &name);
	char target[VAULT_PATH_MAX];
	ssize_t len;

	if (parent < 0)
		return -errno;
	len = f ? readlinkat(parent, name, target, sizeof(target)) : -1;
	if (len != (ssize_t)strlen(n->link) ||
		memcmp(target, n->link, (size_t)len) != 0) {
		if ((f && unlinkat(parent, name, 0) < 0) ||
			symlinkat(n->link, parent, name) < 0)
			return -errno;
	}
	return settle_name(parent, name, n);
}

static int put_special(
	struct restore *s, const struct vault_entry *n, const struct vault_seen *f)
{
	const char *name;
	int parent autoclose = open_parent(s, n->path, &name);

	if (parent < 0 ||
		(!f && mknodat(parent, name,
			       (n->kind == VAULT_FIFO ? S_IFIFO : S_IFSOCK) | 0600,
			       0) < 0))
		return -errno;
	return settle_name(parent, name, n);
}

static int put_folder(
	struct restore *s, const struct vault_entry *n, const struct vault_seen *f)
{
	const char *name;

	if (!f) {
		int parent autoclose = open_parent(s, n->path, &name);
		if (parent < 0 || mkdirat(parent, name, 0700) < 0)
			return -errno;
	}
	if (s->depth == VAULT_DEPTH_MAX)
		return -ELOOP;
	s->folders[s->depth++] = *n;
	return 0;
}

static int put_entry(
	struct restore *s, const struct vault_entry *n, const struct vault_seen *f)
{
	int r = 0;

	s->e->code = 0;
	switch (n->kind) {
	case VAULT_DIR:
		r = put_folder(s, n, f);
		break;
	case VAULT_FILE:
		r = put_file(s, n, f);
		break;
	case VAULT_HARDLINK:
		r = put_hardlink(s, n, f);
		break;
	case VAULT_SYMLINK:
		r = put_symlink(s, n, f);
		break;
	case VAULT_FIFO:
	case VAULT_SOCKET:
		r = put_special(s, n, f);
		break;
	}
	if (r == 0)
		return 0;
	if (s->e->code)
		return err_add(s->e, "%s", n->path);
	errno = -r;
	return fail(s, n->path);
}

/* ---- the two walks ---- */

static bool is_below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return len == 0 || (strncmp(path, folder, len) == 0 && path[len] == '/');
}

/* The folders that path (NULL: nothing more) does not lie in are done. */
static int leave_folders(struct restore *s, const char *path)
{
	while (s->depth > 0) {
		const struct vault_entry *n = &s->folders[s->depth - 1];
		int r;

		if (path && is_below(path, n->path))
			return 0;
		int fd autoclose = open_beneath(s, n->path, O_RDONLY | O_DIRECTORY);
		r = fd < 0 ? -errno : settle_open(fd, n);
		errno = -r;
		if (r < 0)
			return fail(s, n->path);
		s->depth--;
	}
	return 0;
}

/* Whether what lies there can become the entry. A hard link's file may be there as one. */
static bool fits(const struct vault_entry *n, const struct vault_seen *f)
{
	enum vault_kind kind = vault_kind_of(&f->st);

	return kind == n->kind || (n->kind == VAULT_HARDLINK && kind == VAULT_FILE);
}

static int remove_extra(
	struct restore *s, struct vault_walk *w, const struct vault_seen *f)
{
	char path[VAULT_PATH_MAX];

	vault_walk_skip(w);
	snprintf(path, sizeof(path), "%s", f->path);
	return remove_any(s, path);
}

/* Before others grow. Another name of the file may want it as it is. */
static int shorten(
	struct restore *s, const struct vault_entry *n, const struct vault_seen *f)
{
	const char *name;

	if (n->kind != VAULT_FILE || f->st.st_nlink > 1 ||
		(uint64_t)f->st.st_size <= n->size)
		return 0;
	int parent autoclose = open_parent(s, n->path, &name);
	int fd autoclose =
		parent < 0 ? -1
			   : openat(parent, name,
				     O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 || ftruncate(fd, (off_t)n->size) < 0 ? fail(s, n->path) : 0;
}

/* First what takes space and is not wanted: a full volume has no room for both. */
static int clear_extra(
	struct restore *s, const struct vault_tree *t, struct vault_walk *w)
{
	struct vault_entry n;
	struct vault_seen f;
	size_t at = 0;
	bool more = vault_tree_next(t, &at, &n);
	int there = 0, r = 0;

	while (r == 0 && (there = vault_walk_next(w, &f, s->e)) > 0) {
		while (more && vault_path_order(n.path, f.path) < 0)
			more = vault_tree_next(t, &at, &n);
		bool wanted = more && strcmp(n.path, f.path) == 0 && fits(&n, &f);
		r = wanted ? shorten(s, &n, &f) : remove_extra(s, w, &f);
	}
	return r < 0 ? r : there;
}

static int put_all(struct restore *s, const struct vault_tree *t, struct vault_walk *w)
{
	struct vault_entry n;
	struct vault_seen f;
	size_t at = 0;
	int there = vault_walk_next(w, &f, s->e), r = 0;

	while (r == 0 && there >= 0 && vault_tree_next(t, &at, &n)) {
		int order = there ? vault_path_order(f.path, n.path) : 1;

		if (order < 0 || (order == 0 && !fits(&n, &f)))
			return err_set(s->e, EBUSY,
				"%s came meanwhile: somebody writes there", f.path);
		r = leave_folders(s, n.path);
		if (r == 0)
			r = put_entry(s, &n, order == 0 ? &f : NULL);
		if (r == 0 && order == 0)
			there = vault_walk_next(w, &f, s->e);
	}
	return r < 0 ? r : there < 0 ? there : leave_folders(s, NULL);
}

static int walk(struct restore *s, const struct vault_tree *t,
	int (*pass)(struct restore *s, const struct vault_tree *t, struct vault_walk *w))
{
	struct vault_walk *w = vault_walk_open(s->target, s->e);
	int r = w ? pass(s, t, w) : -EIO;

	vault_walk_free(w);
	return r;
}

int vault_restore(struct vault *v, const struct vault_tree *t,
	const struct vault_tree *now, int target, struct vault_stats *stats,
	struct err *e)
{
	struct restore *s = calloc(1, sizeof(*s));
	struct err own = {0};
	int r = -ENOMEM;

	if (s && (s->folders = calloc(VAULT_DEPTH_MAX, sizeof(*s->folders)))) {
		s->v = v;
		s->now = now;
		s->has_before = now && vault_tree_next(now, &s->at, &s->before);
		s->target = target;
		s->stats = stats;
		s->e = &own;
		r = walk(s, t, clear_extra);
		if (r == 0)
			r = walk(s, t, put_all);
		if (r == 0 && syncfs(target) < 0)
			r = err_sys(&own, errno, "write the volume to disk");
	} else {
		err_set(&own, ENOMEM, "out of memory");
	}
	if (s)
		free(s->folders);
	free(s);
	return r < 0 ? err_set(e, own.code, "%s", own.text) : 0;
}

/* A folder becomes a tree: what changed since the tree before is read, the rest is taken from there. */
#include "buildpacks/volume/vault_inside.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* A file written twice within a tick of the kernel's clock has one change time: 10 ms at 100 Hz, and a bit. */
#define TICK_NS 20000000

struct linked {
	uint64_t ino;
	char path[];
};

struct scan {
	struct vault *v;
	struct vault_stats *stats;
	const struct vault_tree *previous;
	struct vault_entry before; /* of previous, not yet passed */
	size_t at;		   /* in previous */
	bool has_before, held;
	void *links; /* struct linked by inode: files with further names */
	struct buf manifest, xattrs, ids;
	uint8_t data[VAULT_CHUNK];
	struct err *e;
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return vault_ns(t);
}

/* ---- the tree before ---- */

/* Its entry of this path and kind, or NULL. Paths come in order. */
static const struct vault_entry *find_before(
	struct scan *s, const char *path, enum vault_kind kind)
{
	while (s->has_before && vault_path_order(s->before.path, path) < 0)
		s->has_before = vault_tree_next(s->previous, &s->at, &s->before);
	return s->has_before && s->before.kind == kind &&
			       strcmp(s->before.path, path) == 0
		       ? &s->before
		       : NULL;
}

static bool same(const struct vault_entry *before, const struct stat *st)
{
	return before && before->ctime_ns && before->ctime_ns == vault_ns(st->st_ctim) &&
	       before->ino == st->st_ino && before->mtime_ns == vault_ns(st->st_mtim) &&
	       (!S_ISREG(st->st_mode) || before->size == (uint64_t)st->st_size);
}

/* ---- hard links ---- */

static int by_inode(const void *a, const void *b)
{
	const struct linked *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* The path told first of this file, NULL when this is the one; -errno in *ret. */
static const char *first_path(struct scan *s, const struct vault_seen *f, int *ret)
{
	struct linked *l = malloc(sizeof(*l) + strlen(f->path) + 1), **found;

	*ret = -ENOMEM;
	if (!l)
		return NULL;
	l->ino = f->st.st_ino;
	memcpy(l->path, f->path, strlen(f->path) + 1);
	found = tsearch(l, &s->links, by_inode);
	*ret = found ? 0 : -ENOMEM;
	if (found && *found == l)
		return NULL;
	free(l);
	return found ? (*found)->path : NULL;
}

/* ---- reading a file ---- */

/* Whether the piece at offset is only a hole. */
static bool is_hole(int fd, uint64_t offset, size_t len)
{
	off_t data = lseek(fd, (off_t)offset, SEEK_DATA);

	return data < 0 ? errno == ENXIO : (uint64_t)data >= offset + len;
}

/* Up to len bytes; less at the end of the file only. */
static ssize_t read_piece(int fd, uint8_t *data, size_t len, uint64_t offset)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(fd, data + got, len - got, (off_t)(offset + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

/* Its bytes are in s->data. Pieces of large files may be known since the scan before, by this vault. */
static int take_piece(struct scan *s, int fd, const struct vault_entry *n, size_t len,
	uint8_t id[VAULT_ID])
{
	size_t piece = (size_t)(n->size / VAULT_CHUNK);
	uint64_t sum;
	int r;

	if (len < VAULT_CHUNK) {
		s->stats->hashed_bytes += len;
		return vault_chunk_take(
			s->v, s->data, len, fd, n->size, id, s->stats, s->e);
	}
	sum = vault_quick_sum(s->data, len);
	if (s->held && vault_quick_find(s->v, n->ino, piece, sum, id))
		return 0;
	s->stats->hashed_bytes += len;
	r = vault_chunk_take(s->v, s->data, len, fd, n->size, id, s->stats, s->e);
	if (r == 0 && !s->held)
		vault_quick_note(s->v, n->ino, piece, sum, id);
	return r;
}

/* The piece after the n->size bytes that are there. */
static int add_piece(
	struct scan *s, int fd, const struct vault_entry *n, size_t len, size_t *ret_got)
{
	uint8_t id[VAULT_ID] = {0};
	ssize_t got;
	int r;

	*ret_got = len;
	if (is_hole(fd, n->size, len))
		return buf_add(&s->ids, id, sizeof(id));
	got = read_piece(fd, s->data, len, n->size);
	*ret_got = got < 0 ? 0 : (size_t)got;
	if (got <= 0)
		return (int)got;
	s->stats->read_bytes += (uint64_t)got;
	r = take_piece(s, fd, n, (size_t)got, id);
	return r < 0 ? r : buf_add(&s->ids, id, sizeof(id));
}

/* As long as it was when it was opened: what is added meanwhile, or cut off, the next scan finds. */
static int read_pieces(struct scan *s, int fd, struct vault_entry *n)
{
	uint64_t size = n->size;
	size_t got;
	int r = 0;

	n->size = 0;
	while (r == 0 && n->size < size) {
		size_t len = size - n->size < VAULT_CHUNK ? (size_t)(size - n->size)
							  : VAULT_CHUNK;
		r = add_piece(s, fd, n, len, &got);
		n->size += got;
		if (got < len)
			break;
	}
	n->ids = (const uint8_t *)s->ids.data;
	n->n_ids = s->ids.len / VAULT_ID;
	return r;
}

/* Nothing can have changed it unseen since st was taken, and nothing will. */
static bool certain(const struct scan *s, int fd, const struct stat *st)
{
	struct stat after;

	return !s->held && fstat(fd, &after) == 0 &&
	       vault_ns(after.st_ctim) == vault_ns(st->st_ctim) &&
	       now_ns() - vault_ns(st->st_ctim) > TICK_NS;
}

static int open_file(const struct vault_seen *f, struct stat *st)
{
	int flags = S_ISDIR(f->st.st_mode) ? O_DIRECTORY : 0;
	int fd = openat(f->parent, f->name,
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags);

	if (fd < 0)
		return errno == ELOOP || errno == ENOTDIR ? -ENOENT : -errno;
	if (fstat(fd, st) == 0 && st->st_ino == f->st.st_ino &&
		(st->st_mode & S_IFMT) == (f->st.st_mode & S_IFMT))
		return fd;
	close(fd);
	return -ENOENT; /* another one by now: of the next scan */
}

static void fill(struct vault_entry *n, const struct stat *st)
{
	n->ino = st->st_ino;
	n->mtime_ns = vault_ns(st->st_mtim);
	n->mode = st->st_mode & 07777;
	n->uid = st->st_uid;
	n->gid = st->st_gid;
}

/* A file or folder that is not as before. */
static int read_file(struct scan *s, const struct vault_seen *f, struct vault_entry *n)
{
	struct stat st;
	int fd autoclose = open_file(f, &st);
	int r;

	if (fd < 0)
		return fd;
	fill(n, &st);
	/* write-protects mapped pages: a store from now on changes the times */
	if (!s->held && n->kind == VAULT_FILE)
		(void)sync_file_range(fd, 0, 0,
			SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
				SYNC_FILE_RANGE_WAIT_AFTER);
	r = vault_xattrs_read(fd, &s->xattrs);
	if (r == 0 && n->kind == VAULT_FILE) {
		n->size = (uint64_t)st.st_size;
		s->stats->read_files++;
		r = read_pieces(s, fd, n);
	}
	n->xattrs = s->xattrs.data ? s->xattrs.data : "";
	n->xattrs_len = s->xattrs.len;
	if (r == 0 && certain(s, fd, &st))
		n->ctime_ns = vault_ns(st.st_ctim);
	return r;
}

/* ---- entries ---- */

static int describe(struct scan *s, const struct vault_seen *f, struct vault_entry *n,
	char target[VAULT_PATH_MAX])
{
	const struct vault_entry *before = find_before(s, f->path, n->kind);
	ssize_t len;

	fill(n, &f->st);
	if (n->kind == VAULT_SYMLINK) {
		len = readlinkat(f->parent, f->name, target, VAULT_PATH_MAX - 1);
		if (len < 0)
			return errno == EINVAL ? -ENOENT : -errno;
		target[len] = '\0';
		n->link = target;
		return 0;
	}
	if (n->kind != VAULT_FILE && n->kind != VAULT_DIR)
		return 0;
	if (!same(before, &f->st))
		return read_file(s, f, n);
	n->ctime_ns = before->ctime_ns;
	n->xattrs = before->xattrs;
	n->xattrs_len = before->xattrs_len;
	n->size = before->size;
	n->ids = before->ids;
	n->n_ids = before->n_ids;
	return 0;
}

static int add_entry(struct scan *s, const struct vault_seen *f)
{
	struct vault_entry n = {.path = f->path,
		.link = "",
		.xattrs = "",
		.ids = (const uint8_t *)"",
		.kind = vault_kind_of(&f->st)};
	char target[VAULT_PATH_MAX];
	const char *first = NULL;
	int r = 0;

	if (!n.kind || strcmp(f->name, VAULT_TEMP) == 0)
		return 0;
	buf_reset(&s->ids);
	buf_reset(&s->xattrs);
	if (n.kind == VAULT_FILE && f->st.st_nlink > 1)
		first = first_path(s, f, &r);
	if (first) {
		n.kind = VAULT_HARDLINK;
		n.link = first;
		fill(&n, &f->st);
	} else if (r == 0) {
		r = describe(s, f, &n, target);
	}
	if (r == 0)
		r = vault_entry_add(&s->manifest, &n);
	if (r == -ENOENT)
		return 0; /* gone meanwhile */
	if (r < 0 && s->e->code != -r)
		return err_sys(s->e, -r, "%s", f->path);
	return r;
}

int vault_scan(struct vault *v, int tree, const struct vault_tree *previous,
	unsigned int flags, struct vault_tree **ret, struct vault_stats *stats,
	struct err *e)
{
	struct vault_walk *w = vault_walk_open(tree, e);
	struct scan *s = w ? calloc(1, sizeof(*s)) : NULL;
	struct vault_seen f;
	int r = 1;

	if (!s) {
		vault_walk_free(w);
		return w ? err_set(e, ENOMEM, "out of memory") : -EIO;
	}
	s->v = v;
	s->e = e;
	s->stats = stats;
	s->held = flags & VAULT_HELD;
	s->previous = previous;
	s->has_before = previous && vault_tree_next(previous, &s->at, &s->before);
	s->manifest.max = VAULT_MANIFEST_MAX;
	s->ids.max = (size_t)(VAULT_FILE_MAX / VAULT_CHUNK) * VAULT_ID;
	e->code = 0;
	while (r > 0 && (r = vault_walk_next(w, &f, e)) > 0)
		if (add_entry(s, &f) < 0)
			r = -e->code;
	if (r == 0)
		r = vault_tree_make(&s->manifest, ret, e);
	if (r == 0) {
		stats->entries += (*ret)->entries;
		stats->files += (*ret)->files;
		stats->bytes += (*ret)->bytes;
	}
	vault_walk_free(w);
	tdestroy(s->links, free);
	buf_free(&s->manifest);
	buf_free(&s->xattrs);
	buf_free(&s->ids);
	free(s);
	return r;
}

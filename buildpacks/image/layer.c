/* Writes a layer as a tar stream. */
#include "buildpacks/image/layer.h"
#include "buildpacks/image/pax.h"
#include "lib/base64.h"
#include "lib/io.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define OPAQUE ".wh..wh..opq"
#define PART ((size_t)64 << 10)

/* The first name of a file that has several. */
struct seen {
	uint64_t ino;
	char *path;
};

struct writer {
	const struct layer_places *p;
	struct blob *b;
	void *seen; /* tree of struct seen */
	struct err *e;
	char part[PART];
};

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

/* Whiteouts first (image-spec, layer.md), then by bytes. */
static int order(const FTSENT **a, const FTSENT **b)
{
	bool x = is_whiteout((*a)->fts_statp), y = is_whiteout((*b)->fts_statp);

	return x != y ? (x ? -1 : 1) : strcmp((*a)->fts_name, (*b)->fts_name);
}

static int by_inode(const void *a, const void *b)
{
	uint64_t x = ((const struct seen *)a)->ino, y = ((const struct seen *)b)->ino;

	return x < y ? -1 : x > y;
}

static void seen_free(void *node)
{
	struct seen *s = node;

	free(s->path);
	free(s);
}

/* The path it was written under already, or NULL. */
static const char *first_name(struct writer *w, const struct stat *st, const char *path)
{
	struct seen *s = calloc(1, sizeof(*s)), **found;

	if (!s || !(s->path = strdup(path)))
		abort();
	s->ino = st->st_ino;
	found = tsearch(s, &w->seen, by_inode);
	if (!found)
		abort();
	if (*found == s)
		return NULL;
	seen_free(s);
	return (*found)->path;
}

/* Whether name exists in the folder path of a place. */
static bool exists(const char *place, const char *path, const char *name)
{
	char whole[PATH_MAX];
	struct stat st;

	return snprintf(whole, sizeof(whole), "%s/%s/%s", place, path, name) <
		       (int)sizeof(whole) &&
	       lstat(whole, &st) == 0;
}

/* Something below is not seen, and no whiteout of this layer hides it: the folder itself does. */
static bool is_opaque(struct writer *w, const char *path)
{
	char whole[PATH_MAX];
	struct dirent *d;
	bool opaque = false;

	if (!w->p->below || snprintf(whole, sizeof(whole), "%s/%s", w->p->below, path) >=
				    (int)sizeof(whole))
		return false;
	int fd = open(whole, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return false;
	while (!opaque && (d = readdir(dir)))
		opaque = strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
			 !exists(w->p->layer, path, d->d_name) &&
			 !exists(w->p->merged, path, d->d_name);
	closedir(dir);
	return opaque;
}

static bool keeps(const char *name)
{
	return strcmp(name, "security.capability") == 0 ||
	       (strncmp(name, "user.", 5) == 0 &&
		       strncmp(name, "user.overlay.", 13) != 0);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_xattrs(const char *file, struct buf *records)
{
	char names[4096], value[4096];
	const char *kept[64];
	size_t n = 0;
	ssize_t len = llistxattr(file, names, sizeof(names));

	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(names + at) + 1)
		if (keeps(names + at) && n < ARRAY_LEN(kept))
			kept[n++] = names + at;
	qsort(kept, n, sizeof(*kept), by_name);
	for (size_t i = 0; i < n; i++) {
		ssize_t size = lgetxattr(file, kept[i], value, sizeof(value));

		if (size >= 0)
			pax_xattr(records, kept[i], value, (size_t)size);
	}
}

static void add_capability(struct writer *w, const char *path, struct buf *records)
{
	const char *text = json_string_value(json_object_get(w->p->capabilities, path));
	autobuf value = BUF_INIT;

	if (text && base64_decode(text, strlen(text), &value) == 0 && value.len)
		pax_xattr(records, "security.capability", value.data, value.len);
}

static int whiteout(struct writer *w, const char *folder, const char *name)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s%s%s", folder, *folder ? "/" : "", name) >=
		(int)sizeof(path))
		return -ENAMETOOLONG;
	return pax_head(
		w->b, &(struct pax_entry){.path = path, .type = '0', .mode = 0644});
}

static int write_data(struct writer *w, const char *file, uint64_t size)
{
	int fd autoclose = open(file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	uint64_t left = size;

	if (fd < 0)
		return -errno;
	while (left > 0) {
		ssize_t n = read(fd, w->part, left < PART ? (size_t)left : PART);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		r = blob_write(w->b, w->part, (size_t)n);
		if (r < 0)
			return r;
		left -= (uint64_t)n;
	}
	return pax_pad(w->b, size);
}

static int write_entry(struct writer *w, const FTSENT *f, struct pax_entry *n)
{
	autobuf xattrs = BUF_INIT;
	int r;

	if (n->type == '0')
		add_capability(w, n->path, &xattrs);
	if (n->type != '1')
		add_xattrs(f->fts_accpath, &xattrs);
	n->xattrs = &xattrs;
	r = pax_head(w->b, n);
	return r == 0 && n->type == '0' ? write_data(w, f->fts_accpath, n->size) : r;
}

static int write_folder(
	struct writer *w, const FTSENT *f, const char *path, struct pax_entry *n)
{
	char slashed[PATH_MAX];
	int r;

	snprintf(slashed, sizeof(slashed), "%s/", path);
	n->path = slashed;
	n->type = '5';
	r = write_entry(w, f, n);
	return r == 0 && is_opaque(w, path) ? whiteout(w, path, OPAQUE) : r;
}

static int write_any(struct writer *w, const FTSENT *f, const char *path)
{
	const struct stat *st = f->fts_statp;
	struct pax_entry n = {.path = path,
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.mtime_s = st->st_mtime};
	char target[PATH_MAX];

	if (S_ISDIR(st->st_mode))
		return write_folder(w, f, path, &n);
	if (S_ISLNK(st->st_mode)) {
		ssize_t len = readlink(f->fts_accpath, target, sizeof(target) - 1);

		if (len < 0)
			return -errno;
		target[len] = '\0';
		n.link = target;
		n.type = '2';
		n.mode = 0777;
		return write_entry(w, f, &n);
	}
	if (!S_ISREG(st->st_mode) && !S_ISFIFO(st->st_mode))
		return 0;
	n.link = st->st_nlink > 1 ? first_name(w, st, path) : NULL;
	n.type = n.link ? '1' : S_ISFIFO(st->st_mode) ? '6' : '0';
	n.size = n.type == '0' ? (uint64_t)st->st_size : 0;
	return write_entry(w, f, &n);
}

static int visit(struct writer *w, const FTSENT *f)
{
	const char *path = f->fts_path + strlen(w->p->layer);
	char name[NAME_MAX + 8], folder[PATH_MAX];

	path += *path == '/';
	if (!*path) /* the root is nobody's entry, but it may hide what is below */
		return is_opaque(w, "") ? whiteout(w, "", OPAQUE) : 0;
	if (strlen(path) >= PATH_MAX - 2)
		return -ENAMETOOLONG;
	if (!is_whiteout(f->fts_statp))
		return write_any(w, f, path);
	snprintf(folder, sizeof(folder), "%.*s",
		(int)(f->fts_namelen < strlen(path) ? strlen(path) - f->fts_namelen - 1
						    : 0),
		path);
	snprintf(name, sizeof(name), ".wh.%s", f->fts_name);
	return whiteout(w, folder, name);
}

static int walk(struct writer *w, FTS *fts)
{
	FTSENT *f;
	int r = 0;

	while (r == 0 && (errno = 0, f = fts_read(fts))) {
		if (f->fts_info == FTS_DP)
			continue;
		r = f->fts_info == FTS_DNR || f->fts_info == FTS_ERR ||
				    f->fts_info == FTS_NS
			    ? -f->fts_errno
			    : visit(w, f);
		if (r < 0)
			return err_sys(w->e, -r, "write %s", f->fts_path);
	}
	return errno ? err_sys(w->e, errno, "read the layer") : 0;
}

int layer_write(const struct layer_places *p, struct blob *b, struct err *e)
{
	char *const roots[] = {(char *)(uintptr_t)p->layer, NULL};
	struct writer *w = calloc(1, sizeof(*w));
	FTS *fts = fts_open(roots, FTS_PHYSICAL, order);
	int r;

	if (!w || !fts) {
		r = err_set(e, ENOMEM, "out of memory");
	} else {
		w->p = p;
		w->b = b;
		w->e = e;
		r = walk(w, fts);
		if (r == 0 && (r = pax_end(b)) < 0)
			err_sys(e, -r, "write the layer");
		tdestroy(w->seen, seen_free);
	}
	if (fts)
		fts_close(fts);
	free(w);
	return r;
}

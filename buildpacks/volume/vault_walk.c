/* A folder's files in the order of a manifest: names sorted, a folder before what is in it. */
#include "buildpacks/volume/vault_inside.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#define LOST "lost+found" /* of ext4, root's */

struct level {
	int fd;
	char **names;
	size_t n, at, room;
	size_t path_len; /* of the folder itself */
};

struct vault_walk {
	struct level *levels;
	size_t depth; /* open levels */
	dev_t dev;
	bool begun, descend; /* descend: the entry told last is a folder */
	struct stat st;
	char path[VAULT_PATH_MAX];
};

int64_t vault_ns(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

enum vault_kind vault_kind_of(const struct stat *st)
{
	return S_ISREG(st->st_mode)    ? VAULT_FILE
	       : S_ISDIR(st->st_mode)  ? VAULT_DIR
	       : S_ISLNK(st->st_mode)  ? VAULT_SYMLINK
	       : S_ISFIFO(st->st_mode) ? VAULT_FIFO
	       : S_ISSOCK(st->st_mode) ? VAULT_SOCKET
				       : 0;
}

bool vault_xattr_kept(const char *name)
{
	return (strncmp(name, "user.", 5) == 0 && strlen(name) < 256) ||
	       strcmp(name, "system.posix_acl_access") == 0 ||
	       strcmp(name, "system.posix_acl_default") == 0;
}

static int add_xattr(int fd, const char *name, struct buf *out)
{
	char value[65536]; /* the kernel's most */
	ssize_t n = fgetxattr(fd, name, value, sizeof(value));
	uint32_t len = (uint32_t)n;

	if (n < 0)
		return errno == ENODATA ? 0 : -errno;
	buf_add(out, name, strlen(name) + 1);
	buf_add(out, &len, sizeof(len));
	return buf_add(out, value, len) < 0 ? -E2BIG : 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int vault_xattrs_read(int fd, struct buf *out)
{
	char names[4096];
	const char *kept[64];
	size_t n = 0;
	ssize_t len = flistxattr(fd, names, sizeof(names));
	int r = 0;

	out->max = VAULT_XATTRS_MAX;
	if (len < 0)
		return errno == EOPNOTSUPP ? 0 : errno == ERANGE ? -E2BIG : -errno;
	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(names + at) + 1)
		if (vault_xattr_kept(names + at) && n < ARRAY_LEN(kept))
			kept[n++] = names + at;
	qsort(kept, n, sizeof(*kept), by_name);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_xattr(fd, kept[i], out);
	return r;
}

/* ---- levels ---- */

static void free_level(struct level *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->names[i]);
	free(l->names);
	close(l->fd);
}

static int add_name(struct level *l, const char *name)
{
	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : 32;
		char **names = reallocarray(l->names, room, sizeof(*names));

		if (!names)
			return -ENOMEM;
		l->names = names;
		l->room = room;
	}
	l->names[l->n] = strdup(name);
	return l->names[l->n] ? (l->n++, 0) : -ENOMEM;
}

static int read_names(struct level *l, bool root)
{
	int copy = openat(l->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *n;
	int r = 0;

	if (!d)
		return -errno;
	while (r == 0 && (errno = 0, n = readdir(d)))
		if (strcmp(n->d_name, ".") != 0 && strcmp(n->d_name, "..") != 0 &&
			!(root && strcmp(n->d_name, LOST) == 0))
			r = add_name(l, n->d_name);
	if (r == 0)
		r = -errno;
	closedir(d);
	if (l->n)
		qsort(l->names, l->n, sizeof(*l->names), by_name);
	return r;
}

/* Takes fd. */
static int push(struct vault_walk *w, int fd)
{
	struct level *l = &w->levels[w->depth];
	int r;

	*l = (struct level){.fd = fd, .path_len = strlen(w->path)};
	r = read_names(l, w->depth == 0);
	if (r < 0)
		free_level(l);
	else
		w->depth++;
	return r;
}

/* Into the folder told last. */
static int descend(struct vault_walk *w, struct err *e)
{
	struct level *l = &w->levels[w->depth - 1];
	const char *name = l->names[l->at - 1];
	int fd, r;

	w->descend = false;
	if (w->depth == VAULT_DEPTH_MAX)
		return err_set(e, ELOOP, "%s: more than %u folders in each other",
			w->path, VAULT_DEPTH_MAX);
	fd = openat(l->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
			       ? 0
			       : err_sys(e, errno, "open %s", w->path);
	r = push(w, fd);
	return r < 0 ? err_sys(e, -r, "read %s", w->path) : 0;
}

struct vault_walk *vault_walk_open(int root, struct err *e)
{
	struct vault_walk *w = calloc(1, sizeof(*w));
	int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 || !w || fstat(fd, &w->st) < 0 ? -errno : 0;

	if (r == 0) {
		w->dev = w->st.st_dev;
		w->levels = calloc(VAULT_DEPTH_MAX, sizeof(*w->levels));
		r = w->levels ? push(w, TAKE_FD(fd)) : -ENOMEM;
	}
	if (r == 0)
		return w;
	err_sys(e, -r, "read the files");
	if (fd >= 0)
		close(fd);
	vault_walk_free(w);
	return NULL;
}

static int tell(struct vault_walk *w, const char *name, struct vault_seen *ret)
{
	*ret = (struct vault_seen){.path = w->path,
		.name = name,
		.parent = w->levels[w->depth - 1].fd,
		.st = w->st};
	return 1;
}

/* The next name of the deepest level. 1, 0 it has no more, 2 nothing to tell, -errno. */
static int step(struct vault_walk *w, struct vault_seen *ret, struct err *e)
{
	struct level *l = &w->levels[w->depth - 1];
	const char *name;

	w->path[l->path_len] = '\0';
	if (l->at == l->n)
		return 0;
	name = l->names[l->at++];
	if (snprintf(w->path + l->path_len, sizeof(w->path) - l->path_len, "%s%s",
		    l->path_len ? "/" : "", name) >= (int)(sizeof(w->path) - l->path_len))
		return err_set(e, ENAMETOOLONG,
			"a path below %.200s... is longer than %u bytes", w->path,
			VAULT_PATH_MAX - 1);
	if (fstatat(l->fd, name, &w->st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 2 : err_sys(e, errno, "look at %s", w->path);
	if (w->st.st_dev != w->dev) /* somebody else's */
		return 2;
	w->descend = S_ISDIR(w->st.st_mode);
	return tell(w, name, ret);
}

int vault_walk_next(struct vault_walk *w, struct vault_seen *ret, struct err *e)
{
	int r;

	if (!w->begun) {
		w->begun = true;
		return tell(w, ".", ret);
	}
	if (w->descend && (r = descend(w, e)) < 0)
		return r;
	while (w->depth > 0) {
		r = step(w, ret, e);
		if (r == 1 || r < 0)
			return r;
		if (r == 0)
			free_level(&w->levels[--w->depth]);
	}
	return 0;
}

void vault_walk_skip(struct vault_walk *w)
{
	w->descend = false;
}

void vault_walk_free(struct vault_walk *w)
{
	if (!w)
		return;
	while (w->levels && w->depth > 0)
		free_level(&w->levels[--w->depth]);
	free(w->levels);
	free(w);
}

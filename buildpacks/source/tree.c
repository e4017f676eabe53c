/* Writes a source tree from its tar stream into a folder, trusting nothing in it. */
#include "buildpacks/source/tree.h"
#include "buildpacks/source/untar.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md: a pointer is shorter than
 * 1024 bytes. */
#define LFS_MARK "version https://git-lfs.github.com/spec/v1"
#define LFS_MAX 1024

struct tree {
	const char *root_path;
	int root;
	int parent; /* the folder of the last entry, or -1 */
	bool merge;
	char parent_path[UNTAR_PATH_MAX];
	json_t *warnings;
	unsigned int n_links, n_lfs;
	struct untar_entry entry;
};

static void warn(struct tree *t, unsigned int *count, const char *fmt, const char *arg)
{
	char text[2 * UNTAR_PATH_MAX];

	if (!t->warnings || (*count)++ >= TREE_WARNINGS_MAX)
		return;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text, sizeof(text), fmt, t->entry.path, arg);
#pragma GCC diagnostic pop
	for (char *s = text; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
	json_t *value = json_string(text);
	if (!value) /* not UTF-8 */
		value = json_string("a file with a name that is not UTF-8 needs a look");
	json_array_append_new(t->warnings, value);
}

static void warn_more(struct tree *t, unsigned int count, const char *what)
{
	char text[128];

	if (!t->warnings || count <= TREE_WARNINGS_MAX)
		return;
	snprintf(text, sizeof(text), "and %u more %s", count - TREE_WARNINGS_MAX, what);
	json_array_append_new(t->warnings, json_string(text));
}

/* Opens the folder `name` in dir, making it when missing. fd or -errno (-ELOOP: it is
 * something else). */
static int enter(int dir, const char *name)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dir, name, flags);

	if (fd < 0 && errno == ENOENT) {
		if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(dir, name, flags);
	}
	if (fd < 0)
		return errno == ENOTDIR ? -ELOOP : -errno;
	return fd;
}

/* The folder at path (no trailing slash, "" the root), part by part. fd or -errno. */
static int walk(int root, const char *path)
{
	char part[256];
	int depth = 0;
	int dir = fcntl(root, F_DUPFD_CLOEXEC, 0);

	while (dir >= 0 && *path) {
		size_t len = strcspn(path, "/");
		if (++depth > TREE_DEPTH_MAX || len >= sizeof(part)) {
			close(dir);
			return -ENAMETOOLONG;
		}
		memcpy(part, path, len);
		part[len] = '\0';
		int next = enter(dir, part);
		close(dir);
		if (next < 0)
			return next;
		dir = next;
		path += len + (path[len] == '/');
	}
	return dir < 0 ? -errno : dir;
}

static int explain(const struct tree *t, int r, struct err *e)
{
	const char *path = t->entry.path;

	if (r == -ELOOP)
		return err_set(e, EPERM,
			"refused: %s lies below something that is not a folder", path);
	if (r == -EEXIST)
		return err_set(e, EEXIST, "refused: %s is in the tree twice", path);
	if (r == -ENOSPC || r == -EDQUOT)
		return err_set(e, ENOSPC, "no space left while writing %s", path);
	return err_sys(e, -r, "cannot write %s", path);
}

/* Points t->parent at the entry's folder; ret_name is the last part. The folder is kept
 * open for its siblings. */
static int open_parent(struct tree *t, const char **ret_name)
{
	const char *path = t->entry.path;
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	*ret_name = slash ? slash + 1 : path;
	if (t->parent >= 0 && strlen(t->parent_path) == len &&
		memcmp(t->parent_path, path, len) == 0)
		return 0;
	if (t->parent >= 0)
		close(TAKE_FD(t->parent));
	memcpy(t->parent_path, path, len);
	t->parent_path[len] = '\0';
	int fd = walk(t->root, t->parent_path);
	if (fd < 0)
		return fd;
	t->parent = fd;
	return 0;
}

static int copy_data(struct tree *t, struct untar *tar, int out, struct err *e)
{
	const char *data;
	size_t len;
	bool first = true;
	int r;

	while ((r = untar_read(tar, &data, &len, e)) > 0) {
		if (first && t->entry.size < LFS_MAX && len > strlen(LFS_MARK) &&
			memcmp(data, LFS_MARK, strlen(LFS_MARK)) == 0)
			warn(t, &t->n_lfs, "not fetched: %s (a Git LFS pointer%s)", "");
		first = false;
		r = io_write_all(out, data, len);
		if (r < 0)
			return explain(t, r, e);
	}
	return r;
}

static int write_file(struct tree *t, struct untar *tar, const char *name, struct err *e)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	const mode_t mode = t->entry.executable ? 0755 : 0644;
	int fd autoclose = openat(t->parent, name, flags, mode);

	if (fd < 0 && errno == EEXIST && t->merge && unlinkat(t->parent, name, 0) == 0)
		fd = openat(t->parent, name, flags, mode);
	if (fd < 0)
		return explain(t, -errno, e);
	return copy_data(t, tar, fd, e);
}

static int write_link(struct tree *t, const char *name, struct err *e)
{
	const char *target = t->entry.link;

	if (!*target)
		return err_set(
			e, EPERM, "refused: the symlink %s has no target", t->entry.path);
	if (untar_link_leaves(t->entry.path, target, t->root_path))
		warn(t, &t->n_links, "the symlink %s leads outside the app: %s", target);
	if (symlinkat(target, t->parent, name) == 0)
		return 0;
	if (errno == EEXIST && t->merge && unlinkat(t->parent, name, 0) == 0 &&
		symlinkat(target, t->parent, name) == 0)
		return 0;
	return explain(t, -errno, e);
}

static int remove_entry(struct tree *t, const char *name, struct err *e)
{
	int r = t->merge ? io_remove_tree(t->parent, name) : -EPERM;

	return r < 0 ? err_sys(e, -r, "cannot remove %s", t->entry.path) : 0;
}

static int write_entry(struct tree *t, struct untar *tar, struct err *e)
{
	const char *name;
	int r;

	if (!t->entry.path[0])
		return t->entry.type == UNTAR_DIR ? 0 : explain(t, -EEXIST, e);
	r = open_parent(t, &name);
	if (r < 0)
		return explain(t, r, e);
	switch (t->entry.type) {
	case UNTAR_FILE:
		return write_file(t, tar, name, e);
	case UNTAR_SYMLINK:
		return write_link(t, name, e);
	case UNTAR_DIR:
		r = enter(t->parent, name);
		if (r < 0)
			return explain(t, r, e);
		close(r);
		return 0;
	case UNTAR_GONE:
		return remove_entry(t, name, e);
	}
	return -EINVAL;
}

static int write_all(struct tree *t, struct untar *tar, struct err *e)
{
	int r;

	while ((r = untar_next(tar, &t->entry, e)) > 0) {
		r = write_entry(t, tar, e);
		if (r < 0)
			return r;
	}
	warn_more(t, t->n_links, "symlinks that lead outside the app");
	warn_more(t, t->n_lfs, "Git LFS pointers that were not fetched");
	return r;
}

int tree_unpack(int fd, const char *path, bool merge, json_t *warnings, struct err *e)
{
	int root autoclose = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct tree *t autofree = calloc(1, sizeof(*t));
	struct untar *tar = untar_open(fd);
	int r;

	if (root < 0)
		r = err_sys(e, errno, "cannot open %s", path);
	else if (!t || !tar)
		r = err_set(e, ENOMEM, "out of memory");
	else {
		*t = (struct tree){.root_path = path,
			.root = root,
			.parent = -1,
			.merge = merge,
			.warnings = warnings};
		r = write_all(t, tar, e);
		if (t->parent >= 0)
			close(t->parent);
	}
	untar_close(tar);
	return r;
}

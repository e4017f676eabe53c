/* What differs between two images. */
#include "buildpacks/image/image_diff.h"
#include "buildpacks/image/dpkg.h"
#include "lib/buf.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct diff {
	const char *from, *to;
	json_t *added, *removed, *changed;
	uint64_t n_added, n_removed, n_changed, bytes_added, bytes_removed;
};

/* What berthd mounts over. */
static bool is_mounted(const char *path)
{
	static const char *const tops[] = {"dev", "proc", "sys", "berth", "cache"};

	for (size_t i = 0; i < ARRAY_LEN(tops); i++)
		if (strcmp(path, tops[i]) == 0)
			return true;
	return false;
}

/* Paths are bytes; JSON is text. */
static json_t *text_of(const char *path)
{
	json_t *v = json_string(path);
	autobuf b = BUF_INIT;

	if (v)
		return v;
	for (; *path; path++)
		buf_addf(&b, (unsigned char)*path < 0x80 ? "%c" : "\\x%02x",
			(unsigned char)*path);
	return json_string(b.data ? b.data : "?");
}

static uint64_t size_of(const struct stat *st)
{
	return S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
}

static void note(json_t *list, const char *path, const struct stat *st)
{
	if (json_array_size(list) < IMAGE_DIFF_NAMED)
		json_array_append_new(list, json_pack("{s:o, s:I}", "path", text_of(path),
						    "size", (json_int_t)size_of(st)));
}

static bool same_bytes(const char *a, const char *b)
{
	static char x[65536], y[65536];
	int fa autoclose = open(a, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int fb autoclose = open(b, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n, m;

	if (fa < 0 || fb < 0)
		return false;
	do {
		n = read(fa, x, sizeof(x));
		m = read(fb, y, sizeof(y));
		if (n != m || n < 0 || memcmp(x, y, (size_t)n) != 0)
			return false;
	} while (n > 0);
	return true;
}

static bool same_link(const char *a, const char *b)
{
	char x[PATH_MAX], y[PATH_MAX];
	ssize_t n = readlink(a, x, sizeof(x)), m = readlink(b, y, sizeof(y));

	return n >= 0 && n == m && memcmp(x, y, (size_t)n) == 0;
}

static bool same(const char *a, const struct stat *x, const char *b, const struct stat *y)
{
	if (x->st_mode != y->st_mode || x->st_uid != y->st_uid || x->st_gid != y->st_gid)
		return false;
	if (S_ISLNK(x->st_mode))
		return same_link(a, b);
	if (!S_ISREG(x->st_mode))
		return true;
	if (x->st_size != y->st_size)
		return false;
	return x->st_ino == y->st_ino || same_bytes(a, b);
}

static void compare(struct diff *d, const FTSENT *f, const char *path)
{
	char other[PATH_MAX];
	const struct stat *x = f->fts_statp;
	struct stat y;

	if (snprintf(other, sizeof(other), "%s/%s", d->to, path) >= (int)sizeof(other))
		return;
	if (lstat(other, &y) < 0) {
		d->n_removed++;
		d->bytes_removed += size_of(x);
		note(d->removed, path, x);
		return;
	}
	if (same(f->fts_accpath, x, other, &y))
		return;
	d->n_changed++;
	if (json_array_size(d->changed) < IMAGE_DIFF_NAMED)
		json_array_append_new(d->changed,
			json_pack("{s:o, s:I, s:I}", "path", text_of(path), "from",
				(json_int_t)size_of(x), "to", (json_int_t)size_of(&y)));
}

static void look_for(struct diff *d, const FTSENT *f, const char *path)
{
	char other[PATH_MAX];
	struct stat y;

	if (snprintf(other, sizeof(other), "%s/%s", d->from, path) >=
			(int)sizeof(other) ||
		lstat(other, &y) == 0)
		return;
	d->n_added++;
	d->bytes_added += size_of(f->fts_statp);
	note(d->added, path, f->fts_statp);
}

static int order(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int walk(struct diff *d, const char *root,
	void (*visit)(struct diff *d, const FTSENT *f, const char *path), struct err *e)
{
	char *const roots[] = {(char *)(uintptr_t)root, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL, order);
	FTSENT *f;

	if (!fts)
		return err_sys(e, errno, "read %s", root);
	while ((errno = 0, f = fts_read(fts))) {
		const char *path = f->fts_path + strlen(root);

		path += *path == '/';
		if (f->fts_info == FTS_DP || !*path)
			continue;
		if (is_mounted(path)) {
			fts_set(fts, f, FTS_SKIP);
			continue;
		}
		visit(d, f, path);
	}
	int r = errno ? err_sys(e, errno, "read %s", root) : 0;
	fts_close(fts);
	return r;
}

/* ---- packages ---- */

static json_t *compare_packages(const char *from, const char *to)
{
	json_t *a = dpkg_packages(from), *b = dpkg_packages(to), *v;
	json_t *added = json_array(), *removed = json_array(), *changed = json_array();
	const char *name;

	json_object_foreach (a, name, v) {
		json_t *w = json_object_get(b, name);

		if (!w)
			json_array_append_new(removed,
				json_pack("{s:s, s:O}", "name", name, "version", v));
		else if (!json_equal(v, w))
			json_array_append_new(
				changed, json_pack("{s:s, s:O, s:O}", "name", name,
						 "from", v, "to", w));
	}
	json_object_foreach (b, name, v)
		if (!json_object_get(a, name))
			json_array_append_new(added,
				json_pack("{s:s, s:O}", "name", name, "version", v));
	json_decref(a);
	json_decref(b);
	return json_pack("{s:o, s:o, s:o}", "added", added, "removed", removed, "changed",
		changed);
}

int image_diff(const char *from, const char *to, json_t **ret, struct err *e)
{
	struct diff d = {.from = from,
		.to = to,
		.added = json_array(),
		.removed = json_array(),
		.changed = json_array()};
	int r = walk(&d, from, compare, e);

	if (r == 0)
		r = walk(&d, to, look_for, e);
	json_t *files = json_pack("{s:o, s:o, s:o, s:{s:I, s:I, s:I}, s:{s:I, s:I}}",
		"added", d.added, "removed", d.removed, "changed", d.changed, "counts",
		"added", (json_int_t)d.n_added, "removed", (json_int_t)d.n_removed,
		"changed", (json_int_t)d.n_changed, "bytes", "added",
		(json_int_t)d.bytes_added, "removed", (json_int_t)d.bytes_removed);
	if (r < 0) {
		json_decref(files);
		return r;
	}
	*ret = json_pack(
		"{s:o, s:o}", "files", files, "packages", compare_packages(from, to));
	return *ret ? 0 : err_set(e, ENOMEM, "out of memory");
}

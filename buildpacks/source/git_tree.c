/* The files of a tree by their paths, and git's tree objects of them. */
#include "buildpacks/source/git_tree.h"
#include "lib/buf.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FIRST_ROOM 256u

/* ---- paths ---- */

/* CVE-2014-9390 and its kin: git's own check, after the push, knows more spellings. */
static bool is_git(const char *s, size_t len)
{
	return (len == 4 && strncasecmp(s, ".git", 4) == 0) ||
	       (len == 5 && strncasecmp(s, "git~1", 5) == 0);
}

int git_tree_check(const char *path, struct err *e)
{
	size_t depth = 0;

	if (strlen(path) > GIT_TREE_PATH_MAX)
		return err_set(e, E2BIG,
			"refused: a path of %zu bytes, at most %u: %.60s...",
			strlen(path), GIT_TREE_PATH_MAX, path);
	for (const char *s = path; *s; s += *s == '/') {
		size_t len = strcspn(s, "/");

		if (is_git(s, len))
			return err_set(e, EPERM,
				"refused: the path %.200s has a part named .git; a "
				"commit cannot hold git's own folder",
				path);
		if (len > GIT_TREE_PART_MAX)
			return err_set(e, E2BIG,
				"refused: a name of %zu bytes, at most %u: %.60s...", len,
				GIT_TREE_PART_MAX, s);
		if (++depth > GIT_TREE_DEPTH_MAX)
			return err_set(e, E2BIG,
				"refused: folders are nested more than %u deep at "
				"%.60s...",
				GIT_TREE_DEPTH_MAX, path);
		s += len;
	}
	return 0;
}

static uint64_t hash(const char *path)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */

	for (; *path; path++)
		h = (h ^ (unsigned char)*path) * 1099511628211u;
	return h;
}

static size_t place(const struct git_tree *t, const char *path)
{
	size_t at = hash(path) & (t->n_index - 1);

	while (t->index[at] && strcmp(t->files[t->index[at] - 1].path, path) != 0)
		at = (at + 1) & (t->n_index - 1);
	return at;
}

static int grow(struct git_tree *t)
{
	size_t room = t->room ? t->room * 2 : FIRST_ROOM;
	struct git_file *files = reallocarray(t->files, room, sizeof(*files));

	if (!files)
		return -ENOMEM;
	t->files = files;
	t->room = room;
	free(t->index);
	t->n_index = 0;
	t->index = calloc(room * 2, sizeof(*t->index));
	if (!t->index)
		return -ENOMEM;
	t->n_index = room * 2;
	for (size_t i = 0; i < t->n; i++)
		t->index[place(t, t->files[i].path)] = (uint32_t)i + 1;
	return 0;
}

int git_tree_put(struct git_tree *t, const char *path, enum git_mode mode,
	const uint8_t oid[GIT_OID])
{
	if (t->n == t->room && grow(t) < 0)
		return -ENOMEM;
	size_t at = place(t, path);
	if (!t->index[at]) {
		char *copy = strdup(path);

		if (!copy)
			return -ENOMEM;
		t->files[t->n++].path = copy;
		t->index[at] = (uint32_t)t->n;
	}
	struct git_file *f = &t->files[t->index[at] - 1];
	f->mode = mode;
	memcpy(f->oid, oid, GIT_OID);
	return 0;
}

const struct git_file *git_tree_find(const struct git_tree *t, const char *path)
{
	size_t at = t->n_index ? place(t, path) : 0;

	return t->n_index && t->index[at] ? &t->files[t->index[at] - 1] : NULL;
}

char *git_tree_strip(struct git_tree *t)
{
	size_t len = t->n ? strcspn(t->files[0].path, "/") + 1 : 0;

	for (size_t i = 0; i < t->n; i++)
		if (strncmp(t->files[i].path, t->files[0].path, len) != 0 ||
			t->files[i].path[len - 1] != '/')
			return NULL;
	if (!t->n)
		return NULL;
	char *top = strndup(t->files[0].path, len - 1);
	for (size_t i = 0; top && i < t->n; i++)
		memmove(t->files[i].path, t->files[i].path + len,
			strlen(t->files[i].path + len) + 1);
	return top;
}

/* ---- tree objects ---- */

struct item {
	const char *name;
	size_t len;
	unsigned int mode;
	uint8_t oid[GIT_OID];
};

/* A folder that is not complete yet. */
struct level {
	struct item *items;
	size_t n, room;
};

struct writer {
	struct git_pack *pack;
	struct err *e;
	const char *path; /* of the file before */
	size_t depth;	  /* levels in use, less the root */
	struct level levels[GIT_TREE_DEPTH_MAX + 1];
};

/* A folder's files before its neighbours: a slash counts less than any other byte. */
static int by_path(const void *a, const void *b)
{
	const unsigned char
		*x = (const unsigned char *)((const struct git_file *)a)->path,
		*y = (const unsigned char *)((const struct git_file *)b)->path;

	while (*x && *x == *y)
		x++, y++;
	int c = *x == '/' ? 1 : *x ? *x + 1 : 0, d = *y == '/' ? 1 : *y ? *y + 1 : 0;
	return c - d;
}

/* git's base_name_compare: a folder's name ends with a slash. */
static int by_name(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	size_t len = x->len < y->len ? x->len : y->len;
	int r = memcmp(x->name, y->name, len);

	if (r)
		return r;
	int c = x->len > len ? (unsigned char)x->name[len] : x->mode == 040000 ? '/' : 0;
	int d = y->len > len ? (unsigned char)y->name[len] : y->mode == 040000 ? '/' : 0;
	return c - d;
}

static int add(struct writer *w, size_t depth, const struct item *item)
{
	struct level *l = &w->levels[depth];

	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : 16;
		struct item *items = reallocarray(l->items, room, sizeof(*items));

		if (!items)
			return err_set(w->e, ENOMEM, "out of memory");
		l->items = items;
		l->room = room;
	}
	l->items[l->n++] = *item;
	return 0;
}

/* The folder's object; it is empty afterwards. */
static int close_level(struct writer *w, size_t depth, uint8_t ret[GIT_OID])
{
	struct level *l = &w->levels[depth];
	autobuf b = BUF_INIT;

	qsort(l->items, l->n, sizeof(*l->items), by_name);
	for (size_t i = 0; i < l->n; i++) {
		buf_addf(&b, "%o %.*s", l->items[i].mode, (int)l->items[i].len,
			l->items[i].name);
		buf_add(&b, "", 1);
		buf_add(&b, l->items[i].oid, GIT_OID);
	}
	l->n = 0;
	int r = b.failed ? -ENOMEM
			 : git_pack_object(w->pack, GIT_TREE, b.data, b.len, ret);
	return r < 0 ? err_sys(w->e, -r, "write a folder of the commit") : 0;
}

/* Part number n of the path. */
static const char *part(const char *path, size_t n, size_t *ret_len)
{
	for (; n > 0; n--)
		path = strchr(path, '/') + 1;
	*ret_len = strcspn(path, "/");
	return path;
}

static int leave(struct writer *w, size_t depth)
{
	while (w->depth > depth) {
		struct item folder = {.mode = 040000};
		int r = close_level(w, w->depth, folder.oid);

		folder.name = part(w->path, --w->depth, &folder.len);
		if (r == 0)
			r = add(w, w->depth, &folder);
		if (r < 0)
			return r;
	}
	return 0;
}

/* How many folders two paths have in common. */
static size_t common(const char *a, const char *b)
{
	size_t n = 0;

	for (; *a && *a == *b; a++, b++)
		n += *a == '/';
	return n;
}

static size_t folders(const char *path)
{
	size_t n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

static int put_file(struct writer *w, const struct git_file *f)
{
	struct item item = {.mode = f->mode};
	size_t shared = w->path ? common(w->path, f->path) : 0;
	int r = leave(w, shared);

	if (r < 0)
		return r;
	/* In this order what a folder's files follow is the file of its name. */
	const struct level *l = &w->levels[shared];
	const char *next = part(f->path, shared, &item.len);
	if (l->n && l->items[l->n - 1].len == item.len &&
		memcmp(l->items[l->n - 1].name, next, item.len) == 0)
		return err_set(w->e, EPERM,
			"refused: %.200s lies below something that is not a folder",
			f->path);
	w->depth = folders(f->path);
	item.name = part(f->path, w->depth, &item.len);
	memcpy(item.oid, f->oid, GIT_OID);
	w->path = f->path;
	return add(w, w->depth, &item);
}

int git_tree_write(
	struct git_tree *t, struct git_pack *p, uint8_t ret[GIT_OID], struct err *e)
{
	struct writer *w autofree = calloc(1, sizeof(*w));
	int r = 0;

	if (!w)
		return err_set(e, ENOMEM, "out of memory");
	w->pack = p;
	w->e = e;
	if (t->n)
		qsort(t->files, t->n, sizeof(*t->files), by_path);
	for (size_t i = 0; r == 0 && i < t->n; i++)
		r = put_file(w, &t->files[i]);
	if (r == 0)
		r = leave(w, 0);
	if (r == 0)
		r = close_level(w, 0, ret);
	for (size_t i = 0; i < ARRAY_LEN(w->levels); i++)
		free(w->levels[i].items);
	return r;
}

void git_tree_free(struct git_tree *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->files[i].path);
	free(t->files);
	free(t->index);
	*t = (struct git_tree){0};
}

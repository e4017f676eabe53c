/* A commit's tree as a tar stream, and single files of a commit, straight from the git
 * objects. */
#include "receiver/source.h"

#include "lib/tar.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define LFS_POINTER "version https://git-lfs.github.com/spec/v1\n"
#define LFS_POINTER_MAX 1024 /* the LFS specification's own limit */

enum part { OUT, BELOW, WHOLE };

struct level {
	git_tree *tree;
	git_tree *base; /* what is compared with; NULL: all of this is new */
	size_t next, count;
	size_t path_len; /* of the folder, its slash included */
	bool all; /* a filter named this folder itself: everything below is taken */
};

struct walk {
	git_repository *repo;
	git_odb *odb;
	const struct source_filter *filter;
	const char **files; /* the filter's, sorted; NULL: everything */
	struct source_report *report;
	struct tar tar;
	bool counting; /* nothing is written */
	struct err *e;
	size_t depth;
	char path[SOURCE_PATH_MAX + 2];
	struct level levels[SOURCE_DEPTH_MAX];
};

static int git_fail(struct err *e, int rc, const char *what)
{
	const git_error *g = git_error_last();

	return err_set(e, rc == GIT_ENOTFOUND ? ENOENT : EIO, "%s: %s", what,
		g && g->message ? g->message : "unknown git error");
}

void source_report_free(struct source_report *r)
{
	for (size_t i = 0; i < SOURCE_NOTES_MAX; i++) {
		free(r->submodules[i]);
		free(r->lfs[i]);
	}
	*r = (struct source_report){0};
}

int source_open(const char *path, git_repository **ret, struct err *e)
{
	int rc = git_libgit2_init();

	if (rc < 0)
		return git_fail(e, rc, "cannot start libgit2");
	/* Repositories are the ssh user's; and receive-pack has already checked every
	 * object it stored. */
	git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
	git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 0);
	rc = git_repository_open_ext(ret, path,
		GIT_REPOSITORY_OPEN_NO_SEARCH | GIT_REPOSITORY_OPEN_BARE, NULL);
	if (rc < 0)
		return git_fail(e, rc, "cannot open the repository");
	return 0;
}

int source_commit(git_repository *repo, const char *hex, git_oid *ret_tree,
	int64_t *ret_time_s, struct err *e)
{
	git_object *any = NULL, *commit = NULL;
	git_oid id;
	int rc;

	if (strlen(hex) != GIT_OID_HEXSZ || git_oid_fromstr(&id, hex) < 0)
		return err_set(e, EINVAL, "'%.60s' is not a commit id", hex);
	rc = git_object_lookup(&any, repo, &id, GIT_OBJECT_ANY);
	if (rc < 0)
		return git_fail(e, rc, "cannot read the commit");
	rc = git_object_peel(&commit, any, GIT_OBJECT_COMMIT);
	git_object_free(any);
	if (rc < 0)
		return err_set(e, ENOENT, "%s is not a commit", hex);
	if (ret_tree)
		git_oid_cpy(ret_tree, git_commit_tree_id((git_commit *)commit));
	if (ret_time_s)
		*ret_time_s = git_commit_time((git_commit *)commit);
	git_object_free(commit);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, so that many files in many folders cost no more than their logarithm. */
static int sort_filter(struct walk *w)
{
	const struct source_filter *f = w->filter;

	if (!f || !f->files)
		return 0;
	w->files = calloc(f->n_files + 1, sizeof(*w->files));
	if (!w->files)
		return err_set(w->e, ENOMEM, "out of memory");
	memcpy(w->files, f->files, f->n_files * sizeof(*w->files));
	qsort(w->files, f->n_files, sizeof(*w->files), by_name);
	return 0;
}

/* The first of the filter that is not before key, or NULL. */
static const char *first_from(const struct walk *w, const char *key)
{
	size_t low = 0, high = w->filter->n_files;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(w->files[middle], key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return w->files[low];
}

/* Which part of the filter a path meets: nothing, something below it, the path itself (or
 * a folder above). */
static enum part wanted(const struct walk *w, const char *path, bool all)
{
	char folder[SOURCE_PATH_MAX + 2];

	if (all || !w->files)
		return WHOLE;
	const char *f = first_from(w, path);
	if (f && strcmp(f, path) == 0)
		return WHOLE;
	int len = snprintf(folder, sizeof(folder), "%s/", path);
	f = first_from(w, folder);
	return f && strncmp(f, folder, (size_t)len) == 0 ? BELOW : OUT;
}

static int check_name(const struct walk *w, const char *name)
{
	if (*name && !strchr(name, '/') && strcmp(name, ".") != 0 &&
		strcmp(name, "..") != 0 && strcasecmp(name, ".git") != 0)
		return 0;
	return err_set(w->e, EINVAL,
		"the commit has a file or folder named '%s%s', which no file may be "
		"called",
		w->path, name);
}

/* One name twice (a link and a folder) would let the folder's files be written through
 * the link. */
static int check_twice(const struct walk *w, const git_tree *tree, size_t count)
{
	const char **names autofree = NULL;
	bool sorted = true;

	if (count < 2)
		return 0;
	names = reallocarray(NULL, count, sizeof(*names));
	if (!names)
		return err_set(w->e, ENOMEM, "out of memory");
	for (size_t i = 0; i < count; i++) {
		names[i] = git_tree_entry_name(git_tree_entry_byindex(tree, i));
		sorted = sorted && (i == 0 || strcmp(names[i - 1], names[i]) < 0);
	}
	if (sorted)
		return 0;
	qsort(names, count, sizeof(*names), by_name);
	for (size_t i = 1; i < count; i++)
		if (strcmp(names[i - 1], names[i]) == 0)
			return err_set(w->e, EINVAL, "the commit has '%s%s' twice",
				w->path, names[i]);
	return 0;
}

/* put_entry has checked that it fits, with room for a slash. */
static void append(struct walk *w, const char *s)
{
	size_t len = strlen(w->path);

	snprintf(w->path + len, sizeof(w->path) - len, "%s", s);
}

static int write_failed(const struct walk *w, int r)
{
	return r == -EPIPE ? err_set(w->e, EPIPE,
				     "the build went away while it was sent the source")
			   : err_sys(w->e, -r, "cannot send the source to the build");
}

static bool is_folder(const git_tree_entry *entry)
{
	return git_tree_entry_filemode(entry) == GIT_FILEMODE_TREE;
}

/* What stands in a folder for an entry of the base must not be there any more: nothing, or a file for a folder. */
static bool is_gone(const git_tree *now, const git_tree_entry *base)
{
	const git_tree_entry *entry =
		git_tree_entry_byname(now, git_tree_entry_name(base));

	if (git_tree_entry_filemode(base) == GIT_FILEMODE_COMMIT)
		return false;
	return !entry || git_tree_entry_filemode(entry) == GIT_FILEMODE_COMMIT ||
	       is_folder(entry) != is_folder(base);
}

/* First of all in a folder, so that a file may follow in the place of a folder. */
static int put_gone(struct walk *w, const struct level *l)
{
	size_t count = git_tree_entrycount(l->base);
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		const git_tree_entry *entry = git_tree_entry_byindex(l->base, i);

		if (!is_gone(l->tree, entry))
			continue;
		w->report->gone++;
		append(w, git_tree_entry_name(entry));
		if (!w->counting)
			r = tar_gone(&w->tar, w->path);
		w->path[l->path_len] = 0;
	}
	return r < 0 ? write_failed(w, r) : 0;
}

static void level_free(struct level *l)
{
	git_tree_free(TAKE_PTR(l->tree));
	git_tree_free(TAKE_PTR(l->base));
}

/* base: the folder that it is compared with, or NULL. */
static int enter(struct walk *w, const git_oid *id, const git_oid *base, bool all)
{
	struct level *l = &w->levels[w->depth];
	int rc;

	if (w->depth == SOURCE_DEPTH_MAX)
		return err_set(w->e, E2BIG,
			"folders are nested more than %d deep at '%.200s'",
			SOURCE_DEPTH_MAX, w->path);
	l->base = NULL;
	rc = git_tree_lookup(&l->tree, w->repo, id);
	if (rc == 0 && base && (rc = git_tree_lookup(&l->base, w->repo, base)) < 0)
		git_tree_free(TAKE_PTR(l->tree));
	if (rc < 0)
		return git_fail(w->e, rc, "cannot read a folder of the commit");
	w->depth++;
	l->next = 0;
	l->count = git_tree_entrycount(l->tree);
	l->path_len = strlen(w->path);
	l->all = all;
	int r = check_twice(w, l->tree, l->count);
	return r == 0 && l->base ? put_gone(w, l) : r;
}

static void note(char *list[], unsigned int *n, const char *path)
{
	if (*n < SOURCE_NOTES_MAX)
		list[*n] = strdup(path);
	(*n)++;
}

static int size_check(struct walk *w, const git_oid *id)
{
	size_t size;
	git_object_t type;
	int rc = git_odb_read_header(&size, &type, w->odb, id);

	if (rc < 0)
		return git_fail(w->e, rc, "cannot read a file of the commit");
	if (type != GIT_OBJECT_BLOB)
		return err_set(w->e, EINVAL, "'%s' is not stored as a file", w->path);
	if (size > SOURCE_BLOB_MAX)
		return err_set(w->e, E2BIG,
			"'%s' is larger than %u MB; keep such files in a volume", w->path,
			(unsigned int)(SOURCE_BLOB_MAX >> 20));
	w->report->bytes += size;
	if (w->report->bytes > SOURCE_TOTAL_MAX)
		return err_set(w->e, E2BIG,
			"the files of the commit add up to more than %u GB",
			(unsigned int)(SOURCE_TOTAL_MAX >> 30));
	return 0;
}

static int put_link(struct walk *w, const char *target, size_t size)
{
	if (size == 0 || size > SOURCE_PATH_MAX || memchr(target, 0, size))
		return err_set(w->e, EINVAL,
			"the symbolic link '%s' has no usable target", w->path);
	return tar_link(&w->tar, w->path, target, size);
}

static int put_blob(struct walk *w, const git_tree_entry *entry, git_filemode_t mode)
{
	git_odb_object *blob = NULL;
	const char *data;
	size_t size;
	int r = size_check(w, git_tree_entry_id(entry));

	if (r < 0 || w->counting)
		return r;
	r = git_odb_read(&blob, w->odb, git_tree_entry_id(entry));
	if (r < 0)
		return git_fail(w->e, r, "cannot read a file of the commit");
	data = git_odb_object_data(blob);
	size = git_odb_object_size(blob);
	if (mode == GIT_FILEMODE_LINK)
		r = put_link(w, data, size);
	else
		r = tar_file(&w->tar, w->path, mode == GIT_FILEMODE_BLOB_EXECUTABLE, data,
			size);
	if (size <= LFS_POINTER_MAX && size > strlen(LFS_POINTER) &&
		mode != GIT_FILEMODE_LINK &&
		memcmp(data, LFS_POINTER, strlen(LFS_POINTER)) == 0)
		note(w->report->lfs, &w->report->n_lfs, w->path);
	git_odb_object_free(blob);
	return r == -EINVAL ? r : r < 0 ? write_failed(w, r) : 0;
}

/* base: the folder of the same name, or NULL. */
static int put_folder(
	struct walk *w, const git_tree_entry *entry, const git_tree_entry *base, bool all)
{
	int r = 0;

	append(w, "/");
	if (!w->counting && !base)
		r = tar_folder(&w->tar, w->path);
	if (r < 0)
		return write_failed(w, r);
	return enter(
		w, git_tree_entry_id(entry), base ? git_tree_entry_id(base) : NULL, all);
}

static int put_entry(struct walk *w, const struct level *l, const git_tree_entry *entry)
{
	const char *name = git_tree_entry_name(entry);
	git_filemode_t mode = git_tree_entry_filemode(entry);
	enum part part;
	int r = check_name(w, name);

	if (r < 0)
		return r;
	if (l->path_len + strlen(name) > SOURCE_PATH_MAX)
		return err_set(w->e, E2BIG, "a path is longer than %d bytes: '%.200s…'",
			SOURCE_PATH_MAX, w->path);
	append(w, name);
	part = wanted(w, w->path, l->all);
	if (part == OUT || (part == BELOW && mode != GIT_FILEMODE_TREE))
		return 0;
	const git_tree_entry *base =
		l->base ? git_tree_entry_byname(l->base, name) : NULL;
	if (base && git_tree_entry_filemode(base) == mode &&
		git_oid_equal(git_tree_entry_id(base), git_tree_entry_id(entry)))
		return 0;
	if (++w->report->entries > SOURCE_ENTRIES_MAX)
		return err_set(w->e, E2BIG, "the commit has more than %d files",
			SOURCE_ENTRIES_MAX);
	if (mode == GIT_FILEMODE_TREE)
		return put_folder(
			w, entry, base && is_folder(base) ? base : NULL, part == WHOLE);
	if (mode == GIT_FILEMODE_COMMIT) {
		note(w->report->submodules, &w->report->n_submodules, w->path);
		return 0;
	}
	return put_blob(w, entry, mode);
}

static int walk_all(struct walk *w, const git_oid *root)
{
	int r = enter(w, root, w->filter ? w->filter->base : NULL, false);

	while (r == 0 && w->depth > 0) {
		struct level *l = &w->levels[w->depth - 1];

		w->path[l->path_len] = 0;
		if (l->next < l->count) {
			r = put_entry(w, l, git_tree_entry_byindex(l->tree, l->next++));
			continue;
		}
		level_free(l);
		w->depth--;
	}
	while (w->depth > 0)
		level_free(&w->levels[--w->depth]);
	return r;
}

/* The tree of a tree or a commit. */
static int root_of(git_repository *repo, const git_oid *id, git_oid *ret, struct err *e)
{
	git_object *any = NULL, *tree = NULL;
	int rc = git_object_lookup(&any, repo, id, GIT_OBJECT_ANY);

	if (rc == 0)
		rc = git_object_peel(&tree, any, GIT_OBJECT_TREE);
	if (rc == 0)
		git_oid_cpy(ret, git_object_id(tree));
	git_object_free(tree);
	git_object_free(any);
	return rc < 0 ? git_fail(e, rc, "cannot read the commit") : 0;
}

int source_stream(git_repository *repo, const git_oid *tree, int fd,
	const struct source_filter *f, struct source_report *ret, struct err *e)
{
	struct source_report own = {0};
	struct walk *w autofree = calloc(1, sizeof(*w));
	git_oid root;
	int r = root_of(repo, tree, &root, e);

	if (!w)
		return err_set(e, ENOMEM, "out of memory");
	if (r < 0)
		return r;
	r = git_repository_odb(&w->odb, repo);
	if (r < 0)
		return git_fail(e, r, "cannot read the repository");
	w->repo = repo;
	w->filter = f;
	w->report = ret ? ret : &own;
	w->e = e;
	w->counting = fd < 0;
	r = tar_open(&w->tar, fd, f ? f->mtime_s : 0);
	if (r < 0)
		err_sys(e, -r, "cannot send the source");
	else
		r = sort_filter(w);
	if (r == 0)
		r = walk_all(w, &root);
	if (r == 0 && !w->counting && (r = tar_end(&w->tar)) < 0)
		write_failed(w, r);
	free(w->files);
	tar_free(&w->tar);
	git_odb_free(w->odb);
	source_report_free(&own);
	return r;
}

/* Appends a blob of at most max bytes; its size is known before its content is read. */
static int read_blob(git_repository *repo, const git_oid *id, size_t max,
	const char *path, struct buf *out, struct err *e)
{
	git_odb *odb = NULL;
	git_odb_object *blob = NULL;
	size_t size = 0;
	git_object_t type;
	int rc = git_repository_odb(&odb, repo), r = 0;

	if (rc == 0)
		rc = git_odb_read_header(&size, &type, odb, id);
	if (rc == 0 && size <= max)
		rc = git_odb_read(&blob, odb, id);
	if (rc < 0)
		r = git_fail(e, rc, path);
	else if (!blob)
		r = err_set(e, EFBIG, "'%s' is larger than %zu bytes", path, max);
	else if (buf_add(out, git_odb_object_data(blob), git_odb_object_size(blob)) < 0)
		r = err_set(e, ENOMEM, "out of memory");
	git_odb_object_free(blob);
	git_odb_free(odb);
	return r;
}

int source_file(git_repository *repo, const git_oid *tree, const char *path, size_t max,
	struct buf *out, struct err *e)
{
	git_tree *t = NULL;
	git_tree_entry *entry = NULL;
	git_oid root;
	int rc, r = root_of(repo, tree, &root, e);

	if (r < 0)
		return r;
	rc = git_tree_lookup(&t, repo, &root);
	if (rc == 0)
		rc = git_tree_entry_bypath(&entry, t, path);
	if (rc == 0 && (git_tree_entry_filemode(entry) & 0170000) != 0100000)
		rc = GIT_ENOTFOUND;
	if (rc == GIT_ENOTFOUND)
		r = err_set(e, ENOENT, "the commit has no file '%s'", path);
	else if (rc < 0)
		r = git_fail(e, rc, path);
	else
		r = read_blob(repo, git_tree_entry_id(entry), max, path, out, e);
	git_tree_entry_free(entry);
	git_tree_free(t);
	return r;
}

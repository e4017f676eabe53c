/* The files that COPY and ADD may take. */
#include "buildpacks/dockerfile/docker_context.h"
#include "lib/io.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX 130 /* receiver/source.h allows 128 */
#define LINKS_MAX 40
#define IGNORE_FILE ".dockerignore"

/* In the order of a walk: what lies below a folder follows it, up to `end`. */
struct entry {
	char *path;
	size_t name; /* where its last part begins */
	size_t end;
	enum { IS_FILE, IS_DIR, IS_LINK } type;
	bool ignored;	  /* itself */
	bool any_ignored; /* itself or something below */
};

struct docker_context {
	int root;
	struct dockerignore ignore;
	struct entry *list; /* the first one is the tree itself, path "" */
	size_t n;
};

/* ---- reading it ---- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_names(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

/* The names in a folder, sorted. How many, or -errno. */
static ssize_t read_names(int root, const char *path, char ***ret)
{
	int fd = openat(root, *path ? path : ".",
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	char **names = NULL;
	size_t n = 0;

	*ret = NULL;
	if (!d)
		return -errno;
	for (const struct dirent *entry; (entry = readdir(d));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if ((n & (n - 1)) == 0) {
			char **more = reallocarray(names, n ? n * 2 : 1, sizeof(*more));
			if (!more)
				break;
			names = more;
		}
		names[n] = strdup(entry->d_name);
		if (!names[n])
			break;
		n++;
	}
	closedir(d);
	qsort(names, n, sizeof(*names), compare_names);
	*ret = names;
	return (ssize_t)n;
}

static struct entry *add_entry(
	struct docker_context *c, const char *folder, const char *name)
{
	char *path = NULL;

	if (c->n >= DOCKER_CONTEXT_MAX)
		return NULL;
	if ((c->n & (c->n - 1)) == 0) {
		struct entry *more =
			reallocarray(c->list, c->n ? c->n * 2 : 1, sizeof(*more));
		if (!more)
			return NULL;
		c->list = more;
	}
	if (asprintf(&path, "%s%s%s", folder, *folder ? "/" : "", name) < 0)
		return NULL;
	struct entry *e = &c->list[c->n++];
	*e = (struct entry){.path = path, .name = strlen(path) - strlen(name)};
	return e;
}

static int set_type(struct docker_context *c, struct entry *e)
{
	struct stat st;

	if (fstatat(c->root, e->path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	e->type = S_ISDIR(st.st_mode) ? IS_DIR : S_ISLNK(st.st_mode) ? IS_LINK : IS_FILE;
	return 0;
}

/* One folder that is being read. */
struct frame {
	char **names;
	size_t n, at;
	size_t index; /* of its entry */
};

static int push(
	struct docker_context *c, struct frame *stack, unsigned int *depth, size_t index)
{
	if (*depth == DEPTH_MAX)
		return -ENAMETOOLONG;
	struct frame *f = &stack[*depth];
	ssize_t n = read_names(c->root, c->list[index].path, &f->names);
	if (n < 0)
		return (int)n;
	f->n = (size_t)n;
	f->at = 0;
	f->index = index;
	(*depth)++;
	return 0;
}

static void pop(struct docker_context *c, struct frame *stack, unsigned int *depth)
{
	struct frame *f = &stack[--*depth];

	c->list[f->index].end = c->n;
	if (*depth > 0 && c->list[f->index].any_ignored)
		c->list[stack[*depth - 1].index].any_ignored = true;
	free_names(f->names, f->n);
}

static int read_next(struct docker_context *c, struct frame *stack, unsigned int *depth)
{
	struct frame *f = &stack[*depth - 1];
	char *name = f->names[f->at++];
	struct entry *e = add_entry(c, c->list[f->index].path, name);

	if (!e)
		return c->n >= DOCKER_CONTEXT_MAX ? -E2BIG : -ENOMEM;
	int r = set_type(c, e);
	if (r < 0)
		return r;
	const struct entry *above = &c->list[f->index];
	e->ignored = (above->ignored && !c->ignore.any_keeps) ||
		     (c->ignore.n && dockerignore_matches(&c->ignore, e->path));
	e->any_ignored = e->ignored;
	e->end = c->n;
	if (e->ignored)
		c->list[f->index].any_ignored = true;
	return e->type == IS_DIR ? push(c, stack, depth, c->n - 1) : 0;
}

static int read_tree(struct docker_context *c)
{
	struct frame *stack autofree = calloc(DEPTH_MAX, sizeof(*stack));
	struct entry *top = stack ? add_entry(c, "", "") : NULL;
	unsigned int depth = 0;

	if (!top)
		return -ENOMEM;
	top->type = IS_DIR;
	int r = push(c, stack, &depth, 0);
	while (depth > 0) {
		if (r == 0 && stack[depth - 1].at < stack[depth - 1].n)
			r = read_next(c, stack, &depth);
		else
			pop(c, stack, &depth);
	}
	return r;
}

static int read_ignore(struct docker_context *c, struct err *e)
{
	autobuf text = {.max = DOCKERIGNORE_MAX + 1};
	int fd autoclose = openat(
		c->root, IGNORE_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return 0;
	int r = io_read_all(fd, &text);
	if (r < 0)
		return err_sys(e, -r, "cannot read " IGNORE_FILE);
	return dockerignore_parse(&c->ignore, text.data ? text.data : "", text.len, e);
}

int docker_context_open(const char *path, struct docker_context **ret, struct err *e)
{
	struct docker_context *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(e, ENOMEM, "out of memory");
	c->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = c->root < 0 ? err_sys(e, errno, "cannot open %s", path)
			    : read_ignore(c, e);
	if (r == 0 && (r = read_tree(c)) < 0)
		err_sys(e, -r, "cannot read the files for COPY");
	if (r < 0)
		docker_context_close(c);
	else
		*ret = c;
	return r;
}

void docker_context_close(struct docker_context *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n; i++)
		free(c->list[i].path);
	free(c->list);
	dockerignore_free(&c->ignore);
	if (c->root >= 0)
		close(c->root);
	free(c);
}

/* ---- finding ---- */

/* The entry of that name in the folder at index, or 0. */
static size_t find_child(
	const struct docker_context *c, size_t index, const char *name, size_t len)
{
	for (size_t i = index + 1; i < c->list[index].end; i = c->list[i].end) {
		const char *own = c->list[i].path + c->list[i].name;
		if (strncmp(own, name, len) == 0 && own[len] == '\0')
			return i;
	}
	return 0;
}

/* A path being followed: what is left of it, with the targets of links put before. */
struct walk {
	char rest[2 * PATH_MAX];
	size_t at[DEPTH_MAX]; /* folders on the way, at[0] the tree */
	unsigned int depth, links;
};

static int follow(
	const struct docker_context *c, struct walk *w, size_t index, const char *rest)
{
	char target[PATH_MAX], joined[2 * PATH_MAX];
	ssize_t n = readlinkat(c->root, c->list[index].path, target, sizeof(target) - 1);

	if (n < 0 || ++w->links > LINKS_MAX)
		return n < 0 ? -errno : -ELOOP;
	target[n] = '\0';
	if (target[0] == '/')
		w->depth = 0;
	int len = snprintf(joined, sizeof(joined), "%s/%s", target, rest);
	if (len < 0 || (size_t)len >= sizeof(joined))
		return -ENAMETOOLONG;
	memcpy(w->rest, joined, (size_t)len + 1);
	return 0;
}

/* The entry that path leads to, links followed; 0 is the tree. -ENOENT, -EPERM (above the tree),
 * -ELOOP. */
static ssize_t resolve(const struct docker_context *c, const char *path)
{
	struct walk *w autofree = calloc(1, sizeof(*w));
	size_t found = 0;

	if (!w || strlen(path) >= PATH_MAX)
		return w ? -ENAMETOOLONG : -ENOMEM;
	memcpy(w->rest, path, strlen(path) + 1);
	for (char *s = w->rest;;) {
		s += strspn(s, "/");
		if (!*s)
			return (ssize_t)found;
		size_t len = strcspn(s, "/");
		if (len == 1 && *s == '.') {
			s += len;
			continue;
		}
		if (c->list[found].type != IS_DIR)
			return -ENOENT;
		if (len == 2 && s[0] == '.' && s[1] == '.') {
			if (w->depth == 0)
				return -EPERM;
			found = w->at[--w->depth];
			s += len;
			continue;
		}
		size_t next = find_child(c, found, s, len);
		if (!next || w->depth == DEPTH_MAX)
			return -ENOENT;
		if (c->list[next].type == IS_LINK) {
			int r = follow(c, w, next, s + len);
			if (r < 0)
				return r;
			found = w->depth ? found : 0;
			s = w->rest;
			continue;
		}
		w->at[w->depth++] = found;
		found = next;
		s += len;
	}
}

/* ---- taking ---- */

static int append(json_t *array, json_t *value)
{
	return json_array_append_new(array, value) < 0 ? -EINVAL : 0;
}

static int add_files(struct docker_context *c, struct docker_taken *taken, size_t index)
{
	const struct entry *top = &c->list[index];
	int r = 0;

	for (size_t i = index; r == 0 && i < top->end; i++) {
		const struct entry *e = &c->list[i];
		if (e->ignored || (e->any_ignored && e->type == IS_DIR))
			continue;
		r = append(taken->files, json_string(*e->path ? e->path : "."));
		i = e->end - 1;
	}
	return r;
}

/* Under the name that was asked for, also where that is a link. */
static int take_one(struct docker_context *c, size_t index, const char *name,
	struct docker_taken *taken)
{
	const struct entry *e = &c->list[index];
	char *to autofree = NULL;

	if (e->type == IS_DIR) {
		int r = append(taken->items,
			json_pack("{s:s, s:s}", "from", e->path, "to", "d"));
		return r < 0 ? r : add_files(c, taken, index);
	}
	if (asprintf(&to, "f/%s", name) < 0)
		return -ENOMEM;
	taken->n_files++;
	int r = append(taken->items, json_pack("{s:s, s:s}", "from", e->path, "to", to));
	return r < 0 ? r : append(taken->files, json_string(e->path));
}

static const char *why_not(ssize_t r)
{
	return r == -EPERM   ? "leads out of the repository"
	       : r == -ELOOP ? "is a link that leads to itself"
			     : "is not in the repository";
}

/* A glob, against every entry: in each part of the path a star stays in its part. */
static int take_glob(struct docker_context *c, const char *glob,
	struct docker_taken *taken, const char **ret_why)
{
	bool any = false, hidden = false;

	for (size_t i = 1; i < c->n; i++) {
		if (!docker_glob(glob, c->list[i].path, false))
			continue;
		if (c->list[i].ignored &&
			!(c->list[i].type == IS_DIR && c->ignore.any_keeps)) {
			hidden = true;
			continue;
		}
		ssize_t at = c->list[i].type == IS_LINK ? resolve(c, c->list[i].path)
							: (ssize_t)i;
		if (at < 0 || c->list[at].ignored) {
			*ret_why = at < 0 ? why_not(at) : "is left out by .dockerignore";
			return at == -EPERM ? -EPERM : -ENOENT;
		}
		int r = take_one(c, (size_t)at, c->list[i].path + c->list[i].name, taken);
		if (r < 0)
			return r;
		any = true;
	}
	*ret_why = hidden ? "is left out by .dockerignore"
			  : "fits no file of the repository";
	return any ? 0 : -ENOENT;
}

int docker_context_take(struct docker_context *c, const char *source,
	struct docker_taken *taken, const char **ret_why)
{
	const char *path = source + strspn(source, "/");

	while (path[0] == '.' && path[1] == '/')
		path += 2 + strspn(path + 2, "/");
	if (docker_is_glob(path) && resolve(c, path) <= 0)
		return take_glob(c, path, taken, ret_why);
	ssize_t at = resolve(c, path);
	if (at < 0) {
		*ret_why = why_not(at);
		return at == -EPERM ? -EPERM : -ENOENT;
	}
	const struct entry *e = &c->list[at];
	if (e->ignored && !(e->type == IS_DIR && c->ignore.any_keeps)) {
		*ret_why = "is left out by .dockerignore";
		return -ENOENT;
	}
	char *copy autofree = strdup(path);
	if (!copy)
		return -ENOMEM;
	size_t len = strlen(copy);
	while (len > 0 && copy[len - 1] == '/')
		copy[--len] = '\0';
	const char *slash = strrchr(copy, '/');
	return take_one(c, (size_t)at, slash ? slash + 1 : copy, taken);
}

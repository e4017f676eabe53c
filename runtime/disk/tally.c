/* What trees take of the disk. */
#include "runtime/disk/tally.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 512 /* of st_blocks, whatever the file system's is */

void tally_clear(struct tally *t)
{
	free(t->seen);
	*t = (struct tally)TALLY_INIT;
}

/* Where it is or belongs; ino 0: free. */
static struct tally_file *find(
	struct tally_file *table, size_t room, dev_t dev, ino_t ino)
{
	size_t at = (size_t)((ino ^ dev << 7) * UINT64_C(0x9e3779b97f4a7c15) >> 20);

	for (;; at++) {
		struct tally_file *f = &table[at & (room - 1)];

		if (f->ino == 0 || (f->ino == ino && f->dev == dev))
			return f;
	}
}

static bool grow(struct tally *t)
{
	size_t room = t->room ? t->room * 2 : 1024;
	struct tally_file *table;

	if (room > TALLY_LINKS_MAX)
		return false;
	table = calloc(room, sizeof(*table));
	if (!table)
		return false;
	for (size_t i = 0; i < t->room; i++)
		if (t->seen[i].ino)
			*find(table, room, t->seen[i].dev, t->seen[i].ino) = t->seen[i];
	free(t->seen);
	t->seen = table;
	t->room = room;
	return true;
}

/* Was it counted under another name? */
static bool seen(struct tally *t, const struct stat *st)
{
	struct tally_file *f;

	if (t->n_seen * 2 >= t->room && !grow(t)) {
		t->partial = true;
		return true;
	}
	f = find(t->seen, t->room, st->st_dev, st->st_ino);
	if (f->ino)
		return true;
	*f = (struct tally_file){st->st_dev, st->st_ino};
	t->n_seen++;
	return false;
}

static uint64_t take(struct tally *t, const struct stat *st)
{
	if (!S_ISDIR(st->st_mode) && st->st_nlink > 1 && seen(t, st))
		return 0;
	return (uint64_t)st->st_blocks * BLOCK;
}

uint64_t tally_entry(struct tally *t, int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : take(t, &st);
}

/* NULL also for one that is no folder of that file system any more. */
static DIR *open_folder(struct tally *t, int dirfd, const char *name, dev_t dev)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = NULL;
	struct stat st;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && st.st_dev == dev)
		d = fdopendir(fd);
	if (!d) {
		close(fd);
		t->partial = true;
	}
	return d;
}

static bool is_own(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

struct walk {
	DIR *open[TALLY_DEPTH]; /* from the topmost one down */
	unsigned int depth;
	dev_t dev;
};

static void enter(struct tally *t, struct walk *w, int dirfd, const char *name)
{
	DIR *d = w->depth == TALLY_DEPTH ? NULL : open_folder(t, dirfd, name, w->dev);

	if (d)
		w->open[w->depth++] = d;
	else if (w->depth == TALLY_DEPTH)
		t->partial = true;
}

/* The next entry of the folder at hand, or the end of that. */
static uint64_t step(struct tally *t, struct walk *w)
{
	DIR *d = w->open[w->depth - 1];
	struct dirent *e = t->entries < TALLY_ENTRIES_MAX ? readdir(d) : NULL;
	struct stat st;
	uint64_t bytes;

	if (!e) {
		closedir(d);
		w->depth--;
		return 0;
	}
	if (is_own(e->d_name) ||
		fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		st.st_dev != w->dev)
		return 0;
	t->entries++;
	bytes = take(t, &st);
	if (S_ISDIR(st.st_mode))
		enter(t, w, dirfd(d), e->d_name);
	return bytes;
}

uint64_t tally_tree(struct tally *t, int at, const char *name)
{
	struct walk w = {.depth = 0};
	struct stat st;
	uint64_t bytes;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	w.dev = st.st_dev;
	bytes = take(t, &st);
	if (S_ISDIR(st.st_mode))
		enter(t, &w, at, name);
	while (w.depth > 0)
		bytes += step(t, &w);
	t->partial |= t->entries >= TALLY_ENTRIES_MAX;
	return bytes;
}

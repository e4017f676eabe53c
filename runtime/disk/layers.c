/* Layers on disk. */
#include "runtime/disk/layers.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/name.h"
#include "runtime/disk/tally.h"
#include "runtime/records.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool has(int dirfd, uint64_t id, const char *suffix)
{
	char path[48];
	struct stat st;

	id_name(path, id, suffix);
	return fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

bool layer_is_final(int dirfd, uint64_t id)
{
	return has(dirfd, id, "/fs");
}

/* The file of its own that earlier versions wrote it to. */
static uint64_t older_size(int dirfd, uint64_t id)
{
	char path[48];
	autobuf b = {.max = 32};
	uint64_t size;

	id_name(path, id, "/size");
	if (io_read_file(dirfd, path, &b) < 0 || b.len == 0)
		return 0;
	b.data[b.len - 1] = '\0';
	return num_parse_u64(b.data, 0, UINT64_MAX, &size) < 0 ? 0 : size;
}

uint64_t layer_size(int dirfd, uint64_t id)
{
	char path[48], text[24];
	uint64_t size;

	id_name(path, id, "/synced");
	ssize_t n = readlinkat(dirfd, path, text, sizeof(text) - 1);
	if (n < 0)
		return errno == EINVAL ? older_size(dirfd, id) : 0;
	text[n] = '\0';
	return num_parse_u64(text, 0, UINT64_MAX, &size) < 0 ? 0 : size;
}

int layer_commit(struct chores *c, int dirfd, uint64_t id, uint64_t *ret_size)
{
	char temp[48], final[48], work[48];
	int r;

	*ret_size = 0;
	if (layer_is_final(dirfd, id)) {
		*ret_size = layer_size(dirfd, id);
		if (*ret_size == 0 && !has(dirfd, id, "/synced")) {
			if (has(dirfd, id, "/lost"))
				return -EIO;
			chores_hurry(c);
		}
		return 0;
	}
	id_name(temp, id, ".tmp");
	id_name(final, id, "");
	if (!has(dirfd, id, ".tmp/fs"))
		return -ENOENT;
	if (has(dirfd, id, ".tmp/lost"))
		return -EIO;
	/* The overlay's own folder: empty, or with files that were deleted while open. */
	id_name(work, id, ".tmp/work");
	r = io_remove_tree(dirfd, work);
	if (r < 0)
		return r;
	if (renameat(dirfd, temp, dirfd, final) < 0)
		return -errno;
	chores_settle_layers(c);
	return 0;
}

int layer_remove(struct chores *c, int dirfd, uint64_t id)
{
	char name[48];
	int r;

	id_name(name, id, "");
	r = chores_remove_tree(c, dirfd, name);
	if (r < 0)
		return r;
	id_name(name, id, ".tmp");
	return chores_remove_tree(c, dirfd, name);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* All of that suffix, "" for the final ones, unsorted, allocated. How many, or -errno. */
static int read_all(int dirfd, const char *suffix, uint64_t **ret)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	uint64_t *ids = NULL, id;
	size_t n = 0, room = 0;
	struct dirent *entry;

	if (!dir) {
		int e = errno;

		if (fd >= 0)
			close(fd);
		return -e;
	}
	while ((entry = readdir(dir))) {
		if (!id_parse(entry->d_name, suffix, &id))
			continue;
		if (n == room) {
			uint64_t *more =
				reallocarray(ids, room ? room * 2 : 256, sizeof(*ids));

			if (!more)
				break;
			ids = more;
			room = room ? room * 2 : 256;
		}
		ids[n++] = id;
	}
	closedir(dir);
	*ret = ids;
	return (int)n;
}

int layer_list(int dirfd, uint64_t after, uint64_t *ids, unsigned int max)
{
	uint64_t *all autofree = NULL;
	unsigned int out = 0;
	int n = read_all(dirfd, "", &all);

	if (n <= 0)
		return n;
	qsort(all, (size_t)n, sizeof(*all), compare);
	for (int i = 0; i < n && out < max; i++)
		if (all[i] > after)
			ids[out++] = all[i];
	return (int)out;
}

/* A link that leads nowhere: its target lies in the inode, a file would take a block. */
static int mark(int dir, uint64_t size)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)size);
	if (symlinkat(text, dir, "synced") < 0 && errno != EEXIST)
		return -errno;
	return fsync(dir) < 0 ? -errno : 0;
}

/* One that was removed meanwhile is none. */
static int settle(int dirfd, uint64_t id)
{
	struct tally t = TALLY_INIT;
	char name[32];
	int r;

	id_name(name, id, "");
	int dir autoclose =
		openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return errno == ENOENT ? 0 : -errno;
	uint64_t size = tally_tree(&t, dir, "fs");
	/* 0 says that it is not on disk: some file systems keep a small folder in its inode. */
	r = mark(dir, size ? size : 1);
	tally_clear(&t);
	return r == -ENOENT ? 0 : r;
}

/* No fsync: it is for this boot. */
static int mark_lost(int dirfd, uint64_t id, const char *link)
{
	char path[48];

	id_name(path, id, link);
	if (symlinkat("lost", dirfd, path) < 0 && errno != EEXIST && errno != ENOENT)
		return -errno;
	return 0;
}

/* Also the half-made ones, which were written to as well, and may become final meanwhile: those first. */
static int lose_all(int dirfd)
{
	uint64_t *half autofree = NULL, *all autofree = NULL;
	int n_half = read_all(dirfd, ".tmp", &half), n = read_all(dirfd, "", &all);
	int r = n_half < 0 ? n_half : n < 0 ? n : 0, one;

	for (int i = 0; i < n_half; i++)
		if ((one = mark_lost(dirfd, half[i], ".tmp/lost")) < 0 ||
			(one = mark_lost(dirfd, half[i], "/lost")) < 0)
			r = one;
	for (int i = 0; i < n; i++)
		if (!has(dirfd, all[i], "/synced") &&
			(one = mark_lost(dirfd, all[i], "/lost")) < 0)
			r = one;
	return r;
}

int layers_settle(int dirfd, bool *lost)
{
	uint64_t *all autofree = NULL;
	int n = read_all(dirfd, "", &all), unsettled = 0, r = 0;

	/* before the writing: one that comes after it is not all on disk */
	for (int i = 0; i < n; i++)
		if (!has(dirfd, all[i], "/synced") && !has(dirfd, all[i], "/lost"))
			all[unsettled++] = all[i];
	if (n < 0)
		return n;
	if (!*lost && unsettled && syncfs(dirfd) < 0) {
		*lost = true;
		log_error(
			"layers that were not on disk yet are lost: %s", strerror(errno));
	}
	if (*lost) {
		r = lose_all(dirfd);
		*lost = r < 0;
		return r;
	}
	for (int i = 0; i < unsettled; i++) {
		int one = settle(dirfd, all[i]);

		if (one < 0)
			r = one;
	}
	return r;
}

static uint64_t stored_boot(int dirfd)
{
	autobuf b = {.max = 32};
	uint64_t boot;

	if (io_read_file(dirfd, "boot", &b) < 0 || !b.data ||
		num_parse_u64(b.data, 0, UINT64_MAX, &boot) < 0)
		return 0;
	return boot;
}

static int store_boot(int dirfd, uint64_t boot)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)boot);

	return io_replace_file(dirfd, "boot", text, (size_t)n, 0600);
}

int layers_check(struct chores *c, int dirfd, uint64_t boot)
{
	uint64_t *all autofree = NULL;
	bool same = stored_boot(dirfd) == boot;
	int n = read_all(dirfd, "", &all);

	for (int i = 0; i < n; i++) {
		if (has(dirfd, all[i], "/synced"))
			continue;
		if (same) { /* passes over lost ones */
			chores_settle_layers(c);
			continue;
		}
		log_warn("layer %llx was not yet on disk when this host went down: it is "
			 "made again",
			(unsigned long long)all[i]);
		(void)layer_remove(c, dirfd, all[i]);
	}
	if (n < 0)
		return n;
	return same ? 0 : store_boot(dirfd, boot);
}

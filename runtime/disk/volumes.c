/* Volumes, build caches and what else belongs to an app on disk. */
#include "runtime/disk/volumes.h"
#include "lib/name.h"
#include "runtime/disk/volume_image.h"
#include "runtime/disk/volume_size.h"
#include "runtime/inside.h"
#include "runtime/records.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

bool volume_exists(const struct folders *f, uint64_t id)
{
	char name[32];
	struct stat st;

	id_name(name, id, "");
	return (fstatat(f->volumes, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		       S_ISDIR(st.st_mode)) ||
	       volume_image_exists(f->volumes, id);
}

/* Whoever asked has it in the database now: after a power cut the disk must say the same. */
static int settle(int dirfd)
{
	return fsync(dirfd) < 0 ? -errno : 0;
}

int volume_create(struct runtime *rt, const struct folders *f, uint64_t id)
{
	int r = volume_make_dir(rt, MOUNT_VOLUME, id);

	return r < 0 ? r : settle(f->volumes);
}

int volume_remove(struct chores *c, const struct folders *f, uint64_t id)
{
	char name[32];
	int r;

	volume_drop_quota(f->volumes, id);
	id_name(name, id, "");
	r = chores_remove_tree(c, f->volumes, name);
	if (r < 0 || (r = chores_remove_tree(c, f->snapshots, name)) < 0)
		return r;
	id_name(name, id, ".img");
	r = chores_remove_tree(c, f->volumes, name);
	return r < 0 ? r : settle(f->volumes);
}

/* What lies beside the app's cache and begins with its number and a dot. */
static int remove_cache_parts(struct chores *c, int cache, uint32_t app)
{
	int fd = openat(cache, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	char prefix[16];
	int r = 0, n = snprintf(prefix, sizeof(prefix), "%u.", app);

	if (!d) {
		if (fd >= 0)
			close(fd);
		return -EIO;
	}
	while (r == 0 && (entry = readdir(d)))
		if (strncmp(entry->d_name, prefix, (size_t)n) == 0)
			r = chores_remove_tree(c, cache, entry->d_name);
	closedir(d);
	return r;
}

int app_files_remove(
	struct chores *c, const struct folders *f, uint32_t app, const char *name)
{
	char file[NAME_MAX_LEN + 8], cache[32];
	int r;

	if (!name_valid(name))
		return -EINVAL;
	snprintf(file, sizeof(file), "%s.git", name);
	r = chores_remove_tree(c, f->repos, file);
	if (r < 0 || (r = settle(f->repos)) < 0)
		return r;
	id_name(cache, app, "");
	r = chores_remove_tree(c, f->cache, cache);
	if (r == 0)
		r = cache_remove(c, f, app, 0);
	return r < 0 ? r : remove_cache_parts(c, f->cache, app);
}

/* receiver/repo.h: who pushes to it has it locked. */
int app_repo_rename(const struct folders *f, const char *from, const char *to)
{
	char old[NAME_MAX_LEN + 8], new[NAME_MAX_LEN + 8];

	snprintf(old, sizeof(old), "%s.git", from);
	snprintf(new, sizeof(new), "%s.git", to);
	int fd autoclose =
		openat(f->repos, old, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (renameat2(f->repos, old, f->repos, new, RENAME_NOREPLACE) < 0)
		return -errno;
	return settle(f->repos);
}

int cache_remove(struct chores *c, const struct folders *f, uint32_t app, uint64_t part)
{
	char name[32];

	if (part)
		cache_part_name(app, part, name);
	else
		snprintf(name, sizeof(name), "%u", app);
	return chores_remove_tree(c, f->cache, name);
}

int app_logs_remove(struct chores *c, const struct folders *f, uint32_t app)
{
	char name[32];

	snprintf(name, sizeof(name), "%u", app);
	return chores_remove_tree(c, f->logs, name);
}

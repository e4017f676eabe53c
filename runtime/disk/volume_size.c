/* Volumes with a size: by project quota, or as an image. */
#include "runtime/disk/volume_size.h"
#include "lib/log.h"
#include "runtime/disk/quota.h"
#include "runtime/disk/volume_image.h"
#include "runtime/records.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define OWNER (RUNTIME_DISK_UID_BASE + RUNTIME_APP_UID)
#define FILE_BYTES 16384u /* as images have it */
#define PROJECT_BASE 0x70000000u
#define PROJECT_TRIES 64u
#define PROJECT_STEP                                                                     \
	0x9e3779b1u /* odd: the tries of an id do not meet those of the next */
#define MB ((uint64_t)1 << 20)

static int open_folder(int dirfd, uint64_t id, const char *suffix)
{
	char name[32];
	int fd;

	id_name(name, id, suffix);
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* ---- by quota ---- */

/* A number that nothing on this disk has: other berths may lie on it. 0: none was found. */
static uint32_t free_project(int dirfd, uint64_t id)
{
	struct quota q;

	for (uint32_t i = 0; i < PROJECT_TRIES; i++) {
		uint32_t project =
			PROJECT_BASE + (((uint32_t)id + i * PROJECT_STEP) & 0x0fffffff);

		if (quota_read(dirfd, project, &q) == 0 && !q.size_bytes && !q.files)
			return project;
	}
	return 0;
}

static int limit(int dir, uint32_t project, uint64_t size)
{
	return quota_limit(dir, project, size, size / FILE_BYTES);
}

static int fill_folder(int dir, uint32_t project, uint64_t size)
{
	int r = quota_give(dir, project);

	if (r < 0 || (r = limit(dir, project, size)) < 0)
		return r;
	return fchown(dir, OWNER, OWNER) < 0 || fchmod(dir, 0755) < 0 || fsync(dir) < 0
		       ? -errno
		       : 0;
}

/* It gets its name when it has all else. */
static int make_folder(int dirfd, uint64_t id, uint64_t size, struct err *e)
{
	uint32_t project = free_project(dirfd, id);
	char half[32], name[32];
	int dir autoclose = -1, r;

	if (!project)
		return err_set(e, EAGAIN, "no project number is free");
	id_name(half, id, ".tmp");
	id_name(name, id, "");
	if (mkdirat(dirfd, half, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "cannot make its folder");
	dir = open_folder(dirfd, id, ".tmp");
	r = dir < 0 ? dir : fill_folder(dir, project, size);
	if (r == 0 && (renameat(dirfd, half, dirfd, name) < 0 || fsync(dirfd) < 0))
		r = -errno;
	if (r == 0)
		return 0;
	(void)quota_limit(dirfd, project, 0, 0);
	(void)unlinkat(dirfd, half, AT_REMOVEDIR);
	return err_sys(e, -r, "cannot give its folder a size");
}

static int grow_folder(int dirfd, uint64_t id, uint64_t size, struct err *e)
{
	int dir autoclose = open_folder(dirfd, id, "");
	uint32_t project = dir < 0 ? 0 : quota_project(dir);
	struct quota q;
	int r;

	if (dir < 0)
		return err_sys(e, -dir, "volume %016" PRIx64, id);
	if (!project)
		return err_set(e, EOPNOTSUPP, "it was made without a size");
	if ((r = quota_read(dir, project, &q)) < 0)
		return err_sys(e, -r, "cannot read its quota");
	if (size < q.size_bytes)
		return err_set(e, EINVAL, "a volume does not shrink");
	r = limit(dir, project, size);
	return r < 0 ? err_sys(e, -r, "cannot set its quota") : 0;
}

void volume_drop_quota(int dirfd, uint64_t id)
{
	int dir autoclose = open_folder(dirfd, id, "");
	uint32_t project = dir < 0 ? 0 : quota_project(dir);

	if (project)
		(void)quota_limit(dir, project, 0, 0);
}

/* ---- either ---- */

int volume_set_size(int dirfd, const struct msg_volume_size *m, struct err *e)
{
	const uint64_t size = (m->size_bytes + MB - 1) / MB * MB;
	int dir autoclose = open_folder(dirfd, m->id, "");

	if (m->size_bytes < VOLUME_SIZE_MIN || m->size_bytes > VOLUME_SIZE_MAX)
		return err_set(e, ERANGE, "a volume has 16 MB to 8 TB");
	if (!(m->flags & VOLUME_NEW))
		return volume_image_exists(dirfd, m->id)
			       ? volume_image_grow(dirfd, m->id, size, e)
			       : grow_folder(dirfd, m->id, size, e);
	if (dir >= 0 || volume_image_exists(dirfd, m->id))
		return err_set(e, EEXIST, "it exists");
	return quota_enforced(dirfd) ? make_folder(dirfd, m->id, size, e)
				     : volume_image_make(dirfd, m->id, size, OWNER, e);
}

static int folder_info(int dirfd, uint64_t id, struct quota *ret)
{
	int dir autoclose = open_folder(dirfd, id, "");
	uint32_t project = dir < 0 ? 0 : quota_project(dir);

	*ret = (struct quota){0};
	if (dir < 0)
		return dir;
	return project ? quota_read(dir, project, ret) : 0;
}

int volume_info(int dirfd, uint64_t id, struct msg_volume_info *ret)
{
	bool image = volume_image_exists(dirfd, id);
	struct quota q = {0};
	int r = image ? volume_image_read(dirfd, id, &q) : folder_info(dirfd, id, &q);

	*ret = (struct msg_volume_info){.id = id,
		.size_bytes = q.size_bytes,
		.used_bytes = q.used_bytes,
		.files = q.files,
		.files_max = q.files_max,
		.backing = image	  ? VOLUME_IMAGE
			   : q.size_bytes ? VOLUME_QUOTA
					  : VOLUME_FOLDER};
	return r;
}

void volume_sweep(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	uint64_t id;

	while (d && (entry = readdir(d)))
		if (id_parse(entry->d_name, ".tmp", &id) &&
			unlinkat(dirfd, entry->d_name, AT_REMOVEDIR) < 0)
			log_warn("cannot remove volumes/%s: %s", entry->d_name,
				strerror(errno));
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
}

/* Is a start message acceptable? */
#include "runtime/sandbox/start_check.h"
#include "lib/name.h"

#include <errno.h>
#include <string.h>

#define START_FLAGS                                                                      \
	(START_STDIO | START_TTY | START_BUILDER | START_NO_NET | START_HOST_APT |       \
		START_LISTEN | START_USER | START_IMAGE_FILES | START_BARE)

int start_fds(uint32_t flags)
{
	if ((flags & START_STDIO) && (flags & START_TTY))
		return -EINVAL;
	return flags & START_STDIO ? 4 : 1;
}

static bool io_ok(uint64_t bytes)
{
	return bytes == 0 || (bytes >= LIMIT_IO_MIN && bytes <= LIMIT_IO_MAX);
}

int limits_check(const struct msg_limits_body *l, uint32_t which, struct err *e)
{
	if (which & ~(uint32_t)LIMIT_ALL)
		return err_set(e, EINVAL, "unknown limits %#x", which);
	if (which & LIMIT_MEMORY && (l->memory_bytes < LIMIT_MEMORY_MIN ||
					    l->memory_bytes > LIMIT_MEMORY_MAX))
		return err_set(e, EINVAL, "the memory limit must be from 16M to 16T");
	if (which & LIMIT_CPU &&
		(l->cpu_millis < LIMIT_CPU_MIN || l->cpu_millis > LIMIT_CPU_MAX))
		return err_set(
			e, EINVAL, "the processor limit must be from 0.01 to 1024");
	if (which & LIMIT_PIDS && (l->pids < LIMIT_PIDS_MIN || l->pids > LIMIT_PIDS_MAX))
		return err_set(e, EINVAL, "the process limit must be from %u to %u",
			LIMIT_PIDS_MIN, LIMIT_PIDS_MAX);
	if (which & LIMIT_NOFILE && l->nofile &&
		(l->nofile < LIMIT_NOFILE_MIN || l->nofile > LIMIT_NOFILE_MAX))
		return err_set(e, EINVAL, "the limit of open files must be from %u to %u",
			LIMIT_NOFILE_MIN, LIMIT_NOFILE_MAX);
	if (which & LIMIT_SCRATCH && l->scratch_bytes &&
		(l->scratch_bytes < LIMIT_SCRATCH_MIN ||
			l->scratch_bytes > LIMIT_SCRATCH_MAX))
		return err_set(
			e, EINVAL, "the limit of scratch space must be from 1M to 1T");
	if (which & LIMIT_IO && (!io_ok(l->io_read_bytes) || !io_ok(l->io_write_bytes)))
		return err_set(e, EINVAL, "an io limit must be from 64k to 1T a second");
	return 0;
}

/* The host name inside and the source of log lines: "web.1", "run.7", "build". */
static bool name_ok(const char *name)
{
	size_t len = strnlen(name, PROTO_NAME_MAX);

	return len > 0 && len < PROTO_NAME_MAX && name[0] != '.' && name[0] != '-' &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz01234567"
			    "89._-") == len;
}

static bool is_builder(const struct msg_start *m)
{
	return m->profile == PROFILE_BUILD_ROOT && m->flags & START_BUILDER;
}

/* Layers to be read are some that the message names: those are held as long as it runs. */
static bool layers_ok(const struct msg_start *m, const struct msg_mount *mount)
{
	uint32_t all = m->n_layers + m->n_others; /* checked: at most PROTO_LAYERS_MAX */
	uint64_t first = mount->id >> 32, n = (uint32_t)mount->id;

	if (!is_builder(m))
		return false;
	if (mount->kind == MOUNT_MERGED)
		return n > 0 && first + n <= all;
	for (uint32_t i = 0; i < all; i++)
		if (m->layers[i] == mount->id)
			return true;
	return false;
}

static int mounts_check(const struct msg_start *m, struct err *e)
{
	for (unsigned int i = 0; i < m->n_mounts; i++) {
		const struct msg_mount *mount = &m->mounts[i];

		if (strnlen(mount->path, sizeof(mount->path)) == sizeof(mount->path) ||
			!name_mount_path_valid(mount->path))
			return err_set(
				e, EINVAL, "mount %u: the path is not acceptable", i);
		if (mount->kind < MOUNT_VOLUME || mount->kind > MOUNT_SNAPSHOTS)
			return err_set(e, EINVAL, "mount %u: unknown kind", i);
		if (mount->kind == MOUNT_SNAPSHOTS &&
			!(is_builder(m) && m->flags & START_NO_NET))
			return err_set(e, EINVAL,
				"mount %u: snapshots are for a build without network", i);
		if ((mount->kind == MOUNT_LAYER || mount->kind == MOUNT_MERGED) &&
			!layers_ok(m, mount))
			return err_set(
				e, EINVAL, "mount %u: not a layer of this build", i);
		if (mount->kind == MOUNT_CACHE && mount->id != m->app)
			return err_set(
				e, EINVAL, "mount %u: the build cache of another app", i);
		if (mount->flags & ~(uint32_t)MOUNT_READ_ONLY_FLAG)
			return err_set(e, EINVAL, "mount %u: unknown flag", i);
	}
	return 0;
}

int start_check(const struct msg_start *m, unsigned int n_fds, struct err *e)
{
	int want = start_fds(m->flags), r;

	if (m->id == 0 || m->app == 0)
		return err_set(e, EINVAL, "the ids start at 1");
	if (m->profile != PROFILE_APP && m->profile != PROFILE_BUILD_ROOT)
		return err_set(e, EINVAL, "unknown profile %u", m->profile);
	if ((m->flags & ~(uint32_t)START_FLAGS) || want < 0 ||
		(unsigned int)want != n_fds)
		return err_set(e, EINVAL, "the flags %#x do not fit %u descriptors",
			m->flags, n_fds);
	if (m->flags & START_LISTEN &&
		(m->profile != PROFILE_APP || m->flags & (START_BUILDER | START_NO_NET)))
		return err_set(e, EINVAL, "a build has no listener");
	if (m->flags & START_BARE && (m->profile != PROFILE_BUILD_ROOT || m->n_mounts ||
					     !(m->flags & START_BUILDER)))
		return err_set(e, EINVAL, "only a build as root without mounts is bare");
	if (m->flags & START_IMAGE_FILES && !(m->flags & START_BUILDER))
		return err_set(e, EINVAL, "only a build writes to the image's folders");
	if (m->flags & START_USER
			? m->profile != PROFILE_APP || m->flags & START_BUILDER ||
				  m->uid > 65535 || m->gid > 65535
			: m->uid || m->gid)
		return err_set(
			e, EINVAL, "user %u:%u cannot be had here", m->uid, m->gid);
	if (m->n_layers > PROTO_LAYERS_MAX ||
		m->n_others > PROTO_LAYERS_MAX - m->n_layers ||
		(m->n_layers == 0 && m->upper == 0))
		return err_set(e, EINVAL, "%u layers", m->n_layers);
	if (m->n_mounts > PROTO_MOUNTS_MAX)
		return err_set(e, EINVAL, "%u mounts", m->n_mounts);
	if (m->stop_timeout_ms > STOP_TIMEOUT_MAX_MS)
		return err_set(e, EINVAL, "the stop timeout is longer than an hour");
	if (m->stop_signal > STOP_SIGNAL_MAX)
		return err_set(e, EINVAL, "there is no signal %u", m->stop_signal);
	if (!name_ok(m->name))
		return err_set(e, EINVAL, "the name is not acceptable");
	r = limits_check(&m->limits, LIMIT_ALL, e);
	return r < 0 ? r : mounts_check(m, e);
}

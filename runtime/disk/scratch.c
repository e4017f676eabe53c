/* Scratch space with a size: a file system of its own in a sparse file without a name. */
#include "runtime/disk/scratch.h"
#include "lib/log.h"
#include "runtime/command.h"
#include "runtime/disk/loopdev.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct scratchpool {
	int dir;
	struct netpool *helper;
	pthread_mutex_t lock;
	uint64_t size; /* of the ready ones */
	uid_t owner;
	int ready[SCRATCH_READY];
	unsigned int n_ready;
	bool queued; /* a job to fill up */
};

static int format(int image)
{
	char path[48];
	/* no journal: it is never mounted twice. Tables are not written before they are
	 * used. */
	const char *const argv[] = {"mke2fs", "-F", "-q", "-t", "ext4", "-m", "0", "-O",
		"^has_journal,^resize_inode", "-E", "lazy_itable_init=1,nodiscard", path,
		NULL};
	int r;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), image);
	r = command_run(argv, NULL, 0, NULL);
	return r > 0 ? -EIO : r;
}

static int make_folder(int at, const char *name, uid_t owner, mode_t mode)
{
	if (mkdirat(at, name, mode) < 0 ||
		fchownat(at, name, owner, owner, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

/*
 * What a spare one is made of gets its blocks while there are some: written later, while the disk is full, it would be
 * lost, and whoever takes it would start with errors of input and output.
 */
static int settle(int mount)
{
	int fd autoclose = openat(mount, "fs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || syncfs(fd) < 0 ? -errno : 0;
}

static int make_one(int dir, uint64_t size, uid_t owner, struct err *e)
{
	/* What is deleted inside is given back outside. Nothing of it outlives the host: it never waits for the disk. */
	static const char *const options[] = {
		"noinit_itable", "discard", "nobarrier", NULL};
	int image autoclose = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int loop autoclose = -1, mount autoclose = -1;
	char device[LOOPDEV_PATH];
	int r;

	if (image < 0 || ftruncate(image, (off_t)size) < 0)
		return err_sys(e, errno, "cannot make a scratch image");
	if ((r = format(image)) < 0)
		return err_sys(e, -r, "cannot format a scratch image (mke2fs)");
	if ((loop = loopdev_attach(image, 0, device)) < 0)
		return err_sys(e, -loop, "cannot attach a loop device");
	if ((mount = loopdev_mount(device, options, e)) < 0)
		return err_add(e, "cannot mount a scratch image");
	if ((r = make_folder(mount, "fs", owner, 0755)) < 0 ||
		(r = make_folder(mount, "work", owner, 0700)) < 0 ||
		(r = settle(mount)) < 0)
		return err_sys(e, -r, "cannot write to a scratch image");
	return TAKE_FD(mount);
}

/* On the helper's thread: one more, then again until there are enough. */
static int fill(void *arg)
{
	struct scratchpool *p = arg;
	struct err e;
	uint64_t size;
	uid_t owner;
	int fd;

	pthread_mutex_lock(&p->lock);
	size = p->size;
	owner = p->owner;
	pthread_mutex_unlock(&p->lock);
	fd = make_one(p->dir, size, owner, &e);
	pthread_mutex_lock(&p->lock);
	if (fd >= 0 && size == p->size && p->n_ready < SCRATCH_READY)
		p->ready[p->n_ready++] = fd;
	else if (fd >= 0)
		close(fd);
	bool more = fd >= 0 && p->n_ready < SCRATCH_READY;
	if (!more)
		p->queued = false;
	pthread_mutex_unlock(&p->lock);
	return more ? -EAGAIN : 0;
}

struct scratchpool *scratchpool_new(int dir, struct netpool *helper)
{
	struct scratchpool *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->dir = dir;
	p->helper = helper;
	pthread_mutex_init(&p->lock, NULL);
	return p;
}

/* Under the lock. */
static void drop_ready(struct scratchpool *p)
{
	while (p->n_ready)
		close(p->ready[--p->n_ready]);
}

void scratchpool_free(struct scratchpool *p)
{
	if (!p)
		return;
	drop_ready(p);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

bool scratch_impossible(int r)
{
	switch (-r) {
	case ENOENT: /* no /dev/loop-control, no node of a device, no mke2fs */
	case ENODEV: /* no ext4 in the kernel */
	case ENXIO:  /* a node without a driver */
	case EPERM:
	case EACCES:	 /* a container without the right to devices or mounts */
	case EOPNOTSUPP: /* a file system without O_TMPFILE */
	case ENOSYS:
		return true;
	default:
		return false;
	}
}

int scratchpool_take(struct scratchpool *p, uint64_t size, uid_t owner, struct err *e)
{
	int fd = -1;

	size = size < SCRATCH_MIN_BYTES ? SCRATCH_MIN_BYTES : size & ~(uint64_t)4095;
	pthread_mutex_lock(&p->lock);
	if (p->size != size || p->owner != owner)
		drop_ready(p);
	p->size = size;
	p->owner = owner;
	if (p->n_ready)
		fd = p->ready[--p->n_ready];
	pthread_mutex_unlock(&p->lock);
	if (fd < 0)
		fd = make_one(p->dir, size, owner, e);
	if (fd < 0)
		return fd; /* what failed here would fail there */
	pthread_mutex_lock(&p->lock);
	bool ask = !p->queued;
	p->queued = true;
	pthread_mutex_unlock(&p->lock);
	if (ask && netpool_later(p->helper, fill, p) < 0) {
		pthread_mutex_lock(&p->lock);
		p->queued = false;
		pthread_mutex_unlock(&p->lock);
	}
	return fd;
}

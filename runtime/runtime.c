/* One berth's ground: its id, ranges, folders, packet filter, control groups, and what is
 * kept open for every start. */
#include "runtime/runtime.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/disk/disks.h"
#include "runtime/guards.h"
#include "runtime/inside.h"
#include "runtime/network/conntrack.h"
#include "runtime/network/ipv6.h"
#include "runtime/network/names.h"
#include "runtime/network/network.h"
#include "runtime/network/nft.h"
#include "runtime/sandbox/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif

static uint64_t hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3u;
	return h;
}

static int hash_boot(uint64_t *ret)
{
	autobuf b = {.max = 256};
	int r = io_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &b);

	if (r < 0 || !b.data)
		return r < 0 ? r : -EIO;
	*ret = hash(b.data);
	return 0;
}

static int open_folder(struct runtime *rt, const char *name, struct err *e)
{
	int fd;

	if (mkdirat(rt->state_fd, name, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "cannot make %s/%s", rt->state, name);
	fd = openat(rt->state_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cannot open %s/%s", rt->state, name) : fd;
}

/* A folder of the disk range: inside, it belongs to `inside`. Existing is 0. */
static int make_owned(int dir, const char *name, uid_t inside, mode_t mode)
{
	uid_t owner = RUNTIME_DISK_UID_BASE + inside;
	int fd autoclose = -1;

	if (mkdirat(dir, name, mode) < 0)
		return errno == EEXIST ? 0 : -errno;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchown(fd, owner, owner) < 0 || fchmod(fd, mode) < 0)
		return -errno;
	return 0;
}

/* The lowest layer of every root: mount points, so that none has to be made in an upper
 * layer. */
static int make_skeleton(struct runtime *rt, struct err *e)
{
	static const char *const folders[] = {"fs", "fs/proc", "fs/dev", "fs/tmp",
		"fs/etc", "fs/etc/ssl", "fs/etc/ssl/certs", "fs/berth", "fs/berth/packs",
		"fs/berth/host"};
	static const char *const files[] = {
		"fs/etc/hosts", "fs/etc/hostname", "fs/etc/resolv.conf"};
	int skel autoclose = open_folder(rt, "skel", e);
	int r;

	if (skel < 0)
		return skel;
	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		if ((r = make_owned(skel, folders[i], 0, 0755)) < 0)
			return err_sys(
				e, -r, "cannot make %s/skel/%s", rt->state, folders[i]);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		int fd autoclose = openat(skel, files[i],
			O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
		if (fd < 0 ||
			fchown(fd, RUNTIME_DISK_UID_BASE, RUNTIME_DISK_UID_BASE) < 0)
			return err_sys(
				e, errno, "cannot make %s/skel/%s", rt->state, files[i]);
	}
	return 0;
}

/*
 * A copy of a program in sealed memory: sandboxes can neither see where it lies nor write
 * to it. Without read permission a process that runs it cannot be looked into by others
 * of its user.
 */
static int load_program(const char *lib, const char *name, mode_t mode, struct err *e)
{
	char path[PATH_MAX + 32];
	int from autoclose = -1, fd autoclose = -1;
	struct stat st;
	int r;

	snprintf(path, sizeof(path), "%s/%s", lib, name);
	from = open(path, O_RDONLY | O_CLOEXEC);
	if (from < 0 || fstat(from, &st) < 0)
		return err_sys(e, errno, "cannot read %s", path);
	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_sys(e, errno, "memfd_create");
	/* not by way of memory: each start copies what this process once used of it */
	for (off_t at = 0; at < st.st_size;) {
		ssize_t n = sendfile(fd, from, &at, (size_t)(st.st_size - at));
		if (n <= 0)
			return err_sys(e, n < 0 ? errno : EIO, "cannot copy %s", path);
	}
	if (fchmod(fd, mode) < 0 ||
		fcntl(fd, F_ADD_SEALS,
			F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return err_sys(e, errno, "cannot seal the copy of %s", path);
	/* executed through a descriptor that cannot write, or the kernel says "text file
	 * busy" */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = open(path, O_PATH | O_CLOEXEC);
	return r < 0 ? err_sys(e, errno, "cannot reopen the copy of %s", name) : r;
}

static int load_programs(struct runtime *rt, struct err *e)
{
	struct err ignored;

	rt->init_exec = load_program(rt->lib, "berth-init", 0111, e);
	if (rt->init_exec < 0)
		return rt->init_exec;
	/* may be missing while only instances run; START_BUILDER then fails with its own
	 * sentence */
	rt->build_exec = load_program(rt->lib, "berth-build", 0555, &ignored);
	return 0;
}

static int open_folders(struct runtime *rt, struct err *e)
{
	rt->state_fd = open(rt->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rt->state_fd < 0)
		return err_sys(e, errno, "cannot open the state folder %s", rt->state);
	if ((rt->layers_fd = open_folder(rt, "layers", e)) < 0)
		return rt->layers_fd;
	if ((rt->volumes_fd = open_folder(rt, "volumes", e)) < 0)
		return rt->volumes_fd;
	if ((rt->snapshots_fd = open_folder(rt, "snapshots", e)) < 0)
		return rt->snapshots_fd;
	if ((rt->cache_fd = open_folder(rt, "cache", e)) < 0)
		return rt->cache_fd;
	if ((rt->scratch_fd = open_folder(rt, "scratch", e)) < 0)
		return rt->scratch_fd;
	if ((rt->names_fd = names_open(rt->run, e)) < 0)
		return rt->names_fd;
	if ((rt->listen_fd = listener_open(rt->run, e)) < 0)
		return rt->listen_fd;
	return make_skeleton(rt, e);
}

/* What a child has to undo before its exec: asked once, not at each start. */
static void note_inheritance(struct runtime *rt)
{
	autobuf b = {.max = 64};
	struct sigaction old;

	for (int s = 1; s < NSIG; s++)
		if (sigaction(s, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
			rt->ignored[rt->n_ignored++] = (uint8_t)s;
	rt->protected = io_read_file(AT_FDCWD, "/proc/self/oom_score_adj", &b) < 0 ||
			!b.data || strtol(b.data, NULL, 10) != 0;
}

static int open_self(struct runtime *rt, struct err *e)
{
	rt->self_netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (rt->self_netns < 0)
		return err_sys(e, errno, "cannot open berthd's own network namespace");
	return 0;
}

/*
 * Layers by descriptor need Linux 6.13. Asked of the kernel itself, on a file system that
 * is never made; the way for older ones is tested through the variable.
 */
static bool overlay_takes_fds(int folder)
{
	int fs autoclose = fsopen("overlay", FSOPEN_CLOEXEC);

	return !getenv("BERTH_OVERLAY_BY_NAME") && fs >= 0 &&
	       fsconfig(fs, FSCONFIG_SET_FD, "lowerdir+", NULL, folder) == 0;
}

/* On the pool's thread: apps get IPv6 from when on the host has it. */
static bool wants_ipv6(void *arg)
{
	const struct runtime *rt = arg;
	struct err e = {0};

	if (!ipv6_has_route())
		return false;
	if (registry_forward_on(rt->registry, REGISTRY_IPV6, &e) == 0)
		return true;
	log_debug("apps get no IPv6: %s", e.text);
	return false;
}

static int open_network(struct runtime *rt, struct err *e)
{
	const struct netpool_config c = {.id = rt->id,
		.addr_base = rt->addr_base,
		.n = ADDR_BLOCK,
		.ipv6 = wants_ipv6,
		.arg = rt};
	int r = registry_forward_on(rt->registry, REGISTRY_IPV4, e);

	if (r < 0 || (r = netpool_open(&c, &rt->pool, e)) < 0)
		return r;
	return network_open(rt, &rt->network, e);
}

/* Of our addresses one that no sandbox has. */
static bool is_free(void *arg, uint32_t addr)
{
	const struct runtime *rt = arg;
	uint32_t index = addr - rt->addr_base;

	if (index >= ADDR_BLOCK)
		return false;
	for (const struct live *l = rt->live; l; l = l->next)
		if (l->rec.net_index == index)
			return false;
	return true;
}

#define FORGET_TRIES 5
#define FORGET_PAUSE_US 50000

/* A flow that the host's own rules have offloaded is busy until the kernel has looked after it. */
static int forget_free(struct runtime *rt)
{
	int r = -EBUSY;

	for (int i = 0; i < FORGET_TRIES && (r == -EBUSY || r == -ENOBUFS); i++) {
		if (i)
			usleep(FORGET_PAUSE_US);
		r = conntrack_forget(is_free, rt);
	}
	return r;
}

int runtime_network(struct runtime *rt, struct err *e)
{
	int r = network_make(rt->network, e);

	if (r < 0)
		return r;
	r = forget_free(rt);
	if (r == -EINVAL)
		return err_set(e, EINVAL,
			"the kernel cannot remove connections from its table: it is made "
			"without CONFIG_NF_CT_NETLINK");
	if (r < 0)
		log_warn("connections to instances that ended go on: %s", strerror(-r));
	return 0;
}

/* Before anything is made: without user namespaces there is nothing to do here. */
static int probe_userns(struct err *e)
{
	const struct userns_extent root = {0, 0, 1};
	int fd autoclose = userns_make(&root, 1, 0, e);

	return fd < 0 ? fd : 0;
}

/* Where that cannot be limited, everything else still can. */
static void open_disks(struct runtime *rt)
{
	const int folders[] = {rt->state_fd, rt->layers_fd, rt->volumes_fd, rt->cache_fd,
		rt->scratch_fd};
	struct disks d;
	struct err e;

	if (disks_of(folders, ARRAY_LEN(folders), &d, &e) < 0 ||
		cgroups_use_disks(&rt->cgroups, &d, &e) < 0) {
		snprintf(rt->no_io, sizeof(rt->no_io), "%.*s", (int)sizeof(rt->no_io) - 1,
			e.text);
		log_info("reading and writing cannot be limited: %s", rt->no_io);
	}
}

static void probe_listener(struct runtime *rt)
{
	int r = listener_possible();

	if (r < 0)
		snprintf(rt->no_unix, sizeof(rt->no_unix),
			"the kernel cannot keep descriptors out of a unix socket "
			"(SO_PASSRIGHTS: %s); Linux 6.16 can",
			strerror(-r));
}

int runtime_network_fd(struct runtime *rt)
{
	return network_fd(rt->network);
}

void runtime_network_check(struct runtime *rt)
{
	network_heard(rt->network);
}

static int open_all(struct runtime *rt, struct err *e)
{
	unsigned int block;
	int r;

	if ((r = probe_userns(e)) < 0)
		return r;
	note_inheritance(rt);
	if ((r = hash_boot(&rt->boot)) < 0)
		return err_sys(e, -r, "cannot read the kernel's boot id");
	if ((r = open_self(rt, e)) < 0 || (r = open_folders(rt, e)) < 0 ||
		(r = load_programs(rt, e)) < 0 || (r = filter_make(&rt->filter, e)) < 0 ||
		(r = host_env(rt->host_env, ARRAY_LEN(rt->host_env), e)) < 0 ||
		(r = cgroups_open(&rt->cgroups, rt->id, e)) < 0 ||
		(r = registry_claim(rt->registry, rt->state, rt->id, &block, e)) < 0)
		return r;
	open_disks(rt);
	probe_listener(rt);
	rt->nofile_max = capacity_nofile();
	rt->overlay_by_fd = overlay_takes_fds(rt->layers_fd);
	rt->uid_base = RUNTIME_UID_BASE + block * RUNTIME_SLOTS * RUNTIME_UID_RANGE;
	rt->addr_base = ADDR_BASE + block * ADDR_BLOCK;
	if ((r = rt->template_ns = template_make(rt, e)) < 0 ||
		(r = open_network(rt, e)) < 0)
		return r;
	rt->scratch = scratchpool_new(rt->scratch_fd, rt->pool);
	return rt->scratch ? 0 : err_set(e, ENOMEM, "out of memory");
}

static struct runtime *new_runtime(const struct runtime_config *c)
{
	struct runtime *rt = calloc(1, sizeof(*rt));

	if (!rt)
		return NULL;
	rt->state_fd = rt->layers_fd = rt->volumes_fd = rt->snapshots_fd = rt->cache_fd =
		rt->scratch_fd = rt->names_fd = rt->listen_fd = -1;
	rt->self_netns = rt->template_ns = rt->init_exec = rt->build_exec = -1;
	for (int k = 0; k < CGROUP_KINDS; k++)
		rt->cgroups.parent[k] = rt->cgroups.root[k] = -1;
	snprintf(rt->state, sizeof(rt->state), "%s", c->state);
	snprintf(rt->run, sizeof(rt->run), "%s", c->run);
	snprintf(rt->lib, sizeof(rt->lib), "%s", c->lib);
	snprintf(rt->registry, sizeof(rt->registry), "%s",
		c->registry ? c->registry : RUNTIME_REGISTRY);
	snprintf(rt->id, sizeof(rt->id), "%08" PRIx32, (uint32_t)hash(c->state));
	pthread_mutex_init(&rt->ahead_lock, NULL);
	for (int i = 0; i < RUNTIME_AHEAD_MAX; i++)
		rt->ahead[i].process = SPAWNED_NONE;
	rt->ahead_processes = GUARDS_CHANGE ? 0 : RUNTIME_AHEAD_PROCESSES;
	rt->slots = calloc(RUNTIME_SLOTS, sizeof(*rt->slots));
	for (unsigned int i = 0; rt->slots && i < RUNTIME_SLOTS; i++)
		rt->slots[i].userns = rt->slots[i].idmap = -1;
	return rt;
}

int runtime_open(const struct runtime_config *c, struct runtime **ret, struct err *e)
{
	struct runtime *rt = new_runtime(c);
	int r;

	if (!rt || !rt->slots) {
		runtime_close(rt);
		return err_set(e, ENOMEM, "out of memory");
	}
	r = open_all(rt, e);
	if (r < 0) {
		cgroups_remove(&rt->cgroups); /* stays while a sandbox is in it */
		runtime_close(rt);
		return r;
	}
	*ret = rt;
	return 0;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void runtime_close(struct runtime *rt)
{
	if (!rt)
		return;
	network_stop(rt->network);
	netpool_close(rt->pool); /* its jobs use what follows */
	ahead_drop(rt);
	pthread_mutex_destroy(&rt->ahead_lock);
	network_close(rt->network);
	scratchpool_free(rt->scratch);
	for (unsigned int i = 0; rt->slots && i < RUNTIME_SLOTS; i++) {
		close_fd(rt->slots[i].userns);
		close_fd(rt->slots[i].idmap);
	}
	for (struct live *l = rt->live, *next; l; l = next) {
		next = l->next;
		close_fd(l->mounts);
		close_fd(l->scratch);
		free(l);
	}
	for (char **v = rt->host_env; *v; v++)
		free(*v);
	free(rt->filter.filter);
	cgroups_close(&rt->cgroups);
	close_fd(rt->state_fd);
	close_fd(rt->layers_fd);
	close_fd(rt->volumes_fd);
	close_fd(rt->snapshots_fd);
	close_fd(rt->cache_fd);
	close_fd(rt->scratch_fd);
	close_fd(rt->names_fd);
	close_fd(rt->listen_fd);
	close_fd(rt->self_netns);
	close_fd(rt->template_ns);
	close_fd(rt->init_exec);
	close_fd(rt->build_exec);
	free(rt->slots);
	free(rt);
}

const char *runtime_id(const struct runtime *rt)
{
	return rt->id;
}

int runtime_remove(struct runtime *rt, struct err *e)
{
	int r;

	for (const struct live *l = rt->live; l; l = l->next)
		return err_set(e, EBUSY,
			"sandboxes still run; stop them first (berthd --stop-all)");
	rt->ahead_processes = 0;
	netpool_drain(rt->pool);
	ahead_drop(rt);
	runtime_sweep(rt);
	network_stop(rt->network);
	netpool_drain(rt->pool);
	netpool_close(rt->pool);
	rt->pool = NULL;
	if ((r = cgroups_remove(&rt->cgroups)) < 0)
		return err_sys(
			e, -r, "cannot remove the control groups of berth %s", rt->id);
	nft_remove(rt->id);
	names_unmount(rt->run);
	listener_remove_folder(rt->run);
	return registry_release(rt->registry, rt->state, e);
}

int layer_make_upper(struct runtime *rt, uint64_t id)
{
	char top[48], name[48];
	bool made;
	int r;

	snprintf(top, sizeof(top), "%016" PRIx64 ".tmp", id);
	made = mkdirat(rt->layers_fd, top, 0700) == 0;
	if (!made && errno != EEXIST)
		return -errno;
	snprintf(name, sizeof(name), "%016" PRIx64 ".tmp/work", id);
	r = make_owned(rt->layers_fd, name, 0, 0700);
	snprintf(name, sizeof(name), "%016" PRIx64 ".tmp/fs", id);
	if (r == 0)
		r = make_owned(rt->layers_fd, name, 0, 0755);
	if (r < 0 && made)
		io_remove_tree(rt->layers_fd, top);
	return r;
}

void cache_work_name(uint64_t sandbox, char out[24])
{
	snprintf(out, 24, "%016" PRIx64 ".work", sandbox);
}

int cache_make_work(struct runtime *rt, uint64_t sandbox)
{
	char name[24];
	int r;

	cache_work_name(sandbox, name);
	r = io_remove_tree(rt->cache_fd, name); /* of an earlier, failed start */
	return r < 0 ? r : make_owned(rt->cache_fd, name, 0, 0700);
}

void cache_part_name(uint32_t app, uint64_t part, char out[32])
{
	snprintf(out, 32, "%" PRIu32 ".%016" PRIx64, app, part);
}

void cache_part_work_name(uint64_t sandbox, unsigned int i, char out[32])
{
	snprintf(out, 32, "%016" PRIx64 ".work/%u", sandbox, i);
}

/* When it was last used is the time of its folder: those that nobody used for long go first when the disk is full. */
static int make_cache(struct runtime *rt, const char *name, uid_t uid)
{
	int r = make_owned(rt->cache_fd, name, uid, 0755);

	if (r == 0)
		(void)utimensat(rt->cache_fd, name, NULL, AT_SYMLINK_NOFOLLOW);
	return r;
}

int cache_make_part(struct runtime *rt, uint32_t app, uint64_t part)
{
	char name[32];

	cache_part_name(app, part, name);
	return make_cache(rt, name, 0);
}

int cache_make_part_work(struct runtime *rt, uint64_t sandbox, unsigned int i)
{
	char name[32];

	cache_work_name(sandbox, name);
	if (mkdirat(rt->cache_fd, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	cache_part_work_name(sandbox, i, name);
	return make_owned(rt->cache_fd, name, 0, 0700);
}

int volume_make_dir(struct runtime *rt, uint32_t kind, uint64_t id)
{
	char name[24];

	if (kind == MOUNT_CACHE) {
		snprintf(name, sizeof(name), "%" PRIu64, id);
		return make_cache(rt, name, RUNTIME_APP_UID);
	}
	snprintf(name, sizeof(name), "%016" PRIx64, id);
	if (kind == MOUNT_SNAPSHOTS)
		return make_owned(rt->snapshots_fd, name, 0, 0700);
	return make_owned(rt->volumes_fd, name, RUNTIME_APP_UID, 0755);
}

/* The sandboxes of the attack tests: what is planted in their layer and volumes, starting and ending one. */
#include "lib/io.h"
#include "lib/spec.h"
#include "runtime/guards.h"
#include "runtime/process.h"
#include "tests/attack/ground.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define LAYER 1

/* ---- what is planted ---- */

int ground_copy(const char *from, const char *to, uid_t owner, mode_t mode)
{
	autobuf b = {.max = (size_t)32 << 20};
	int fd autoclose = -1;

	if (io_read_file(AT_FDCWD, from, &b) < 0)
		return ground_trouble(from);
	fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || io_write_all(fd, b.data, b.len) < 0 ||
		fchown(fd, owner, owner) < 0 || fchmod(fd, mode) < 0)
		return ground_trouble(to);
	return 0;
}

/* NET_ADMIN for whoever runs it where root is that user (capabilities(7)). */
static int give_capability(const char *path, uid_t root)
{
	struct vfs_ns_cap_data c = {
		.magic_etc = VFS_CAP_REVISION_3 | VFS_CAP_FLAGS_EFFECTIVE,
		.data = {{.permitted = 1u << CAP_NET_ADMIN}},
		.rootid = root};

	return setxattr(path, "security.capability", &c, sizeof(c), 0) < 0
		       ? ground_trouble(path)
		       : 0;
}

static int make_node(const char *path)
{
	return mknod(path, S_IFCHR | 0666, makedev(1, 3)) < 0 || chmod(path, 0666) < 0
		       ? ground_trouble(path)
		       : 0;
}

static int make_folder(const char *path, uid_t owner)
{
	return mkdir(path, 0755) < 0 || chown(path, owner, owner) < 0
		       ? ground_trouble(path)
		       : 0;
}

int ground_plant_root(const char *folder, const char *probe, uid_t root)
{
	static const struct {
		const char *name;
		mode_t mode;
	} programs[] = {{"probe", 0755}, {"planted/suid", 04755}, {"planted/caps", 0755}};
	char path[200];

	snprintf(path, sizeof(path), "%s/app", folder);
	if (make_folder(path, root + RUNTIME_APP_UID) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/planted", folder);
	if (make_folder(path, root) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, programs[i].name);
		if (ground_copy(probe, path, root, programs[i].mode) < 0)
			return -1;
	}
	if (give_capability(path, root) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/planted/null", folder);
	return make_node(path);
}

int ground_plant_volume(const char *folder, const char *probe, uid_t root)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/suid", folder);
	if (ground_copy(probe, path, root, 04755) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/null", folder);
	return make_node(path);
}

static int plant_layer(struct ground *g, const char *probe)
{
	char from[160], to[160], fs[200];

	snprintf(from, sizeof(from), "%s/layers/%016x.tmp", g->state, LAYER);
	snprintf(to, sizeof(to), "%s/layers/%016x", g->state, LAYER);
	snprintf(fs, sizeof(fs), "%s/fs", from);
	if (layer_make_upper(g->rt, LAYER) < 0)
		return ground_trouble(from);
	if (ground_plant_root(fs, probe, RUNTIME_DISK_UID_BASE) < 0)
		return -1;
	return rename(from, to) < 0 ? ground_trouble(to) : 0;
}

static int plant_volumes(struct ground *g, const char *probe)
{
	static const uint64_t ids[] = {VOLUME_OWN, VOLUME_READ_ONLY, VOLUME_OTHER};
	const uid_t app = RUNTIME_DISK_UID_BASE + RUNTIME_APP_UID;
	char path[160];

	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		if (volume_make_dir(g->rt, MOUNT_VOLUME, ids[i]) < 0)
			return ground_trouble("volumes");
	snprintf(path, sizeof(path), "%s/volumes/%016x", g->state, VOLUME_OWN);
	if (ground_plant_volume(path, probe, RUNTIME_DISK_UID_BASE) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/volumes/%016x/note", g->state, VOLUME_READ_ONLY);
	if (ground_copy("/dev/null", path, app, 0644) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/volumes/%016x/secret", g->state, VOLUME_OTHER);
	return ground_copy("/proc/version", path, app, 0644);
}

int guest_plant(struct ground *g, const char *probe)
{
	return plant_layer(g, probe) < 0 ? -1 : plant_volumes(g, probe);
}

/* ---- one of them ---- */

/* clang-format off */
static const struct msg_limits_body small = {.memory_bytes = 64 << 20, .scratch_bytes = 32 << 20, .cpu_millis = 1000,
	.pids = 64, .nofile = 1024};
/* half of the memory, which is the size of /tmp, stays below what the probe fills in */
static const struct msg_limits_body large = {.memory_bytes = 256 << 20, .scratch_bytes = 0, .cpu_millis = 1000,
	.pids = 1024, .nofile = 4096};
/* clang-format on */

struct guest guest_new(struct ground *g, uint32_t profile, uint32_t off)
{
	struct guest b = {.pidfd = -1, .exit_fd = -1, .fifo_fd = -1, .out = -1};
	struct msg_start *m = &b.start;

	m->id = ++g->next;
	/* an app's namespace is made once, by its first start */
	m->app = off & GUARD_OWNER ? 8 : 7;
	m->profile = profile;
	m->flags = START_STDIO;
	m->n_layers = 1;
	m->layers[0] = LAYER;
	m->limits = off & GUARD_LIMITS ? large : small;
	m->n_mounts = 2;
	m->mounts[0] = (struct msg_mount){
		.id = VOLUME_OWN, .kind = MOUNT_VOLUME, .path = "/volume"};
	m->mounts[1] = (struct msg_mount){.id = VOLUME_READ_ONLY,
		.kind = MOUNT_VOLUME,
		.flags = MOUNT_READ_ONLY_FLAG,
		.path = "/volume-ro"};
	snprintf(m->name, sizeof(m->name), "web.1");
	return b;
}

static int pack(struct ground *g, const char *const *argv)
{
	const char *args[256] = {"/probe"},
		   *env[] = {g->env[0], g->env[1], g->env[2], g->env[3], NULL};
	size_t n = 1;

	for (; *argv && n + 1 < ARRAY_LEN(args); argv++)
		args[n++] = *argv;
	return spec_pack(args, env, "/");
}

static int start(struct ground *g, const struct guest *target, struct guest *b,
	const char *const *argv, int log_fd)
{
	int spec autoclose = pack(g, argv);
	int ends[2], master, go, r;
	char path[96];

	snprintf(path, sizeof(path), "%s/exit-%" PRIu64, g->dir, b->start.id);
	b->exit_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	unlink(path);
	if (spec < 0 || b->exit_fd < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(&b->e, errno, "cannot prepare a sandbox");
	struct sandbox_io io = {.spec_fd = spec,
		.exit_fd = b->exit_fd,
		.fifo_fd = log_fd,
		.stdio = {-1, ends[1], log_fd < 0 ? ends[1] : -1}};
	r = target ? sandbox_enter(g->rt, &target->rec, b->start.id, START_STDIO, &io,
			     &b->rec, &b->pidfd, &master, &go, &b->e)
		   : sandbox_start(
			     g->rt, &b->start, &io, &b->rec, &b->pidfd, &master, &b->e);
	if (target && r == 0)
		process_go(go);
	close(ends[1]);
	b->out = ends[0];
	return r;
}

int guest_start(struct ground *g, struct guest *b, const char *const *argv, int log_fd)
{
	return start(g, NULL, b, argv, log_fd);
}

int guest_enter(struct ground *g, const struct guest *target, struct guest *b,
	const char *const *argv)
{
	return start(g, target, b, argv, -1);
}

bool guest_wait(struct ground *g, struct guest *b, unsigned int seconds)
{
	struct pollfd p = {.fd = b->pidfd, .events = POLLIN};
	bool ended = poll(&p, 1, (int)seconds * 1000) == 1;
	siginfo_t info;

	if (!ended)
		sandbox_kill(g->rt, &b->rec);
	waitid(P_PIDFD, (id_t)b->pidfd, &info, WEXITED);
	return ended;
}

bool guest_silent(struct guest *b, int ms)
{
	uint64_t end = io_mono_ns() + (uint64_t)ms * 1000000;
	struct pollfd p = {.fd = b->out, .events = POLLIN};
	char text[4096];

	while (io_mono_ns() < end)
		if (poll(&p, 1, 50) == 1 && read(b->out, text, sizeof(text)) == 0)
			return true;
	return false;
}

void guest_done(struct ground *g, struct guest *b)
{
	if (b->pidfd >= 0)
		sandbox_cleanup(g->rt, &b->rec);
	for (size_t i = 0; i < 3; i++)
		if ((int[]){b->pidfd, b->exit_fd, b->out}[i] >= 0)
			close((int[]){b->pidfd, b->exit_fd, b->out}[i]);
	b->pidfd = b->exit_fd = b->out = -1;
}

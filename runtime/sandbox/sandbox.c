/* Starting sandboxes: everything prepared in the parent, one clone, and the undo when a
 * step fails. */
#include "lib/io.h"
#include "lib/log.h"
#include "lib/name.h"
#include "runtime/disk/volume_image.h"
#include "runtime/guards.h"
#include "runtime/inside.h"
#include "runtime/network/names.h"
#include "runtime/network/network.h"
#include "runtime/process.h"
#include "runtime/sandbox/listener.h"
#include "runtime/sandbox/start_check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#ifndef PIPEFS_MAGIC
#define PIPEFS_MAGIC 0x50495045
#endif

/* What a start holds until it succeeds. */
struct attempt {
	struct child child;
	struct slot *slot;
	struct userns_maker makers[2]; /* of what the slot lacks */
	uint32_t net_index;
	bool ipv6;
	uint64_t new_upper; /* 0: it was there, or there is none */
	int report;	    /* parent's end */
	int pidfd, master;
	pid_t pid, first; /* first: of two, entering */
};

static bool path_allowed(const char *path)
{
	static const char *const ours[] = {"/proc", "/dev", "/sys", "/berth"};

	if (!memchr(path, '\0', PROTO_PATH_MAX) || !name_mount_path_valid(path) ||
		!path[1])
		return false;
	for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
		size_t n = strlen(ours[i]);
		if (strncmp(path, ours[i], n) == 0 && (path[n] == '/' || path[n] == '\0'))
			return false;
	}
	return true;
}

static int check_mounts(const struct msg_start *m, struct err *e)
{
	unsigned int caches = 0;

	if (m->n_mounts > PROTO_MOUNTS_MAX)
		return err_set(e, EINVAL, "more than %d mounts", PROTO_MOUNTS_MAX);
	for (uint32_t i = 0; i < m->n_mounts; i++) {
		const struct msg_mount *mount = &m->mounts[i];
		caches += mount->kind == MOUNT_CACHE;
		if (caches > 1)
			return err_set(e, EINVAL, "an app has one build cache");
		if (mount->kind < MOUNT_VOLUME || mount->kind > MOUNT_SNAPSHOTS)
			return err_set(e, EINVAL, "unknown kind of mount");
		if (!path_allowed(mount->path))
			return err_set(e, EINVAL, "nothing can be mounted at \"%.*s\"",
				PROTO_PATH_MAX - 1, mount->path);
	}
	return 0;
}

static int check_start(const struct runtime *rt, const struct msg_start *m, struct err *e)
{
	if (m->id == 0 || m->app == 0 || m->n_layers > PROTO_LAYERS_MAX ||
		m->n_others > PROTO_LAYERS_MAX - m->n_layers ||
		(m->n_layers == 0 && m->upper == 0) ||
		(m->profile != PROFILE_APP && m->profile != PROFILE_BUILD_ROOT))
		return err_set(e, EINVAL, "the start message is malformed");
	if (!memchr(m->name, '\0', sizeof(m->name)) || !m->name[0])
		return err_set(e, EINVAL, "the name is empty or too long");
	if (limits_check(&m->limits, LIMIT_ALL, e) < 0)
		return -EINVAL;
	if ((m->flags & START_BUILDER) && rt->build_exec < 0)
		return err_set(e, ENOENT, "berth-build is missing in %s", rt->lib);
	if ((m->flags & START_LISTEN) && rt->no_unix[0])
		return err_set(e, EOPNOTSUPP, "%s", rt->no_unix);
	for (const struct live *live = rt->live; live; live = live->next)
		if (live->rec.id == m->id)
			return err_set(
				e, EEXIST, "sandbox %" PRIu64 " already runs", m->id);
	return check_mounts(m, e);
}

/* ---- uid ranges ---- */

static void slot_clear(struct slot *s)
{
	if (s->userns >= 0)
		close(s->userns);
	if (s->idmap >= 0)
		close(s->idmap);
	*s = (struct slot){.userns = -1, .idmap = -1};
}

/* The app's slot, else a free one, else one whose app has no process. */
static struct slot *slot_find(struct runtime *rt, uint32_t app)
{
	struct slot *unused = NULL, *idle = NULL;

	for (unsigned int i = 0; i < RUNTIME_SLOTS; i++) {
		struct slot *s = &rt->slots[i];
		if (s->app == app)
			return s;
		if (!s->app && !unused)
			unused = s;
		if (s->app && !s->users && !idle)
			idle = s;
	}
	if (!unused && idle)
		slot_clear(idle);
	return unused ? unused : idle;
}

static uint32_t slot_base(const struct runtime *rt, const struct slot *s)
{
	return rt->uid_base + (uint32_t)(s - rt->slots) * RUNTIME_UID_RANGE;
}

/*
 * Two namespaces an app: the one its processes are in, and one that only says how ids on
 * disk become the app's (with one extent more, the host's root: overlayfs makes its work
 * files as root, and refuses to write where that has no id).
 */
static int slot_begin(struct runtime *rt, struct attempt *a, struct err *e)
{
	uint32_t base = slot_base(rt, a->slot);
	int r = 0;

	if (a->slot->userns < 0)
		r = userns_begin(GUARD(GUARD_OWNER) ? base : 0, &a->makers[0], e);
	if (r == 0 && a->slot->idmap < 0)
		r = userns_begin(base, &a->makers[1], e);
	return r;
}

static int slot_finish(struct runtime *rt, struct attempt *a, struct err *e)
{
	struct slot *s = a->slot;
	uint32_t base = slot_base(rt, s);
	const struct userns_extent inside = {0, base, RUNTIME_UID_RANGE};
	const struct userns_extent disk[] = {
		{0, 0, 1}, {RUNTIME_DISK_UID_BASE, base, RUNTIME_UID_RANGE}};

	if (s->userns < 0 &&
		(s->userns = userns_finish(&a->makers[0], &inside, 1, e)) < 0)
		return s->userns;
	if (s->idmap < 0 && (s->idmap = userns_finish(&a->makers[1], disk, 2, e)) < 0)
		return s->idmap;
	a->child.userns = s->userns;
	a->child.idmap = s->idmap;
	return 0;
}

static int take_slot(struct runtime *rt, struct attempt *a, uint32_t app, struct err *e)
{
	struct slot *s = slot_find(rt, app);

	if (!s)
		return err_set(e, EAGAIN,
			"%u apps run here at once; that is all the user ranges there are",
			RUNTIME_SLOTS);
	s->app = app;
	s->users++;
	a->slot = s;
	a->child.uid_base = slot_base(rt, s);
	return 0;
}

/* ---- folders ---- */

static int make_scratch(struct runtime *rt, uint64_t id)
{
	uid_t owner = RUNTIME_DISK_UID_BASE;
	char name[40];

	snprintf(name, sizeof(name), "%016" PRIx64, id);
	if (mkdirat(rt->scratch_fd, name, 0700) < 0)
		return -errno;
	snprintf(name, sizeof(name), "%016" PRIx64 "/work", id);
	if (mkdirat(rt->scratch_fd, name, 0700) < 0 ||
		fchownat(rt->scratch_fd, name, owner, owner, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	snprintf(name, sizeof(name), "%016" PRIx64 "/fs", id);
	if (mkdirat(rt->scratch_fd, name, 0755) < 0 ||
		fchownat(rt->scratch_fd, name, owner, owner, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

/* 1: with a size; 0: this host cannot make such space, and why is kept. Or -errno. */
static int take_scratch(
	struct runtime *rt, uint64_t size_bytes, struct attempt *a, struct err *e)
{
	struct err why;
	int fd = scratchpool_take(rt->scratch, size_bytes, RUNTIME_DISK_UID_BASE, &why);

	if (fd >= 0) {
		a->child.scratch = fd;
		rt->no_scratch[0] = '\0';
		return 1;
	}
	if (!scratch_impossible(fd)) {
		*e = why;
		return fd;
	}
	if (!rt->no_scratch[0])
		log_warn("the scratch space of instances has no limit: %s", why.text);
	snprintf(rt->no_scratch, sizeof(rt->no_scratch), "%.*s",
		(int)sizeof(rt->no_scratch) - 1, why.text);
	return 0;
}

/* With a size where the host can do that, else a folder. */
static int prepare_scratch(
	struct runtime *rt, const struct msg_start *m, struct attempt *a, struct err *e)
{
	char name[24];
	int r = 0;

	if (m->limits.scratch_bytes)
		r = take_scratch(rt, m->limits.scratch_bytes, a, e);
	if (r)
		return r < 0 ? r : 0;
	snprintf(name, sizeof(name), "%016" PRIx64, m->id);
	io_remove_tree(rt->scratch_fd, name); /* of an earlier, failed start */
	if ((r = make_scratch(rt, m->id)) < 0)
		return err_sys(e, -r, "cannot make the scratch folder");
	return 0;
}

static int prepare_upper(struct runtime *rt, uint64_t id, struct attempt *a)
{
	char name[24];
	bool existed;
	int r;

	snprintf(name, sizeof(name), "%016" PRIx64 ".tmp", id);
	existed = faccessat(rt->layers_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	r = layer_make_upper(rt, id);
	a->new_upper = r == 0 && !existed ? id : 0;
	return r;
}

static int prepare_caches(struct runtime *rt, const struct msg_start *m)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < m->n_mounts; i++) {
		if (m->mounts[i].kind == MOUNT_CACHE &&
			(r = volume_make_dir(rt, MOUNT_CACHE, m->mounts[i].id)) == 0)
			r = cache_make_work(rt, m->id);
		if (m->mounts[i].kind == MOUNT_CACHE_PART &&
			(r = cache_make_part(rt, m->app, m->mounts[i].id)) == 0)
			r = cache_make_part_work(rt, m->id, i);
	}
	return r;
}

static int prepare_folders(
	struct runtime *rt, const struct msg_start *m, struct attempt *a, struct err *e)
{
	const char *hosts;
	size_t len;
	int r;

	if (m->upper && (r = prepare_upper(rt, m->upper, a)) < 0)
		return err_sys(e, -r, "cannot make layer %016" PRIx64, m->upper);
	if (!m->upper && (r = prepare_scratch(rt, m, a, e)) < 0)
		return r;
	hosts = network_hosts(rt->network, network_whose(m->app, m->flags), &len);
	if ((r = names_make(rt->names_fd, m->id, m->name, hosts, len)) < 0)
		return err_sys(e, -r, "cannot make its hosts file");
	if ((r = prepare_caches(rt, m)) < 0)
		return err_sys(e, -r, "cannot make the build cache");
	return 0;
}

/*
 * Volumes belong on disk to the app's user, whoever that is inside: for another one than 1000
 * the two ids change places.
 */
static int prepare_volume_ids(
	struct runtime *rt, const struct msg_start *m, struct attempt *a, struct err *e)
{
	const uint32_t base = slot_base(rt, a->slot), disk = RUNTIME_DISK_UID_BASE,
		       uid = a->child.uid,
		       low = uid < RUNTIME_APP_UID ? uid : RUNTIME_APP_UID,
		       high = uid < RUNTIME_APP_UID ? RUNTIME_APP_UID : uid;
	struct userns_extent map[5];
	const struct userns_extent parts[] = {{disk, base, low},
		{disk + low, base + high, 1},
		{disk + low + 1, base + low + 1, high - low - 1},
		{disk + high, base + low, 1},
		{disk + high + 1, base + high + 1, RUNTIME_UID_RANGE - high - 1}};
	bool any = false;
	size_t n = 0;

	for (uint32_t i = 0; i < m->n_mounts; i++)
		any = any || m->mounts[i].kind == MOUNT_VOLUME;
	if (!any || uid == RUNTIME_APP_UID || m->profile != PROFILE_APP)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (parts[i].count)
			map[n++] = parts[i];
	a->child.volume_idmap = userns_make(map, n, base, e);
	return a->child.volume_idmap < 0 ? a->child.volume_idmap : 0;
}

/* Each sandbox has a mount of its own: its ids are mapped in it. */
static int prepare_volumes(
	struct runtime *rt, const struct msg_start *m, struct attempt *a, struct err *e)
{
	for (uint32_t i = 0; i < m->n_mounts; i++) {
		int *mount = &a->child.volumes[i];

		if (m->mounts[i].kind != MOUNT_VOLUME ||
			!volume_image_exists(rt->volumes_fd, m->mounts[i].id))
			continue;
		*mount = volume_image_mount(rt->volumes_fd, m->mounts[i].id, e);
		if (*mount < 0)
			return *mount;
	}
	return 0;
}

static int prepare_network(
	struct runtime *rt, const struct msg_start *m, struct attempt *a, struct err *e)
{
	struct netpool_place place;
	int r;

	if (m->flags & START_NO_NET)
		return 0;
	if ((r = netpool_take(rt->pool, &place, e)) < 0)
		return r;
	a->child.netns = place.fd;
	a->child.listener = place.socket;
	a->net_index = place.index;
	a->ipv6 = place.ipv6;
	return network_attach(
		rt->network, network_whose(m->app, m->flags), place.index, e);
}

/* What no listener was made of is closed with the rest. */
static int prepare_listener(
	struct runtime *rt, const struct msg_start *m, struct attempt *a, struct err *e)
{
	int r;

	if (!(m->flags & START_LISTEN)) {
		if (a->child.listener >= 0)
			close(TAKE_FD(a->child.listener));
		return 0;
	}
	r = listener_make(rt->listen_fd, m->id, a->child.listener);
	return r < 0 ? err_sys(e, -r, "cannot make its listener") : 0;
}

/* ---- descriptors that the app may reopen ---- */

static int prepare_output(
	struct attempt *a, const struct sandbox_io *io, uint32_t owner, struct err *e)
{
	char path[40];
	struct statfs fs;

	for (int i = 0; i < 3; i++)
		/* "echo > /dev/stderr" opens the pipe anew, with the app's rights */
		if (io->stdio[i] >= 0 && fstatfs(io->stdio[i], &fs) == 0 &&
			fs.f_type == PIPEFS_MAGIC &&
			fchown(io->stdio[i], owner, owner) < 0)
			return err_sys(e, errno, "cannot hand over a pipe");
	if (io->fifo_fd < 0)
		return 0;
	if (fchown(io->fifo_fd, owner, owner) < 0 || fchmod(io->fifo_fd, 0600) < 0)
		return err_sys(e, errno, "cannot hand over the log pipe");
	/* through a mount of its own, so that /proc/self/fd/1 names no path of the host */
	int alone autoclose = open_tree(
		io->fifo_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", alone);
	a->child.fifo_write = alone < 0 ? -1 : open(path, O_WRONLY | O_CLOEXEC);
	return a->child.fifo_write < 0 ? err_sys(e, errno, "cannot open the log pipe")
				       : 0;
}

/* ---- the clone ---- */

/* For a start: one that waits already, else a new one. Whatever keeps it from starting may
 * keep this one app from it, not all the others. */
static int take_process(struct runtime *rt, struct attempt *a, uint64_t id, struct err *e)
{
	struct spawned p = ahead_use(rt, id);
	int r = p.pid ? 0 : spawn_process(rt, id, &p, e);

	if (r < 0)
		return r;
	a->pid = p.pid;
	a->pidfd = p.pidfd;
	a->report = p.line;
	return 0;
}

/* For entering: the first of two. */
static int clone_child(struct attempt *a, struct err *e)
{
	int pidfd = -1, ends[2], r = spawn_line(ends, e);
	struct clone_args args = {.flags = CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = SIGCHLD};
	pid_t pid;

	if (r < 0)
		return r;
	a->report = ends[0];
	a->child.status = ends[1];
	if ((r = process_hold(a->child.go)) < 0)
		return err_sys(e, -r, "socketpair");
	pid = spawn_clone(&args);
	if (pid == 0)
		child_enter(&a->child);
	if (pid < 0)
		return err_sys(e, errno, "cannot make the sandbox's process");
	close(TAKE_FD(a->child.status)); /* its end shows when the child's own is gone */
	a->pid = a->first = pid;
	a->pidfd = pidfd;
	return 0;
}

static void reap(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Entering: the first process has done its part. */
static void take_born(struct attempt *a, pid_t pid, int pidfd)
{
	reap(a->pid);
	close(a->pidfd);
	a->pid = pid;
	a->pidfd = pidfd;
}

/* Until the last report. 0, or why it failed. */
static int hear_child(struct attempt *a, struct err *e)
{
	struct child_report rep = {0};
	struct mount_fds got;
	int r;

	while ((r = report_read(a->report, &rep, &got)) > 0) {
		if (rep.error)
			return err_sys(e, rep.error, "cannot %s", rep.step);
		if (rep.pid) {
			take_born(a, rep.pid, got.n ? got.fds[0] : -1);
			return got.n ? 0
				     : err_set(e, EMFILE,
					       "no descriptor is left for its process");
		}
		if (rep.mounts)
			mounts_close_later(a->child.rt, &got);
		else if (rep.ready)
			continue;
		else if (got.n)
			a->master = got.fds[0];
		else
			return err_set(
				e, EMFILE, "no descriptor is left for its terminal");
	}
	if (r == -EAGAIN)
		return err_set(e, ETIMEDOUT, "its setting up took more than %d s",
			START_SECONDS_MAX);
	if (r < 0)
		return err_sys(e, -r, "cannot hear from the new process");
	return a->child.start ? 0 : err_set(e, EIO, "the new process vanished");
}

static int wait_started(struct attempt *a, struct err *e)
{
	int r = hear_child(a, e);

	if (r < 0 || !a->child.start)
		return r;
	/* the end also comes when it was killed before berth-init: out of memory, or by
	 * the administrator */
	siginfo_t info = {0};
	if (waitid(P_PIDFD, (id_t)a->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		info.si_pid == a->pid && info.si_code != CLD_EXITED)
		return err_set(e, ENOMEM,
			"it was killed while it was set up; is its memory limit too "
			"small?");
	return 0;
}

static int fill_record(const struct runtime *rt, const struct attempt *a,
	struct sandbox_record *rec, struct err *e)
{
	int r;

	rec->magic = SANDBOX_RECORD_MAGIC;
	rec->boot = rt->boot;
	rec->pid = (uint32_t)a->pid;
	rec->slot = (uint16_t)(a->slot - rt->slots);
	rec->net_index = a->net_index;
	rec->flags |= a->ipv6 ? SANDBOX_IPV6 : 0;
	r = process_start_time(a->pid, &rec->start_time);
	if (r == -ESRCH) /* already over; its exit record tells */
		return 0;
	return r < 0 ? err_sys(e, -r, "cannot read the process's start time") : 0;
}

static int open_mounts(pid_t pid)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int remember(
	struct runtime *rt, struct attempt *a, const struct sandbox_record *rec)
{
	struct live *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->rec = *rec;
	l->scratch = TAKE_FD(a->child.scratch);
	l->mounts = a->child.start ? open_mounts(a->pid) : -1;
	l->next = rt->live;
	rt->live = l;
	return 0;
}

static void close_used(struct attempt *a)
{
	userns_end(&a->makers[0]);
	userns_end(&a->makers[1]);
	for (int k = 0; k < CGROUP_FDS; k++)
		if (a->child.cgroup_fds[k] >= 0)
			close(a->child.cgroup_fds[k]);
	if (a->child.io_group >= 0)
		close(a->child.io_group);
	if (a->child.netns >= 0)
		close(a->child.netns);
	if (a->child.listener >= 0)
		close(a->child.listener);
	if (a->child.volume_idmap >= 0)
		close(a->child.volume_idmap);
	for (int i = 0; i < PROTO_MOUNTS_MAX; i++)
		if (a->child.volumes[i] >= 0)
			close(a->child.volumes[i]);
	if (a->child.fifo_write >= 0)
		close(a->child.fifo_write);
	if (a->child.target_pidfd >= 0)
		close(a->child.target_pidfd);
	if (a->report >= 0)
		close(a->report);
	if (a->child.status >= 0)
		close(a->child.status);
	if (a->child.go[0] >= 0)
		close(a->child.go[0]);
}

/* As a rule it is empty, and then this takes no descriptor: there may be none. */
static void remove_upper(struct runtime *rt, uint64_t id)
{
	static const char *const parts[] = {"/work", "/fs", ""};
	char name[32];

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		snprintf(name, sizeof(name), "%016" PRIx64 ".tmp%s", id, parts[i]);
		if (unlinkat(rt->layers_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT &&
			io_remove_tree(rt->layers_fd, name) < 0)
			log_warn("cannot remove %s/layers/%s", rt->state, name);
	}
}

/* Both processes of an enter are of the session that the first one made; so the second is
 * found even when nobody heard of it. */
static void end_session(pid_t leader)
{
	kill(-leader, SIGKILL);
	while (waitpid(-leader, NULL, 0) > 0 || errno == EINTR)
		;
}

static void undo(struct runtime *rt, struct attempt *a, const struct sandbox_record *rec)
{
	if (a->pid > 0) {
		kill(a->pid, SIGKILL); /* ours and not yet waited for: the number is still
					  its */
		reap(a->pid);
	}
	if (a->child.go[1] >= 0)
		close(a->child.go[1]);
	if (a->first > 0)
		end_session(a->first);
	if (a->pidfd >= 0)
		close(a->pidfd);
	if (a->master >= 0)
		close(a->master);
	if (a->new_upper)
		remove_upper(rt, a->new_upper);
	if (a->slot) {
		struct live l = {
			.rec = *rec, .scratch = TAKE_FD(a->child.scratch), .mounts = -1};
		l.rec.net_index = a->net_index;
		sandbox_forget(rt, a->slot, &l);
	}
}

/* Who does not listen any more has said why, or wait_started finds that out. */
static int give_orders(struct attempt *a, struct err *e)
{
	int r = orders_send(a->report, &a->child);

	return r < 0 && r != -EPIPE ? err_sys(e, -r, "cannot tell the new process") : 0;
}

static int give_network(struct attempt *a, struct err *e)
{
	int r = orders_send_network(a->report, a->child.netns, a->child.listener);

	return r < 0 && r != -EPIPE ? err_sys(e, -r, "cannot tell the new process") : 0;
}

static struct attempt attempt_new(struct runtime *rt, const struct sandbox_io *io)
{
	struct attempt a = {.report = -1,
		.pidfd = -1,
		.master = -1,
		.child = {.rt = rt,
			.io = io,
			.userns = -1,
			.idmap = -1,
			.volume_idmap = -1,
			.netns = -1,
			.listener = -1,
			.target_pidfd = -1,
			.scratch = -1,
			.fifo_write = -1,
			.io_group = -1,
			.status = -1,
			.go = {-1, -1}}};

	for (int k = 0; k < CGROUP_FDS; k++)
		a.child.cgroup_fds[k] = -1;
	for (int i = 0; i < PROTO_MOUNTS_MAX; i++)
		a.child.volumes[i] = -1;
	return a;
}

static int start_steps(struct runtime *rt, const struct msg_start *m, struct attempt *a,
	struct sandbox_record *rec, struct err *e)
{
	uint32_t owner;
	int r;

	/* the processes first: new ones work while the rest is prepared */
	if ((r = take_slot(rt, a, m->app, e)) < 0 ||
		(r = take_process(rt, a, m->id, e)) < 0 ||
		(r = slot_begin(rt, a, e)) < 0 ||
		(r = prepare_folders(rt, m, a, e)) < 0 ||
		(r = cgroup_make(
			 &rt->cgroups, m->id, &m->limits, &a->child.io_group, e)) < 0 ||
		(r = slot_finish(rt, a, e)) < 0 ||
		(r = prepare_volume_ids(rt, m, a, e)) < 0 ||
		(r = prepare_volumes(rt, m, a, e)) < 0)
		return r;
	owner = a->child.uid_base + a->child.uid;
	if ((r = prepare_output(a, a->child.io, owner, e)) < 0 ||
		(r = give_orders(a, e)) < 0 || (r = prepare_network(rt, m, a, e)) < 0 ||
		(r = prepare_listener(rt, m, a, e)) < 0 || (r = give_network(a, e)) < 0 ||
		(r = wait_started(a, e)) < 0 || (r = fill_record(rt, a, rec, e)) < 0)
		return r;
	return remember(rt, a, rec) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

static int finish(struct runtime *rt, struct attempt *a, int r,
	struct sandbox_record *rec, struct sandbox_record *ret, int *ret_pidfd,
	int *ret_pty_master)
{
	close_used(a);
	if (r < 0) {
		undo(rt, a, rec);
		return r;
	}
	*ret = *rec;
	*ret_pidfd = a->pidfd;
	*ret_pty_master = a->master;
	return 0;
}

int sandbox_start(struct runtime *rt, const struct msg_start *m,
	const struct sandbox_io *io, struct sandbox_record *ret, int *ret_pidfd,
	int *ret_pty_master, struct err *e)
{
	struct attempt a = attempt_new(rt, io);
	struct sandbox_record rec = {.app = m->app,
		.id = m->id,
		.profile = (uint8_t)m->profile,
		.stop_signal = (uint8_t)m->stop_signal,
		.uid = (uint16_t)m->uid,
		.gid = (uint16_t)m->gid,
		.flags = m->flags,
		.stop_timeout_ms = m->stop_timeout_ms,
		.memory_limit_bytes = m->limits.memory_bytes,
		.upper = m->upper};
	int r = check_start(rt, m, e);

	if (r < 0)
		return r;
	memcpy(rec.name, m->name, sizeof(rec.name));
	a.child.start = m;
	a.child.id = m->id;
	a.child.profile = m->profile;
	a.child.uid = user_inside(m->profile, m->flags, m->uid);
	a.child.gid = user_inside(m->profile, m->flags, m->gid);
	a.child.flags = m->flags;
	a.child.nofile = runtime_nofile(rt, m->limits.nofile);
	r = start_steps(rt, m, &a, &rec, e);
	ahead_guess(rt, m->id);
	return finish(rt, &a, r, &rec, ret, ret_pidfd, ret_pty_master);
}

static int enter_steps(struct runtime *rt, const struct sandbox_record *target,
	struct attempt *a, struct sandbox_record *rec, struct err *e)
{
	int r;

	a->child.target_pidfd = process_open((pid_t)target->pid, target->start_time);
	if (a->child.target_pidfd < 0 || target->boot != rt->boot)
		return err_set(e, ESRCH, "%s is not running", target->name);
	if ((a->child.nofile = process_nofile((pid_t)target->pid)) == 0) /* as the app */
		return err_set(e, EIO, "cannot read the limits of %s", target->name);
	if ((r = take_slot(rt, a, target->app, e)) < 0 ||
		(r = slot_begin(rt, a, e)) < 0 || (r = slot_finish(rt, a, e)) < 0)
		return r;
	if (rec->slot != (uint32_t)(a->slot - rt->slots))
		return err_set(e, ESTALE, "%s has another user range than its app",
			target->name);
	if ((r = cgroup_join_fds(&rt->cgroups, target->id, a->child.cgroup_fds)) < 0)
		return err_sys(
			e, -r, "cannot open the control group of %s", target->name);
	uint32_t owner = a->child.uid_base + a->child.uid;
	if ((r = prepare_output(a, a->child.io, owner, e)) < 0 ||
		(r = clone_child(a, e)) < 0 || (r = wait_started(a, e)) < 0 ||
		(r = fill_record(rt, a, rec, e)) < 0)
		return r;
	return remember(rt, a, rec) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

int sandbox_enter(struct runtime *rt, const struct sandbox_record *target, uint64_t id,
	uint32_t flags, const struct sandbox_io *io, struct sandbox_record *ret,
	int *ret_pidfd, int *ret_pty_master, int *ret_go, struct err *e)
{
	struct attempt a = attempt_new(rt, io);
	struct sandbox_record rec = {.app = target->app,
		.id = id,
		.profile = target->profile,
		.flags = (flags & (START_STDIO | START_TTY)) |
			 (target->flags & START_USER) | SANDBOX_ENTERED,
		.slot = target->slot,
		.uid = target->uid,
		.gid = target->gid,
		.target = target->id,
		.memory_limit_bytes = target->memory_limit_bytes};
	int r;

	memcpy(rec.name, target->name, sizeof(rec.name));
	a.child.id = id;
	a.child.profile = target->profile;
	a.child.uid = user_inside(target->profile, target->flags, target->uid);
	a.child.gid = user_inside(target->profile, target->flags, target->gid);
	a.child.flags = flags & (START_STDIO | START_TTY);
	r = enter_steps(rt, target, &a, &rec, e);
	r = finish(rt, &a, r, &rec, ret, ret_pidfd, ret_pty_master);
	if (r == 0)
		*ret_go = a.child.go[1];
	return r;
}

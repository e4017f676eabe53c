/* Sandboxes that run or have ended: finding them again, signals, limits, sockets, the
 * reason of the end, cleaning up. */
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/cgroup/tune.h"
#include "runtime/inside.h"
#include "runtime/network/names.h"
#include "runtime/network/network.h"
#include "runtime/process.h"
#include "runtime/sandbox/listener.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#define SWEEP_TRIES 20
#define CLEAN_TRIES 400	 /* every 20 ms; fewer than the thread would let it try */
#define REMOVE_MOST 2000 /* entries in one go: some 20 ms */
#define SWEEP_PAUSE_MS 5
#define STATUS_KILLED 137 /* 128 + SIGKILL: what a shell says of its killed child */

static struct live **find_live(struct runtime *rt, uint64_t id)
{
	struct live **l = &rt->live;

	while (*l && (*l)->rec.id != id)
		l = &(*l)->next;
	return l;
}

static bool record_valid(const struct sandbox_record *rec)
{
	return rec->magic == SANDBOX_RECORD_MAGIC && rec->slot < RUNTIME_SLOTS &&
	       rec->app != 0 && rec->id != 0 && rec->net_index < ADDR_BLOCK &&
	       memchr(rec->name, '\0', sizeof(rec->name));
}

static int open_live(const struct runtime *rt, const struct sandbox_record *rec)
{
	if (rec->boot != rt->boot || rec->start_time == 0)
		return -ESRCH; /* ended before its start time could be read, or before
				  this boot */
	return process_open((pid_t)rec->pid, rec->start_time);
}

/* The app's namespace as its processes have it: a new one with the same map would not be
 * the same. */
static void adopt_userns(struct slot *s, uint32_t pid)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%u/ns/user", pid);
	if (s->userns < 0)
		s->userns = open(path, O_RDONLY | O_CLOEXEC);
}

int sandbox_adopt(struct runtime *rt, const struct sandbox_record *rec, int *ret_pidfd)
{
	struct slot *s;
	struct live *l;
	int fd;

	if (!record_valid(rec) || *find_live(rt, rec->id))
		return -EINVAL;
	fd = open_live(rt, rec);
	if (fd < 0)
		return fd;
	s = &rt->slots[rec->slot];
	l = calloc(1, sizeof(*l));
	if (!l || (s->app && s->app != rec->app)) {
		free(l);
		close(fd);
		return l ? -EINVAL : -ENOMEM;
	}
	s->app = rec->app;
	s->users++;
	adopt_userns(s, rec->pid);
	if (rec->net_index)
		netpool_reserve(rt->pool, rec->net_index);
	*l = (struct live){.rec = *rec, .scratch = -1, .mounts = -1, .next = rt->live};
	rt->live = l;
	*ret_pidfd = fd;
	return 0;
}

/* The command: berth-init's first child. 0 when there is none (any more). */
static pid_t command_pid(uint32_t init)
{
	char path[64];
	autobuf b = {.max = 64 << 10};

	snprintf(path, sizeof(path), "/proc/%u/task/%u/children", init, init);
	if (io_read_file(AT_FDCWD, path, &b) < 0 || !b.data)
		return 0;
	return (pid_t)strtol(b.data, NULL, 10);
}

int sandbox_signal(struct runtime *rt, const struct sandbox_record *rec, int signo)
{
	int fd autoclose = open_live(rt, rec);
	int command autoclose = -1;
	pid_t pid;

	if (signo < 1 || signo >= NSIG)
		return -EINVAL;
	if (fd < 0)
		return fd;
	/* These two cannot be forwarded. The pidfd holds the process while we look
	 * whether it is the right one. */
	if (signo == SIGKILL || signo == SIGSTOP) {
		pid = command_pid(rec->pid);
		command = pid > 0 ? pidfd_open(pid, 0) : -1;
		if (command < 0 || command_pid(rec->pid) != pid)
			return -ESRCH;
		return pidfd_send_signal(command, signo, NULL, 0) < 0 ? -errno : 0;
	}
	return pidfd_send_signal(fd, signo, NULL, 0) < 0 ? -errno : 0;
}

int sandbox_kill(struct runtime *rt, const struct sandbox_record *rec)
{
	int fd autoclose = open_live(rt, rec);

	if (rec->flags & SANDBOX_ENTERED) {
		sandbox_signal(rt, rec, SIGKILL); /* the group is the target's */
		return fd >= 0 && pidfd_send_signal(fd, SIGKILL, NULL, 0) < 0 &&
				       errno != ESRCH
			       ? -errno
			       : 0;
	}
	if (fd >= 0)
		pidfd_send_signal(
			fd, SIGKILL, NULL, 0); /* takes its whole pid namespace along */
	return cgroup_kill(&rt->cgroups, rec->id);
}

int sandbox_freeze(struct runtime *rt, const struct sandbox_record *rec, bool on)
{
	int r = cgroup_freeze(&rt->cgroups, rec->id, on);

	return r == -ENOENT ? -ESRCH : r;
}

bool sandbox_frozen(struct runtime *rt, const struct sandbox_record *rec)
{
	return cgroup_frozen(&rt->cgroups, rec->id) > 0;
}

/* After a fork in a process with threads: system calls only. */
static _Noreturn void reclaim(int fd, const char *text, pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	/* berthd's locks and sockets are not for it */
	if ((fd > 3 && close_range(3, (unsigned int)fd - 1, 0) < 0) ||
		close_range((unsigned int)fd + 1, ~0u, 0) < 0)
		_exit(1);
	_exit(write(fd, text, strlen(text)) < 0);
}

int sandbox_reclaim(struct runtime *rt, const struct sandbox_record *rec)
{
	char text[24];
	int fd autoclose = cgroup_reclaim_open(&rt->cgroups, rec->id, text);
	pid_t parent = getpid(), pid = fd < 0 ? -1 : fork();
	int pidfd;

	if (fd < 0)
		return fd;
	if (pid == 0)
		reclaim(fd, text, parent);
	if (pid < 0)
		return -errno;
	pidfd = pidfd_open(pid, 0);
	return pidfd < 0 ? -errno : pidfd;
}

/* What each process has for itself. The enum limit_bits of which that hold for all. */
static uint32_t limit_processes(struct runtime *rt, const struct sandbox_record *rec,
	const struct msg_limits_body *l, uint32_t which, struct msg_limited *ret)
{
	int target autoclose = open_live(rt, rec);
	int group autoclose = cgroup_open(&rt->cgroups, CGROUP_PIDS, rec->id);
	int join autoclose = which & LIMIT_IO && !rt->cgroups.v2
				     ? cgroup_open(&rt->cgroups, CGROUP_IO, rec->id)
				     : -ENOENT;
	struct tune t = {.target = target, .group = group, .join = join};

	if (which & LIMIT_NOFILE)
		t.nofile = runtime_nofile(rt, l->nofile);
	if (!t.nofile && join == -ENOENT)
		return which;
	if (target < 0 || group < 0 || tune_processes(&t) < 0)
		return 0;
	ret->nofile = t.ret_nofile;
	if (t.ret_nofile != t.nofile)
		which &= ~(uint32_t)LIMIT_NOFILE;
	return which;
}

int sandbox_limits(struct runtime *rt, const struct sandbox_record *rec,
	const struct msg_limits_body *l, uint32_t which, struct msg_limited *ret,
	struct err *e)
{
	struct live *live = *find_live(rt, rec->id);
	int r;

	*ret = (struct msg_limited){.id = rec->id};
	if (rec->flags & SANDBOX_ENTERED)
		return err_set(e, EINVAL, "it has the limits of what it entered");
	r = cgroup_limit(&rt->cgroups, rec->id, l, which, &ret->memory_used_bytes, e);
	if (r < 0)
		return r;
	ret->now = which & (LIMIT_MEMORY | LIMIT_CPU | LIMIT_PIDS);
	if (live && which & LIMIT_MEMORY)
		live->rec.memory_limit_bytes = l->memory_bytes;
	which &= LIMIT_NOFILE | LIMIT_IO;
	if (which & LIMIT_IO && cgroup_limit_io(&rt->cgroups, rec->id, l) < 0)
		which &= ~(uint32_t)LIMIT_IO;
	ret->now |= limit_processes(rt, rec, l, which, ret);
	return 0;
}

static uint64_t group_of(const struct sandbox_record *rec)
{
	return rec->flags & SANDBOX_ENTERED ? rec->target : rec->id;
}

int sandbox_oom_open(
	struct runtime *rt, const struct sandbox_record *rec, uint32_t *ret_events)
{
	return cgroup_oom_open(&rt->cgroups, group_of(rec), ret_events);
}

uint64_t sandbox_oom_kills(struct runtime *rt, const struct sandbox_record *rec, int fd,
	uint64_t *ret_limit_bytes)
{
	struct cgroup_counts counts;

	if (fd >= 0)
		cgroup_oom_quiet(&rt->cgroups, fd);
	cgroup_read(&rt->cgroups, group_of(rec), &counts);
	*ret_limit_bytes = counts.memory_limit_bytes;
	return counts.oom_kills;
}

static int make_sockets(int family, unsigned int n, int *fds)
{
	int one = 1;

	for (unsigned int i = 0; i < n; i++) {
		fds[i] = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fds[i] < 0 || setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one,
					  sizeof(one)) < 0) {
			int r = -errno;
			for (unsigned int k = 0; k <= i; k++)
				if (fds[k] >= 0)
					close(fds[k]);
			return r;
		}
	}
	return (int)n;
}

int sandbox_sockets(struct runtime *rt, const struct sandbox_record *rec, int family,
	unsigned int n, int *fds)
{
	int fd autoclose = open_live(rt, rec);
	int r;

	if (fd < 0)
		return fd;
	if ((family != AF_INET && family != AF_INET6 && family != AF_UNIX) || n < 1 ||
		n > PROTO_SOCKETS_MAX)
		return -EINVAL;
	/* the network namespace of this thread alone, for some microseconds */
	if (setns(fd, CLONE_NEWNET) < 0)
		return -errno;
	r = family == AF_UNIX ? listener_connect(rt->listen_fd, rec->id, n, fds)
			      : make_sockets(family, n, fds);
	if (setns(rt->self_netns, CLONE_NEWNET) < 0) {
		log_error("cannot go back to the host's network: %s", strerror(errno));
		abort(); /* everything after this would happen inside an app */
	}
	return r;
}

int sandbox_ports(
	struct runtime *rt, const struct sandbox_record *rec, int fds[SANDBOX_PORTS])
{
	static const char *const names[SANDBOX_PORTS] = {"tcp", "tcp6", "unix"};
	int fd autoclose = open_live(rt, rec);
	char path[40];
	int n = 0, r = 0;

	if (fd < 0)
		return fd;
	for (; r == 0 && n < SANDBOX_PORTS; n++) {
		snprintf(path, sizeof(path), "/proc/%u/net/%s", rec->pid, names[n]);
		fds[n] = open(path, O_RDONLY | O_CLOEXEC);
		r = fds[n] < 0 ? -errno : 0;
	}
	/* of this process, and not of one with the same number */
	if (r == 0 && pidfd_send_signal(fd, 0, NULL, 0) < 0)
		r = -errno;
	while (r < 0 && n--)
		if (fds[n] >= 0)
			close(fds[n]);
	return r;
}

static void explain(
	const struct exit_record *x, uint64_t oom_kills, struct msg_exited *ret)
{
	ret->time_us = x->time_us;
	ret->value = x->value;
	if (x->magic == EXIT_RECORD_EXEC) {
		ret->reason = EXIT_REASON_EXEC;
	} else if (WIFSIGNALED(x->value)) {
		ret->value = WTERMSIG(x->value);
		ret->reason = ret->value == SIGKILL && oom_kills ? EXIT_REASON_OOM
								 : EXIT_REASON_SIGNALED;
	} else {
		ret->value = WEXITSTATUS(x->value);
		ret->reason = EXIT_REASON_EXITED;
		if (ret->value == STATUS_KILLED && oom_kills) {
			ret->value = SIGKILL;
			ret->reason = EXIT_REASON_OOM;
		}
	}
}

int sandbox_exit_info(struct runtime *rt, const struct sandbox_record *rec, int exit_fd,
	struct msg_exited *ret)
{
	struct cgroup_counts counts;
	struct exit_record x = {0};

	cgroup_read(&rt->cgroups, group_of(rec), &counts);
	*ret = (struct msg_exited){.id = rec->id,
		.time_us = io_now_us(),
		.memory_limit_bytes = rec->memory_limit_bytes,
		.memory_peak_bytes = counts.memory_peak_bytes,
		.cpu_us = counts.cpu_us};
	if (counts.memory_limit_bytes)
		ret->memory_limit_bytes =
			counts.memory_limit_bytes; /* may have been changed since */
	if (exit_fd >= 0 && pread(exit_fd, &x, sizeof(x), 0) == sizeof(x) &&
		(x.magic == EXIT_RECORD_STATUS || x.magic == EXIT_RECORD_EXEC)) {
		explain(&x, counts.oom_kills, ret);
	} else if (counts.oom_kills && !(rec->flags & SANDBOX_ENTERED)) {
		ret->reason = EXIT_REASON_OOM;
		ret->value = SIGKILL;
	} else {
		ret->reason = EXIT_REASON_LOST;
	}
	return 0;
}

/* ---- cleaning up, on the helper thread ---- */

struct leftover {
	struct runtime *rt;
	uint64_t id;
	int mounts, scratch; /* closed in this order */
	unsigned int tries;
};

/* What cannot go now: whether to try again, else that is said, once. */
static bool again(struct leftover *l)
{
	if (l->tries == CLEAN_TRIES)
		return false;
	if (++l->tries < CLEAN_TRIES)
		return true;
	log_warn("not all that sandbox %016" PRIx64
		 " leaves can be removed now: the next start of berthd does it",
		l->id);
	return false;
}

static void close_once(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* 0 when nothing is left to do, or what to answer the thread. */
static int remove_some(
	struct leftover *l, int folder, const char *folder_name, const char *name)
{
	int r = io_remove_part(folder, name, REMOVE_MOST);

	if (r == -EINPROGRESS)
		return r;
	if (r == -EMFILE || r == -ENFILE || r == -ENOMEM)
		return again(l) ? -EAGAIN : 0;
	if (r < 0)
		log_warn("cannot remove %s/%s/%s", l->rt->state, folder_name, name);
	return 0;
}

static int clean(void *arg)
{
	struct leftover *l = arg;
	char name[24];
	int r;

	close_once(&l->mounts);
	close_once(&l->scratch);
	/* the kernel may not have let go of the last process yet */
	if (cgroup_remove(&l->rt->cgroups, l->id) == -EBUSY && again(l)) {
		cgroup_kill(&l->rt->cgroups, l->id);
		return -EAGAIN;
	}
	snprintf(name, sizeof(name), "%016" PRIx64, l->id);
	r = remove_some(l, l->rt->scratch_fd, "scratch", name);
	if (r < 0)
		return r;
	cache_work_name(l->id, name);
	r = remove_some(l, l->rt->cache_fd, "cache", name);
	if (r == 0)
		free(l);
	return r;
}

static void clean_later(struct runtime *rt, const struct live *gone)
{
	struct leftover *l = malloc(sizeof(*l)), now;

	now = (struct leftover){.rt = rt,
		.id = gone->rec.id,
		.mounts = gone->mounts,
		.scratch = gone->scratch};
	if (l) {
		*l = now;
		if (netpool_later(rt->pool, clean, l) == 0)
			return;
	}
	free(l);
	close_once(&now.mounts);
	close_once(&now.scratch);
	log_warn("out of memory: what sandbox %016" PRIx64
		 " leaves is removed at the next start",
		now.id);
}

static int close_mounts(void *arg)
{
	struct mount_fds *m = arg;

	while (m->n)
		close(m->fds[--m->n]);
	free(m);
	return 0;
}

void mounts_close_later(struct runtime *rt, const struct mount_fds *m)
{
	struct mount_fds *copy = malloc(sizeof(*copy));

	if (copy) {
		*copy = *m;
		if (netpool_later(rt->pool, close_mounts, copy) == 0)
			return;
	}
	free(copy);
	for (unsigned int i = 0; i < m->n; i++)
		close(m->fds[i]);
}

void sandbox_forget(struct runtime *rt, struct slot *s, const struct live *l)
{
	if (s && s->users)
		s->users--;
	if (l->rec.net_index) {
		bool led = network_detach(rt->network, l->rec.id, l->rec.net_index);

		netpool_release(rt->pool, l->rec.net_index);
		if (led)
			netpool_forget_later(rt->pool);
	}
	if (l->rec.flags & SANDBOX_ENTERED)
		return;
	names_remove(rt->names_fd, l->rec.id);
	listener_remove(rt->listen_fd, l->rec.id);
	clean_later(rt, l);
}

void sandbox_cleanup(struct runtime *rt, const struct sandbox_record *rec)
{
	struct live **at = find_live(rt, rec->id), *l = *at;

	/* one that ended while no berthd ran holds no range and no address any more, but
	 * has left its folders */
	if (!l) {
		struct live lost = {.rec = *rec, .scratch = -1, .mounts = -1};
		lost.rec.net_index = 0;
		sandbox_forget(rt, NULL, &lost);
		return;
	}
	*at = l->next;
	sandbox_forget(rt, &rt->slots[l->rec.slot], l);
	free(l);
}

/*
 * An empty group goes at once: it may be one made ahead by an earlier berthd, whose
 * sandbox starts in a moment, and the helper thread must not meet that. The process that
 * waits in one has seen that berthd's end and is about to go.
 */
static bool sweep_now(struct runtime *rt, uint64_t id)
{
	const struct timespec pause = {.tv_nsec = SWEEP_PAUSE_MS * 1000000};
	int r = cgroup_remove(&rt->cgroups, id);

	for (int i = 0; r == -EBUSY && i < SWEEP_TRIES; i++) {
		cgroup_kill(&rt->cgroups, id);
		nanosleep(&pause, NULL);
		r = cgroup_remove(&rt->cgroups, id);
	}
	return r != -EBUSY;
}

static void sweep_group(void *arg, uint64_t id)
{
	struct runtime *rt = arg;

	if (!*find_live(rt, id) && !sweep_now(rt, id))
		clean_later(
			rt, &(struct live){.rec.id = id, .scratch = -1, .mounts = -1});
}

static void sweep_left(struct runtime *rt, uint64_t id)
{
	if (!*find_live(rt, id))
		clean_later(
			rt, &(struct live){.rec.id = id, .scratch = -1, .mounts = -1});
}

static void sweep_name(void *arg, uint64_t id)
{
	struct runtime *rt = arg;

	if (!*find_live(rt, id))
		names_remove(rt->names_fd, id);
}

static void sweep_listener(void *arg, uint64_t id)
{
	struct runtime *rt = arg;

	if (!*find_live(rt, id))
		listener_remove(rt->listen_fd, id);
}

/* Folders named by a sandbox's 16 hex digits and the suffix. */
static void sweep_folder(struct runtime *rt, int folder, const char *suffix)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	char *end;

	while (d && (entry = readdir(d))) {
		uint64_t id = strtoull(entry->d_name, &end, 16);
		if (end == entry->d_name + 16 && strcmp(end, suffix) == 0)
			sweep_left(rt, id);
	}
	if (d)
		closedir(d);
}

void runtime_sweep(struct runtime *rt)
{
	cgroups_list(&rt->cgroups, sweep_group, rt);
	names_list(rt->names_fd, sweep_name, rt);
	listener_list(rt->listen_fd, sweep_listener, rt);
	sweep_folder(rt, rt->scratch_fd, "");
	sweep_folder(rt, rt->cache_fd, ".work");
}

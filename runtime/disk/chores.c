/* Slow work on disk that nobody waits for. */
#include "runtime/disk/chores.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/disk/layers.h"
#include "runtime/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* After the deploy that made it: the disk is busy enough. And after a failure. */
#define DELAY_MS 2000

/* In a child's status. */
#define LOST 0x80

/* Two kinds of work, side by side: a layer that somebody waits for does not wait for a large tree. */
enum kind { LAYERS, TRASH, KINDS };
static const char *const deeds[KINDS] = {
	[LAYERS] = "write layers to disk", [TRASH] = "remove what is in the trash"};

struct chores;
struct work {
	struct chores *all;
	enum kind kind;
	bool waits; /* for its timer, or the child's end */
	bool hurry;
	bool failed; /* the last time: nobody can hurry it, and it was said */
	bool lost;   /* layers: see layers_settle */
	int pidfd;   /* of the child at work, or -1 */
	struct loop_io *watch;
	struct loop_timer *timer;
};

struct chores {
	struct loop *loop;
	const struct folders *folders;
	uint64_t serial;
	struct work work[KINDS];
};

struct chores *chores_new(struct loop *l, const struct folders *f)
{
	struct chores *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->loop = l;
	c->folders = f;
	c->serial = io_now_us();
	for (enum kind k = 0; k < KINDS; k++)
		c->work[k] = (struct work){.all = c, .kind = k, .pidfd = -1};
	return c;
}

static void empty(int trash)
{
	int fd = openat(trash, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			(void)io_remove_tree(trash, entry->d_name);
	closedir(dir);
}

/* Its status is 0, or the errno, which file systems have below LOST. */
static _Noreturn void do_work(const struct work *w)
{
	bool lost = w->lost;
	int trash = w->all->folders->trash, layers = w->all->folders->layers, r;

	if (!w->hurry)
		(void)setpriority(PRIO_PROCESS, 0, 10);
	r = process_keep(&trash, &layers);
	if (r == 0 && w->kind == TRASH)
		empty(trash);
	else if (r == 0)
		r = layers_settle(layers, &lost);
	_exit(-r | (lost ? LOST : 0));
}

static void start_work(void *arg);

static void plan(struct work *w)
{
	if (w->waits && w->pidfd < 0 && !w->timer)
		w->timer =
			loop_after(w->all->loop, w->hurry ? 0 : DELAY_MS, start_work, w);
}

static void plan_again(struct work *w, const char *why)
{
	if (!w->failed)
		log_warn("cannot %s: %s; it is tried again every %d s", deeds[w->kind],
			why, DELAY_MS / 1000);
	w->failed = w->waits = true;
	w->hurry = false;
	plan(w);
}

static void unwatch(struct work *w)
{
	loop_del(w->watch);
	w->watch = NULL;
	if (w->pidfd >= 0)
		close(w->pidfd);
	w->pidfd = -1;
}

static void on_done(void *arg, uint32_t events UNUSED)
{
	struct work *w = arg;
	siginfo_t si = {0};

	(void)waitid(P_PIDFD, (id_t)w->pidfd, &si, WEXITED | WNOHANG);
	unwatch(w);
	if (si.si_code != CLD_EXITED) {
		plan_again(w, strsignal(si.si_status));
		return;
	}
	w->lost = si.si_status & LOST;
	if (si.si_status) {
		plan_again(w, strerror(si.si_status & ~LOST));
	} else {
		w->failed = false;
		plan(w);
	}
}

static void start_work(void *arg)
{
	struct work *w = arg;
	pid_t pid;

	w->timer = NULL;
	pid = fork();
	if (pid == 0)
		do_work(w);
	if (pid < 0) {
		plan_again(w, strerror(errno));
		return;
	}
	w->waits = w->hurry = false;
	w->pidfd = pidfd_open(pid, 0);
	if (w->pidfd >= 0)
		w->watch = loop_add(w->all->loop, w->pidfd, EPOLLIN, on_done, w);
	if (!w->watch) { /* it works, but nobody hears how it ends */
		int error = errno;

		unwatch(w);
		plan_again(w, strerror(error));
	}
}

static void want(struct work *w)
{
	w->waits = true;
	plan(w);
}

int chores_remove_tree(struct chores *c, int dirfd, const char *name)
{
	char moved[32];

	snprintf(moved, sizeof(moved), "%llu", (unsigned long long)++c->serial);
	if (renameat(dirfd, name, c->folders->trash, moved) < 0) {
		if (errno == ENOENT)
			return 0;
		if (errno != EXDEV)
			return -errno;
		return io_remove_tree(dirfd, name);
	}
	want(&c->work[TRASH]);
	return 0;
}

void chores_empty_trash(struct chores *c)
{
	want(&c->work[TRASH]);
}

bool chores_removing(const struct chores *c)
{
	return c->work[TRASH].waits || c->work[TRASH].pidfd >= 0;
}

void chores_settle_layers(struct chores *c)
{
	want(&c->work[LAYERS]);
}

void chores_hurry(struct chores *c)
{
	struct work *w = &c->work[LAYERS];

	if (w->pidfd < 0)
		w->waits = true;
	if (!w->waits || w->hurry)
		return;
	if (!w->failed) {
		w->hurry = true;
		loop_cancel(w->timer);
		w->timer = NULL;
	}
	plan(w);
}

static void free_work(struct work *w)
{
	if (w->timer) {
		loop_cancel(w->timer);
		start_work(w);
	}
	unwatch(w);
}

void chores_free(struct chores *c)
{
	if (!c)
		return;
	for (enum kind k = 0; k < KINDS; k++)
		free_work(&c->work[k]);
	free(c);
}

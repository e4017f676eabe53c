/* Slow work on disk that nobody waits for. */
#include "runtime/chores.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/process.h"
#include "runtime/records.h"
#include "runtime/tally.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define DELAY_MS 2000 /* after the deploy that made it: the disk is busy enough */
#define LAYERS_WAITING_MAX 256u

/* Two kinds of work, side by side: a layer that somebody waits for does not wait for a large tree. */
enum kind { LAYERS, TRASH, KINDS };

struct chores;
struct work {
	struct chores *all;
	enum kind kind;
	bool waits; /* for its timer, or the child's end */
	bool hurry;
	int pidfd; /* of the child at work, or -1 */
	struct loop_io *watch;
	struct loop_timer *timer;
};

struct chores {
	struct loop *loop;
	const struct folders *folders;
	uint64_t layers[LAYERS_WAITING_MAX]; /* to settle; more are found again at the
						next start */
	unsigned int n_layers;
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

/* A link that leads nowhere: its target lies in the inode, a file would take a block. */
static void mark(int dir, const char *size)
{
	if ((symlinkat(size, dir, "synced") < 0 && errno != EEXIST) || fsync(dir) < 0)
		dprintf(STDERR_FILENO, "berthd: cannot mark a layer as on disk: %s\n",
			strerror(errno));
}

static void settle(int layers, uint64_t id)
{
	struct tally t = TALLY_INIT;
	char name[32], text[32];
	int dir;

	id_name(name, id, "");
	dir = openat(layers, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return;
	uint64_t size = tally_tree(&t, dir, "fs");
	/* 0 says that it is not on disk: some file systems keep a small folder in its inode. */
	snprintf(text, sizeof(text), "%llu", (unsigned long long)(size ? size : 1));
	tally_clear(&t);
	mark(dir, text);
	close(dir);
}

static _Noreturn void do_work(const struct work *w)
{
	const struct chores *c = w->all;
	int trash = c->folders->trash, layers = c->folders->layers;

	if (!w->hurry)
		(void)setpriority(PRIO_PROCESS, 0, 10);
	if (process_keep(&trash, &layers) < 0)
		_exit(1);
	if (w->kind == TRASH)
		empty(trash);
	else if (syncfs(layers) < 0)
		_exit(1);
	for (unsigned int i = 0; w->kind == LAYERS && i < c->n_layers; i++)
		settle(layers, c->layers[i]);
	_exit(0);
}

static void start_work(void *arg);

static void plan(struct work *w)
{
	if (w->waits && w->pidfd < 0 && !w->timer)
		w->timer =
			loop_after(w->all->loop, w->hurry ? 0 : DELAY_MS, start_work, w);
}

static void on_done(void *arg, uint32_t events UNUSED)
{
	struct work *w = arg;
	siginfo_t si;

	(void)waitid(P_PIDFD, (id_t)w->pidfd, &si, WEXITED | WNOHANG);
	loop_del(w->watch);
	w->watch = NULL;
	close(w->pidfd);
	w->pidfd = -1;
	plan(w);
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
		log_error("cannot start a chore: %s", strerror(errno));
		return;
	}
	w->waits = w->hurry = false;
	if (w->kind == LAYERS)
		w->all->n_layers = 0;
	w->pidfd = pidfd_open(pid, 0);
	if (w->pidfd >= 0)
		w->watch = loop_add(w->all->loop, w->pidfd, EPOLLIN, on_done, w);
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

void chores_settle_layer(struct chores *c, uint64_t id)
{
	if (c->n_layers < LAYERS_WAITING_MAX)
		c->layers[c->n_layers++] = id;
	want(&c->work[LAYERS]);
}

void chores_hurry(struct chores *c)
{
	struct work *w = &c->work[LAYERS];

	if (!w->waits || w->hurry)
		return;
	w->hurry = true;
	loop_cancel(w->timer);
	w->timer = NULL;
	plan(w);
}

static void free_work(struct work *w)
{
	if (w->timer) {
		loop_cancel(w->timer);
		start_work(w);
	}
	loop_del(w->watch);
	if (w->pidfd >= 0)
		close(w->pidfd);
}

void chores_free(struct chores *c)
{
	if (!c)
		return;
	for (enum kind k = 0; k < KINDS; k++)
		free_work(&c->work[k]);
	free(c);
}

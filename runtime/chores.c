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

#define SETTLE_DELAY_MS                                                                  \
	2000 /* after the deploy that made it: the disk is busy enough                   \
	      */
#define LAYERS_WAITING_MAX 256u

struct chores {
	struct loop *loop;
	const struct folders *folders;
	uint64_t layers[LAYERS_WAITING_MAX]; /* to settle; more are found again at the
						next start */
	unsigned int n_layers;
	bool trash, emptying; /* it waits; the child empties it */
	uint64_t serial;
	int pidfd; /* of the child at work, or -1 */
	struct loop_io *watch;
	struct loop_timer *timer;
};

struct chores *chores_new(struct loop *l, const struct folders *f)
{
	struct chores *c = calloc(1, sizeof(*c));

	if (c) {
		c->loop = l;
		c->folders = f;
		c->pidfd = -1;
		c->serial = io_now_us();
	}
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
	snprintf(text, sizeof(text), "%llu",
		(unsigned long long)tally_tree(&t, dir, "fs"));
	tally_clear(&t);
	mark(dir, text);
	close(dir);
}

static _Noreturn void work(struct chores *c)
{
	int trash = c->folders->trash, layers = c->folders->layers;

	(void)setpriority(PRIO_PROCESS, 0, 10);
	if (process_keep(&trash, &layers) < 0)
		_exit(1);
	if (c->trash)
		empty(trash);
	if (c->n_layers && syncfs(layers) < 0)
		_exit(1);
	for (unsigned int i = 0; i < c->n_layers; i++)
		settle(layers, c->layers[i]);
	_exit(0);
}

static void start_work(void *arg);

static void plan(struct chores *c, uint64_t delay_ms)
{
	if (c->pidfd < 0 && !c->timer && (c->trash || c->n_layers))
		c->timer = loop_after(c->loop, delay_ms, start_work, c);
}

static void on_done(void *arg, uint32_t events UNUSED)
{
	struct chores *c = arg;
	siginfo_t si;

	(void)waitid(P_PIDFD, (id_t)c->pidfd, &si, WEXITED | WNOHANG);
	loop_del(c->watch);
	c->watch = NULL;
	close(c->pidfd);
	c->pidfd = -1;
	c->emptying = false;
	plan(c, SETTLE_DELAY_MS);
}

static void start_work(void *arg)
{
	struct chores *c = arg;
	pid_t pid;

	c->timer = NULL;
	pid = fork();
	if (pid == 0)
		work(c);
	if (pid < 0) {
		log_error("cannot start a chore: %s", strerror(errno));
		return;
	}
	c->emptying = c->trash;
	c->trash = false;
	c->n_layers = 0;
	c->pidfd = pidfd_open(pid, 0);
	if (c->pidfd >= 0)
		c->watch = loop_add(c->loop, c->pidfd, EPOLLIN, on_done, c);
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
	c->trash = true;
	plan(c, SETTLE_DELAY_MS);
	return 0;
}

void chores_empty_trash(struct chores *c)
{
	c->trash = true;
	plan(c, SETTLE_DELAY_MS);
}

bool chores_removing(const struct chores *c)
{
	return c->trash || c->emptying;
}

void chores_settle_layer(struct chores *c, uint64_t id)
{
	if (c->n_layers < LAYERS_WAITING_MAX)
		c->layers[c->n_layers++] = id;
	plan(c, SETTLE_DELAY_MS);
}

void chores_free(struct chores *c)
{
	if (!c)
		return;
	if (c->timer) {
		loop_cancel(c->timer);
		start_work(c);
	}
	loop_del(c->watch);
	if (c->pidfd >= 0)
		close(c->pidfd);
	free(c);
}

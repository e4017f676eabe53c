/*
 * Times starts: of sandboxes by the same code that berthd runs, and of peers' command lines, interleaved in one process.
 * tests/bench/start prepares the peers and turns the figures into a table.
 *
 * usage: start --filter FILE               writes the system call filter, for peers that take one compiled
 *        start ROUNDS STATE NAME=FILE ...  FILE: the peer's argv, one word a line; every @ in it becomes a number of its own
 * Prints "KIND NAME NANOSECONDS" lines; KIND one, burst or rate (starts in a thousand seconds).
 */
#include "lib/io.h"
#include "lib/spec.h"
#include "runtime/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define PEERS_MAX 8
#define WORDS_MAX 64
#define LAYER 1 /* has /true */
#define APP 7
#define BURST 100
#define SUSTAINED 200
#define WAIT_MS 20000

struct peer {
	const char *name;
	char *words[WORDS_MAX];
};

struct run {
	struct sandbox_record rec;
	int pidfd, exit_fd;
};

static struct runtime *rt;
static uint64_t next_id, next_peer;
static uint32_t next_app = 100;

static void die(const char *what, const char *why)
{
	fprintf(stderr, "start: %s: %s\n", what, why);
	exit(1);
}

static int64_t now_ns(void)
{
	return (int64_t)io_mono_ns();
}

/* ---- ours ---- */

static int new_exit_file(void)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		die("exit file", strerror(errno));
	return fd;
}

/* The limits that an app gets by default. */
static void start_one(struct run *r, uint32_t app)
{
	static const char *const argv[] = {"/true", NULL}, *const env[] = {NULL};
	struct msg_start m = {.id = ++next_id,
		.app = app,
		.profile = PROFILE_APP,
		.n_layers = 1,
		.layers = {LAYER},
		.name = "web.1",
		.limits = {.memory_bytes = 512 << 20,
			.cpu_millis = 1000,
			.pids = 512,
			.nofile = 1024,
			.scratch_bytes = (uint64_t)1 << 30}};
	int spec autoclose = spec_pack(argv, env, "/");
	struct sandbox_io io = {.stdio = {-1, -1, -1}, .fifo_fd = -1, .spec_fd = spec};
	struct err e = {0};
	int master;

	r->exit_fd = io.exit_fd = new_exit_file();
	if (sandbox_start(rt, &m, &io, &r->rec, &r->pidfd, &master, &e) < 0)
		die("start", e.text);
}

static void end_one(struct run *r)
{
	struct pollfd p = {.fd = r->pidfd, .events = POLLIN};
	siginfo_t info;
	struct exit_record x = {0};

	if (poll(&p, 1, WAIT_MS) != 1 ||
		waitid(P_PIDFD, (id_t)r->pidfd, &info, WEXITED) < 0)
		die("end", "does not end");
	if (pread(r->exit_fd, &x, sizeof(x), 0) != sizeof(x) ||
		x.magic != EXIT_RECORD_STATUS || x.value != 0)
		die("end", "did not run to a good end");
}

static void clean_one(struct run *r)
{
	sandbox_cleanup(rt, &r->rec);
	close(r->pidfd);
	close(r->exit_fd);
}

static int64_t time_one(uint32_t app)
{
	struct run r;
	int64_t began = now_ns(), took;

	start_one(&r, app);
	end_one(&r);
	took = now_ns() - began;
	clean_one(&r);
	return took;
}

/*
 * Nothing is ready: an app that never ran, every namespace of the pool taken (and given back afterwards: the kernel takes
 * long to remove one), and no process that waits.
 */
static int64_t time_cold(void)
{
	struct netpool_place taken[NETPOOL_READY];
	struct err e;
	int64_t took;

	ahead_drop(rt);
	for (int i = 0; i < NETPOOL_READY; i++)
		if (netpool_take(rt->pool, &taken[i], &e) < 0)
			die("pool", e.text);
	took = time_one(next_app++);
	for (int i = 0; i < NETPOOL_READY; i++) {
		netpool_place_close(&taken[i]);
		netpool_release(rt->pool, taken[i].index);
	}
	return took;
}

/* Until what is slow after an end is done too. */
static void settle(unsigned int ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	netpool_drain(rt->pool);
	nanosleep(&t, NULL);
}

static int64_t time_burst(void)
{
	static struct run runs[BURST];
	int64_t began = now_ns(), took;

	for (int i = 0; i < BURST; i++)
		start_one(&runs[i], APP);
	for (int i = 0; i < BURST; i++)
		end_one(&runs[i]);
	took = now_ns() - began;
	for (int i = 0; i < BURST; i++)
		clean_one(&runs[i]);
	return took;
}

static int64_t rate_of(int64_t took_ns, int n)
{
	return took_ns ? (int64_t)n * 1000000000 * 1000 / took_ns : 0;
}

static int64_t sustained(void)
{
	int64_t began = now_ns();

	for (int i = 0; i < SUSTAINED; i++)
		time_one(APP);
	netpool_drain(rt->pool);
	return rate_of(now_ns() - began, SUSTAINED);
}

/* ---- peers ---- */

extern char **environ;

static pid_t spawn(const struct peer *p)
{
	char numbered[WORDS_MAX][256], *argv[WORDS_MAX] = {NULL};
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int r;

	next_peer++;
	for (int i = 0; p->words[i]; i++) {
		const char *at = strchr(p->words[i], '@');

		argv[i] = numbered[i];
		if (at)
			snprintf(numbered[i], 256, "%.*s%" PRIu64 "%s",
				(int)(at - p->words[i]), p->words[i], next_peer, at + 1);
		else
			snprintf(numbered[i], 256, "%s", p->words[i]);
	}
	posix_spawn_file_actions_init(&actions);
	/* bubblewrap reads its filter from a descriptor of its own; others do not mind */
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (getenv("BENCH_FILTER"))
		posix_spawn_file_actions_addopen(
			&actions, 10, getenv("BENCH_FILTER"), O_RDONLY, 0);
	r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (r)
		die(p->name, strerror(r));
	return pid;
}

static void reap(const struct peer *p, pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status != 0)
		die(p->name, "failed");
}

static int64_t time_peer(const struct peer *p)
{
	int64_t began = now_ns();

	reap(p, spawn(p));
	return now_ns() - began;
}

static int64_t time_peer_burst(const struct peer *p)
{
	pid_t pids[BURST];
	int64_t began = now_ns();

	for (int i = 0; i < BURST; i++)
		pids[i] = spawn(p);
	for (int i = 0; i < BURST; i++)
		reap(p, pids[i]);
	return now_ns() - began;
}

static int64_t peer_sustained(const struct peer *p)
{
	int64_t began = now_ns();

	for (int i = 0; i < SUSTAINED; i++)
		reap(p, spawn(p));
	return rate_of(now_ns() - began, SUSTAINED);
}

static void read_peer(struct peer *p, char *arg)
{
	char *eq = strchr(arg, '='), *save = NULL;
	static struct buf files[PEERS_MAX];
	static int n;
	struct buf *b = &files[n++];
	int w = 0;

	*b = (struct buf){.max = 64 << 10};
	if (!eq || io_read_file(AT_FDCWD, eq + 1, b) < 0)
		die(arg, "no such list of words");
	*eq = '\0';
	p->name = arg;
	for (char *word = strtok_r(b->data, "\n", &save); word && w < WORDS_MAX - 1;
		word = strtok_r(NULL, "\n", &save))
		p->words[w++] = word;
}

/* ---- main ---- */

static void open_runtime(const char *state)
{
	struct runtime_config c = {.state = state, .run = "/run", .lib = "build/bin"};
	struct err e = {0};

	if (runtime_open(&c, &rt, &e) < 0)
		die("runtime", e.text);
}

static void print(const char *kind, const char *name, int64_t n)
{
	printf("%s %s %" PRId64 "\n", kind, name, n);
	fflush(stdout);
}

static void rounds(int n, const struct peer *peers, int n_peers)
{
	for (int i = -2; i < n; i++) { /* two to warm up, not printed */
		int64_t pool, cold;

		settle(20);
		pool = time_one(APP);
		settle(20);
		cold = time_cold();
		if (i >= 0) {
			print("one", "berth-pool", pool);
			print("one", "berth-cold", cold);
		}
		for (int k = 0; k < n_peers; k++) {
			int64_t t = time_peer(&peers[k]);

			if (i >= 0)
				print("one", peers[k].name, t);
		}
	}
}

static void bursts(int n, const struct peer *peers, int n_peers)
{
	for (int i = 0; i < n; i++) {
		settle(200);
		print("burst", "berth", time_burst());
		settle(200);
		print("rate", "berth", sustained());
		for (int k = 0; k < n_peers; k++) {
			print("burst", peers[k].name, time_peer_burst(&peers[k]));
			print("rate", peers[k].name, peer_sustained(&peers[k]));
		}
	}
}

static int write_filter(const char *path)
{
	struct sock_fprog f;
	struct err e = {0};
	int fd autoclose = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || filter_make(&f, &e) < 0 ||
		io_write_all(fd, f.filter, f.len * sizeof(*f.filter)) < 0)
		die(path, e.text);
	free(f.filter);
	return 0;
}

int main(int argc, char **argv)
{
	struct peer peers[PEERS_MAX] = {0};
	struct err e = {0};
	int n;

	if (argc == 3 && strcmp(argv[1], "--filter") == 0)
		return write_filter(argv[2]);
	if (argc < 3 || argc > 3 + PEERS_MAX)
		die("usage", "start ROUNDS STATE NAME=FILE ...");
	n = (int)strtol(argv[1], NULL, 10);
	for (int i = 3; i < argc; i++)
		read_peer(&peers[i - 3], argv[i]);
	open_runtime(argv[2]);
	settle(100);
	rounds(n, peers, argc - 3);
	bursts(n < 5 ? 1 : 5, peers, argc - 3);
	settle(500);
	if (runtime_remove(rt, &e) < 0)
		die("remove", e.text);
	runtime_close(rt);
	return 0;
}

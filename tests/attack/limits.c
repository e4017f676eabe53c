/* Attacks by using up what others need, and by outliving the end. */
#include "tests/attack/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* All are bounded: a little above the limit, and well below what would hurt a machine without one. */
#define FORKS 200
#define BIG_MIB 160
#define SCRATCH_MIB 48
#define FILES 30000
#define FDS 2000
#define LIFE_SECONDS 5

int attack_fork_bomb(void)
{
	pid_t made[FORKS];
	int n = 0, error = 0;

	for (; n < FORKS; n++)
		if ((made[n] = sleeper()) < 0) {
			error = errno;
			break;
		}
	while (n > 0)
		end_sleeper(made[--n]);
	return error;
}

static int eat(void)
{
	size_t size = (size_t)BIG_MIB << 20;
	char *p = mmap(
		NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return errno;
	for (size_t i = 0; i < size; i += 4096)
		p[i] = 1;
	return 0;
}

int attack_memory_bomb(void)
{
	return in_child(eat);
}

static const char *filled;

static int fill(int mib)
{
	static char block[1 << 20];
	int fd = open(filled, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno;
	memset(block, 'x', sizeof(block));
	for (int i = 0; i < mib; i++) {
		ssize_t n = write(fd, block, sizeof(block));
		if (n < 0)
			return errno;
		if (n != (ssize_t)sizeof(block))
			i--; /* the next one says why */
	}
	return 0;
}

static int fill_big(void)
{
	return fill(BIG_MIB);
}

static int fill_at(const char *path, int (*f)(void))
{
	int r;

	filled = path;
	r = in_child(f);
	unlink(path);
	return r;
}

int attack_tmp_fill(void)
{
	return fill_at("/tmp/fill", fill_big);
}

int attack_shm_fill(void)
{
	return fill_at("/dev/shm/fill", fill_big);
}

static int fill_scratch(void)
{
	return fill(SCRATCH_MIB);
}

int attack_scratch_fill(void)
{
	return fill_at("/app/fill", fill_scratch);
}

int attack_inode_fill(void)
{
	char path[32];

	for (int i = 0; i < FILES; i++) {
		int fd;
		snprintf(path, sizeof(path), "/app/%d", i);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			return errno;
		close(fd);
	}
	return 0;
}

int attack_fd_exhaustion(void)
{
	for (int i = 0; i < FDS; i++)
		if (dup(0) < 0)
			return errno;
	return 0;
}

/* The next four take all there is and keep it until their end; the driver sees whether others still get some. */

static int take_all(int (*take)(void))
{
	pid_t pid;
	int ends[2];
	char c;

	/* the one that answers ends; what it took belongs to a child that stays */
	if (pipe(ends) < 0 || (pid = fork()) < 0)
		return errno;
	if (pid == 0) {
		for (int i = 0; i < 200000 && take() == 0; i++)
			;
		close(ends[0]);
		close(ends[1]);
		for (;;)
			pause();
	}
	close(ends[1]);
	return read(ends[0], &c, 1) < 0 ? errno : 0;
}

static int take_inotify(void)
{
	return result(inotify_init1(0));
}

static int take_timer(void)
{
	timer_t t;

	return result(timer_create(CLOCK_MONOTONIC, NULL, &t));
}

static int take_mqueue(void)
{
	static int n;
	char name[32];

	snprintf(name, sizeof(name), "/mine-%d", n++);
	return result(mq_open(name, O_RDWR | O_CREAT, 0600, NULL));
}

static int take_terminal(void)
{
	return result(open("/dev/ptmx", O_RDWR | O_NOCTTY));
}

int attack_inotify(void)
{
	return take_all(take_inotify);
}

int attack_timers(void)
{
	return take_all(take_timer);
}

int attack_mqueues(void)
{
	return take_all(take_mqueue);
}

int attack_terminals(void)
{
	return take_all(take_terminal);
}

/* Into the log: stdout is the answer's, stderr is the log's. */
int attack_log_flood(void)
{
	char line[128];

	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	for (unsigned int n = 0; n < FLOOD_BYTES; n += sizeof(line))
		if (write(2, line, sizeof(line)) < 0)
			return errno;
	return 0;
}

/* ---- outliving the end; each process ends by itself after LIFE_SECONDS ---- */

/* Every process makes its successor and ends, so that no list of them is ever right. */
static void fork_loop(void)
{
	time_t end = time(NULL) + LIFE_SECONDS;

	while (time(NULL) < end) {
		pid_t pid = fork();
		if (pid > 0)
			break;
		if (pid < 0)
			usleep(1000);
	}
	_exit(0);
}

/* They keep the pipe of the output open while they live: so the driver sees whether they do. */
int attack_fork_at_kill(void)
{
	signal(SIGTERM, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	for (int i = 0; i < 4; i++)
		if (fork() == 0)
			fork_loop();
	return 0;
}

int attack_daemon(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		setsid();
		if (fork() > 0)
			_exit(0);
		signal(SIGTERM, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		alarm(LIFE_SECONDS);
		for (;;)
			pause();
	}
	return pid < 0 ? errno : 0;
}

/* Nothing to do inside: the driver gives its pid to another process. */
int attack_pid_reuse(void)
{
	return 0;
}

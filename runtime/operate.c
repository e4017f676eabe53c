/* What an operator does with berthd beside running it: prepare, stop, remove. */
#include "runtime/operate.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/daemons/daemons.h"
#include "runtime/folders.h"
#include "runtime/handoff.h"
#include "runtime/monitor.h"
#include "runtime/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

#define STOP_WAIT_MS                                                                     \
	40000 /* STOP_ALL_MAX_MS for apps, DAEMON_STOP_MS twice, and some                \
	       */

#define LOCK_WAIT_MS 2000

int operate_prepare(const struct settings *s, struct err *e)
{
	struct daemon_ids ids;
	int r = daemon_ids_load(&ids, s->ssh_user, e);

	return r < 0 ? r : folders_make(s, &ids, e);
}

int operate_stop(const struct settings *s, bool everything)
{
	int pidfd autoclose = -1;
	struct pollfd p = {.events = POLLIN};
	int pid;

	if (handoff_lock_test(s) != -EBUSY) {
		log_info("no berthd runs on %s", s->run);
		return 0;
	}
	pid = monitor_pid_read(s);
	pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
	/* The lock is held and the pid file is the holder's: it is not a stale number. */
	if (pidfd < 0 ||
		pidfd_send_signal(pidfd, everything ? SIGINT : SIGTERM, NULL, 0) < 0) {
		log_error("cannot signal the berthd of %s (pid %d): %s", s->run, pid,
			strerror(errno));
		return 1;
	}
	p.fd = pidfd;
	if (poll(&p, 1, STOP_WAIT_MS) <= 0) {
		log_error("berthd[%d] did not end within %d s", pid, STOP_WAIT_MS / 1000);
		return 1;
	}
	/* A child between fork and exec may hold the lock a moment longer. */
	for (int i = 0; i < LOCK_WAIT_MS / 10 && handoff_lock_test(s) == -EBUSY; i++)
		usleep(10000);
	return 0;
}

static int remove_run_files(const struct settings *s)
{
	static const char *const names[] = {"api.sock", "berthd.pid", "daemons",
		"daemons.new", "handoff", "fifo", "instances", "names", "network",
		"empty", "berthd.lock"};
	int fd autoclose = open(s->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if ((r = io_remove_tree(fd, names[i])) < 0)
			return r;
	/* Other files in it are not ours: then it stays. */
	if (rmdir(s->run) < 0 && errno != ENOTEMPTY && errno != EBUSY)
		return -errno;
	return 0;
}

int operate_remove(const struct settings *s)
{
	const struct runtime_config config = {
		.state = s->state, .run = s->run, .lib = s->programs};
	struct runtime *rt = NULL;
	struct err e = {0};
	int r;

	if (handoff_lock_test(s) == -EBUSY) {
		log_error("berthd runs on %s; first: berthd --run %s --stop-all", s->run,
			s->run);
		return 1;
	}
	if (access(s->state, F_OK) < 0)
		return 0;
	r = io_mkdirs(s->run, 0755);
	if (r < 0) {
		log_error("%s: %s", s->run, strerror(-r));
		return 1;
	}
	daemons_end_leftovers(s);
	r = runtime_open(&config, &rt, &e);
	if (r == 0)
		r = runtime_remove(rt, &e);
	runtime_close(rt);
	if (r < 0) {
		log_error("%s", e.text);
		return 1;
	}
	r = remove_run_files(s);
	if (r < 0)
		log_error("cannot remove the files in %s: %s", s->run, strerror(-r));
	return r < 0;
}

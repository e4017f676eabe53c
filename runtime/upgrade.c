/* `berthd --upgrade`: asks the running one to make way, and tells how it goes. */
#include "runtime/upgrade.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/daemons/daemons.h"
#include "runtime/handoff.h"
#include "runtime/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

#define LOOK_MS 50

struct replaced {
	struct daemon_line old;
	bool done;
};

static unsigned int read_old(const struct settings *s, struct replaced *ret)
{
	struct daemon_line now[DAEMONS_MAX];
	int running = daemons_read(s, now);
	unsigned int n = 0;

	for (int i = 0; i < running; i++)
		if (strcmp(now[i].name, DAEMON_LEFT) != 0)
			ret[n++] = (struct replaced){.old = now[i]};
	return n;
}

/* Prints whose place another has taken since the last look. How many are left. */
static unsigned int look(const struct settings *s, struct replaced *list, unsigned int n)
{
	struct daemon_line now[DAEMONS_MAX];
	int running = daemons_read(s, now);
	unsigned int left = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct replaced *r = &list[i];

		for (int k = 0; k < running && !r->done; k++) {
			if (strcmp(now[k].name, r->old.name) != 0 ||
				now[k].pid == r->old.pid)
				continue;
			r->done = true;
			printf("       %s: process %d, was %d\n", r->old.name,
				(int)now[k].pid, (int)r->old.pid);
			fflush(stdout);
		}
		left += !r->done;
	}
	return left;
}

static int check_format(const struct settings *s)
{
	int format = handoff_format_read(s);

	if (format == HANDOFF_FORMAT)
		return 0;
	log_error("the running berthd cannot hand over to this one: stop and start it "
		  "(apps go on): berthd --run %s --stop",
		s->run);
	return -EPROTO;
}

static int send_usr2(const struct settings *s)
{
	int pid = monitor_pid_read(s);
	int pidfd autoclose = pid > 0 ? pidfd_open(pid, 0) : -1;

	if (pidfd >= 0 && pidfd_send_signal(pidfd, SIGUSR2, NULL, 0) == 0)
		return 0;
	log_error("cannot signal the berthd of %s (pid %d): %s", s->run, pid,
		strerror(errno));
	return -ESRCH;
}

int upgrade_ask(const struct settings *s)
{
	struct replaced list[DAEMONS_MAX];
	unsigned int n;

	if (handoff_lock_test(s) != -EBUSY) {
		log_error("no berthd runs on %s", s->run);
		return UPGRADE_NONE;
	}
	n = read_old(s, list);
	if (check_format(s) < 0 || send_usr2(s) < 0)
		return 1;
	printf("-----> Replacing berth's programs; apps go on\n");
	for (int ms = 0; ms < UPGRADE_WAIT_MS; ms += LOOK_MS) {
		usleep(LOOK_MS * 1000);
		if (look(s, list, n) == 0) {
			printf("-----> All of them are new\n");
			return 0;
		}
	}
	log_error("not all programs were replaced within %d s; see berthd's log",
		UPGRADE_WAIT_MS / 1000);
	return 1;
}

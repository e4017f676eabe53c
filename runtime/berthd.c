/* berthd: root's part of berth; see docs/ARCHITECTURE.md. main only decides which of its
 * jobs to do. */
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/daemons/daemons.h"
#include "runtime/daemons/stackmake.h"
#include "runtime/handoff.h"
#include "runtime/hold.h"
#include "runtime/monitor.h"
#include "runtime/operate.h"
#include "runtime/settings.h"
#include "runtime/upgrade.h"

#include <stdio.h>
#include <sys/prctl.h>

/* Also after an upgrade, whose berthd of before did not know of all folders: then the apps go on, whatever comes of it. */
static int prepare(const struct settings *s, bool first, struct err *e)
{
	int r = operate_prepare(s, e);

	if (r == 0 || first)
		return r;
	log_error("%s", e->text);
	return 0;
}

/* What a killed berthd left is ended first: its routers hold the ports. */
static int make(struct handoff *h, const struct settings *s, struct err *e)
{
	int lock = handoff_lock(s, e);

	if (lock < 0)
		return lock;
	daemons_end_leftovers(s);
	return handoff_make(h, s, lock, e);
}

static int run(const struct settings *s)
{
	static struct handoff handoff;
	struct err e = {0};
	bool first;
	int r;

	if (geteuid() != 0) {
		log_error("must be run as root");
		return 1;
	}
	r = handoff_from_env(&handoff, &e);
	first = r == 0;
	if (r >= 0)
		r = prepare(s, first, &e);
	if (first && r == 0)
		r = make(&handoff, s, &e);
	if (r < 0) {
		log_error("%s", e.text);
		return 1;
	}
	return monitor_run(s, &handoff, first);
}

int main(int argc, char **argv)
{
	static struct settings s;
	struct err e = {0};

	log_open("berthd");
	prctl(PR_SET_NAME,
		"berthd"); /* one that took over was executed as /proc/self/exe */
	if (settings_load(&s, argc, argv, &e) < 0) {
		fprintf(stderr, "berthd: %s\n%s", e.text, settings_usage);
		return 2;
	}
	switch (s.mode) {
	case MODE_RUN:
		return run(&s);
	case MODE_STOP:
	case MODE_STOP_ALL:
		return operate_stop(&s, s.mode == MODE_STOP_ALL);
	case MODE_UPGRADE:
		return upgrade_ask(&s);
	case MODE_REMOVE:
		return operate_remove(&s);
	case MODE_STACK:
		return stack_make(s.suite);
	case MODE_HOLD:
		return hold_run();
	case MODE_HELP:
		fputs(settings_usage, stdout);
		return 0;
	default:
		return 2;
	}
}

/* uacme as a confined child process. */
#ifndef CONTROL_ACME_CHILD_H
#define CONTROL_ACME_CHILD_H

#include "control/control.h"

struct acme_child {
	const char *helper;	 /* path of berth-acme */
	const char *folder;	 /* all that it may write */
	const char *const *args; /* of uacme, NULL-terminated, without its name */
	int deadline_ms;
	/* What its hook asks: 0 or -errno. Called from acme_child_run. */
	int (*answer)(void *arg, const struct acme_ask *ask);
	void *arg;
};

/*
 * Starts it, answers its hook, waits for its end; kills it at the deadline. *ret_status: its exit status, or 128 + signal.
 * What it wrote is appended to output, as much as fits. 0, -ETIME, or -errno with e.
 */
int acme_child_run(const struct acme_child *child, int *ret_status, struct buf *output,
	struct err *e);

#endif

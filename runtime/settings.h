/* What berthd was started with: flags, else environment, else berth.conf (lib/conf.h), else defaults. */
#ifndef RUNTIME_SETTINGS_H
#define RUNTIME_SETTINGS_H

#include "lib/base.h"
#include "lib/err.h"
#include "lib/proto.h"

#define SETTINGS_PATH_MAX                                                                \
	200 /* "/instances/…" and unix socket names (108) are appended */
#define SETTINGS_HTTP_MAX 512

enum settings_mode {
	MODE_RUN = 1,
	MODE_STOP,     /* daemons of the running berthd end; instances go on */
	MODE_STOP_ALL, /* instances end too */
	MODE_UPGRADE,  /* the running berthd's programs are replaced by these */
	MODE_REMOVE,   /* everything made at run time goes */
	MODE_STACK,    /* internal: make a stack's tar on stdout, as _berth-build */
	MODE_HOLD,     /* runtime/hold.h */
	MODE_HELP,
};

struct settings {
	enum settings_mode mode;
	char state[SETTINGS_PATH_MAX],
		run[SETTINGS_PATH_MAX]; /* absolute, no trailing slash */
	char http[SETTINGS_HTTP_MAX];	/* "HOST:PORT,…" */
	char https[SETTINGS_HTTP_MAX];	/* the same, or "none" */
	char ssh_user[33];
	unsigned int workers;		  /* 1 .. PROTO_WORKERS_MAX */
	uint32_t suite;			  /* MODE_STACK */
	char programs[SETTINGS_PATH_MAX]; /* folder of this program */
};

/*
 * Fills *s from argv, the environment and the file, and puts the result back into the environment,
 * so that programs started from here see the same. 0 or -EINVAL with the sentence for the
 * operator in e.
 */
int settings_load(struct settings *s, int argc, char **argv, struct err *e);
extern const char settings_usage[];

#endif

/*
 * Health checks of app.json: one try of one, over http, by connecting, or by a command inside the instance. When a startup check is
 * tried again is probe.h, when a liveness check is is liveness.h.
 */
#ifndef CONTROL_HEALTH_H
#define CONTROL_HEALTH_H

#include "control/control.h"
#include "control/member.h"

#define HEALTH_COMMAND_MAX 64u

struct health {
	const char *path;      /* NULL: connecting is enough */
	const char *content;   /* must be in what is answered; NULL */
	const json_t *command; /* words; NULL: over the network */
	uint16_t port;	       /* 0: the instance's own */
	uint32_t attempts, wait_s, timeout_s, initial_delay_s;
	bool patient; /* attempts or wait are given */
};

/* The nth check of that kind ("startup", "liveness") of the process type, with defaults. The texts are app_json's. False: there are no more. */
bool health_read(const json_t *app_json, const char *type, const char *kind, size_t n,
	struct health *ret);
/*
 * 0 healthy; 1 not, and answer says how ("HTTP 500 from /up"), or is "" when nobody accepts yet; -errno: it cannot be asked now.
 * Blocks for at most timeout_s.
 */
int health_try(struct control *c, const struct member *m, const struct health *h,
	char answer[160]);
/* The same on a socket that is connected inside the instance, which stays the caller's. */
int health_ask(const struct health *h, int fd, char answer[160]);

#endif

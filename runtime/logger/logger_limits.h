/*
 * What MSG_LOG_SET said of apps' logs: kept in memory and in the file "limits" of the logs' folder, so that a new logger
 * knows it before anybody tells it again.
 */
#ifndef RUNTIME_LOGGER_LIMITS_H
#define RUNTIME_LOGGER_LIMITS_H

#include "lib/proto.h"

#define LIMITS_APPS_MAX 65536u

struct limits {
	struct msg_log_limits *list; /* by app */
	unsigned int n, cap;
};

/* Reads the file; a line that is none is left out. */
void limits_read(struct limits *l, int dirfd);
void limits_free(struct limits *l);
/* All zero: forgotten. 0, or -errno when it could not be kept for the next logger (it holds all the same), -ENOMEM. */
int limits_set(struct limits *l, int dirfd, const struct msg_log_limits *set);
/* What holds for the app: its own, else that of all apps, else the defaults. A rate of 0: none. */
struct msg_log_limits limits_of(const struct limits *l, uint32_t app);

#endif

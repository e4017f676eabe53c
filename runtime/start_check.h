/* Is a start message acceptable? Every field has its range here: control may be in
 * foreign hands. */
#ifndef RUNTIME_START_CHECK_H
#define RUNTIME_START_CHECK_H

#include "lib/err.h"
#include "lib/proto.h"

#define LIMIT_MEMORY_MIN (16ull << 20)
#define LIMIT_MEMORY_MAX (1ull << 44)
#define LIMIT_CPU_MIN 10u
#define LIMIT_CPU_MAX 1024000u
#define LIMIT_PIDS_MIN 8u
#define LIMIT_PIDS_MAX 32768u
#define STOP_TIMEOUT_MAX_MS 3600000u

/* Ranges and combinations; not whether layers and volumes exist. 0, or -EINVAL with the
 * field in e. */
int start_check(const struct msg_start *m, unsigned int n_fds, struct err *e);
int limits_check(const struct msg_limits_body *l, struct err *e);
/* How many descriptors a start or enter with these flags brings; -EINVAL when the flags
 * do not go together. */
int start_fds(uint32_t flags);

#endif

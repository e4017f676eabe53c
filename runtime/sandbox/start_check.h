/* Is a start message acceptable? Every field has its range here: control may be in
 * foreign hands. */
#ifndef RUNTIME_START_CHECK_H
#define RUNTIME_START_CHECK_H

#include "lib/err.h"
#include "lib/proto.h"

#define STOP_TIMEOUT_MAX_MS 3600000u

/* Ranges and combinations; not whether layers and volumes exist. 0, or -EINVAL with the
 * field in e. */
int start_check(const struct msg_start *m, unsigned int n_fds, struct err *e);
/* Of the limits that which (enum limit_bits) names. */
int limits_check(const struct msg_limits_body *l, uint32_t which, struct err *e);
/* How many descriptors a start or enter with these flags brings; -EINVAL when the flags
 * do not go together. */
int start_fds(uint32_t flags);

#endif

/* Are the messages about networks acceptable? Every field has its range here: control may
 * be in foreign hands. */
#ifndef RUNTIME_NETWORK_CHECK_H
#define RUNTIME_NETWORK_CHECK_H

#include "lib/err.h"
#include "lib/proto.h"

/* 0, or -EINVAL with the field in e. */
int network_check(const struct msg_network *m, struct err *e);
int network_check_name(const struct msg_name *m, struct err *e);

#endif

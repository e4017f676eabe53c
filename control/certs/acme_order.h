/* One order of a certificate: the account, the request, uacme, the answer. */
#ifndef CONTROL_ACME_ORDER_H
#define CONTROL_ACME_ORDER_H

#include "control/certs/cert.h"
#include "control/control.h"

#define ACME_ORDER_MS                                                                    \
	300000 /* of uacme; an order takes a second, authorities may be slow */

/* Makes control/acme. 0 or -errno with e. */
int acme_order_open(struct control *c, struct err *e);
/*
 * Gets a certificate for the names: with the account of the authority that is set (made when there is none, or when the
 * authority has forgotten it), a new key that never leaves this process but for its key file, and challenges that every
 * router worker answers before the authority asks. Blocks up to some minutes. 0 with *ret, the caller's; -EAGAIN: the
 * authority wants fewer requests; -ECANCELED or another -errno, with e.
 */
int acme_order(struct control *c, uint32_t app, const json_t *names,
	struct cert_pair *ret, struct err *e);
/* The next order makes a new account; the old key is kept aside. */
int acme_order_new_account(struct control *c, struct err *e);

#endif

/*
 * Automatic certificates (ACME, RFC 8555): who has them, one thread that gets and renews them, one order at a time. What is
 * under way when control ends is gone with it: the database holds the last try, and the next start goes on from there.
 */
#ifndef CONTROL_ACME_H
#define CONTROL_ACME_H

#include "control/certs/acme_plan.h"
#include "control/control.h"

int acme_open(struct control *c, struct acme **ret, struct err *e);
int acme_run(struct control *c);

/* Switches them on, if they are not; the first order, or another after a failure, is due at once. 0 or -errno. */
int acme_enable(struct control *c, uint32_t app);
/* No more, and the certificate goes. -ENOENT: they were off. */
int acme_disable(struct control *c, uint32_t app, struct err *e);
/* An order is due although none is. -ENOENT: they are off. */
int acme_force(struct control *c, uint32_t app);
/* Hostnames (of the app, 0: of all) or certificates have changed: soon there may be something due. */
void acme_changed(struct control *c, uint32_t app);
/* Settings have changed: whoever waits after a failure tries again. */
void acme_retry(struct control *c);

/*
 * Waits until nothing is due for the app. 0, or with e: -EPROTO (a try since then has failed), -EBUSY (a limit of authorities
 * holds it back), -ECANCELED (the asker went away, or they were switched off), -errno.
 */
int acme_wait(struct control *c, uint32_t app, uint64_t since_us, struct sink *s,
	struct err *e);

/* What there is to know of an app's. */
struct acme_view {
	bool enabled, ordering;
	struct db_acme row;
	json_t *names;	     /* that the next order is for */
	struct db_cert have; /* names NULL: none */
	enum acme_need need;
	uint64_t next_us;  /* the next try: now, later, 0: never */
	const char *limit; /* why later than it would be, or NULL */
};
/* 0 with *ret, to be cleared, or -errno. */
int acme_look(struct control *c, const struct db_app *app, struct acme_view *ret);
void acme_view_clear(struct acme_view *v);

/* For the thread, and tests: what is due of the app, an order waited for, then when it is due next, µs; 0: never. */
uint64_t acme_serve(struct control *c, uint32_t app);

#endif

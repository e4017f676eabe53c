/* Automatic certificates: what is wanted, what is due, and when a try is allowed. Decisions only. */
#ifndef CONTROL_ACME_PLAN_H
#define CONTROL_ACME_PLAN_H

#include "control/control.h"

#define ACME_HOUR_US ((uint64_t)3600 * 1000000)
#define ACME_DAY_US (24 * ACME_HOUR_US)
#define ACME_PAUSE_US (ACME_HOUR_US / 4)     /* after a first failure; doubles, */
#define ACME_PAUSE_MAX_US (6 * ACME_HOUR_US) /* so a renewal has about 100 tries */
#define ACME_LIMITED_US (3 * ACME_HOUR_US)   /* the authority said: too many */
#define ACME_ORDERS_KEPT_US (8 * ACME_DAY_US)

/*
 * Those of the hostnames that an authority can check over http (no wildcard, no single label, nothing below localhost)
 * and that no valid certificate somebody added covers, sorted. A new array.
 */
json_t *acme_names(
	const json_t *hostnames, const struct db_cert *certs, int n, uint64_t now_us);

enum acme_need {
	ACME_NONE,
	ACME_FIRST, /* there is none */
	ACME_NAMES, /* other names */
	ACME_AGE,   /* a third of its lifetime is left */
	ACME_FORCED,
};
/* have NULL: none. Without names nothing is needed. */
enum acme_need acme_need(
	const json_t *names, const struct db_cert *have, bool forced, uint64_t now_us);
/* When a certificate is due: a third of its lifetime before its end. */
uint64_t acme_renew_us(const struct db_cert *have);
/* Half of the time after that is over: whatever its length, it should have been renewed. */
bool acme_late(const struct db_cert *have, uint64_t now_us);

/* Pause after so many failures in a row (1: the first): doubling, a fifth more or less by random. */
uint64_t acme_pause_us(uint32_t failures, uint32_t random);

/*
 * The first moment at which another order of these names (as acme_names_text) stays within what authorities allow; 0: at
 * any time. *ret_why: the limit that holds it back, a static text, or NULL. Public authorities take 5 failures of a name
 * an hour, 5 certificates of the same names a week and 300 orders an account in 3 hours.
 */
int acme_allowed_us(struct control *c, uint32_t app, const char *names, uint64_t now_us,
	uint64_t *ret_us, const char **ret_why);
/* One text for one set of names; the caller's. */
char *acme_names_text(const json_t *names);

/*
 * What uacme's output means, as a sentence: what the authority said, or why it was not reached, and what to do. *ret_limited:
 * it said that there were too many requests. *ret_forgotten: it does not know the account.
 */
void acme_explain(const char *output, char *out, size_t size, bool *ret_limited,
	bool *ret_forgotten);

#endif

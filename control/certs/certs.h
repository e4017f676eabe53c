/*
 * The certificates of all apps: rows of the database and key files of control's folder, and what of them the router
 * workers have. Functions are safe from any thread.
 */
#ifndef CONTROL_CERTS_H
#define CONTROL_CERTS_H

#include "control/certs/cert.h"
#include "control/control.h"

#define CERTS_OF_APP_MAX 20	     /* with the automatic one, which always has room */
#define CERTS_DEFAULT_NAME "default" /* of certs:add without a name */

/* Opens (makes) control/certs; removes key files that no row names. */
int certs_open(struct control *c, struct certs **ret, struct err *e);
void certs_close(struct certs *k); /* for tests */

/*
 * Stores a pair in the place of the app's certificate of that name ("": the automatic one): key file, row, power cuts
 * considered; the old key file is removed. 0, -ENOENT (the app is gone), -E2BIG (it has CERTS_OF_APP_MAX) or -errno,
 * with e.
 */
int certs_put(struct control *c, uint32_t app, const char *name,
	const struct cert_pair *p, struct err *e);
/* Its row and its key. -ENOENT. */
int certs_remove(struct control *c, uint32_t app, const char *name, struct err *e);
/* An app was removed: its keys go, the router forgets it and its certificates. */
void certs_app_gone(struct control *c);
/*
 * on: a restore writes key files before the rows that name them, and until it ends none is removed for want of a row.
 * Off: those that still have none go.
 */
void certs_keys_first(struct control *c, bool on);

/*
 * Which of an app's certificates serves the host: of those that cover it one that is valid rather than one that is not,
 * an added one rather than the automatic one, then the one that is valid longest. Index, or -1.
 */
int certs_choose(const struct db_cert *list, int n, const char *host, uint64_t now_us);

/*
 * Sends every worker all certificates, ticket keys and challenge answers, and waits until each uses them (at most
 * ROUTES_ACK_MS). The next routing table redirects what has a certificate. Before it when certificates came, after it
 * when they go. 0, or -errno with e.
 */
int certs_refresh(struct control *c, struct err *e);
/* certs_refresh and routes_refresh, in that order, when something came. */
int certs_came(struct control *c, struct err *e);
/* The other way around. */
int certs_went(struct control *c, struct err *e);

/* The answer to an ACME challenge: from the return on every worker gives it. answer NULL: no more, at once or later. */
int certs_challenge(
	struct control *c, const char *token, const char *answer, struct err *e);
/* All answers go. */
void certs_no_challenges(struct control *c);

/* New ticket keys; what is due by the clock: a certificate has expired and another takes over, or soon will. */
void certs_daily(struct control *c);

/* Whether the workers have a certificate for this hostname. */
bool certs_serve(struct certs *k, const char *host);
/* Marks the sorted hosts of a table that have a certificate in the workers. apps: those that the hosts' index means. */
void certs_mark(struct certs *k, struct table_host *hosts, uint32_t n,
	const char *strings, const struct table_app *apps);

#endif

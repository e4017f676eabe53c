/* What the audit trail says of a request: its arguments without secrets, and how it ended. */
#ifndef CONTROL_AUDIT_H
#define CONTROL_AUDIT_H

#include "control/api/request.h"

enum audit_how {
	AUDIT_OK,
	AUDIT_REFUSED, /* nothing was begun */
	AUDIT_FAILED,
};

/*
 * One event, on disk when this returns; nothing where the route changes nothing. why: of a refusal or a failure. Failing to
 * record it is logged.
 */
void audit(struct request *r, enum audit_how how, const char *why);
/*
 * NAME=VALUE of the path, the query and the body: names alone of objects, the first word alone of a command; nothing of what
 * is secret by its name (audit_is_secret), and of addresses no login, path or query. Printable, cut where it does not fit.
 */
#define AUDIT_DETAIL_MAX 400
void audit_detail(struct request *r, char out[AUDIT_DETAIL_MAX]);
/* Before an operation begins: keeps what the trail tells of the query and lets go of the connection, which may end before the operation. */
void audit_keep_query(struct request *r);
/* Has a field (a setting) of that name a value that is not to be told? */
bool audit_is_secret(const char *name);

#endif

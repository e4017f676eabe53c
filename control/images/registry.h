/*
 * Images to and from registries, by name. berth-registry speaks to them, confined; control says what is wanted, and what comes is
 * an archive like any other (import.h).
 */
#ifndef CONTROL_REGISTRY_H
#define CONTROL_REGISTRY_H

#include "control/images/images.h"
#include "control/images/reference.h"

#define REGISTRY_TRANSFERS_MAX 4 /* at a time */
#define REGISTRY_TRANSFER_S                                                              \
	(4 * 3600) /* at most; what moves no bytes ends after a minute */

/*
 * Blocks; the login for the host is used when there is one. name: valid (image_name). 0, or -errno with e and nothing left;
 * -ECANCELED.
 */
int registry_pull(struct control *c, const struct reference *from, const char *name,
	struct sink *s, struct err *e);
/* to: a tag, no digest. */
int registry_push(struct control *c, const struct image_found *image,
	const struct reference *to, struct sink *s, struct err *e);
/* Tries the password and keeps it, in place of the host's former login. 0 or -errno with e. */
int registry_login(struct control *c, const char *host, const char *user,
	const char *password, struct sink *s, struct err *e);

#endif

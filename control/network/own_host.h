/* The hostname at which the router serves the API, and the app whose certificates it has: settings of all apps. */
#ifndef CONTROL_OWN_HOST_H
#define CONTROL_OWN_HOST_H

#include "control/api/request.h"

#define OWN_HOST_TOPIC "apps"
#define OWN_HOST_KEY "api-host"
#define OWN_HOST_CERTS_KEY "api-certs"

/* NULL: none; the caller's. */
char *own_host(struct control *c);
/* Is name the API's? */
bool own_host_is(struct control *c, const char *name);
/* Does the app serve as the API's its certificates? */
bool own_host_certs_of(struct control *c, const char *app);
/* What the app's certificates are for: its hostnames, with the API's where they serve it. NULL: they cannot be read. */
json_t *own_host_with(struct control *c, const struct db_app *app);
/* May name become it: a hostname that no app has. 0 or -1. */
int own_host_check(struct request *r, const char *name);
int own_host_check_certs(struct request *r, const char *app);

#endif

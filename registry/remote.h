/*
 * A registry that is spoken to: the distribution specification's requests with whatever login it wants
 * (https://distribution.github.io/distribution/spec/auth/token/). Rules that hold for all of them:
 *   https only; a registry on a loopback address may speak http, and lead to http on loopback addresses;
 *   what proves the login goes to the registry's own origin, and to the realm that it names, nowhere else;
 *   five redirects, for questions without a body.
 */
#ifndef REGISTRY_REMOTE_H
#define REGISTRY_REMOTE_H

#include "registry/http.h"
#include "registry/origin.h"

#define REMOTE_TRIES 5 /* of what broke; pauses of 0.2, 0.4, 0.8, 1.6 s */

struct remote {
	CURL *curl;
	const char *host, *repository; /* as people write them */
	const char *user, *password;   /* NULL: nobody */
	const char *
		action; /* "pull" or "pull,push": asked for where the registry does not say */
	char base[300]; /* scheme and host */
	struct origin origin;
	char authorization[20 << 10]; /* "": none yet; tokens have some kB */
};
/* Its scheme is found out: only a loopback address is asked for that. 0 or -errno with e. Clear it in any case. */
int remote_open(struct remote *r, struct err *e);
void remote_close(struct remote *r);
/*
 * One question; q->url is absolute, or begins with "/" at the registry. Fills in what is the connection's matter
 * (authorization, plain, direct). 0 whatever the status; -errno as http_do, with a sentence.
 */
int remote_do(
	struct remote *r, struct http_request *q, struct http_answer *a, struct err *e);
/* The same for what may be asked again: broken connections and 429, 502, 503, 504 are tried REMOTE_TRIES times. */
int remote_ask(
	struct remote *r, struct http_request *q, struct http_answer *a, struct err *e);
/* Whether a status is a moment's trouble; a pause before the next try (0 the first). */
bool remote_busy(long status);
void remote_pause(unsigned int try);
/* Says what an answer means that is no success, about what ("manifest of x:1"). Returns -errno. */
int remote_fail(const struct remote *r, const struct http_answer *a, const char *what,
	struct err *e);
/* That the login is taken: 0 or -errno with e. */
int remote_login(struct remote *r, struct err *e);

#endif

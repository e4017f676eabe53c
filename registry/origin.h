/* Where a URL leads: what may be asked there, and whether it is the same place as another. */
#ifndef REGISTRY_ORIGIN_H
#define REGISTRY_ORIGIN_H

#include "lib/base.h"

#define URL_MAX_LEN 8192 /* storage behind registries signs its addresses: a few kB */

/* RFC 6454: scheme, host, port. */
struct origin {
	char scheme[8], host[256], port[8];
};
/* Of an absolute http or https URL. 0; -EINVAL: no such URL, or one that carries a user. */
int origin_of(const char *url, struct origin *ret);
bool origin_same(const struct origin *a, const struct origin *b);
/* localhost, 127.0.0.0/8, ::1 */
bool origin_loopback(const struct origin *o);
/* A Location header, absolute or not, seen from base (RFC 3986, 5). 0 or -EINVAL. */
int origin_join(const char *base, const char *location, char out[URL_MAX_LEN]);

#endif

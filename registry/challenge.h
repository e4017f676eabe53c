/* What a server wants for an answer: WWW-Authenticate. */
#ifndef REGISTRY_CHALLENGE_H
#define REGISTRY_CHALLENGE_H

#include "lib/base.h"

enum challenge_scheme { CHALLENGE_NONE, CHALLENGE_BASIC, CHALLENGE_BEARER };
struct challenge {
	enum challenge_scheme scheme;
	char realm[1024], service[256], scope[1024]; /* "" where not said */
};
/*
 * The value of one or more WWW-Authenticate headers, joined by commas (RFC 9110, 11.6.1): the first Bearer challenge with a
 * realm (RFC 6750, and the distribution specification's token authentication), else the first Basic one. What cannot be read,
 * or is longer than its field, is no challenge.
 */
void challenge_parse(const char *value, struct challenge *ret);

#endif

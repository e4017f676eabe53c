/* The full name of an image in a registry: HOST[:PORT]/PATH[:TAG][@sha256:HEX]. */
#ifndef CONTROL_REFERENCE_H
#define CONTROL_REFERENCE_H

#include "control/control.h"

#define REFERENCE_PATH_MAX 255 /* distribution specification, with the host 255 too */
#define REFERENCE_TAG_MAX 128

struct reference {
	char host[DB_LOGIN_HOST_MAX];
	char path[REFERENCE_PATH_MAX + 1];
	char tag[REFERENCE_TAG_MAX +
		 1];	 /* "latest" where neither is said, "" with a digest alone */
	char digest[72]; /* "sha256:HEX" or "" */
};
/* 0; -EINVAL with what a full name is: one without a host too, as there is no registry that is meant by itself. */
int reference_parse(const char *text, struct reference *ret, struct err *e);
/* A host alone, with or without a port: a DNS name, an IPv4 address, or an IPv6 address in brackets. */
bool reference_host_valid(const char *host);
/* Whether the text begins with a host, as one with a dot, a colon or the name localhost is told from a folder. */
bool reference_names_host(const char *text);

#endif

/* Where log lines are sent, as people write it: the URL of a drain. */
#ifndef LIB_DRAIN_URL_H
#define LIB_DRAIN_URL_H

#include "lib/base.h"
#include "lib/err.h"
#include "lib/name.h"
#include <sys/socket.h>

#define DRAIN_URL_MAX 2048 /* Datadog's and Splunk's have about 200 characters */
#define DRAIN_FILE_MAX 64

enum drain_kind {
	DRAIN_TCP = 1,
	DRAIN_TLS,
	DRAIN_UDP,
	DRAIN_HTTP,
	DRAIN_HTTPS,
	DRAIN_FILE
};

struct drain_url {
	enum drain_kind kind;
	char host[HOST_MAX_LEN +
		  1];  /* a name in lower case, or an address; "" of a file */
	uint16_t port; /* 0 of a file */
	char user[256], password[1024]; /* http(s): decoded; "" */
	char rest
		[DRAIN_URL_MAX]; /* http(s): path and query, "/" at least; a file's name */
};

/*
 * syslog+tcp://HOST[:514] (syslog:// is the same), syslog+tls://HOST[:6514], syslog+udp://HOST[:514],
 * http[s]://[USER[:PASSWORD]@]HOST[:PORT][/PATH][?QUERY], file:NAME. Addresses of IPv6 stand in brackets. 0, or -EINVAL with e,
 * which never has the password.
 */
int drain_url_parse(const char *s, struct drain_url *ret, struct err *e);
/* As it may be shown: "***" for user and password, and for a query, which often holds a key. */
void drain_url_show(const struct drain_url *u, char out[DRAIN_URL_MAX]);
/* The host as a URL has it: brackets around IPv6. */
void drain_url_host(const struct drain_url *u, char out[HOST_MAX_LEN + 3]);
/*
 * May a drain send there? Not to what apps never reach (addr_is_never in lib/addr.h: link-local, where clouds tell a machine
 * its secrets, multicast, instances); local: but to loopback.
 */
bool drain_address_allowed(const struct sockaddr *a, bool local);

#endif

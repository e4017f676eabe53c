/* libcurl on the loop: names, TCP, TLS and HTTP, without ever waiting. Addresses are checked where a socket is made. */
#ifndef DRAIN_NET_H
#define DRAIN_NET_H

#include "drain/drain.h"
#include <curl/curl.h>

struct net;
/* One transfer. */
struct call {
	CURL *curl;
	struct drain *drain;
	struct sockaddr_storage address; /* of the last socket, or of what was refused */
	socklen_t address_len;
	bool refused;	   /* an address that drains must not reach */
	bool only_address; /* no connection: done() has the address */
	bool tcp_limits;   /* a stream: buffer and times */
	void (*done)(struct call *call, CURLcode code);
	char detail[CURL_ERROR_SIZE];
};

/* As libcurl takes it, of http and https: without user and password. */
#define NET_URL_MAX (DRAIN_URL_MAX + HOST_MAX_LEN + 32)
void net_url(const struct drain_url *u, char out[NET_URL_MAX]);
/* 0 or -errno; for the life of the program. */
int net_open(struct loop *loop, struct net **ret);
/* A handle with what all have: url, limits, certificates. NULL: out of memory. */
struct call *call_new(struct net *net, struct drain *d, const char *url);
/* 0 or -errno; done follows. */
int call_start(struct net *net, struct call *c);
/* It has ended: it may be started again, over the same connection if that stands. */
void call_stop(struct net *net, struct call *c);
/* Ends it; NULL is allowed. */
void call_free(struct net *net, struct call *c);
/* Why it failed, for people: never has the URL. */
const char *call_error(const struct call *c, CURLcode code, char out[256]);

#endif

/*
 * TLS 1.2 and 1.3 to clients (RFC 5246, 8446), by OpenSSL.
 *
 * OpenSSL reads from the socket itself (through a BIO of ours); what it writes is collected in one buffer of the worker and
 * then sent like plain bytes: what the socket does not take waits, encrypted, in the connection's `out`. So a write never
 * has to be repeated, and an idle connection has no buffer. The certificate is found by name in the handshake; another set
 * of certificates changes nothing for connections that stand.
 */
#ifndef ROUTER_TLS_H
#define ROUTER_TLS_H

#include "lib/base.h"
#include <sys/types.h>

/* Handshakes that go on in one turn of the loop: a full one costs as much as twenty requests, and those wait meanwhile. */
#define TLS_TURN_MAX 8u
#define TLS_SESSION_S 21600 /* a ticket is good for six hours, as long as its key is */

struct worker;
struct downstream;
struct certs;
struct tls;

/* Before the jail: whatever OpenSSL reads from disk is read here. 0 or -ENOMEM. */
int tls_setup(struct worker *w);
void tls_teardown(struct worker *w);
/* c is the current set from now on (taken); the one before is freed. */
void tls_set_certs(struct worker *w, struct certs *c);

/*
 * Goes on with the handshake. 0 done (*ret_h2: the client speaks HTTP/2), -EAGAIN, -EPROTO refused (the alert is sent or in
 * out), -ENOMEM.
 */
int tls_handshake(struct downstream *c, bool *ret_h2);
/* As downstream_receive and downstream_send. */
ssize_t tls_receive(struct downstream *c, char *p, size_t size);
int tls_send(struct downstream *c, const char *p, size_t n);
/* Says that nothing follows. The socket itself is the caller's. */
void tls_close_notify(struct downstream *c);
void tls_free(struct downstream *c);

#endif

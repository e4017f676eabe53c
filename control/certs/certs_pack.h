/* The certificates as one memory file for the router workers (lib/proto.h). */
#ifndef CONTROL_CERTS_PACK_H
#define CONTROL_CERTS_PACK_H

#include "lib/buf.h"
#include "lib/proto.h"

struct certs_pack {
	struct buf certs, names, acme, strings;
	struct buf
		marks; /* struct certs_mark, sorted as names are: kept by whoever packs */
};
/* A name that has a certificate, and whose it is. */
struct certs_mark {
	uint32_t off, len, app; /* off: in strings */
};

/* Appends; failures stick until certs_pack_finish. Returns the certificate's index. */
uint32_t certs_pack_cert(struct certs_pack *p, const char *chain, const char *key);
/* host may be "*.x". */
void certs_pack_name(struct certs_pack *p, const char *host, uint32_t cert, uint32_t app);
void certs_pack_acme(struct certs_pack *p, const char *token, const char *answer);
/* Sorts, drops double names and tokens. A sealed memfd, or -ENOMEM, -EMSGSIZE, -errno. */
int certs_pack_finish(
	struct certs_pack *p, const struct certs_ticket *tickets, uint32_t n_tickets);
/* Keys are wiped. */
void certs_pack_free(struct certs_pack *p);

/* As names are sorted there and in the routing table. */
int certs_compare(const char *a, uint32_t a_len, const char *b, uint32_t b_len);

#endif

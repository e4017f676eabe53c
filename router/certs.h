/* The certificates as control sends them (lib/proto.h): checked as a whole, found by name. */
#ifndef ROUTER_CERTS_H
#define ROUTER_CERTS_H

#include "lib/err.h"
#include "lib/proto.h"

struct cert; /* tls.c: a certificate as OpenSSL has it, made when it is first asked for */

struct certs {
	const struct certs_ticket *tickets; /* the first makes new ones */
	const struct certs_cert *certs;
	const struct certs_name *names;
	const struct certs_acme *acme;
	const char *strings;
	uint32_t n_tickets, n_certs, n_names, n_acme;
	struct cert **made; /* per cert; NULL: not asked for yet */
	void (*free_made)(struct cert *c);
	void *map; /* certs_load: the mapping */
	size_t map_size;
};

/*
 * Maps a sealed memfd and checks all of it. The descriptor stays the caller's. 0, -EPERM (not sealed), -EBADMSG (with what
 * is wrong in e), -ENOMEM, -errno. *ret is untouched on failure.
 */
int certs_load(int fd, struct certs **ret, struct err *e);
/* The same from memory, which must outlive the result and be 8-byte aligned. */
int certs_parse(const void *data, size_t size, struct certs **ret, struct err *e);
/* NULL is allowed. What was made of them goes by free_made. */
void certs_free(struct certs *c);
/* What was made for a name of old goes over to c where chain and key are the same bytes. */
void certs_inherit(struct certs *c, struct certs *old);
/*
 * Index of the certificate for a host name (any case, a trailing dot is ignored): the exact name, else the wildcard that
 * covers its first label. -ENOENT when there is none.
 */
int certs_find(const struct certs *c, const char *name, size_t len);
/* The key authorization for an ACME token, or NULL; *ret_len is its length. */
const char *certs_acme_text(
	const struct certs *c, const char *token, size_t len, uint32_t *ret_len);

#endif

/*
 * A TLS certificate and its key: read, checked, asked for. Pure functions of their arguments, the clock, and, for one
 * warning, the host's CA store. Keys never appear in errors.
 */
#ifndef CONTROL_CERT_H
#define CONTROL_CERT_H

#include "lib/err.h"
#include <jansson.h>

#define CERT_PEM_MAX ((size_t)64 << 10) /* of a chain or a key: what the router takes */
#define CERT_CHAIN_MAX 10u		/* certificates; public chains have 2 to 4 */
#define CERT_NAMES_MAX 100u		/* public authorities take no more */
#define CERT_SOON_US                                                                     \
	((uint64_t)14 * 86400 * 1000000) /* "expires soon": time to act by hand */

/* What a certificate says. */
struct cert {
	json_t *names;			/* its DNS names, lower case, in its order */
	char subject[256], issuer[256]; /* common name, else organisation */
	char key[24];			/* "EC P-256", "RSA 2048" */
	char fingerprint[65];		/* SHA-256, hex */
	uint64_t from_us, until_us;	/* since 1970; until is its last second */
	unsigned int n_chain;
};
void cert_clear(struct cert *c);
/* Of the first certificate of a PEM text. 0, -EINVAL with e. */
int cert_read(const char *chain, struct cert *ret, struct err *e);
/* The certificates of a PEM text, however many, and nothing else that stands in it; the caller's. 0, -EINVAL or -ENOMEM with e. */
int cert_bundle(const char *pem, char **ret, struct err *e);

/* Whether one of the names covers the host: as it is, or *.x for one label below x. A host *.x needs *.x. */
bool cert_covers(const json_t *names, const char *host);

struct cert_pair {
	char *chain; /* PEM, the server's certificate first, without the root */
	char *key;   /* PEM, PKCS #8 */
	struct cert facts;
	json_t *warnings; /* sentences */
};
void cert_pair_clear(struct cert_pair *p); /* wipes the key */
/*
 * Checks a chain and a key as somebody gave them, for an app with these hostnames: the key is the certificate's; each
 * certificate was issued by the next one; it is for servers, valid now, of a kind and size that clients take; it names a
 * hostname of the app. 0 with *ret, the caller's; -EINVAL with e, a sentence that says what is wrong and what to do.
 * Blocks some milliseconds for the CA store.
 */
int cert_check(const char *chain, const char *key, const json_t *hostnames,
	uint64_t now_us, struct cert_pair *ret, struct err *e);

/* A new EC key and a request for a certificate of these names, both PEM, the caller's (wipe the key). 0 or -errno. */
int cert_request(const json_t *names, char **ret_key, char **ret_request, struct err *e);
/* Overwrites and frees; NULL is fine. */
void cert_wipe(char *secret);

#endif

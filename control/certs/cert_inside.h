/* Inside cert*.c: certificates as libcrypto has them. */
#ifndef CONTROL_CERT_INSIDE_H
#define CONTROL_CERT_INSIDE_H

#include "control/certs/cert.h"
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#define CERT_FREE_WITH(name, type, function)                                             \
	static inline void name(type **p)                                                \
	{                                                                                \
		function(*p);                                                            \
	}
CERT_FREE_WITH(cert_free_bio, BIO, BIO_free_all)
CERT_FREE_WITH(cert_free_key, EVP_PKEY, EVP_PKEY_free)
CERT_FREE_WITH(cert_free_request, X509_REQ, X509_REQ_free)
static inline void cert_free_stack(STACK_OF(X509) * *p)
{
	sk_X509_pop_free(*p, X509_free);
}
#define autobio __attribute__((cleanup(cert_free_bio))) BIO
#define autokey __attribute__((cleanup(cert_free_key))) EVP_PKEY
#define autorequest __attribute__((cleanup(cert_free_request))) X509_REQ
#define autostack __attribute__((cleanup(cert_free_stack))) STACK_OF(X509)

/* All certificates of a PEM text; other blocks and text between them are passed over. -EINVAL with e. */
int cert_chain_read(const char *pem, STACK_OF(X509) * *ret, struct err *e);
/* The first private key of a PEM text. -EINVAL with e. */
int cert_key_read(const char *pem, EVP_PKEY **ret, struct err *e);
/* What the certificate says; *c is zero before. */
void cert_facts(X509 *x, struct cert *c);
uint64_t cert_time_us(const ASN1_TIME *t);
/* Common name, else organisation; printable, whatever the certificate has there. */
void cert_name_text(const X509_NAME *name, char *out, size_t size);
/* "EC P-256" */
void cert_key_kind(EVP_PKEY *key, char *out, size_t size);
bool cert_self_issued(X509 *x);
/* PEM, without the root: clients have it, or do not trust it. The caller's, NULL when out of memory. */
char *cert_chain_text(STACK_OF(X509) * all);
char *cert_key_text(EVP_PKEY *key); /* PKCS #8; wipe it */

#endif

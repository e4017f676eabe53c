/* For tests: keys and certificates made on the spot. */
#ifndef CONTROL_CERT_FIXTURE_H
#define CONTROL_CERT_FIXTURE_H

#include "lib/base.h"
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

struct made {
	X509 *x;
	EVP_PKEY *key;
};

struct recipe {
	const char *subject, *names; /* "DNS:a.example,DNS:b.example"; NULL: none */
	const struct made *by;	     /* NULL: itself */
	EVP_PKEY *key;		     /* NULL: a new EC P-256 */
	long from_s, until_s;	     /* from now; until 0: a year */
	bool authority;
	const char *use;      /* extended key usage, NULL: serverAuth */
	const EVP_MD *digest; /* NULL: SHA-256 */
};

static void make_extension(X509 *x, X509 *by, int nid, const char *value)
{
	X509V3_CTX ctx;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, by, x, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
}

static struct made make_cert(const struct recipe *r)
{
	static long serial = 1;
	struct made m = {X509_new(), r->key ? r->key : EVP_EC_gen("P-256")};
	const struct made *by = r->by ? r->by : &m;
	X509_NAME *name = X509_get_subject_name(m.x);

	if (r->key)
		EVP_PKEY_up_ref(r->key);
	X509_set_version(m.x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(m.x), serial++);
	X509_gmtime_adj(X509_getm_notBefore(m.x), r->from_s ? r->from_s : -60);
	X509_gmtime_adj(X509_getm_notAfter(m.x), r->until_s ? r->until_s : 365L * 86400);
	X509_NAME_add_entry_by_txt(
		name, "CN", MBSTRING_UTF8, (const unsigned char *)r->subject, -1, -1, 0);
	X509_set_issuer_name(m.x, X509_get_subject_name(by->x));
	X509_set_pubkey(m.x, m.key);
	make_extension(m.x, by->x, NID_basic_constraints,
		r->authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
	if (r->names)
		make_extension(m.x, by->x, NID_subject_alt_name, r->names);
	if (!r->authority)
		make_extension(
			m.x, by->x, NID_ext_key_usage, r->use ? r->use : "serverAuth");
	X509_sign(m.x, by->key,
		EVP_PKEY_get_base_id(by->key) == EVP_PKEY_ED25519 ? NULL
		: r->digest					  ? r->digest
								  : EVP_sha256());
	return m;
}

static void free_made(struct made *m)
{
	X509_free(m->x);
	EVP_PKEY_free(m->key);
	*m = (struct made){0};
}

/* Appends to a text of at least 64 KiB. */
static void put_cert(char *text, const struct made *m)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *data;

	PEM_write_bio_X509(b, m->x);
	long n = BIO_get_mem_data(b, &data);
	strncat(text, data, (size_t)n);
	BIO_free(b);
}

static void put_key(char *text, const struct made *m, const char *passphrase)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *data;

	PEM_write_bio_PKCS8PrivateKey(b, m->key, passphrase ? EVP_aes_128_cbc() : NULL,
		passphrase, passphrase ? (int)strlen(passphrase) : 0, NULL, NULL);
	long n = BIO_get_mem_data(b, &data);
	strncat(text, data, (size_t)n);
	BIO_free(b);
}

#endif

/* What is wrong with a certificate that somebody brings. */
#include "control/certs/cert_inside.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192     /* beyond, a handshake takes longer than a page */
#define SIGNATURE_BITS_MIN 80 /* SHA-1 has less: clients refuse it */

/* ---- names ---- */

static void warn(json_t *warnings, const char *fmt, ...) PRINTF(2, 3);
static void warn(json_t *warnings, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(warnings, json_string(text));
}

/* "a, b and 3 more" */
static void list_names(const json_t *names, const json_t *without, char *out, size_t size)
{
	size_t len = 0, left = 0, i;
	const json_t *v;

	out[0] = '\0';
	json_array_foreach (names, i, v) {
		const char *name = json_string_value(v);

		if (without && cert_covers(without, name))
			continue;
		if (len + strlen(name) + 24 > size)
			left++;
		else
			len += (size_t)snprintf(
				out + len, size - len, "%s%s", len ? ", " : "", name);
	}
	if (left)
		snprintf(out + len, size - len, " and %zu more", left);
}

static int check_names(
	const struct cert *c, const json_t *hostnames, json_t *warnings, struct err *e)
{
	char has[300], wanted[300];
	bool any = false;
	const json_t *v;
	size_t i;

	if (json_array_size(c->names) == 0)
		return err_set(e, EINVAL,
			"the certificate of %s has no names that clients look at "
			"(subject "
			"alternative names); ask for one that has them",
			c->subject);
	json_array_foreach (hostnames, i, v)
		any |= cert_covers(c->names, json_string_value(v));
	list_names(c->names, NULL, has, sizeof(has));
	list_names(hostnames, c->names, wanted, sizeof(wanted));
	if (!any)
		return err_set(e, EINVAL,
			"the certificate is for %s, the app's hostnames are %s; add "
			"the hostname first: berth domains:add APP %s",
			has, wanted, json_string_value(json_array_get(c->names, 0)));
	if (wanted[0])
		warn(warnings, "not covered by this certificate: %s", wanted);
	return 0;
}

/* ---- dates, key, use ---- */

static void day(uint64_t us, char out[16])
{
	time_t s = (time_t)(us / 1000000);
	struct tm tm = {0};

	gmtime_r(&s, &tm);
	strftime(out, 16, "%Y-%m-%d", &tm);
}

static int check_dates(
	X509 *x, int number, uint64_t now_us, json_t *warnings, struct err *e)
{
	uint64_t from = cert_time_us(X509_get0_notBefore(x)),
		 until = cert_time_us(X509_get0_notAfter(x));
	char subject[256], date[16];

	cert_name_text(X509_get_subject_name(x), subject, sizeof(subject));
	day(until, date);
	if (until <= now_us)
		return err_set(e, EINVAL,
			"certificate %d (%s) expired on %s; get a new one", number,
			subject, date);
	if (until - now_us < CERT_SOON_US)
		warn(warnings, "certificate %d (%s) expires soon, on %s", number, subject,
			date);
	day(from, date);
	if (from > now_us)
		return err_set(e, EINVAL,
			"certificate %d (%s) is not valid before %s; add it then, or set "
			"this host's clock if that is wrong",
			number, subject, date);
	return 0;
}

static int check_kind(
	EVP_PKEY *key, const struct cert *c, json_t *warnings, struct err *e)
{
	int id = EVP_PKEY_get_base_id(key), bits = EVP_PKEY_get_bits(key);

	if (id == EVP_PKEY_RSA && bits < RSA_BITS_MIN)
		return err_set(e, EINVAL,
			"the RSA key has %d bits; clients want at least %d; make a new "
			"key",
			bits, RSA_BITS_MIN);
	if (id == EVP_PKEY_RSA && bits > RSA_BITS_MAX)
		return err_set(e, EINVAL,
			"the RSA key has %d bits, at most %d are possible: each "
			"handshake would take a long time; make a new key",
			bits, RSA_BITS_MAX);
	if (id == EVP_PKEY_RSA || strcmp(c->key, "EC P-256") == 0 ||
		strcmp(c->key, "EC P-384") == 0)
		return 0;
	if (strcmp(c->key, "EC secp521r1") == 0 || id == EVP_PKEY_ED25519) {
		warn(warnings, "many browsers do not know keys of the kind %s", c->key);
		return 0;
	}
	return err_set(e, EINVAL,
		"the key is of the kind %s, which browsers do not know; take EC P-256 or "
		"RSA 2048",
		c->key);
}

static int check_use(X509 *x, const struct cert *c, struct err *e)
{
	uint32_t use = X509_get_extended_key_usage(x);

	if (X509_check_ca(x) == 1)
		return err_set(e, EINVAL,
			"the first certificate (%s) is an authority's; put the server's "
			"own before it",
			c->subject);
	if (!(use & (XKU_SSL_SERVER | XKU_ANYEKU)))
		return err_set(e, EINVAL,
			"the certificate (%s) is not for servers (extended key usage); "
			"ask for one that is",
			c->subject);
	return 0;
}

/* ---- the chain ---- */

static int check_signature(X509 *x, int number, struct err *e)
{
	char subject[256];
	int bits = 0;

	cert_name_text(X509_get_subject_name(x), subject, sizeof(subject));
	if (!cert_self_issued(x) &&
		X509_get_signature_info(x, NULL, NULL, &bits, NULL) == 1 &&
		bits < SIGNATURE_BITS_MIN)
		return err_set(e, EINVAL,
			"certificate %d (%s) is signed with %s, which clients refuse; "
			"get a new one",
			number, subject, OBJ_nid2sn(X509_get_signature_nid(x)));
	return 0;
}

static int check_link(STACK_OF(X509) * all, int i, struct err *e)
{
	X509 *x = sk_X509_value(all, i), *by = sk_X509_value(all, i + 1);
	char name[256], issuer[256], next[256];

	if (X509_check_issued(by, x) == X509_V_OK &&
		X509_verify(x, X509_get0_pubkey(by)) == 1)
		return 0;
	ERR_clear_error();
	cert_name_text(X509_get_subject_name(x), name, sizeof(name));
	cert_name_text(X509_get_issuer_name(x), issuer, sizeof(issuer));
	cert_name_text(X509_get_subject_name(by), next, sizeof(next));
	if (X509_check_issued(by, x) == X509_V_OK)
		return err_set(e, EINVAL,
			"the chain is broken: certificate %d has the name %s, but not "
			"the "
			"key that signed certificate %d (%s); put the right one there",
			i + 2, next, i + 1, name);
	for (int j = 0; j < sk_X509_num(all); j++)
		if (j != i && X509_check_issued(sk_X509_value(all, j), x) == X509_V_OK)
			return err_set(e, EINVAL,
				"the chain is out of order: certificate %d (%s) is "
				"issued "
				"by certificate %d (%s), which must come right after it",
				i + 1, name, j + 1, issuer);
	return err_set(e, EINVAL,
		"the chain is broken: certificate %d (%s) is issued by %s, but "
		"certificate %d is %s; put the certificate of %s there",
		i + 1, name, issuer, i + 2, next, issuer);
}

static int check_chain(
	STACK_OF(X509) * all, uint64_t now_us, json_t *warnings, struct err *e)
{
	int n = sk_X509_num(all), r = 0;

	for (int i = 0; i < n && r == 0; i++) {
		X509 *x = sk_X509_value(all, i);

		if (i > 0 && i == n - 1 && cert_self_issued(x))
			break; /* the root: left out */
		r = check_dates(x, i + 1, now_us, warnings, e);
		if (r == 0)
			r = check_signature(x, i + 1, e);
	}
	for (int i = 0; i + 1 < n && r == 0; i++)
		r = check_link(all, i, e);
	return r;
}

/* Whether clients that trust what this host trusts would take it; only a warning: there are private authorities. */
static void check_trust(STACK_OF(X509) * all, json_t *warnings)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509 *last = sk_X509_value(all, sk_X509_num(all) - 1);
	char name[256], issuer[256];

	cert_name_text(X509_get_subject_name(last), name, sizeof(name));
	cert_name_text(X509_get_issuer_name(last), issuer, sizeof(issuer));
	if (cert_self_issued(sk_X509_value(all, 0))) {
		warn(warnings, "it is self-signed: clients refuse it unless they were "
			       "told to trust it");
	} else if (store && ctx && X509_STORE_set_default_paths(store) == 1 &&
		   X509_STORE_CTX_init(ctx, store, sk_X509_value(all, 0), all) == 1) {
		X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx),
			X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_PARTIAL_CHAIN);
		if (X509_verify_cert(ctx) != 1)
			warn(warnings,
				"this host's CA store does not lead to the last "
				"certificate "
				"(%s, issued by %s): if %s is an intermediate, append "
				"its "
				"certificate; if it is a private authority, clients must "
				"trust it",
				name, issuer, issuer);
	}
	ERR_clear_error();
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
}

static int check_match(
	STACK_OF(X509) * all, EVP_PKEY *key, const struct cert *c, struct err *e)
{
	char kind[24], name[256];

	for (int i = 0; i < sk_X509_num(all); i++) {
		X509 *x = sk_X509_value(all, i);
		EVP_PKEY *public = X509_get0_pubkey(x);

		if (!public || EVP_PKEY_eq(public, key) != 1)
			continue;
		if (i == 0)
			return 0;
		cert_name_text(X509_get_subject_name(x), name, sizeof(name));
		return err_set(e, EINVAL,
			"the chain is out of order: the key belongs to certificate %d "
			"(%s), which must come first",
			i + 1, name);
	}
	ERR_clear_error();
	cert_key_kind(key, kind, sizeof(kind));
	return err_set(e, EINVAL,
		"the key does not belong to the certificate of %s: that has a key of the "
		"kind %s, this one is %s%s; give the key with which the certificate was "
		"requested",
		c->subject, c->key, kind, strcmp(kind, c->key) ? "" : ", but another");
}

int cert_check(const char *chain, const char *key, const json_t *hostnames,
	uint64_t now_us, struct cert_pair *ret, struct err *e)
{
	struct cert_pair p = {.warnings = json_array()};
	autostack *all = NULL;
	autokey *k = NULL;
	int r = cert_chain_read(chain, &all, e);

	if (r == 0)
		r = cert_key_read(key, &k, e);
	if (r == 0) {
		cert_facts(sk_X509_value(all, 0), &p.facts);
		r = check_match(all, k, &p.facts, e);
	}
	if (r == 0)
		r = check_use(sk_X509_value(all, 0), &p.facts, e);
	if (r == 0)
		r = check_kind(k, &p.facts, p.warnings, e);
	if (r == 0)
		r = check_chain(all, now_us, p.warnings, e);
	if (r == 0)
		r = check_names(&p.facts, hostnames, p.warnings, e);
	if (r == 0) {
		check_trust(all, p.warnings);
		p.chain = cert_chain_text(all);
		p.key = cert_key_text(k);
		p.facts.n_chain = (unsigned int)sk_X509_num(all);
		if (!p.chain || !p.key)
			r = err_set(e, ENOMEM, "out of memory");
		else if (strlen(p.chain) > CERT_PEM_MAX || strlen(p.key) > CERT_PEM_MAX)
			r = err_set(e, EINVAL, "the chain is larger than %zu bytes",
				CERT_PEM_MAX);
	}
	if (r < 0) {
		cert_pair_clear(&p);
		return r;
	}
	*ret = p;
	return 0;
}

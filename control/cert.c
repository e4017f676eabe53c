/* Reading and checking certificates with libcrypto. */
#include "control/cert.h"
#include "lib/buf.h"
#include "lib/name.h"
#include <ctype.h>
#include <errno.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192     /* beyond, a handshake takes longer than a page */
#define SIGNATURE_BITS_MIN 80 /* SHA-1 has less: clients refuse it */

#define FREE_WITH(name, type, function)                                                  \
	static void name(type **p)                                                       \
	{                                                                                \
		function(*p);                                                            \
	}
FREE_WITH(free_bio, BIO, BIO_free_all)
FREE_WITH(free_key, EVP_PKEY, EVP_PKEY_free)
FREE_WITH(free_request, X509_REQ, X509_REQ_free)
#define autobio __attribute__((cleanup(free_bio))) BIO
#define autokey __attribute__((cleanup(free_key))) EVP_PKEY
#define autorequest __attribute__((cleanup(free_request))) X509_REQ

static void free_stack(STACK_OF(X509) * *p)
{
	sk_X509_pop_free(*p, X509_free);
}
#define autostack __attribute__((cleanup(free_stack))) STACK_OF(X509)

void cert_wipe(char *secret)
{
	if (secret)
		OPENSSL_cleanse(secret, strlen(secret));
	free(secret);
}

void cert_clear(struct cert *c)
{
	json_decref(c->names);
	*c = (struct cert){0};
}

void cert_pair_clear(struct cert_pair *p)
{
	free(p->chain);
	cert_wipe(p->key);
	cert_clear(&p->facts);
	json_decref(p->warnings);
	*p = (struct cert_pair){0};
}

/* ---- reading ---- */

static uint64_t time_us(const ASN1_TIME *t)
{
	struct tm tm;
	time_t s = t && ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;

	return s > 0 ? (uint64_t)s * 1000000 : 0;
}

/* Printable, whatever the certificate has there. */
static void name_text(const X509_NAME *name, char *out, size_t size)
{
	static const int ids[] = {
		NID_commonName, NID_organizationName, NID_organizationalUnitName};

	snprintf(out, size, "(no name)");
	for (size_t i = 0; name && i < ARRAY_LEN(ids); i++) {
		int at = X509_NAME_get_index_by_NID(name, ids[i], -1);
		unsigned char *text = NULL;

		if (at < 0 || ASN1_STRING_to_UTF8(
				      &text, X509_NAME_ENTRY_get_data(
						     X509_NAME_get_entry(name, at))) <= 0)
			continue;
		snprintf(out, size, "%s", (char *)text);
		OPENSSL_free(text);
		for (char *p = out; *p; p++)
			*p = (unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p;
		json_t *check = json_string(out);
		if (!check) /* cut within a character */
			snprintf(out, size, "(unreadable name)");
		json_decref(check);
		return;
	}
}

static json_t *dns_names(X509 *x)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	json_t *names = json_array();

	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
		char name[HOST_MAX_LEN + 1];
		int len;

		if (g->type != GEN_DNS)
			continue;
		len = ASN1_STRING_length(g->d.dNSName);
		if (len <= 0 || len > HOST_MAX_LEN)
			continue;
		for (int j = 0; j < len; j++)
			name[j] = (char)tolower(ASN1_STRING_get0_data(g->d.dNSName)[j]);
		name[len] = '\0';
		if (name_host_valid(name))
			json_array_append_new(names, json_string(name));
	}
	GENERAL_NAMES_free(all);
	return names;
}

static void key_text(EVP_PKEY *key, char *out, size_t size)
{
	char group[32] = "";
	int id = EVP_PKEY_get_base_id(key);

	EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
	if (id == EVP_PKEY_RSA)
		snprintf(out, size, "RSA %d", EVP_PKEY_get_bits(key));
	else if (id == EVP_PKEY_EC && strcmp(group, "prime256v1") == 0)
		snprintf(out, size, "EC P-256");
	else if (id == EVP_PKEY_EC && strcmp(group, "secp384r1") == 0)
		snprintf(out, size, "EC P-384");
	else if (id == EVP_PKEY_EC)
		snprintf(out, size, "EC %.20s", group);
	else
		snprintf(out, size, "%.20s", OBJ_nid2sn(id));
}

static void facts_of(X509 *x, struct cert *c)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_PKEY *key = X509_get0_pubkey(x);
	unsigned int n = 0;

	c->names = dns_names(x);
	name_text(X509_get_subject_name(x), c->subject, sizeof(c->subject));
	name_text(X509_get_issuer_name(x), c->issuer, sizeof(c->issuer));
	c->from_us = time_us(X509_get0_notBefore(x));
	c->until_us = time_us(X509_get0_notAfter(x));
	if (key)
		key_text(key, c->key, sizeof(c->key));
	if (X509_digest(x, EVP_sha256(), digest, &n) == 1)
		for (unsigned int i = 0; i < n && i < 32; i++)
			snprintf(c->fingerprint + 2 * i, 3, "%02x", digest[i]);
}

/* All certificates of the text; other blocks and text between them are passed over. */
static int read_chain(const char *pem, STACK_OF(X509) * *ret, struct err *e)
{
	autobio *in = BIO_new_mem_buf(pem, -1);
	autostack *all = sk_X509_new_null();
	X509 *x;

	if (!in || !all)
		return err_set(e, ENOMEM, "out of memory");
	while ((x = PEM_read_bio_X509(in, NULL, NULL, NULL))) {
		if (sk_X509_num(all) >= (int)CERT_CHAIN_MAX ||
			sk_X509_push(all, x) <= 0) {
			X509_free(x);
			return err_set(e, EINVAL,
				"the chain has more than %u certificates; leave out "
				"those that the server's does not need",
				CERT_CHAIN_MAX);
		}
	}
	unsigned long code = ERR_peek_last_error();
	ERR_clear_error();
	if (ERR_GET_REASON(code) != PEM_R_NO_START_LINE)
		return err_set(e, EINVAL,
			"certificate %d cannot be read: %s; the file must be PEM, "
			"complete, with its BEGIN and END lines",
			sk_X509_num(all) + 1,
			ERR_reason_error_string(code) ? ERR_reason_error_string(code)
						      : "damaged");
	if (sk_X509_num(all) == 0)
		return err_set(e, EINVAL,
			"there is no certificate in it: PEM is expected, which begins "
			"with -----BEGIN CERTIFICATE-----");
	*ret = TAKE_PTR(all);
	return 0;
}

int cert_read(const char *chain, struct cert *ret, struct err *e)
{
	autostack *all = NULL;
	int r = read_chain(chain, &all, e);

	if (r < 0)
		return r;
	*ret = (struct cert){.n_chain = (unsigned int)sk_X509_num(all)};
	facts_of(sk_X509_value(all, 0), ret);
	return 0;
}

static int refuse_passphrase(char *buf, int size, int writing, void *asked)
{
	(void)buf, (void)size, (void)writing;
	*(bool *)asked = true;
	return -1;
}

static int read_key(const char *pem, EVP_PKEY **ret, struct err *e)
{
	autobio *in = BIO_new_mem_buf(pem, -1);
	bool asked = false;
	EVP_PKEY *key =
		in ? PEM_read_bio_PrivateKey(in, NULL, refuse_passphrase, &asked) : NULL;

	ERR_clear_error();
	if (key) {
		*ret = key;
		return 0;
	}
	if (asked)
		return err_set(e, EINVAL,
			"the key is protected by a passphrase, which nobody could type "
			"at a restart; remove it: openssl pkey -in KEY -out NEWKEY");
	if (strstr(pem, "PRIVATE KEY-----"))
		return err_set(e, EINVAL,
			"the key cannot be read: it is damaged, or of a kind that is not "
			"known");
	return err_set(e, EINVAL,
		"there is no private key in it: PEM is expected, with the words PRIVATE "
		"KEY in its first line");
}

/* ---- names ---- */

bool cert_covers(const json_t *names, const char *host)
{
	const char *rest = strchr(host, '.');
	const json_t *v;
	size_t i;

	json_array_foreach (names, i, v) {
		const char *name = json_string_value(v);

		if (strcmp(name, host) == 0)
			return true;
		if (host[0] != '*' && rest && strncmp(name, "*.", 2) == 0 &&
			strcmp(name + 1, rest) == 0)
			return true;
	}
	return false;
}

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
	uint64_t from = time_us(X509_get0_notBefore(x)),
		 until = time_us(X509_get0_notAfter(x));
	char subject[256], date[16];

	name_text(X509_get_subject_name(x), subject, sizeof(subject));
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

static bool self_issued(X509 *x)
{
	return X509_check_issued(x, x) == X509_V_OK;
}

static int check_signature(X509 *x, int number, struct err *e)
{
	char subject[256];
	int bits = 0;

	name_text(X509_get_subject_name(x), subject, sizeof(subject));
	if (!self_issued(x) && X509_get_signature_info(x, NULL, NULL, &bits, NULL) == 1 &&
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
	name_text(X509_get_subject_name(x), name, sizeof(name));
	name_text(X509_get_issuer_name(x), issuer, sizeof(issuer));
	name_text(X509_get_subject_name(by), next, sizeof(next));
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

		if (i > 0 && i == n - 1 && self_issued(x))
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

	name_text(X509_get_subject_name(last), name, sizeof(name));
	name_text(X509_get_issuer_name(last), issuer, sizeof(issuer));
	if (self_issued(sk_X509_value(all, 0))) {
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
		name_text(X509_get_subject_name(x), name, sizeof(name));
		return err_set(e, EINVAL,
			"the chain is out of order: the key belongs to certificate %d "
			"(%s), which must come first",
			i + 1, name);
	}
	ERR_clear_error();
	key_text(key, kind, sizeof(kind));
	return err_set(e, EINVAL,
		"the key does not belong to the certificate of %s: that has a key of the "
		"kind %s, this one is %s%s; give the key with which the certificate was "
		"requested",
		c->subject, c->key, kind, strcmp(kind, c->key) ? "" : ", but another");
}

/* ---- writing ---- */

static char *text_of(BIO *b)
{
	char *data = NULL;
	long n = BIO_get_mem_data(b, &data);

	return n > 0 ? strndup(data, (size_t)n) : NULL;
}

/* Without the root: clients have it, or do not trust it. */
static char *chain_text(STACK_OF(X509) * all)
{
	autobio *out = BIO_new(BIO_s_mem());
	int n = sk_X509_num(all);

	if (n > 1 && self_issued(sk_X509_value(all, n - 1)))
		n--;
	for (int i = 0; out && i < n; i++)
		if (PEM_write_bio_X509(out, sk_X509_value(all, i)) != 1)
			return NULL;
	return out ? text_of(out) : NULL;
}

static char *private_text(EVP_PKEY *key)
{
	autobio *out = BIO_new(BIO_s_secmem());

	if (!out ||
		PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) != 1)
		return NULL;
	return text_of(out);
}

int cert_check(const char *chain, const char *key, const json_t *hostnames,
	uint64_t now_us, struct cert_pair *ret, struct err *e)
{
	struct cert_pair p = {.warnings = json_array()};
	autostack *all = NULL;
	autokey *k = NULL;
	int r = read_chain(chain, &all, e);

	if (r == 0)
		r = read_key(key, &k, e);
	if (r == 0) {
		facts_of(sk_X509_value(all, 0), &p.facts);
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
		p.chain = chain_text(all);
		p.key = private_text(k);
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

/* ---- asking for one ---- */

static int add_names(X509_REQ *request, const json_t *names)
{
	STACK_OF(X509_EXTENSION) *list = NULL;
	X509_EXTENSION *names_ext;
	autobuf text = BUF_INIT;
	const json_t *v;
	size_t i;
	int ok = 0;

	json_array_foreach (names, i, v)
		buf_addf(&text, "%sDNS:%s", i ? "," : "", json_string_value(v));
	names_ext = text.failed ? NULL
				: X509V3_EXT_conf_nid(
					  NULL, NULL, NID_subject_alt_name, text.data);
	if (names_ext && X509v3_add_ext(&list, names_ext, -1))
		ok = X509_REQ_add_extensions(request, list);
	X509_EXTENSION_free(names_ext);
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	return ok;
}

static char *request_text(X509_REQ *request)
{
	autobio *out = BIO_new(BIO_s_mem());

	return out && PEM_write_bio_X509_REQ(out, request) == 1 ? text_of(out) : NULL;
}

int cert_request(const json_t *names, char **ret_key, char **ret_request, struct err *e)
{
	autokey *key = EVP_EC_gen("P-256");
	autorequest *request = X509_REQ_new();
	char *secret = NULL, *text = NULL;

	if (key && request && X509_REQ_set_version(request, 0) == 1 &&
		X509_REQ_set_pubkey(request, key) == 1 &&
		add_names(request, names) == 1 &&
		X509_REQ_sign(request, key, EVP_sha256()) > 0) {
		secret = private_text(key);
		text = request_text(request);
	}
	ERR_clear_error();
	if (!secret || !text) {
		cert_wipe(secret);
		free(text);
		return err_set(e, EIO, "the request for a certificate cannot be made");
	}
	*ret_key = secret;
	*ret_request = text;
	return 0;
}

/* Certificates and keys with libcrypto: read, written, asked for. */
#include "control/certs/cert_inside.h"
#include "lib/buf.h"
#include "lib/name.h"
#include <ctype.h>
#include <errno.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

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

uint64_t cert_time_us(const ASN1_TIME *t)
{
	struct tm tm;
	time_t s = t && ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;

	return s > 0 ? (uint64_t)s * 1000000 : 0;
}

void cert_name_text(const X509_NAME *name, char *out, size_t size)
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

void cert_key_kind(EVP_PKEY *key, char *out, size_t size)
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

void cert_facts(X509 *x, struct cert *c)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_PKEY *key = X509_get0_pubkey(x);
	unsigned int n = 0;

	c->names = dns_names(x);
	cert_name_text(X509_get_subject_name(x), c->subject, sizeof(c->subject));
	cert_name_text(X509_get_issuer_name(x), c->issuer, sizeof(c->issuer));
	c->from_us = cert_time_us(X509_get0_notBefore(x));
	c->until_us = cert_time_us(X509_get0_notAfter(x));
	if (key)
		cert_key_kind(key, c->key, sizeof(c->key));
	if (X509_digest(x, EVP_sha256(), digest, &n) == 1)
		for (unsigned int i = 0; i < n && i < 32; i++)
			snprintf(c->fingerprint + 2 * i, 3, "%02x", digest[i]);
}

static int read_all(const char *pem, STACK_OF(X509) * *ret, struct err *e)
{
	autobio *in = BIO_new_mem_buf(pem, -1);
	autostack *all = sk_X509_new_null();
	X509 *x;

	if (!in || !all)
		return err_set(e, ENOMEM, "out of memory");
	while ((x = PEM_read_bio_X509(in, NULL, NULL, NULL))) {
		if (sk_X509_push(all, x) <= 0) {
			X509_free(x);
			return err_set(e, ENOMEM, "out of memory");
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

int cert_chain_read(const char *pem, STACK_OF(X509) * *ret, struct err *e)
{
	autostack *all = NULL;
	int r = read_all(pem, &all, e);

	if (r < 0)
		return r;
	if (sk_X509_num(all) > (int)CERT_CHAIN_MAX)
		return err_set(e, EINVAL,
			"the chain has more than %u certificates; leave out those that "
			"the server's does not need",
			CERT_CHAIN_MAX);
	*ret = TAKE_PTR(all);
	return 0;
}

int cert_read(const char *chain, struct cert *ret, struct err *e)
{
	autostack *all = NULL;
	int r = cert_chain_read(chain, &all, e);

	if (r < 0)
		return r;
	*ret = (struct cert){.n_chain = (unsigned int)sk_X509_num(all)};
	cert_facts(sk_X509_value(all, 0), ret);
	return 0;
}

static int refuse_passphrase(char *buf, int size, int writing, void *asked)
{
	(void)buf, (void)size, (void)writing;
	*(bool *)asked = true;
	return -1;
}

int cert_key_read(const char *pem, EVP_PKEY **ret, struct err *e)
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

/* ---- writing ---- */

bool cert_self_issued(X509 *x)
{
	return X509_check_issued(x, x) == X509_V_OK;
}

static char *text_of(BIO *b)
{
	char *data = NULL;
	long n = BIO_get_mem_data(b, &data);

	return n > 0 ? strndup(data, (size_t)n) : NULL;
}

static char *text_of_first(STACK_OF(X509) * all, int n)
{
	autobio *out = BIO_new(BIO_s_mem());

	for (int i = 0; out && i < n; i++)
		if (PEM_write_bio_X509(out, sk_X509_value(all, i)) != 1)
			return NULL;
	return out ? text_of(out) : NULL;
}

char *cert_chain_text(STACK_OF(X509) * all)
{
	int n = sk_X509_num(all);

	if (n > 1 && cert_self_issued(sk_X509_value(all, n - 1)))
		n--;
	return text_of_first(all, n);
}

int cert_bundle(const char *pem, char **ret, struct err *e)
{
	autostack *all = NULL;
	int r = read_all(pem, &all, e);
	char *text = r < 0 ? NULL : text_of_first(all, sk_X509_num(all));

	if (r == 0 && !text)
		r = err_set(e, ENOMEM, "out of memory");
	if (r == 0)
		*ret = text;
	return r;
}

char *cert_key_text(EVP_PKEY *key)
{
	autobio *out = BIO_new(BIO_s_secmem());

	if (!out ||
		PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) != 1)
		return NULL;
	return text_of(out);
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
		secret = cert_key_text(key);
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

/* TLS by OpenSSL: one context, bytes in and out, certificates by name, session tickets. */
#include "router/tls.h"
#include "lib/log.h"
#include "router/worker.h"
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>

#define OUT_SIZE (HOT_SIZE + 4096u) /* what HOT_SIZE bytes become */

#define CIPHERS_12                                                                       \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                     \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                     \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CIPHERS_13                                                                       \
	"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS "X25519:P-256:P-384"

struct cert {
	X509 *leaf;
	STACK_OF(X509) * chain;
	EVP_PKEY *key; /* NULL: OpenSSL did not take it */
};

struct tls {
	SSL_CTX *ctx;
	BIO_METHOD *method;
	EVP_CIPHER *ticket_cipher;
	struct worker *w;
	size_t len; /* of out */
	char out[OUT_SIZE];
};

/* ---- bytes ---- */

/* Sends what was collected. 0 or -errno. */
static int flush(struct downstream *c)
{
	struct tls *t = c->w->tls;
	size_t n = t->len;

	t->len = 0;
	return n ? downstream_send_raw(c, t->out, n) : 0;
}

/* Takes everything: what does not fit is sent at once. */
static int bio_write(BIO *b, const char *p, int n)
{
	struct downstream *c = BIO_get_data(b);
	struct tls *t = c->w->tls;

	BIO_clear_retry_flags(b);
	if ((size_t)n > OUT_SIZE - t->len && flush(c) < 0)
		return -1;
	if ((size_t)n > OUT_SIZE)
		return downstream_send_raw(c, p, (size_t)n) < 0 ? -1 : n;
	memcpy(t->out + t->len, p, (size_t)n);
	t->len += (size_t)n;
	return n;
}

/* A receive that came back short was the last one of this turn. */
static int bio_read(BIO *b, char *p, int size)
{
	struct downstream *c = BIO_get_data(b);
	ssize_t n = -1;

	BIO_clear_retry_flags(b);
	if (!c->drained) {
		do
			n = recv(c->ev.fd, p, (size_t)size, 0);
		while (n < 0 && errno == EINTR);
		c->drained = n < 0 ? errno == EAGAIN : n < size && !c->eof;
		c->ended = n == 0;
	}
	if (n < 0 && c->drained)
		BIO_set_retry_read(b);
	return (int)n;
}

static long bio_ctrl(BIO *b, int cmd, long larg, void *parg)
{
	const struct downstream *c = BIO_get_data(b);

	(void)larg, (void)parg;
	if (cmd == BIO_CTRL_EOF)
		return c->ended;
	return cmd == BIO_CTRL_FLUSH;
}

static BIO_METHOD *make_method(void)
{
	BIO_METHOD *m =
		BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "downstream");

	if (m) {
		BIO_meth_set_write(m, bio_write);
		BIO_meth_set_read(m, bio_read);
		BIO_meth_set_ctrl(m, bio_ctrl);
	}
	return m;
}

/* ---- certificates ---- */

static void free_cert(struct cert *c)
{
	X509_free(c->leaf);
	sk_X509_pop_free(c->chain, X509_free);
	EVP_PKEY_free(c->key);
	free(c);
}

/* A key that wants a password is no key: nobody is asked. */
static int no_password(char *buf, int size, int writing, void *arg)
{
	(void)buf, (void)size, (void)writing, (void)arg;
	return -1;
}

static bool read_chain(struct cert *c, const char *pem, uint32_t len)
{
	BIO *b = BIO_new_mem_buf(pem, (int)len);
	X509 *x;

	c->chain = sk_X509_new_null();
	c->leaf = b ? PEM_read_bio_X509(b, NULL, no_password, NULL) : NULL;
	while (c->leaf && c->chain && (x = PEM_read_bio_X509(b, NULL, no_password, NULL)))
		if (!sk_X509_push(c->chain, x))
			X509_free(x);
	BIO_free(b);
	ERR_clear_error(); /* the end is reported as one */
	return c->leaf && c->chain;
}

static void read_key(struct cert *c, const char *pem, uint32_t len)
{
	BIO *b = BIO_new_mem_buf(pem, (int)len);

	c->key = b ? PEM_read_bio_PrivateKey(b, NULL, no_password, NULL) : NULL;
	if (c->key && X509_check_private_key(c->leaf, c->key) != 1) {
		EVP_PKEY_free(c->key);
		c->key = NULL;
	}
	BIO_free(b);
	ERR_clear_error();
}

/* A bad one is made too, so that this is said once. NULL: no memory. */
static struct cert *make_cert(const struct certs *all, uint32_t i)
{
	const struct certs_cert *row = &all->certs[i];
	struct cert *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	if (read_chain(c, all->strings + row->chain_off, row->chain_len))
		read_key(c, all->strings + row->key_off, row->key_len);
	if (!c->key)
		log_error("certificate %u cannot be used: %s", i,
			c->leaf ? "its key is not a key, or not its own"
				: "it is not a certificate");
	return c;
}

static struct cert *cert_for(struct worker *w, const char *name)
{
	int i = w->certs ? certs_find(w->certs, name, strlen(name)) : -ENOENT;

	if (i < 0)
		return NULL;
	if (!w->certs->made[i])
		w->certs->made[i] = make_cert(w->certs, (uint32_t)i);
	return w->certs->made[i];
}

/* Called once in each handshake, also when the client names nobody. */
static int choose_cert(SSL *ssl, int *alert, void *arg)
{
	struct tls *t = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct cert *c = name ? cert_for(t->w, name) : NULL;

	*alert = c ? SSL_AD_INTERNAL_ERROR : SSL_AD_UNRECOGNIZED_NAME;
	if (!c || !c->key || SSL_use_cert_and_key(ssl, c->leaf, c->key, c->chain, 1) != 1)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

/* RFC 7301 3.2: ours in our order; nothing in common is fatal. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
	const unsigned char *in, unsigned int in_len, void *arg)
{
	static const unsigned char ours[] = "\x02h2\x08http/1.1";
	unsigned char *picked;

	(void)ssl, (void)arg;
	if (SSL_select_next_proto(&picked, out_len, ours, sizeof(ours) - 1, in, in_len) !=
		OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = picked;
	return SSL_TLSEXT_ERR_OK;
}

/* ---- session tickets ---- */

static int find_ticket(const struct certs *all, const unsigned char *name)
{
	uint32_t i;

	for (i = 0; all && i < all->n_tickets; i++)
		if (!memcmp(all->tickets[i].name, name, sizeof(all->tickets[i].name)))
			return (int)i;
	return -1;
}

static bool ticket_mac(EVP_MAC_CTX *mac, const struct certs_ticket *k)
{
	static char digest[] = "SHA256";
	uint8_t key[sizeof(k->hmac)];
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key, sizeof(key)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};

	memcpy(key, k->hmac, sizeof(key));
	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* man SSL_CTX_set_tlsext_ticket_key_evp_cb: 1 goes on, 2 and a new ticket, 0 no ticket, -1 an error. */
static int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv,
	EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int making)
{
	const struct tls *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const struct certs *all = t->w->certs;
	int i = making ? (all && all->n_tickets ? 0 : -1) : find_ticket(all, name);
	const struct certs_ticket *k = i < 0 ? NULL : &all->tickets[i];

	if (!k)
		return 0;
	if (making) {
		memcpy(name, k->name, sizeof(k->name));
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(t->ticket_cipher)) != 1)
			return -1;
	}
	if (EVP_CipherInit_ex2(cipher, t->ticket_cipher, k->aes, iv, making, NULL) != 1 ||
		!ticket_mac(mac, k))
		return -1;
	return i ? 2 : 1;
}

void tls_set_certs(struct worker *w, struct certs *c)
{
	struct certs *old = w->certs;

	if (old)
		certs_inherit(c, old);
	w->certs = c;
	certs_free(old);
	if (!w->tls)
		return;
	c->free_made = free_cert;
	SSL_CTX_set_num_tickets(w->tls->ctx, c->n_tickets ? 1 : 0);
	if (c->n_tickets)
		SSL_CTX_clear_options(w->tls->ctx, SSL_OP_NO_TICKET);
	else
		SSL_CTX_set_options(w->tls->ctx, SSL_OP_NO_TICKET);
}

/* ---- the context ---- */

static bool set_rules(SSL_CTX *ctx)
{
	static const unsigned char id[] = "berth";

	SSL_CTX_set_options(
		ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
			     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
			     SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(ctx, TLS_SESSION_S);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(ctx, CIPHERS_12) == 1 &&
	       SSL_CTX_set_ciphersuites(ctx, CIPHERS_13) == 1 &&
	       SSL_CTX_set1_groups_list(ctx, GROUPS) == 1 &&
	       SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1) == 1;
}

static void set_callbacks(struct tls *t)
{
	SSL_CTX_set_app_data(t->ctx, t);
	SSL_CTX_set_tlsext_servername_callback(t->ctx, choose_cert);
	SSL_CTX_set_tlsext_servername_arg(t->ctx, t);
	SSL_CTX_set_alpn_select_cb(t->ctx, choose_protocol, NULL);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(t->ctx, ticket_key);
}

int tls_setup(struct worker *w)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	w->tls = t;
	t->w = w;
	t->ctx = SSL_CTX_new(TLS_server_method());
	t->method = make_method();
	t->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	if (!t->ctx || !t->method || !t->ticket_cipher || !set_rules(t->ctx))
		return -ENOMEM;
	set_callbacks(t);
	return 0;
}

void tls_teardown(struct worker *w)
{
	struct tls *t = w->tls;

	certs_free(w->certs);
	w->certs = NULL;
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	BIO_meth_free(t->method);
	EVP_CIPHER_free(t->ticket_cipher);
	free(t);
	w->tls = NULL;
}

/* ---- connections ---- */

/* Made when the first bytes come: who only connects costs nothing. */
static int start(struct downstream *c)
{
	struct tls *t = c->w->tls;
	SSL *ssl = SSL_new(t->ctx);
	BIO *b = ssl ? BIO_new(t->method) : NULL;

	if (!b) {
		SSL_free(ssl);
		ERR_clear_error();
		return -ENOMEM;
	}
	BIO_set_data(b, c);
	BIO_set_init(b, 1);
	SSL_set_bio(ssl, b, b);
	SSL_set_accept_state(ssl);
	c->ssl = ssl;
	return 0;
}

static bool speaks_h2(const SSL *ssl)
{
	const unsigned char *name;
	unsigned int len;

	SSL_get0_alpn_selected(ssl, &name, &len);
	return len == 2 && !memcmp(name, "h2", 2);
}

int tls_handshake(struct downstream *c, bool *ret_h2)
{
	int r;

	if (!c->ssl && start(c) < 0)
		return -ENOMEM;
	c->drained = false;
	r = SSL_do_handshake(c->ssl);
	if (r != 1 && SSL_get_error(c->ssl, r) == SSL_ERROR_WANT_READ) {
		c->readable = false;
		return flush(c) < 0 ? -EPROTO : -EAGAIN;
	}
	ERR_clear_error();
	if (flush(c) < 0 || r != 1)
		return -EPROTO;
	c->tls = SSL_version(c->ssl) == TLS1_3_VERSION ? 13 : 12;
	*ret_h2 = speaks_h2(c->ssl);
	return 0;
}

ssize_t tls_receive(struct downstream *c, char *p, size_t size)
{
	size_t n = 0, got;
	int why;

	c->drained = false;
	while (n < size && SSL_read_ex(c->ssl, p + n, size - n, &got) == 1)
		n += got;
	why = n < size ? SSL_get_error(c->ssl, 0) : SSL_ERROR_NONE;
	if (c->w->tls->len && flush(c) < 0)
		return -EPIPE;
	if (why == SSL_ERROR_NONE)
		return (ssize_t)n;
	if (why == SSL_ERROR_WANT_READ) {
		c->readable = false;
		return n ? (ssize_t)n : -EAGAIN;
	}
	/* the next call says it again */
	ERR_clear_error();
	if (n)
		return (ssize_t)n;
	return why == SSL_ERROR_ZERO_RETURN ? 0 : -ECONNRESET;
}

int tls_send(struct downstream *c, const char *p, size_t n)
{
	while (n) {
		size_t part = n < HOT_SIZE ? n : HOT_SIZE, sent;

		if (SSL_write_ex(c->ssl, p, part, &sent) != 1) {
			ERR_clear_error();
			c->w->tls->len = 0;
			return -EPIPE;
		}
		p += sent;
		n -= sent;
	}
	return flush(c);
}

void tls_close_notify(struct downstream *c)
{
	if (c->ssl && SSL_is_init_finished(c->ssl))
		SSL_shutdown(c->ssl);
	ERR_clear_error();
	flush(c);
}

void tls_free(struct downstream *c)
{
	SSL_free(c->ssl);
	c->ssl = NULL;
}

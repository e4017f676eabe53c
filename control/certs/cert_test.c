/* cert.c: what is taken, and that everything else is refused with a sentence that says why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/certs/cert.h"
#include "control/certs/cert_fixture.h"
#include "lib/io.h"
#include <cmocka.h>
#include <errno.h>

#define YEAR_S (365L * 86400)

struct pki {
	struct made root, mid, leaf;
};

static int set_up(void **state)
{
	struct pki *p = calloc(1, sizeof(*p));

	p->root = make_cert(&(struct recipe){.subject = "Test Root", .authority = true});
	p->mid = make_cert(&(struct recipe){
		.subject = "Test Mid", .by = &p->root, .authority = true});
	p->leaf = make_cert(&(struct recipe){.subject = "a.example",
		.names = "DNS:A.example,DNS:*.b.example",
		.by = &p->mid});
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct pki *p = *state;

	free_made(&p->root);
	free_made(&p->mid);
	free_made(&p->leaf);
	free(p);
	return 0;
}

static json_t *hosts(const char *one, const char *two)
{
	return two ? json_pack("[s, s]", one, two) : json_pack("[s]", one);
}

static int check(const char *chain, const char *key, json_t *hostnames,
	struct cert_pair *p, struct err *e)
{
	int r = cert_check(chain, key, hostnames, io_now_us(), p, e);

	json_decref(hostnames);
	return r;
}

/* Certificates up to the first NULL. */
static int check_made(const struct made *const *chain, const struct made *key,
	json_t *hostnames, struct cert_pair *p, struct err *e)
{
	static char text[1 << 17], secret[1 << 16];

	text[0] = secret[0] = '\0';
	for (; *chain; chain++)
		put_cert(text, *chain);
	put_key(secret, key, NULL);
	return check(text, secret, hostnames, p, e);
}
#define CHAIN(...) ((const struct made *const[]){__VA_ARGS__, NULL})

static void refused(const struct made *const *chain, const struct made *key,
	const char *host, const char *why)
{
	struct cert_pair p = {0};
	struct err e = {0};

	assert_int_equal(check_made(chain, key, hosts(host, NULL), &p, &e), -EINVAL);
	if (!strstr(e.text, why))
		fail_msg("\"%s\" is not in \"%s\"", why, e.text);
	assert_null(p.chain);
}

static bool warned(const struct cert_pair *p, const char *text)
{
	const json_t *v;
	size_t i;

	json_array_foreach (p->warnings, i, v)
		if (strstr(json_string_value(v), text))
			return true;
	return false;
}

static void a_good_chain_is_taken_without_its_root(void **state)
{
	struct pki *k = *state;
	struct cert_pair p = {0};
	struct err e = {0};
	struct cert back;

	assert_int_equal(check_made(CHAIN(&k->leaf, &k->mid, &k->root), &k->leaf,
				 hosts("a.example", "x.b.example"), &p, &e),
		0);
	assert_string_equal(p.facts.key, "EC P-256");
	assert_string_equal(p.facts.issuer, "Test Mid");
	assert_int_equal(json_array_size(p.facts.names), 2);
	assert_string_equal(
		json_string_value(json_array_get(p.facts.names, 0)), "a.example");
	assert_int_equal(strlen(p.facts.fingerprint), 64);
	assert_int_equal(json_array_size(p.warnings), 1);
	assert_true(warned(&p, "CA store")); /* nobody knows that root */
	assert_int_equal(cert_read(p.chain, &back, &e), 0);
	assert_int_equal(back.n_chain, 2);
	assert_int_equal(back.until_us, p.facts.until_us);
	assert_true(back.until_us > io_now_us() + (YEAR_S - 60) * 1000000ull);
	assert_non_null(strstr(p.key, "-----BEGIN PRIVATE KEY-----"));
	cert_clear(&back);
	cert_pair_clear(&p);
}

static void text_around_the_blocks_is_dropped(void **state)
{
	struct pki *k = *state;
	static char text[1 << 16], secret[1 << 16];
	struct cert_pair p = {0};
	struct err e = {0};

	strcpy(text, "Subject: somebody\n\n");
	put_cert(text, &k->leaf);
	strcat(text, "\nand this\r\n");
	put_cert(text, &k->mid);
	secret[0] = '\0';
	put_key(secret, &k->leaf, NULL);
	assert_int_equal(check(text, secret, hosts("a.example", NULL), &p, &e), 0);
	assert_null(strstr(p.chain, "and this"));
	cert_pair_clear(&p);
}

static void what_is_wrong_is_said(void **state)
{
	struct pki *k = *state;
	struct made other = make_cert(&(struct recipe){
		.subject = "a.example", .names = "DNS:a.example", .by = &k->mid});
	struct made stray =
		make_cert(&(struct recipe){.subject = "Stray", .authority = true});
	struct made posing = make_cert(&(struct recipe){
		.subject = "Test Mid", .authority = true, .by = &k->root});

	refused(CHAIN(&k->leaf, &k->mid), &other, "a.example",
		"but another; give the key");
	refused(CHAIN(&k->mid, &k->leaf), &k->leaf, "a.example",
		"the key belongs to certificate 2 (a.example), which must come first");
	refused(CHAIN(&k->leaf, &k->root, &k->mid), &k->leaf, "a.example",
		"certificate 1 (a.example) is issued by certificate 3 (Test Mid)");
	refused(CHAIN(&k->leaf, &stray), &k->leaf, "a.example",
		"is issued by Test Mid, but certificate 2 is Stray");
	refused(CHAIN(&k->leaf, &posing), &k->leaf, "a.example",
		"but not the key that signed certificate 1");
	refused(CHAIN(&k->leaf, &k->mid), &k->leaf, "c.example",
		"is for a.example, *.b.example, the app's hostnames are c.example");
	refused(CHAIN(&k->leaf, &k->mid), &k->leaf, "b.example", "berth domains:add APP");
	refused(CHAIN(&k->leaf, &k->mid), &k->leaf, "x.y.b.example",
		"the certificate is for");
	refused(CHAIN(&k->mid), &k->mid, "a.example", "is an authority's");
	free_made(&other);
	free_made(&stray);
	free_made(&posing);
}

static void leaf_refused(struct recipe r, const char *why)
{
	r.subject = "a.example";
	r.names = r.names ? r.names : "DNS:a.example";
	struct made leaf = make_cert(&r);

	refused(CHAIN(&leaf), &leaf, "a.example", why);
	free_made(&leaf);
	EVP_PKEY_free(r.key);
}

static void a_certificate_that_clients_would_refuse_is_refused(void **state)
{
	struct pki *k = *state;

	leaf_refused((struct recipe){.by = &k->mid, .from_s = -YEAR_S, .until_s = -60},
		"expired on 20");
	leaf_refused((struct recipe){.by = &k->mid, .from_s = 86400}, "not valid before");
	leaf_refused((struct recipe){.by = &k->mid, .use = "clientAuth"},
		"is not for servers");
	leaf_refused((struct recipe){.by = &k->mid, .names = "IP:192.0.2.1"},
		"has no names that clients look at");
	leaf_refused((struct recipe){.by = &k->mid, .digest = EVP_sha1()},
		"is signed with ecdsa-with-SHA1");
	leaf_refused((struct recipe){.by = &k->mid, .key = EVP_RSA_gen(1024)},
		"the RSA key has 1024 bits");
	leaf_refused((struct recipe){.by = &k->mid, .key = EVP_EC_gen("secp256k1")},
		"browsers do not know");
}

static void an_expired_intermediate_is_found_too(void **state)
{
	struct pki *k = *state;
	struct made mid = make_cert(&(struct recipe){.subject = "Old Mid",
		.by = &k->root,
		.authority = true,
		.from_s = -YEAR_S,
		.until_s = -60});
	struct made leaf = make_cert(&(struct recipe){
		.subject = "a.example", .names = "DNS:a.example", .by = &mid});

	refused(CHAIN(&leaf, &mid), &leaf, "a.example",
		"certificate 2 (Old Mid) expired");
	free_made(&leaf);
	free_made(&mid);
}

static void what_may_be_wanted_is_only_warned_of(void **state)
{
	struct pki *k = *state;
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	struct made leaf = make_cert(&(struct recipe){.subject = "a.example",
		.names = "DNS:a.example",
		.key = key,
		.until_s = 86400});
	struct cert_pair p = {0};
	struct err e = {0};

	(void)k;
	assert_int_equal(
		check_made(CHAIN(&leaf), &leaf, hosts("a.example", "c.example"), &p, &e),
		0);
	assert_true(warned(&p, "expires soon"));
	assert_true(warned(&p, "not covered by this certificate: c.example"));
	assert_true(warned(&p, "self-signed"));
	assert_true(warned(&p, "ED25519"));
	cert_pair_clear(&p);
	free_made(&leaf);
	EVP_PKEY_free(key);
}

static void foreign_text_is_refused(void **state)
{
	struct pki *k = *state;
	static char chain[1 << 16], key[1 << 16], locked[1 << 16];
	struct cert_pair p;
	struct err e = {0};

	chain[0] = key[0] = locked[0] = '\0';
	put_cert(chain, &k->leaf);
	put_key(key, &k->leaf, NULL);
	put_key(locked, &k->leaf, "secret");
	assert_int_equal(check("", key, hosts("a.example", NULL), &p, &e), -EINVAL);
	assert_non_null(strstr(e.text, "there is no certificate"));
	assert_int_equal(check(key, key, hosts("a.example", NULL), &p, &e), -EINVAL);
	assert_non_null(strstr(e.text, "there is no certificate"));
	assert_int_equal(check(chain, chain, hosts("a.example", NULL), &p, &e), -EINVAL);
	assert_non_null(strstr(e.text, "there is no private key"));
	assert_int_equal(check(chain, locked, hosts("a.example", NULL), &p, &e), -EINVAL);
	assert_non_null(strstr(e.text, "passphrase"));
	memcpy(strchr(chain, '\n') + 9, "!!!!", 4);
	assert_int_equal(check(chain, key, hosts("a.example", NULL), &p, &e), -EINVAL);
	assert_non_null(strstr(e.text, "certificate 1 cannot be read"));
	chain[0] = '\0';
	for (int i = 0; i < 11; i++)
		put_cert(chain, &k->mid);
	assert_int_equal(check(chain, key, hosts("a.example", NULL), &p, &e), -EINVAL);
	assert_non_null(strstr(e.text, "more than 10"));
	assert_null(strstr(e.text, key));
}

/* Any byte changed: refused with a sentence, or taken as a pair that is taken again, the same. */
static void changed_texts_are_refused_or_sound(void **state UNUSED)
{
	struct made own = make_cert(
		&(struct recipe){.subject = "a.example", .names = "DNS:a.example"});
	static char chain[1 << 16], key[1 << 16];
	uint64_t random = 1;
	unsigned int taken = 0;

	chain[0] = key[0] = '\0';
	put_cert(chain, &own);
	put_key(key, &own, NULL);
	for (int i = 0; i < 300; i++) {
		struct cert_pair p = {0}, again = {0};
		struct err e = {0};
		char *text = i % 4 ? chain : key;

		random = random * 6364136223846793005u + 1442695040888963407u;
		char *at = text + (random >> 33) % strlen(text), was = *at;
		*at = (char)((random >> 20) % 127 + 1);
		if (check(chain, key, hosts("a.example", NULL), &p, &e) == 0) {
			assert_int_equal(check(p.chain, p.key, hosts("a.example", NULL),
						 &again, &e),
				0);
			assert_string_equal(p.chain, again.chain);
			assert_string_equal(p.key, again.key);
			taken++;
		} else {
			assert_true(e.text[0]);
			assert_null(strstr(e.text, "PRIVATE KEY-"));
		}
		cert_pair_clear(&p);
		cert_pair_clear(&again);
		*at = was;
	}
	assert_true(taken < 150); /* white space, the same letter again */
	free_made(&own);
}

static void names_cover_hosts_as_clients_see_it(void **state UNUSED)
{
	json_t *names = json_pack("[s, s]", "a.example", "*.b.example");

	assert_true(cert_covers(names, "a.example"));
	assert_true(cert_covers(names, "x.b.example"));
	assert_true(cert_covers(names, "*.b.example"));
	assert_false(cert_covers(names, "b.example"));
	assert_false(cert_covers(names, "x.y.b.example"));
	assert_false(cert_covers(names, "x.a.example"));
	assert_false(cert_covers(names, "*.a.example"));
	assert_false(cert_covers(names, "localhost"));
	json_decref(names);
}

static void a_request_names_what_was_asked_for(void **state UNUSED)
{
	json_t *names = json_pack("[s, s]", "a.example", "b.example");
	char *key, *text;
	struct err e = {0};

	assert_int_equal(cert_request(names, &key, &text, &e), 0);
	assert_non_null(strstr(key, "-----BEGIN PRIVATE KEY-----"));
	BIO *b = BIO_new_mem_buf(text, -1);
	X509_REQ *request = PEM_read_bio_X509_REQ(b, NULL, NULL, NULL);
	assert_non_null(request);
	assert_int_equal(X509_REQ_verify(request, X509_REQ_get0_pubkey(request)), 1);
	STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(request);
	GENERAL_NAMES *all = X509V3_get_d2i(list, NID_subject_alt_name, NULL, NULL);
	assert_int_equal(sk_GENERAL_NAME_num(all), 2);
	GENERAL_NAMES_free(all);
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	X509_REQ_free(request);
	BIO_free(b);
	cert_wipe(key);
	free(text);
	json_decref(names);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_good_chain_is_taken_without_its_root),
		T(text_around_the_blocks_is_dropped),
		T(what_is_wrong_is_said),
		T(a_certificate_that_clients_would_refuse_is_refused),
		T(an_expired_intermediate_is_found_too),
		T(what_may_be_wanted_is_only_warned_of),
		T(foreign_text_is_refused),
		T(changed_texts_are_refused_or_sound),
		T(names_cover_hosts_as_clients_see_it),
		T(a_request_names_what_was_asked_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

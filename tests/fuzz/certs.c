/*
 * The certificates as the router takes them: sound ones with some bytes changed, or any
 * bytes. Refused as a whole with a reason, or each name and token is found as a plain search
 * finds it and everything lies inside.
 */
#include "tests/fuzz/fuzz.h"

#include "lib/proto.h"
#include "router/certs.h"

#include <errno.h>

#define PEM "-----BEGIN X-----\n"
#define N_NAMES 4u
#define N_TOKENS 3u

static const char *const names[N_NAMES] = {
	".a.example", ".example", "a.example", "b.a.example"};
static const char *const tokens[N_TOKENS] = {"AA", "tok", "tok2"};

struct file {
	struct certs_head head;
	struct certs_ticket tickets[2];
	struct certs_cert certs[2];
	struct certs_name names[N_NAMES];
	struct certs_acme acme[N_TOKENS];
	char strings[400];
};

static uint32_t put(struct file *f, const char *text)
{
	uint32_t at = f->head.strings_size;

	memcpy(f->strings + at, text, strlen(text));
	f->head.strings_size += (uint32_t)strlen(text);
	return at;
}

static size_t compose(struct file *f)
{
	memset(f, 0, sizeof(*f));
	f->head = (struct certs_head){.magic = CERTS_MAGIC,
		.n_tickets = 2,
		.n_certs = 2,
		.n_names = N_NAMES,
		.n_acme = N_TOKENS};
	for (unsigned int i = 0; i < 2; i++)
		f->certs[i] = (struct certs_cert){
			put(f, PEM), sizeof(PEM) - 1, put(f, PEM), sizeof(PEM) - 1};
	for (unsigned int i = 0; i < N_NAMES; i++)
		f->names[i] =
			(struct certs_name){put(f, names[i]), (uint32_t)strlen(names[i]),
				i % 2, names[i][0] == '.' ? HOST_WILDCARD : 0};
	for (unsigned int i = 0; i < N_TOKENS; i++)
		f->acme[i] = (struct certs_acme){put(f, tokens[i]),
			(uint32_t)strlen(tokens[i]), put(f, "tok.key"), 7};
	f->head.size = (uint32_t)(offsetof(struct file, strings) + f->head.strings_size);
	return f->head.size;
}

static void patch(struct file *f, struct input *in)
{
	take_patches(in, &f->certs[take_u8(in) % 2], sizeof(f->certs[0]));
	take_patches(in, &f->names[take_u8(in) % N_NAMES], sizeof(f->names[0]));
	take_patches(in, &f->acme[take_u8(in) % N_TOKENS], sizeof(f->acme[0]));
	take_patches(in, &f->head, sizeof(f->head));
	take_patches(in, f, sizeof(*f));
}

/* The exact name, else the wildcard for all but its first label. */
static int search(const struct certs *c, const char *name, size_t len)
{
	const char *dot = memchr(name, '.', len);
	int found = -ENOENT;

	for (uint32_t i = 0; i < c->n_names; i++) {
		const struct certs_name *n = &c->names[i];
		const char *p = c->strings + n->name_off;

		if (n->name_len == len && memcmp(p, name, len) == 0)
			return (int)n->cert;
		if (dot && n->name_len == (size_t)(name + len - dot) &&
			memcmp(p, dot, n->name_len) == 0)
			found = (int)n->cert;
	}
	return found;
}

static void find_as_search(const struct certs *c, const char *name, size_t len)
{
	char dotted[300];
	int want = len <= 253 && name[0] != '.' && name[len - 1] != '.'
			   ? search(c, name, len)
			   : -ENOENT;

	if (name[len - 1] == '.')
		return; /* it stands for the name without */
	CHECK(certs_find(c, name, len) == want);
	memcpy(dotted, name, len);
	dotted[len] = '.';
	CHECK(certs_find(c, dotted, len + 1) == want);
}

static void look_at_tokens(const struct certs *c)
{
	for (uint32_t i = 0; i < c->n_acme; i++) {
		const struct certs_acme *a = &c->acme[i];
		uint32_t len = 0;
		const char *text =
			certs_acme_text(c, c->strings + a->token_off, a->token_len, &len);

		CHECK(text == c->strings + a->text_off && len == a->text_len);
		CHECK(a->token_len <= CERTS_TOKEN_MAX && len && len <= CERTS_TEXT_MAX);
		for (uint32_t k = 0; k < len; k++)
			CHECK(text[k] > ' ' && text[k] < 0x7f);
	}
}

static void look_at_all(const struct certs *c, const char *end)
{
	char longer[300];

	CHECK(c->n_tickets <= CERTS_TICKETS_MAX && certs_find(c, "", 0) < 0);
	for (uint32_t i = 0; i < c->n_certs; i++) {
		const struct certs_cert *x = &c->certs[i];

		CHECK(c->strings + x->chain_off + x->chain_len <= end &&
			c->strings + x->key_off + x->key_len <= end);
	}
	for (uint32_t i = 0; i < c->n_names; i++) {
		const char *p = c->strings + c->names[i].name_off;
		size_t n = c->names[i].name_len;

		CHECK(n && n <= 253 && p + n <= end && c->names[i].cert < c->n_certs);
		find_as_search(c, p, n);
		for (size_t cut = 1; cut < n; cut++)
			find_as_search(c, p + cut, n - cut);
		memcpy(longer, "sub.x", 5);
		memcpy(longer + 5, p, n);
		find_as_search(c, longer, n + 5);
		find_as_search(c, longer + 4, n + 1);
	}
	look_at_tokens(c);
}

/* By descriptor: the same verdict, and only from a memory file that nobody can change. */
static void load(const void *data, size_t size, int want)
{
	int sealed autoclose = io_memfd_sealed("certs", data, size);
	int null autoclose = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct certs *c = NULL;
	struct err e = {0};

	CHECK(sealed >= 0 && null >= 0 && certs_load(sealed, &c, &e) == want);
	certs_free(c);
	c = NULL;
	CHECK(certs_load(null, &c, &e) == -EPERM && !c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	static struct file f;
	uint8_t how = take_u8(&in);
	struct certs *c = NULL;
	struct err e = {0};
	size_t n = compose(&f);

	if (how & 1) { /* what is left is the file */
		n = in.n < sizeof(f) ? in.n : sizeof(f);
		take_bytes(&in, &f, n);
	} else {
		patch(&f, &in);
	}
	if (how & 2)
		n = take_u16(&in) % (n + 1);
	char *exact = malloc(n ? n : 1);
	CHECK(exact);
	memcpy(exact, &f, n);
	int r = certs_parse(exact, n, &c, &e);
	CHECK(r == 0 || (r == -EBADMSG && e.text[0] && !c));
	if (r == 0)
		look_at_all(c, exact + n);
	certs_free(c);
	load(exact, n, r);
	free(exact);
	return 0;
}

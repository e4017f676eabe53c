/* The certificates as one memory file for the router workers. */
#include "control/certs/certs_pack.h"
#include "lib/io.h"
#include <errno.h>
#include <string.h>

int certs_compare(const char *a, uint32_t a_len, const char *b, uint32_t b_len)
{
	int r = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return r ? r : (a_len > b_len) - (a_len < b_len);
}

static uint32_t add_string(struct certs_pack *p, const char *s, uint32_t *ret_len)
{
	uint32_t off = (uint32_t)p->strings.len;

	if (!p->strings.max)
		p->strings.max = CERTS_SIZE_MAX;
	*ret_len = (uint32_t)strlen(s);
	buf_add(&p->strings, s, *ret_len);
	return off;
}

uint32_t certs_pack_cert(struct certs_pack *p, const char *chain, const char *key)
{
	struct certs_cert c;

	c.chain_off = add_string(p, chain, &c.chain_len);
	c.key_off = add_string(p, key, &c.key_len);
	buf_add(&p->certs, &c, sizeof(c));
	return (uint32_t)(p->certs.len / sizeof(c)) - 1;
}

void certs_pack_name(struct certs_pack *p, const char *host, uint32_t cert, uint32_t app)
{
	bool wild = strncmp(host, "*.", 2) == 0;
	struct certs_name n = {.cert = cert, .flags = wild ? HOST_WILDCARD : 0};
	struct certs_mark m = {.app = app};

	n.name_off = m.off = add_string(p, wild ? host + 1 : host, &n.name_len);
	m.len = n.name_len;
	buf_add(&p->names, &n, sizeof(n));
	buf_add(&p->marks, &m, sizeof(m));
}

void certs_pack_acme(struct certs_pack *p, const char *token, const char *answer)
{
	struct certs_acme a;

	a.token_off = add_string(p, token, &a.token_len);
	a.text_off = add_string(p, answer, &a.text_len);
	buf_add(&p->acme, &a, sizeof(a));
}

/* ---- sorting ---- */

static int by_name(const void *x, const void *y, void *strings)
{
	const struct certs_name *a = x, *b = y;
	const char *s = strings;

	return certs_compare(s + a->name_off, a->name_len, s + b->name_off, b->name_len);
}

static int by_mark(const void *x, const void *y, void *strings)
{
	const struct certs_mark *a = x, *b = y;
	const char *s = strings;

	return certs_compare(s + a->off, a->len, s + b->off, b->len);
}

static int by_token(const void *x, const void *y, void *strings)
{
	const struct certs_acme *a = x, *b = y;
	const char *s = strings;

	return certs_compare(
		s + a->token_off, a->token_len, s + b->token_off, b->token_len);
}

/* Of equals one stays. The count. */
static uint32_t sort_unique(struct buf *b, size_t size, char *strings,
	int (*compare)(const void *, const void *, void *))
{
	size_t n = b->len / size, kept = 0;

	if (n == 0)
		return 0;
	qsort_r(b->data, n, size, compare, strings);
	for (size_t i = 1; i < n; i++)
		if (compare(b->data + kept * size, b->data + i * size, strings) != 0)
			memmove(b->data + ++kept * size, b->data + i * size, size);
	b->len = (kept + 1) * size;
	return (uint32_t)kept + 1;
}

int certs_pack_finish(
	struct certs_pack *p, const struct certs_ticket *tickets, uint32_t n_tickets)
{
	struct certs_head head = {.magic = CERTS_MAGIC, .n_tickets = n_tickets};
	struct buf out = {.max = CERTS_SIZE_MAX};

	if (p->certs.failed || p->names.failed || p->acme.failed || p->strings.failed ||
		p->marks.failed)
		return -EMSGSIZE;
	head.n_certs = (uint32_t)(p->certs.len / sizeof(struct certs_cert));
	head.n_names = sort_unique(
		&p->names, sizeof(struct certs_name), p->strings.data, by_name);
	sort_unique(&p->marks, sizeof(struct certs_mark), p->strings.data, by_mark);
	head.n_acme = sort_unique(
		&p->acme, sizeof(struct certs_acme), p->strings.data, by_token);
	head.strings_size = (uint32_t)p->strings.len;
	buf_add(&out, &head, sizeof(head));
	buf_add(&out, tickets, n_tickets * sizeof(*tickets));
	buf_add(&out, p->certs.data, p->certs.len);
	buf_add(&out, p->names.data, p->names.len);
	buf_add(&out, p->acme.data, p->acme.len);
	buf_add(&out, p->strings.data, p->strings.len);
	head.size = (uint32_t)out.len;
	int fd = out.failed ? -EMSGSIZE : 0;
	if (fd == 0) {
		memcpy(out.data, &head, sizeof(head));
		fd = io_memfd_sealed("certs", out.data, out.len);
	}
	if (out.data)
		explicit_bzero(out.data, out.len);
	buf_free(&out);
	return fd;
}

void certs_pack_free(struct certs_pack *p)
{
	if (p->strings.data)
		explicit_bzero(p->strings.data, p->strings.len);
	buf_free(&p->certs);
	buf_free(&p->names);
	buf_free(&p->acme);
	buf_free(&p->strings);
	buf_free(&p->marks);
}

/* Certificates: validation of what control sends, lookup by name and by ACME token. */
#include "router/certs.h"
#include "lib/io.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define HOST_MAX 253
#define PEM_START "-----BEGIN "

struct span {
	const char *p;
	uint32_t len;
};

static int compare(struct span a, struct span b)
{
	int r = memcmp(a.p, b.p, a.len < b.len ? a.len : b.len);

	return r ? r : (a.len > b.len) - (a.len < b.len);
}

static struct span name_of(const struct certs *c, uint32_t i)
{
	return (struct span){c->strings + c->names[i].name_off, c->names[i].name_len};
}

static struct span token_of(const struct certs *c, uint32_t i)
{
	return (struct span){c->strings + c->acme[i].token_off, c->acme[i].token_len};
}

/* ---- validation ---- */

/* Sizes of the parts must add up to exactly what came. */
static int check_head(const void *data, size_t size, struct err *e)
{
	const struct certs_head *h = data;
	uint64_t sum;

	if (size < sizeof(*h) || size > CERTS_SIZE_MAX)
		return err_set(e, EBADMSG, "certificates of %zu bytes", size);
	if (h->magic != CERTS_MAGIC || h->size != size)
		return err_set(e, EBADMSG, "certificates with a wrong magic or size");
	if (h->n_tickets > CERTS_TICKETS_MAX)
		return err_set(e, EBADMSG, "%u ticket keys", h->n_tickets);
	sum = sizeof(*h) + (uint64_t)h->n_tickets * sizeof(struct certs_ticket) +
	      (uint64_t)h->n_certs * sizeof(struct certs_cert) +
	      (uint64_t)h->n_names * sizeof(struct certs_name) +
	      (uint64_t)h->n_acme * sizeof(struct certs_acme) + h->strings_size;
	if (sum != size)
		return err_set(e, EBADMSG, "parts do not add up to the size");
	return 0;
}

static bool in_strings(const struct certs_head *h, uint32_t off, uint32_t len)
{
	return off <= h->strings_size && len <= h->strings_size - off;
}

static bool is_pem(const struct certs *c, uint32_t off, uint32_t len)
{
	return len > sizeof(PEM_START) && len <= CERTS_PEM_MAX &&
	       !memcmp(c->strings + off, PEM_START, sizeof(PEM_START) - 1);
}

static int check_cert(
	const struct certs *c, const struct certs_head *h, uint32_t i, struct err *e)
{
	const struct certs_cert *x = &c->certs[i];

	if (!in_strings(h, x->chain_off, x->chain_len) ||
		!in_strings(h, x->key_off, x->key_len))
		return err_set(e, EBADMSG, "certificate %u: out of bounds", i);
	if (!is_pem(c, x->chain_off, x->chain_len) || !is_pem(c, x->key_off, x->key_len))
		return err_set(e, EBADMSG, "certificate %u: not PEM", i);
	return 0;
}

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
	       c == '_';
}

static int check_name(
	const struct certs *c, const struct certs_head *h, uint32_t i, struct err *e)
{
	const struct certs_name *n = &c->names[i];
	const char *p = c->strings + n->name_off;
	bool wild = n->flags & HOST_WILDCARD;
	uint32_t k;

	if (!in_strings(h, n->name_off, n->name_len) || !n->name_len ||
		n->name_len > HOST_MAX)
		return err_set(e, EBADMSG, "name %u: out of bounds", i);
	if (n->cert >= h->n_certs || (n->flags & ~(uint32_t)HOST_WILDCARD))
		return err_set(e, EBADMSG, "name %u: bad certificate or flags", i);
	if ((p[0] == '.') != wild || (wild && n->name_len < 2))
		return err_set(e, EBADMSG, "name %u: wildcard flag and name differ", i);
	for (k = 0; k < n->name_len; k++)
		if (!name_char(p[k]))
			return err_set(e, EBADMSG, "name %u: bad character in it", i);
	if (i && compare(name_of(c, i - 1), name_of(c, i)) >= 0)
		return err_set(e, EBADMSG, "name %u: not sorted or twice", i);
	return 0;
}

static bool token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static int check_acme(
	const struct certs *c, const struct certs_head *h, uint32_t i, struct err *e)
{
	const struct certs_acme *a = &c->acme[i];
	uint32_t k;

	if (!in_strings(h, a->token_off, a->token_len) ||
		!in_strings(h, a->text_off, a->text_len) || !a->token_len ||
		a->token_len > CERTS_TOKEN_MAX || !a->text_len ||
		a->text_len > CERTS_TEXT_MAX)
		return err_set(e, EBADMSG, "token %u: out of bounds", i);
	for (k = 0; k < a->token_len; k++)
		if (!token_char(c->strings[a->token_off + k]))
			return err_set(e, EBADMSG, "token %u: bad character", i);
	for (k = 0; k < a->text_len; k++)
		if (c->strings[a->text_off + k] <= ' ' ||
			c->strings[a->text_off + k] >= 0x7f)
			return err_set(e, EBADMSG, "token %u: bad character in text", i);
	if (i && compare(token_of(c, i - 1), token_of(c, i)) >= 0)
		return err_set(e, EBADMSG, "token %u: not sorted or twice", i);
	return 0;
}

static int check_all(const struct certs *c, const struct certs_head *h, struct err *e)
{
	uint32_t i;
	int r = 0;

	for (i = 0; !r && i < c->n_certs; i++)
		r = check_cert(c, h, i, e);
	for (i = 0; !r && i < c->n_names; i++)
		r = check_name(c, h, i, e);
	for (i = 0; !r && i < c->n_acme; i++)
		r = check_acme(c, h, i, e);
	return r;
}

int certs_parse(const void *data, size_t size, struct certs **ret, struct err *e)
{
	const struct certs_head *h = data;
	struct certs *c;
	int r = check_head(data, size, e);

	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(e, ENOMEM, "no memory for certificates");
	c->n_tickets = h->n_tickets;
	c->n_certs = h->n_certs;
	c->n_names = h->n_names;
	c->n_acme = h->n_acme;
	c->tickets = (const void *)(h + 1);
	c->certs = (const void *)(c->tickets + c->n_tickets);
	c->names = (const void *)(c->certs + c->n_certs);
	c->acme = (const void *)(c->names + c->n_names);
	c->strings = (const void *)(c->acme + c->n_acme);
	r = check_all(c, h, e);
	if (!r && !(c->made = calloc(c->n_certs + 1ul, sizeof(struct cert *))))
		r = err_set(e, ENOMEM, "no memory for %u certificates", c->n_certs);
	if (r < 0) {
		certs_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

int certs_load(int fd, struct certs **ret, struct err *e)
{
	size_t size;
	void *map;
	int r = io_memfd_map(fd, "certificates", sizeof(struct certs_head),
		CERTS_SIZE_MAX, &map, &size, e);

	if (r < 0)
		return r;
	r = certs_parse(map, size, ret, e);
	if (r < 0) {
		munmap(map, size);
		return r;
	}
	(*ret)->map = map;
	(*ret)->map_size = size;
	return 0;
}

void certs_free(struct certs *c)
{
	uint32_t i;

	if (!c)
		return;
	for (i = 0; c->made && c->free_made && i < c->n_certs; i++)
		if (c->made[i])
			c->free_made(c->made[i]);
	if (c->map)
		munmap(c->map, c->map_size);
	free(c->made);
	free(c);
}

static struct span chain_of(const struct certs *c, uint32_t i)
{
	return (struct span){c->strings + c->certs[i].chain_off, c->certs[i].chain_len};
}

static struct span key_of(const struct certs *c, uint32_t i)
{
	return (struct span){c->strings + c->certs[i].key_off, c->certs[i].key_len};
}

static void inherit(struct certs *c, uint32_t to, struct certs *old, uint32_t from)
{
	if (c->made[to] || !old->made[from] ||
		compare(chain_of(c, to), chain_of(old, from)) ||
		compare(key_of(c, to), key_of(old, from)))
		return;
	c->made[to] = old->made[from];
	old->made[from] = NULL;
}

void certs_inherit(struct certs *c, struct certs *old)
{
	uint32_t i = 0, k = 0;

	while (i < c->n_names && k < old->n_names) {
		int r = compare(name_of(c, i), name_of(old, k));

		if (!r)
			inherit(c, c->names[i].cert, old, old->names[k].cert);
		i += r <= 0;
		k += r >= 0;
	}
}

/* ---- lookup ---- */

/* Index of the wanted one among n sorted, or -ENOENT. */
static int search(const struct certs *c, uint32_t n, struct span want,
	struct span (*at)(const struct certs *c, uint32_t i))
{
	uint32_t low = 0, high = n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		int r = compare(want, at(c, mid));

		if (!r)
			return (int)mid;
		if (r < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return -ENOENT;
}

int certs_find(const struct certs *c, const char *name, size_t len)
{
	char low[HOST_MAX];
	const char *dot;
	size_t i;
	int at;

	if (len && name[len - 1] == '.')
		len--;
	if (!len || len > HOST_MAX || name[0] == '.')
		return -ENOENT;
	for (i = 0; i < len; i++)
		low[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] | 0x20)
							  : name[i];
	at = search(c, c->n_names, (struct span){low, (uint32_t)len}, name_of);
	dot = memchr(low, '.', len);
	if (at < 0 && dot)
		at = search(c, c->n_names,
			(struct span){dot, (uint32_t)(low + len - dot)}, name_of);
	return at < 0 ? at : (int)c->names[at].cert;
}

const char *certs_acme_text(
	const struct certs *c, const char *token, size_t len, uint32_t *ret_len)
{
	int at = len > CERTS_TOKEN_MAX
			 ? -ENOENT
			 : search(c, c->n_acme, (struct span){token, (uint32_t)len},
				   token_of);

	if (at < 0)
		return NULL;
	*ret_len = c->acme[at].text_len;
	return c->strings + c->acme[at].text_off;
}

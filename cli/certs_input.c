/* A certificate chain and a key out of a tar archive or PEM text. */
#include "cli/certs_input.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BLOCK 512u

/* POSIX ustar; all numbers are octal text. */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type,
		link[100], magic[6], version[2], user[32], group[32], major[8], minor[8],
		prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a tar header is one block");

static int octal(const char *field, size_t size, size_t *ret)
{
	size_t i = 0, n = 0;

	while (i < size && field[i] == ' ')
		i++;
	for (; i < size && field[i] >= '0' && field[i] <= '7'; i++) {
		if (n > CERTS_INPUT_MAX)
			return -ERANGE;
		n = n * 8 + (size_t)(field[i] - '0');
	}
	if (i < size && field[i] != ' ' && field[i] != '\0')
		return -EINVAL;
	*ret = n;
	return 0;
}

/* Its checksum is the sum of its bytes, with the field itself as spaces. */
static bool is_header(const struct header *h)
{
	const unsigned char *p = (const unsigned char *)h;
	size_t sum = 0, want;

	for (size_t i = 0; i < BLOCK; i++)
		sum += i >= offsetof(struct header, sum) &&
				       i < offsetof(struct header, type)
			       ? ' '
			       : p[i];
	return octal(h->sum, sizeof(h->sum), &want) == 0 && sum == want;
}

static bool ends_with(const char *name, const char *tail)
{
	size_t n = strlen(name), t = strlen(tail);

	return n > t && strcmp(name + n - t, tail) == 0;
}

/* The part after the last slash, without what some systems put beside files. */
static const char *base_of(const char *name)
{
	const char *slash = strrchr(name, '/');

	name = slash ? slash + 1 : name;
	return strncmp(name, "._", 2) == 0 ? "" : name;
}

static int take_file(const char *name, const char *data, size_t size, struct buf *chain,
	struct buf *key, struct err *e)
{
	const char *base = base_of(name);
	struct buf *out = NULL;

	if (ends_with(base, ".key"))
		out = key;
	else if (ends_with(base, ".crt") || ends_with(base, ".pem"))
		out = chain;
	if (!out)
		return 0;
	if (out->len)
		return err_set(e, EINVAL, "the archive has more than one %s; put %s",
			out == key ? "*.key file" : "*.crt or *.pem file",
			out == key
				? "one key in it"
				: "all certificates into one file, the server's first");
	return buf_add(out, data, size) < 0 ? err_set(e, EINVAL, "%s is too large", name)
					    : 0;
}

static int read_tar(
	const struct buf *in, struct buf *chain, struct buf *key, struct err *e)
{
	size_t at = 0, size;
	char name[101];
	int r = 0;

	while (r == 0 && at + BLOCK <= in->len) {
		const struct header *h = (const void *)(in->data + at);

		if (h->name[0] == '\0')
			break; /* the end */
		if (!is_header(h) || octal(h->size, sizeof(h->size), &size) < 0 ||
			size > in->len - at - BLOCK)
			return err_set(e, EINVAL, "the archive is damaged or cut off");
		snprintf(name, sizeof(name), "%.100s", h->name);
		if (h->type == '0' || h->type == '\0')
			r = take_file(name, in->data + at + BLOCK, size, chain, key, e);
		at += BLOCK + (size + BLOCK - 1) / BLOCK * BLOCK;
	}
	if (r == 0 && (!chain->len || !key->len))
		return err_set(e, EINVAL,
			"the archive has no %s file; it must hold one *.crt (or *.pem) "
			"and "
			"one *.key",
			chain->len ? "*.key" : "*.crt or *.pem");
	return r;
}

int certs_input(const struct buf *in, struct buf *chain, struct buf *key, struct err *e)
{
	if (!in->len)
		return err_set(e, EINVAL,
			"the input is empty; give a tar archive with a *.crt and a *.key "
			"file: tar c server.crt server.key | berth certs:add APP");
	if (in->len > 2 && memcmp(in->data, "\x1f\x8b", 2) == 0)
		return err_set(e, EINVAL, "the archive is compressed; gunzip it first");
	if (in->len >= BLOCK && is_header((const void *)in->data))
		return read_tar(in, chain, key, e);
	if (strlen(in->data) == in->len && strstr(in->data, "-----BEGIN ")) {
		buf_add(chain, in->data, in->len);
		buf_add(key, in->data, in->len);
		return 0;
	}
	return err_set(e, EINVAL,
		"the input is neither a tar archive nor PEM text with the certificates "
		"and "
		"the key");
}

/* Parses public keys (RFC 4253 section 6.6, RFC 5656, RFC 8709) and computes their
 * fingerprint. */
#include "control/access/sshkey.h"
#include "lib/base64.h"
#include <errno.h>
#include <sha2.h>
#include <stdio.h>
#include <string.h>

/* parts: length-prefixed strings in the blob, the type's name included. */
static const struct {
	const char *name;
	unsigned int parts;
} types[] = {
	{"ssh-ed25519", 2},
	{"ecdsa-sha2-nistp256", 3},
	{"ecdsa-sha2-nistp384", 3},
	{"ecdsa-sha2-nistp521", 3},
	{"ssh-rsa", 3},
	{"sk-ssh-ed25519@openssh.com", 3},
	{"sk-ecdsa-sha2-nistp256@openssh.com", 4},
};

struct part {
	const unsigned char *data;
	size_t len;
};

/* Splits the blob into exactly n parts that use all of it. */
static bool split(const struct buf *blob, struct part *parts, unsigned int n)
{
	size_t at = 0;

	for (unsigned int i = 0; i < n; i++) {
		const unsigned char *p = (const unsigned char *)blob->data + at;

		if (blob->len - at < 4)
			return false;
		size_t len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 |
			     p[3];
		if (len > blob->len - at - 4)
			return false;
		parts[i] = (struct part){p + 4, len};
		at += 4 + len;
	}
	return at == blob->len;
}

static size_t bits_of(const struct part *n)
{
	size_t skip = 0;

	while (skip < n->len && n->data[skip] == 0)
		skip++;
	if (skip == n->len)
		return 0;
	return (n->len - skip) * 8 -
	       (size_t)__builtin_clz((unsigned int)n->data[skip] << 24);
}

static int check_blob(
	const struct buf *blob, const char *type, unsigned int n, struct err *e)
{
	struct part parts[4];

	if (!split(blob, parts, n) || parts[0].len != strlen(type) ||
		memcmp(parts[0].data, type, parts[0].len) != 0)
		return err_set(
			e, EINVAL, "the key is damaged: its inside is no %s key", type);
	if (strcmp(type, "ssh-ed25519") == 0 && parts[1].len != 32)
		return err_set(
			e, EINVAL, "the key is damaged: an ed25519 key has 32 bytes");
	if (strcmp(type, "ssh-rsa") == 0 && bits_of(&parts[2]) < SSHKEY_RSA_BITS_MIN)
		return err_set(e, EINVAL,
			"the RSA key has %zu bits; at least %d are needed",
			bits_of(&parts[2]), SSHKEY_RSA_BITS_MIN);
	return 0;
}

static void fingerprint(const struct buf *blob, char *out, size_t size)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	autobuf text = BUF_INIT;
	SHA2_CTX ctx;

	SHA256Init(&ctx);
	SHA256Update(&ctx, (const uint8_t *)blob->data, blob->len);
	SHA256Final(digest, &ctx);
	base64_encode(digest, sizeof(digest), &text);
	snprintf(out, size, "SHA256:%.43s",
		text.data ? text.data : ""); /* without the padding */
}

static int fill(const char *type, unsigned int parts, const char *base64, size_t len,
	struct db_key *ret, struct err *e)
{
	autobuf blob = BUF_INIT;

	if (len >= sizeof(ret->blob))
		return err_set(
			e, EINVAL, "the key is too large: at most 4096 bits for RSA");
	if (base64_decode(base64, len, &blob) < 0 || !blob.len)
		return err_set(
			e, EINVAL, "the key is damaged: its second word is not base64");
	int r = check_blob(&blob, type, parts, e);
	if (r < 0)
		return r;
	snprintf(ret->type, sizeof(ret->type), "%s", type);
	snprintf(ret->blob, sizeof(ret->blob), "%.*s", (int)len, base64);
	fingerprint(&blob, ret->fingerprint, sizeof(ret->fingerprint));
	return 0;
}

int sshkey_parse(const char *text, struct db_key *ret, struct err *e)
{
	size_t len = strlen(text);

	while (len &&
		(text[len - 1] == '\n' || text[len - 1] == '\r' || text[len - 1] == ' '))
		len--;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n')
			return err_set(
				e, EINVAL, "more than one line: give one key at a time");
		if ((unsigned char)text[i] < ' ' && text[i] != '\t')
			return err_set(
				e, EINVAL, "the key's line holds a control character");
	}
	if (strstr(text, "PRIVATE KEY"))
		return err_set(e, EINVAL,
			"this is a private key: keep it secret, and give the .pub file");
	size_t type_len = strcspn(text, " \t\r\n");
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (strlen(types[i].name) != type_len ||
			memcmp(types[i].name, text, type_len) != 0)
			continue;
		const char *base64 = text + type_len + strspn(text + type_len, " \t");

		return fill(types[i].name, types[i].parts, base64,
			strcspn(base64, " \t\r\n"), ret, e);
	}
	return err_set(e, EINVAL,
		"not a public key that berth takes: one line \"ssh-ed25519 AAAA... "
		"name\" (also ecdsa-sha2-nistp256/384/521,"
		" ssh-rsa, and the sk- kinds), without options in front");
}

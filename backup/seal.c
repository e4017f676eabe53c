/* Sealing and compressing. */
#include "backup/seal.h"
#include <endian.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>
#include <zstd.h>

enum form { FORM_PLAIN, FORM_ZSTD };
#define NONCE 12u
#define TAG 16u
#define HEAD 5u /* form, size */

struct sealer {
	struct keys keys;
	int level;
	EVP_CIPHER_CTX *cipher;
	ZSTD_CCtx *pack;
	ZSTD_DCtx *unpack;
	struct buf plain;
};

struct sealer *sealer_open(const struct keys *k, int level)
{
	struct sealer *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->keys = *k;
	s->level = level;
	s->cipher = EVP_CIPHER_CTX_new();
	s->pack = ZSTD_createCCtx();
	s->unpack = ZSTD_createDCtx();
	s->plain.max = SEALED_MAX + HEAD;
	if (!s->cipher || !s->pack || !s->unpack) {
		sealer_close(s);
		return NULL;
	}
	return s;
}

void sealer_close(struct sealer *s)
{
	if (!s)
		return;
	keys_clear(&s->keys);
	EVP_CIPHER_CTX_free(s->cipher);
	ZSTD_freeCCtx(s->pack);
	ZSTD_freeDCtx(s->unpack);
	buf_free(&s->plain);
	free(s);
}

void seal_name(
	const struct sealer *s, const void *data, size_t size, unsigned char id[ID_SIZE])
{
	key_hmac(s->keys.name, data, size, id);
}

struct label { /* authenticated beside the bytes */
	char kind, zeros[7];
	uint64_t number;
	unsigned char id[ID_SIZE];
};

static bool begin(struct sealer *s, bool enc, char kind, uint64_t number,
	const unsigned char id[ID_SIZE], const unsigned char nonce[NONCE])
{
	struct label l = {.kind = kind, .number = htole64(number)};
	unsigned char key[KEY_SIZE];
	int n;

	memcpy(l.id, id, ID_SIZE);
	key_hmac(s->keys.seal, &l.id, ID_SIZE, key);
	bool ok = EVP_CipherInit_ex(
			  s->cipher, EVP_aes_256_gcm(), NULL, key, nonce, enc) == 1 &&
		  EVP_CipherUpdate(
			  s->cipher, NULL, &n, (const unsigned char *)&l, sizeof(l)) == 1;
	explicit_bzero(key, sizeof(key));
	return ok;
}

/* Form, size and the bytes, compressed where that saves something. */
static int pack(struct sealer *s, const void *data, size_t size)
{
	uint32_t le = htole32((uint32_t)size);
	size_t room = ZSTD_compressBound(size), n = 0;
	char form = FORM_PLAIN;

	buf_reset(&s->plain);
	if (!buf_room(&s->plain, HEAD + room))
		return -ENOMEM;
	if (s->level)
		n = ZSTD_compressCCtx(
			s->pack, s->plain.data + HEAD, room, data, size, s->level);
	if (s->level && !ZSTD_isError(n) && n < size - size / 16) {
		form = FORM_ZSTD;
	} else {
		memcpy(s->plain.data + HEAD, data, size);
		n = size;
	}
	s->plain.data[0] = form;
	memcpy(s->plain.data + 1, &le, sizeof(le));
	s->plain.len = HEAD + n;
	return 0;
}

int seal(struct sealer *s, char kind, uint64_t number, const unsigned char id[ID_SIZE],
	const void *data, size_t size, struct buf *out)
{
	int n, r = size > SEALED_MAX ? -EMSGSIZE : pack(s, data, size);

	buf_reset(out);
	if (r < 0 || !buf_room(out, NONCE + s->plain.len + TAG))
		return r < 0 ? r : -ENOMEM;
	unsigned char *at = (unsigned char *)out->data;
	if (RAND_bytes(at, NONCE) != 1 || !begin(s, true, kind, number, id, at) ||
		EVP_CipherUpdate(s->cipher, at + NONCE, &n,
			(const unsigned char *)s->plain.data, (int)s->plain.len) != 1 ||
		EVP_CipherFinal_ex(s->cipher, at + NONCE + n, &n) != 1 ||
		EVP_CIPHER_CTX_ctrl(s->cipher, EVP_CTRL_GCM_GET_TAG, TAG,
			at + NONCE + s->plain.len) != 1)
		return -EIO;
	out->len = NONCE + s->plain.len + TAG;
	return 0;
}

static int unpack(struct sealer *s, struct buf *out)
{
	uint32_t size;

	memcpy(&size, s->plain.data + 1, sizeof(size));
	size = le32toh(size);
	buf_reset(out);
	if (size > SEALED_MAX || !buf_room(out, size))
		return -EBADMSG;
	if (s->plain.data[0] == FORM_PLAIN && s->plain.len - HEAD == size)
		memcpy(out->data, s->plain.data + HEAD, size);
	else if (s->plain.data[0] != FORM_ZSTD ||
		 ZSTD_decompressDCtx(s->unpack, out->data, size, s->plain.data + HEAD,
			 s->plain.len - HEAD) != size)
		return -EBADMSG;
	out->len = size;
	out->data[size] = '\0';
	return 0;
}

int unseal(struct sealer *s, char kind, uint64_t number, const unsigned char id[ID_SIZE],
	const void *data, size_t size, struct buf *out)
{
	const unsigned char *at = data;
	unsigned char tag[TAG];
	int n;

	if (size < SEAL_EXTRA || size > SEALED_MAX + SEAL_EXTRA)
		return -EBADMSG;
	size_t inner = size - NONCE - TAG;
	buf_reset(&s->plain);
	if (!buf_room(&s->plain, inner))
		return -ENOMEM;
	memcpy(tag, at + NONCE + inner, TAG);
	if (!begin(s, false, kind, number, id, at) ||
		EVP_CipherUpdate(s->cipher, (unsigned char *)s->plain.data, &n,
			at + NONCE, (int)inner) != 1 ||
		EVP_CIPHER_CTX_ctrl(s->cipher, EVP_CTRL_GCM_SET_TAG, TAG, tag) != 1 ||
		EVP_CipherFinal_ex(s->cipher, (unsigned char *)s->plain.data + n, &n) !=
			1)
		return -EBADMSG;
	s->plain.len = inner;
	return unpack(s, out);
}

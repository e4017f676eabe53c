/* Base64 both ways, strict on input. */
#include "lib/base64.h"
#include <errno.h>

static const char alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_encode(const void *data, size_t len, struct buf *out)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t v = (uint32_t)p[i] << 16;
		char quad[4];

		if (n > 1)
			v |= (uint32_t)p[i + 1] << 8;
		if (n > 2)
			v |= p[i + 2];
		quad[0] = alphabet[v >> 18];
		quad[1] = alphabet[(v >> 12) & 63];
		quad[2] = n > 1 ? alphabet[(v >> 6) & 63] : '=';
		quad[3] = n > 2 ? alphabet[v & 63] : '=';
		int r = buf_add(out, quad, 4);
		if (r < 0)
			return r;
	}
	return 0;
}

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* One group of four; last allows padding. Returns the bytes it stands for, or -EINVAL. */
static int decode_quad(const char *t, bool last, unsigned char out[3])
{
	int pad = last && t[3] == '=' ? (t[2] == '=' ? 2 : 1) : 0;
	uint32_t v = 0;

	for (int i = 0; i < 4; i++) {
		int d = i >= 4 - pad ? 0 : value_of(t[i]);

		if (d < 0)
			return -EINVAL;
		v = v << 6 | (uint32_t)d;
	}
	out[0] = (unsigned char)(v >> 16);
	out[1] = (unsigned char)(v >> 8);
	out[2] = (unsigned char)v;
	/* Bits that no byte takes must be zero, or two texts would mean the same bytes.
	 */
	if ((pad == 2 && (v & 0xffff)) || (pad == 1 && (v & 0xff)))
		return -EINVAL;
	return 3 - pad;
}

int base64_decode(const char *text, size_t len, struct buf *out)
{
	if (len % 4)
		return -EINVAL;
	for (size_t i = 0; i < len; i += 4) {
		unsigned char bytes[3];
		int n = decode_quad(text + i, i + 4 == len, bytes);

		if (n < 0)
			return n;
		int r = buf_add(out, bytes, (size_t)n);
		if (r < 0)
			return r;
	}
	return 0;
}

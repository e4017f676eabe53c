/* Heads of tar entries, and pax records. */
#include "lib/ustar.h"

#include <stdio.h>
#include <string.h>

void ustar_octal(char *field, size_t size, uint64_t value)
{
	field[--size] = '\0';
	while (size > 0) {
		field[--size] = (char)('0' + (value & 7));
		value >>= 3;
	}
}

void ustar_seal(struct ustar *h)
{
	unsigned int sum = 0;

	memcpy(h->magic, "ustar", 6);
	memcpy(h->version, "00", 2);
	memset(h->check, ' ', sizeof(h->check));
	for (size_t i = 0; i < USTAR_BLOCK; i++)
		sum += ((const unsigned char *)h)[i];
	ustar_octal(h->check, 7, sum);
}

void ustar_record(struct buf *records, const char *key, const void *value, size_t len)
{
	size_t rest = strlen(key) + len + 3, digits = 1;

	while ((size_t)snprintf(NULL, 0, "%zu", rest + digits) > digits)
		digits++;
	buf_addf(records, "%zu %s=", rest + digits, key);
	buf_add(records, value, len);
	buf_adds(records, "\n");
}

/* Ids of pieces as text, and the one of zeros. */
#include "buildpacks/volume/vault_inside.h"
#include <stdio.h>
#include <string.h>

void vault_hex(const uint8_t id[VAULT_ID], char out[VAULT_HEX])
{
	for (size_t i = 0; i < VAULT_ID; i++)
		snprintf(out + 2 * i, 3, "%02x", id[i]);
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool vault_unhex(const char *hex, uint8_t ret[VAULT_ID])
{
	for (size_t i = 0; i < VAULT_ID; i++, hex += 2) {
		int high = digit(hex[0]), low = high < 0 ? -1 : digit(hex[1]);

		if (low < 0)
			return false;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return *hex == '\0';
}

bool vault_zeros(const uint8_t *data, size_t len)
{
	return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

bool vault_zero_id(const uint8_t id[VAULT_ID])
{
	return vault_zeros(id, VAULT_ID);
}

/* Check sums of tar heads, for targets whose input is a tar. */
#ifndef TESTS_FUZZ_SUMS_H
#define TESTS_FUZZ_SUMS_H

#include "tests/fuzz/fuzz.h"

#define BLOCK 512u

/* As if the writer had computed them: else nearly every changed head is refused for it. */
static void fix_sums(char *tar, size_t n)
{
	for (size_t at = 0; at + BLOCK <= n;) {
		unsigned char *h = (unsigned char *)tar + at;
		unsigned int sum = 0;
		unsigned long size;
		char text[13] = {0};

		memset(h + 148, ' ', 8);
		for (unsigned int i = 0; i < BLOCK; i++)
			sum += h[i];
		if (sum == 8 * ' ') { /* the end mark stays one */
			memset(h + 148, 0, 8);
		} else {
			snprintf((char *)h + 148, 8, "%06o", sum);
			h[155] = ' ';
		}
		memcpy(text, h + 124, 12);
		size = strtoul(text, NULL, 8);
		at += BLOCK + (size < n ? (size + BLOCK - 1) / BLOCK * BLOCK : 0);
	}
}

#endif

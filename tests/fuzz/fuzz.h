/*
 * What the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput: it gives the
 * bytes to code of berth and CHECKs what must hold for every input. libFuzzer drives it
 * (make fuzz), or main.c here, which replays tests/fuzz/corpus/NAME (make check).
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "lib/base.h"
#include "lib/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* 0 always. data is as long as it says: a read beyond it is seen by the address sanitizer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the program, as a sanitizer would: the input that did it is kept. */
#define CHECK(condition)                                                                 \
	do {                                                                             \
		if (!(condition)) {                                                      \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__,       \
				#condition);                                             \
			abort();                                                         \
		}                                                                        \
	} while (0)

/* An input that is read from its start; beyond its end all is zero. */
struct input {
	const uint8_t *p;
	size_t n;
};

static UNUSED void take_bytes(struct input *in, void *to, size_t n)
{
	size_t have = n < in->n ? n : in->n;

	memset(to, 0, n);
	if (!have)
		return;
	memcpy(to, in->p, have);
	in->p += have;
	in->n -= have;
}

static UNUSED uint8_t take_u8(struct input *in)
{
	uint8_t v;

	take_bytes(in, &v, sizeof(v));
	return v;
}

static UNUSED uint16_t take_u16(struct input *in)
{
	uint16_t v;

	take_bytes(in, &v, sizeof(v));
	return v;
}

/* One of the values at which ranges begin and end, or the next bytes of the input. */
static UNUSED uint64_t take_value(struct input *in)
{
	static const uint64_t edges[] = {0, 1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64,
		65, 127, 128, 255, 256, 1023, 1024, 4095, 4096, 65535, 65536, 0x7fffffff,
		0x80000000, 0xffffffff, 0x100000000, (uint64_t)1 << 44,
		((uint64_t)1 << 44) + 1, 0x7fffffffffffffff, 0x8000000000000000,
		0xffffffffffffffff};
	uint64_t v = 0;
	uint8_t which = take_u8(in);

	if (which < ARRAY_LEN(edges))
		return edges[which];
	take_bytes(in, &v, (size_t)1 << (which % 4));
	return v;
}

/*
 * Overwrites some bytes of a struct: a count, then offset, width and value of each. So an
 * input stays what it is about when a struct gets another field.
 */
static UNUSED void take_patches(struct input *in, void *body, size_t size)
{
	for (unsigned int n = take_u8(in) % 16; n > 0 && size >= 8; n--) {
		size_t at = take_u16(in) % (size - 7),
		       width = (size_t)1 << (take_u8(in) % 4);
		uint64_t v = take_value(in);

		memcpy((char *)body + at, &v, width);
	}
}

/* A folder that is gone after the end; in memory, as most of what a target does is files. */
static char top[64];

static void remove_top(void)
{
	(void)io_remove_tree(AT_FDCWD, top);
}

static UNUSED void make_top(void)
{
	snprintf(
		top, sizeof(top), "%s/berth-fuzz-XXXXXX", getenv("TMPDIR") ?: "/dev/shm");
	CHECK(mkdtemp(top));
	atexit(remove_top);
}

/* A copy with a NUL, the caller's. */
static UNUSED char *text_of(const uint8_t *p, size_t n)
{
	char *s = malloc(n + 1);

	CHECK(s);
	if (n)
		memcpy(s, p, n);
	s[n] = '\0';
	return s;
}

#endif

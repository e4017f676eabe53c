/* Heads of tar entries: POSIX.1-1988 ustar, with the records of pax (IEEE 1003.1, pax, "Extended Description"). */
#ifndef LIB_USTAR_H
#define LIB_USTAR_H

#include "lib/buf.h"

#define USTAR_BLOCK 512u

struct ustar {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], check[8], type,
		link[100], magic[6], version[2], uname[32], gname[32], major[8], minor[8],
		prefix[155], pad[12];
};
_Static_assert(sizeof(struct ustar) == USTAR_BLOCK, "a ustar head is one block");

/* The number in octal digits, to the end of the field, which gets a NUL. What does not fit loses its highest digits. */
void ustar_octal(char *field, size_t size, uint64_t value);
/* The last that is done to a head: its magic, its version, its checksum. */
void ustar_seal(struct ustar *h);
/* A pax record: "LEN key=value\n", where LEN counts itself. */
void ustar_record(struct buf *records, const char *key, const void *value, size_t len);

#endif

/*
 * Time zones, read as they lie on the host (tzfile(5), RFC 8536): what the local time is at a moment, and when that rule
 * changes. The C library knows one zone a process; apps have their own.
 */
#ifndef CONTROL_ZONE_H
#define CONTROL_ZONE_H

#include "lib/err.h"

#define ZONE_NAME_MAX 64
#define ZONE_FILE_MAX (64u << 10) /* the largest of tzdata has 4 kB */

struct zone;

struct zone_span {
	int64_t offset_s; /* local time minus UTC */
	int64_t from_s,
		until_s; /* of UTC, seconds since 1970: until is the first moment of another offset; INT64_MIN, INT64_MAX: none */
};

/* "Europe/Berlin": letters, digits, _ + - and single slashes. Does not look whether the host has it. */
bool zone_name_valid(const char *name);
/* NULL or "": the host's own (/etc/localtime; UTC where there is none). -ENOENT: the host does not know it; -EINVAL with e. */
int zone_open(const char *name, struct zone **ret, struct err *e);
/* The same of a file's bytes (tests). */
int zone_parse(const void *data, size_t size, struct zone **ret);
void zone_close(struct zone *z); /* takes NULL */
struct zone_span zone_at(const struct zone *z, int64_t utc_s);

#endif

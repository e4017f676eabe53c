/* Version ranges as npm writes them (node-semver's README): which versions satisfy "^18
 * || >=20.1 <23". */
#ifndef BUILDPACKS_SEMVER_H
#define BUILDPACKS_SEMVER_H

#include "lib/base.h"

#define SEMVER_RANGE_MAX 256
#define SEMVER_PART_MAX                                                                  \
	2097151u /* 21 bits; three parts fit 64 bits with room for a bound above all */

/* A released version as one number that sorts: major, minor, patch in 21 bits each.
 * 0, -EINVAL (no version), -ERANGE (a part too large), -ENOTSUP for a pre-release
 * ("1.2.3-rc.1"). */
int semver_parse(const char *s, uint64_t *ret);
/*
 * Whether v lies in range: "||", hyphen ranges, = > >= < <= ~ ^, x-ranges, "v" before a
 * number. Pre-release suffixes in a range are dropped. 1, 0, -EINVAL when the range is
 * malformed.
 */
int semver_match(const char *range, uint64_t v);
/* Whether every version of this major lies in range. 1, 0, -EINVAL as above. */
int semver_covers(const char *range, unsigned int major);

#endif

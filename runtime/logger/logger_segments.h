/*
 * The segments of one app's log on disk, FOLDER/APPID/SEGMENT.log (the end of lib/proto.h): writes go to the newest, which
 * is closed at a twentieth of the budget; the oldest are removed when the budget is used up.
 */
#ifndef RUNTIME_LOGGER_SEGMENTS_H
#define RUNTIME_LOGGER_SEGMENTS_H

#include "lib/base.h"

#define SEGMENTS_OF_BUDGET 20
#define SEGMENTS_MAX 256u
/* The end of a segment that is looked at before it is written to again; while there is damage, as much before it. */
#define SEGMENTS_CHECK ((size_t)1 << 20)
#define SEGMENTS_NO_RELEASE UINT32_MAX /* lines that are of none, or nothing is known */

struct segment {
	uint64_t name; /* time of its first line, µs */
	uint64_t size;
};

struct segments {
	int dirfd; /* of all logs; not owned */
	uint32_t app;
	int fd;		  /* of the newest, or -1 */
	uint32_t release; /* that the newest says app lines are of */
	uint64_t last_us; /* stamp of the last line on disk; 0: there is none */
	unsigned int n;
	struct segment list[SEGMENTS_MAX]; /* oldest first */
};

/* Finds what is there. Damage at the end of the newest (a torn line, what a power loss made of it) is cut off, so that
 * last_us is known; errors show when it is written to. */
void segments_open(struct segments *s, int dirfd, uint32_t app);
/* Only the descriptor: everything else stays. */
void segments_close(struct segments *s);
/* Removes the oldest until the rest fits into the budget; the newest stays. */
void segments_trim(struct segments *s, uint64_t budget);
/* The same for an app whose log is not open. */
void segments_trim_folder(int dirfd, uint32_t app, uint64_t budget);
/*
 * Appends whole lines, which begin with a stamp not before last_us; app lines among them are all of that release. 0, or
 * -errno: *ret_lines of them, from the first on, are there nevertheless (a disk that became full).
 */
int segments_write(struct segments *s, uint64_t budget, uint32_t release,
	const char *data, size_t len, unsigned int *ret_lines);

#endif

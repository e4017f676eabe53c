/* Archives as clients send them, kept as files without a name that control does not read; so many at a time. */
#ifndef CONTROL_SPOOL_H
#define CONTROL_SPOOL_H

#include "control/control.h"

#define SPOOL_BYTES_MAX                                                                  \
	((uint64_t)16                                                                    \
		<< 30) /* of an archive, or what is in it; less where the disk is fuller */
#define SPOOLS_MAX 4   /* at a time */
#define SPOOL_RATIO_MAX                                                                  \
	100u /* bytes unpacked for each of the archive's; images have 2 to 5 */
#define SPOOL_RATIO_FROM ((uint64_t)1 << 30) /* below this the ratio does not matter */

struct spool {
	int fd; /* read only, the spool's; -1 */
	uint64_t
		max_bytes; /* what may be unpacked: half of what was free then, or by the ratio */
	int slot;
};

/*
 * Reads `from` to its end, or until the sink's asker goes. 0, or -errno with e: -EBUSY when SPOOLS_MAX are there, -EFBIG,
 * -ENOSPC (control/data/space.h), -ECANCELED; then spool_drop in any case.
 */
int spool_take(
	struct spool *p, struct control *c, int from, struct sink *s, struct err *e);
/* The same of what fill writes into the file `to`, which may have max_bytes: 0 or -errno with e. */
int spool_fill(struct spool *p, struct control *c,
	int (*fill)(void *arg, int to, uint64_t max_bytes, struct sink *s, struct err *e),
	void *arg, struct sink *s, struct err *e);
/* Also of one that was never taken. */
void spool_drop(struct spool *p);
#define SPOOL_NONE                                                                       \
	{                                                                                \
		.fd = -1, .slot = -1                                                     \
	}
/* When the oldest that is there was taken; 0: none is. Layers made of it are nobody's yet. */
uint64_t spool_oldest(void);

/* An empty file without a name, read and written, beside the spools. fd, or -errno with e. */
int spool_file(struct control *c, struct err *e);
/* From one to the other up to the end; in pieces, so that an asker that goes is noticed. 0 or -errno with e. */
int spool_copy(int from, int to, uint64_t max_bytes, struct sink *s, struct err *e);

#endif

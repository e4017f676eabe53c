/*
 * Room on the disk: what may be used, whether a build fits, and what goes first when it does not. The host may have a
 * budget for layers and build caches, and keeps a reserve for what runs.
 */
#ifndef CONTROL_SPACE_H
#define CONTROL_SPACE_H

#include "control/control.h"

#define SPACE_RELEASE                                                                    \
	((uint64_t)16                                                                    \
		<< 20) /* scratch image, database log, routing: what a deploy writes beside its layers */
#define SPACE_RESERVE_MAX ((uint64_t)1 << 30)
#define SPACE_PLENTY                                                                     \
	((uint64_t)4 << 30) /* nobody asks what a build takes while so much is there */

struct space {
	uint64_t free, total;  /* of the file system */
	uint64_t reserve;      /* of free: not for layers */
	uint64_t budget, used; /* of layers and caches; budget 0: none */
};
/* What layers may still take. */
uint64_t space_room(const struct space *s);
/* How it stands. used: only where there is a budget. 0 or -errno. */
int space_look(struct control *c, struct space *ret);
/* What is kept free of a disk of that size: `disk:set --global reserve`, else a twentieth, at most SPACE_RESERVE_MAX. */
uint64_t space_reserve(struct control *c, uint64_t total);
uint64_t space_reserve_default(uint64_t total);

#define SPACE_RUN                                                                        \
	((uint64_t)256                                                                   \
		<< 10) /* of the run folder: a record, a hosts file and a FIFO an instance */
#define SPACE_FILES 64u
/* Begins each sentence that has the figures; the system's own words end before the colon. */
#define SPACE_FULL "No space left on device: "
/*
 * What is free, where text says that a disk is full and has no figures: of the state folder, or of the run folder where that
 * is what is full. false: it is none of these.
 */
bool space_words(const struct control *c, const char *text, char out[256]);
/* A start writes to the run folder; looked at before what runs is stopped for it. 0, or -ENOSPC with the sentence. */
int space_for_start(struct control *c, struct err *e);
/*
 * A deploy needs SPACE_RELEASE of the disk, which may be of the reserve: it also mends what runs. Where that is missing,
 * what nothing needs goes first. 0, or -ENOSPC with the sentence.
 */
int space_for_release(struct control *c, struct sink *s, struct err *e);
/*
 * Before a build: about as much as the app's last one and the files of the commit. Where that does not fit, these go, in
 * this order, until it does, and s is told: layers that nothing needs; build caches that no build has, those that were not
 * used for longest first; where `disk:set releases-min` says so, releases above that number. 0, or -ENOSPC.
 */
int space_for_build(struct control *c, const struct db_app *a, const char *commit,
	struct sink *s, struct err *e);
/* The same for what takes so many bytes; app: whose caches go last, 0: nobody's. what: "the import", at least: the sentence says so. */
int space_for(struct control *c, uint64_t bytes, const char *what, uint32_t app,
	struct sink *s, struct err *e);

#endif

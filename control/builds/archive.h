/*
 * A source archive as a commit. Control keeps the archive and the pack as files that it does not read: berth-build makes one
 * of the other in a sandbox without network, and the client hands the pack to git as a push (receiver/deliver.h), which
 * checks it as any other. So what follows, from the lock to the release, is a push.
 */
#ifndef CONTROL_ARCHIVE_H
#define CONTROL_ARCHIVE_H

#include "control/control.h"

#define ARCHIVE_MESSAGE_MAX 4096u
#define ARCHIVE_PACK_MAX ((uint64_t)2 << 30) /* receive.maxInputSize (receiver/repo.c) */

struct archive_order {
	int in, out;		      /* the archive; "OLD NEW REF\n" and the pack */
	const char *message, *author; /* NULL: a message, the actor */
	const char *actor;
	bool force; /* also when nothing changed */
};

/* Whether text is "NAME <MAIL>", as git takes it. */
bool archive_author_valid(const char *text);
/*
 * Blocks until all is written. Nothing is, and the sink says so, when the archive holds what the deploy branch has. 0, or
 * -errno with e.
 */
int archive_commit(struct control *c, const struct db_app *app,
	const struct archive_order *o, struct sink *s, struct err *e);

#endif

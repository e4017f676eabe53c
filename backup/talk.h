/* The conversation with berth-control (control/data/backup.h). */
#ifndef BACKUP_TALK_H
#define BACKUP_TALK_H

#include "backup/store.h"
#include "lib/client.h"
#include "lib/frame.h"

struct talk {
	struct client client;
	int in, out, words; /* to it, from it, what it says for people */
	struct frame f;
	struct relay *relay; /* the thread that passes the words on */
	json_t *first;	     /* what it said at the beginning, with talk_first */
};

/* run: the folder of api.sock, NULL: BERTH_RUN, or the connection that was handed down (BERTH_API_FD). body is taken over. */
int talk_open(struct talk *t, const char *run, json_t *body, struct err *e);
void talk_close(struct talk *t);
/* The next JSON; its "error" is e. */
int talk_answer(struct talk *t, json_t **ret, struct err *e);
/*
 * Of a write to it that failed with r: where control has hung up, what it says of why is better than that, and is e. r where it is another
 * failure.
 */
int talk_failed(struct talk *t, int r, struct err *e);
/* v is taken over. */
int talk_ask(struct talk *t, json_t *v, struct err *e);
/* Sends the bytes of a blob item and the end. */
int talk_send_blob(struct talk *t, struct store *s, const json_t *item, struct err *e);

#endif

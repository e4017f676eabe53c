/*
 * Webhooks: who wants to be told of deploys, crashes, the disk and certificates is sent JSON by POST (docs/WEBHOOKS.md). What is
 * told is a row before it is sent, for each webhook that wants it, so that it outlives a restart; berth-drain sends it, by the
 * rules for drains, and says what was answered. What is not taken with 2xx is tried again, WEBHOOK_TRIES times in all.
 *
 * The request names event, delivery and time in headers, and is signed with the webhook's secret: X-Hub-Signature-256:
 * sha256=HMAC of the body, as GitHub does it. The same delivery may arrive twice.
 */
#ifndef CONTROL_WEBHOOKS_H
#define CONTROL_WEBHOOKS_H

#include "control/control.h"

#define WEBHOOKS_MAX 8 /* of an app, and for all apps */
#define WEBHOOK_TRIES 8u

/* deploy, crash, disk, certificate; "" for others. */
const char *webhook_event_name(enum db_hook_events event);
/* "deploy,crash" as bits; 0: there is an unknown one. */
uint32_t webhook_events_parse(const char *text);

/*
 * It happened to the app (0: to the host). detail is taken over. Those of the app, of its parent where it is a preview, and those for
 * all are told. Any thread; does not wait.
 */
void webhooks_emit(
	struct control *c, uint32_t app, enum db_hook_events event, json_t *detail);
/* A certificate's names into a detail, those that have room in a delivery, and "more": how many had none. */
void webhooks_put_names(json_t *detail, const json_t *names);
/* Only to that one: event "ping". 0 and the delivery's number, or -errno. */
int webhooks_ping(struct control *c, const struct db_webhook *h, uint64_t *ret_id);

/* For the thread of drains.c: what is due goes to tell. 0 or tell's failure. */
int webhooks_send(struct control *c, int (*tell)(void *arg, json_t *o), void *arg);
void webhooks_answered(
	struct control *c, uint64_t delivery, uint32_t status, const char *text);
/* Until something is due; -1: nothing waits. */
int webhooks_wait_ms(struct control *c);
int webhooks_count(struct control *c);

/* Looks at disk and certificates now and then. 0 or -errno. */
int webhooks_run(struct control *c);
/* It looks now. Any thread. */
void webhooks_look_soon(void);
/* What it tells of certificates once a day. For tests, too. */
void webhooks_look_certs(struct control *c, uint64_t now_us);

#endif

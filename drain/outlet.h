/* All drains: which there are, whose turn it is, what becomes of their batches. */
#ifndef DRAIN_OUTLET_H
#define DRAIN_OUTLET_H

#include "drain/drain.h"
#include "drain/net.h"
#include <jansson.h>

struct outlet {
	struct loop *loop;
	struct net *net;
	struct logs *logs;
	struct drain *first;
	const char *state; /* folder: BERTH_STATE */
	char host[256];	   /* of this machine */
	char nonce[40];	   /* in the request ids of our requests */
	struct loop_timer *saving, *asking;
	/* For control: {name: APPID}, and what is told of a drain. l->asked: it is on its way; else it is asked again. */
	void (*ask)(struct outlet *o, struct app_log *l);
	void (*tell)(
		struct outlet *o, const struct drain *d, bool well, const char *text);
	/* What became of a webhook's request: status of HTTP, or 0 and why there is none. */
	void (*answer)(struct outlet *o, uint64_t id, long status, const char *text);
};

/* host and nonce are filled. */
int outlet_open(struct outlet *o, struct err *e);
/* As control says it: a drain that is there stays as it is. */
int outlet_put(struct outlet *o, const json_t *said, struct err *e);
/* Those that were not put since the last time go, with their files. */
void outlet_settle_list(struct outlet *o);
/* The answer to ask(), or unasked: one that was given another name. */
void outlet_name(struct outlet *o, uint32_t app, const char *name);
/* Writes down what is not yet. */
void outlet_save(struct outlet *o);

#endif

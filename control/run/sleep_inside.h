/* What is remembered of apps that sleep or are about to, for the three files that change it: sleep.c, wake.c and nap.c. */
#ifndef CONTROL_SLEEP_INSIDE_H
#define CONTROL_SLEEP_INSIDE_H

#include "control/member.h"
#include "control/run/sleep.h"
#include <pthread.h>

struct nap {
	uint32_t app;
	uint32_t idle;	  /* bit i: router worker i said so */
	bool trying;	  /* a thread puts it to sleep because it is idle */
	bool dozing;	  /* its requests are held, to see whether it may sleep */
	bool asked;	  /* somebody asked for it meanwhile */
	bool stopping;	  /* it sleeps, and its instances still end */
	bool rousing;	  /* a thread wakes it because somebody asked for it */
	bool waking;	  /* its requests are held until it has started */
	bool dozed, woke; /* dozing and waking, as they were marked last */
	struct nap *next;
};

struct sleepers {
	pthread_mutex_t lock;	/* everything below */
	pthread_cond_t changed; /* told by nap_unlock */
	struct nap *naps;
	struct stale *stale; /* of whom the table says it */
	struct nap spare;    /* out of memory: what is written to it is forgotten */
	unsigned int at_once;
};

/* A copy. */
struct nap nap_look(struct sleepers *s, uint32_t app);
/* Takes the lock; what is known of the app, to be changed until nap_unlock. Never NULL. */
struct nap *nap_lock(struct sleepers *s, uint32_t app);
/* With the lock held. */
struct nap *nap_find(struct sleepers *s, uint32_t app);
/* nap_unlock without letting go of the lock. */
void nap_changed(struct sleepers *s, struct nap *n);
/* Tells those who wait, and forgets an app of which there is nothing to say. */
void nap_unlock(struct sleepers *s, struct nap *n);

/* run(c, app) in a thread of its own. False: there is none. */
bool nap_in_thread(
	struct control *c, uint32_t app, void (*run)(struct control *c, uint32_t app));

/* The web instances of an app that serve. */
struct serving {
	struct member *m;
	uint64_t *ids;
	unsigned int n;
	bool starting; /* others are on their way */
};
/* 0 or -ENOMEM; serving_free in any case. */
int serving_list(struct control *c, uint32_t app, struct serving *ret);
void serving_free(struct serving *s);
/* wake.c. They go on; one that cannot is ended, and the supervisor starts another. */
void serving_thaw(struct control *c, uint32_t app);

#endif

/* Inside of instances.h, shared by the files that implement it. */
#ifndef RUNTIME_INSTANCE_TABLE_H
#define RUNTIME_INSTANCE_TABLE_H

#include "runtime/instances/instances.h"

#define INSTANCE_BUCKETS 1024u
/* Those that run, and those whose end control has not recorded: 2 kB each. No more have addresses. */
#define INSTANCES_MAX 8192u

/* Being told when its memory runs out; see instance_oom.c. */
struct oom {
	int fd; /* -1: not */
	uint32_t events;
	bool first;	       /* the look that follows is the first after an event */
	uint64_t kills, at_ns; /* known so far; the last one, monotonic, 0: none seen */
	struct loop_io *watch;
	struct loop_timer *timer;
};

struct instance {
	struct instance *next;
	struct instances *all;
	struct record record;
	int pidfd;   /* while it runs */
	int fifo;    /* read end, as long as RECORD_FIFO */
	int reclaim; /* pidfd of the process that reclaims its memory, or -1 */
	struct loop_io *watch, *reclaim_watch;
	struct loop_timer *kill_timer, *tell_timer;
	struct oom oom;
};

struct instances {
	struct instances_config c;
	struct instance *buckets[INSTANCE_BUCKETS];
	unsigned int n;
	bool stopping;
	struct loop_timer *stop_timer;
	void (*done)(void *arg);
	void *done_arg;
};

struct instance *instance_find(struct instances *in, uint64_t id);
/* NULL when out of memory. */
struct instance *instance_add(struct instances *in, const struct record *r);
void instance_drop(struct instance *i);
int instance_save(struct instance *i);
int instance_attach(struct instance *i);
/* Takes pidfd. */
int instance_watch(struct instance *i, int pidfd);
/* Once it runs; at its end, when the reason is filled; whenever it is freed. */
void instance_oom_watch(struct instance *i);
void instance_oom_ended(struct instance *i);
void instance_oom_close(struct instance *i);
void instance_ended(struct instance *i);
void instance_plan_kill(struct instance *i);
/* freeze.c. As instances_thaw. */
int instance_thaw(struct instance *i);
/* Ends and reaps the process that reclaims, if there is one. */
void instance_end_reclaim(struct instance *i);
bool instance_frozen(const struct instance *i);

#endif

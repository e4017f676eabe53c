/*
 * Counters and latencies of each instance and app, in memory that control reads while the worker goes on (struct metrics in
 * lib/proto.h). A request costs a few additions; nobody waits for anybody.
 */
#ifndef ROUTER_METRICS_H
#define ROUTER_METRICS_H

#include "router/conn.h"

struct metrics;

/* Before the jail. Without memory for it nothing is counted. */
void metrics_open(struct worker *w);
void metrics_close(struct worker *w);
/* To a control that has said HELLO, or may. */
void metrics_send(struct worker *w);
/* The number + 1 of a slot for an instance of app; 0: none left, or nothing is counted. */
uint32_t metrics_slot(struct worker *w, uint32_t app, uint64_t instance);
/* x has ended. */
void metrics_note(struct worker *w, const struct exchange *x);
/* An instance is gone: its slot's counts go to its app. 0 is allowed. */
void metrics_fold(struct worker *w, uint32_t slot);
/* Apps that the current table does not have are forgotten. */
void metrics_sweep(struct worker *w);

#endif

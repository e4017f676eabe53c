/* What the router counts, as people and Prometheus read it. */
#ifndef CONTROL_METRICS_H
#define CONTROL_METRICS_H

#include "control/control.h"

/*
 * Maps what a worker said with MSG_METRICS; fd stays the caller's. 0, or -EPERM (its size is not sealed), -EBADMSG, -errno.
 */
int metrics_map(int fd, const struct metrics **ret);
void metrics_unmap(const struct metrics *m);
/* Adds up the used slots of m into *rows (n of them, grown): one for each app and instance. The new n, or -ENOMEM. */
struct metrics_row {
	struct metrics_slot sum; /* instance 0: of the app beside its instances */
	double per_second;	 /* of the last ten seconds */
};
int metrics_add(
	const struct metrics *m, uint64_t now_us, struct metrics_row **rows, int n);
/* Within what time this share of the requests was answered, in ms: a bucket's upper end; 0: there were none. */
double metrics_quantile(const struct metrics_slot *s, double share);
/* The upper end of a bucket in us. */
uint64_t metrics_bucket_us(uint32_t i);
/* Adds b to a. */
void metrics_sum(struct metrics_row *a, const struct metrics_row *b);

#endif

/* The routing table as control sends it (lib/proto.h): checked as a whole, then hashed */
#ifndef ROUTER_TABLE_H
#define ROUTER_TABLE_H

#include "lib/err.h"
#include "lib/proto.h"

/* longer holds and timeouts than ten minutes are mistakes */
#define TABLE_HELD_MAX_MS 600000u

struct instance;
struct policy;
struct sleeper;

struct table {
	const struct table_host *hosts;
	const struct table_app *apps;
	const struct table_instance *instances;
	const struct table_options *options;
	const struct table_net *nets;
	const char *strings;
	struct instance *
		*backends; /* per instance: its run-time side; filled by backend_apply */
	struct sleeper **sleepers; /* the same per app; NULL for one that never sleeps */
	struct policy **policies;  /* the same per app; NULL for one without options */
	uint32_t n_hosts, n_apps, n_instances, n_options, n_nets;
	bool wildcards;
	uint32_t mask;	 /* slots - 1 */
	uint32_t *slots; /* host index + 1; 0 empty */
	void *map;	 /* table_load: the mapping */
	size_t map_size;
};

/*
 * Maps a sealed memfd and checks all of it. The descriptor stays the caller's. 0, -EPERM
 * (not sealed), -EBADMSG (with what is wrong in e), -ENOMEM, -errno. *ret is untouched on
 * failure.
 */
int table_load(int fd, struct table **ret, struct err *e);
/* The same from memory, which must outlive the table and be 8-byte aligned. */
int table_parse(const void *data, size_t size, struct table **ret, struct err *e);
/* NULL is allowed. Unmaps what table_load mapped. */
void table_free(struct table *t);
/*
 * The row of a host name (any case, no port, at most 253 bytes): exact match first, then
 * the longest wildcard. NULL when unknown.
 */
const struct table_host *table_find(const struct table *t, const char *host, size_t len);
/* NULL: none. */
static inline const struct table_options *table_options_of(
	const struct table *t, const struct table_app *a)
{
	return a->options ? &t->options[a->options - 1] : NULL;
}

#endif

/* Disk: layers are counted, and those that nothing can need any more removed. */
#include "control/retention.h"
#include "control/engine.h"
#include "lib/io.h"
#include "lib/log.h"
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define UNUSED_US                                                                        \
	(UINT64_C(3600) *                                                                \
		1000000u) /* an hour: a build under way may have found the layer just now */
#define EVERY_NS (UINT64_C(60) * 1000000000u)

/* Asked again for a finished layer, it tells them. */
void retention_count(struct control *c)
{
	struct msg *reply autofree = calloc(1, sizeof(*reply));
	struct db_layer *layers autofree = NULL;
	int n = reply ? db_layer_list(c->db, &layers) : 0;

	for (int i = 0; i < n; i++) {
		struct msg_layer ask = {.id = layers[i].id};
		if (!layers[i].ready || layers[i].size_bytes ||
			engine_call(c->engine, MSG_LAYER_COMMIT, &ask, sizeof(ask), NULL,
				0, reply) < 0)
			continue;
		const struct msg_layer *l =
			(const struct msg_layer *)(const void *)reply->body;
		if (l->size_bytes)
			db_layer_set_size(c->db, ask.id, l->size_bytes);
	}
}

int retention_remove(struct control *c, uint64_t id, uint64_t older_than_us)
{
	struct msg_layer l = {.id = id};
	/* The row goes first: a layer on disk without a row is found at the next start, the reverse is a broken image. */
	int r = db_layer_delete_unused(c->db, id, older_than_us);

	if (r < 0)
		return r;
	r = engine_call(c->engine, MSG_LAYER_REMOVE, &l, sizeof(l), NULL, 0, NULL);
	if (r < 0)
		log_warn("layer %llu: %s", (unsigned long long)id, strerror(-r));
	return 0;
}

void retention_now(struct control *c)
{
	retention_count(c);
	uint64_t *ids autofree = NULL;
	uint64_t older_than_us = io_now_us() - UNUSED_US;
	int n = db_layer_unused(c->db, older_than_us, &ids);

	for (int i = 0; i < n; i++)
		retention_remove(c, ids[i], older_than_us);
	if (n > 0)
		log_info("removed %d layers that no kept release uses", n);
	malloc_trim(0); /* what a deploy needed */
}

static void *retention_main(void *arg)
{
	retention_now(arg);
	return NULL;
}

void retention_soon(struct control *c)
{
	static _Atomic uint64_t last_ns;
	uint64_t now = io_mono_ns(), last = atomic_load(&last_ns);
	pthread_t thread;

	if ((last && now - last < EVERY_NS) ||
		!atomic_compare_exchange_strong(&last_ns, &last, now))
		return;
	if (pthread_create(&thread, NULL, retention_main, c) == 0)
		pthread_detach(thread);
}

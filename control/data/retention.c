/* Disk: layers are counted, and those that nothing can need any more removed. */
#include "control/data/retention.h"
#include "control/data/usage.h"
#include "control/engine.h"
#include "control/spool.h"
#include "lib/io.h"
#include "lib/log.h"
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* An hour: a clone or a change under way, which no build's row tells of, may have found the layer just now. */
#define UNUSED_US (UINT64_C(3600) * 1000000u)
#define EVERY_NS (UINT64_C(60) * 1000000000u)
#define SETTLE_NS (UINT64_C(60) * 1000000000u)
#define SETTLE_LOOK_US 5000

/*
 * Asked again for a finished layer, berthd tells its size, once it is on disk. 1: it is, 0: not yet, -EIO: the disk failed,
 * and the next build makes it anew, or -errno.
 */
static int ask_size(struct control *c, uint64_t id)
{
	struct msg *reply autofree = calloc(1, sizeof(*reply));
	struct msg_layer l = {.id = id};
	int r = reply ? engine_call(c->engine, MSG_LAYER_COMMIT, &l, sizeof(l), NULL, 0,
				reply)
		      : -ENOMEM;

	if (r == -EIO && db_layer_give_up(c->db, id) == 0)
		log_error("layer %llu could not be written to disk",
			(unsigned long long)id);
	if (r < 0)
		return r;
	memcpy(&l, reply->body, sizeof(l));
	if (l.size_bytes)
		db_layer_set_size(c->db, id, l.size_bytes);
	return l.size_bytes > 0;
}

void retention_count(struct control *c)
{
	struct db_layer *layers autofree = NULL;
	int n = db_layer_list(c->db, &layers);

	for (int i = 0; i < n; i++)
		if (layers[i].ready && !layers[i].size_bytes)
			ask_size(c, layers[i].id);
}

/* As ask_size. */
static int is_settled(struct control *c, uint64_t id)
{
	struct db_layer l;
	int r = db_layer_get(c->db, id, &l, NULL);

	return r < 0 ? r : l.size_bytes ? 1 : ask_size(c, id);
}

int retention_begin_settle(struct control *c, const json_t *layers)
{
	const json_t *layer;
	size_t i;
	int r = 0;

	json_array_foreach (layers, i, layer)
		if (is_settled(c, (uint64_t)json_integer_value(layer)) == -EIO)
			r = -EIO;
	return r;
}

int retention_settle(struct control *c, const json_t *layers)
{
	uint64_t until = io_mono_ns() + SETTLE_NS;
	const json_t *layer;
	size_t i;

	json_array_foreach (layers, i, layer) {
		int r;

		while ((r = is_settled(c, (uint64_t)json_integer_value(layer))) == 0 &&
			io_mono_ns() < until)
			usleep(SETTLE_LOOK_US);
		if (r <= 0)
			return r < 0 ? r : -ETIMEDOUT;
	}
	return 0;
}

static atomic_uint holds;

void retention_hold(bool on)
{
	if (on)
		atomic_fetch_add(&holds, 1);
	else
		atomic_fetch_sub(&holds, 1);
}

int retention_remove(struct control *c, uint64_t id, uint64_t older_than_us)
{
	struct msg_layer l = {.id = id};

	if (atomic_load(&holds))
		return -EBUSY;
	/* The row goes first: a layer on disk without a row is found later, the reverse is a broken image. */
	int r = db_layer_delete_unused(c->db, id, older_than_us);

	if (r < 0)
		return r;
	r = engine_call(c->engine, MSG_LAYER_REMOVE, &l, sizeof(l), NULL, 0, NULL);
	if (r < 0)
		log_warn("layer %llu: %s", (unsigned long long)id, strerror(-r));
	return 0;
}

uint64_t retention_since(struct control *c)
{
	uint64_t now = io_now_us(), build = 0, import;

	if (db_build_oldest(c->db, &build) < 0)
		return 0;
	import = spool_oldest();
	if (import && import < now)
		now = import;
	return build && build < now ? build : now;
}

static uint64_t remove_all(struct control *c, enum db_kept kept, uint64_t older_than_us)
{
	uint64_t *ids autofree = NULL, bytes = 0;
	int n = db_layer_unused(c->db, kept, older_than_us, &ids), gone = 0;

	for (int i = 0; i < n; i++) {
		struct db_layer l;

		if (db_layer_get(c->db, ids[i], &l, NULL) < 0 ||
			retention_remove(c, ids[i], older_than_us) < 0)
			continue;
		bytes += l.size_bytes;
		gone++;
	}
	if (gone > 0)
		log_info("removed %d layers that no kept release uses", gone);
	return bytes;
}

int retention_list(struct control *c, uint64_t **ret)
{
	struct msg *reply autofree = calloc(1, sizeof(*reply));
	struct msg_layer_page *ask autofree = calloc(1, sizeof(*ask));
	const struct msg_layer_page *page;
	size_t n = 0;

	do {
		int r = reply && ask ? engine_call(c->engine, MSG_LAYER_LIST, ask,
					       sizeof(*ask), NULL, 0, reply)
				     : -ENOMEM;
		uint64_t *more;

		if (r < 0)
			return r;
		page = (const struct msg_layer_page *)(const void *)reply->body;
		more = reallocarray(*ret, n + ARRAY_LEN(page->ids), sizeof(**ret));
		if (!more)
			return -ENOMEM;
		*ret = more;
		for (uint32_t i = 0; i < page->n && i < ARRAY_LEN(page->ids); i++)
			ask->after = more[n++] = page->ids[i];
	} while (page->n == ARRAY_LEN(page->ids));
	return (int)n;
}

void retention_drop_stray(struct control *c, const uint64_t *ids, int n)
{
	struct db_layer row;

	for (int i = 0; i < n; i++) {
		struct msg_layer l = {.id = ids[i]};

		if (db_layer_get(c->db, l.id, &row, NULL) == -ENOENT)
			engine_tell(c->engine, MSG_LAYER_REMOVE, &l, sizeof(l));
	}
}

void retention_drop_half(struct control *c, uint64_t before_us)
{
	struct db_layer *rows autofree = NULL;
	int n = db_layer_list(c->db, &rows);

	for (int i = 0; i < n; i++) {
		struct msg_layer l = {.id = rows[i].id};

		if (rows[i].ready || rows[i].created_us >= before_us)
			continue;
		int r = engine_call(
			c->engine, MSG_LAYER_REMOVE, &l, sizeof(l), NULL, 0, NULL);
		if (r == 0)
			db_layer_delete(c->db, l.id);
		else
			log_warn("half-made layer %llu: %s", (unsigned long long)l.id,
				strerror(-r));
	}
}

/* Half-made ones: a build that ran when control was killed had them still when their rows went. */
static void drop_stray_uppers(struct control *c)
{
	struct usage u = {0};
	struct err e = {0};
	struct db_layer row;

	if (usage_read(c, 1u << USAGE_UPPER, &u, &e) < 0)
		log_warn("%s", e.text);
	for (size_t i = 0; i < u.n; i++) {
		struct msg_layer l = {.id = u.rows[i].id};

		if (db_layer_get(c->db, l.id, &row, NULL) == -ENOENT)
			engine_tell(c->engine, MSG_LAYER_REMOVE, &l, sizeof(l));
	}
	usage_clear(&u);
}

void retention_stray(struct control *c)
{
	uint64_t *ids autofree = NULL;
	int n = retention_list(c, &ids);

	if (n > 0)
		retention_drop_stray(c, ids, n);
	retention_drop_half(c, c->started_us);
	drop_stray_uppers(c);
}

uint64_t retention_drop(struct control *c, enum db_kept kept)
{
	retention_count(c);
	retention_stray(c);
	return remove_all(c, kept, retention_since(c));
}

void retention_now(struct control *c)
{
	retention_count(c);
	retention_stray(c);
	uint64_t since = retention_since(c), unused = io_now_us() - UNUSED_US;
	remove_all(c, DB_KEPT_USUAL, since < unused ? since : unused);
	db_reserve(c->db);
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

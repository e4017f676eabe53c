/* Disk: who needs which layer, what nothing needs, and what a build is likely to take. */
#include "db/query.h"

#define SET(app, key)                                                                    \
	"(SELECT CAST(s.value AS INTEGER) FROM setting s WHERE s.app=" app               \
	" AND s.topic='disk' AND s.key=" key ")"
#define STRING_OF(x) #x
#define DEFAULT_KEPT(n) STRING_OF(n)
/* How many releases of app a are kept, by the setting ?1, else by the usual one. */
#define KEPT                                                                             \
	"coalesce(" SET("a.id", "?1") "," SET("0", "?1") "," SET(                        \
		"a.id", "'releases'") "," SET("0",                                       \
		"'releases'") "," DEFAULT_KEPT(DB_RELEASES_KEPT) ")"
/* (layer, app) for each app that needs a layer; app 0: a tag does. */
#define NEEDED                                                                           \
	"SELECT j.value layer, a.id app FROM app a JOIN release r ON r.app=a.id "        \
	"JOIN image i ON i.id=r.image, json_each(i.layers) j WHERE r.status<>'failed' "  \
	"AND "                                                                           \
	"(r.version IN (a.live_version, a.canary_version) OR "                           \
	"r.version>a.last_version-" KEPT ")"                                             \
	" UNION SELECT j.value, a.id FROM app a JOIN release r ON r.app=a.id "           \
	"JOIN image i ON i.id=r.image, json_each(i.config, '$.Berth.kept') j "           \
	"WHERE r.version=a.live_version"                                                 \
	" UNION SELECT j.value, 0 FROM tag t, json_each(t.layers) j"

static const char *kept_key(enum db_kept kept)
{
	return kept == DB_KEPT_LEAST ? "releases-min" : "releases";
}

static void fill_id(struct query *q, void *element)
{
	*(uint64_t *)element = query_u64(q, 0);
}

int db_layer_unused(
	struct db *db, enum db_kept kept, uint64_t older_than_us, uint64_t **ret)
{
	return query_all(db, sizeof(**ret), fill_id, (void **)ret,
		"SELECT id FROM layer WHERE ready=1 AND (kind<>'stack' OR key LIKE "
		"'%@%') "
		"AND used_us<?2 AND id NOT IN (SELECT layer FROM (" NEEDED
		") UNION SELECT j.value FROM layer l, json_each(l.meta, '$.below') j "
		"WHERE l.kind='source' AND l.used_us>=?2) ORDER BY id DESC",
		"sU", kept_key(kept), older_than_us);
}

static void fill_need(struct query *q, void *element)
{
	struct db_need *n = element;

	n->layer = query_u64(q, 0);
	n->app = query_u32(q, 1);
}

int db_layer_needs(struct db *db, struct db_need **ret)
{
	return query_all(db, sizeof(**ret), fill_need, (void **)ret,
		"SELECT layer, app FROM (" NEEDED ") ORDER BY layer, app", "s",
		kept_key(DB_KEPT_USUAL));
}

/* One number. */
static int number(struct query *q, int r, uint64_t *ret)
{
	if (r == 0)
		*ret = query_u64(q, 0);
	return r;
}

int db_releases_kept(struct db *db, uint32_t app, uint64_t *ret)
{
	autoquery q = QUERY_INIT;

	return number(&q,
		query_first(&q, db, "SELECT " KEPT " FROM app a WHERE a.id=?2", "su",
			kept_key(DB_KEPT_USUAL), app),
		ret);
}

int db_layers_size(struct db *db, uint64_t *ret)
{
	autoquery q = QUERY_INIT;

	return number(&q,
		query_first(&q, db, "SELECT ifnull(sum(size_bytes), 0) FROM layer", ""),
		ret);
}

int db_build_size(struct db *db, uint32_t app, uint64_t *ret)
{
	autoquery q = QUERY_INIT;

	return number(&q,
		query_first(&q, db,
			"SELECT ifnull(max(bytes), 0) FROM (SELECT (SELECT "
			"sum(l.size_bytes) FROM release r JOIN image i ON "
			"i.id=r.image, json_each(i.layers) j JOIN layer l ON "
			"l.id=j.value WHERE r.app=b.app AND r.version=b.version AND "
			"l.kind<>'source' AND l.created_us BETWEEN b.created_us AND "
			"b.finished_us) bytes FROM build b WHERE b.app=? AND "
			"b.status='succeeded' AND b.version>0 ORDER BY b.id DESC LIMIT "
			"3)",
			"u", app),
		ret);
}

int db_build_running(struct db *db, uint32_t app)
{
	autoquery q = QUERY_INIT;
	int r = query_first(&q, db,
		"SELECT count(*) FROM build WHERE app=? AND status='running'", "u", app);

	return r < 0 ? r : query_u32(&q, 0) > 0;
}

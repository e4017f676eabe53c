/* Network rules of apps, numbers of their names, addresses of host names. */
#include "db/query.h"
#include "lib/addr.h"
#include <errno.h>

static void fill_rule(struct query *q, void *element)
{
	struct db_net_rule *r = element;

	r->app = query_u32(q, 0);
	r->allow = query_u32(q, 1) != 0;
	query_text(q, 2, r->kind, sizeof(r->kind));
	query_text(q, 3, r->target, sizeof(r->target));
	r->target_app = query_u32(q, 4);
	r->protocol = query_u32(q, 5);
	r->first_port = query_u32(q, 6);
	r->last_port = query_u32(q, 7);
	r->builds = query_u32(q, 8) != 0;
}

#define RULES                                                                            \
	"SELECT app, allow, kind, target, target_app, protocol, first_port, last_port, " \
	"builds FROM network_rule WHERE "

int db_net_rule_list(struct db *db, uint32_t app, struct db_net_rule **ret)
{
	return query_all(db, sizeof(**ret), fill_rule, (void **)ret,
		RULES "?1=0 OR app=?1 ORDER BY app, id", "u", app);
}

int db_net_rule_about(struct db *db, uint32_t target_app, struct db_net_rule **ret)
{
	return query_all(db, sizeof(**ret), fill_rule, (void **)ret,
		RULES "target_app=? ORDER BY app, id", "u", target_app);
}

int db_net_rule_put(struct db *db, const struct db_net_rule *r)
{
	int n = query_exec(db,
		"INSERT INTO network_rule(app, allow, kind, target, target_app, "
		"protocol, first_port, last_port, builds) VALUES(?, ?, ?, ?, nullif(?, "
		"0), ?, ?, ?, ?) ON CONFLICT DO UPDATE SET allow=excluded.allow",
		"uussuuuuu", r->app, r->allow, r->kind, r->target, r->target_app,
		r->protocol, r->first_port, r->last_port, r->builds);

	return n == -EBUSY ? -ENOENT : n < 0 ? n : 0;
}

int db_net_rule_clear(struct db *db, uint32_t app, bool builds)
{
	return query_exec(db, "DELETE FROM network_rule WHERE app=? AND builds=?", "uu",
		app, builds);
}

int db_net_rule_remove(struct db *db, const struct db_net_rule *r, bool ports)
{
	return query_exec(db,
		"DELETE FROM network_rule WHERE app=? AND builds=? AND kind=? AND "
		"target=? AND ifnull(target_app, 0)=? AND (?=0 OR (protocol=? AND "
		"first_port=? AND last_port=?))",
		"uussuuuuu", r->app, r->builds, r->kind, r->target, r->target_app, ports,
		r->protocol, r->first_port, r->last_port);
}

int db_net_called(struct db *db, uint32_t app, uint32_t **ret)
{
	return query_all(db, sizeof(**ret), query_fill_u32, (void **)ret,
		app ? "SELECT DISTINCT target_app FROM network_rule WHERE target_app=? "
		      "AND allow"
		    : "SELECT DISTINCT target_app FROM network_rule WHERE target_app IS "
		      "NOT NULL AND allow ORDER BY target_app",
		app ? "u" : "", app);
}

static void fill_name(struct query *q, void *element)
{
	struct db_net_name *n = element;

	n->number = query_u32(q, 0);
	n->app = query_u32(q, 1);
	query_text(q, 2, n->type, sizeof(n->type));
}

int db_net_name_list(struct db *db, uint32_t app, struct db_net_name **ret)
{
	return query_all(db, sizeof(**ret), fill_name, (void **)ret,
		"SELECT number, app, type FROM network_name WHERE ?1=0 OR app=?1 ORDER "
		"BY number",
		"u", app);
}

/* The lowest number that is free. */
int db_net_name_add(struct db *db, uint32_t app, const char *type)
{
	int n = query_exec(db,
		"INSERT INTO network_name(number, app, type) SELECT min(n), ?, ? FROM "
		"(SELECT 1 AS n UNION SELECT number + 1 FROM network_name) WHERE n<? AND "
		"n NOT IN (SELECT number FROM network_name) HAVING min(n) IS NOT NULL",
		"usu", app, type, ADDR_NAMES);

	return n == -EBUSY ? -ENOENT : n == 0 ? -ENOSPC : n < 0 ? n : 0;
}

static void fill_address(struct query *q, void *element)
{
	struct db_net_address *a = element;

	query_text(q, 0, a->address, sizeof(a->address));
	a->seen_us = query_u64(q, 1);
}

int db_net_address_list(struct db *db, const char *host, struct db_net_address **ret)
{
	return query_all(db, sizeof(**ret), fill_address, (void **)ret,
		"SELECT address, seen_us FROM network_address WHERE host=? ORDER BY "
		"seen_us DESC, address",
		"s", host);
}

int db_net_address_seen(
	struct db *db, const char *host, const char *address, uint64_t time_us)
{
	int n = query_exec(db,
		"INSERT OR REPLACE INTO network_address(host, address, seen_us) "
		"VALUES(?, ?, ?)",
		"ssU", host, address, time_us);

	return n < 0 ? n : 0;
}

int db_net_address_prune(struct db *db, const char *host, uint64_t before_us)
{
	int n = query_exec(db, "DELETE FROM network_address WHERE host=? AND seen_us<?",
		"sU", host, before_us);

	return n < 0 ? n : 0;
}

int db_net_address_sweep(struct db *db, uint64_t before_us)
{
	int n = query_exec(db,
		"DELETE FROM network_address WHERE seen_us<? AND host NOT IN (SELECT "
		"target FROM network_rule WHERE kind='host')",
		"U", before_us);

	return n < 0 ? n : 0;
}

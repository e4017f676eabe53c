/* Rows of a copy of the database become rows of this one. */
#include "db/restore.h"
#include "db/query.h"
#include "db/secret.h"
#include "lib/buf.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What is of this host and this moment: sandboxes, addresses, snapshots (their bytes are no part of a backup). */
static const char *const left_here[] = {"instance", "network_name", "network_address",
	"webhook_delivery", "layer", "secret_key", "snapshot", "snapshot_volume"};

static int run(struct db *db, struct buf *sql)
{
	if (sql->failed || !sql->data)
		return -ENOMEM;
	int r = query_exec(db, sql->data, "");
	buf_reset(sql);
	return r;
}

/* ---- what is asked of the schema ---- */

struct column {
	char name[64], refers[64]; /* to the id of that table; "" */
	bool is_id;		   /* a number of its own that others refer to */
	bool is_number;
};
struct table {
	char name[64];
	struct column columns[64];
	int n;
};

static void fill_name(struct query *q, void *element)
{
	query_text(q, 0, element, 64);
}

static void fill_column(struct query *q, void *element)
{
	struct column *c = element;

	query_text(q, 0, c->name, sizeof(c->name));
	query_text(q, 1, c->refers, sizeof(c->refers));
	c->is_id = query_u32(q, 2) != 0;
	c->is_number = query_u32(q, 3) != 0;
}

static bool stays(const char *table)
{
	for (size_t i = 0; i < ARRAY_LEN(left_here); i++)
		if (strcmp(table, left_here[i]) == 0)
			return true;
	return false;
}

/* Of an app, with or without a foreign key. */
static bool refers_to(const struct column *c, const char *table)
{
	return strcmp(c->refers, table) == 0 ||
	       (!*c->refers && c->is_number && strcmp(table, "app") == 0 &&
		       strcmp(c->name, "app") == 0);
}

static int read_table(struct db *db, const char *name, struct table *ret)
{
	struct column *list autofree = NULL;
	int n = query_all(db, sizeof(*list), fill_column, (void **)&list,
		"SELECT t.name, ifnull((SELECT f.\"table\" FROM "
		"pragma_foreign_key_list(?1) f "
		"WHERE f.\"from\" = t.name LIMIT 1), ''), t.pk = 1 AND EXISTS (SELECT 1 "
		"FROM "
		"sqlite_master m WHERE m.name = ?1 AND m.sql LIKE '%AUTOINCREMENT%'), "
		"t.type = 'INTEGER' "
		"FROM pragma_table_info(?1) t ORDER BY t.cid",
		"s", name);

	if (n < 0 || n > (int)ARRAY_LEN(ret->columns))
		return n < 0 ? n : -E2BIG;
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	memcpy(ret->columns, list, (size_t)n * sizeof(*list));
	ret->n = n;
	return 0;
}

static int table_names(struct db *db, char (**ret)[64])
{
	return query_all(db, 64, fill_name, (void **)ret,
		"SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT "
		"LIKE "
		"'sqlite_%' ORDER BY name",
		"");
}

static const struct column *column_to(const struct table *t, const char *table)
{
	for (int i = 0; i < t->n; i++)
		if (refers_to(&t->columns[i], table))
			return &t->columns[i];
	return NULL;
}

/* ---- a copy for one app ---- */

static int keep_of(struct db *copy, const struct table *t, uint32_t app)
{
	const struct column *to_app = column_to(t, "app"),
			    *to_volume = column_to(t, "volume");
	autobuf sql = BUF_INIT;

	if (strcmp(t->name, "layer") == 0 || strcmp(t->name, "secret_key") == 0)
		return 0; /* layers are shared */
	buf_addf(&sql, "DELETE FROM \"%s\"", t->name);
	if (column_to(t, "member"))
		return run(copy, &sql); /* who may do what is no part of an app */
	if (strcmp(t->name, "app") == 0)
		buf_addf(&sql, " WHERE id <> %u", app);
	else if (to_app)
		buf_addf(&sql, " WHERE ifnull(\"%s\", 0) <> %u", to_app->name, app);
	else if (strcmp(t->name, "volume") == 0 || to_volume)
		buf_addf(&sql,
			" WHERE \"%s\" NOT IN (SELECT volume FROM volume_mount WHERE app "
			"= %u)",
			to_volume ? to_volume->name : "id", app);
	return run(copy, &sql);
}

int db_keep_only(struct db *copy, uint32_t app)
{
	char(*names)[64] autofree = NULL;
	struct table *t autofree = calloc(1, sizeof(*t));
	int r = t ? table_names(copy, &names) : -ENOMEM, n = r;

	if (r < 0 || (r = query_exec(copy, "PRAGMA foreign_keys=OFF", "")) < 0)
		return r;
	r = db_begin(copy);
	if (r < 0)
		return r;
	for (int i = 0; r >= 0 && i < n; i++) {
		r = read_table(copy, names[i], t);
		if (r >= 0)
			r = keep_of(copy, t, app);
	}
	/* Layers that others need have keys and texts of theirs. */
	if (r >= 0)
		r = query_exec(copy,
			"DELETE FROM layer WHERE app NOT IN (0, ?1) AND id NOT IN "
			"(SELECT "
			"j.value FROM image, json_each(image.layers) j)",
			"u", app);
	if (r >= 0)
		r = secret_rekey(copy);
	int ended = db_end(copy, r >= 0);
	if (r < 0 || ended < 0)
		return r < 0 ? r : ended;
	r = query_exec(copy, "VACUUM", "");
	return r < 0 ? r : 0;
}

/* ---- its layers ---- */

static json_t *below_of(struct db *copy, uint64_t layer)
{
	autoquery q = QUERY_INIT;
	json_t *below = NULL;

	/* In the first image that has it: what the others have below it has the same keys. */
	if (query_first(&q, copy,
		    "SELECT (SELECT json_group_array(value) FROM (SELECT k.value AS "
		    "value FROM "
		    "json_each(i.layers) k WHERE k.key < j.key ORDER BY k.key)) FROM "
		    "(SELECT "
		    "layers, created_us FROM image UNION ALL SELECT layers, created_us "
		    "FROM "
		    "tag) i, json_each(i.layers) j WHERE j.value = ?1 ORDER BY "
		    "i.created_us "
		    "LIMIT 1",
		    "U", layer) == 0)
		below = query_json(&q, 0);
	return below ? below : json_array();
}

static bool is_needed(const struct db_need *needs, int n, uint64_t layer)
{
	for (int i = 0; i < n; i++)
		if (needs[i].layer == layer)
			return true;
	return false;
}

static bool has_all(const json_t *list, const json_t *below)
{
	const json_t *want, *row;
	size_t i, k;

	json_array_foreach ((json_t *)(uintptr_t)below, i, want) {
		bool found = false;

		json_array_foreach ((json_t *)(uintptr_t)list, k, row)
			found |= json_equal(json_object_get(row, "id"), want);
		if (!found)
			return false;
	}
	return true;
}

/* Those whose below are listed go over to the list, until none is left that can. */
static void sort_layers(json_t *from, json_t *list)
{
	bool moved = true;

	while (moved) {
		moved = false;
		for (size_t i = 0; i < json_array_size(from); i++) {
			json_t *row = json_array_get(from, i);

			if (!has_all(list, json_object_get(row, "below")))
				continue;
			json_array_append(list, row);
			json_array_remove(from, i--);
			moved = true;
		}
	}
}

int db_backup_layers(struct db *copy, json_t **ret)
{
	struct db_layer *layers autofree = NULL;
	struct db_need *needs autofree = NULL;
	int n_needs = db_layer_needs(copy, &needs), n;

	if (n_needs < 0 || (n = db_layer_list(copy, &layers)) < 0)
		return n_needs < 0 ? n_needs : n;
	json_t *all = json_array();
	for (int i = 0; i < n; i++) {
		const struct db_layer *l = &layers[i];

		if (l->ready && (strcmp(l->kind, "stack") == 0 ||
					is_needed(needs, n_needs, l->id)))
			json_array_append_new(
				all, json_pack("{s:I, s:s, s:s, s:s, s:I, s:o}", "id",
					     (json_int_t)l->id, "kind", l->kind, "key",
					     l->key, "digest", l->digest, "size",
					     (json_int_t)l->size_bytes, "below",
					     below_of(copy, l->id)));
	}
	*ret = json_array();
	sort_layers(all, *ret);
	json_decref(all);
	return *ret ? 0 : -ENOMEM;
}

/* ---- begin ---- */

static const char *selected_apps(const struct db_restoring *r, char out[64])
{
	if (r->app)
		snprintf(out, 64, "id = %u", r->app);
	else
		snprintf(out, 64, "removing = 0");
	return out;
}

static int make_tables(struct db_restoring *r, const char *file)
{
	static const char *const sql[] = {
		"CREATE TEMP TABLE restore_offset (name TEXT PRIMARY KEY, off INTEGER "
		"NOT NULL)",
		"CREATE TEMP TABLE restore_layer (old INTEGER PRIMARY KEY, new INTEGER "
		"NOT NULL)",
		"CREATE TEMP TABLE restore_key (old TEXT PRIMARY KEY, new TEXT NOT NULL)",
		"CREATE TEMP TABLE restore_member (old INTEGER PRIMARY KEY, new INTEGER "
		"NOT NULL)",
		"CREATE TEMP TABLE restore_app (old INTEGER PRIMARY KEY, name TEXT NOT "
		"NULL)",
		"CREATE TEMP TABLE restore_volume (old INTEGER PRIMARY KEY, name TEXT "
		"NOT NULL)",
	};
	int result = query_exec(r->db, "ATTACH ? AS backup", "s", file);

	for (size_t i = 0; result >= 0 && i < ARRAY_LEN(sql); i++)
		result = query_exec(r->db, sql[i], "");
	return result;
}

struct volume {
	uint64_t old;
	char name[NAME_MAX_LEN + 1];
};

static void fill_volume(struct query *q, void *element)
{
	struct volume *v = element;

	v->old = query_u64(q, 0);
	query_text(q, 1, v->name, sizeof(v->name));
}

/* Another name has other volumes: they are called after it. */
static int rename_volumes(struct db_restoring *r)
{
	struct volume *list autofree = NULL;
	int n = query_all(r->db, sizeof(*list), fill_volume, (void **)&list,
		"SELECT old, name FROM restore_volume", "");
	int result = n;

	for (int i = 0; result >= 0 && i < n; i++) {
		char name[NAME_MAX_LEN + 1];

		name_joined(r->as, list[i].name, name);
		result = query_exec(r->db,
			"UPDATE restore_volume SET name = ? WHERE old = ?", "sU", name,
			list[i].old);
	}
	return result;
}

static int select_rows(struct db_restoring *r)
{
	char which[64];
	autobuf sql = BUF_INIT;
	int result;

	buf_addf(&sql, "INSERT INTO restore_app SELECT id, name FROM backup.app WHERE %s",
		selected_apps(r, which));
	if ((result = run(r->db, &sql)) < 0)
		return result;
	if (r->as && (result = query_exec(
			      r->db, "UPDATE restore_app SET name = ?", "s", r->as)) < 0)
		return result;
	result = query_exec(r->db,
		"INSERT INTO restore_volume SELECT id, name FROM backup.volume WHERE "
		"whole AND (?1 = 0 OR id IN (SELECT volume FROM backup.volume_mount "
		"WHERE app = ?1))",
		"u", r->app);
	if (result >= 0 && r->as)
		result = rename_volumes(r);
	if (result >= 0)
		result = query_exec(r->db,
			"INSERT INTO restore_key SELECT key_file, "
			"lower(hex(randomblob(16))) FROM "
			"backup.certificate WHERE app IN (SELECT old FROM restore_app)",
			"");
	return result;
}

/* Numbers are never given twice: those of the copy come after all that were given here. */
static int reserve(struct db_restoring *r)
{
	int result = query_exec(r->db,
		"INSERT INTO restore_offset SELECT b.name, ifnull((SELECT seq FROM "
		"main.sqlite_sequence m WHERE m.name = b.name), 0) FROM "
		"backup.sqlite_sequence b",
		"");

	if (result >= 0)
		result = query_exec(r->db,
			"INSERT INTO main.sqlite_sequence (name, seq) SELECT name, 0 "
			"FROM "
			"backup.sqlite_sequence WHERE name NOT IN (SELECT name FROM "
			"main.sqlite_sequence)",
			"");
	if (result >= 0)
		result = query_exec(r->db,
			"UPDATE main.sqlite_sequence SET seq = seq + (SELECT b.seq FROM "
			"backup.sqlite_sequence b WHERE b.name = "
			"main.sqlite_sequence.name) WHERE "
			"name IN (SELECT name FROM backup.sqlite_sequence) AND name NOT "
			"IN "
			"('instance', 'layer')",
			"");
	return result;
}

/* People are who they are called: one who is here already keeps the number and gets what the backup's has. */
static int map_members(struct db_restoring *r)
{
	return query_exec(r->db,
		"INSERT INTO restore_member SELECT b.id, ifnull((SELECT m.id FROM "
		"main.member m "
		"WHERE m.name = b.name), b.id + (SELECT off FROM restore_offset WHERE "
		"name = "
		"'member')) FROM backup.member b",
		"");
}

/* Rows of one query as {name of the column: value}. */
static json_t *rows_of(struct db *db, const char *sql)
{
	autoquery q = QUERY_INIT;
	json_t *list = json_array();

	if (query_open(&q, db, sql, "") < 0)
		return list;
	while (query_next(&q) == 1) {
		json_t *o = json_object();

		for (int i = 0; i < sqlite3_column_count(q.stmt); i++)
			json_object_set_new(o, sqlite3_column_name(q.stmt, i),
				sqlite3_column_type(q.stmt, i) == SQLITE_INTEGER
					? json_integer(sqlite3_column_int64(q.stmt, i))
					: json_string(query_str(&q, i)));
		json_array_append_new(list, o);
	}
	return list;
}

/* "a, b": their names. */
static void add_names(struct buf *b, const char *what, json_t *rows)
{
	json_t *row;
	size_t i;

	json_array_foreach (rows, i, row)
		buf_addf(b, "%s%s%s",
			i	 ? ", "
			: b->len ? "; "
				 : "",
			i ? "" : what, json_string_value(json_object_get(row, "name")));
	json_decref(rows);
}

static int check_names(struct db_restoring *r, struct err *e)
{
	autobuf taken = BUF_INIT;
	const bool all = r->app == 0;

	add_names(&taken, "apps ",
		rows_of(r->db,
			all ? "SELECT name FROM main.app"
			    : "SELECT name FROM restore_app WHERE name IN (SELECT name "
			      "FROM main.app)"));
	add_names(&taken, "volumes ",
		rows_of(r->db,
			all ? "SELECT name FROM main.volume WHERE whole"
			    : "SELECT name FROM restore_volume WHERE name IN (SELECT "
			      "name FROM main.volume)"));
	if (!taken.len)
		return 0;
	return all ? err_set(e, EEXIST,
			     "this host has apps or volumes already (%s): restore one "
			     "app with "
			     "--app APP, under another name with --as NAME, or all onto "
			     "an empty "
			     "host",
			     taken.data)
		   : err_set(e, EEXIST,
			     "there are already %s: another name is given with --as NAME",
			     taken.data);
}

static json_t *volumes(struct db_restoring *r)
{
	json_t *list = rows_of(r->db, "SELECT v.old, v.old + (SELECT off FROM "
				      "restore_offset WHERE name = 'volume') AS "
				      "id, v.name FROM restore_volume v ORDER BY v.old");
	json_t *rows = rows_of(r->db, "SELECT * FROM backup.volume WHERE id IN (SELECT "
				      "old FROM restore_volume) ORDER "
				      "BY id");
	json_t *o;
	size_t i;

	json_array_foreach (list, i, o)
		json_object_set(o, "row", json_array_get(rows, i));
	json_decref(rows);
	return list;
}

static json_t *plan(struct db_restoring *r)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "apps",
		rows_of(r->db,
			"SELECT a.old, a.old + (SELECT off FROM restore_offset WHERE "
			"name = 'app') AS id, a.name, (SELECT name FROM backup.app b "
			"WHERE b.id = a.old) AS was FROM restore_app a ORDER BY a.old"),
		"volumes", volumes(r), "keys",
		rows_of(r->db, "SELECT * FROM restore_key"), "taken",
		rows_of(r->db,
			"SELECT name FROM backup.domain WHERE app IN (SELECT old FROM "
			"restore_app) AND name IN (SELECT name FROM main.domain WHERE "
			"app <> 0)"));
}

int db_restore_begin(
	struct db_restoring *r, const char *file, json_t **ret, struct err *e)
{
	int result = make_tables(r, file);

	if (result >= 0)
		result = select_rows(r);
	if (result < 0)
		return err_sys(e, -result, "read the backup's database");
	result = check_names(r, e);
	if (result < 0)
		return result;
	result = reserve(r);
	if (result >= 0)
		result = map_members(r);
	if (result < 0)
		return err_sys(e, -result, "reserve numbers");
	*ret = plan(r);
	return *ret ? 0 : err_set(e, ENOMEM, "out of memory");
}

int db_restore_layer(struct db_restoring *r, uint64_t old, uint64_t id)
{
	int n = query_exec(r->db, "INSERT OR REPLACE INTO restore_layer VALUES (?, ?)",
		"UU", old, id);

	return n < 0 ? n : 0;
}

/* ---- commit ---- */

/* Layers that were no part of the backup become 0: none has that number. */
#define LAYERS_SQL                                                                       \
	"(SELECT json_group_array(new) FROM (SELECT ifnull(m.new, 0) AS new FROM "       \
	"json_each(b.layers) j LEFT JOIN restore_layer m ON m.old = j.value ORDER BY "   \
	"j.key))"

/* What a value of the copy becomes here, where it is not only a number to be changed. */
static const struct rule {
	const char *table, *column, *sql;
} rules[] = {
	{"app", "name", "(SELECT name FROM restore_app WHERE old = b.id)"},
	{"app", "rename_to", "''"},
	{"app", "removing", "0"},
	{"app", "asleep", "0"}, /* its instances are not here: it is started */
	{"app", "asleep_us", "0"},
	{"app", "asleep_why", "''"},
	{"volume", "name", "(SELECT name FROM restore_volume WHERE old = b.id)"},
	{"image", "layers", LAYERS_SQL},
	{"tag", "layers", LAYERS_SQL},
	{"certificate", "key_file",
		"(SELECT new FROM restore_key WHERE old = b.key_file)"},
	{"volume_snapshots", "undo", "0"},
	{"volume_mount", "pending", "0"},
	{"release", "status",
		"CASE b.status WHEN 'pending' THEN 'failed' ELSE b.status END"},
	{"build", "status",
		"CASE b.status WHEN 'running' THEN 'failed' ELSE b.status END"},
	{"cron_run", "status",
		"CASE b.status WHEN 'running' THEN 'lost' ELSE b.status END"},
	{"cron_run", "instance", "0"},
	{"event", "of_app",
		"(SELECT old + (SELECT off FROM restore_offset WHERE name = 'app') FROM "
		"restore_app WHERE old = b.of_app)"},
};

static const char *rule_of(const char *table, const char *column)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (strcmp(rules[i].table, table) == 0 &&
			strcmp(rules[i].column, column) == 0)
			return rules[i].sql;
	return NULL;
}

static void add_number(struct buf *sql, const char *column, const char *table)
{
	if (strcmp(table, "layer") == 0)
		buf_addf(sql,
			"ifnull((SELECT new FROM restore_layer WHERE old = b.\"%s\"), 0)",
			column);
	else if (strcmp(table, "member") == 0)
		buf_addf(sql, "(SELECT new FROM restore_member WHERE old = b.\"%s\")",
			column);
	else
		buf_addf(sql,
			"CASE WHEN b.\"%s\" = 0 THEN 0 ELSE b.\"%s\" + (SELECT off FROM "
			"restore_offset WHERE name = '%s') END",
			column, column, table);
}

static void add_value(struct buf *sql, const struct table *t, const struct column *c)
{
	const char *rule = rule_of(t->name, c->name);

	if (rule)
		buf_adds(sql, rule);
	else if (c->is_id)
		add_number(sql, c->name, t->name);
	else if (*c->refers)
		add_number(sql, c->name, c->refers);
	else if (refers_to(c, "app"))
		add_number(sql, c->name, "app");
	else
		buf_addf(sql, "b.\"%s\"", c->name);
}

/* A row belongs to what its first such column names; others may name nothing. */
static void add_owner(struct buf *sql, const struct db_restoring *r,
	const struct column *c, const char *what, bool first)
{
	buf_addf(sql, " AND (b.\"%s\" IN (SELECT old FROM restore_%s)", c->name, what);
	if (!first || !r->app) /* rows of nobody, app 0, come with all of them */
		buf_addf(sql, " OR ifnull(b.\"%s\", 0) = 0", c->name);
	buf_adds(sql, ")");
}

/* Of an app, but one of the host's: what is here already stays. */
static bool is_name(const char *table)
{
	return strcmp(table, "domain") == 0 || strcmp(table, "former_name") == 0;
}

/* What was only being made at the time of the backup. */
static void add_begun(struct buf *sql, const struct db_restoring *r, const char *table)
{
	if (strcmp(table, "volume_mount") == 0)
		buf_addf(sql, " AND b.pending <> %d", DB_COMES);
	/* An app that is asked for by name is wanted, though it was the half of a clone (control/deploy/clone.c). */
	if (strcmp(table, "setting") == 0 && r->app)
		buf_adds(sql, " AND NOT (b.topic = 'clone' AND b.key = 'begun')");
}

/* Which of its rows come. false: none. */
static bool add_where(
	struct buf *sql, const struct db_restoring *r, const struct table *t)
{
	bool any = strcmp(t->name, "app") == 0 || strcmp(t->name, "volume") == 0;

	/* With one app come no people; custom hostnames and former names lead to the app that a copy is of. */
	if ((r->app && column_to(t, "member")) || (r->as && is_name(t->name)))
		return false;
	buf_adds(sql, " WHERE 1");
	if (any)
		buf_addf(sql, " AND b.id IN (SELECT old FROM restore_%s)", t->name);
	for (int i = 0; i < t->n; i++) {
		const struct column *c = &t->columns[i];
		const char *what = refers_to(c, "app")	    ? "app"
				   : refers_to(c, "volume") ? "volume"
							    : NULL;

		if (what)
			add_owner(sql, r, c, what, !any);
		any |= what != NULL;
	}
	add_begun(sql, r, t->name);
	return any || !r->app;
}

static void add_select(struct buf *sql, const struct table *t)
{
	buf_adds(sql, "SELECT ");
	for (int i = 0; i < t->n; i++) {
		if (i)
			buf_adds(sql, ", ");
		add_value(sql, t, &t->columns[i]);
	}
	buf_addf(sql, " FROM backup.\"%s\" b", t->name);
}

static int count(struct db *db, const char *sql, json_int_t *ret)
{
	autoquery q = QUERY_INIT;
	int r = query_first(&q, db, sql, "");

	*ret = r == 0 ? (json_int_t)query_u64(&q, 0) : 0;
	return r;
}

/* Rows of the copy that are not here now as they should be. */
static int compare(
	struct db_restoring *r, const struct table *t, const char *where, json_int_t *ret)
{
	autobuf sql = BUF_INIT;

	buf_adds(&sql, "SELECT count(*) FROM (");
	add_select(&sql, t);
	buf_addf(&sql, "%s EXCEPT SELECT * FROM main.\"%s\")", where, t->name);
	return sql.failed ? -ENOMEM : count(r->db, sql.data, ret);
}

struct counts {
	json_int_t rows, differ, kept;
	json_t *tables;
};

static int copy_table(struct db_restoring *r, const struct table *t, struct counts *n)
{
	autobuf sql = BUF_INIT, where = BUF_INIT;
	json_int_t differ = 0;

	if (!add_where(&where, r, t))
		return 0;
	buf_addf(&sql, "INSERT OR IGNORE INTO main.\"%s\" ", t->name);
	add_select(&sql, t);
	buf_adds(&sql, where.data);
	int rows = run(r->db, &sql);
	int result = rows < 0 ? rows : compare(r, t, where.data, &differ);
	if (result < 0)
		return result;
	/* Of what is no app's, a row that is here already stays: a setting, a key, a role, a hostname or former name that another app has. */
	bool own = strcmp(t->name, "app") == 0 || strcmp(t->name, "volume") == 0 ||
		   (column_to(t, "app") && !column_to(t, "member") && !is_name(t->name) &&
			   strcmp(t->name, "setting") != 0);
	*(own ? &n->differ : &n->kept) += differ;
	n->rows += rows;
	if (rows)
		json_object_set_new(n->tables, t->name, json_integer(rows));
	return 0;
}

static int copy_tables(struct db_restoring *r, struct counts *n)
{
	char(*names)[64] autofree = NULL;
	struct table *t autofree = calloc(1, sizeof(*t));
	int result = t ? table_names(r->db, &names) : -ENOMEM, n_names = result;

	if (result >= 0) /* until the end of the transaction: tables come in any order */
		result = query_exec(r->db, "PRAGMA defer_foreign_keys=ON", "");
	for (int i = 0; result >= 0 && i < n_names; i++) {
		if (stays(names[i]))
			continue;
		result = read_table(r->db, names[i], t);
		if (result >= 0)
			result = copy_table(r, t, n);
	}
	return result < 0 ? result : 0;
}

/* ---- secrets ---- */

void db_key(const struct db *db, uint8_t out[DB_KEY_SIZE])
{
	memcpy(out, db->key, DB_KEY_SIZE);
}

#define NEW_APPS "(SELECT old + ?1 FROM restore_app)"

/* ?1: what app numbers became larger by. The value, its place there and here, its keys here. */
static const struct {
	const char *select, *update;
} sealed[] = {
	{"SELECT value, 'config/' || (app - ?1) || '/' || key, 'config/' || app || '/' "
	 "|| key, "
	 "app, key FROM main.config WHERE app IN " NEW_APPS,
		"UPDATE config SET value=? WHERE app=? AND key=?"},
	{"SELECT config, 'release/' || (app - ?1) || '/' || version, 'release/' || app "
	 "|| '/' || "
	 "version, app, version FROM main.release WHERE app IN " NEW_APPS,
		"UPDATE release SET config=? WHERE app=? AND version=?"},
	{"SELECT password, 'login/' || host, 'login/' || host, host, host FROM "
	 "main.login l WHERE "
	 "?1 >= 0 AND password = (SELECT password FROM backup.login b WHERE b.host = "
	 "l.host)",
		"UPDATE login SET password=? WHERE host=? AND host=?"},
	{"SELECT url, 'drain/' || (id - off), 'drain/' || id, id, id FROM main.drain, "
	 "(SELECT off "
	 "FROM restore_offset WHERE name = 'drain') WHERE ?1 >= 0 AND id - off IN "
	 "(SELECT id FROM "
	 "backup.drain) AND (app IS NULL OR app IN " NEW_APPS ")",
		"UPDATE drain SET url=? WHERE id=? AND id=?"},
	{"SELECT target, 'webhook/' || (id - off), 'webhook/' || id, id, id FROM "
	 "main.webhook, (SELECT off FROM restore_offset WHERE name = 'webhook') WHERE "
	 "?1 >= 0 AND id - off IN (SELECT id FROM backup.webhook) AND (app IS NULL OR "
	 "app IN " NEW_APPS ")",
		"UPDATE webhook SET target=? WHERE id=? AND id=?"},
};

struct sealed_row {
	struct buf value;
	struct secret_place there, here;
	char key[2][300];
};

static void take_sealed(struct query *q, void *element)
{
	struct sealed_row *row = element;

	*row = (struct sealed_row){0};
	buf_add(&row->value, sqlite3_column_blob(q->stmt, 0),
		(size_t)sqlite3_column_bytes(q->stmt, 0));
	query_text(q, 1, row->there.text, sizeof(row->there.text));
	query_text(q, 2, row->here.text, sizeof(row->here.text));
	query_text(q, 3, row->key[0], sizeof(row->key[0]));
	query_text(q, 4, row->key[1], sizeof(row->key[1]));
}

/* With this host's key, for the place that the row has now. */
static int seal_again(struct db_restoring *r, const char *update, struct sealed_row *row)
{
	autobuf plain = BUF_INIT, out = BUF_INIT;
	int result = secret_open(
		r->copy, &row->there, row->value.data, row->value.len, &plain);

	if (result == 0)
		result = secret_seal(r->db, &row->here, plain.data, plain.len, &out);
	if (plain.data)
		explicit_bzero(plain.data, plain.cap);
	if (result == 0)
		result = query_exec(r->db, update, "bss", (const void *)out.data, out.len,
			row->key[0], row->key[1]);
	return result < 0 ? result : 0;
}

static uint64_t app_offset(struct db_restoring *r)
{
	json_int_t off = 0;

	count(r->db, "SELECT off FROM restore_offset WHERE name = 'app'", &off);
	return (uint64_t)off;
}

static int seal_all_again(struct db_restoring *r)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < ARRAY_LEN(sealed); i++) {
		struct sealed_row *rows autofree = NULL;
		int n = query_all(r->db, sizeof(*rows), take_sealed, (void **)&rows,
			sealed[i].select, "U", app_offset(r));

		result = n < 0 ? n : 0;
		for (int k = 0; k < n; k++) {
			if (result == 0)
				result = seal_again(r, sealed[i].update, &rows[k]);
			buf_free(&rows[k].value);
		}
	}
	return result;
}

int db_restore_volume(struct db_restoring *r, uint64_t id)
{
	int n = query_exec(r->db,
		"INSERT OR IGNORE INTO volume(id, name, created_us, whole) VALUES(?1, "
		"'.restore-' || ?1, 0, 0)",
		"U", id);

	return n < 0 ? n : 0;
}

static int keep_quiet(struct db *db)
{
	static const char *const sql[] = {"DELETE FROM acme", "DELETE FROM drain",
		"DELETE FROM webhook",
		"UPDATE formation SET quantity = 0 WHERE type <> 'web'",
		"DELETE FROM setting WHERE topic = 'cron' AND key = 'enabled'",
		"INSERT INTO setting(app, topic, key, value) VALUES(0, 'cron', "
		"'enabled', 'off')"};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(sql); i++)
		r = query_exec(db, sql[i], "");
	return r < 0 ? r : 0;
}

int db_restore_commit(struct db_restoring *r, json_t **ret, struct err *e)
{
	struct counts n = {.tables = json_object()};
	int result = db_begin(r->db);

	if (result < 0) {
		json_decref(n.tables);
		return err_sys(e, -result, "begin");
	}
	result = query_exec(r->db,
		"DELETE FROM main.volume WHERE NOT whole AND id IN (SELECT old + (SELECT "
		"off "
		"FROM restore_offset WHERE name = 'volume') FROM restore_volume)",
		"");
	if (result >= 0)
		result = copy_tables(r, &n);
	if (result == 0 && n.differ)
		result = -EBADMSG;
	if (result == 0)
		result = seal_all_again(r);
	if (result == 0)
		result = db_config_settle(r->db);
	if (result == 0 && r->drill)
		result = keep_quiet(r->db);
	int ended = db_end(r->db, result == 0);
	if (result == 0)
		result = ended;
	*ret = json_pack("{s:I, s:I, s:I, s:o}", "rows", n.rows, "differ", n.differ,
		"kept", n.kept, "tables", n.tables);
	return result < 0
		       ? err_sys(e, -result, "write the rows of the backup (%lld differ)",
				 (long long)n.differ)
		       : 0;
}

void db_restore_end(struct db_restoring *r)
{
	static const char *const sql[] = {"DROP TABLE IF EXISTS temp.restore_offset",
		"DROP TABLE IF EXISTS temp.restore_member",
		"DROP TABLE IF EXISTS temp.restore_layer",
		"DROP TABLE IF EXISTS temp.restore_key",
		"DROP TABLE IF EXISTS temp.restore_app",
		"DROP TABLE IF EXISTS temp.restore_volume"};
	autoquery q = QUERY_INIT;
	bool attached =
		query_first(&q, r->db,
			"SELECT 1 FROM pragma_database_list WHERE name = 'backup'",
			"") == 0;

	query_close(&q);
	for (size_t i = 0; i < ARRAY_LEN(sql); i++)
		query_exec(r->db, sql[i], "");
	if (attached)
		query_exec(r->db, "DETACH backup", "");
}

/* The database: each noun's rules, and that a reopened file holds what was written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "db/fixture.h"
#include <errno.h>
#include <string.h>

static uint32_t make_app(struct db *db, const char *name)
{
	uint32_t id = 0;

	assert_int_equal(db_app_create(db, name, &id), 0);
	return id;
}

static uint32_t make_built_release(
	struct db *db, uint32_t app, uint64_t layer, uint64_t stage)
{
	struct db_image i = {.app = app,
		.layers = json_pack("[I]", (json_int_t)layer),
		.config = json_pack("{s:{s:[I]}}", "Berth", "kept", (json_int_t)stage)};
	struct db_release r = {
		.app = app, .config = json_pack("{s:s}", "A", "1"), .actor = "root"};

	snprintf(i.commit, sizeof(i.commit), "%040d", 7);
	assert_int_equal(db_image_create(db, &i), 0);
	r.image = i.id;
	assert_int_equal(db_release_create(db, &r), 0);
	db_image_clear(&i);
	db_release_clear(&r);
	return r.version;
}

static uint32_t make_release(struct db *db, uint32_t app, uint64_t layer)
{
	return make_built_release(db, app, layer, layer);
}

static void a_reopened_database_holds_what_was_written(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	struct db_app a;

	uint32_t id = make_app(f->db, "kept");
	db_close(f->db);
	f->db = NULL;
	assert_int_equal(db_open(f->folder, fixture_key, &f->db, &e), 0);
	assert_int_equal(db_app_by_name(f->db, "kept", &a), 0);
	assert_int_equal(a.id, id);
}

/* Each name of a key is a member that may do what every key might. */
static void keys_became_members(struct db *db)
{
	struct db_member *m autofree = NULL;
	struct db_grant *g autofree = NULL;
	struct db_key k;

	assert_int_equal(db_member_list(db, &m), 2);
	assert_string_equal(m[0].name, "ann");
	assert_int_equal(m[0].keys, 2);
	assert_int_equal(m[0].created_us, 4);
	assert_int_equal(db_grant_list(db, 0, &g), 2);
	assert_string_equal(g[1].member_name, "bob");
	assert_int_equal(g[1].app, 0);
	assert_int_equal(g[1].role, ROLE_ADMIN);
	assert_int_equal(db_key_get(db, 8, &k), 0);
	assert_string_equal(k.name, "ann");
	assert_int_equal(k.member, m[0].id);
}

/* What an earlier berth wrote is brought up to date without a loss. */
static void a_database_of_an_earlier_version_is_migrated(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	struct db_app a;

	static const char *const back[] = {"DROP INDEX domain_app",
		"DROP TABLE acme_order", "DROP TABLE acme", "DROP TABLE certificate",
		"DROP TABLE network_address", "DROP TABLE network_name",
		"DROP TABLE network_rule", "ALTER TABLE app DROP COLUMN asleep",
		"ALTER TABLE app DROP COLUMN asleep_us",
		"ALTER TABLE app DROP COLUMN asleep_why",
		"ALTER TABLE app DROP COLUMN canary_version",
		"ALTER TABLE app DROP COLUMN canary_percent",
		"ALTER TABLE app DROP COLUMN canary_key", "DROP TABLE tag",
		"ALTER TABLE image DROP COLUMN config",
		"ALTER TABLE layer DROP COLUMN digest",
		"ALTER TABLE build DROP COLUMN what", "DROP TABLE login",
		"DROP TABLE snapshot", "DROP TABLE volume_snapshots",
		"DROP TABLE secret_key", "DROP TABLE drain",
		"ALTER TABLE layer DROP COLUMN blob",
		"ALTER TABLE layer DROP COLUMN blob_size", "DROP INDEX event_app",
		"DROP INDEX event_time", "ALTER TABLE event DROP COLUMN detail",
		"DROP INDEX event_of", "ALTER TABLE event DROP COLUMN of_app",
		"ALTER TABLE volume DROP COLUMN whole",
		"ALTER TABLE volume_mount DROP COLUMN pending",
		"ALTER TABLE app DROP COLUMN config_pending",
		"INSERT INTO ssh_key VALUES(7, 'ann', 't', 'A', 'f', 5)",
		"INSERT INTO ssh_key VALUES(8, 'ann', 't', 'B', 'f', 4)",
		"INSERT INTO ssh_key VALUES(9, 'bob', 't', 'C', 'f', 6)",
		"ALTER TABLE volume DROP COLUMN size_bytes",
		"ALTER TABLE volume_mount DROP COLUMN type", "PRAGMA user_version=3"};

	make_app(f->db, "old");
	undo_members(f->db);
	undo_later(f->db);
	for (size_t i = 0; i < ARRAY_LEN(back); i++)
		assert_true(query_exec(f->db, back[i], "") >= 0);
	db_close(f->db);
	f->db = NULL;
	assert_int_equal(db_open(f->folder, fixture_key, &f->db, &e), 0);
	assert_int_equal(db_app_by_name(f->db, "old", &a), 0);
	assert_int_equal(a.asleep, DB_AWAKE);
	assert_int_equal(db_app_set_asleep(f->db, a.id, DB_ASLEEP_FROZEN, "idle"), 0);
	assert_int_equal(db_app_by_id(f->db, a.id, &a), 0);
	assert_int_equal(a.asleep, DB_ASLEEP_FROZEN);
	assert_true(a.asleep_us > a.created_us);
	assert_string_equal(a.asleep_why, "idle");
	assert_int_equal(db_app_set_asleep(f->db, 999, DB_AWAKE, ""), -ENOENT);
	keys_became_members(f->db);
}

/* Whether the kernel has it on the disk no test of one process can see: that it finds the log. */
static void what_is_committed_can_be_settled(void **state)
{
	struct fixture *f = *state;
	char path[128];

	make_app(f->db, "kept");
	assert_int_equal(db_settle(f->db), 0);
	snprintf(path, sizeof(path), "%s/berth.db-wal", f->folder);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(db_settle(f->db), -ENOENT);
}

static void a_newer_schema_is_refused(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	struct db *other = NULL;

	assert_true(query_exec(f->db, "PRAGMA user_version=99", "") >= 0);
	assert_int_equal(db_open(f->folder, fixture_key, &other, &e), -EPROTO);
	assert_non_null(strstr(e.text, "newer berth"));
	assert_null(other);
}

static void a_file_that_is_no_database_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[128];
	struct err e = {0};
	struct db *other = NULL;

	snprintf(path, sizeof(path), "%s/other", f->folder);
	assert_int_equal(io_mkdirs(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/other/berth.db", f->folder);
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	for (int i = 0; i < 1000; i++)
		fputs("not a database", file);
	fclose(file);
	snprintf(path, sizeof(path), "%s/other", f->folder);
	assert_true(db_open(path, fixture_key, &other, &e) < 0);
	assert_true(e.text[0] != '\0');
}

static void app_names_are_unique_and_ids_never_reused(void **state)
{
	struct fixture *f = *state;
	struct db_app *list = NULL, a;
	uint32_t id;

	uint32_t first = make_app(f->db, "b");
	make_app(f->db, "a");
	assert_int_equal(db_app_create(f->db, "b", &id), -EEXIST);
	assert_int_equal(db_app_list(f->db, &list), 2);
	assert_string_equal(list[0].name, "a");
	free(list);
	assert_int_equal(db_app_delete(f->db, first), 0);
	assert_int_equal(db_app_delete(f->db, first), -ENOENT);
	assert_int_equal(db_app_by_id(f->db, first, &a), -ENOENT);
	assert_true(make_app(f->db, "b") > first);
	assert_int_equal(db_app_set_branch(f->db, 99, "main"), -ENOENT);
}

static void config_keeps_any_bytes(void **state)
{
	struct fixture *f = *state;
	uint32_t app = make_app(f->db, "a");
	json_t *in = json_pack("{s:s, s:s, s:{s:s}}", "PLAIN", "x\ny", "EMPTY", "", "RAW",
		"base64", "/wD+");
	json_t *out = NULL;

	assert_int_equal(db_config_put(f->db, app, in), 0);
	assert_int_equal(db_config_get(f->db, app, &out), 0);
	assert_true(json_equal(in, out));
	json_decref(out);
	json_t *bad = json_pack("{s:s, s:i}", "B", "1", "A", 5);
	assert_int_equal(db_config_put(f->db, app, bad), -EINVAL);
	assert_int_equal(db_config_get(f->db, app, &out), 0);
	assert_true(json_equal(in, out)); /* the refused one left nothing behind */
	json_decref(out);
	json_decref(in);
	json_decref(bad);
}

static void releases_are_numbered_and_one_is_live(void **state)
{
	struct fixture *f = *state;
	uint32_t app = make_app(f->db, "a"), previous = 0;
	struct db_release r, *list = NULL;
	struct db_app a;

	assert_int_equal(db_release_get(f->db, app, 0, &r), -ENOENT);
	for (uint32_t v = 1; v <= 3; v++) {
		assert_int_equal(make_release(f->db, app, v), v);
		if (v == 2)
			assert_int_equal(db_release_fail(f->db, app, v, "it exits"), 0);
		else
			assert_int_equal(db_release_switch(f->db, app, v), 0);
	}
	assert_int_equal(db_app_by_id(f->db, app, &a), 0);
	assert_int_equal(a.live_version, 3);
	assert_int_equal(db_release_previous(f->db, app, &previous), 0);
	assert_int_equal(previous, 1);
	assert_int_equal(db_release_get(f->db, app, 0, &r), 0);
	assert_int_equal(r.version, 3);
	assert_string_equal(r.status, "live");
	assert_string_equal(json_string_value(json_object_get(r.config, "A")), "1");
	db_release_clear(&r);
	assert_int_equal(db_release_list(f->db, app, 2, &list), 2);
	assert_int_equal(list[0].version, 3);
	assert_string_equal(list[1].status, "failed");
	assert_string_equal(list[1].error, "it exits");
	db_release_clear(&list[0]);
	db_release_clear(&list[1]);
	free(list);
	assert_int_equal(db_release_switch(f->db, app, 9), -ENOENT);
	assert_int_equal(db_release_get(f->db, app, 0, &r),
		0); /* the refused switch changed nothing */
	assert_int_equal(r.version, 3);
	db_release_clear(&r);
	assert_int_equal(db_app_delete(f->db, app), 0);
}

static void interrupted_releases_fail_at_start_up(void **state)
{
	struct fixture *f = *state;
	uint32_t app = make_app(f->db, "a");
	struct db_release r;

	make_release(f->db, app, 1);
	assert_int_equal(db_release_fail_pending(f->db, "berth was interrupted"), 1);
	assert_int_equal(db_release_get(f->db, app, 1, &r), 0);
	assert_string_equal(r.status, "failed");
	db_release_clear(&r);
	assert_int_equal(make_release(f->db, app, 1), 2); /* its number is not reused */
}

static void one_layer_a_key_wins(void **state)
{
	struct fixture *f = *state;
	uint64_t a = 0, b = 0, found = 0;
	json_t *meta = NULL, *plan = json_pack("{s:s}", "pack", "node");

	assert_int_equal(db_layer_begin(f->db, "deps", "k", 0, &a), 0);
	assert_int_equal(db_layer_begin(f->db, "deps", "k", 0, &b), 0);
	assert_int_equal(db_layer_find(f->db, "deps", "k", &found, NULL), -ENOENT);
	assert_int_equal(db_layer_ready(f->db, a, plan, 42), 0);
	assert_int_equal(db_layer_ready(f->db, b, NULL, 42), -EEXIST);
	assert_int_equal(db_layer_find(f->db, "deps", "k", &found, &meta), 0);
	assert_int_equal(found, a);
	assert_true(json_equal(meta, plan));
	json_decref(meta);
	json_decref(plan);
}

static void only_layers_that_no_kept_release_has_are_unused(void **state)
{
	struct fixture *f = *state;
	uint32_t app = make_app(f->db, "a");
	uint64_t used = 0, idle = 0, stack = 0, *ids = NULL;

	assert_int_equal(db_layer_begin(f->db, "source", "1", app, &used), 0);
	assert_int_equal(db_layer_begin(f->db, "source", "2", app, &idle), 0);
	assert_int_equal(db_layer_begin(f->db, "stack", "3", 0, &stack), 0);
	assert_int_equal(db_layer_ready(f->db, used, NULL, 1), 0);
	assert_int_equal(db_layer_ready(f->db, idle, NULL, 1), 0);
	assert_int_equal(db_layer_ready(f->db, stack, NULL, 1), 0);
	make_release(f->db, app, used);
	assert_int_equal(db_layer_unused(f->db, DB_KEPT_USUAL, 1, &ids),
		0); /* all are younger than that */
	free(ids);
	ids = NULL;
	assert_int_equal(
		db_layer_unused(f->db, DB_KEPT_USUAL, UINT64_C(1) << 62, &ids), 1);
	assert_int_equal(ids[0], idle);
	free(ids);
}

/* A layer that lies on the others, oldest last. */
static uint64_t make_upon(struct db *db, const char *key, json_t *below)
{
	json_t *meta = json_pack("{s:o}", "below", below);
	uint64_t id = 0;

	assert_int_equal(db_layer_begin(db, "source", key, 1, &id), 0);
	assert_int_equal(db_layer_ready(db, id, meta, 1), 0);
	json_decref(meta);
	return id;
}

static void layers_below_a_used_one_are_used(void **state)
{
	struct fixture *f = *state;
	uint64_t now, found, *ids = NULL;
	uint64_t low = make_upon(f->db, "1", json_array());
	uint64_t middle = make_upon(f->db, "2", json_pack("[I]", (json_int_t)low));
	uint64_t top = make_upon(
		f->db, "3", json_pack("[I, I]", (json_int_t)low, (json_int_t)middle));

	/* what may lie on others is first to go */
	assert_int_equal(
		db_layer_unused(f->db, DB_KEPT_USUAL, UINT64_C(1) << 62, &ids), 3);
	assert_int_equal(ids[0], top);
	assert_int_equal(ids[2], low);
	free(ids);
	usleep(2000);
	now = io_now_us();
	usleep(2000);
	assert_int_equal(db_layer_find(f->db, "source", "2", &found, NULL), 0);
	assert_int_equal(db_layer_unused(f->db, DB_KEPT_USUAL, now, &ids), 1);
	assert_int_equal(ids[0], top);
	free(ids);
	assert_int_equal(db_layer_delete_unused(f->db, low, now), -ENOENT);
	assert_int_equal(db_layer_delete_lost(f->db, middle), 0);
	assert_int_equal(db_layer_find(f->db, "source", "3", &found, NULL), -ENOENT);
	assert_int_equal(db_layer_find(f->db, "source", "1", &found, NULL), 0);
	assert_int_equal(db_layer_delete_lost(f->db, middle), -ENOENT);
}

static void the_live_release_keeps_what_its_next_build_will_ask_for(void **state)
{
	struct fixture *f = *state;
	uint32_t app = make_app(f->db, "a");
	uint64_t used = 0, stage = 0, *ids = NULL;

	assert_int_equal(db_layer_begin(f->db, "docker", "1", app, &used), 0);
	assert_int_equal(db_layer_begin(f->db, "docker", "2", app, &stage), 0);
	assert_int_equal(db_layer_ready(f->db, used, NULL, 1), 0);
	assert_int_equal(db_layer_ready(f->db, stage, NULL, 1), 0);
	uint32_t first = make_built_release(f->db, app, used, stage);
	assert_int_equal(
		db_layer_unused(f->db, DB_KEPT_USUAL, UINT64_C(1) << 62, &ids), 1);
	assert_int_equal(ids[0], stage);
	free(ids);
	ids = NULL;
	assert_int_equal(db_release_switch(f->db, app, first), 0);
	assert_int_equal(
		db_layer_unused(f->db, DB_KEPT_USUAL, UINT64_C(1) << 62, &ids), 0);
	free(ids);
	ids = NULL;
	assert_int_equal(
		db_release_switch(f->db, app, make_release(f->db, app, used)), 0);
	assert_int_equal(
		db_layer_unused(f->db, DB_KEPT_USUAL, UINT64_C(1) << 62, &ids), 1);
	free(ids);
}

static void drains_are_of_an_app_or_of_all_and_go_with_it(void **state)
{
	struct fixture *f = *state;
	uint32_t app = make_app(f->db, "blog");
	struct db_drain d = {.app = app, .flags = DRAIN_GZIP}, *list autofree = NULL;
	uint64_t first, other;

	snprintf(d.url, sizeof(d.url), "syslog+tcp://a.test:514");
	assert_int_equal(db_drain_add(f->db, &d, "", &first), 0);
	assert_int_equal(db_drain_add(f->db, &d, "", &other), -EEXIST);
	d.app = 0;
	assert_int_equal(db_drain_add(f->db, &d, "PEM", &other), 0);
	assert_int_equal(db_drain_add(f->db, &d, "", &other), -EEXIST);
	assert_int_equal(db_drain_list(f->db, &list), 2);
	assert_int_equal(list[0].app, app);
	assert_int_equal(list[0].flags, DRAIN_GZIP);
	assert_string_equal(list[0].app_name, "blog");
	assert_int_equal(list[1].app, 0);
	assert_true(list[1].has_ca && !list[0].has_ca);
	char *ca autofree = db_drain_ca(f->db, list[1].id);
	assert_string_equal(ca, "PEM");
	assert_int_equal(db_drain_remove(f->db, list[1].id), 0);
	assert_int_equal(db_drain_remove(f->db, list[1].id), -ENOENT);
	assert_int_equal(db_app_delete(f->db, app), 0);
	free(list);
	list = NULL;
	assert_int_equal(db_drain_list(f->db, &list), 0);
}

static void a_login_is_the_last_one_of_its_host(void **state)
{
	struct fixture *f = *state;
	struct db_login l = {0}, *list autofree = NULL;

	assert_int_equal(db_login_get(f->db, "a.test", &l), -ENOENT);
	assert_int_equal(db_login_put(f->db, "b.test:5000", "bob", "2"), 0);
	assert_int_equal(db_login_put(f->db, "a.test", "ann", "1"), 0);
	assert_int_equal(db_login_put(f->db, "a.test", "eve", "3"), 0);
	assert_int_equal(db_login_get(f->db, "a.test", &l), 0);
	assert_string_equal(l.user, "eve");
	assert_string_equal(l.password, "3");
	db_login_clear(&l);
	assert_int_equal(db_login_list(f->db, &list), 2);
	assert_string_equal(list[1].host, "b.test:5000");
	assert_null(list[1].password);
	assert_int_equal(db_login_remove(f->db, "a.test"), 0);
	assert_int_equal(db_login_remove(f->db, "a.test"), -ENOENT);
}

static int n_unused(struct db *db, enum db_kept kept)
{
	uint64_t *ids = NULL;
	int n = db_layer_unused(db, kept, UINT64_C(1) << 62, &ids);

	free(ids);
	return n;
}

static void how_many_releases_are_kept_can_be_set(void **state)
{
	struct fixture *f = *state;
	uint32_t app = make_app(f->db, "a"), other = make_app(f->db, "b");
	struct db_need *needs = NULL;
	uint64_t id, last = 0, kept = 0;
	char key[8];

	for (int v = 1; v <= 12; v++) {
		snprintf(key, sizeof(key), "%d", v);
		assert_int_equal(db_layer_begin(f->db, "source", key, 0, &id), 0);
		assert_int_equal(db_layer_ready(f->db, id, NULL, 100), 0);
		last = make_release(f->db, app, id);
	}
	assert_int_equal(db_release_switch(f->db, app, (uint32_t)last), 0);
	assert_int_equal(n_unused(f->db, DB_KEPT_USUAL), 2);
	assert_int_equal(n_unused(f->db, DB_KEPT_LEAST), 2); /* nobody asked for less */
	assert_int_equal(db_setting_set(f->db, 0, "disk", "releases-min", "3"), 0);
	assert_int_equal(n_unused(f->db, DB_KEPT_USUAL), 2);
	assert_int_equal(n_unused(f->db, DB_KEPT_LEAST), 9);
	assert_int_equal(db_setting_set(f->db, app, "disk", "releases-min", "5"), 0);
	assert_int_equal(n_unused(f->db, DB_KEPT_LEAST), 7);
	assert_int_equal(db_setting_set(f->db, 0, "disk", "releases", "6"), 0);
	assert_int_equal(n_unused(f->db, DB_KEPT_USUAL), 6);
	assert_int_equal(db_setting_set(f->db, app, "disk", "releases", "11"), 0);
	assert_int_equal(n_unused(f->db, DB_KEPT_USUAL), 1);
	assert_int_equal(db_releases_kept(f->db, app, &kept), 0);
	assert_int_equal(kept, 11);
	assert_int_equal(db_releases_kept(f->db, other, &kept), 0);
	assert_int_equal(kept, 6);
	/* another app needs the newest too, and a setting of it says nothing about this one */
	make_release(f->db, other, id);
	assert_int_equal(db_layer_needs(f->db, &needs), 12);
	assert_int_equal(needs[10].layer, id);
	assert_int_equal(needs[10].app, app);
	assert_int_equal(needs[11].layer, id);
	assert_int_equal(needs[11].app, other);
	free(needs);
	assert_int_equal(db_layers_size(f->db, &kept), 0);
	assert_int_equal(kept, 1200);
}

static void a_build_takes_about_what_the_last_ones_added(void **state)
{
	struct fixture *f = *state;
	uint32_t app = make_app(f->db, "a");
	uint64_t old, layer, build, bytes = 1;

	assert_int_equal(db_layer_begin(f->db, "build", "0", app, &old), 0);
	assert_int_equal(db_layer_ready(f->db, old, NULL, 7000), 0);
	assert_int_equal(db_build_size(f->db, app, &bytes), 0);
	assert_int_equal(bytes, 0);
	usleep(2); /* times have microseconds */
	assert_int_equal(db_build_create(f->db, app, "push", "", "x", &build), 0);
	assert_int_equal(db_build_running(f->db, app), 1);
	assert_int_equal(db_layer_begin(f->db, "build", "1", app, &layer), 0);
	assert_int_equal(db_layer_ready(f->db, layer, NULL, 500), 0);
	uint32_t version = make_release(f->db, app, layer);
	assert_int_equal(db_build_finish(f->db, build, "succeeded", version, ""), 0);
	assert_int_equal(db_build_running(f->db, app), 0);
	assert_int_equal(db_build_size(f->db, app, &bytes), 0);
	assert_int_equal(bytes, 500);
	/* one that added nothing says nothing */
	usleep(2);
	assert_int_equal(db_build_create(f->db, app, "push", "", "x", &build), 0);
	version = make_release(f->db, app, old);
	assert_int_equal(db_build_finish(f->db, build, "succeeded", version, ""), 0);
	assert_int_equal(db_build_size(f->db, app, &bytes), 0);
	assert_int_equal(bytes, 500);
}

static void a_tag_keeps_its_layers(void **state)
{
	struct fixture *f = *state;
	struct db_tag t = {.name = "site:1", .config = json_object()}, found = {0}, *list;
	uint64_t layer = 0, other = 0, *ids = NULL;

	assert_int_equal(db_layer_begin(f->db, "import", "1", 0, &layer), 0);
	assert_int_equal(db_layer_begin(f->db, "import", "2", 0, &other), 0);
	assert_int_equal(db_layer_ready(f->db, layer, NULL, 1), 0);
	assert_int_equal(db_layer_ready(f->db, other, NULL, 1), 0);
	t.layers = json_pack("[I]", (json_int_t)layer);
	assert_int_equal(db_tag_put(f->db, &t), 0);
	assert_int_equal(db_tag_put(f->db, &t), 0); /* again: in its place */
	assert_int_equal(db_tag_list(f->db, &list), 1);
	db_tag_clear(&list[0]);
	free(list);
	assert_int_equal(
		db_layer_unused(f->db, DB_KEPT_USUAL, UINT64_C(1) << 62, &ids), 1);
	assert_int_equal(ids[0], other);
	free(ids);
	ids = NULL;
	assert_true(db_layer_tagged(f->db, layer));
	assert_false(db_layer_tagged(f->db, other));
	/* found again after it was listed: it stays */
	assert_int_equal(db_layer_delete_unused(f->db, other, 1), -ENOENT);
	assert_int_equal(db_layer_delete_unused(f->db, other, UINT64_C(1) << 62), 0);
	assert_int_equal(db_tag_get(f->db, "site:1", &found), 0);
	assert_true(json_equal(found.layers, t.layers));
	db_tag_clear(&found);
	assert_int_equal(db_tag_remove(f->db, "site:1"), 0);
	assert_int_equal(db_tag_remove(f->db, "site:1"), -ENOENT);
	assert_int_equal(
		db_layer_unused(f->db, DB_KEPT_USUAL, UINT64_C(1) << 62, &ids), 1);
	free(ids);
	db_tag_clear(&t);
}

static void a_canary_keeps_its_layers_and_ends_with_the_switch(void **state)
{
	struct fixture *f = *state;
	uint32_t app = make_app(f->db, "a"), n = DB_RELEASES_KEPT + 2;
	uint64_t first = 0, rest = 0, key, *ids = NULL;
	struct db_app a;

	assert_int_equal(db_layer_begin(f->db, "source", "1", app, &first), 0);
	assert_int_equal(db_layer_begin(f->db, "source", "2", app, &rest), 0);
	assert_int_equal(db_layer_ready(f->db, first, NULL, 1), 0);
	assert_int_equal(db_layer_ready(f->db, rest, NULL, 1), 0);
	make_release(f->db, app, first);
	for (uint32_t v = 2; v <= n; v++)
		make_release(f->db, app, rest);
	assert_int_equal(db_release_switch(f->db, app, n - 1), 0);
	assert_int_equal(
		db_layer_unused(f->db, DB_KEPT_USUAL, UINT64_C(1) << 62, &ids), 1);
	assert_int_equal(ids[0], first);
	free(ids);
	ids = NULL;
	assert_int_equal(db_app_set_canary(f->db, app, 1, 10), 0);
	assert_int_equal(
		db_layer_unused(f->db, DB_KEPT_USUAL, UINT64_C(1) << 62, &ids), 0);
	free(ids);
	assert_int_equal(db_app_by_id(f->db, app, &a), 0);
	assert_int_equal(a.canary_version, 1);
	assert_int_equal(a.canary_percent, 10);
	assert_true((key = a.canary_key));
	/* its cookies count as long as it runs */
	assert_int_equal(db_app_set_canary(f->db, app, 1, 20), 0);
	assert_int_equal(db_app_by_id(f->db, app, &a), 0);
	assert_true(a.canary_percent == 20 && a.canary_key == key);
	assert_int_equal(db_app_set_canary(f->db, app, 2, 20), 0);
	assert_int_equal(db_app_by_id(f->db, app, &a), 0);
	assert_true(a.canary_key && a.canary_key != key);
	assert_int_equal(db_release_switch(f->db, app, 99), -ENOENT);
	assert_int_equal(db_app_by_id(f->db, app, &a), 0);
	assert_int_equal(a.canary_version, 2);
	assert_int_equal(db_release_switch(f->db, app, n), 0);
	assert_int_equal(db_app_by_id(f->db, app, &a), 0);
	assert_true(!a.canary_version && !a.canary_percent && !a.canary_key);
	assert_int_equal(db_app_set_canary(f->db, 99, 1, 10), -ENOENT);
}

static void transactions_roll_back_as_a_whole(void **state)
{
	struct fixture *f = *state;
	struct db_app a;
	uint32_t id;

	assert_int_equal(db_begin(f->db), 0);
	assert_int_equal(db_app_create(f->db, "gone", &id), 0);
	json_t *config = json_pack("{s:s}", "K", "v");
	assert_int_equal(db_config_put(f->db, id, config), 0);
	json_decref(config);
	assert_int_equal(db_end(f->db, false), 0);
	assert_int_equal(db_app_by_name(f->db, "gone", &a), -ENOENT);
}

static void a_domain_belongs_to_one_app(void **state)
{
	struct fixture *f = *state;
	uint32_t a = make_app(f->db, "a"), b = make_app(f->db, "b"), owner = 0;
	json_t *list = NULL;

	assert_int_equal(db_domain_add(f->db, a, "x.example"), 0);
	assert_int_equal(db_domain_add(f->db, a, "x.example"), 0);
	assert_int_equal(db_domain_add(f->db, b, "x.example"), -EEXIST);
	assert_int_equal(db_domain_add(f->db, 0, "x.example"), 0);
	assert_int_equal(db_domain_owner(f->db, "x.example", &owner), 0);
	assert_int_equal(owner, a);
	assert_int_equal(db_domain_list(f->db, a, &list), 0);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	assert_int_equal(db_domain_remove(f->db, b, "x.example"), -ENOENT);
	assert_int_equal(db_app_delete(f->db, a), 0);
	assert_int_equal(db_domain_owner(f->db, "x.example", &owner), -ENOENT);
}

static void a_mounted_volume_stays(void **state)
{
	struct fixture *f = *state;
	struct db_mount m = {.path = "/data", .type = "worker"}, *list = NULL;
	uint32_t app = make_app(f->db, "a");
	uint64_t id = 0;

	assert_int_equal(db_volume_create(f->db, "v", 1 << 30, &m.volume), 0);
	assert_int_equal(db_volume_create(f->db, "v", 0, &id), -EEXIST);
	m.app = app;
	assert_int_equal(db_mount_add(f->db, &m), -ENOENT);
	assert_int_equal(db_volume_set_whole(f->db, m.volume, true), 0);
	assert_int_equal(db_mount_add(f->db, &m), 0);
	assert_int_equal(db_mount_add(f->db, &m), -EEXIST);
	assert_int_equal(db_mount_list(f->db, 0, &list), 1);
	assert_string_equal(list[0].volume_name, "v");
	assert_string_equal(list[0].type, "worker");
	free(list);
	assert_int_equal(db_volume_delete(f->db, m.volume), -EBUSY);
	assert_int_equal(db_volume_set_whole(f->db, m.volume, false), -EBUSY);
	assert_int_equal(db_mount_remove(f->db, app, m.volume), 0);
	assert_int_equal(db_volume_set_whole(f->db, m.volume, false), 0);
	assert_int_equal(db_mount_add(f->db, &m), -ENOENT);
	assert_int_equal(db_volume_set_whole(f->db, m.volume, true), 0);
	assert_int_equal(db_mount_add(f->db, &m), 0);
	assert_int_equal(db_app_delete(f->db, app), 0);
	assert_int_equal(db_volume_delete(f->db, m.volume), 0);
}

static bool is_whole(struct db *db, uint64_t id)
{
	struct db_volume v;

	assert_int_equal(db_volume_by_id(db, id, &v), 0);
	return v.whole;
}

static void volumes_that_go_with_their_app_are_marked_as_it_goes(void **state)
{
	struct fixture *f = *state;
	uint32_t app = make_app(f->db, "a"), other = make_app(f->db, "b");
	struct db_mount own = {.app = app, .path = "/own"},
			shared = {.app = app, .path = "/shared"};
	struct db_app a;

	assert_int_equal(db_volume_create(f->db, "own", 0, &own.volume), 0);
	assert_int_equal(db_volume_create(f->db, "shared", 0, &shared.volume), 0);
	assert_int_equal(db_volume_set_whole(f->db, own.volume, true), 0);
	assert_int_equal(db_volume_set_whole(f->db, shared.volume, true), 0);
	assert_int_equal(db_mount_add(f->db, &own), 0);
	assert_int_equal(db_mount_add(f->db, &shared), 0);
	shared.app = other;
	assert_int_equal(db_mount_add(f->db, &shared), 0);
	assert_int_equal(db_app_set_removing(f->db, app, false), 0);
	assert_int_equal(db_app_by_id(f->db, app, &a), 0);
	assert_true(a.removing && !a.removing_volumes);
	assert_int_equal(db_app_set_removing(f->db, app, true), 0);
	assert_int_equal(db_app_by_id(f->db, app, &a), 0);
	assert_true(a.removing && a.removing_volumes);
	assert_int_equal(db_app_delete_with_volumes(f->db, app), 0);
	assert_false(is_whole(f->db, own.volume));
	assert_true(is_whole(f->db, shared.volume));
	assert_int_equal(db_app_delete(f->db, other), 0);
	assert_true(is_whole(f->db, shared.volume));
}

static unsigned int count_mounts(struct db *db, uint32_t app)
{
	struct db_mount *list autofree = NULL;
	int n = db_mount_list(db, app, &list);

	for (int i = 0; i < n; i++)
		assert_int_equal(list[i].pending, DB_SETTLED);
	assert_true(n >= 0);
	return (unsigned int)n;
}

static void mounts_change_with_the_release_or_not_at_all(void **state)
{
	struct fixture *f = *state;
	struct db_mount m = {.path = "/data", .pending = DB_COMES};
	uint32_t app = m.app = make_app(f->db, "a");

	make_release(f->db, app, 1);
	assert_int_equal(db_volume_create(f->db, "v", 1 << 30, &m.volume), 0);
	assert_int_equal(db_volume_set_whole(f->db, m.volume, true), 0);
	assert_int_equal(db_mount_add(f->db, &m), 0);
	assert_int_equal(db_release_fail_pending(f->db, "cut off"), 1);
	assert_int_equal(count_mounts(f->db, app), 0);
	assert_int_equal(db_mount_add(f->db, &m), 0);
	assert_int_equal(db_release_switch(f->db, app, 1), 0);
	assert_int_equal(count_mounts(f->db, app), 1);
	assert_int_equal(db_mount_set_pending(f->db, app, m.volume, DB_GOES), 0);
	assert_int_equal(db_release_fail_pending(f->db, "cut off"), 0);
	assert_int_equal(count_mounts(f->db, app), 1);
	assert_int_equal(db_mount_set_pending(f->db, app, m.volume, DB_GOES), 0);
	assert_int_equal(db_release_switch(f->db, app, 1), 0);
	assert_int_equal(count_mounts(f->db, app), 0);
}

static void settings_and_limits_read_back(void **state)
{
	struct fixture *f = *state;
	uint32_t app = make_app(f->db, "a");
	struct db_resource in = {.memory_bytes = UINT64_C(1) << 33,
		.cpu_millis = 500,
		.nofile = 4096,
		.io_read_bytes = UINT64_C(1) << 40,
		.io_write_bytes = 7};
	struct db_resource out;
	json_t *formation = NULL;
	char *value = NULL;

	assert_int_equal(db_setting_set(f->db, app, "ports", "web", "3000"), 0);
	assert_int_equal(db_setting_get(f->db, app, "ports", "web", &value), 0);
	assert_string_equal(value, "3000");
	free(value);
	assert_int_equal(db_setting_set(f->db, app, "ports", "web", NULL), 0);
	assert_int_equal(db_setting_get(f->db, app, "ports", "web", &value), 0);
	assert_null(value);
	assert_int_equal(db_resource_set(f->db, app, "web", &in), 0);
	assert_int_equal(db_resource_get(f->db, app, "web", &out), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	assert_int_equal(db_resource_get(f->db, app, "worker", &out), 0);
	assert_int_equal(out.memory_bytes, 0);
	assert_int_equal(db_formation_set(f->db, app, "web", 3), 0);
	assert_int_equal(db_formation_get(f->db, app, &formation), 0);
	assert_int_equal(json_integer_value(json_object_get(formation, "web")), 3);
	json_decref(formation);
}

static void a_network_rule_is_its_target(void **state)
{
	struct fixture *f = *state;
	struct db_net_rule r = {.allow = true, .kind = "address", .target = "10.0.0.0/8"},
			   *list = NULL;
	uint32_t app = make_app(f->db, "a"), other = make_app(f->db, "b");

	r.app = app;
	assert_int_equal(db_net_rule_put(f->db, &r), 0);
	r.allow = false;
	assert_int_equal(db_net_rule_put(f->db, &r), 0);
	r.first_port = r.last_port = 80;
	assert_int_equal(db_net_rule_put(f->db, &r), 0);
	assert_int_equal(db_net_rule_list(f->db, app, &list), 2);
	assert_false(list[0].allow);
	assert_int_equal(list[1].first_port, 80);
	free(list);
	assert_int_equal(db_net_rule_remove(f->db, &r, true), 1);
	assert_int_equal(db_net_rule_remove(f->db, &r, true), 0);
	assert_int_equal(db_net_rule_remove(f->db, &r, false), 1);
	r = (struct db_net_rule){.app = app, .kind = "app", .target_app = other};
	assert_int_equal(db_net_rule_put(f->db, &r), 0);
	assert_int_equal(db_net_rule_put(f->db, &r), 0);
	assert_int_equal(db_net_rule_list(f->db, 0, &list), 1);
	assert_int_equal(list[0].target_app, other);
	free(list);
	assert_int_equal(db_app_delete(f->db, other), 0);
	assert_int_equal(db_net_rule_list(f->db, 0, &list), 0);
	free(list);
	r.target_app = 999;
	assert_int_equal(db_net_rule_put(f->db, &r), -ENOENT);
}

static void the_lowest_free_number_is_given_to_a_name(void **state)
{
	struct fixture *f = *state;
	uint32_t a = make_app(f->db, "a"), b = make_app(f->db, "b");
	struct db_net_name *list = NULL;

	assert_int_equal(db_net_name_add(f->db, a, "web"), 0);
	assert_int_equal(db_net_name_add(f->db, a, "web"), -EEXIST);
	assert_int_equal(db_net_name_add(f->db, b, "web"), 0);
	assert_int_equal(db_net_name_add(f->db, b, "worker"), 0);
	assert_int_equal(db_net_name_add(f->db, 999, "web"), -ENOENT);
	assert_int_equal(db_net_name_list(f->db, b, &list), 2);
	assert_int_equal(list[0].number, 2);
	assert_int_equal(list[1].number, 3);
	assert_string_equal(list[1].type, "worker");
	free(list);
	assert_int_equal(db_app_delete(f->db, a), 0);
	assert_int_equal(db_net_name_add(f->db, b, "db"), 0);
	assert_int_equal(db_net_name_list(f->db, 0, &list), 3);
	assert_int_equal(list[0].number, 1);
	free(list);
}

static void addresses_of_a_host_go_when_they_are_old(void **state)
{
	struct fixture *f = *state;
	struct db_net_rule r = {.kind = "host", .target = "h.example"};
	struct db_net_address *list = NULL;

	r.app = make_app(f->db, "a");
	assert_int_equal(db_net_rule_put(f->db, &r), 0);
	assert_int_equal(db_net_address_seen(f->db, "h.example", "192.0.2.1", 10), 0);
	assert_int_equal(db_net_address_seen(f->db, "h.example", "192.0.2.2", 20), 0);
	assert_int_equal(db_net_address_seen(f->db, "h.example", "192.0.2.1", 30), 0);
	assert_int_equal(db_net_address_seen(f->db, "gone.example", "192.0.2.3", 30), 0);
	assert_int_equal(db_net_address_list(f->db, "h.example", &list), 2);
	assert_string_equal(list[0].address, "192.0.2.1");
	free(list);
	assert_int_equal(db_net_address_prune(f->db, "h.example", 25), 0);
	assert_int_equal(db_net_address_list(f->db, "h.example", &list), 1);
	free(list);
	assert_int_equal(db_net_address_sweep(f->db, 31), 0);
	assert_int_equal(db_net_address_list(f->db, "h.example", &list), 1);
	free(list);
	assert_int_equal(db_net_address_list(f->db, "gone.example", &list), 0);
	free(list);
}

static void an_exit_is_final_and_old_ones_are_dropped(void **state)
{
	struct fixture *f = *state;
	struct db_instance i = {.kind = "app", .type = "web", .number = 1}, *list = NULL;

	i.app = make_app(f->db, "a");
	for (int n = 0; n < 60; n++) {
		assert_int_equal(db_instance_create(f->db, &i), 0);
		assert_int_equal(
			db_instance_exit(f->db, i.id, "exited with status 1", 5), 0);
	}
	assert_int_equal(db_instance_state(f->db, i.id, "running"), -ENOENT);
	assert_int_equal(db_instance_create(f->db, &i), 0);
	assert_int_equal(db_instance_prune(f->db), 0);
	assert_int_equal(db_instance_list(f->db, i.app, true, &list), 51);
	free(list);
	assert_int_equal(db_instance_list(f->db, 0, false, &list), 1);
	assert_string_equal(list[0].state, "starting");
	free(list);
}

static void builds_and_keys_are_listed(void **state)
{
	struct fixture *f = *state;
	uint32_t app = make_app(f->db, "a");
	struct db_key k = {.name = "me", .type = "ssh-ed25519", .blob = "AAAA"}, got;
	struct db_member m;
	uint64_t build = 0;
	json_t *j = NULL;

	assert_int_equal(db_build_create(f->db, app, "push", "abc", "root", &build), 0);
	assert_int_equal(db_build_finish(f->db, build, "succeeded", 3, "-----> ok\n"), 0);
	assert_int_equal(db_build_get(f->db, app, build, &j), 0);
	assert_string_equal(
		json_string_value(json_object_get(j, "output")), "-----> ok\n");
	json_decref(j);
	assert_int_equal(db_build_get(f->db, app + 1, build, &j), -ENOENT);
	assert_int_equal(db_build_list(f->db, app, &j), 0);
	assert_int_equal(json_array_size(j), 1);
	json_decref(j);
	assert_int_equal(db_key_add(f->db, &k), 0);
	assert_int_equal(db_key_get(f->db, k.id, &got), 0);
	assert_string_equal(got.blob, "AAAA");
	assert_int_equal(db_key_add(f->db, &k), -EEXIST);
	snprintf(k.name, sizeof(k.name), "other");
	assert_int_equal(db_key_add(f->db, &k), -EEXIST);
	assert_int_equal(db_member_by_name(f->db, "other", &m), -ENOENT);
	assert_int_equal(db_key_remove(f->db, "me"), 1);
	assert_int_equal(db_member_by_name(f->db, "me", &m), 0);
}

static void members_and_apps_take_their_roles_and_tokens_along(void **state)
{
	struct fixture *f = *state;
	uint32_t app = make_app(f->db, "a"), ann, bob;
	struct db_token t = {.name = "ci", .role = ROLE_DEPLOY, .app = app}, got, *list;
	const uint8_t hash[DB_TOKEN_HASH] = {1}, other[DB_TOKEN_HASH] = {2};
	struct db_grant *g;

	assert_int_equal(db_member_add(f->db, "ann", &ann), 0);
	assert_int_equal(db_member_add(f->db, "ann", &bob), -EEXIST);
	assert_int_equal(db_member_add(f->db, "bob", &bob), 0);
	assert_int_equal(db_grant_put(f->db, ann, app, ROLE_VIEW), 0);
	assert_int_equal(db_grant_put(f->db, ann, app, ROLE_DEPLOY), 0);
	assert_int_equal(db_grant_put(f->db, bob, 0, ROLE_ADMIN), 0);
	assert_int_equal(db_grant_list(f->db, ann, &g), 1);
	assert_int_equal(g[0].role, ROLE_DEPLOY);
	assert_string_equal(g[0].app_name, "a");
	free(g);
	assert_int_equal(db_admins_beside(f->db, ann), 0); /* bob has no key */
	t.member = ann;
	assert_int_equal(db_token_add(f->db, &t, hash), 0);
	assert_int_equal(db_token_add(f->db, &t, other), -EEXIST);
	assert_int_equal(db_token_find(f->db, hash, &got), 0);
	assert_string_equal(got.member_name, "ann");
	assert_int_equal(got.role, ROLE_DEPLOY);
	assert_int_equal(db_token_find(f->db, other, &got), -ENOENT);
	assert_int_equal(db_token_get(f->db, t.id, &got), 0);
	assert_string_equal(got.name, "ci");
	assert_int_equal(db_token_get(f->db, t.id + 1, &got), -ENOENT);
	assert_int_equal(db_app_delete(f->db, app), 0);
	assert_int_equal(db_token_find(f->db, hash, &got), -ENOENT);
	assert_int_equal(db_grant_list(f->db, ann, &g), 0);
	free(g);
	t.app = 0;
	assert_int_equal(db_token_add(f->db, &t, hash), 0);
	assert_int_equal(db_member_remove(f->db, ann), 0);
	assert_int_equal(db_token_list(f->db, &list), 0);
	free(list);
	assert_int_equal(db_member_remove(f->db, ann), -ENOENT);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void the_domains_of_all_apps_come_in_one_list(void **state)
{
	struct fixture *f = *state;
	uint32_t one = make_app(f->db, "one"), two = make_app(f->db, "two");
	struct db_domain *list autofree = NULL;
	const struct db_domain *part;
	int n, count;

	assert_int_equal(db_domain_add(f->db, two, "z.example"), 0);
	assert_int_equal(db_domain_add(f->db, two, "a.example"), 0);
	assert_int_equal(db_domain_add(f->db, 0, "example"), 0);
	count = db_domain_all(f->db, 0, &list);
	assert_int_equal(count, 3);
	part = db_domain_part(list, count, two, &n);
	assert_int_equal(n, 2);
	assert_string_equal(part[0].name, "a.example");
	assert_string_equal(part[1].name, "z.example");
	db_domain_part(list, count, one, &n);
	assert_int_equal(n, 0);
	part = db_domain_part(list, count, 0, &n);
	assert_int_equal(n, 1);
	assert_string_equal(part[0].name, "example");
	db_domain_part(list, count, two + 1, &n);
	assert_int_equal(n, 0);
	db_domain_part(NULL, 0, 1, &n);
	assert_int_equal(n, 0);
}

static void note_app(void *arg, uint32_t app)
{
	*(uint32_t *)arg |= 1u << app;
}

static void whoever_keeps_a_copy_is_told_whose_rows_change(void **state)
{
	struct fixture *f = *state;
	uint32_t one = make_app(f->db, "one"), two = make_app(f->db, "two");
	struct db_net_rule rule = {.app = one, .kind = "app", .target_app = two};
	json_t *config = json_object();
	uint32_t told = 0;

	assert_int_equal(db_watch(f->db, note_app, &told), 0);
	assert_int_equal(db_domain_add(f->db, two, "a.example"), 0);
	assert_int_equal(told, 1u << two);
	assert_int_equal(db_setting_set(f->db, 0, "http", "timeout", "3"), 0);
	assert_int_equal(told, 1u << two | 1);
	told = 0;
	assert_int_equal(db_setting_set(f->db, one, "http", "timeout", "3"), 0);
	assert_int_equal(db_setting_set(f->db, one, "http", "timeout", "4"), 0);
	assert_int_equal(told, 1u << one);
	told = 0;
	assert_int_equal(db_net_rule_put(f->db, &rule), 0);
	assert_int_equal(told, 1u << two);
	told = 0;
	assert_int_equal(db_config_put(f->db, one, config), 0);
	json_decref(config);
	assert_int_equal(told, 0);
	/* its rule goes with it */
	assert_int_equal(db_app_delete(f->db, one), 0);
	assert_int_equal(told, 1u << one | 1u << two);
}

static void put_cert(
	struct db *db, uint32_t app, const char *name, const char *file, int want)
{
	struct db_cert c = {.app = app,
		.names = json_pack("[s]", "a.example"),
		.chain = strdup("chain"),
		.from_us = 1,
		.until_us = 2};

	snprintf(c.name, sizeof(c.name), "%s", name);
	snprintf(c.key_file, sizeof(c.key_file), "%s", file);
	assert_int_equal(db_cert_put(db, &c), want);
	db_cert_clear(&c);
}

static void a_certificate_takes_the_place_of_the_one_of_its_name(void **state)
{
	struct fixture *f = *state;
	uint32_t one = make_app(f->db, "one"), two = make_app(f->db, "two");
	struct db_cert *list = NULL, c;
	int n;

	put_cert(f->db, one, "default", "f1", 0);
	put_cert(f->db, one, "", "f2", 0);
	put_cert(f->db, one, "default", "f3", 0);
	put_cert(f->db, two, "default", "f4", 0);
	put_cert(f->db, 999, "default", "f5", -ENOENT);
	assert_int_equal(db_settle(f->db), 0);
	n = db_cert_list(f->db, one, &list);
	assert_int_equal(n, 2);
	assert_string_equal(list[0].key_file, "f2");
	assert_string_equal(list[1].key_file, "f3");
	assert_string_equal(list[1].chain, "chain");
	db_cert_free(list, n);
	assert_int_equal(db_cert_get(f->db, two, "default", &c), 0);
	assert_int_equal(json_array_size(c.names), 1);
	db_cert_clear(&c);
	assert_int_equal(db_app_delete(f->db, two), 0);
	n = db_cert_list(f->db, 0, &list);
	assert_int_equal(n, 2);
	db_cert_free(list, n);
	assert_int_equal(db_cert_delete(f->db, one, ""), 0);
	assert_int_equal(db_cert_delete(f->db, one, ""), -ENOENT);
	assert_int_equal(db_cert_get(f->db, one, "", &c), -ENOENT);
}

static void automatic_certificates_are_switched_on_once(void **state)
{
	struct fixture *f = *state;
	uint32_t app = make_app(f->db, "one");
	struct db_acme a;

	assert_int_equal(db_acme_enable(f->db, app), 1);
	assert_int_equal(db_acme_enable(f->db, app), 0);
	assert_int_equal(db_acme_enable(f->db, 999), -ENOENT);
	assert_int_equal(db_acme_get(f->db, app, &a), 0);
	a.failures = 3;
	a.forced = true;
	a.after_us = 77;
	snprintf(a.error, sizeof(a.error), "no");
	assert_int_equal(db_acme_save(f->db, &a), 0);
	assert_int_equal(db_acme_get(f->db, app, &a), 0);
	assert_int_equal(a.failures, 3);
	assert_int_equal(a.after_us, 77);
	assert_true(a.forced);
	assert_string_equal(a.error, "no");
	assert_int_equal(db_acme_disable(f->db, app), 0);
	assert_int_equal(db_acme_save(f->db, &a), -ENOENT);
}

static void orders_are_counted_by_what_authorities_limit(void **state)
{
	struct fixture *f = *state;
	uint64_t id, t = 9;

	for (uint64_t i = 1; i <= 4; i++) {
		assert_int_equal(
			db_order_begin(f->db, i == 4 ? 2 : 1, "a", i * 10, &id), 0);
		if (i == 2)
			assert_int_equal(db_order_issued(f->db, id), 0);
	}
	assert_int_equal(db_order_time(f->db, ORDERS_ALL, 1, "a", 4, &t), 0);
	assert_int_equal(t, 10);
	assert_int_equal(db_order_time(f->db, ORDERS_ALL, 1, "a", 5, &t), 0);
	assert_int_equal(t, 0);
	assert_int_equal(db_order_time(f->db, ORDERS_REFUSED, 1, "a", 1, &t), 0);
	assert_int_equal(t, 30);
	assert_int_equal(db_order_time(f->db, ORDERS_REFUSED, 1, "a", 2, &t), 0);
	assert_int_equal(t, 10);
	assert_int_equal(db_order_time(f->db, ORDERS_ISSUED, 7, "a", 1, &t), 0);
	assert_int_equal(t, 20);
	assert_int_equal(db_order_time(f->db, ORDERS_ISSUED, 1, "b", 1, &t), 0);
	assert_int_equal(t, 0);
	assert_int_equal(db_order_prune(f->db, 30), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_reopened_database_holds_what_was_written),
		T(a_database_of_an_earlier_version_is_migrated),
		T(what_is_committed_can_be_settled),
		T(the_domains_of_all_apps_come_in_one_list),
		T(whoever_keeps_a_copy_is_told_whose_rows_change),
		T(a_certificate_takes_the_place_of_the_one_of_its_name),
		T(automatic_certificates_are_switched_on_once),
		T(orders_are_counted_by_what_authorities_limit),
		T(a_newer_schema_is_refused),
		T(a_file_that_is_no_database_is_refused),
		T(app_names_are_unique_and_ids_never_reused),
		T(config_keeps_any_bytes),
		T(releases_are_numbered_and_one_is_live),
		T(interrupted_releases_fail_at_start_up),
		T(one_layer_a_key_wins),
		T(only_layers_that_no_kept_release_has_are_unused),
		T(layers_below_a_used_one_are_used),
		T(the_live_release_keeps_what_its_next_build_will_ask_for),
		T(a_tag_keeps_its_layers),
		T(a_login_is_the_last_one_of_its_host),
		T(drains_are_of_an_app_or_of_all_and_go_with_it),
		T(how_many_releases_are_kept_can_be_set),
		T(a_build_takes_about_what_the_last_ones_added),
		T(a_canary_keeps_its_layers_and_ends_with_the_switch),
		T(transactions_roll_back_as_a_whole),
		T(a_domain_belongs_to_one_app),
		T(a_mounted_volume_stays),
		T(volumes_that_go_with_their_app_are_marked_as_it_goes),
		T(mounts_change_with_the_release_or_not_at_all),
		T(settings_and_limits_read_back),
		T(a_network_rule_is_its_target),
		T(the_lowest_free_number_is_given_to_a_name),
		T(addresses_of_a_host_go_when_they_are_old),
		T(an_exit_is_final_and_old_ones_are_dropped),
		T(builds_and_keys_are_listed),
		T(members_and_apps_take_their_roles_and_tokens_along),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Tests: rows of a backup become rows here, renumbered, all or one app's, and are the same. */
#include <setjmp.h>
#include <stdarg.h>

#include "db/fixture.h"
#include "db/restore.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* Of the host that it is restored to. */
static const uint8_t other_key[DB_KEY_SIZE] = "another key of the tests, 32 byt";

/* Of all apps. */
static uint64_t base_layer(struct db *db)
{
	uint64_t id;

	if (db_layer_find(db, "stack", "debian-12", &id, NULL) == 0)
		return id;
	assert_int_equal(db_layer_begin(db, "stack", "debian-12", 0, &id), 0);
	assert_int_equal(db_layer_ready(db, id, NULL, 0), 0);
	return id;
}

/* The same person at every app. */
static uint32_t ann(struct db *db)
{
	struct db_member have;
	uint32_t id;

	if (db_member_by_name(db, "ann", &have) == 0)
		return have.id;
	assert_int_equal(db_member_add(db, "ann", &id), 0);
	return id;
}

static uint32_t app_with_all(struct db *db, const char *name, const char *host)
{
	struct db_image image = {.layers = NULL};
	struct db_release release = {.config = json_pack("{s:s}", "A", name)};
	struct db_mount mount = {.path = "/data"};
	struct db_cert cert = {.names = json_pack("[s]", host), .chain = strdup("PEM")};
	uint64_t layer, volume;
	json_t *config = json_pack("{s:s}", "A", name);
	char key[32];
	uint32_t app;

	snprintf(key, sizeof(key), "key-%s", name);
	assert_int_equal(db_app_create(db, name, &app), 0);
	assert_int_equal(db_layer_begin(db, "source", key, app, &layer), 0);
	assert_int_equal(db_layer_ready(db, layer, NULL, 0), 0);
	image = (struct db_image){.app = app,
		.layers = json_pack(
			"[I, I]", (json_int_t)base_layer(db), (json_int_t)layer),
		.processes = json_object(),
		.env = json_object(),
		.checks = json_object()};
	assert_int_equal(db_image_create(db, &image), 0);
	release.app = app;
	release.image = image.id;
	assert_int_equal(db_release_create(db, &release), 0);
	assert_int_equal(db_release_switch(db, app, release.version), 0);
	assert_int_equal(db_config_put(db, app, config), 0);
	assert_int_equal(db_domain_add(db, app, host), 0);
	assert_int_equal(db_setting_set(db, app, "ports", "port", "80"), 0);
	snprintf(key, sizeof(key), "%s-data", name);
	assert_int_equal(db_volume_create(db, key, 0, &volume), 0);
	assert_int_equal(db_volume_set_whole(db, volume, true), 0);
	mount.app = app;
	mount.volume = volume;
	assert_int_equal(db_mount_add(db, &mount), 0);
	struct db_drain drain = {.app = app};
	struct db_net_rule rule = {.app = app, .kind = "internet"};
	assert_int_equal(db_net_rule_put(db, &rule), 0);
	assert_int_equal(db_grant_put(db, ann(db), app, ROLE_DEPLOY), 0);
	snprintf(drain.url, sizeof(drain.url), "https://%s/secret", host);
	assert_int_equal(db_drain_add(db, &drain, "", &layer), 0);
	struct db_webhook hook = {.app = app, .events = HOOK_DEPLOY, .secret = "shh"};
	snprintf(hook.url, sizeof(hook.url), "https://%s/hook", host);
	assert_int_equal(db_webhook_add(db, &hook), 0);
	cert.app = app;
	snprintf(cert.key_file, sizeof(cert.key_file), "%s-key", name);
	assert_int_equal(db_cert_put(db, &cert), 0);
	json_decref(config);
	json_decref(release.config);
	json_decref(cert.names);
	free(cert.chain);
	db_image_clear(&image);
	return app;
}

/* Members with a key, a token and roles on the app and on all. */
static void people(struct db *db, uint32_t app)
{
	static const char *const names[] = {"ann", "bob"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct db_key k = {.type = "t", .fingerprint = "f"};
		struct db_token t = {.role = ROLE_DEPLOY, .app = app};
		uint8_t hash[DB_TOKEN_HASH] = {(uint8_t)i};

		snprintf(k.name, sizeof(k.name), "%s", names[i]);
		snprintf(k.blob, sizeof(k.blob), "%s", names[i]);
		snprintf(t.name, sizeof(t.name), "%s", names[i]);
		assert_int_equal(db_key_add(db, &k), 0);
		assert_int_equal(db_grant_put(db, k.member, app, ROLE_LOGS), 0);
		t.member = k.member;
		assert_int_equal(db_token_add(db, &t, hash), 0);
	}
}

/* A second database, with the copy of the first one in file. */
struct pair {
	struct fixture *from;
	char folder[64], file[128];
	struct db *db, *copy;
};

static void pair_open(struct pair *p, struct fixture *from, const char *only)
{
	struct db_app a;
	struct err e = {0};

	*p = (struct pair){.from = from};
	snprintf(p->folder, sizeof(p->folder), "/tmp/berth-db.XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	assert_int_equal(db_open(p->folder, other_key, &p->db, &e), 0);
	snprintf(p->file, sizeof(p->file), "%s/copy", p->folder);
	assert_int_equal(mkdir(p->file, 0700), 0);
	snprintf(p->file, sizeof(p->file), "%s/copy/berth.db", p->folder);
	assert_int_equal(db_copy_file(from->folder, p->file, &e), 0);
	snprintf(p->file, sizeof(p->file), "%s/copy", p->folder);
	assert_int_equal(db_open(p->file, fixture_key, &p->copy, &e), 0);
	if (only) {
		assert_int_equal(db_app_by_name(p->copy, only, &a), 0);
		assert_int_equal(db_keep_only(p->copy, a.id), 0);
	}
	snprintf(p->file, sizeof(p->file), "%s/copy/berth.db", p->folder);
}

static void pair_close(struct pair *p)
{
	db_close(p->copy);
	db_close(p->db);
	io_remove_tree(AT_FDCWD, p->folder);
}

/* As control does it: every layer is made anew, whatever number it gets. */
static int restore_how(struct pair *p, const char *app, const char *as, bool drill,
	json_t **ret, struct err *e)
{
	struct db_restoring r = {.db = p->db, .copy = p->copy, .as = as, .drill = drill};
	json_t *plan = NULL, *layers = NULL, *row;
	struct db_app a;
	size_t i;

	if (app) {
		assert_int_equal(db_app_by_name(p->copy, app, &a), 0);
		r.app = a.id;
	}
	int result = db_restore_begin(&r, p->file, &plan, e);
	assert_int_equal(db_backup_layers(p->copy, &layers), 0);
	json_array_foreach (layers, i, row) {
		uint64_t id;

		if (result < 0)
			break;
		const char *key = json_string_value(json_object_get(row, "key"));
		const char *kind = json_string_value(json_object_get(row, "kind"));
		if (db_layer_find(p->db, kind, key, &id, NULL) < 0) {
			assert_int_equal(db_layer_begin(p->db, kind, key, 0, &id), 0);
			assert_int_equal(db_layer_ready(p->db, id, NULL, 0), 0);
		}
		assert_int_equal(
			db_restore_layer(&r,
				(uint64_t)json_integer_value(json_object_get(row, "id")),
				id),
			0);
	}
	if (result == 0)
		result = db_restore_commit(&r, ret, e);
	db_restore_end(&r);
	json_decref(plan);
	json_decref(layers);
	return result;
}

static int restore(
	struct pair *p, const char *app, const char *as, json_t **ret, struct err *e)
{
	return restore_how(p, app, as, false, ret, e);
}

static json_int_t of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* Its address is sealed for the row's new number. */
static void check_drain(struct db *db, uint32_t app)
{
	struct db_drain *rows autofree = NULL;
	int n = db_drain_list(db, &rows), found = 0;

	for (int i = 0; i < n; i++)
		found += rows[i].app == app && strncmp(rows[i].url, "https://", 8) == 0;
	assert_int_equal(found, 1);
}

/* So are a webhook's, and its secret. */
static void check_webhook(struct db *db, uint32_t app)
{
	struct db_webhook *rows autofree = NULL;
	int n = db_webhook_list(db, &rows), found = -1;

	for (int i = 0; i < n; i++)
		if (rows[i].app == app)
			found = i;
	assert_true(found >= 0);
	assert_string_equal(rows[found].secret, "shh");
	assert_non_null(strstr(rows[found].url, "/hook"));
}

/* Everything that hangs on the app, by its name. */
static void check_app(
	struct db *db, const char *name, const char *value, const char *volume)
{
	struct db_mount *mounts autofree = NULL;
	struct db_release release;
	struct db_image image;
	struct db_layer layer;
	struct db_app a;
	json_t *config;
	char key[32];

	assert_int_equal(db_app_by_name(db, name, &a), 0);
	assert_int_equal(a.live_version, 1);
	assert_int_equal(db_config_get(db, a.id, &config), 0);
	assert_string_equal(json_string_value(json_object_get(config, "A")), value);
	json_decref(config);
	assert_int_equal(db_release_get(db, a.id, 0, &release), 0);
	assert_string_equal(
		json_string_value(json_object_get(release.config, "A")), value);
	assert_int_equal(db_image_get(db, release.image, &image), 0);
	assert_int_equal(image.app, a.id);
	assert_int_equal(
		db_layer_get(db,
			(uint64_t)json_integer_value(json_array_get(image.layers, 1)),
			&layer, NULL),
		0);
	snprintf(key, sizeof(key), "key-%s", value);
	assert_string_equal(layer.key, key);
	assert_int_equal(
		json_integer_value(json_array_get(image.layers, 0)), base_layer(db));
	assert_int_equal(db_mount_list(db, a.id, &mounts), 1);
	assert_string_equal(mounts[0].volume_name, volume);
	check_drain(db, a.id);
	check_webhook(db, a.id);
	struct db_net_rule *rules autofree = NULL;
	assert_int_equal(db_net_rule_list(db, a.id, &rules), 1);
	db_release_clear(&release);
	db_image_clear(&image);
}

static void a_whole_host_comes_back_with_its_numbers(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	struct pair p;
	json_t *did = NULL;
	uint32_t bob;

	uint32_t blog = app_with_all(f->db, "blog", "blog.example.com");
	struct db_preview preview;
	struct db_app parent;
	assert_int_equal(
		db_preview_add(f->db, app_with_all(f->db, "shop", "shop.example.com"),
			blog, "shop"),
		0);
	assert_int_equal(db_setting_set(f->db, 0, "disk", "reserve", "1G"), 0);
	pair_open(&p, f, NULL);
	/* Who is here already has another number. */
	assert_int_equal(db_member_add(p.db, "bob", &bob), 0);
	assert_int_equal(db_member_add(p.db, "ann", &bob), 0);
	assert_int_equal(restore(&p, NULL, NULL, &did, &e), 0);
	struct db_grant *grants autofree = NULL;
	assert_int_equal(db_grant_list(p.db, ann(p.db), &grants), 2);
	assert_int_equal(of(did, "differ"), 0);
	assert_int_equal(of(json_object_get(did, "tables"), "app"), 2);
	assert_int_equal(of(json_object_get(did, "tables"), "certificate"), 2);
	check_app(p.db, "blog", "blog", "blog-data");
	check_app(p.db, "shop", "shop", "shop-data");
	assert_int_equal(db_app_by_name(p.db, "blog", &parent), 0);
	assert_int_equal(db_preview_find(p.db, parent.id, "shop", &preview), 0);
	char *value = NULL;
	assert_int_equal(db_setting_get(p.db, 0, "disk", "reserve", &value), 0);
	assert_string_equal(value, "1G");
	free(value);
	json_decref(did);
	pair_close(&p);
}

/* Whoever set the new host up may be a member of the old one: known by the name. */
static void members_come_back_with_their_roles(void **state)
{
	struct fixture *f = *state;
	struct db_member bob;
	struct db_token *tokens;
	struct db_grant *g;
	struct db_key k = {.name = "bob", .type = "t", .blob = "new", .fingerprint = "f"};
	struct err e = {0};
	struct pair p;
	json_t *did = NULL;

	people(f->db, app_with_all(f->db, "blog", "blog.example.com"));
	pair_open(&p, f, NULL);
	assert_int_equal(db_key_add(p.db, &k), 0);
	assert_int_equal(db_grant_put(p.db, k.member, 0, ROLE_VIEW), 0);
	assert_int_equal(restore(&p, NULL, NULL, &did, &e), 0);
	json_decref(did);
	assert_int_equal(db_member_by_name(p.db, "bob", &bob), 0);
	assert_int_equal(bob.id, k.member);
	assert_int_equal(bob.keys, 2);
	assert_int_equal(db_grant_list(p.db, 0, &g), 3);
	assert_string_equal(g[0].member_name, "ann");
	assert_string_equal(g[0].app_name, "blog");
	assert_int_equal(g[1].role, ROLE_VIEW); /* what is here already stays */
	assert_string_equal(g[2].app_name, "blog");
	assert_int_equal(g[2].role, ROLE_LOGS);
	free(g);
	assert_int_equal(db_token_list(p.db, &tokens), 2);
	assert_string_equal(tokens[0].member_name, "ann");
	assert_string_equal(tokens[1].app_name, "blog");
	free(tokens);
	pair_close(&p);
}

/* Who may do what on another host is that host's to say. */
static void an_app_comes_without_its_members(void **state)
{
	struct fixture *f = *state;
	struct db_grant *g;
	struct err e = {0};
	struct pair p;
	json_t *did = NULL;

	people(f->db, app_with_all(f->db, "blog", "blog.example.com"));
	for (int only = 0; only < 2; only++) {
		pair_open(&p, f, only ? "blog" : NULL);
		assert_int_equal(restore(&p, "blog", NULL, &did, &e), 0);
		json_decref(did);
		assert_int_equal(db_grant_list(p.db, 0, &g), 0);
		free(g);
		pair_close(&p);
	}
}

static void one_app_comes_beside_others_with_numbers_of_its_own(void **state)
{
	struct fixture *f = *state;
	struct db_app there, came;
	struct err e = {0};
	struct pair p;
	json_t *did = NULL;

	app_with_all(f->db, "blog", "blog.example.com");
	app_with_all(f->db, "shop", "shop.example.com");
	pair_open(&p, f, NULL);
	app_with_all(p.db, "other", "other.example.com");
	assert_int_equal(restore(&p, NULL, NULL, &did, &e), -EEXIST);
	assert_non_null(strstr(e.text, "other"));
	assert_int_equal(restore(&p, "shop", NULL, &did, &e), 0);
	assert_int_equal(of(did, "differ"), 0);
	json_decref(did);
	check_app(p.db, "shop", "shop", "shop-data");
	check_app(p.db, "other", "other", "other-data");
	assert_int_equal(db_app_by_name(p.db, "blog", &came), -ENOENT);
	assert_int_equal(db_app_by_name(p.db, "other", &there), 0);
	assert_int_equal(db_app_by_name(p.db, "shop", &came), 0);
	assert_true(came.id > there.id);
	/* Again: its names are taken. */
	assert_int_equal(restore(&p, "shop", NULL, &did, &e), -EEXIST);
	assert_non_null(strstr(e.text, "shop"));
	pair_close(&p);
}

static void an_app_comes_beside_itself_under_another_name(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	struct pair p;
	json_t *did = NULL;

	app_with_all(f->db, "blog", "blog.example.com");
	pair_open(&p, f, "blog");
	app_with_all(p.db, "blog", "blog.example.com");
	assert_int_equal(restore(&p, "blog", "copy", &did, &e), 0);
	assert_int_equal(of(did, "differ"), 0);
	json_decref(did);
	check_app(p.db, "copy", "blog", "copy-blog-data");
	check_app(p.db, "blog", "blog", "blog-data");
	pair_close(&p);
}

static uint32_t renamed_app(struct db *db, const char *name, const char *to)
{
	uint32_t app = app_with_all(db, name, to);

	assert_int_equal(db_app_rename_begin(db, app, to), 0);
	assert_int_equal(db_app_rename_end(db, app), 0);
	return app;
}

/* To the app itself beside a copy of it, and to another one that has had the name since. */
static void former_names_lead_where_they_did(void **state)
{
	static const struct {
		const char *here, *as, *leads;
	} cases[] = {{"blog", "copy", "blog"}, {"news", NULL, "news"}};
	struct fixture *f = *state;
	struct err e = {0};

	renamed_app(f->db, "old", "blog");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct db_volume v;
		struct db_app a;
		struct pair p;
		json_t *did = NULL;

		pair_open(&p, f, "blog");
		uint32_t here = renamed_app(p.db, "old", cases[i].here);
		struct db_mount *mounts autofree = NULL;
		assert_int_equal(db_mount_list(p.db, here, &mounts), 1);
		if (!cases[i].as) { /* only its former name is in the way */
			assert_int_equal(
				db_mount_remove(p.db, here, mounts[0].volume), 0);
			assert_int_equal(db_volume_delete(p.db, mounts[0].volume), 0);
		}
		assert_int_equal(restore(&p, "blog", cases[i].as, &did, &e), 0);
		json_decref(did);
		assert_int_equal(
			db_app_by_name(p.db, cases[i].as ? cases[i].as : "blog", &a), 0);
		assert_int_equal(db_app_by_former_name(p.db, "old", &a), 0);
		assert_string_equal(a.name, cases[i].leads);
		assert_int_equal(db_volume_by_name(p.db,
					 cases[i].as ? "copy-old-data" : "old-data", &v),
			0);
		pair_close(&p);
	}
}

/* A mount that goes and one that comes, and a change of config that an older berth did not end. */
static void begin_changes(struct db *db, uint32_t app)
{
	struct db_mount *mounts autofree = NULL, comes = {.path = "/new"};
	json_t *config = json_pack("{s:s}", "A", "not yet");

	assert_int_equal(db_mount_list(db, app, &mounts), 1);
	assert_int_equal(db_mount_set_pending(db, app, mounts[0].volume, DB_GOES), 0);
	assert_int_equal(db_volume_create(db, "new", 0, &comes.volume), 0);
	assert_int_equal(db_volume_set_whole(db, comes.volume, true), 0);
	comes.app = app;
	comes.pending = DB_COMES;
	assert_int_equal(db_mount_add(db, &comes), 0);
	assert_int_equal(db_config_put(db, app, config), 0);
	assert_true(query_exec(db, "UPDATE app SET config_pending=1", "") >= 0);
	assert_int_equal(db_setting_set(db, app, "clone", "begun", "1"), 0);
	json_decref(config);
}

static size_t count_events_of(struct db *db, uint32_t app)
{
	char ids[16];
	const struct db_event_query q = {.apps = ids};
	json_t *list = NULL;

	snprintf(ids, sizeof(ids), "[%u]", app);
	assert_int_equal(db_event_list(db, &q, &list), 0);
	size_t n = json_array_size(list);
	json_decref(list);
	return n;
}

static void what_was_under_way_does_not_go_on_here(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	uint32_t blog = app_with_all(f->db, "blog", "blog.example.com");

	begin_changes(f->db, blog);
	assert_int_equal(db_event_add_own(f->db, "ps:sleep", "blog", "idle"), 0);
	for (int one = 0; one < 2; one++) {
		struct db_mount *mounts autofree = NULL;
		char *begun autofree = NULL;
		struct db_app a;
		struct pair p;
		json_t *did = NULL;

		if (one)
			assert_int_equal(db_app_set_removing(f->db, blog, true), 0);
		pair_open(&p, f, NULL);
		uint32_t gone; /* ids here are others */
		assert_int_equal(db_app_create(p.db, "gone", &gone), 0);
		assert_int_equal(db_app_delete(p.db, gone), 0);
		assert_int_equal(restore(&p, one ? "blog" : NULL, NULL, &did, &e), 0);
		json_decref(did);
		assert_int_equal(db_app_by_name(p.db, "blog", &a), 0);
		assert_false(a.removing);
		check_app(p.db, "blog", "blog", "blog-data");
		assert_int_equal(db_mount_list(p.db, a.id, &mounts), 1);
		assert_int_equal(mounts[0].pending, DB_SETTLED);
		/* Its trail comes with the host's. */
		assert_int_equal(count_events_of(p.db, a.id), one ? 0 : 1);
		/* The half of a clone, unless it is asked for, goes at the next start as it would have there. */
		db_setting_get(p.db, a.id, "clone", "begun", &begun);
		assert_true(one ? !begun : begun != NULL);
		pair_close(&p);
	}
}

static void volumes_of_a_long_new_name_are_told_apart(void **state)
{
	static const char as[] =
		"a-name-that-is-as-long-as-names-may-be-so-that-no-more-fits";
	struct db_mount mount = {.path = "/more"}, *mounts;
	struct fixture *f = *state;
	struct err e = {0};
	struct db_app a;
	struct pair p;
	json_t *did = NULL;

	mount.app = app_with_all(f->db, "blog", "blog.example.com");
	assert_int_equal(db_volume_create(f->db, "blog-more", 0, &mount.volume), 0);
	assert_int_equal(db_volume_set_whole(f->db, mount.volume, true), 0);
	assert_int_equal(db_mount_add(f->db, &mount), 0);
	pair_open(&p, f, "blog");
	assert_int_equal(restore(&p, "blog", as, &did, &e), 0);
	json_decref(did);
	assert_int_equal(db_app_by_name(p.db, as, &a), 0);
	assert_int_equal(db_mount_list(p.db, a.id, &mounts), 2);
	for (int i = 0; i < 2; i++) {
		assert_true(name_valid(mounts[i].volume_name));
		assert_int_equal(strncmp(mounts[i].volume_name, as, 54), 0);
	}
	free(mounts);
	pair_close(&p);
}

static const char task[] = "0123456789ab";

static void add_task(struct db *db, uint32_t app)
{
	struct db_cron_run r = {.app = app,
		.task = "0123456789ab",
		.command = "x",
		.why = "schedule",
		.actor = "berth",
		.status = "running",
		.due_us = 5};

	assert_int_equal(db_cron_suspend(db, app, task, true), 0);
	assert_int_equal(db_cron_seen(db, app, task, 5), 0);
	assert_int_equal(db_cron_run_add(db, &r), 0);
	assert_int_equal(db_cron_run_started(db, r.id, 77, 1), 0);
}

/* What a run of the backup came to is not known here, and no instance of this host is it. */
static void tasks_come_suspended_as_they_were_and_a_drill_starts_none(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	add_task(f->db, app_with_all(f->db, "blog", "blog.example.com"));
	for (int drill = 0; drill < 2; drill++) {
		struct db_cron_run *runs autofree = NULL, run;
		char *enabled autofree = NULL;
		struct db_cron_task kept;
		struct db_app a;
		struct pair p;
		json_t *did = NULL;

		pair_open(&p, f, NULL);
		assert_int_equal(restore_how(&p, NULL, NULL, drill, &did, &e), 0);
		assert_int_equal(of(did, "differ"), 0);
		json_decref(did);
		assert_int_equal(db_app_by_name(p.db, "blog", &a), 0);
		assert_int_equal(db_cron_task(p.db, a.id, task, &kept), 0);
		assert_true(kept.suspended && kept.seen_us == 5);
		assert_int_equal(db_cron_history(p.db, a.id, task, 9, &runs), 1);
		assert_string_equal(runs[0].status, "lost");
		assert_int_equal(db_cron_run_of(p.db, 77, &run), -ENOENT);
		db_setting_get(p.db, 0, "cron", "enabled", &enabled);
		assert_string_equal(enabled ? enabled : "on", drill ? "off" : "on");
		pair_close(&p);
	}
}

/* Of no app: a drain and a webhook of all, and a snapshot that somebody took. */
static void rows_of_nobody(struct db *db)
{
	struct db_drain drain = {.url = "https://all.example.com/password"};
	struct db_webhook hook = {.url = "https://all.example.com/",
		.secret = "shh",
		.events = HOOK_DEPLOY};
	struct db_snapshot s = {.why = "manual", .message = "secretive"};
	struct db_volume v;
	uint64_t id;

	assert_int_equal(db_drain_add(db, &drain, "secretive authority", &id), 0);
	assert_int_equal(db_webhook_add(db, &hook), 0);
	assert_int_equal(db_volume_by_name(db, "secretive-data", &v), 0);
	s.volume = v.id;
	assert_int_equal(db_snapshot_begin(db, &s), 0);
	assert_int_equal(db_snapshot_ready(db, &s), 0);
}

static void a_copy_of_one_app_has_nothing_of_others(void **state)
{
	struct db_drain *drains autofree = NULL;
	struct db_webhook *hooks autofree = NULL;
	struct fixture *f = *state;
	struct pair p;
	char file[200];
	json_t *layers;
	autobuf text = BUF_INIT;

	app_with_all(f->db, "blog", "blog.example.com");
	app_with_all(f->db, "secretive", "secretive.example.com");
	rows_of_nobody(f->db);
	pair_open(&p, f, "blog");
	assert_int_equal(db_drain_list(p.copy, &drains), 1);
	assert_int_equal(db_webhook_list(p.copy, &hooks), 1);
	assert_int_equal(db_backup_layers(p.copy, &layers), 0);
	assert_int_equal(json_array_size(layers), 2);
	json_decref(layers);
	db_close(p.copy);
	p.copy = NULL;
	snprintf(file, sizeof(file), "%s/copy/berth.db", p.folder);
	assert_int_equal(io_read_file(AT_FDCWD, file, &text), 0);
	assert_null(memmem(text.data, text.len, "secretive", 9));
	assert_non_null(memmem(text.data, text.len, "blog.example.com", 16));
	pair_close(&p);
}

/* Who gets one app with the key of its secrets cannot open the host's with it. */
static void a_copy_of_one_app_has_a_key_of_its_own(void **state)
{
	struct fixture *f = *state;
	struct pair p;
	struct err e = {0};
	struct db_app a;
	uint8_t own[DB_KEY_SIZE];
	char folder[96];

	app_with_all(f->db, "blog", "blog.example.com");
	pair_open(&p, f, "blog");
	db_key(p.copy, own);
	assert_memory_not_equal(own, fixture_key, DB_KEY_SIZE);
	db_close(p.copy);
	p.copy = NULL;
	snprintf(folder, sizeof(folder), "%s/copy", p.folder);
	assert_int_equal(db_open(folder, fixture_key, &p.copy, &e), -EKEYREJECTED);
	assert_int_equal(db_open(folder, own, &p.copy, &e), 0);
	assert_int_equal(db_app_by_name(p.copy, "blog", &a), 0);
	check_app(p.copy, "blog", "blog", "blog-data");
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_whole_host_comes_back_with_its_numbers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			members_come_back_with_their_roles, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			an_app_comes_without_its_members, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			one_app_comes_beside_others_with_numbers_of_its_own, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			a_copy_of_one_app_has_a_key_of_its_own, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			an_app_comes_beside_itself_under_another_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			tasks_come_suspended_as_they_were_and_a_drill_starts_none, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			former_names_lead_where_they_did, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_was_under_way_does_not_go_on_here, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			volumes_of_a_long_new_name_are_told_apart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_copy_of_one_app_has_nothing_of_others, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

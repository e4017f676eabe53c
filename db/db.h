/*
 * The database: one SQLite file, WAL, foreign keys, one connection guarded by one lock.
 * Every function is safe from any thread, blocks for at most a few milliseconds, and
 * returns 0 (or a count) or -errno: -ENOENT no such row, -EEXIST a unique name is taken,
 * -EIO the database refused (the detail is logged). Strings returned are the caller's to
 * free; JSON values are jansson references owned by the caller.
 */
#ifndef DB_DB_H
#define DB_DB_H

#include "lib/base.h"
#include "lib/err.h"
#include "lib/name.h"
#include <jansson.h>

#define DB_RELEASES_KEPT                                                                 \
	10 /* newest releases of an app whose layers stay: what rollback can reach */

struct db;

/*
 * Opens (makes) folder/berth.db, checks it (quick_check), migrates, after a copy. A damaged one is not opened, and e has the
 * steps out of that; nor one whose secrets were encrypted with another key (-EKEYREJECTED).
 */
#define DB_KEY_SIZE 32
int db_open(const char *folder, const uint8_t key[DB_KEY_SIZE], struct db **ret,
	struct err *e);
void db_close(struct db *db);
/*
 * What is written next has its place on the disk already (8 MB beyond the end of the log), so that it succeeds on a full
 * one. Now and then: it is used up.
 */
void db_reserve(struct db *db);
/* What was committed survives a power cut from here on: before it is said to be done, or a
 * file that it does not name any more is removed. A few milliseconds; 0 or -errno. */
int db_settle(struct db *db);
/* A transaction over several calls by this thread; nests not. db_end(ok=false) rolls
 * back. */
int db_begin(struct db *db);
int db_end(struct db *db, bool ok);
/*
 * Once, after db_open: from now on changed(arg, app) is called for each app whose row, domains, settings or names change, or
 * about which a network rule does; app 0: what holds for all. It is called inside the change: who reads afterwards waits for the
 * end of the transaction. It must not call into the database. 0 or -errno.
 */
int db_watch(struct db *db, void (*changed)(void *arg, uint32_t app), void *arg);

/*
 * Before it is opened (db/file.c): -EUCLEAN: it or its log is damaged, or gone although there was one; else it cannot be
 * read and written, with what to do.
 */
int db_file_check(const char *folder, struct err *e);

/*
 * ---- copies (db/copy.c) ----
 * Files of SQLite in folder/copies, each whole and on disk, or not there. They are made
 * beside others' work, over a connection of their own, in time and space of the database
 * (some milliseconds a MB). -ENOSPC, -EIO.
 */
/* YYYY-MM-DD.db, once a day (UTC); the last 7 stay. One of a day to come, of a wrong clock, counts as older than all others. 1: made, 0: it was there. */
int db_copy_daily(const char *folder, uint64_t now_us, struct err *e);
/* version-NNNN.db: as it is before it leaves that version of the schema; the last 3 stay. */
int db_copy_version(const char *folder, uint32_t version, struct err *e);
/* Is there one of either kind? */
bool db_copy_any(const char *folder);
/* Removes all of both kinds, overwritten before: they hold secrets that are encrypted in the database by now. */
int db_copy_forget(const char *folder, struct err *e);
/* Adds to e how the newest copy of a day, else of a version, is put in the place of the database. -EIO. */
int db_copy_advise(const char *folder, struct err *e);

/* ---- apps (db/apps.c) ---- */
enum db_asleep { DB_AWAKE, DB_ASLEEP_STOPPED, DB_ASLEEP_FROZEN };
struct db_app {
	uint32_t id;
	char name[NAME_MAX_LEN + 1];
	char deploy_branch[256];
	bool locked, stopped, removing;
	bool removing_volumes; /* removing, and its volumes go too */
	uint32_t live_version, last_version;
	uint64_t created_us;
	enum db_asleep asleep; /* its web processes only */
	uint64_t asleep_us;    /* since when; 0 while awake */
	char asleep_why[64];
	uint32_t canary_version, canary_percent; /* runs beside the live one; 0: none */
	uint64_t canary_key;			 /* of its cookies */
};
int db_app_create(struct db *db, const char *name, uint32_t *ret_id);
int db_app_by_name(struct db *db, const char *name, struct db_app *ret);
int db_app_by_id(struct db *db, uint32_t id, struct db_app *ret);
/* All, sorted by name. *ret is one allocation, free it. Returns the count. */
int db_app_list(struct db *db, struct db_app **ret);
int db_app_set_branch(struct db *db, uint32_t id, const char *branch);
int db_app_set_locked(struct db *db, uint32_t id, bool on);
int db_app_set_stopped(struct db *db, uint32_t id, bool on);
int db_app_set_removing(struct db *db, uint32_t id, bool with_volumes);
/* From now on; why "" while awake. */
int db_app_set_asleep(struct db *db, uint32_t id, enum db_asleep how, const char *why);
/* Another version has another key; 0, 0: none. db_release_switch ends it too. */
int db_app_set_canary(struct db *db, uint32_t id, uint32_t version, uint32_t percent);
int db_app_delete(
	struct db *db, uint32_t id); /* and all that hangs on it; volumes stay */
/* Of its volumes those that no other app mounts are not whole any more. */
int db_app_delete_with_volumes(struct db *db, uint32_t id);

/* ---- other names (db/names.c) ---- */
/* From then on no other app gets that name. -ENOENT: an app has it, or gets it. */
int db_app_rename_begin(struct db *db, uint32_t id, const char *to);
int db_app_rename_cancel(struct db *db, uint32_t id);
/* It is called so; its events are under the new name, and the former one leads to it for 30 days. */
int db_app_rename_end(struct db *db, uint32_t id);
int db_app_list_renaming(struct db *db, uint32_t **ret); /* ids; count */
/* 1 and the name that it is about to get; 0: none. */
int db_app_renaming(struct db *db, uint32_t id, char to[NAME_MAX_LEN + 1]);
/* The app that was called so and that nobody has taken the name from. -ENOENT. */
int db_app_by_former_name(struct db *db, const char *name, struct db_app *ret);

/*
 * What an app is set to, but for its config, becomes another's: process counts, limits, settings, network rules. Not its
 * canonical hostname. Within a transaction.
 */
int db_app_copy_settings(struct db *db, uint32_t from, uint32_t to);

/* ---- previews (db/previews.c) ---- */
struct db_preview {
	uint32_t app, parent;
	char branch[256], app_name[NAME_MAX_LEN + 1], parent_name[NAME_MAX_LEN + 1];
	uint64_t pushed_us; /* last */
};
int db_preview_add(struct db *db, uint32_t app, uint32_t parent, const char *branch);
int db_preview_pushed(struct db *db, uint32_t app); /* just now */
/* -ENOENT: the app is no preview. */
int db_preview_get(struct db *db, uint32_t app, struct db_preview *ret);
int db_preview_find(
	struct db *db, uint32_t parent, const char *branch, struct db_preview *ret);
/* By parent and branch; parent 0: all. Count. */
int db_preview_list(struct db *db, uint32_t parent, struct db_preview **ret);

/* ---- config (db/config.c) ---- */
/* JSON object KEY -> string; a value that is not UTF-8 is {"base64": "..."}. */
int db_config_get(struct db *db, uint32_t app, json_t **ret);
/* Replaces the whole config. */
int db_config_put(struct db *db, uint32_t app, const json_t *config);
/* Where an older berth was in the middle of a change, config shows what serves again. 0, or -errno of one: the others are done. */
int db_config_settle(struct db *db);

/* ---- images, layers, releases (db/releases.c, db/layers.c) ---- */
struct db_layer {
	uint64_t id;
	char kind[16];
	char key[65];
	uint32_t app;
	bool ready;
	uint64_t size_bytes, created_us, used_us;
	char digest[72]; /* sha256:HEX of its tar; "": nobody asked yet */
	char blob[72];	 /* and of that compressed, as it was last exported; "" */
	uint64_t blob_size;
};
/*
 * A ready layer by key; meta (may be NULL) is JSON. Marks it used, with those that it lies on: the array `below` of its
 * meta. -ENOENT.
 */
int db_layer_find(struct db *db, const char *kind, const char *key, uint64_t *ret_id,
	json_t **ret_meta);
/* The base image of that name is layer id from now on, which is ready; -ENOENT: it is not. */
int db_stack_replace(struct db *db, const char *name, uint64_t id);
int db_layer_begin(
	struct db *db, const char *kind, const char *key, uint32_t app, uint64_t *ret_id);
/* -EEXIST when another build finished the same key first: use that one, drop this one. */
int db_layer_ready(struct db *db, uint64_t id, const json_t *meta, uint64_t size_bytes);
/* berthd counts a layer after it is in use. */
int db_layer_set_size(struct db *db, uint64_t id, uint64_t size_bytes);
int db_layer_set_app(struct db *db, uint64_t id, uint32_t app);
int db_layer_set_digest(struct db *db, uint64_t id, const char *digest);
int db_layer_set_blob(struct db *db, uint64_t id, const char *blob, uint64_t size);
int db_layer_delete(struct db *db, uint64_t id);
/* It is not on disk any more: goes with all that lie on it. -ENOENT. */
int db_layer_delete_lost(struct db *db, uint64_t id);
/* It will not be on disk after the next boot: it and all that lie on it keep their rows, for the images that have them, and are
 * of kind "lost", which no key finds. -ENOENT: it is so already. */
int db_layer_give_up(struct db *db, uint64_t id);
/* Only when it was last used before then: whoever found it since needs it. -ENOENT. */
int db_layer_delete_unused(struct db *db, uint64_t id, uint64_t older_than_us);
int db_layer_get(struct db *db, uint64_t id, struct db_layer *ret, json_t **ret_meta);
int db_layer_list(struct db *db, struct db_layer **ret);

/* ---- what needs which layer (db/disk.c) ---- */
enum db_kept {
	DB_KEPT_USUAL, /* `disk:set releases`, else DB_RELEASES_KEPT */
	DB_KEPT_LEAST, /* `disk:set releases-min`, where it is set */
};
/*
 * Layers (no stacks) that no tag and no kept, live or canary release uses, failed ones aside, nor the live one's
 * next build (Berth.kept of its config, control/builds/own_start.h), nor a layer used since then that lies on them, and that were last used before
 * the time older_than_us; the newest, which may lie on others, first; *ret allocated. Count.
 */
int db_layer_unused(
	struct db *db, enum db_kept kept, uint64_t older_than_us, uint64_t **ret);
/* The other way round: an app for each layer that it needs, 0 for a tag; by layer, then app. Count. */
struct db_need {
	uint64_t layer;
	uint32_t app;
};
int db_layer_needs(struct db *db, struct db_need **ret);
/* How many releases of the app are kept. */
int db_releases_kept(struct db *db, uint32_t app, uint64_t *ret);
/* Of all layers, as far as they were counted. */
int db_layers_size(struct db *db, uint64_t *ret);
/* What the largest of the app's last three builds added, its files aside, as far as that was counted; 0: nothing is known. */
int db_build_size(struct db *db, uint32_t app, uint64_t *ret);
/* Does a build of it run? 1, 0 or -errno. */
int db_build_running(struct db *db, uint32_t app);

struct db_image {
	uint64_t id;
	uint32_t app;
	json_t *layers, *processes, *env, *checks;
	json_t *config; /* {}, or how an image that brings its own start is started (migration 9); NULL: {} */
	char pack[32];
	bool profile_d;
	char commit[65];
	uint64_t created_us;
};
void db_image_clear(struct db_image *i);		/* drops the JSON references */
int db_image_create(struct db *db, struct db_image *i); /* fills i->id */
int db_image_get(struct db *db, uint64_t id, struct db_image *ret);

#define TAG_NAME_MAX 256
struct db_tag {
	char name[TAG_NAME_MAX]; /* NAME:TAG */
	json_t *layers, *config;
	uint64_t created_us;
};
void db_tag_clear(struct db_tag *t);
int db_tag_put(struct db *db, const struct db_tag *t); /* in place of one of that name */
int db_tag_get(struct db *db, const char *name, struct db_tag *ret);
/* Sorted by name. Count; each must be cleared, *ret freed. */
int db_tag_list(struct db *db, struct db_tag **ret);
int db_tag_remove(struct db *db, const char *name); /* -ENOENT */
/* Logins at registries (db/logins.c) */
#define DB_LOGIN_HOST_MAX (HOST_MAX_LEN + 8)
#define DB_LOGIN_USER_MAX 255
#define DB_LOGIN_PASSWORD_MAX                                                            \
	4096 /* tokens in the place of passwords have some hundred bytes */
struct db_login {
	char host[DB_LOGIN_HOST_MAX], user[DB_LOGIN_USER_MAX + 1];
	char *password; /* of db_login_get only */
	uint64_t created_us;
};
void db_login_clear(struct db_login *l);
int db_login_put(struct db *db, const char *host, const char *user, const char *password);
int db_login_get(struct db *db, const char *host, struct db_login *ret); /* -ENOENT */
/* Sorted by host, without passwords. Count; *ret freed. */
int db_login_list(struct db *db, struct db_login **ret);
int db_login_remove(struct db *db, const char *host); /* -ENOENT */

/* Drains of logs (db/drains.c) */
enum db_drain_flags {
	DRAIN_GZIP = 1 << 0,
	DRAIN_INSECURE = 1 << 1, /* any certificate is taken */
	DRAIN_LOCAL = 1 << 2,	 /* root on the host named it: loopback, too */
};
struct db_drain {
	uint64_t id;
	uint32_t app; /* 0: all */
	uint32_t flags;
	char app_name[NAME_MAX_LEN + 1];
	char url[2048]; /* with its password */
	bool has_ca;
	uint64_t created_us;
};
/* Of d: app, url, flags. ca: PEM or "". -EEXIST */
int db_drain_add(
	struct db *db, const struct db_drain *d, const char *ca, uint64_t *ret_id);
int db_drain_list(struct db *db, struct db_drain **ret); /* by id */
/* The caller's; "" when it has none, NULL: out of memory. */
char *db_drain_ca(struct db *db, uint64_t id);
int db_drain_remove(struct db *db, uint64_t id); /* -ENOENT */

/* Webhooks (db/webhooks.c) */
enum db_hook_events {
	HOOK_DEPLOY = 1 << 0,
	HOOK_CRASH = 1 << 1,
	HOOK_DISK = 1 << 2,
	HOOK_CERTIFICATE = 1 << 3,
	HOOK_ALL = (1 << 4) - 1,
};
#define DB_HOOK_SECRET_MAX 256
struct db_webhook {
	uint64_t id;
	uint32_t app; /* 0: all of them, and the host */
	char app_name[NAME_MAX_LEN + 1];
	char url[2048], secret[DB_HOOK_SECRET_MAX + 1]; /* secret "": not signed */
	uint32_t events;				/* enum db_hook_events */
	bool local; /* root on the host named it: loopback, too */
	uint64_t created_us;
};
int db_webhook_add(struct db *db, struct db_webhook *h);     /* fills in id */
int db_webhook_list(struct db *db, struct db_webhook **ret); /* by id */
int db_webhook_get(struct db *db, uint64_t id, struct db_webhook *ret);
int db_webhook_remove(struct db *db, uint64_t id); /* -ENOENT */

#define DB_DELIVERIES_KEPT 20u	   /* of one webhook that are done, */
#define DB_DELIVERIES_WAITING 100u /* and that wait */
#define DB_DELIVERY_BODY_MAX 8192
struct db_delivery {
	uint64_t id, webhook;
	char event[24], body[DB_DELIVERY_BODY_MAX];
	uint64_t created_us, next_us, done_us; /* next 0: no more tries */
	uint32_t attempts, status;	       /* of HTTP; 0: no answer */
	char error[256];		       /* "": none */
};
int db_delivery_add(struct db *db, uint64_t webhook, const char *event, const char *body,
	uint64_t *ret_id);
/* At most 16 whose time has come. Count. */
int db_delivery_due(struct db *db, uint64_t now_us, struct db_delivery **ret);
int db_delivery_next(struct db *db, uint64_t *ret_us); /* when the next one is; 0: none */
int db_delivery_get(struct db *db, uint64_t id, struct db_delivery *ret);
/* Of d: attempts, next_us, status, error, done_us. -ENOENT: its webhook is gone. */
int db_delivery_put(struct db *db, const struct db_delivery *d);
/* The newest 20 of a webhook, newest first. */
int db_delivery_list(struct db *db, uint64_t webhook, struct db_delivery **ret);

bool db_layer_tagged(struct db *db, uint64_t id); /* also when that cannot be read */
/* When the oldest build that runs began; 0: none runs. */
int db_build_oldest(struct db *db, uint64_t *ret_created_us);

struct db_release {
	uint32_t app, version;
	uint64_t image;
	json_t *config;
	char status[16];
	char description[256], actor[144], error[512];
	uint64_t created_us;
};
void db_release_clear(struct db_release *r);
/* Gives the next number, status pending; fills r->version. */
int db_release_create(struct db *db, struct db_release *r);
/* version 0: the live one. -ENOENT when none. */
int db_release_get(struct db *db, uint32_t app, uint32_t version, struct db_release *ret);
/* Newest first, at most limit (0: all). Count; each must be cleared, *ret freed. */
int db_release_list(struct db *db, uint32_t app, uint32_t limit, struct db_release **ret);
/* The commit point: version live, the one before superseded, app.live_version, no canary,
 * one transaction. */
int db_release_switch(struct db *db, uint32_t app, uint32_t version);
int db_release_fail(struct db *db, uint32_t app, uint32_t version, const char *error);
/* The newest release below the live one that was live once; -ENOENT. */
int db_release_previous(struct db *db, uint32_t app, uint32_t *ret_version);
/* The move of a branch that the newest push of an app, or of a preview, is for (db/releases.c). */
struct db_pushed {
	uint32_t app, version; /* its release */
	char ref[256], old[41], new[41];
};
/* Before the release of that push is made, which takes the next number. */
int db_pushed_set(
	struct db *db, uint32_t app, const char *ref, const char *old, const char *new);
/* Of pushes whose release went live, those of the app and of its previews. Count; *ret is the caller's. */
int db_pushed_list(struct db *db, uint32_t app, struct db_pushed **ret);
/* The ref of the app, perhaps the branch of a preview of it, is moved without a release. */
int db_pushed_forget(struct db *db, uint32_t app, const char *ref);
/* Every pending release becomes failed ("berth was interrupted"), every pending mount what it was; start-up. Count of releases. */
int db_release_fail_pending(struct db *db, const char *error);

/* ---- formation, resources, settings, domains, volumes (db/apps.c, db/settings.c,
 * db/volumes.c) ---- */
int db_formation_get(struct db *db, uint32_t app,
	json_t **ret); /* {type: quantity}, only what was set */
int db_formation_set(struct db *db, uint32_t app, const char *type, uint32_t quantity);
struct db_resource {
	/* 0: not set */
	uint64_t memory_bytes, cpu_millis, pids, nofile, scratch_bytes;
	uint64_t io_read_bytes, io_write_bytes; /* a second */
};
int db_resource_get(struct db *db, uint32_t app, const char *type,
	struct db_resource *ret); /* not set: zeros, 0 */
int db_resource_set(
	struct db *db, uint32_t app, const char *type, const struct db_resource *r);
int db_resource_clear(struct db *db, uint32_t app, const char *type);
/* Array of the types for which something is set; "": for the app. */
int db_resource_types(struct db *db, uint32_t app, json_t **ret);
/* Value or NULL in *ret (free). app 0: global. */
int db_setting_get(
	struct db *db, uint32_t app, const char *topic, const char *key, char **ret);
/* One topic of an app and of all ("0"), or of every app (0): object app id as text -> key -> value. */
int db_setting_topic(struct db *db, const char *topic, uint32_t app, json_t **ret);
int db_setting_set(struct db *db, uint32_t app, const char *topic, const char *key,
	const char *value); /* NULL: unset */
/* app 0: global. JSON array of names. */
int db_domain_list(struct db *db, uint32_t app, json_t **ret);
struct db_domain {
	uint32_t app; /* 0: global */
	char name[HOST_MAX_LEN + 1];
};
/* Those of an app and the global ones, or of every app (0), sorted by app, then name. Count. */
int db_domain_all(struct db *db, uint32_t app, struct db_domain **ret);
/* The app's part of that list: its first row and how many. */
const struct db_domain *db_domain_part(
	const struct db_domain *list, int n, uint32_t app, int *ret_n);
int db_domain_add(
	struct db *db, uint32_t app, const char *name); /* -EEXIST: another app has it */
int db_domain_remove(struct db *db, uint32_t app, const char *name);
int db_domain_owner(struct db *db, const char *name, uint32_t *ret_app);

/* While a release is made that mounts a volume, or no more: which of the two has it. */
enum db_pending { DB_SETTLED, DB_COMES, DB_GOES };
struct db_mount {
	uint64_t volume;
	char volume_name[NAME_MAX_LEN + 1];
	uint32_t app;
	char path[256];
	bool read_only;
	enum db_pending pending;
	char type[32]; /* the only process type that has it; "": all */
};
struct db_volume {
	uint64_t id;
	char name[NAME_MAX_LEN + 1];
	uint64_t created_us;
	bool whole; /* else it is being made or removed, and goes at the next start */
	uint64_t size_bytes; /* as asked for; 0: none */
};
int db_volume_create(
	struct db *db, const char *name, uint64_t size_bytes, uint64_t *ret_id);
int db_volume_resize(struct db *db, uint64_t id, uint64_t size_bytes);
/* -ENOENT: there is none of that id. */
int db_volume_by_id(struct db *db, uint64_t id, struct db_volume *ret);
int db_volume_by_name(struct db *db, const char *name, struct db_volume *ret);
int db_volume_list(struct db *db, struct db_volume **ret);
int db_volume_delete(struct db *db, uint64_t id); /* -EBUSY while mounted */
/* A new one is not, and cannot be mounted. -EBUSY while mounted. */
int db_volume_set_whole(struct db *db, uint64_t id, bool whole);
int db_mount_list(struct db *db, uint32_t app, struct db_mount **ret); /* app 0: all */
int db_mount_add(struct db *db,
	const struct db_mount *m); /* -EEXIST: path taken; -ENOENT: no such volume */
int db_mount_remove(struct db *db, uint32_t app, uint64_t volume);
/* The switch settles it, db_release_fail_pending takes it back. -ENOENT. */
int db_mount_set_pending(
	struct db *db, uint32_t app, uint64_t volume, enum db_pending pending);

/* ---- snapshots of volumes (db/snapshots.c) ---- */
struct db_snapshot {
	uint64_t id, volume;
	uint32_t app, release; /* whose release it was replaced at; 0: none */
	uint64_t created_us, files, bytes, added_bytes;
	uint64_t pause_us; /* how long the app was held for it */
	char why[16];	   /* manual, release, rollback, restore, import, export */
	char message[256];
	bool ready;
};
/* Takes id and created_us from the row. */
int db_snapshot_begin(struct db *db, struct db_snapshot *s);
/* It is on disk: sets files, bytes, added_bytes, pause_us. */
int db_snapshot_ready(struct db *db, const struct db_snapshot *s);
/* It is what the volume was when that release of the app was replaced. */
int db_snapshot_tie(struct db *db, uint64_t id, uint32_t app, uint32_t release);
int db_snapshot_delete(struct db *db, uint64_t id);
/* Those of a volume that are on disk, newest first. Count; *ret is one allocation. */
int db_snapshot_list(struct db *db, uint64_t volume, struct db_snapshot **ret);
/* -ENOENT: none of this volume with that id. */
int db_snapshot_get(struct db *db, uint64_t volume, uint64_t id, struct db_snapshot *ret);
/* The newest one of the volume taken when that release of the app was replaced. -ENOENT. */
int db_snapshot_of_release(struct db *db, uint64_t volume, uint32_t app, uint32_t release,
	struct db_snapshot *ret);
/*
 * Those that may go: beyond the newest `keep` of the volume, older than keep_days, and not of a release that is kept
 * (the newest `kept_releases` of its app and the live one). Count.
 */
int db_snapshot_surplus(struct db *db, uint64_t volume, uint64_t now_us, uint64_t **ret);
/* Rows without a snapshot, and for exports, that were begun before then go: whoever made them is gone. */
int db_snapshot_drop_unready(struct db *db, uint64_t before_us);

#define DB_SNAPSHOTS_KEPT 10u
struct db_volume_snapshots {
	uint32_t keep, keep_days;
	bool automatic;
	uint64_t undo; /* a restore is under way: this snapshot undoes it; 0 */
};
/* What was not set has its default. */
int db_volume_snapshots(struct db *db, uint64_t volume, struct db_volume_snapshots *ret);
/* keep, keep_days and automatic. */
int db_volume_set_snapshots(
	struct db *db, uint64_t volume, const struct db_volume_snapshots *s);
int db_volume_set_undo(struct db *db, uint64_t volume, uint64_t undo);
/* Volumes whose restore is under way. Count; *ret ids. */
int db_volume_undone(struct db *db, uint64_t **ret);

/* ---- networks (db/network.c) ---- */
struct db_net_rule {
	uint32_t app;
	bool allow;
	bool builds;   /* for its builds, not for its instances */
	char kind[12]; /* app address host internet */
	char target[HOST_MAX_LEN +
		    1];	     /* as addr_format writes it; a host name; else "" */
	uint32_t target_app; /* of kind app; else 0 */
	uint32_t protocol, first_port, last_port; /* 0: all */
};
int db_net_rule_list(struct db *db, uint32_t app, struct db_net_rule **ret); /* 0: all */
/* One of the same target, protocol and ports is replaced. -ENOENT: an app is gone. */
int db_net_rule_put(struct db *db, const struct db_net_rule *r);
/* Those of that target; ports: only of the same protocol and ports. Count. */
int db_net_rule_remove(struct db *db, const struct db_net_rule *r, bool ports);
int db_net_rule_clear(struct db *db, uint32_t app, bool builds); /* count */
int db_net_rule_about(struct db *db, uint32_t target_app, struct db_net_rule **ret);
/* Apps that another may call, rising; app 0: all, else only that one. Count. */
int db_net_called(struct db *db, uint32_t app, uint32_t **ret);
struct db_net_name {
	uint32_t number, app;
	char type[32];
};
int db_net_name_list(struct db *db, uint32_t app, struct db_net_name **ret); /* 0: all */
/* Gives it a number. -EEXIST: it has one, -ENOSPC: all are used, -ENOENT: no such app. */
int db_net_name_add(struct db *db, uint32_t app, const char *type);
struct db_net_address {
	char address[64];
	uint64_t seen_us;
};
/* Newest first. */
int db_net_address_list(struct db *db, const char *host, struct db_net_address **ret);
int db_net_address_seen(
	struct db *db, const char *host, const char *address, uint64_t time_us);
/* Drops the host's that were last seen before then. */
int db_net_address_prune(struct db *db, const char *host, uint64_t before_us);
/* Drops those of hosts without a rule that were last seen before then. */
int db_net_address_sweep(struct db *db, uint64_t before_us);

/* ---- instances (db/instances.c) ---- */
struct db_instance {
	uint64_t id;
	uint32_t app, number, version, restarts, oom_kills;
	char kind[8]; /* app run cron build check: a command that checks an instance */
	char type[32], state[12], reason[160];
	uint64_t started_us, exited_us;
	bool final; /* ended, and its policy wanted no restart */
	/* of one-offs */
	bool detached;
	char command[256]; /* cut */
	char actor[128];
};
int db_instance_create(
	struct db *db, struct db_instance *i); /* state starting; fills id */
int db_instance_state(struct db *db, uint64_t id, const char *state);
int db_instance_exit(struct db *db, uint64_t id, const char *reason, uint64_t time_us);
int db_instance_set_final(struct db *db, uint64_t id);
/* Of its processes, since its start; never less than before. 1 when it is more than was
 * known. */
int db_instance_oom(struct db *db, uint64_t id, uint32_t kills);
int db_instance_get(struct db *db, uint64_t id, struct db_instance *ret);
/* The newest of kind "app" in one place of a release; -ENOENT. */
int db_instance_last(struct db *db, uint32_t app, const char *type, uint32_t number,
	uint32_t version, struct db_instance *ret);
int db_instance_list(struct db *db, uint32_t app, bool with_exited,
	struct db_instance **ret); /* app 0: all */
int db_instance_delete(struct db *db, uint64_t id);
/* Drops ended rows but the newest 50 of each app. */
int db_instance_prune(struct db *db);

/* ---- liveness checks (db/releases.c) ---- */
struct db_checks_app {
	uint32_t app;
	json_t *checks; /* the app.json of its live release: a reference */
};
/* Apps whose live release may have some. Count. */
int db_liveness_apps(struct db *db, struct db_checks_app **ret);

/* ---- scheduled tasks (db/cron.c) ---- */
#define DB_CRON_ID 13 /* twelve hex digits and NUL */
#define DB_CRON_KEPT                                                                     \
	50u /* newest runs of a task; those of what is no task any more, of an app */
struct db_cron_run {
	uint64_t id, instance;
	uint32_t app, number, version, times;
	char task[DB_CRON_ID], command[256], why[12], actor[128], status[12], reason[160],
		ending[12];
	uint64_t due_us, started_us, ended_us, limit_us;
};
/* {app id, version, cron: the array} of each app whose live release has tasks. Count; each cron is a reference. */
struct db_cron_app {
	uint32_t app, version;
	json_t *cron;
};
int db_cron_apps(struct db *db, struct db_cron_app **ret);
/* What is kept of a task; nothing is: zeros. */
struct db_cron_task {
	bool suspended;
	uint64_t seen_us;
};
int db_cron_task(struct db *db, uint32_t app, const char *task, struct db_cron_task *ret);
int db_cron_suspend(struct db *db, uint32_t app, const char *task, bool on);
/* Never back. */
int db_cron_seen(struct db *db, uint32_t app, const char *task, uint64_t seen_us);
/* Of tasks that are no more, and not suspended: all but those, [[app, task], ...]. */
int db_cron_forget(struct db *db, const json_t *tasks);
/* A run that begins, or (status skipped) does not: one more of the same reason in a row is counted on the last one. Fills id. */
int db_cron_run_add(struct db *db, struct db_cron_run *r);
int db_cron_run_started(struct db *db, uint64_t id, uint64_t instance, uint32_t number);
/* berth ends it: why. -ENOENT: it ended. */
int db_cron_run_ending(struct db *db, uint64_t id, const char *why);
/* Also of one that was thought to be lost. -ENOENT: it has an end. */
int db_cron_run_end(struct db *db, uint64_t id, const char *status, const char *reason,
	uint64_t time_us);
int db_cron_run_get(struct db *db, uint64_t id, struct db_cron_run *ret);
/* The one of that sandbox which has no end, or was thought to be lost. -ENOENT. */
int db_cron_run_of(struct db *db, uint64_t instance, struct db_cron_run *ret);
int db_cron_running(struct db *db, uint32_t app,
	struct db_cron_run **ret); /* 0: all; oldest first. Count */
/* Newest first; task NULL: all. Count. */
int db_cron_history(struct db *db, uint32_t app, const char *task, uint32_t limit,
	struct db_cron_run **ret);

/* ---- certificates (db/certs.c) ---- */
struct db_cert {
	uint32_t app;
	char name[NAME_MAX_LEN + 1]; /* "": the automatic one */
	char key_file[33];	     /* in control's folder certs/ */
	json_t *names;		     /* array */
	char *chain;		     /* PEM */
	uint64_t from_us, until_us, created_us;
};
void db_cert_clear(struct db_cert *c);
void db_cert_free(struct db_cert *list, int n); /* of db_cert_list */
/* By app and name; app 0: all. Count. */
int db_cert_list(struct db *db, uint32_t app, struct db_cert **ret);
int db_cert_get(struct db *db, uint32_t app, const char *name, struct db_cert *ret);
/* Takes the place of the one of that name. -ENOENT: the app is gone. */
int db_cert_put(struct db *db, const struct db_cert *c);
int db_cert_delete(struct db *db, uint32_t app, const char *name);

struct db_acme {
	uint32_t app;
	bool forced;		     /* although none is due */
	uint32_t failures;	     /* since the last success */
	uint64_t tried_us, after_us; /* the last try; the next one is not before */
	char error[512];	     /* "" after a success */
};
int db_acme_list(struct db *db, uint32_t app, struct db_acme **ret); /* 0: all. Count */
int db_acme_get(struct db *db, uint32_t app, struct db_acme *ret);
int db_acme_enable(struct db *db, uint32_t app); /* 1, 0: it was already, -ENOENT */
int db_acme_disable(struct db *db, uint32_t app);
int db_acme_save(
	struct db *db, const struct db_acme *a); /* -ENOENT: disabled meanwhile */
/* names: of all orders as one text, the same for the same names. */
int db_order_begin(struct db *db, uint32_t app, const char *names, uint64_t time_us,
	uint64_t *ret_id);
int db_order_issued(struct db *db, uint64_t id);
int db_order_prune(struct db *db, uint64_t before_us);
enum db_orders {
	ORDERS_ALL,
	ORDERS_REFUSED, /* of the app, without a certificate at the end */
	ORDERS_ISSUED,	/* for these names, by whatever app */
};
/* When the nth newest of them (1: the newest) was; 0 when there are fewer. */
int db_order_time(struct db *db, enum db_orders which, uint32_t app, const char *names,
	uint32_t nth, uint64_t *ret_us);

/* ---- members, what they may, their tokens (db/access.c) ---- */
enum role { ROLE_NONE, ROLE_VIEW, ROLE_LOGS, ROLE_DEPLOY, ROLE_ADMIN, ROLES };

struct db_member {
	uint32_t id, keys; /* how many ssh keys */
	char name[NAME_MAX_LEN + 1];
	uint64_t created_us;
};
int db_member_add(struct db *db, const char *name, uint32_t *ret_id); /* -EEXIST */
int db_member_by_name(
	struct db *db, const char *name, struct db_member *ret); /* -ENOENT */
/* With its keys, roles and tokens. -ENOENT. */
int db_member_remove(struct db *db, uint32_t id);
int db_member_list(struct db *db, struct db_member **ret); /* by name */

struct db_grant {
	uint32_t member, app; /* app 0: all apps and the host */
	enum role role;
	char member_name[NAME_MAX_LEN + 1], app_name[NAME_MAX_LEN + 1]; /* app 0: "" */
};
/* In place of the role that was there. */
int db_grant_put(struct db *db, uint32_t member, uint32_t app, enum role role);
int db_grant_remove(struct db *db, uint32_t member, uint32_t app); /* -ENOENT */
/* Of one member (0: of all), by member and app. */
int db_grant_list(struct db *db, uint32_t member, struct db_grant **ret);
/* Members other than that one who may do everything and have a key. Count or -errno. */
int db_admins_beside(struct db *db, uint32_t member);

#define DB_TOKEN_HASH 32u
struct db_token {
	uint64_t id;
	uint32_t member, app;			  /* app 0: every one of its member's */
	enum role role;				  /* at most this one */
	uint64_t created_us, expires_us, used_us; /* 0: never */
	char name[NAME_MAX_LEN + 1], member_name[NAME_MAX_LEN + 1],
		app_name[NAME_MAX_LEN + 1];
};
/* Fills in id and created_us. -EEXIST: the name is taken. */
int db_token_add(
	struct db *db, struct db_token *t, const uint8_t hash[static DB_TOKEN_HASH]);
/* -ENOENT. */
int db_token_find(
	struct db *db, const uint8_t hash[static DB_TOKEN_HASH], struct db_token *ret);
int db_token_get(struct db *db, uint64_t id, struct db_token *ret); /* -ENOENT */
int db_token_used(struct db *db, uint64_t id, uint64_t when_us);
int db_token_remove(struct db *db, uint64_t id);	 /* -ENOENT */
int db_token_list(struct db *db, struct db_token **ret); /* by member and name */

int db_volume_set_maker(struct db *db, uint64_t volume, uint32_t member);
int db_volume_maker(struct db *db, uint64_t volume, uint32_t *ret); /* 0: nobody */

/* ---- builds, keys, events (db/builds.c, db/people.c) ---- */
/* what: push, rebuild */
int db_build_create(struct db *db, uint32_t app, const char *what, const char *commit,
	const char *actor, uint64_t *ret_id);
int db_build_finish(struct db *db, uint64_t id, const char *status, uint32_t version,
	const char *output);
int db_build_list(
	struct db *db, uint32_t app, json_t **ret); /* newest first, 50, without output */
/* Of all that are kept those that failed, so too; at most so many. */
int db_build_list_failed(struct db *db, uint32_t app, uint32_t most, json_t **ret);
int db_build_get(struct db *db, uint32_t app, uint64_t id, json_t **ret);
/* What a build printed may be any bytes; JSON takes only UTF-8, so then every byte beyond ASCII becomes '?'. */
json_t *db_text_json(const char *text);
int db_build_fail_running(struct db *db); /* start-up: running ones become failed */

struct db_key {
	uint32_t id, member;
	char name[NAME_MAX_LEN + 1], type[40], blob[1024], fingerprint[64];
};
/* name: of its member; a new one may do everything. Fills in the ids. -EEXIST: the same key is there. */
int db_key_add(struct db *db, struct db_key *k);
int db_key_remove(struct db *db, const char *name); /* all of that name; count */
int db_key_delete(struct db *db, uint32_t id);
int db_key_list(struct db *db, struct db_key **ret);
int db_key_get(struct db *db, uint32_t id, struct db_key *ret);

/* ---- the audit trail (db/events.c): it names apps, and is there when they are gone ---- */
#define DB_EVENTS_KEPT 50000u /* the newest, */
#define DB_EVENTS_DAYS 400u   /* and no longer than that */
struct db_event {
	const char *actor, *what;
	const char *app;    /* NULL: none */
	const char *detail; /* what was asked for, without secrets; NULL: nothing */
	const char *
		outcome; /* "ok", "refused: WHY", "failed: WHY"; of berth's own deeds a reason */
};
int db_event_add(struct db *db, const struct db_event *e);
/* What berth does to an app by itself, which may be often: the newest ones are kept. */
#define DB_OWN_EVENTS_KEPT 100u
int db_event_add_own(
	struct db *db, const char *what, const char *app, const char *outcome);
struct db_event_query {
	const char *app;   /* NULL: all */
	uint64_t since_us; /* not before then */
	uint64_t after;	   /* ids greater than that */
	uint32_t limit;	   /* 0: 1000, which is the most */
	bool rising; /* the first ones, oldest first; else the last ones, newest first */
	const char *
		apps; /* NULL: all; a JSON list of ids: of these, whatever each was called then */
};
int db_event_list(struct db *db, const struct db_event_query *want, json_t **ret);
/* An eventfd that becomes readable when events were added, until db_event_unwatch. fd, -EBUSY: too many, or -errno. */
#define DB_EVENT_WATCHERS_MAX 64
int db_event_watch(struct db *db);
void db_event_unwatch(struct db *db, int fd);

#endif

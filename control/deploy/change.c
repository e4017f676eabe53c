/* A release out of what is there: with the config as it stands now, or an earlier one again. */
#include "control/config.h"
#include "control/deploy/deploy.h"
#include "control/deploy/release.h"
#include "control/deploy/release_data.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int config_locked(struct deploy *d, void *description, struct err *e)
{
	struct db_release live = {0};

	if (!d->app.live_version)
		return 0; /* used by the first release */
	int r = release_load(d->c, &d->app, 0, &live, &d->image, e);
	db_release_clear(&live);
	if (r == 0)
		r = deploy_config_load(d, e);
	return r < 0 ? r : deploy_finish(d, deploy_release(d, description, e), e);
}

int deploy_config(struct control *c, uint32_t app, const char *description,
	const char *actor, struct sink *s, struct err *e)
{
	struct deploy d = {.c = c, .s = s, .app.id = app, .actor = actor};

	return deploy_run(&d, config_locked, (void *)(uintptr_t)description, e);
}

static int release_change(struct deploy *d, const struct config_change *ch, struct err *e)
{
	struct db_release live = {0};
	char keys[200], description[256];

	config_describe(d->config_before, d->release.config, keys, sizeof(keys));
	snprintf(description, sizeof(description), "%s%s", ch->why ? ch->why : "", keys);
	if (ch->replace)
		sink_step(d->s, "%s", keys);
	int r = release_load(d->c, &d->app, 0, &live, &d->image, e);
	db_release_clear(&live);
	if (r == 0)
		r = deploy_finish(d, deploy_release(d, description, e), e);
	if (r < 0)
		sink_fail(d->s, "the config is as before");
	return r;
}

static int change_locked(struct deploy *d, void *arg, struct err *e)
{
	const struct config_change *ch = arg;
	int r = deploy_config_load(d, e);

	if (r == 0)
		r = deploy_config_set(d, ch, e);
	if (r < 0)
		return r;
	if (json_object_size(d->config_before))
		return release_change(d, ch, e);
	sink_line(d->s, "no change");
	return 0;
}

int deploy_config_change(struct control *c, uint32_t app, const struct config_change *ch,
	const char *actor, struct sink *s, struct err *e)
{
	struct deploy d = {.c = c, .s = s, .app.id = app, .actor = actor};

	return deploy_run(&d, change_locked, (void *)(uintptr_t)ch, e);
}

/* Which it is: that of the version, else the one before. */
static int find_earlier(
	struct deploy *d, uint32_t version, struct db_release *from, struct err *e)
{
	if (version == 0 && db_release_previous(d->c->db, d->app.id, &version) < 0)
		return err_set(e, ENOENT, "%s has no earlier release to go back to",
			d->app.name);
	if (version == d->app.live_version)
		return err_set(e, EINVAL, "v%u is the release that serves", version);
	int r = release_load(d->c, &d->app, version, from, &d->image, e);
	if (r == 0 && strcmp(from->status, "failed") == 0)
		return err_set(e, EINVAL,
			"v%u failed and never served; `berth releases %s` lists the "
			"others",
			version, d->app.name);
	return r;
}

struct rollback {
	uint32_t version;
	bool with_data;
};

static int rollback_locked(struct deploy *d, void *arg, struct err *e)
{
	const struct rollback *b = arg;
	struct db_release from = {0};
	char description[64];
	int r = find_earlier(d, b->version, &from, e);

	if (r == 0 && b->with_data) {
		d->data_version = from.version;
		r = release_data_check(d->c, &d->app, from.version, e);
	}
	/* The config goes back too: what serves is what config shows. */
	if (r == 0)
		r = deploy_config_load(d, e);
	if (r == 0) {
		const struct config_change ch = {.set = from.config, .replace = "*"};
		r = deploy_config_set(d, &ch, e);
	}
	if (r == 0) {
		snprintf(description, sizeof(description), "Rollback to v%u%s",
			from.version, b->with_data ? " with its data" : "");
		r = deploy_finish(d, deploy_release(d, description, e), e);
	}
	db_release_clear(&from);
	return r;
}

int deploy_rollback(struct control *c, uint32_t app, uint32_t version, bool with_data,
	const char *actor, struct sink *s, struct err *e)
{
	struct rollback b = {version, with_data};
	struct deploy d = {.c = c, .s = s, .app.id = app, .actor = actor};

	return deploy_run(&d, rollback_locked, &b, e);
}

/* Running instances as a person orders them: scale, restart, stop, start. */
#include "control/applock.h"
#include "control/data/space.h"
#include "control/deploy/canary.h"
#include "control/deploy/rollout.h"
#include "control/engine.h"
#include "control/logs/applog.h"
#include "control/run/fleet.h"
#include "control/run/sleep.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct ps {
	struct control *c;
	struct db_app app;
	struct db_release release;
	struct db_image image;
	struct sink *s;
};

/* Under the app's lock: 1 with the live release, 0 when there is none yet, -errno. */
static int load(struct ps *p, uint32_t app, struct err *e)
{
	int r = db_app_by_id(p->c->db, app, &p->app);

	if (r == 0 && p->app.removing)
		return err_set(e, ENOENT, "%s is being destroyed", p->app.name);
	if (r == 0 && p->app.live_version == 0)
		return 0;
	if (r == 0)
		r = db_release_get(p->c->db, app, 0, &p->release);
	if (r == 0)
		r = db_image_get(p->c->db, p->release.image, &p->image);
	return r < 0 ? err_sys(e, -r, "read the live release") : 1;
}

static void unload(struct ps *p)
{
	db_release_clear(&p->release);
	db_image_clear(&p->image);
}

enum act { ACT_SCALE, ACT_RESTART, ACT_STOP, ACT_START };

static void stop_all(struct ps *p)
{
	struct member *m autofree = NULL;
	int n = fleet_list(p->c, p->app.id, NULL, &m);

	for (int i = 0; i < n; i++)
		fleet_retire(p->c, &m[i].id, 1);
	routes_refresh(p->c, NULL);
	fleet_stop(p->c, m, (unsigned int)n);
}

static int act_loaded(struct ps *p, enum act act, const char *type, struct err *e)
{
	struct rollout roll = {.app = &p->app,
		.release = &p->release,
		.image = &p->image,
		.type = type,
		.s = p->s};

	switch (act) {
	case ACT_SCALE:
		return rollout_scale(p->c, &roll, e);
	case ACT_RESTART:
		sink_step(p->s, "Restarting %s", type ? type : p->app.name);
		return space_for_start(p->c, e) < 0 ? -ENOSPC
						    : rollout_run(p->c, &roll, e);
	case ACT_STOP:
		sink_step(p->s, "Stopping %s", p->app.name);
		stop_all(p);
		return 0;
	case ACT_START:
		sink_step(p->s, "Starting %s", p->app.name);
		return rollout_scale(p->c, &roll, e);
	}
	return 0;
}

static int act(struct control *c, uint32_t app, enum act what, const char *type,
	struct sink *s, struct err *e)
{
	struct ps p = {.c = c, .s = s};
	int r = applock_take(app, s, e);

	if (r < 0)
		return r;
	if (what == ACT_STOP)
		sleep_over(c, app, "to be stopped");
	/* The wish is recorded first: a berth that dies here continues with it. */
	if (what == ACT_STOP || what == ACT_START)
		r = db_app_set_stopped(c->db, app, what == ACT_STOP);
	r = r == -ENOENT ? err_set(e, ENOENT, "the app was destroyed meanwhile")
	    : r < 0	 ? err_sys(e, -r, "record it")
			 : load(&p, app, e);
	if (r == 0)
		sink_detail(s, "no release yet: it takes effect with the first push");
	if (r > 0 && what == ACT_START && p.app.asleep) {
		r = sleep_wake(c, app, "ps:start", e);
		p.app.asleep = DB_AWAKE;
	}
	if (r >= 0 && p.app.live_version)
		r = act_loaded(&p, what, type, e);
	if (r >= 0 && what != ACT_STOP && (!type || strcmp(type, "web") == 0))
		canary_follow(c, &p.app, what == ACT_RESTART, s);
	unload(&p);
	applock_drop(app);
	return r;
}

int ps_apply(struct control *c, uint32_t app, struct sink *s, struct err *e)
{
	return act(c, app, ACT_SCALE, NULL, s, e);
}

int ps_restart(
	struct control *c, uint32_t app, const char *type, struct sink *s, struct err *e)
{
	return act(c, app, ACT_RESTART, type, s, e);
}

int ps_stop(struct control *c, uint32_t app, struct sink *s, struct err *e)
{
	return act(c, app, ACT_STOP, NULL, s, e);
}

int ps_start(struct control *c, uint32_t app, struct sink *s, struct err *e)
{
	return act(c, app, ACT_START, NULL, s, e);
}

/* For tests of what runs: an app with a live release, over a database of the test's own. */
#ifndef CONTROL_RUN_FIXTURE_H
#define CONTROL_RUN_FIXTURE_H

#include "control/member.h"
#include "db/fixture.h"

/* For a fleet_list in the place of the real one: the app's web.1, ready, of release 1. */
static UNUSED int only_web(uint64_t id, uint32_t app, struct member **ret)
{
	*ret = calloc(1, sizeof(**ret));
	assert_non_null(*ret);
	**ret = (struct member){.id = id,
		.app = app,
		.version = 1,
		.number = 1,
		.type = "web",
		.state = MEMBER_READY};
	return 1;
}

/* Its release 1, whose app.json has such health checks for web. */
static uint32_t live_app(struct db *db, const char *name, const char *checks)
{
	struct db_image i = {.layers = json_array(),
		.processes = json_pack("{s:s}", "web", "w"),
		.env = json_object(),
		.checks = json_pack(
			"{s:{s:o}}", "healthchecks", "web", json_loads(checks, 0, NULL)),
		.pack = "p",
		.commit = "c"};
	struct db_release r = {.config = json_object()};

	assert_int_equal(db_app_create(db, name, &i.app), 0);
	r.app = i.app;
	assert_int_equal(db_image_create(db, &i), 0);
	r.image = i.id;
	assert_int_equal(db_release_create(db, &r), 0);
	assert_int_equal(db_release_switch(db, r.app, r.version), 0);
	db_image_clear(&i);
	db_release_clear(&r);
	return r.app;
}

#endif

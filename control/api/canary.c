/* The canary of an app: shown, begun, changed, ended. */
#include "control/deploy/canary.h"
#include "control/api/handlers.h"
#include "control/settings.h"
#include <errno.h>
#include <string.h>

int canary_show(struct request *r)
{
	const struct db_app *a = &r->app;

	if (!a->canary_version)
		return request_reply(r, 200,
			json_pack("{s:n, s:n, s:n}", "release", "percent", "instances"));
	return request_reply(r, 200,
		json_pack("{s:I, s:I, s:I}", "release", (json_int_t)a->canary_version,
			"percent", (json_int_t)a->canary_percent, "instances",
			(json_int_t)app_canary_quantity(r->c, a->id, a->canary_percent)));
}

static int check_percent(struct request *r, json_int_t version)
{
	json_int_t percent = json_integer_value(request_json(r, "percent"));

	if (percent >= 1 && percent <= (json_int_t)TABLE_CANARY_MAX)
		return 0;
	request_fail(r, FAIL_USAGE,
		"a canary gets 1 to %u per cent of the new clients, not %lld",
		TABLE_CANARY_MAX, (long long)percent);
	if (percent == 0)
		return request_hint(
			r, "to end it: berth releases:canary %s --off", r->app.name);
	return percent == 100 ? request_hint(r,
					"to put it in the place of the live release: "
					"berth rollback %s v%lld",
					r->app.name, (long long)version)
			      : -1;
}

int canary_check(struct request *r)
{
	uint64_t version;

	if (request_u64(r, "version", 1, UINT32_MAX, 0, &version) < 0 ||
		check_percent(r, (json_int_t)version) < 0)
		return -1;
	return release_check_other(r, (uint32_t)version);
}

int canary_run(struct request *r, struct sink *s, struct err *e)
{
	uint32_t version = (uint32_t)json_integer_value(request_json(r, "version")),
		 percent = (uint32_t)json_integer_value(request_json(r, "percent"));

	return canary_start(r->c, r->app.id, version, percent, s, e);
}

int canary_check_end(struct request *r)
{
	if (r->app.canary_version)
		return 0;
	return request_fail(r, FAIL_CONFLICT, "%s has no canary", r->app.name);
}

int canary_run_end(struct request *r, struct sink *s, struct err *e)
{
	return canary_end(r->c, r->app.id, s, e);
}

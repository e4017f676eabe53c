/* The API noun by noun: what is asked, checked, stored, answered. */
#include "control/api/fixture.h"
#include "control/api/handlers.h"
#include "control/data/snapshot_step.h"
#include "control/network/options.h"
#include "control/settings.h"
#include "db/query.h"

static void unknown_things_are_named(void **state)
{
	struct fixture *f = *state;

	expect(f, "GET", "/v1/version", NULL, 200, "\"version\"");
	expect(f, "GET", "/v1/nothing", NULL, 404, "/v1/nothing");
	expect(f, "PUT", "/v1/apps", NULL, 405, "not possible");
	expect(f, "GET", "/v1/apps?x=1", NULL, 400, "\\\"x\\\"");
	expect(f, "POST", "/v1/apps", "{\"name\":\"a\",\"colour\":1}", 400,
		"unknown field \\\"colour\\\"");
	expect(f, "POST", "/v1/apps", "{}", 400, "name is missing");
	expect(f, "POST", "/v1/apps", "{\"name\":5}", 400, "name must be text");
	expect(f, "POST", "/v1/apps", "{\"name\":\"a\\u0000b\"}", 400,
		"name must be text without NUL");
	expect(f, "POST", "/v1/apps", "{\"name\":", 400, "not JSON");
	expect(f, "POST", "/v1/apps", "[]", 400, "must be a JSON object");
	expect(f, "GET", "/v1/apps/nope", NULL, 404, "\"exit\":20");
	expect(f, "GET", "/v1/apps/..", NULL, 400, "valid app name");
}

static void apps_are_made_listed_and_found_by_similar_names(void **state)
{
	struct fixture *f = *state;

	expect(f, "POST", "/v1/apps", "{\"name\":\"My_App\"}", 400, "lower-case letters");
	expect(f, "POST", "/v1/apps", "{\"name\":\"shop\"}", 201,
		"http://shop.localhost");
	expect(f, "POST", "/v1/apps", "{\"name\":\"shop\"}", 409, "already");
	expect(f, "GET", "/v1/apps", NULL, 200, "\"state\":\"created\"");
	expect(f, "GET", "/v1/apps/hsop", NULL, 404, "did you mean shop?");
	expect(f, "GET", "/v1/apps/shop", NULL, 200, "\"deploy_branch\":null");
	expect(f, "GET", "/v1/events?app=shop", NULL, 200, "apps:create");
	expect(f, "DELETE", "/v1/apps/shop?confirm=other", NULL, 400, "confirmed");
	expect(f, "DELETE", "/v1/apps/shop?confirm=shop&volumes=destroy", NULL, 200,
		"o volumes go\nx 0\n");
	expect(f, "GET", "/v1/apps/shop", NULL, 404, "no-such-app");
}

static void images_have_names_and_a_history(void **state)
{
	struct fixture *f = *state;

	make_released(f, "shop");
	expect(f, "GET", "/v1/images", NULL, 200,
		"\"name\":\"shop:v1\",\"use\":\"live\"");
	expect(f, "GET", "/v1/images/history", NULL, 400, "which image?");
	expect(f, "GET", "/v1/images/history?image=shop", NULL, 200, "exec serve");
	expect(f, "GET", "/v1/images/history?image=shop:v2", NULL, 404, "no release v2");
	expect(f, "GET", "/v1/images/history?image=Shop", NULL, 400,
		"not the name of an");
	expect(f, "POST", "/v1/images/tag", "{\"image\":\"shop\",\"name\":\"a//b\"}", 400,
		"not the name of an image");
	expect(f, "POST", "/v1/images/tag", "{\"image\":\"nope\",\"name\":\"b\"}", 404,
		"there is no image nope:latest");
	expect(f, "POST", "/v1/images/tag",
		"{\"image\":\"shop:v1\",\"name\":\"team/site\"}", 200,
		"team/site:latest");
	expect(f, "GET", "/v1/images/history?image=team/site", NULL, 200,
		"\"name\":\"team/site:latest\"");
	expect(f, "GET", "/v1/images?app=shop", NULL, 200, "shop:v1");
	expect(f, "POST", "/v1/apps/shop/from-image", "{\"image\":\"nope\"}", 404,
		"there is no image nope:latest");
	expect(f, "POST", "/v1/apps/shop/from-image", "{\"image\":\"team/site\"}", 200,
		"team/site by ");
	expect(f, "POST", "/v1/images/import", "{\"cmd\":[1]}", 400, "lists of words");
	expect(f, "POST", "/v1/images/import", "{\"workdir\":\"x\"}", 400, "absolute");
	expect(f, "POST", "/v1/images/import", "{}", 400, "Upgrade");
	expect(f, "DELETE", "/v1/images/tag?image=team/site", NULL, 200, "latest");
	expect(f, "DELETE", "/v1/images/tag?image=team/site", NULL, 404, "no image");
	expect(f, "POST", "/v1/images/prune", "{\"dry_run\":true}", 200, "\"count\":0");
}

/* ---- config ---- */

static void config_changes_make_one_release_each(void **state)
{
	struct fixture *f = *state;

	make_released(f, "shop");
	expect(f, "PATCH", "/v1/apps/shop/config",
		"{\"set\":{\"A\":\"1\",\"B\":\"\"},\"unset\":[\"C\"]}", 200,
		"o        Set A, B by ");
	expect(f, "GET", "/v1/apps/shop/config", NULL, 200, "{\"A\":\"1\",\"B\":\"\"}");
	assert_int_equal(atomic_load(&deploys), 1);
	expect(f, "PATCH", "/v1/apps/shop/config", "{\"set\":{\"A\":\"1\"}}", 200,
		"o no change\nx 0\n");
	assert_int_equal(atomic_load(&deploys), 1);
	expect(f, "PATCH", "/v1/apps/shop/config",
		"{\"set\":{\"A\":\"2\"},\"restart\":false}", 200, "next release");
	assert_int_equal(atomic_load(&deploys), 1);
	expect(f, "PATCH", "/v1/apps/shop/config", "{\"unset\":[\"A\",\"B\"]}", 200,
		"Unset A, B");
	expect(f, "GET", "/v1/apps/shop/config", NULL, 200, "{}");
}

static void a_failed_config_change_is_taken_back(void **state)
{
	struct fixture *f = *state;

	make_released(f, "shop");
	expect(f, "PATCH", "/v1/apps/shop/config", "{\"set\":{\"A\":\"1\",\"B\":\"1\"}}",
		200, "x 0\n");
	atomic_store(&fail_next, true);
	expect(f, "PATCH", "/v1/apps/shop/config",
		"{\"set\":{\"A\":\"2\",\"N\":\"1\"},\"unset\":[\"B\"]}", 200,
		"o  !     web.1 exited with status 3\nx 1\n");
	expect(f, "GET", "/v1/apps/shop/config", NULL, 200, "{\"A\":\"1\",\"B\":\"1\"}");
	expect(f, "GET", "/v1/events", NULL, 200, "failed: web.1 exited");
}

static void config_values_have_limits(void **state)
{
	struct fixture *f = *state;
	autobuf body = BUF_INIT;

	make_released(f, "shop");
	expect(f, "PATCH", "/v1/apps/shop/config", "{\"set\":{\"PORT\":\"1\"}}", 400,
		"PORT cannot be set");
	expect(f, "PATCH", "/v1/apps/shop/config", "{\"set\":{\"A-B\":\"1\"}}", 400,
		"valid config name");
	expect(f, "PATCH", "/v1/apps/shop/config", "{\"set\":{\"A\":\"x\\u0000y\"}}", 400,
		"without NUL");
	expect(f, "PATCH", "/v1/apps/shop/config",
		"{\"set\":{\"A\":{\"base64\":\"AA==\"}}}", 400, "without NUL");
	expect(f, "PATCH", "/v1/apps/shop/config",
		"{\"set\":{\"A\":{\"base64\":\"/w==\"}}}", 200, "x 0");
	expect(f, "GET", "/v1/apps/shop/config", NULL, 200,
		"{\"A\":{\"base64\":\"/w==\"}}");
	buf_adds(&body, "{\"set\":{\"A\":\"");
	for (int i = 0; i < 65537; i++)
		buf_adds(&body, "x");
	buf_adds(&body, "\"}}");
	expect(f, "PATCH", "/v1/apps/shop/config", body.data, 400, "at most 65536");
	buf_reset(&body);
	buf_adds(&body, "{\"set\":{");
	for (int k = 0; k < 5; k++) {
		buf_addf(&body, "%s\"K%d\":\"", k ? "," : "", k);
		for (int i = 0; i < 60000; i++)
			buf_adds(&body, "x");
		buf_adds(&body, "\"");
	}
	buf_adds(&body, "}}");
	expect(f, "PATCH", "/v1/apps/shop/config", body.data, 400, "bytes in all");
}

static void a_locked_app_takes_no_release(void **state)
{
	struct fixture *f = *state;

	make_released(f, "shop");
	expect(f, "POST", "/v1/apps/shop/lock", NULL, 200, "{}");
	expect(f, "PATCH", "/v1/apps/shop/config", "{\"set\":{\"A\":\"1\"}}", 409,
		"apps:unlock shop");
	expect(f, "POST", "/v1/git/shop/access", "{\"service\":\"receive-pack\"}", 409,
		"locked");
	expect(f, "POST", "/v1/git/shop/access", "{\"service\":\"upload-pack\"}", 200,
		"\"created\":false");
	expect(f, "POST", "/v1/apps/shop/unlock", NULL, 200, "{}");
	expect(f, "PATCH", "/v1/apps/shop/config", "{\"set\":{\"A\":\"1\"}}", 200, "x 0");
}

/* ---- the other nouns ---- */

static void scaling_names_the_known_types(void **state)
{
	struct fixture *f = *state;

	make_released(f, "shop");
	expect(f, "POST", "/v1/apps/shop/scale", "{\"formation\":{\"clock\":1}}", 400,
		"its types: web, worker");
	expect(f, "POST", "/v1/apps/shop/scale", "{\"formation\":{\"web\":101}}", 400,
		"0 to 100");
	expect(f, "POST", "/v1/apps/shop/scale", "{\"formation\":{}}", 400, "empty");
	expect(f, "POST", "/v1/apps/shop/scale", "{\"formation\":{\"worker\":2}}", 200,
		"Scaling worker to 2");
	expect(f, "GET", "/v1/apps/shop/ps", NULL, 200,
		"\"command\":\"work\",\"quantity\":2,\"restart\":\"always\"}");
	atomic_store(&fail_next, true);
	expect(f, "POST", "/v1/apps/shop/scale", "{\"formation\":{\"worker\":9}}", 200,
		"x 1");
	expect(f, "GET", "/v1/apps/shop/ps", NULL, 200, "\"quantity\":2");
	expect(f, "POST", "/v1/apps/shop/restart", "{\"process\":\"clock\"}", 400,
		"no process type");
	expect(f, "POST", "/v1/apps/shop/restart", "{\"process\":\"web\"}", 200,
		"o restart web");
}

static void domains_are_lower_case_and_belong_to_one_app(void **state)
{
	struct fixture *f = *state;

	make_released(f, "shop");
	make_released(f, "blog");
	expect(f, "PATCH", "/v1/apps/shop/domains",
		"{\"add\":[\"WWW.Example.com.\",\"*.example.com\"]}", 200,
		"\"domains\":[\"*.example.com\",\"www.example.com\"]");
	assert_int_equal(atomic_load(&refreshes), 1);
	expect(f, "PATCH", "/v1/apps/blog/domains",
		"{\"add\":[\"b.example\",\"www.example.com\"]}", 409,
		"belongs to the app shop");
	expect(f, "GET", "/v1/apps/blog/domains", NULL, 200,
		"\"domains\":[]"); /* nothing half-done */
	expect(f, "PATCH", "/v1/apps/blog/domains", "{\"add\":[\"a_b.example\"]}", 400,
		"is not a hostname");
	expect(f, "PATCH", "/v1/apps/blog/domains", "{\"add\":[\"shop.localhost\"]}", 409,
		"default hostname");
	expect(f, "PATCH", "/v1/apps/shop/domains", "{\"remove\":[\"nope.example\"]}",
		404, "nope.example");
	expect(f, "PATCH", "/v1/domains", "{\"set\":[\"apps.example\"]}", 200,
		"\"global\":[\"apps.example\"]");
	expect(f, "GET", "/v1/apps/blog", NULL, 200, "blog.apps.example");
	/* with the longest name of an app before it a global domain is still a hostname */
	json_t *long_one = json_sprintf("%060d.%060d.%060d.%036d.e", 1, 2, 3, 4);
	json_t *body = json_pack("{s:[o]}", "add", long_one);
	char *text = json_dumps(body, 0);
	expect(f, "PATCH", "/v1/domains", text, 400, "too long for a global domain");
	expect(f, "PATCH", "/v1/apps/shop/domains", text, 200, "domains");
	free(text);
	json_decref(body);
	expect(f, "PATCH", "/v1/apps/shop/domains", "{\"clear\":true}", 200,
		"\"domains\":[]");
}

static void network_rules_are_put_shown_and_cleared(void **state)
{
	struct fixture *f = *state;
	const char *allow = "/v1/apps/blog/network/allow",
		   *deny = "/v1/apps/blog/network/deny", *of = "/v1/apps/blog/network";

	make_released(f, "api");
	make_released(f, "blog");
	expect(f, "GET", of, NULL, 200, "\"internet\":\"allowed\",\"rules\":[]");
	expect(f, "POST", allow, "{\"target\":\"api\",\"ports\":\"5000\"}", 200,
		"{\"verdict\":\"allow\",\"target\":\"app:api\",\"protocol\":\"\","
		"\"ports\":"
		"\"5000\",\"for\":\"instances\"}");
	expect(f, "GET", of, NULL, 200,
		"\"names\":[{\"name\":\"api.internal\",\"address\":\"198.19.240.1\"},{"
		"\"name\":\"worker.api.internal\",\"address\":\"198.19.240.2\"}]");
	expect(f, "GET", "/v1/apps/api/network", NULL, 200, "\"callers\":[\"blog\"]");
	expect(f, "POST", allow, "{\"target\":\"db.example\",\"protocol\":\"tcp\"}", 200,
		"\"target\":\"host:db.example\",\"protocol\":\"tcp\",\"ports\":\"\","
		"\"for\":\"instances\",\"addresses\":[\"192.0.2.1\"]");
	expect(f, "POST", deny, "{\"target\":\"internet\"}", 200,
		"\"internet\":\"denied\"");
	expect(f, "POST", allow, "{\"target\":\"internet\"}", 200,
		"\"internet\":\"allowed\""); /* it takes the place of the other */
	expect(f, "POST", allow, "{\"target\":\"10.0.0.0/8\"}", 200, "10.0.0.0/8");
	expect(f, "GET", "/v1/network", NULL, 200, "\"app\":\"blog\"");
	expect(f, "DELETE", "/v1/apps/blog/network?target=10.0.0.0/8&ports=80", NULL, 404,
		"no such rule");
	expect(f, "DELETE", "/v1/apps/blog/network?target=10.0.0.0/8", NULL, 200,
		"\"internet\"");
	expect(f, "DELETE", "/v1/apps/blog/network?ports=80", NULL, 400, "need a target");
	expect(f, "DELETE", of, NULL, 200, "\"rules\":[]");
	expect(f, "POST", allow, "{\"target\":\"10.0.0.0/8\",\"builds\":true}", 200,
		"\"ports\":\"\",\"for\":\"builds\"}]");
	expect(f, "DELETE", of, NULL, 200, "\"for\":\"builds\"");
	expect(f, "DELETE", "/v1/apps/blog/network?builds=1", NULL, 200, "\"rules\":[]");
	expect(f, "PUT", "/v1/apps/blog/settings/builds", "{\"network\":\"none\"}", 200,
		"\"network\":{\"app\":\"none\"");
	expect(f, "PUT", "/v1/settings/builds", "{\"network\":\"registries\"}", 200, "");
	expect(f, "GET", of, NULL, 200, "\"builds\":\"none\"");
	expect(f, "GET", "/v1/apps/api/network", NULL, 200, "\"builds\":\"registries\"");
	expect(f, "PUT", "/v1/settings/builds", "{\"network\":\"some\"}", 400,
		"internet, registries or none");
	atomic_store(&fail_next, true);
	expect(f, "POST", deny, "{\"target\":\"internet\"}", 500, "not in force");
}

static void a_rule_without_room_leaves_what_was_there(void **state)
{
	struct fixture *f = *state;
	const char *allow = "/v1/apps/blog/network/allow",
		   *deny = "/v1/apps/blog/network/deny", *of = "/v1/apps/blog/network",
		   *web = "{\"target\":\"10.0.0.0/8\",\"ports\":\"80\"}";

	make_released(f, "blog");
	atomic_store(&no_room, true);
	expect(f, "POST", allow, web, 409, "too many addresses");
	expect(f, "GET", of, NULL, 200, "\"rules\":[]");
	expect(f, "POST", deny, web, 200, "deny");
	atomic_store(&no_room, true);
	expect(f, "POST", allow, web, 409, "too many addresses");
	expect(f, "GET", of, NULL, 200,
		"\"rules\":[{\"verdict\":\"deny\",\"target\":\"10.0.0.0/8\"");
}

static void nonsense_about_networks_is_refused(void **state)
{
	struct fixture *f = *state;
	const char *allow = "/v1/apps/blog/network/allow";
	static const struct {
		const char *body, *says;
		int status;
	} rows[] = {
		{"{}", "target is missing", 400},
		{"{\"target\":\"blog\"}", "is the app itself", 400},
		{"{\"target\":\"nosuch\"}", "host:nosuch", 404},
		{"{\"target\":\"app:nosuch\"}", "no app named nosuch", 404},
		{"{\"target\":\"169.254.169.254\"}", "never for apps", 400},
		{"{\"target\":\"fe80::/64\"}", "never for apps", 400},
		{"{\"target\":\"10.1.2.3/8\"}", "did you mean", 400},
		{"{\"target\":\"nope.invalid\"}", "no host of that name", 400},
		{"{\"target\":\"internet\",\"ports\":\"0\"}", "is no port", 400},
		{"{\"target\":\"internet\",\"protocol\":\"sctp\"}", "tcp or udp", 400},
		{"{\"target\":\"internet\",\"port\":\"80\"}", "unknown field", 400},
	};

	make_released(f, "blog");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		expect(f, "POST", allow, rows[i].body, rows[i].status, rows[i].says);
	expect(f, "GET", "/v1/apps/blog/network", NULL, 200, "\"rules\":[]");
	/* a name that cannot be looked up now may be good in a minute */
	expect(f, "POST", allow, "{\"target\":\"later.test\"}", 200, "later.test");
	for (int i = 1; i < 64; i++) {
		char body[64];

		snprintf(body, sizeof(body), "{\"target\":\"10.0.0.%d\"}", i);
		expect(f, "POST", allow, body, 200, "10.0.0.");
	}
	expect(f, "POST", allow, "{\"target\":\"10.0.1.1\"}", 409, "all it can");
	expect(f, "POST", "/v1/apps/blog/network/deny", "{\"target\":\"10.0.0.1\"}", 200,
		"\"deny\",\"target\":\"10.0.0.1\"");
	expect(f, "POST", "/v1/apps/nosuch/network/allow", "{\"target\":\"internet\"}",
		404, "no app named");
}

static void volumes_are_mounted_by_a_release(void **state)
{
	struct fixture *f = *state;

	make_released(f, "shop");
	atomic_store(&fail_next, true);
	expect(f, "POST", "/v1/volumes", "{\"name\":\"data\"}", 500, "disk is full");
	expect(f, "POST", "/v1/volumes", "{\"name\":\"data\"}", 201, "data");
	expect(f, "POST", "/v1/volumes", "{\"name\":\"data\"}", 409, "already");
	expect(f, "POST", "/v1/volumes/data/mount",
		"{\"app\":\"shop\",\"path\":\"data\"}", 400, "absolute");
	expect(f, "POST", "/v1/volumes/data/mount",
		"{\"app\":\"shop\",\"path\":\"/proc/x\"}", 400, "/app/data");
	expect(f, "POST", "/v1/volumes/nope/mount",
		"{\"app\":\"shop\",\"path\":\"/data\"}", 404, "no volume");
	atomic_store(&fail_next, true);
	expect(f, "POST", "/v1/volumes/data/mount",
		"{\"app\":\"shop\",\"path\":\"/data\"}", 200, "x 1");
	expect(f, "GET", "/v1/volumes?app=shop", NULL, 200, "[]");
	expect(f, "POST", "/v1/volumes/data/mount",
		"{\"app\":\"shop\",\"path\":\"/data\"}", 200, "x 0");
	expect(f, "GET", "/v1/volumes?app=shop", NULL, 200, "\"path\":\"/data\"");
	expect(f, "DELETE", "/v1/volumes/data?confirm=data", NULL, 409,
		"mounted by shop at /data");
	expect(f, "POST", "/v1/volumes/data/unmount",
		"{\"app\":\"shop\",\"path\":\"/old\"}", 404,
		"shop has data at /data, not at /old");
	expect(f, "POST", "/v1/volumes/data/unmount",
		"{\"app\":\"shop\",\"path\":\"/data\",\"read_only\":true}", 400,
		"unknown field");
	expect(f, "POST", "/v1/volumes/data/unmount",
		"{\"app\":\"shop\",\"path\":\"/data\"}", 200, "Unmount data");
	expect(f, "DELETE", "/v1/volumes/data", NULL, 400, "confirmed");
	expect(f, "DELETE", "/v1/volumes/data?confirm=data", NULL, 200, "{}");
}

/* Both were told before that they can. */
static void of_two_mounts_at_once_the_second_is_refused(void **state)
{
	struct fixture *f = *state;
	struct request one = {.c = &f->c,
		.access = {.root = true, .most = ROLE_ADMIN},
		.args = {"data"},
		.body = json_pack("{s:s, s:s}", "app", "shop", "path", "/data")};
	struct request other = one;
	struct sink quiet = vault_quiet();
	struct err e = {0};

	expect(f, "POST", "/v1/apps", "{\"name\":\"shop\"}", 201, "shop");
	expect(f, "POST", "/v1/volumes", "{\"name\":\"data\"}", 201, "data");
	other.body = json_pack("{s:s, s:s}", "app", "shop", "path", "/other");
	assert_int_equal(mount_check(&one), 0);
	assert_int_equal(mount_check(&other), 0);
	assert_int_equal(mount_run(&one, &quiet, &e), 0);
	assert_int_equal(mount_run(&other, &quiet, &e), -EEXIST);
	assert_string_equal(e.text, "shop has data already, at /data");
	expect(f, "GET", "/v1/volumes?app=shop", NULL, 200, "\"path\":\"/data\"");
	json_decref(one.body);
	json_decref(other.body);
	free(one.data);
	free(other.data);
}

static void a_volume_with_a_size_only_grows(void **state)
{
	static const char *const bad[] = {
		"0", "1", "15M", "99999T", "-1", "x", "", "2GG"};
	struct fixture *f = *state;
	char body[64];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(body, sizeof(body), "{\"name\":\"data\",\"size\":\"%s\"}",
			bad[i]);
		expect(f, "POST", "/v1/volumes", body, 400,
			"is not a size from 16M to 8T");
	}
	expect(f, "POST", "/v1/volumes", "{\"name\":\"data\",\"size\":\"2T\"}", 409,
		"do not fit");
	expect(f, "POST", "/v1/volumes", "{\"name\":\"data\",\"size\":\"64M\"}", 201,
		"data");
	expect(f, "GET", "/v1/volumes", NULL, 200, "\"size_bytes\":67108864");
	expect(f, "POST", "/v1/volumes/data/resize", "{\"size\":\"32M\"}", 409,
		"data has 64M; a volume only grows");
	expect(f, "POST", "/v1/volumes/data/resize", "{\"size\":\"1G\"}", 200,
		"\"size_bytes\":1073741824");
	expect(f, "POST", "/v1/volumes/nope/resize", "{\"size\":\"1G\"}", 404,
		"no volume");
	expect(f, "POST", "/v1/volumes", "{\"name\":\"plain\"}", 201, "plain");
	expect(f, "POST", "/v1/volumes/plain/resize", "{\"size\":\"1G\"}", 409,
		"plain was made without a size");
}

static void a_volume_may_be_of_one_process_type(void **state)
{
	struct fixture *f = *state;

	make_released(f, "shop");
	expect(f, "POST", "/v1/volumes", "{\"name\":\"data\"}", 201, "data");
	expect(f, "POST", "/v1/volumes", "{\"name\":\"more\"}", 201, "more");
	expect(f, "POST", "/v1/volumes/data/mount",
		"{\"app\":\"shop\",\"path\":\"/data\",\"process_type\":\"nosuch\"}", 400,
		"no process type");
	expect(f, "POST", "/v1/volumes/data/mount",
		"{\"app\":\"shop\",\"path\":\"/data\",\"process_type\":\"web\"}", 200,
		"x 0");
	expect(f, "GET", "/v1/volumes?app=shop", NULL, 200, "\"process_type\":\"web\"");
	expect(f, "POST", "/v1/volumes/more/mount",
		"{\"app\":\"shop\",\"path\":\"/data/in\"}", 409,
		"none may lie in the other");
	expect(f, "POST", "/v1/volumes/more/mount",
		"{\"app\":\"shop\",\"path\":\"/data\"}", 409,
		"has data at /data already");
	expect(f, "POST", "/v1/volumes/more/mount",
		"{\"app\":\"shop\",\"path\":\"/database\"}", 200, "x 0");
}

static void a_writable_volume_is_not_shared_unasked(void **state)
{
	struct fixture *f = *state;

	make_released(f, "shop");
	expect(f, "POST", "/v1/volumes", "{\"name\":\"data\"}", 201, "data");
	expect(f, "POST", "/v1/apps/shop/scale", "{\"formation\":{\"web\":2}}", 200,
		"x 0");
	expect(f, "POST", "/v1/volumes/data/mount",
		"{\"app\":\"shop\",\"path\":\"/data\"}", 409, "overlap on");
	expect(f, "POST", "/v1/apps/shop/scale", "{\"formation\":{\"web\":1}}", 200,
		"x 0");
	expect(f, "POST", "/v1/volumes/data/mount",
		"{\"app\":\"shop\",\"path\":\"/data\"}", 200, "x 0");
	expect(f, "POST", "/v1/apps/shop/scale", "{\"formation\":{\"web\":2}}", 409,
		"overlap on");
	expect(f, "PUT", "/v1/apps/shop/settings/ps", "{\"overlap\":\"on\"}", 200, "on");
	expect(f, "POST", "/v1/apps/shop/scale", "{\"formation\":{\"web\":2}}", 200,
		"x 0");
}

static void a_restart_policy_is_of_an_app_or_of_one_process_type(void **state)
{
	struct fixture *f = *state;

	make_released(f, "shop");
	expect(f, "PUT", "/v1/apps/shop/settings/ps",
		"{\"restart-policy\":\"sometimes\"}", 400, "on-failure:N");
	expect(f, "PUT", "/v1/apps/shop/settings/ps",
		"{\"restart-policy.worker\":\"on-failure:3\"}", 200,
		"\"restart-policy.worker\":{\"app\":\"on-failure:3\"");
	expect(f, "GET", "/v1/apps/shop/ps", NULL, 200, "\"restart\":\"on-failure:3\"");
	expect(f, "PUT", "/v1/settings/ps", "{\"restart-policy\":\"never\"}", 200,
		"never");
	expect(f, "GET", "/v1/apps/shop/ps", NULL, 200, "\"restart\":\"never\"");
	expect(f, "PUT", "/v1/settings/ps", "{\"restart-policy.web\":\"never\"}", 400,
		"only be set for one app");
	expect(f, "PUT", "/v1/apps/shop/settings/ps", "{\"overlap.web\":\"on\"}", 400,
		"there is no setting");
}

static void what_runs_and_what_waits_is_reported(void **state)
{
	struct fixture *f = *state;
	struct member m = {.version = 1,
		.number = 1,
		.type = "web",
		.id = 7,
		.restarts = 2,
		.reason = "out of memory at 256M",
		.state = MEMBER_READY};
	struct db_app app;

	make_released(f, "shop");
	assert_int_equal(db_app_by_name(f->c.db, "shop", &app), 0);
	m.app = app.id;
	m.version = app.live_version;
	fleet_adopt(&f->c, &m);
	expect(f, "GET", "/v1/apps/shop/ps", NULL, 200,
		"\"restarts\":2,\"reason\":\"out of memory at 256M\",\"next_in\":null");
	expect(f, "POST", "/v1/apps/shop/scale", "{\"formation\":{\"worker\":1}}", 200,
		"x 0");
	snprintf(m.type, sizeof(m.type), "worker");
	snprintf(m.reason, sizeof(m.reason), "exit status 3");
	m.id = 0;
	m.state = MEMBER_CRASHED;
	m.due_ns = io_mono_ns() + 950000000000u;
	fleet_adopt(&f->c, &m);
	expect(f, "GET", "/v1/apps/shop/ps", NULL, 200,
		"\"restarts\":1,\"reason\":\"exit status 3\",\"next_in\":9");
	expect(f, "GET", "/v1/ps", NULL, 200,
		"\"running\":1,\"wanted\":2,\"restarts\":3,\"reason\":\"exit status "
		"3\",\"next_in\":9");
	/* One that is not wanted any more is not shown. */
	expect(f, "POST", "/v1/apps/shop/scale", "{\"formation\":{\"worker\":0}}", 200,
		"x 0");
	expect(f, "GET", "/v1/ps", NULL, 200, "\"wanted\":1,\"restarts\":2");
}

static void only_the_built_in_file_server_takes_a_unix_socket_unasked(void **state)
{
	struct fixture *f = *state;

	assert_true(command_serves_files("berth-static --root /app"));
	assert_true(command_serves_files("berth-static"));
	assert_false(command_serves_files("berth-statics"));
	assert_false(command_serves_files("cd x && berth-static"));
	make_released(f, "shop");
	assert_false(app_listens(&f->c, 1, "serve"));
	assert_true(app_listens(&f->c, 1, "berth-static --root /app"));
	expect(f, "PUT", "/v1/apps/shop/settings/ports", "{\"web\":\"unix\"}", 200,
		"unix");
	assert_true(app_listens(&f->c, 1, "serve"));
	assert_int_equal(app_port(&f->c, 1), 5000);
	expect(f, "PUT", "/v1/apps/shop/settings/ports", "{\"web\":\"3000\"}", 200,
		"3000");
	assert_false(app_listens(&f->c, 1, "berth-static --root /app"));
}

static void settings_read_back_with_what_holds(void **state)
{
	struct fixture *f = *state;

	make_released(f, "shop");
	expect(f, "GET", "/v1/apps/shop/settings/ports", NULL, 200,
		"{\"web\":{\"app\":null,\"global\":null,\"computed\":\"5000\"}}");
	expect(f, "PUT", "/v1/apps/shop/settings/ports", "{\"web\":\"70000\"}", 400,
		"1 to 65535");
	expect(f, "PUT", "/v1/apps/shop/settings/ports", "{\"tcp\":\"7\"}", 400,
		"known: web");
	expect(f, "PUT", "/v1/apps/shop/settings/nope", "{}", 404, "nope");
	expect(f, "PUT", "/v1/settings/ports", "{\"web\":\"3000\"}", 200,
		"\"computed\":\"3000\"");
	expect(f, "PUT", "/v1/apps/shop/settings/ports", "{\"web\":\"4000\"}", 200,
		"{\"web\":{\"app\":\"4000\",\"global\":\"3000\",\"computed\":\"4000\"}}");
	expect(f, "PUT", "/v1/apps/shop/settings/ports", "{\"web\":\"unix\"}", 200,
		"\"computed\":\"unix\"");
	expect(f, "PUT", "/v1/apps/shop/settings/ports", "{\"web\":\"\"}", 200,
		"\"computed\":\"3000\"");
	expect(f, "PUT", "/v1/apps/shop/settings/git", "{\"deploy-branch\":\"a..b\"}",
		400, "not a branch name");
	expect(f, "PUT", "/v1/apps/shop/settings/git", "{\"deploy-branch\":\"live\"}",
		200, "\"app\":\"live\"");
	expect(f, "GET", "/v1/apps/shop", NULL, 200, "\"deploy_branch\":\"live\"");
	expect(f, "GET", "/v1/apps/shop/settings/ps", NULL, 200, "\"computed\":\"on\"");
	expect(f, "PUT", "/v1/apps/shop/settings/apps", "{\"autocreate\":\"off\"}", 400,
		"--global");
}

/* A page of n bytes as a body that sets it. */
static char *page_body(size_t n)
{
	char *body = malloc(n + 32);
	int at = snprintf(body, 32, "{\"error-page\":\"");

	memset(body + at, 'x', n);
	memcpy(body + at + n, "\"}", 3);
	return body;
}

static void the_routers_settings_are_checked_and_reach_it(void **state)
{
	struct fixture *f = *state;
	char *big autofree = page_body(PAGE_MAX + 1),
		  *fits autofree = page_body(PAGE_MAX);

	make_released(f, "shop");
	expect(f, "PUT", "/v1/apps/shop/settings/http", "{\"body-limit\":\"much\"}", 400,
		"512K, 20M or 5G");
	expect(f, "PUT", "/v1/apps/shop/settings/http", "{\"body-limit\":\"2T\"}", 400,
		"size");
	expect(f, "PUT", "/v1/apps/shop/settings/http", "{\"queue-limit\":\"0\"}", 400,
		"1 to 65536 requests");
	expect(f, "PUT", "/v1/apps/shop/settings/http", big, 400, "at most 65536");
	assert_int_equal(atomic_load(&refreshes), 0);
	expect(f, "PUT", "/v1/apps/shop/settings/http", fits, 200,
		"\"65536 bytes of HTML\"");
	expect(f, "PUT", "/v1/settings/http", "{\"body-limit\":\"20M\"}", 200, "20M");
	assert_int_equal(atomic_load(&refreshes), 2);
	expect(f, "GET", "/v1/apps/shop", NULL, 200, "\"maintenance\":false");
	expect(f, "PUT", "/v1/apps/shop/settings/maintenance", "{\"enabled\":\"on\"}",
		200, "\"computed\":\"on\"");
	expect(f, "GET", "/v1/apps/shop", NULL, 200, "\"maintenance\":true");
	expect(f, "PUT", "/v1/settings/maintenance", "{\"enabled\":\"on\"}", 400,
		"for one app");
	assert_int_equal(atomic_load(&refreshes), 3);
	expect(f, "PUT", "/v1/apps/shop/settings/http", "{\"canonical\":\"x.example\"}",
		400, "one of the names of shop");
	expect(f, "PUT", "/v1/apps/shop/settings/http",
		"{\"canonical\":\"shop.localhost\"}", 200, "shop.localhost");
	expect(f, "PUT", "/v1/apps/shop/settings/http", "{\"auth\":\"ann\"}", 400,
		"NAME:PASSWORD");
	expect(f, "PUT", "/v1/apps/shop/settings/http", "{\"auth\":\"ann:s3cret\"}", 200,
		"\"auth\":{\"app\":\"ann\",\"global\":null,\"computed\":\"ann\"}");
	char *kept autofree = NULL;
	assert_int_equal(db_setting_get(f->c.db, 1, "http", "auth", &kept), 0);
	assert_non_null(kept);
	assert_null(strstr(kept, "s3cret"));
	expect(f, "PUT", "/v1/apps/shop/settings/http", "{\"sticky\":\"yes\"}", 400,
		"on or off");
	expect(f, "PUT", "/v1/apps/shop/settings/http", "{\"sticky\":\"on\"}", 200,
		"\"sticky\":{\"app\":\"on\",\"global\":null,\"computed\":\"on\"}");
	expect(f, "PUT", "/v1/apps/shop/settings/http", "{\"app-protocol\":\"h2\"}", 400,
		"http/1.1, or h2c");
	expect(f, "PUT", "/v1/apps/shop/settings/http", "{\"app-protocol\":\"h2c\"}", 200,
		"\"app-protocol\":{\"app\":\"h2c\",\"global\":null,\"computed\":"
		"\"h2c\"}");
	expect(f, "PUT", "/v1/apps/shop/settings/http", "{\"app-protocol\":\"\"}", 200,
		"\"app-protocol\":{\"app\":null,\"global\":null,\"computed\":\"http/"
		"1.1\"}");
	expect(f, "PUT", "/v1/apps/shop/settings/http", "{\"rate-limit\":\"9/h\"}", 400,
		"20/s or 600/m");
	expect(f, "PUT", "/v1/apps/shop/settings/http", "{\"rate-limit\":\"20/s\"}", 200,
		"20/s");
	expect(f, "PUT", "/v1/apps/shop/settings/http",
		"{\"trusted-proxies\":\"10.0.0.1\"}", 400, "--global");
	expect(f, "PUT", "/v1/settings/http",
		"{\"trusted-proxies\":\"10.0.0.0/8 nginx\"}", 400, "nginx");
	expect(f, "PUT", "/v1/settings/http", "{\"trusted-proxies\":\"10.0.0.0/8\"}", 200,
		"10.0.0.0/8");
}

static void sleep_is_a_setting_a_state_and_an_order(void **state)
{
	struct fixture *f = *state;
	uint32_t app = make_released(f, "shop");
	struct member m = {.id = 7,
		.app = app,
		.type = "web",
		.number = 1,
		.version = 1,
		.state = MEMBER_READY};

	expect(f, "PUT", "/v1/apps/shop/settings/ps", "{\"idle-after\":\"15\"}", 400,
		"90s, 15m or 2h");
	expect(f, "PUT", "/v1/apps/shop/settings/ps", "{\"idle-after\":\"31d\"}", 400,
		"at most 30d");
	expect(f, "PUT", "/v1/settings/ps", "{\"idle-after\":\"2h\"}", 200, "2h");
	assert_int_equal(app_idle_after_ms(&f->c, app), 7200000);
	expect(f, "PUT", "/v1/apps/shop/settings/ps", "{\"idle-after\":\"30d\"}", 200,
		"\"computed\":\"30d\"");
	assert_int_equal(app_idle_after_ms(&f->c, app), 2592000000u);
	expect(f, "PUT", "/v1/apps/shop/settings/ps", "{\"sleep\":\"deep\"}", 400,
		"stop or freeze");
	expect(f, "PUT", "/v1/apps/shop/settings/ps", "{\"sleep\":\"freeze\"}", 200,
		"freeze");
	assert_true(app_sleep_freezes(&f->c, app));
	expect(f, "POST", "/v1/apps/shop/sleep", "{}", 200, "x 0");
	expect(f, "POST", "/v1/apps/shop/sleep", "{\"process\":\"web\"}", 400,
		"whole app");
	expect(f, "POST", "/v1/apps/shop/wake", "{}", 200, "x 0");
	assert_int_equal(
		db_app_set_asleep(f->c.db, app, DB_ASLEEP_STOPPED, "no request"), 0);
	expect(f, "GET", "/v1/apps/shop", NULL, 200, "\"state\":\"asleep\"");
	expect(f, "GET", "/v1/apps/shop/ps", NULL, 200,
		"\"state\":\"asleep\",\"release\":1");
	expect(f, "GET", "/v1/ps", NULL, 200, "\"reason\":\"no request\"");
	fleet_adopt(&f->c, &m);
	assert_int_equal(db_app_set_asleep(f->c.db, app, DB_ASLEEP_FROZEN, "tired"), 0);
	expect(f, "GET", "/v1/apps/shop", NULL, 200, "\"state\":\"frozen\"");
	expect(f, "GET", "/v1/apps/shop/ps", NULL, 200,
		"\"reason\":\"tired\",\"next_in\":null,\"oom_kills\":0}]");
}

static void limits_have_ranges(void **state)
{
	static const char *const bad[][2] = {
		{"{\"memory\":1000}", "memory must be from 16M to 16T"},
		{"{\"memory\":512}", "512 is a number of bytes"},
		{"{\"memory\":-1}", "memory must be"},
		{"{\"memory\":17592186044417}", "memory must be"},
		{"{\"memory\":\"1G\"}", "must be a whole number"},
		{"{\"cpu\":9}", "cpu must be from 0.01 to 1024"},
		{"{\"cpu\":1024001}", "cpu must be"},
		{"{\"pids\":7}", "pids must be from 8 to 4194304"},
		{"{\"nofile\":127}", "nofile must be from 128 to 1073741816"},
		{"{\"nofile\":1073741817}", "nofile must be"},
		{"{\"scratch\":1048575}", "scratch must be from 1M to 1T"},
		{"{\"io_read\":65535}", "io_read must be from 64k a second to 1T"},
		{"{\"io_write\":1099511627777}", "io_write must be"},
		{"{\"process\":\"clock\"}", "no process type"},
		{"{\"swap\":1}", "unknown field"},
	};
	static const char *const good[] = {"{\"memory\":16777216}", "{\"cpu\":10}",
		"{\"pids\":8}", "{\"nofile\":128}", "{\"scratch\":1048576}",
		"{\"io_read\":65536,\"io_write\":1099511627776}",
		"{\"process\":\"build\",\"memory\":17592186044416}",
		"{\"process\":\"run\",\"cpu\":1024000}", "{\"memory\":0}"};
	struct fixture *f = *state;

	make_released(f, "shop");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		expect(f, "PUT", "/v1/apps/shop/resources", bad[i][0], 400, bad[i][1]);
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		expect(f, "PUT", "/v1/apps/shop/resources", good[i], 200, "x 0");
}

/* The host of the stubs has 8G, 2 cpus, 20000 open files and no disk to limit. */
/* So that it can be asked for again. */
static void the_state_tells_sizes_to_the_byte(void **state)
{
	struct fixture *f = *state;
	uint64_t id;

	assert_int_equal(db_volume_create(f->c.db, "data", 1536u << 20, &id), 0);
	expect(f, "GET", "/v1/state", NULL, 200, "\"size\":\"1536M\"");
}

static void limits_are_set_shown_and_cleared(void **state)
{
	struct fixture *f = *state;

	make_released(f, "shop");
	expect(f, "PUT", "/v1/apps/shop/resources",
		"{\"process\":\"web\",\"memory\":268435456}", 200, "x 0");
	expect(f, "PUT", "/v1/apps/shop/resources",
		"{\"cpu\":500,\"memory\":134217728,\"io_read\":1048576}", 200, "x 0");
	expect(f, "GET", "/v1/apps/shop/resources", NULL, 200,
		"\"web\":{\"memory\":{\"type\":268435456,\"app\":134217728,"
		"\"default\":536870912,\"computed\":268435456},"
		"\"cpu\":{\"type\":null,\"app\":500,\"default\":1000,"
		"\"computed\":500}");
	expect(f, "GET", "/v1/apps/shop/resources", NULL, 200,
		"\"nofile\":{\"type\":null,\"app\":null,\"default\":65536,"
		"\"computed\":20000,\"note\":\"65536 wanted, 20000 allowed by this "
		"host\"}");
	expect(f, "GET", "/v1/apps/shop/resources", NULL, 200,
		"cannot be limited here: a test has no disk");
	/* a one-off is as web, a build as nobody */
	expect(f, "GET", "/v1/apps/shop/resources", NULL, 200,
		"\"run\":{\"memory\":{\"type\":null,\"app\":134217728,"
		"\"default\":536870912,\"computed\":268435456}");
	expect(f, "GET", "/v1/apps/shop/resources", NULL, 200,
		"\"build\":{\"memory\":{\"type\":null,\"app\":null,"
		"\"default\":2147483648,\"computed\":2147483648}");
	expect(f, "GET", "/v1/apps/shop/ps", NULL, 200,
		"\"notes\":[\"web: disk reads cannot be limited here: a test has no "
		"disk\",\"worker: disk reads");
	expect(f, "DELETE", "/v1/apps/shop/resources?process=web", NULL, 200, "x 0");
	expect(f, "DELETE", "/v1/apps/shop/resources", NULL, 200, "x 0");
	expect(f, "GET", "/v1/apps/shop/resources", NULL, 200,
		"\"web\":{\"memory\":{\"type\":null,\"app\":null,\"default\":536870912,"
		"\"computed\":536870912}");
	expect(f, "PUT", "/v1/apps/shop/resources",
		"{\"process\":\"web\",\"memory\":17179869184,\"cpu\":4000}", 200, "x 0");
	expect(f, "GET", "/v1/apps/shop/ps", NULL, 200,
		"\"notes\":[\"web: memory 16G wanted, this host has 8G\",\"web: cpu 4 "
		"wanted, this host has 2\"]");
}

static void say_nothing(struct sink *s UNUSED, char kind UNUSED, const char *text UNUSED)
{
}

/* Both are checked before one is stored. */
static void two_who_limit_at_once_both_have_their_way(void **state)
{
	struct fixture *f = *state;
	struct sink sink = {.write = say_nothing, .watch_fd = -1};
	struct request r[2] = {{.c = &f->c, .body = json_pack("{s:i}", "pids", 64)},
		{.c = &f->c, .body = json_pack("{s:i}", "cpu", 500)}};
	struct db_resource is;
	struct err e = {0};
	uint32_t app = make_released(f, "shop");

	for (int i = 0; i < 2; i++) {
		assert_int_equal(db_app_by_id(f->c.db, app, &r[i].app), 0);
		assert_int_equal(resources_check(&r[i]), 0);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(resources_set(&r[i], &sink, &e), 0);
		r[i].data_free(r[i].data);
		json_decref(r[i].body);
	}
	assert_int_equal(db_resource_get(f->c.db, app, "", &is), 0);
	assert_int_equal(is.pids, 64);
	assert_int_equal(is.cpu_millis, 500);
}

/* A message is cut to 200 bytes. */
static void a_release_whose_text_is_cut_within_a_character_is_listed(void **state)
{
	struct fixture *f = *state;
	struct db_release r = {.description = "fr\xc3\xbchling\xc3", .actor = "ann"};
	struct db_release live;

	r.app = make_released(f, "shop");
	assert_int_equal(db_release_get(f->c.db, r.app, 1, &live), 0);
	r.image = live.image;
	r.config = json_object();
	assert_int_equal(db_release_create(f->c.db, &r), 0);
	assert_int_equal(db_release_fail(f->c.db, r.app, r.version, "said \xff") < 0, 0);
	expect(f, "GET", "/v1/apps/shop/releases", NULL, 200, "\"version\":2");
	expect(f, "GET", "/v1/apps/shop/releases/2", NULL, 200, "said ?");
	db_release_clear(&live);
	db_release_clear(&r);
}

static void what_failed_is_said_whatever_bytes_it_quotes(void **state)
{
	struct fixture *f = *state;
	autobuf body = BUF_INIT;

	buf_adds(&body, "{\"name\":\"a");
	for (int i = 0; i < 40; i++) /* 81 bytes: 80 of them are quoted */
		buf_adds(&body, "\xc3\xa9");
	buf_adds(&body, "\"}");
	expect(f, "POST", "/v1/apps", body.data, 400, "is not a valid app name");
	expect(f, "GET", "/v1/n%ffothing", NULL, 404, "nothing at /v1/nothing");
}

static void the_last_deploy_that_failed_is_found_behind_others(void **state)
{
	struct fixture *f = *state;
	uint32_t blog = make_released(f, "blog");
	uint64_t id;

	for (int i = 0; i < 60; i++) {
		assert_int_equal(db_build_create(f->c.db, blog, i ? "rebuild" : "push",
					 "abc", "ann", &id),
			0);
		assert_int_equal(db_build_finish(f->c.db, id,
					 i > 1 ? "succeeded" : "failed", 0, "why\n"),
			0);
	}
	expect(f, "GET", "/v1/apps/blog/logs/failed", NULL, 200,
		"[{\"id\":2,\"what\":\"rebuild\"");
	expect(f, "GET", "/v1/logs/failed?n=2", NULL, 200, "\"what\":\"push\"");
}

/* The clock was set back. */
static void no_time_is_longer_than_it_was(void **state)
{
	struct fixture *f = *state;
	uint32_t blog = make_released(f, "blog");
	autobuf out = BUF_INIT;

	f->c.started_us += UINT64_C(3600000000);
	assert_int_equal(ask(f, "GET", "/v1/status", NULL, &out), 200);
	const char *uptime = strstr(out.data, "\"uptime_s\":");
	assert_true(uptime && strtoll(uptime + 11, NULL, 10) >= 0 &&
		    strtoll(uptime + 11, NULL, 10) < 3600);
	assert_true(query_exec(f->c.db,
			    "INSERT INTO cron_run(app, task, command, why, actor, "
			    "status, due_us, started_us, ended_us) VALUES(?, 't', 'c', "
			    "'manual', 'ann', 'succeeded', 9, 9, 5)",
			    "u", blog) >= 0);
	expect(f, "GET", "/v1/apps/blog/cron/history", NULL, 200, "\"seconds\":0.0,");
}

static void a_list_that_cannot_be_read_is_not_empty(void **state)
{
	struct fixture *f = *state;

	make_released(f, "shop");
	expect(f, "GET", "/v1/apps/shop/cron/history", NULL, 200, "[]");
	assert_true(query_exec(f->c.db, "DROP TABLE cron_run", "") >= 0);
	expect(f, "GET", "/v1/apps/shop/cron/history", NULL, 500, "database");
}

static void releases_show_layers_and_no_values(void **state)
{
	struct fixture *f = *state;
	autobuf out = BUF_INIT;

	make_released(f, "shop");
	expect(f, "GET", "/v1/apps/shop/releases", NULL, 200, "\"current\":true");
	assert_int_equal(ask(f, "GET", "/v1/apps/shop/releases/1", NULL, &out), 200);
	assert_non_null(strstr(out.data, "\"config\":[\"SECRET\"]"));
	assert_null(strstr(out.data, "hidden"));
	expect(f, "GET", "/v1/apps/shop/releases/2", NULL, 404, "no release v2");
	expect(f, "GET", "/v1/apps/shop/releases/x", NULL, 400, "number");
	expect(f, "POST", "/v1/apps/shop/rollback", "{}", 409, "no earlier release");
	expect(f, "POST", "/v1/apps/shop/rollback", "{\"version\":1}", 409, "runs now");
	expect(f, "POST", "/v1/apps/shop/rollback", "{\"version\":-1}", 400,
		"version must be");
	expect(f, "GET", "/v1/apps/shop/builds", NULL, 200, "[]");
	expect(f, "GET", "/v1/apps/shop/builds/1", NULL, 404, "no build 1");
}

/* One more, with the image and config of the live one. */
static uint32_t add_release(struct fixture *f, uint32_t app, bool works)
{
	struct db_release r;

	assert_int_equal(db_release_get(f->c.db, app, 0, &r), 0);
	assert_int_equal(db_release_create(f->c.db, &r), 0);
	if (works)
		assert_int_equal(db_release_switch(f->c.db, app, r.version), 0);
	else
		assert_int_equal(db_release_fail(f->c.db, app, r.version, "exit 3"), 0);
	db_release_clear(&r);
	return r.version;
}

static void a_canary_is_begun_shown_and_ended(void **state)
{
	struct fixture *f = *state;
	static const char path[] = "/v1/apps/shop/canary",
			  one[] = "{\"version\":1,\"percent\":10}";
	uint32_t app = make_released(f, "shop");
	struct db_app a;

	expect(f, "GET", path, NULL, 200, "\"release\":null");
	expect(f, "DELETE", path, NULL, 409, "shop has no canary");
	expect(f, "POST", path, one, 409, "v1 is what shop runs now");
	add_release(f, app, true);
	add_release(f, app, false);
	expect(f, "POST", path, "{\"version\":1}", 400, "percent");
	expect(f, "POST", path, "{\"version\":1,\"percent\":0}", 400, "--off");
	expect(f, "POST", path, "{\"version\":1,\"percent\":100}", 400,
		"berth rollback shop v1");
	expect(f, "POST", path, "{\"version\":1,\"percent\":-5}", 400,
		"1 to 99 per cent of the new clients, not -5");
	expect(f, "POST", path, "{\"version\":0,\"percent\":10}", 400, "version must be");
	expect(f, "POST", path, "{\"version\":2,\"percent\":10}", 409, "runs now");
	expect(f, "POST", path, "{\"version\":3,\"percent\":10}", 409,
		"v3 of shop failed and never served");
	expect(f, "POST", path, "{\"version\":4,\"percent\":10}", 404, "no release v4");
	assert_int_equal(db_app_by_id(f->c.db, app, &a), 0);
	assert_int_equal(a.canary_version, 0);
	expect(f, "POST", path, one, 200, "x 0");
	expect(f, "GET", path, NULL, 200,
		"{\"release\":1,\"percent\":10,\"instances\":1}");
	expect(f, "GET", "/v1/apps/shop/releases", NULL, 200, "\"status\":\"canary\"");
	expect(f, "GET", "/v1/apps/shop/releases/1", NULL, 200, "\"percent\":10");
	expect(f, "GET", "/v1/apps/shop", NULL, 200, "\"canary\":\"v1, 10%\"");
	expect(f, "GET", "/v1/apps/shop/ps", NULL, 200,
		"canary: v1 gets 10 % of the new clients, v2 the others");
	expect(f, "GET", "/v1/ps", NULL, 200, "\"wanted\":2");
	assert_int_equal(db_formation_set(f->c.db, app, "web", 11), 0);
	expect(f, "GET", path, NULL, 200, "\"instances\":2"); /* rounded up */
	assert_int_equal(db_app_set_asleep(f->c.db, app, DB_ASLEEP_STOPPED, "idle"), 0);
	expect(f, "GET", "/v1/apps/shop/ps", NULL, 200, "\"name\":\"web.102\"");
	expect(f, "POST", "/v1/apps/shop/lock", NULL, 200, "{}");
	expect(f, "POST", path, one, 409, "locked");
	expect(f, "DELETE", path, NULL, 200, "x 0"); /* that is no new release */
	expect(f, "GET", path, NULL, 200, "\"release\":null");
	expect(f, "GET", "/v1/events", NULL, 200, "releases:canary-off");
}

#define ED25519                                                                          \
	"ssh-ed25519 "                                                                   \
	"AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS"

static void ssh_keys_are_checked_and_written(void **state)
{
	struct fixture *f = *state;

	expect(f, "POST", "/v1/ssh-keys",
		"{\"name\":\"bob\",\"key\":\"" ED25519 " bob@x\\n\"}", 201, "SHA256:");
	expect(f, "POST", "/v1/ssh-keys", "{\"name\":\"eve\",\"key\":\"" ED25519 "\"}",
		409, "as bob");
	expect(f, "POST", "/v1/ssh-keys", "{\"name\":\"Eve\",\"key\":\"" ED25519 "\"}",
		400, "valid key name");
	expect(f, "POST", "/v1/ssh-keys",
		"{\"name\":\"eve\",\"key\":\"command=\\\"x\\\" " ED25519 "\"}", 400,
		"options");
	expect(f, "POST", "/v1/ssh-keys", "{\"name\":\"bob\",\"key\":\"" ED25519 "\"}",
		200, "bob");
	expect(f, "DELETE", "/v1/ssh-keys/bob", NULL, 200, "{}");
	expect(f, "DELETE", "/v1/ssh-keys/bob", NULL, 404, "no key named bob");
	atomic_store(&fail_next, true);
	expect(f, "POST", "/v1/ssh-keys", "{\"name\":\"bob\",\"key\":\"" ED25519 "\"}",
		500, "berthd");
	expect(f, "POST", "/v1/ssh-keys", "{\"name\":\"bob\",\"key\":\"" ED25519 "\"}",
		201, "bob");
}

static void a_first_push_makes_the_app(void **state)
{
	struct fixture *f = *state;
	static const char update[] =
		"{\"ref\":\"refs/heads/main\","
		"\"old\":\"0000000000000000000000000000000000000000\","
		"\"new\":\"1111111111111111111111111111111111111111\"}";

	expect(f, "POST", "/v1/git/shop/access", "{\"service\":\"upload-pack\"}", 404,
		"\"exit\":20");
	expect(f, "POST", "/v1/git/shop/update", update, 404, "\"exit\":20");
	expect(f, "POST", "/v1/git/Shop/access", "{\"service\":\"receive-pack\"}", 400,
		"lower-case");
	expect(f, "POST", "/v1/git/shop/access", "{\"service\":\"receive-pack\"}", 200,
		"\"created\":true");
	expect(f, "POST", "/v1/git/shop/access", "{\"service\":\"receive-pack\"}", 200,
		"\"created\":false");
	expect(f, "POST", "/v1/git/shop/update", update, 200, "r refs/heads/main 1111");
	expect(f, "POST", "/v1/git/shop/update",
		"{\"ref\":\"main\",\"old\":\"\",\"new\":\"\"}", 400, "ref");
	expect(f, "GET", "/v1/events?app=shop", NULL, 200, "git:push");
	expect(f, "PUT", "/v1/settings/apps", "{\"autocreate\":\"off\"}", 200, "off");
	expect(f, "POST", "/v1/git/blog/access", "{\"service\":\"receive-pack\"}", 404,
		"apps:create blog");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(unknown_things_are_named),
		T(apps_are_made_listed_and_found_by_similar_names),
		T(images_have_names_and_a_history),
		T(config_changes_make_one_release_each),
		T(a_failed_config_change_is_taken_back),
		T(config_values_have_limits),
		T(a_locked_app_takes_no_release),
		T(scaling_names_the_known_types),
		T(domains_are_lower_case_and_belong_to_one_app),
		T(network_rules_are_put_shown_and_cleared),
		T(a_rule_without_room_leaves_what_was_there),
		T(nonsense_about_networks_is_refused),
		T(volumes_are_mounted_by_a_release),
		T(of_two_mounts_at_once_the_second_is_refused),
		T(a_writable_volume_is_not_shared_unasked),
		T(a_volume_with_a_size_only_grows),
		T(a_volume_may_be_of_one_process_type),
		T(a_restart_policy_is_of_an_app_or_of_one_process_type),
		T(what_runs_and_what_waits_is_reported),
		T(only_the_built_in_file_server_takes_a_unix_socket_unasked),
		T(settings_read_back_with_what_holds),
		T(the_routers_settings_are_checked_and_reach_it),
		T(sleep_is_a_setting_a_state_and_an_order),
		T(limits_have_ranges),
		T(the_state_tells_sizes_to_the_byte),
		T(limits_are_set_shown_and_cleared),
		T(two_who_limit_at_once_both_have_their_way),
		T(releases_show_layers_and_no_values),
		T(a_release_whose_text_is_cut_within_a_character_is_listed),
		T(the_last_deploy_that_failed_is_found_behind_others),
		T(no_time_is_longer_than_it_was),
		T(a_list_that_cannot_be_read_is_not_empty),
		T(what_failed_is_said_whatever_bytes_it_quotes),
		T(a_canary_is_begun_shown_and_ended),
		T(ssh_keys_are_checked_and_written),
		T(a_first_push_makes_the_app),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

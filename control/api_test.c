/*
 * The API over a real socket: dispatch, input checks, identities, streams, upgrades. The
 * operations behind it (deploys, processes, berthd) are stubs here that take the place of
 * the real ones at link time (see the Makefile).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/api.h"
#include "control/stream.h"
#include "lib/client.h"
#include "lib/io.h"
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- what lies behind the API ---- */

static atomic_int deploys, cancelled_deploys, refreshes, stops;
static atomic_bool fail_next, wait_for_cancel;
static atomic_int one_off_signal;
static int one_off_end[2] = {-1, -1};

static int operate(struct sink *s, struct err *e)
{
	atomic_fetch_add(&deploys, 1);
	sink_step(s, "Working");
	if (atomic_load(&wait_for_cancel)) {
		struct pollfd p = {.fd = s->watch_fd, .events = POLLIN | POLLRDHUP};

		poll(&p, 1, 5000);
		if (sink_cancelled(s))
			atomic_fetch_add(&cancelled_deploys, 1);
		return err_set(e, ECANCELED, "cancelled");
	}
	if (atomic_exchange(&fail_next, false))
		return err_set(e, EIO, "web.1 exited with status 3");
	return 0;
}

int deploy_push(struct control *c, const char *app, const struct push *p, struct sink *s,
	struct err *e)
{
	(void)c;
	sink_line(s, "%s %s %s", app, p->ref, p->actor);
	s->write(s, 'r', "refs/heads/main 1111111111111111111111111111111111111111");
	return operate(s, e);
}

/* As the real one: the config of the moment becomes a live release. */
int deploy_config(struct control *c, uint32_t app, const char *description,
	const char *actor, struct sink *s, struct err *e)
{
	(void)c;
	(void)app;
	sink_detail(s, "%s by %s", description, actor);
	return operate(s, e);
}

int deploy_rollback(struct control *c, uint32_t app, uint32_t version, const char *actor,
	struct sink *s, struct err *e)
{
	(void)c;
	(void)app;
	(void)actor;
	sink_line(s, "to v%u", version);
	return operate(s, e);
}

int deploy_rebuild(
	struct control *c, uint32_t app, const char *actor, struct sink *s, struct err *e)
{
	(void)c;
	(void)app;
	(void)actor;
	return operate(s, e);
}

int ps_apply(struct control *c, uint32_t app, struct sink *s, struct err *e)
{
	(void)c;
	(void)app;
	return operate(s, e);
}

int ps_restart(
	struct control *c, uint32_t app, const char *type, struct sink *s, struct err *e)
{
	(void)c;
	(void)app;
	sink_line(s, "restart %s", type ? type : "all");
	return operate(s, e);
}

int ps_stop(struct control *c, uint32_t app, struct sink *s, struct err *e)
{
	(void)c;
	(void)app;
	return operate(s, e);
}

int ps_start(struct control *c, uint32_t app, struct sink *s, struct err *e)
{
	(void)c;
	(void)app;
	return operate(s, e);
}

int ps_limits(struct control *c, uint32_t app, struct sink *s, struct err *e)
{
	(void)c;
	(void)app;
	return operate(s, e);
}

int app_destroy(struct control *c, uint32_t app, bool with_volumes, const char *actor,
	struct sink *s, struct err *e)
{
	(void)actor;
	sink_line(s, with_volumes ? "volumes go" : "volumes stay");
	int r = db_app_delete(c->db, app);
	return r < 0 ? err_sys(e, -r, "destroy") : 0;
}

int stack_create(struct control *c, const char *name, struct sink *s, struct err *e)
{
	(void)c;
	(void)name;
	return operate(s, e);
}

int routes_refresh(struct control *c, struct err *e)
{
	(void)c;
	(void)e;
	atomic_fetch_add(&refreshes, 1);
	return 0;
}

int volume_make(struct control *c, uint64_t id, struct err *e)
{
	(void)c;
	(void)id;
	if (atomic_exchange(&fail_next, false))
		return err_set(e, ENOSPC, "the disk is full");
	return 0;
}

int volume_remove(struct control *c, uint64_t id, struct err *e)
{
	(void)c;
	(void)id;
	(void)e;
	return 0;
}

int keys_write(struct control *c, struct err *e)
{
	(void)c;
	if (atomic_exchange(&fail_next, false))
		return err_set(e, EIO, "berthd does not answer");
	return 0;
}

int disk_free(struct control *c, uint64_t *ret_free, uint64_t *ret_total)
{
	(void)c;
	*ret_free = 5;
	*ret_total = 10;
	return 0;
}

/* A one-off is a pipe here: its "stdin" is read by the test, and it ends when the test
 * writes its status. */
int oneoff_start(struct control *c, uint32_t app, const struct oneoff *o,
	struct oneoff_handle *ret, struct err *e)
{
	(void)c;
	(void)app;
	if (atomic_exchange(&fail_next, false))
		return err_set(
			e, ENOENT, "no such program: %s", o->argv ? o->argv[0] : "");
	ret->id = 7;
	snprintf(ret->name, sizeof(ret->name), "run.1");
	for (int i = 0; i < 3; i++)
		ret->fds[i] = o->detach || (o->tty && i)
				      ? -1
				      : fcntl(one_off_end[1], F_DUPFD_CLOEXEC, 3);
	return 0;
}

int oneoff_signal(struct control *c, uint64_t id, int signo)
{
	(void)c;
	(void)id;
	atomic_store(&one_off_signal, signo);
	return 0;
}

int oneoff_stop(struct control *c, uint64_t id)
{
	(void)c;
	(void)id;
	atomic_fetch_add(&stops, 1);
	return 0;
}

int oneoff_wait(
	struct control *c, uint64_t id, int watch_fd, int *ret_status, char reason[160])
{
	struct pollfd p[2] = {{.fd = one_off_end[0], .events = POLLIN},
		{.fd = watch_fd, .events = POLLIN}};

	(void)c;
	(void)id;
	(void)reason;
	if (watch_fd < 0) { /* stopped: ends at once */
		*ret_status = 143;
		return 0;
	}
	poll(p, 2, 5000);
	if (!p[0].revents)
		return -EAGAIN;
	char status = 0;
	ssize_t n UNUSED = read(one_off_end[0], &status, 1);
	*ret_status = status;
	return 0;
}

/* ---- fixture ---- */

struct fixture {
	char folder[64], socket[96];
	struct control c;
	struct api *api;
	int listen_fd;
	uint32_t key;
	unsigned int fds_before;
};

static unsigned int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static struct fixture *set_up_api(void)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct db_key k = {.name = "ann",
		.type = "ssh-ed25519",
		.blob = "AAAA",
		.fingerprint = "SHA256:x"};
	struct err e = {0};

	signal(SIGPIPE, SIG_IGN);
	f->fds_before = count_fds();
	snprintf(f->folder, sizeof(f->folder), "/tmp/berth-api.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	chmod(f->folder, 0755);
	snprintf(f->socket, sizeof(f->socket), "%s/api.sock", f->folder);
	assert_int_equal(db_open(f->folder, &f->c.db, &e), 0);
	assert_int_equal(db_key_add(f->c.db, &k), 0);
	f->key = k.id;
	f->c.state = f->c.run = f->folder;
	f->c.started_us = io_now_us();
	f->listen_fd = io_unix_listen(f->socket, SOCK_STREAM, 0666);
	assert_true(f->listen_fd >= 0);
	/* Root may play another user; whoever is no root is the ssh user. */
	const struct passwd *pw = getpwuid(geteuid() ? geteuid() : 65534);
	setenv("BERTH_SSH_USER", pw ? pw->pw_name : "nobody", 1);
	assert_int_equal(api_start(&f->c, f->listen_fd, &f->api, &e), 0);
	atomic_store(&deploys, 0);
	atomic_store(&cancelled_deploys, 0);
	atomic_store(&refreshes, 0);
	atomic_store(&stops, 0);
	atomic_store(&one_off_signal, 0);
	atomic_store(&fail_next, false);
	atomic_store(&wait_for_cancel, false);
	return f;
}

static int set_up(void **state)
{
	*state = set_up_api();
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	api_stop(f->api);
	close(f->listen_fd);
	db_close(f->c.db);
	io_remove_tree(AT_FDCWD, f->folder);
	assert_int_equal(count_fds(), f->fds_before);
	free(f);
	return 0;
}

static void dial(struct fixture *f, struct client *c)
{
	struct err e = {0};
	char line[32];

	assert_int_equal(client_open(c, f->socket, &e), 0);
	if (geteuid() == 0)
		return;
	snprintf(line, sizeof(line), "KEY %u\n", f->key);
	assert_int_equal(io_write_all(c->fd, line, strlen(line)), 0);
}

static int ask_on(struct client *c, const char *method, const char *path,
	const char *body, struct buf *out)
{
	struct err e = {0};

	assert_int_equal(
		client_send(c, method, path, NULL, body, body ? strlen(body) : 0, &e), 0);
	assert_int_equal(client_reply(c, &e), 0);
	buf_reset(out);
	assert_int_equal(client_body(c, out), 0);
	return c->status;
}

static int ask(struct fixture *f, const char *method, const char *path, const char *body,
	struct buf *out)
{
	struct client c;

	dial(f, &c);
	int status = ask_on(&c, method, path, body, out);
	client_close(&c);
	return status;
}

/* Asserts the status and that the answer holds text. */
static void expect(struct fixture *f, const char *method, const char *path,
	const char *body, int status, const char *text)
{
	autobuf out = BUF_INIT;
	int got = ask(f, method, path, body, &out);

	if (got != status || !strstr(out.data, text))
		fail_msg("%s %s %s: %d %s (wanted %d %s)", method, path, body ? body : "",
			got, out.data, status, text);
}

/* An app with one live release of the process types web and worker. */
static uint32_t make_released(struct fixture *f, const char *name)
{
	struct db_image i = {
		.pack = "static", .commit = "1111111111111111111111111111111111111111"};
	struct db_release r = {.description = "Deploy 1111111", .actor = "ann"};
	uint32_t app;

	assert_int_equal(db_app_create(f->c.db, name, &app), 0);
	i.app = r.app = app;
	i.layers = json_pack("[i]", 1);
	i.processes = json_pack("{s:s, s:s}", "web", "serve", "worker", "work");
	i.env = json_object();
	i.checks = json_object();
	assert_int_equal(db_image_create(f->c.db, &i), 0);
	r.image = i.id;
	r.config = json_pack("{s:s}", "SECRET", "hidden");
	assert_int_equal(db_release_create(f->c.db, &r), 0);
	assert_int_equal(db_release_switch(f->c.db, app, r.version), 0);
	db_image_clear(&i);
	db_release_clear(&r);
	return app;
}

/* ---- requests ---- */

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

static void bodies_over_one_megabyte_are_refused(void **state)
{
	struct fixture *f = *state;
	struct client c;
	struct err e = {0};
	autobuf out = BUF_INIT;
	char head[] =
		"POST /v1/apps HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n";

	dial(f, &c);
	assert_int_equal(io_write_all(c.fd, head, strlen(head)), 0);
	assert_int_equal(client_reply(&c, &e), 0);
	assert_int_equal(c.status, 413);
	client_close(&c);
	dial(f, &c);
	char chunked[] =
		"POST /v1/apps HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
	char *block autofree = malloc(65536);
	memset(block, ' ', 65536);
	assert_int_equal(io_write_all(c.fd, chunked, strlen(chunked)), 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(io_write_all(c.fd, "10000\r\n", 7), 0);
		assert_int_equal(io_write_all(c.fd, block, 65536), 0);
		assert_int_equal(io_write_all(c.fd, "\r\n", 2), 0);
	}
	assert_int_equal(io_write_all(c.fd, "0\r\n\r\n", 5), 0);
	assert_int_equal(client_reply(&c, &e), 0);
	assert_int_equal(c.status, 413);
	client_close(&c);
}

static void a_connection_serves_several_requests(void **state)
{
	struct fixture *f = *state;
	struct client c;
	autobuf out = BUF_INIT;

	make_released(f, "shop");
	dial(f, &c);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(ask_on(&c, "GET", "/v1/apps", NULL, &out), 200);
		/* A stream does not end it either: a push of several refs asks again. */
		assert_int_equal(
			ask_on(&c, "POST", "/v1/apps/shop/restart", "{}", &out), 200);
		assert_true(c.stream);
		assert_non_null(strstr(out.data, "x 0\n"));
	}
	client_close(&c);
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
		"{\"type\":\"worker\",\"command\":\"work\",\"quantity\":2}");
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
	expect(f, "PATCH", "/v1/apps/shop/domains", "{\"clear\":true}", 200,
		"\"domains\":[]");
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
	expect(f, "POST", "/v1/volumes/data/unmount", "{\"app\":\"shop\"}", 200,
		"Unmount data");
	expect(f, "DELETE", "/v1/volumes/data", NULL, 400, "confirmed");
	expect(f, "DELETE", "/v1/volumes/data?confirm=data", NULL, 200, "{}");
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

static void limits_are_set_and_cleared(void **state)
{
	struct fixture *f = *state;

	make_released(f, "shop");
	expect(f, "PUT", "/v1/apps/shop/resources", "{\"memory\":1000}", 400,
		"memory must be");
	expect(f, "PUT", "/v1/apps/shop/resources", "{\"process\":\"clock\"}", 400,
		"no process type");
	expect(f, "PUT", "/v1/apps/shop/resources",
		"{\"process\":\"web\",\"memory\":268435456}", 200, "x 0");
	expect(f, "PUT", "/v1/apps/shop/resources", "{\"process\":\"web\",\"cpu\":500}",
		200, "x 0");
	expect(f, "GET", "/v1/apps/shop/resources", NULL, 200,
		"\"web\":{\"memory\":268435456,\"cpu\":500,\"pids\":null,\"scratch\":"
		"null}");
	expect(f, "DELETE", "/v1/apps/shop/resources?process=web", NULL, 200, "x 0");
	expect(f, "GET", "/v1/apps/shop/resources", NULL, 200,
		"\"computed\":{\"web\":{\"memory\":536870912");
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

/* ---- streams, upgrades, identities ---- */

static bool comes_true(atomic_int *n, int wanted)
{
	for (int i = 0; i < 200 && atomic_load(n) != wanted; i++)
		poll(NULL, 0, 10);
	return atomic_load(n) == wanted;
}

static void hanging_up_cancels_a_silent_operation(void **state)
{
	struct fixture *f = *state;
	struct client c;
	struct err e = {0};
	char *line;

	make_released(f, "shop");
	atomic_store(&wait_for_cancel, true);
	dial(f, &c);
	assert_int_equal(
		client_send(&c, "POST", "/v1/apps/shop/restart", NULL, "{}", 2, &e), 0);
	assert_int_equal(client_reply(&c, &e), 0);
	assert_int_equal(client_line(&c, &line), 1);
	assert_string_equal(line, "o restart all");
	client_close(&c);
	assert_true(comes_true(&cancelled_deploys, 1));
}

static void write_log(struct fixture *f, uint32_t app)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/logs/%u", f->folder, app);
	assert_int_equal(io_mkdirs(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/logs/%u/1767323045000000.log", f->folder, app);
	FILE *file = fopen(path, "ae");
	assert_non_null(file);
	fputs("2026-01-02T03:04:05.000000Z app[web.1]: hello\n", file);
	fclose(file);
}

static void logs_are_followed_until_the_asker_goes(void **state)
{
	struct fixture *f = *state;
	struct client c;
	struct err e = {0};
	uint32_t app = make_released(f, "shop");
	char *line;

	expect(f, "GET", "/v1/apps/shop/logs", NULL, 200, "");
	write_log(f, app);
	expect(f, "GET", "/v1/apps/shop/logs?n=5&p=web", NULL, 200,
		"app[web.1]: hello\n");
	expect(f, "GET", "/v1/apps/shop/logs?since=soon", NULL, 400, "since must be");
	dial(f, &c);
	assert_int_equal(
		client_send(&c, "GET", "/v1/apps/shop/logs?follow=1", NULL, NULL, 0, &e),
		0);
	assert_int_equal(client_reply(&c, &e), 0);
	assert_int_equal(client_line(&c, &line), 1);
	write_log(f, app);
	assert_int_equal(client_line(&c, &line), 1);
	assert_non_null(strstr(line, "hello"));
	client_close(&c);
}

static void start_run(struct fixture *f, struct client *c, const char *body)
{
	struct err e = {0};

	assert_int_equal(pipe2(one_off_end, O_CLOEXEC), 0);
	dial(f, c);
	assert_int_equal(client_send(c, "POST", "/v1/apps/shop/run",
				 "Connection: Upgrade\r\nUpgrade: berth-run\r\n", body,
				 strlen(body), &e),
		0);
	assert_int_equal(client_reply(c, &e), 0);
}

static void end_run(struct client *c)
{
	client_close(c);
	close(one_off_end[0]);
	close(one_off_end[1]);
}

static void a_run_hands_out_descriptors_and_its_status(void **state)
{
	struct fixture *f = *state;
	struct client c;
	char byte[2];

	make_released(f, "shop");
	start_run(f, &c, "{\"command\":[\"ls\"]}");
	assert_int_equal(c.status, 101);
	assert_int_equal(client_raw(&c, byte, 1), 1);
	assert_int_equal(byte[0], 'F');
	assert_int_equal(c.nfds, 3);
	assert_int_equal(io_write_all(c.fd, "S\x02", 2), 0);
	assert_true(comes_true(&one_off_signal, 2));
	/* The client's own end of the pipe ends the program, with status 42. */
	assert_int_equal(io_write_all(c.fds[0], "*", 1), 0);
	assert_int_equal(client_raw(&c, byte, 1), 1);
	assert_int_equal(byte[0], 'X');
	assert_int_equal(client_raw(&c, byte, 1), 1);
	assert_int_equal(byte[0], 42);
	end_run(&c);
	assert_int_equal(atomic_load(&stops), 0);
}

static void leaving_a_run_stops_it(void **state)
{
	struct fixture *f = *state;
	struct client c;
	char byte;

	make_released(f, "shop");
	start_run(f, &c,
		"{\"command\":[\"top\"],\"tty\":true,\"rows\":24,\"cols\":80,\"term\":"
		"\"xterm\"}");
	assert_int_equal(client_raw(&c, &byte, 1), 1);
	assert_int_equal(c.nfds, 1);
	client_close(&c);
	assert_true(comes_true(&stops, 1));
	end_run(&c);
}

static void a_run_that_cannot_start_says_125(void **state)
{
	struct fixture *f = *state;
	struct client c;
	autobuf out = BUF_INIT;

	make_released(f, "shop");
	expect(f, "POST", "/v1/apps/shop/run", "{\"command\":[\"ls\"]}", 400, "Upgrade");
	expect(f, "POST", "/v1/apps/shop/run", "{}", 400, "command is missing");
	expect(f, "POST", "/v1/apps/shop/run", "{\"command\":[\"ls\"],\"detach\":true}",
		200, "run.1");
	expect(f, "POST", "/v1/apps/shop/enter", "{\"instance\":\"web\"}", 400, "web.1");
	atomic_store(&fail_next, true);
	start_run(f, &c, "{\"command\":[\"nope\"]}");
	assert_int_equal(client_body(&c, &out), 0);
	assert_int_equal(c.status, 500);
	assert_non_null(strstr(out.data, "\"exit\":125"));
	end_run(&c);
}

/* As another user, whom only root can play; first is sent before the request. */
static int ask_as(struct fixture *f, uid_t uid, const char *first)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		struct client c;
		struct err e = {0};
		autobuf out = BUF_INIT;

		if (setuid(uid) < 0 || client_open(&c, f->socket, &e) < 0)
			_exit(1);
		io_write_all(c.fd, first, strlen(first));
		if (client_send(&c, "GET", "/v1/apps", NULL, NULL, 0, &e) < 0 ||
			client_reply(&c, &e) < 0)
			_exit(2);
		_exit(c.status == 200 ? 100 : c.status == 403 ? 103 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void only_root_and_key_holders_are_served(void **state)
{
	struct fixture *f = *state;
	char line[64];

	if (geteuid() != 0)
		skip();
	snprintf(line, sizeof(line), "KEY %u\n", f->key);
	assert_int_equal(ask_as(f, 65534, line), 100);
	assert_int_equal(ask_as(f, 65534, "KEY 999\n"), 103);
	assert_int_equal(ask_as(f, 65534, "KEY x\n"), 103);
	assert_int_not_equal(ask_as(f, 65534, ""),
		100); /* the request's own first line is no KEY line */
	assert_int_equal(ask_as(f, 12345, ""), 103);
	assert_int_equal(ask_as(f, 65534, "KEYKEYKEYKEYKEYKEYKEYKEYKEYKEYKEYKEY"), 2);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(unknown_things_are_named),
		T(apps_are_made_listed_and_found_by_similar_names),
		T(bodies_over_one_megabyte_are_refused),
		T(a_connection_serves_several_requests),
		T(config_changes_make_one_release_each),
		T(a_failed_config_change_is_taken_back),
		T(config_values_have_limits),
		T(a_locked_app_takes_no_release),
		T(scaling_names_the_known_types),
		T(domains_are_lower_case_and_belong_to_one_app),
		T(volumes_are_mounted_by_a_release),
		T(settings_read_back_with_what_holds),
		T(limits_are_set_and_cleared),
		T(releases_show_layers_and_no_values),
		T(ssh_keys_are_checked_and_written),
		T(a_first_push_makes_the_app),
		T(hanging_up_cancels_a_silent_operation),
		T(logs_are_followed_until_the_asker_goes),
		T(a_run_hands_out_descriptors_and_its_status),
		T(leaving_a_run_stops_it),
		T(a_run_that_cannot_start_says_125),
		T(only_root_and_key_holders_are_served),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

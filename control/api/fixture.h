/* For tests of the API: a running one with a database, and a client that asks and
 * expects. */
#ifndef CONTROL_API_FIXTURE_H
#define CONTROL_API_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/api/api.h"
#include "control/api/stubs.h"
#include "control/certs/acme.h"
#include "control/certs/certs.h"
#include "control/run/fleet.h"
#include "lib/client.h"
#include "lib/io.h"
#include <cmocka.h>
#include <dirent.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

struct fixture {
	char folder[64], socket[96];
	struct control c;
	struct api *api;
	int listen_fd;
	uint32_t key;
	unsigned int fds_before;
};

static unsigned int count_in(const char *folder)
{
	DIR *dir = opendir(folder);
	unsigned int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

UNUSED static unsigned int count_fds(void)
{
	return count_in("/proc/self/fd");
}

/* An operation's thread goes on without its connection, and has the database. */
UNUSED static void await_threads(void)
{
	for (int i = 0; i < 1000 && count_in("/proc/self/task") > 3; i++)
		poll(NULL, 0, 5);
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
	assert_int_equal(
		db_open(f->folder, (const uint8_t[DB_KEY_SIZE]){1}, &f->c.db, &e), 0);
	assert_int_equal(db_key_add(f->c.db, &k), 0);
	f->key = k.id;
	assert_int_equal(fleet_open(&f->c, &f->c.fleet), 0);
	f->c.state = f->c.run = f->folder;
	assert_int_equal(certs_open(&f->c, &f->c.certs, &e), 0);
	assert_int_equal(acme_open(&f->c, &f->c.acme, &e), 0);
	f->c.started_us = io_now_us();
	f->c.started_ns = io_mono_ns();
	f->listen_fd = io_unix_listen(f->socket, SOCK_STREAM, 0666);
	assert_true(f->listen_fd >= 0);
	/* Root may play another user; whoever is no root is the ssh user. */
	const struct passwd *pw = getpwuid(geteuid() ? geteuid() : 65534);
	setenv("BERTH_SSH_USER", pw ? pw->pw_name : "nobody", 1);
	assert_int_equal(api_start(&f->c, f->listen_fd, &f->api, &e), 0);
	atomic_store(&deploys, 0);
	atomic_store(&cancelled_deploys, 0);
	atomic_store(&refreshes, 0);
	atomic_store(&sent_certs, 0);
	atomic_store(&stops, 0);
	atomic_store(&abandoned, 0);
	atomic_store(&starts, 0);
	atomic_store(&hold_start, false);
	atomic_store(&one_off_signal, 0);
	atomic_store(&fail_next, false);
	atomic_store(&no_room, false);
	atomic_store(&wait_for_cancel, false);
	return f;
}

UNUSED static int set_up(void **state)
{
	*state = set_up_api();
	return 0;
}

UNUSED static int tear_down(void **state)
{
	struct fixture *f = *state;

	api_stop(f->api);
	await_threads();
	close(f->listen_fd);
	fleet_close(f->c.fleet);
	certs_close(f->c.certs);
	free(f->c.acme);
	db_close(f->c.db);
	io_remove_tree(AT_FDCWD, f->folder);
	assert_int_equal(count_fds(), f->fds_before);
	free(f);
	return 0;
}

UNUSED static void dial(struct fixture *f, struct client *c)
{
	struct err e = {0};
	char line[32];

	assert_int_equal(client_open(c, f->socket, &e), 0);
	if (geteuid() == 0)
		return;
	snprintf(line, sizeof(line), "KEY %u\n", f->key);
	assert_int_equal(io_write_all(c->fd, line, strlen(line)), 0);
}

UNUSED static int ask_on(struct client *c, const char *method, const char *path,
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

UNUSED static int ask(struct fixture *f, const char *method, const char *path,
	const char *body, struct buf *out)
{
	struct client c;

	dial(f, &c);
	int status = ask_on(&c, method, path, body, out);
	client_close(&c);
	return status;
}

/* Asserts the status and that the answer holds text. */
UNUSED static void expect(struct fixture *f, const char *method, const char *path,
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

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif

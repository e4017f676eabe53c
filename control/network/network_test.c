/* Rules of the database as berthd, which is played, gets them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/certs/certs.h"
#include "control/engine.h"
#include "control/network/net_target.h"
#include "control/network/network.h"
#include "control/network/routes.h"
#include "control/run/fleet.h"
#include "db/query.h"
#include "lib/io.h"
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define WAIT_MS 30000

struct fixture {
	char folder[64];
	struct control c;
	struct msg_network m;
	uint32_t blog, api;
};

static struct {
	atomic_int status;	 /* of MSG_NETWORK */
	atomic_uint told;	 /* so many that it took */
	struct msg_network last; /* of instances */
	unsigned int starts;
} berthd;

static atomic_uint pauses;

/* ---- in the place of the real ones (see the Makefile) ---- */

int engine_call(struct engine *g UNUSED, uint32_t type, const void *body, size_t size,
	const int *fds UNUSED, unsigned int nfds UNUSED, struct msg *reply UNUSED)
{
	const struct msg_network *m = body;

	if (type != MSG_NETWORK)
		return 0;
	assert_int_equal(size, sizeof(*m));
	if (berthd.status < 0)
		return berthd.status;
	berthd.told++;
	if (m->whose == NET_INSTANCES)
		berthd.last = *m;
	return 0;
}

int engine_start(struct engine *g UNUSED, const struct msg_start *m UNUSED,
	const int *fds UNUSED, unsigned int nfds UNUSED, int *ret_pty UNUSED,
	struct err *e UNUSED)
{
	berthd.starts++;
	return 0;
}

int engine_stop(struct engine *g UNUSED, uint64_t id UNUSED, uint32_t timeout_ms UNUSED)
{
	return 0;
}

int engine_expect(struct engine *g UNUSED, uint64_t id UNUSED)
{
	return 0;
}

void engine_forget(struct engine *g UNUSED, uint64_t id UNUSED)
{
}

int routes_refresh(struct control *c UNUSED, struct err *e UNUSED)
{
	return 0;
}

void certs_app_gone(struct control *c UNUSED)
{
}

/* A minute takes 60 ms. */
struct timespec io_mono_in(int ms)
{
	struct timespec t;

	atomic_fetch_add(&pauses, 1);
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += (long)ms * 1000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

/* ---- the fixture ---- */

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e = {0};

	snprintf(f->folder, sizeof(f->folder), "/tmp/berth-network.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	assert_int_equal(
		db_open(f->folder, (const uint8_t[DB_KEY_SIZE]){1}, &f->c.db, &e), 0);
	assert_int_equal(db_app_create(f->c.db, "blog", &f->blog), 0);
	assert_int_equal(db_app_create(f->c.db, "api", &f->api), 0);
	assert_int_equal(network_open(&f->c.network), 0);
	assert_int_equal(fleet_open(&f->c, &f->c.fleet), 0);
	memset(&berthd, 0, sizeof(berthd));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	fleet_close(f->c.fleet);
	free(f->c.network);
	db_close(f->c.db);
	io_remove_tree(AT_FDCWD, f->folder);
	free(f);
	return 0;
}

static void put(struct fixture *f, bool allow, const char *target, const char *ports,
	const char *protocol)
{
	struct db_net_rule r = {.app = f->blog, .allow = allow};
	char app[NAME_MAX_LEN + 1];
	struct err e;

	assert_int_equal(net_target_parse(target, &r, app, &e), 0);
	assert_int_equal(net_ports_parse(ports, &r, &e), 0);
	assert_int_equal(net_protocol_parse(protocol, &r, &e), 0);
	r.target_app = app[0] ? f->api : 0;
	assert_int_equal(db_net_rule_put(f->c.db, &r), 0);
}

static int compiled_for(struct fixture *f, enum net_whose whose)
{
	struct err e = {0};

	memset(&f->m, 0, sizeof(f->m));
	return network_compile(&f->c, f->blog, whose, &f->m, &e);
}

static int compiled(struct fixture *f)
{
	return compiled_for(f, NET_INSTANCES);
}

static void an_app_without_rules_has_none(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(compiled(f), 0);
	assert_int_equal(f->m.app, f->blog);
	assert_int_equal(f->m.n_rules, 0);
	assert_int_equal(f->m.hosts_size, 0);
}

static void builds_have_rules_and_a_mode_of_their_own(void **state)
{
	struct fixture *f = *state;
	const struct net_rule *r = f->m.rules;
	struct db_net_rule opened = {.app = f->blog,
		.allow = true,
		.builds = true,
		.kind = "address",
		.target = "10.0.0.0/8"};

	put(f, false, "internet", NULL, NULL);
	assert_int_equal(compiled_for(f, NET_BUILDS), 0);
	assert_int_equal(f->m.n_rules, 0);
	assert_int_equal(db_net_rule_put(f->c.db, &opened), 0);
	db_setting_set(f->c.db, 0, "builds", "network", "none");
	assert_int_equal(compiled_for(f, NET_BUILDS), 0);
	assert_int_equal(f->m.whose, NET_BUILDS);
	assert_int_equal(f->m.n_rules, 2);
	assert_int_equal(r[0].kind, NET_ADDRESS4);
	assert_int_equal(r[1].kind, NET_INTERNET);
	assert_int_equal(r[1].verdict, NET_DENY);
	db_setting_set(f->c.db, f->blog, "builds", "network", "registries");
	assert_int_equal(compiled_for(f, NET_BUILDS), 0);
	assert_int_equal(f->m.n_rules, 3);
	assert_int_equal(r[1].kind, NET_SERVERS);
	assert_int_equal(r[1].verdict, NET_ALLOW);
	assert_int_equal(compiled(f), 0);
	assert_int_equal(f->m.n_rules, 1);
	db_setting_set(f->c.db, 0, "builds", "network", NULL);
}

static void rules_are_sorted_and_become_numbers(void **state)
{
	struct fixture *f = *state;
	const struct net_rule *r = f->m.rules;

	put(f, false, "internet", NULL, NULL);
	put(f, true, "10.0.0.0/8", "5432-5440", "tcp");
	put(f, true, "fd00::7", NULL, "udp");
	assert_int_equal(network_number(&f->c, f->api), 1); /* no release: web alone */
	put(f, true, "api", "80", NULL);
	assert_int_equal(compiled(f), 0);
	assert_int_equal(f->m.n_rules, 4);
	assert_int_equal(r[0].kind, NET_NAME);
	assert_int_equal(r[0].number, 1);
	assert_int_equal(r[0].first, 80);
	assert_int_equal(r[0].protocol, 0);
	assert_int_equal(r[1].kind, NET_ADDRESS6);
	assert_int_equal(r[1].prefix, 128);
	assert_int_equal(r[1].verdict, NET_ALLOW_HOST);
	assert_int_equal(r[1].protocol, IPPROTO_UDP);
	assert_int_equal(r[2].kind, NET_ADDRESS4);
	assert_int_equal(r[2].addr[0], 10);
	assert_int_equal(r[2].last, 5440);
	assert_int_equal(r[3].kind, NET_INTERNET);
	assert_int_equal(r[3].verdict, NET_DENY);
	assert_string_equal(f->m.hosts,
		"198.19.240.1 api.internal\nfd62:6572:7468::c613:f001 api.internal\n");
}

/* Names of a host: all addresses that it had lately may be reached, those of now are found;
 * and the host itself is no address that somebody's name server may open. */
static void a_host_name_becomes_its_addresses(void **state)
{
	struct fixture *f = *state;

	put(f, true, "db.example.com", "5432", NULL);
	put(f, true, "db.example.com", "5433", NULL);
	put(f, false, "bad.example.com", NULL, NULL);
	db_net_address_seen(f->c.db, "db.example.com", "192.0.2.1", 20);
	db_net_address_seen(f->c.db, "db.example.com", "2001:db8::1", 20);
	db_net_address_seen(f->c.db, "db.example.com", "192.0.2.9", 10);
	db_net_address_seen(f->c.db, "bad.example.com", "192.0.2.3", 20);
	assert_int_equal(compiled(f), 0);
	assert_int_equal(f->m.n_rules, 7);
	assert_int_equal(f->m.rules[0].verdict, NET_ALLOW);
	assert_string_equal(
		f->m.hosts, "192.0.2.1 db.example.com\n2001:db8::1 db.example.com\n");
}

static void many_addresses_are_shared_out(void **state)
{
	struct fixture *f = *state;
	char text[64];

	for (int host = 0; host < NETWORK_RULES_MAX; host++) {
		snprintf(text, sizeof(text), "h%d.example.com", host);
		put(f, true, text, NULL, NULL);
		for (int i = 1; i < 30; i++) {
			char address[32];

			snprintf(address, sizeof(address), "192.0.%d.%d", host, i);
			db_net_address_seen(f->c.db, text, address, 20);
		}
	}
	assert_int_equal(compiled(f), 0);
	assert_int_equal(f->m.n_rules, 2 * NETWORK_RULES_MAX);
}

static void put_too_many(struct fixture *f)
{
	char text[300];

	for (int i = 0; i < 40; i++) {
		int len = snprintf(text, sizeof(text), "h%d", i);

		while (len < 240)
			len += snprintf(text + len, sizeof(text) - (size_t)len,
				".aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
		put(f, true, text, NULL, NULL);
		db_net_address_seen(f->c.db, text, "192.0.2.1", 20);
	}
}

static void what_does_not_fit_is_refused(void **state)
{
	put_too_many(*state);
	assert_int_equal(compiled(*state), -E2BIG);
}

static void an_address_that_ends_like_another_is_found(void **state)
{
	struct fixture *f = *state;

	put(f, true, "db.example.com", NULL, NULL);
	db_net_address_seen(f->c.db, "db.example.com", "12.0.2.1", 20);
	db_net_address_seen(f->c.db, "db.example.com", "2.0.2.1", 20);
	assert_int_equal(compiled(f), 0);
	assert_string_equal(
		f->m.hosts, "12.0.2.1 db.example.com\n2.0.2.1 db.example.com\n");
}

/* ---- what berthd does not take ---- */

static void rules_that_were_not_taken_are_told_again(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	put(f, false, "internet", NULL, NULL);
	berthd.status = -EIO;
	network_send_all(&f->c);
	assert_int_equal(network_settle(&f->c, f->blog, &e), -EIO);
	assert_non_null(strstr(e.text, "did not take the network rules"));
	berthd.status = 0;
	assert_int_equal(network_settle(&f->c, f->blog, &e), 0);
	assert_int_equal(berthd.last.app, f->blog);
	assert_int_equal(berthd.last.n_rules, 1);
	assert_int_equal(berthd.told, 1);
	network_refresh(&f->c);
	assert_int_equal(berthd.last.app, f->api);
	assert_int_equal(berthd.told, 2);
	network_refresh(&f->c);
	assert_int_equal(network_settle(&f->c, f->blog, &e), 0);
	assert_int_equal(berthd.told, 2);
}

static void apps_that_could_not_be_listed_are_owed_their_rules(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	assert_true(query_exec(f->c.db, "ALTER TABLE app RENAME TO away", "") >= 0);
	network_send_all(&f->c);
	assert_true(query_exec(f->c.db, "ALTER TABLE away RENAME TO app", "") >= 0);
	assert_int_equal(berthd.told, 0);
	assert_int_equal(network_settle(&f->c, f->blog, &e), 0);
	assert_int_equal(berthd.told, 1);
	network_refresh(&f->c);
	assert_int_equal(berthd.told, 3);
	network_refresh(&f->c);
	assert_int_equal(berthd.told, 3);
}

static void nothing_is_started_without_its_rules(void **state)
{
	struct fixture *f = *state;
	struct db_image image = {
		.layers = json_array(), .processes = json_object(), .env = json_object()};
	struct db_release release = {.version = 1, .config = json_object()};
	struct db_app app;
	struct fleet_start s = {.app = &app,
		.release = &release,
		.image = &image,
		.type = "run",
		.command = "true",
		.kind = "run",
		.number = 1};
	struct member m;
	struct err e = {0};

	assert_int_equal(db_app_by_id(f->c.db, f->blog, &app), 0);
	berthd.status = -EIO;
	network_send_all(&f->c);
	assert_int_equal(fleet_start(&f->c, &s, &m, NULL, &e), -EIO);
	assert_non_null(strstr(e.text, "did not take the network rules"));
	assert_int_equal(berthd.starts, 0);
	berthd.status = 0;
	assert_int_equal(fleet_start(&f->c, &s, &m, NULL, &e), 0);
	assert_int_equal(berthd.starts, 1);
	assert_int_equal(berthd.last.app, f->blog);
	json_decref(release.config);
	db_image_clear(&image);
}

/* Names that become longer, or a called app that has more types, make them too many. */
static void an_app_whose_rules_have_become_too_many_starts_with_the_earlier_ones(
	void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	put(f, false, "internet", NULL, NULL);
	network_send_all(&f->c);
	put_too_many(f);
	assert_int_equal(network_apply(&f->c, f->blog, &e), -E2BIG);
	assert_int_equal(network_settle(&f->c, f->blog, &e), 0);
	network_send_all(&f->c); /* it may have none */
	assert_int_equal(network_settle(&f->c, f->blog, &e), -E2BIG);
	assert_non_null(strstr(e.text, "remove some"));
}

static void rules_of_builds_are_owed_with_those_of_instances(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	berthd.status = -EIO;
	assert_int_equal(network_apply(&f->c, f->blog, &e), -EIO);
	berthd.status = 0;
	network_refresh(&f->c);
	assert_int_equal(berthd.told, 2);
}

static void nothing_is_told_of_an_app_that_is_gone(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	berthd.status = -EIO;
	assert_int_equal(network_apply(&f->c, f->api, &e), -EIO);
	berthd.status = 0;
	assert_int_equal(db_app_delete(f->c.db, f->api), 0);
	network_refresh(&f->c);
	assert_int_equal(berthd.told, 0);
}

static void callers_are_told_of_a_new_name_in_the_end(void **state)
{
	struct fixture *f = *state;

	put(f, true, "api", NULL, NULL);
	berthd.status = -EIO;
	network_refresh(&f->c);
	assert_int_equal(berthd.told, 0);
	berthd.status = 0;
	network_refresh(&f->c);
	assert_int_equal(berthd.last.app, f->blog);
	assert_int_equal(berthd.last.n_rules, 1);
	assert_non_null(strstr(berthd.last.hosts, "api.internal"));
}

static void drop_line(struct sink *s UNUSED, char kind UNUSED, const char *text UNUSED)
{
}

/* Another app gets its number. */
static void an_app_goes_when_no_rules_lead_to_it(void **state)
{
	struct fixture *f = *state;
	struct sink s = {.write = drop_line, .watch_fd = -1};
	struct err e = {0};

	put(f, true, "api", NULL, NULL);
	network_refresh(&f->c);
	assert_int_equal(berthd.last.n_rules, 1);
	berthd.status = -EIO;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(app_destroy(&f->c, f->api, false, "me", &s, &e), -EIO);
		assert_non_null(strstr(e.text, "blog, which may call it: "));
	}
	assert_int_equal(network_number(&f->c, f->blog), 1);
	berthd.status = 0;
	assert_int_equal(app_destroy(&f->c, f->api, false, "me", &s, &e), 0);
	assert_int_equal(berthd.last.app, f->blog);
	assert_int_equal(berthd.last.n_rules, 0);
}

/* ---- each minute ---- */

#define HOST "127.0.0.9"

static bool comes(bool (*is)(struct control *c), struct control *c)
{
	for (int ms = 0; ms < WAIT_MS && !is(c); ms += 10)
		usleep(10000);
	return is(c);
}

static bool has_paused(struct control *c UNUSED)
{
	return atomic_load(&pauses) > 0;
}

static bool has_address(struct control *c)
{
	struct db_net_address *list autofree = NULL;

	return db_net_address_list(c->db, HOST, &list) > 0;
}

static bool berthd_was_told(struct control *c UNUSED)
{
	return atomic_load(&berthd.told) > 0;
}

/* The thread does not end: in a child. */
static bool in_child(struct fixture *f, bool (*test)(struct control *c))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		struct err e;

		if (db_open(f->folder, (const uint8_t[DB_KEY_SIZE]){1}, &f->c.db, &e) < 0)
			_exit(2);
		_exit(test(&f->c) ? 0 : 1);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static bool look_up_after_an_error(struct control *c)
{
	if (query_exec(c->db, "ALTER TABLE network_rule RENAME TO away", "") < 0 ||
		network_run(c) < 0 || !comes(has_paused, c))
		return false;
	return query_exec(c->db, "ALTER TABLE away RENAME TO network_rule", "") >= 0 &&
	       comes(has_address, c);
}

static void host_names_are_looked_up_again_after_an_error(void **state)
{
	struct fixture *f = *state;
	struct db_net_rule r = {
		.app = f->blog, .allow = true, .kind = "host", .target = HOST};

	assert_int_equal(db_net_rule_put(f->c.db, &r), 0);
	assert_true(in_child(f, look_up_after_an_error));
}

static bool tell_without_a_call(struct control *c)
{
	atomic_store(&berthd.status, -EIO);
	network_send_all(c);
	if (network_run(c) < 0 || !comes(has_paused, c))
		return false;
	atomic_store(&berthd.status, 0);
	return comes(berthd_was_told, c);
}

static void rules_are_told_again_each_minute(void **state)
{
	assert_true(in_child(*state, tell_without_a_call));
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_app_without_rules_has_none),
		T(builds_have_rules_and_a_mode_of_their_own),
		T(rules_are_sorted_and_become_numbers),
		T(a_host_name_becomes_its_addresses),
		T(many_addresses_are_shared_out),
		T(what_does_not_fit_is_refused),
		T(an_address_that_ends_like_another_is_found),
		T(rules_that_were_not_taken_are_told_again),
		T(apps_that_could_not_be_listed_are_owed_their_rules),
		T(nothing_is_started_without_its_rules),
		T(an_app_whose_rules_have_become_too_many_starts_with_the_earlier_ones),
		T(rules_of_builds_are_owed_with_those_of_instances),
		T(nothing_is_told_of_an_app_that_is_gone),
		T(callers_are_told_of_a_new_name_in_the_end),
		T(an_app_goes_when_no_rules_lead_to_it),
		T(host_names_are_looked_up_again_after_an_error),
		T(rules_are_told_again_each_minute),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

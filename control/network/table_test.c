/* A table that only changed parts are made anew for is the same, byte by byte, as one made from nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/certs/certs.h"
#include "control/network/stale.h"
#include "control/network/table.h"
#include "control/run/fleet_inside.h"
#include "control/run/sleep_inside.h"
#include "lib/io.h"
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define APPS 12
#define STEPS 400

struct fixture {
	char folder[64];
	struct control c;
	struct table_parts *parts;
	uint32_t apps[APPS];
	uint64_t random, last_instance;
};

struct mapped {
	const struct table_head *head;
	size_t size;
};

static void changed(void *arg, uint32_t app)
{
	stale_mark(arg, app);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e = {0};

	snprintf(f->folder, sizeof(f->folder), "/tmp/berth-table.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	f->c.state = f->folder;
	f->random = 88172645463325252u;
	assert_int_equal(
		db_open(f->folder, (const uint8_t[DB_KEY_SIZE]){1}, &f->c.db, &e), 0);
	assert_int_equal(stale_open(&f->c.stale), 0);
	assert_int_equal(db_watch(f->c.db, changed, f->c.stale), 0);
	assert_int_equal(certs_open(&f->c, &f->c.certs, &e), 0);
	assert_int_equal(fleet_open(&f->c, &f->c.fleet), 0);
	assert_int_equal(sleep_open(&f->c, &f->c.sleepers), 0);
	assert_int_equal(table_open(&f->parts), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	table_close(f->parts);
	fleet_close(f->c.fleet);
	certs_close(f->c.certs);
	stale_close(f->c.stale);
	db_close(f->c.db);
	free(f->c.sleepers);
	io_remove_tree(AT_FDCWD, f->folder);
	free(f);
	return 0;
}

static struct mapped map(int fd)
{
	struct mapped m;
	struct err e = {0};
	void *at;

	assert_true(fd >= 0);
	assert_int_equal(io_memfd_map(fd, "table", sizeof(*m.head), TABLE_SIZE_MAX, &at,
				 &m.size, &e),
		0);
	close(fd);
	m.head = at;
	assert_int_equal(m.head->size, m.size);
	return m;
}

static void unmap(struct mapped m)
{
	munmap((void *)(uintptr_t)m.head, m.size);
}

static struct mapped made(struct fixture *f)
{
	return map(table_make(&f->c, f->parts, 2));
}

static struct mapped made_from_nothing(struct fixture *f)
{
	struct control c = f->c;
	struct table_parts *parts;

	assert_int_equal(stale_open(&c.stale), 0);
	assert_int_equal(table_open(&parts), 0);
	struct mapped m = map(table_make(&c, parts, 2));
	table_close(parts);
	stale_close(c.stale);
	return m;
}

static bool same(struct mapped a, struct mapped b)
{
	return a.size == b.size && memcmp(a.head, b.head, a.size) == 0;
}

static bool is_up_to_date(struct fixture *f)
{
	struct mapped a = made(f), b = made_from_nothing(f);
	bool ok = same(a, b);

	unmap(a);
	unmap(b);
	return ok;
}

/* ---- reading a table ---- */

static const struct table_host *hosts(struct mapped m)
{
	return (const void *)(m.head + 1);
}

static const struct table_app *rows(struct mapped m)
{
	return (const void *)(hosts(m) + m.head->n_hosts);
}

static const char *strings(struct mapped m)
{
	return (const char *)m.head + m.size - m.head->strings_size;
}

static const struct table_options *options(struct mapped m)
{
	const struct table_instance *instances = (const void *)(rows(m) + m.head->n_apps);

	return (const void *)(instances + m.head->n_instances);
}

static const struct table_app *app_of(struct mapped m, const char *host)
{
	for (uint32_t i = 0; i < m.head->n_hosts; i++) {
		const struct table_host *h = &hosts(m)[i];

		if (h->name_len == strlen(host) &&
			memcmp(strings(m) + h->name_off, host, h->name_len) == 0)
			return &rows(m)[h->app];
	}
	return NULL;
}

/* ---- changes ---- */

static uint32_t draw(struct fixture *f, uint32_t below)
{
	f->random ^= f->random << 13;
	f->random ^= f->random >> 7;
	f->random ^= f->random << 17;
	return (uint32_t)(f->random >> 20) % below;
}

static void come_or_go(struct fixture *f, uint32_t *app)
{
	static unsigned int made;
	char name[32];

	if (*app && draw(f, 2)) {
		db_app_set_removing(f->c.db, *app, false);
	} else if (*app) {
		db_app_delete(f->c.db, *app);
		*app = 0;
	} else {
		snprintf(name, sizeof(name), "app%u", ++made);
		assert_int_equal(db_app_create(f->c.db, name, app), 0);
	}
}

static void change_domain(struct fixture *f, uint32_t app)
{
	char name[32];

	snprintf(name, sizeof(name), "%s%u.%s", draw(f, 3) ? "w" : "*.w", draw(f, 20),
		draw(f, 3) ? "example" : "localhost");
	if (draw(f, 40) == 0)
		app = 0;
	if (draw(f, 3))
		db_domain_add(f->c.db, app, name);
	else
		db_domain_remove(f->c.db, app, name);
}

static void change_setting(struct fixture *f, uint32_t app)
{
	static const char *const all[][3] = {{"http", "error-page", "<p>sorry"},
		{"http", "canonical", "w1.example"}, {"http", "timeout", "9"},
		{"http", "body-limit", "1K"}, {"maintenance", "enabled", "on"},
		{"maintenance", "page", "<p>soon"}, {"ps", "idle-after", "30m"}};
	const char *const *s = all[draw(f, ARRAY_LEN(all))];

	db_setting_set(
		f->c.db, draw(f, 20) ? app : 0, s[0], s[1], draw(f, 3) ? s[2] : NULL);
}

static void change_rule(struct fixture *f, uint32_t app)
{
	struct db_net_rule r = {.app = f->apps[draw(f, APPS)],
		.allow = draw(f, 2),
		.kind = "app",
		.target_app = app};

	if (draw(f, 3))
		db_net_rule_put(f->c.db, &r);
	else
		db_net_rule_clear(f->c.db, r.app, false);
}

static void change_member(struct fixture *f, uint32_t app)
{
	struct fleet *fleet = f->c.fleet;
	struct member m = {.app = app,
		.id = ++f->last_instance,
		.version = 1 + draw(f, 3),
		.number = 1 + draw(f, 3) + (draw(f, 4) ? 0 : FORMATION_MAX),
		.type = "web",
		.port = 5000,
		.listens = draw(f, 2),
		.state = draw(f, 3) ? MEMBER_READY : MEMBER_STARTING};

	pthread_mutex_lock(&fleet->lock);
	struct node *n = fleet_node(fleet, 1 + draw(f, (uint32_t)f->last_instance));
	if (n && n->m.state == MEMBER_STARTING)
		fleet_step(fleet, n, EVENT_READY);
	else if (n && n->m.state == MEMBER_READY)
		fleet_step(fleet, n, EVENT_UNWANTED);
	else
		fleet_add(fleet, &m);
	pthread_mutex_unlock(&fleet->lock);
}

static void change_sleep(struct fixture *f, uint32_t app)
{
	struct nap *n;

	switch (draw(f, 5)) {
	case 4:
		db_app_set_canary(f->c.db, app, draw(f, 4), 10);
		break;
	case 0:
		fleet_hold(&f->c, app, draw(f, 2));
		break;
	case 1:
		db_app_set_asleep(f->c.db, app, (enum db_asleep)draw(f, 3), "a test");
		break;
	default:
		n = nap_lock(f->c.sleepers, app);
		n->idle = draw(f, 4);
		n->dozing = draw(f, 3) == 0;
		n->waking = draw(f, 3) == 0;
		nap_unlock(f->c.sleepers, n);
	}
}

static void change_something(struct fixture *f)
{
	uint32_t *app = &f->apps[draw(f, APPS)];
	uint32_t what = draw(f, 16);

	if (!*app || what == 0)
		come_or_go(f, app);
	else if (what < 5)
		change_domain(f, *app);
	else if (what < 8)
		change_setting(f, *app);
	else if (what < 10)
		change_rule(f, *app);
	else if (what < 13)
		change_member(f, *app);
	else
		change_sleep(f, *app);
}

/* ---- tests ---- */

static void whatever_changes_the_table_is_as_if_made_from_nothing(void **state)
{
	struct fixture *f = *state;

	for (unsigned int step = 0; step < STEPS; step++) {
		for (uint32_t n = 1 + draw(f, 3); n > 0; n--)
			change_something(f);
		if (!is_up_to_date(f))
			fail_msg("another table after step %u", step);
	}
	/* more at once than are made one by one */
	for (unsigned int i = 0; i < 2 * STALE_MAX; i++)
		stale_mark(f->c.stale, 1000 + i);
	assert_true(is_up_to_date(f));
}

static void a_change_that_is_not_marked_is_not_seen(void **state)
{
	struct fixture *f = *state;
	uint32_t dropped[STALE_MAX];

	assert_int_equal(db_app_create(f->c.db, "shop", &f->apps[0]), 0);
	assert_true(is_up_to_date(f));
	assert_int_equal(db_domain_add(f->c.db, f->apps[0], "shop.example"), 0);
	assert_int_equal(stale_take(f->c.stale, STALE_TABLE, dropped), 1);
	assert_int_equal(dropped[0], f->apps[0]);
	assert_false(is_up_to_date(f));
	stale_mark(f->c.stale, f->apps[0]);
	assert_true(is_up_to_date(f));
}

static void a_change_that_is_undone_is_no_change(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(db_app_create(f->c.db, "shop", &f->apps[0]), 0);
	unmap(made(f));
	assert_int_equal(db_begin(f->c.db), 0);
	assert_int_equal(db_domain_add(f->c.db, f->apps[0], "shop.example"), 0);
	assert_int_equal(db_end(f->c.db, false), 0);
	struct mapped m = made(f);
	assert_null(app_of(m, "shop.example"));
	assert_non_null(app_of(m, "shop.localhost"));
	unmap(m);
}

/* Rows from before there was a limit: the router takes a table whole or not at all. */
static void a_name_that_is_too_long_is_left_out(void **state)
{
	struct fixture *f = *state;
	char global[256];

	snprintf(global, sizeof(global), "%060d.%060d.%060d.%060d.e", 1, 2, 3, 4);
	assert_int_equal(db_app_create(f->c.db, "a-longer-name", &f->apps[0]), 0);
	assert_int_equal(db_domain_add(f->c.db, 0, global), 0);
	assert_int_equal(db_domain_add(f->c.db, 0, "apps.example"), 0);
	struct mapped m = made(f);
	assert_non_null(app_of(m, "a-longer-name.apps.example"));
	assert_int_equal(m.head->n_hosts, 1);
	unmap(m);
}

static void the_older_app_has_a_name_that_two_want(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(db_app_create(f->c.db, "shop", &f->apps[0]), 0);
	assert_int_equal(db_domain_add(f->c.db, f->apps[0], "blog.localhost"), 0);
	assert_int_equal(db_app_create(f->c.db, "blog", &f->apps[1]), 0);
	struct mapped m = made(f);
	assert_int_equal(app_of(m, "blog.localhost")->id, f->apps[0]);
	assert_int_equal(m.head->n_hosts, 2);
	unmap(m);
	assert_int_equal(db_domain_remove(f->c.db, f->apps[0], "blog.localhost"), 0);
	m = made(f);
	assert_int_equal(app_of(m, "blog.localhost")->id, f->apps[1]);
	unmap(m);
}

static void the_hostname_of_the_api_is_no_apps_whoever_wants_it(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(db_app_create(f->c.db, "blog", &f->apps[0]), 0);
	db_setting_set(f->c.db, 0, "http", "auth", "of-all:x");
	struct mapped m = made(f);
	assert_int_equal(app_of(m, "blog.localhost")->id, f->apps[0]);
	unmap(m);
	db_setting_set(f->c.db, 0, "apps", "api-host", "blog.localhost");
	m = made(f);
	const struct table_app *api = app_of(m, "blog.localhost");
	assert_int_equal(api->id, TABLE_API);
	assert_int_equal(api->n_instances, 1);
	assert_true(api->options);
	assert_int_equal(options(m)[api->options - 1].auth_rounds, 0);
	unmap(m);
	assert_true(is_up_to_date(f));
	db_setting_set(f->c.db, 0, "apps", "api-host", NULL);
	m = made(f);
	assert_int_equal(app_of(m, "blog.localhost")->id, f->apps[0]);
	unmap(m);
}

static void texts_are_an_apps_own_or_those_of_all(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(db_app_create(f->c.db, "shop", &f->apps[0]), 0);
	assert_int_equal(db_app_create(f->c.db, "blog", &f->apps[1]), 0);
	db_setting_set(f->c.db, 0, "http", "error-page", "of all");
	db_setting_set(f->c.db, f->apps[1], "http", "canonical", "blog.example");
	struct mapped m = made(f);
	assert_int_equal(m.head->n_options, 2);
	assert_int_equal(app_of(m, "shop.localhost")->options, 1);
	const struct table_options *o =
		&options(m)[app_of(m, "blog.localhost")->options - 1];
	assert_memory_equal(strings(m) + o->error_page.off, "of all", 6);
	assert_int_equal(o->error_page.off, options(m)[0].error_page.off);
	assert_memory_equal(strings(m) + o->canonical.off, "blog.example", 12);
	unmap(m);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(whatever_changes_the_table_is_as_if_made_from_nothing),
		TEST(a_change_that_is_not_marked_is_not_seen),
		TEST(a_change_that_is_undone_is_no_change),
		TEST(a_name_that_is_too_long_is_left_out),
		TEST(the_older_app_has_a_name_that_two_want),
		TEST(the_hostname_of_the_api_is_no_apps_whoever_wants_it),
		TEST(texts_are_an_apps_own_or_those_of_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

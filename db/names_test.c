/* Tests of apps that change their names, and of apps made of others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "db/fixture.h"
#include "db/query.h"
#include "lib/io.h"
#include <errno.h>
#include <string.h>

static uint32_t make_app(struct db *db, const char *name)
{
	uint32_t id = 0;

	assert_int_equal(db_app_create(db, name, &id), 0);
	return id;
}

static size_t count_events(struct db *db, const char *app)
{
	json_t *list = NULL;
	const struct db_event_query q = {.app = app};

	assert_int_equal(db_event_list(db, &q, &list), 0);
	size_t n = json_array_size(list);
	json_decref(list);
	return n;
}

static void a_new_name_is_kept_free_from_the_beginning(void **state)
{
	struct fixture *f = *state;
	char to[NAME_MAX_LEN + 1];
	uint32_t id = make_app(f->db, "blog"), other = make_app(f->db, "api"), third;
	uint32_t *list = NULL;

	assert_int_equal(db_app_rename_begin(f->db, id, "api"), -ENOENT);
	assert_int_equal(db_app_rename_begin(f->db, id, "journal"), 0);
	assert_int_equal(db_app_rename_begin(f->db, other, "journal"), -ENOENT);
	assert_int_equal(db_app_create(f->db, "journal", &third), -EEXIST);
	assert_int_equal(db_app_create(f->db, "blog", &third), -EEXIST);
	assert_int_equal(db_app_renaming(f->db, id, to), 1);
	assert_string_equal(to, "journal");
	assert_int_equal(db_app_list_renaming(f->db, &list), 1);
	assert_int_equal(list[0], id);
	free(list);
	assert_int_equal(db_app_rename_cancel(f->db, id), 0);
	assert_int_equal(db_app_renaming(f->db, id, to), 0);
	third = make_app(f->db, "journal");
}

static void a_former_name_leads_to_its_app_with_its_events(void **state)
{
	struct fixture *f = *state;
	struct db_app a;
	uint32_t before = make_app(f->db, "blog"), id;

	db_event_add_own(f->db, "ps:sleep", "blog", "idle");
	assert_int_equal(db_app_delete(f->db, before), 0);
	usleep(1000);
	id = make_app(f->db, "blog");
	db_event_add_own(f->db, "ps:wake", "blog", "a request");
	assert_int_equal(db_app_rename_begin(f->db, id, "journal"), 0);
	assert_int_equal(db_app_rename_end(f->db, id), 0);
	assert_int_equal(db_app_by_name(f->db, "blog", &a), -ENOENT);
	assert_int_equal(db_app_by_name(f->db, "journal", &a), 0);
	assert_int_equal(a.id, id);
	assert_int_equal(db_app_by_former_name(f->db, "blog", &a), 0);
	assert_string_equal(a.name, "journal");
	/* what happened to the one before, which was called so too, stays there */
	assert_int_equal(count_events(f->db, "blog"), 1);
	assert_int_equal(count_events(f->db, "journal"), 1);
	/* there and back */
	assert_int_equal(db_app_rename_begin(f->db, id, "blog"), 0);
	assert_int_equal(db_app_rename_end(f->db, id), 0);
	assert_int_equal(db_app_by_former_name(f->db, "blog", &a), -ENOENT);
	assert_int_equal(db_app_by_former_name(f->db, "journal", &a), 0);
	assert_int_equal(db_app_delete(f->db, id), 0);
	assert_int_equal(db_app_by_former_name(f->db, "journal", &a), -ENOENT);
	assert_int_equal(db_app_rename_end(f->db, id), -ENOENT);
}

static void the_app_with_the_apis_certificates_keeps_them(void **state)
{
	struct fixture *f = *state;
	uint32_t id = make_app(f->db, "blog"), other = make_app(f->db, "copy");
	char *text = NULL;

	db_setting_set(f->db, 0, "apps", "api-certs", "blog");
	assert_int_equal(db_app_rename_begin(f->db, other, "third"), 0);
	assert_int_equal(db_app_rename_end(f->db, other), 0);
	assert_int_equal(db_setting_get(f->db, 0, "apps", "api-certs", &text), 0);
	assert_string_equal(text, "blog");
	free(text);
	assert_int_equal(db_app_rename_begin(f->db, id, "journal"), 0);
	assert_int_equal(db_app_rename_end(f->db, id), 0);
	assert_int_equal(db_setting_get(f->db, 0, "apps", "api-certs", &text), 0);
	assert_string_equal(text, "journal");
	free(text);
	text = NULL;
	assert_int_equal(db_app_delete(f->db, other), 0);
	assert_int_equal(db_app_delete(f->db, id), 0);
	db_setting_get(f->db, 0, "apps", "api-certs", &text);
	assert_null(text);
}

static void what_an_app_is_set_to_is_copied(void **state)
{
	struct fixture *f = *state;
	struct db_resource r = {.memory_bytes = 64 << 20, .nofile = 512}, got;
	struct db_net_rule rule = {.kind = "internet"}, *rules = NULL;
	uint32_t from = make_app(f->db, "blog"), to = make_app(f->db, "copy");
	json_t *formation = NULL;
	char *text = NULL;

	assert_int_equal(db_formation_set(f->db, from, "worker", 3), 0);
	assert_int_equal(db_resource_set(f->db, from, "web", &r), 0);
	db_setting_set(f->db, from, "ports", "web", "3000");
	db_setting_set(f->db, from, "http", "canonical", "www.example.com");
	rule.app = from;
	assert_int_equal(db_net_rule_put(f->db, &rule), 0);
	assert_int_equal(db_app_copy_settings(f->db, from, to), 0);
	assert_true(db_formation_get(f->db, to, &formation) >= 0);
	assert_int_equal(json_integer_value(json_object_get(formation, "worker")), 3);
	json_decref(formation);
	assert_int_equal(db_resource_get(f->db, to, "web", &got), 0);
	assert_memory_equal(&got, &r, sizeof(r));
	assert_int_equal(db_setting_get(f->db, to, "ports", "web", &text), 0);
	assert_string_equal(text, "3000");
	free(text);
	assert_int_equal(db_setting_get(f->db, to, "http", "canonical", &text), 0);
	assert_null(text);
	assert_int_equal(db_net_rule_list(f->db, to, &rules), 1);
	assert_int_equal(rules[0].app, to);
	free(rules);
}

static void a_preview_goes_with_its_app_and_is_one_of_a_branch(void **state)
{
	struct fixture *f = *state;
	struct db_preview p, *list = NULL;
	uint32_t parent = make_app(f->db, "blog"), app = make_app(f->db, "blog-x");
	uint32_t other = make_app(f->db, "blog-y");

	assert_int_equal(db_preview_add(f->db, app, parent, "feature/x"), 0);
	assert_int_equal(db_preview_add(f->db, other, parent, "feature/x"), -EEXIST);
	assert_int_equal(db_preview_find(f->db, parent, "feature/x", &p), 0);
	assert_int_equal(p.app, app);
	assert_int_equal(db_preview_find(f->db, parent, "x", &p), -ENOENT);
	assert_int_equal(db_preview_get(f->db, app, &p), 0);
	uint64_t first = p.pushed_us;
	usleep(1000);
	assert_int_equal(db_preview_pushed(f->db, app), 0);
	assert_int_equal(db_preview_get(f->db, app, &p), 0);
	assert_true(p.pushed_us > first);
	assert_int_equal(db_preview_list(f->db, 0, &list), 1);
	free(list);
	assert_int_equal(db_app_delete(f->db, app), 0);
	assert_int_equal(db_preview_find(f->db, parent, "feature/x", &p), -ENOENT);
}

#define OLD "0000000000000000000000000000000000000000"
#define NEW "1111111111111111111111111111111111111111"

/* As a push makes it. */
static void push(struct db *db, uint32_t app, const char *ref)
{
	struct db_image i = {.app = app, .pack = "static", .commit = NEW};
	struct db_release r = {.app = app, .description = "Deploy", .actor = "ann"};

	i.layers = json_array();
	i.processes = json_object();
	i.env = json_object();
	i.checks = json_object();
	r.config = json_object();
	assert_int_equal(db_image_create(db, &i), 0);
	r.image = i.id;
	assert_true(db_pushed_set(db, app, ref, OLD, NEW) >= 0);
	assert_int_equal(db_release_create(db, &r), 0);
	assert_int_equal(db_release_switch(db, app, r.version), 0);
	db_image_clear(&i);
	db_release_clear(&r);
}

static void a_branch_that_moves_otherwise_is_forgotten(void **state)
{
	struct fixture *f = *state;
	uint32_t parent = make_app(f->db, "blog"), app = make_app(f->db, "blog-x");
	struct db_pushed *list = NULL;

	assert_int_equal(db_preview_add(f->db, app, parent, "x"), 0);
	push(f->db, parent, "refs/heads/main");
	push(f->db, app, "refs/heads/x");
	assert_int_equal(db_pushed_list(f->db, parent, &list), 2);
	free(list);
	assert_int_equal(db_pushed_forget(f->db, parent, "refs/heads/y"), 0);
	/* that of a preview's, too: it is pushed to its parent */
	assert_int_equal(db_pushed_forget(f->db, parent, "refs/heads/x"), 1);
	assert_int_equal(db_pushed_list(f->db, parent, &list), 1);
	assert_int_equal(list[0].app, parent);
	free(list);
	assert_int_equal(db_pushed_forget(f->db, parent, "refs/heads/main"), 1);
	assert_int_equal(db_pushed_list(f->db, parent, &list), 0);
	free(list);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_new_name_is_kept_free_from_the_beginning),
		T(a_former_name_leads_to_its_app_with_its_events),
		T(the_app_with_the_apis_certificates_keeps_them),
		T(what_an_app_is_set_to_is_copied),
		T(a_preview_goes_with_its_app_and_is_one_of_a_branch),
		T(a_branch_that_moves_otherwise_is_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

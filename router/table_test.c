/* Routing table: whole ones are used, corrupt ones refused, lookups find the longest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/io.h"
#include "router/table.h"
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* apps: 0 has two instances, 1 has none */
static const struct {
	const char *name;
	uint32_t app, flags;
} hosts[] = {
	{".deep.w.example", 1, HOST_WILDCARD},
	{".w.example", 0, HOST_WILDCARD},
	{"a.example", 0, 0},
	{"b.example", 1, 0},
	{"x.w.example", 1, 0},
};

struct small {
	struct table_head head;
	struct table_host hosts[ARRAY_LEN(hosts)];
	struct table_app apps[2];
	struct table_instance instances[2];
	struct table_options options[1];
	struct table_net nets[1];
	char strings[100];
};

static uint32_t put(struct small *s, const char *text)
{
	uint32_t at = s->head.strings_size;

	memcpy(s->strings + at, text, strlen(text));
	s->head.strings_size += (uint32_t)strlen(text);
	return at;
}

/* Size of the table made in s. */
static size_t make(struct small *s)
{
	memset(s, 0, sizeof(*s));
	s->head.magic = TABLE_MAGIC;
	s->head.n_hosts = ARRAY_LEN(hosts);
	s->head.n_apps = 2;
	s->head.n_instances = 2;
	s->head.n_options = 1;
	s->head.n_nets = 1;
	s->nets[0] = (struct table_net){.family = AF_INET, .prefix = 8};
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
		s->hosts[i] = (struct table_host){put(s, hosts[i].name),
			(uint32_t)strlen(hosts[i].name), hosts[i].app, hosts[i].flags};
	s->apps[0] = (struct table_app){.id = 10, .n_instances = 2};
	s->apps[1] = (struct table_app){.id = 11,
		.first_instance = 2,
		.flags = APP_HOLD,
		.hold_ms = 1000,
		.options = 1};
	s->instances[0] = (struct table_instance){1, 5000, put(s, "web.1"), 5, 1};
	s->instances[1] = (struct table_instance){2, 5000, put(s, "web.2"), 5, 1};
	s->options[0] = (struct table_options){.body_max_bytes = 1 << 20,
		.queue_max = 10,
		.canary_key = 5,
		.canary_release = 1,
		.canary_percent = TABLE_CANARY_MAX,
		.error_page = {put(s, "<p>"), 3}};
	s->head.size = (uint32_t)(offsetof(struct small, strings) + s->head.strings_size);
	return s->head.size;
}

static int parse(const struct small *s, size_t size)
{
	struct table *t = NULL;
	struct err e = {0};
	int r = table_parse(s, size, &t, &e);

	assert_int_equal(r == 0, t != NULL);
	if (r < 0)
		assert_true(e.text[0]);
	table_free(t);
	return r;
}

static void a_whole_table_is_used(void **state)
{
	struct small s;
	size_t size = make(&s);

	(void)state;
	assert_int_equal(parse(&s, size), 0);
}

#define REFUSED(change)                                                                  \
	do {                                                                             \
		size_t size = make(&s);                                                  \
		change;                                                                  \
		assert_int_equal(parse(&s, size), -EBADMSG);                             \
	} while (0)

static void every_corruption_is_refused(void **state)
{
	struct small s;

	(void)state;
	REFUSED(s.head.magic++);
	REFUSED(s.head.size++);
	REFUSED(size--);
	REFUSED(size = 0);
	REFUSED(size = sizeof(s.head) - 1);
	REFUSED(s.head.n_hosts = UINT32_MAX);
	REFUSED(s.head.n_apps++);
	REFUSED(s.head.n_instances--);
	REFUSED(s.head.n_options--);
	REFUSED(s.head.n_options = UINT32_MAX);
	REFUSED(s.apps[1].options = 2);
	REFUSED(s.options[0].canary_percent = TABLE_CANARY_MAX + 1);
	REFUSED(s.options[0].canary_percent = 0);
	REFUSED(s.options[0].canary_release = 0);
	REFUSED(s.options[0].canary_key = 0);
	REFUSED(s.options[0].flags = 1u << 31);
	REFUSED(s.options[0].body_max_bytes = TABLE_BODY_MAX + 1);
	REFUSED(s.options[0].queue_max = TABLE_QUEUE_MAX + 1);
	REFUSED(s.options[0].error_page.off = UINT32_MAX);
	REFUSED(s.options[0].error_page.len = 1000);
	REFUSED(s.options[0].maintenance_page.len = TABLE_PAGE_MAX + 1);
	REFUSED(s.options[0].canonical = s.options[0].error_page);
	REFUSED(s.options[0].canonical.len = 1000);
	REFUSED(s.options[0].rate_n = 1);
	REFUSED(s.options[0].rate_period_ms = 1000);
	REFUSED(s.options[0].auth_rounds = UINT32_MAX);
	REFUSED(s.head.n_nets = 0);
	REFUSED(s.head.n_nets = UINT32_MAX);
	REFUSED(s.nets[0].family = 1);
	REFUSED(s.nets[0].prefix = 33);
	REFUSED(s.head.strings_size--);
	REFUSED(s.hosts[0].name_off = 1000);
	REFUSED(s.hosts[0].name_off = UINT32_MAX);
	REFUSED(s.hosts[0].name_len = UINT32_MAX);
	REFUSED(s.hosts[2].name_len = 0);
	REFUSED(s.hosts[2].app = 2);
	REFUSED(s.hosts[2].flags = 4);
	REFUSED(s.hosts[2].flags = HOST_WILDCARD);
	REFUSED(s.hosts[0].flags = 0);
	REFUSED(s.hosts[2].name_off = s.hosts[3].name_off);
	REFUSED(s.strings[s.hosts[2].name_off] = 'A');
	REFUSED(s.strings[s.hosts[2].name_off] = 0);
	REFUSED(s.strings[s.hosts[3].name_off] = 'a');
	REFUSED(s.apps[0].id = 0);
	REFUSED(s.apps[0].flags = 8);
	REFUSED(s.apps[0].n_instances = 3);
	REFUSED(s.apps[1].first_instance = 3);
	REFUSED(s.apps[1].n_instances = UINT32_MAX);
	REFUSED(s.apps[1].hold_ms = UINT32_MAX);
	REFUSED(s.instances[0].id = 0);
	REFUSED(s.instances[0].port = 65536);
	REFUSED(s.instances[0].name_len = PROTO_NAME_MAX);
	REFUSED(s.instances[1].name_off = UINT32_MAX);
	REFUSED(s.strings[s.instances[0].name_off] = '"');
	REFUSED(s.strings[s.instances[0].name_off] = '\n');
}

static void random_bytes_never_break_the_loader(void **state)
{
	uint32_t seed = 12345;
	struct small s;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		size_t size = make(&s);

		seed = seed * 1664525 + 1013904223;
		((unsigned char *)&s)[(seed >> 8) % size] ^=
			(unsigned char)(1u << (seed >> 29));
		parse(&s, size);
	}
}

static uint32_t find(const struct table *t, const char *host)
{
	const struct table_host *h = table_find(t, host, strlen(host));
	const struct table_app *a = h ? &t->apps[h->app] : NULL;

	return a ? a->id : 0;
}

static void the_longest_match_wins(void **state)
{
	struct table *t = NULL;
	struct small s;
	size_t size = make(&s);

	(void)state;
	assert_int_equal(table_parse(&s, size, &t, NULL), 0);
	assert_int_equal(find(t, "a.example"), 10);
	assert_int_equal(find(t, "A.Example"), 10);
	assert_int_equal(find(t, "b.example"), 11);
	assert_int_equal(find(t, "c.example"), 0);
	assert_int_equal(find(t, "y.w.example"), 10);
	assert_int_equal(find(t, "z.y.w.example"), 10);
	assert_int_equal(find(t, "x.w.example"), 11);
	assert_int_equal(find(t, "q.deep.w.example"), 11);
	assert_int_equal(find(t, "deep.w.example"), 10);
	assert_int_equal(find(t, "w.example"), 0);
	assert_int_equal(find(t, ".w.example"), 0);
	assert_int_equal(find(t, ""), 0);
	assert_int_equal(find(t, "example"), 0);
	table_free(t);
}

static void only_a_sealed_file_is_loaded(void **state)
{
	struct table *t = NULL;
	struct small s;
	size_t size = make(&s);
	int fd = io_memfd_sealed("table", &s, size);

	(void)state;
	assert_int_equal(table_load(fd, &t, NULL), 0);
	assert_int_equal(find(t, "a.example"), 10);
	table_free(t);
	close(fd);
	assert_true(table_load(0, &t, NULL) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_table_is_used),
		cmocka_unit_test(every_corruption_is_refused),
		cmocka_unit_test(random_bytes_never_break_the_loader),
		cmocka_unit_test(the_longest_match_wins),
		cmocka_unit_test(only_a_sealed_file_is_loaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The routing table: a sound one with some bytes changed, or any bytes. What is refused has
 * a reason; in what is accepted every name is found as a search from one end to the other
 * finds it, and everything that the router uses lies inside.
 */
#include "tests/fuzz/fuzz.h"

#include "lib/proto.h"
#include "router/table.h"

#include <errno.h>

static const char *const names[] = {".a.example", ".b.a.example", ".example", "a.example",
	"b.a.example", "c.example", "x", "x.b.a.example"};

#define PAGE "<p>Back soon.</p>"

/* Where the parts of a table lie. */
struct parts {
	unsigned int n_hosts, n_apps, n_instances;
	struct table_host *hosts;
	struct table_app *apps;
	struct table_instance *instances;
	struct table_options *options; /* one */
	char *strings;
};

static void find_parts(struct parts *p, char *table)
{
	p->hosts = (void *)(table + sizeof(struct table_head));
	p->apps = (void *)(p->hosts + p->n_hosts);
	p->instances = (void *)(p->apps + p->n_apps);
	p->options = (void *)(p->instances + p->n_instances);
	p->strings = (void *)(p->options + 1);
}

static uint32_t put(const struct parts *p, char **at, const char *text)
{
	uint32_t off = (uint32_t)(*at - p->strings);

	*at = stpcpy(*at, text);
	return off;
}

/* A sound table; its size. */
static size_t compose(const struct parts *p, char *table)
{
	char *at = p->strings;

	for (unsigned int i = 0; i < p->n_hosts; i++)
		p->hosts[i] = (struct table_host){.name_off = put(p, &at, names[i]),
			.name_len = (uint32_t)strlen(names[i]),
			.app = i % p->n_apps,
			.flags = names[i][0] == '.' ? HOST_WILDCARD : HOST_TLS};
	for (unsigned int i = 0; i < p->n_apps; i++)
		p->apps[i] = (struct table_app){.id = i + 1,
			.first_instance = i < p->n_instances ? i : p->n_instances,
			.n_instances = i < p->n_instances,
			.options = i % 2};
	for (unsigned int i = 0; i < p->n_instances; i++)
		p->instances[i] = (struct table_instance){.id = i + 1,
			.port = 5000,
			.name_off = put(p, &at, "web.1"),
			.name_len = 5};
	*p->options = (struct table_options){.body_max_bytes = 1 << 20,
		.queue_max = 9,
		.canary_key = 1,
		.canary_release = 1,
		.canary_percent = 10};
	p->options->error_page.off = put(p, &at, PAGE);
	p->options->error_page.len = sizeof(PAGE) - 1;
	*(struct table_head *)(void *)table = (struct table_head){.magic = TABLE_MAGIC,
		.size = (uint32_t)(at - table),
		.n_hosts = p->n_hosts,
		.n_apps = p->n_apps,
		.n_instances = p->n_instances,
		.n_options = 1,
		.strings_size = (uint32_t)(at - p->strings)};
	return (size_t)(at - table);
}

/* One of each kind, changed by itself: an input means the same when a struct grows. */
static void patch(const struct parts *p, struct input *in, char *table)
{
	if (p->n_hosts)
		take_patches(in, &p->hosts[take_u8(in) % p->n_hosts], sizeof(*p->hosts));
	take_patches(in, &p->apps[take_u8(in) % p->n_apps], sizeof(*p->apps));
	if (p->n_instances)
		take_patches(in, &p->instances[take_u8(in) % p->n_instances],
			sizeof(*p->instances));
	take_patches(in, table, sizeof(struct table_head));
	take_patches(in, p->options, sizeof(*p->options));
}

static const char *name_of(const struct table *t, uint32_t i, size_t *ret_len)
{
	*ret_len = t->hosts[i].name_len;
	return t->strings + t->hosts[i].name_off;
}

static bool comes_before(const struct table *t, uint32_t i, uint32_t k)
{
	size_t n, m;
	const char *a = name_of(t, i, &n), *b = name_of(t, k, &m);
	int r = memcmp(a, b, n < m ? n : m);

	return r < 0 || (r == 0 && n < m);
}

/* The whole name, else the longest wildcard that it ends with. */
static const struct table_host *search(
	const struct table *t, const char *host, size_t len)
{
	const struct table_host *best = NULL;

	for (uint32_t i = 0; i < t->n_hosts; i++) {
		size_t n;
		const char *name = name_of(t, i, &n);

		if (n == len && memcmp(name, host, n) == 0)
			return &t->hosts[i];
		if ((t->hosts[i].flags & HOST_WILDCARD) && n < len &&
			memcmp(name, host + len - n, n) == 0 &&
			(!best || best->name_len < n))
			best = &t->hosts[i];
	}
	return best;
}

static void find_as_search(const struct table *t, const char *host, size_t len)
{
	const struct table_host *want =
		len && len <= 253 && host[0] != '.' ? search(t, host, len) : NULL;
	char upper[256];

	CHECK(table_find(t, host, len) == want);
	for (size_t i = 0; i < len && i < sizeof(upper); i++)
		upper[i] =
			host[i] >= 'a' && host[i] <= 'z' ? (char)(host[i] - 32) : host[i];
	if (len <= sizeof(upper))
		CHECK(table_find(t, upper, len) == want);
}

static void look_at_options(
	const struct table *t, const struct table_options *o, const char *end)
{
	CHECK(o->body_max_bytes <= TABLE_BODY_MAX && o->queue_max <= TABLE_QUEUE_MAX);
	CHECK(o->canary_percent <= TABLE_CANARY_MAX &&
		!o->canary_key == !o->canary_percent);
	CHECK(o->maintenance_page.len <= TABLE_PAGE_MAX &&
		o->error_page.len <= TABLE_PAGE_MAX);
	CHECK(t->strings + o->maintenance_page.off + o->maintenance_page.len <= end &&
		t->strings + o->error_page.off + o->error_page.len <= end);
}

static void look_at_all(const struct table *t, size_t size)
{
	const char *begin = (const char *)t->hosts - sizeof(struct table_head);
	char longer[300];

	CHECK(!table_find(t, "", 0) && !table_find(t, ".", 1));
	for (uint32_t i = 0; i < t->n_hosts; i++) {
		size_t n;
		const char *name = name_of(t, i, &n);

		CHECK(name >= t->strings && name + n <= begin + size && n <= 253);
		CHECK(!i || comes_before(t, i - 1, i));
		find_as_search(t, name, n);
		for (size_t cut = 1; cut < n; cut++)
			find_as_search(t, name + cut, n - cut);
		memcpy(longer, "sub.x", 5);
		memcpy(longer + 5, name, n);
		find_as_search(t, longer, n + 5);
		find_as_search(t, longer + 4, n + 1);
	}
	for (uint32_t i = 0; i < t->n_apps; i++) {
		const struct table_app *a = &t->apps[i];

		CHECK(a->id && a->first_instance <= t->n_instances &&
			a->n_instances <= t->n_instances - a->first_instance);
		CHECK(a->hold_ms <= TABLE_HELD_MAX_MS && a->options <= t->n_options);
		if (table_options_of(t, a))
			look_at_options(t, table_options_of(t, a), begin + size);
	}
	for (uint32_t i = 0; i < t->n_instances; i++) {
		const struct table_instance *in = &t->instances[i];

		CHECK(in->id && in->port <= 65535);
		CHECK(in->name_len < PROTO_NAME_MAX &&
			t->strings + in->name_off + in->name_len <= begin + size);
	}
}

/* By descriptor: the same verdict, and only from a memory file that nobody can change. */
static void load(const void *data, size_t size, int want)
{
	int sealed autoclose = io_memfd_sealed("table", data, size);
	int pipes[2];
	struct table *t = NULL;
	struct err e = {0};

	CHECK(sealed >= 0 && pipe(pipes) == 0);
	CHECK(table_load(sealed, &t, &e) == want);
	table_free(t);
	t = NULL;
	CHECK(table_load(pipes[0], &t, &e) == -EPERM && !t);
	close(pipes[0]);
	close(pipes[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t how = take_u8(&in);
	static uint64_t room[512];
	char *table = (char *)room;
	struct parts p = {.n_hosts = how % ARRAY_LEN(names),
		.n_apps = how / 8 % 4 + 1,
		.n_instances = how / 32 % 4};
	struct table *t = NULL;
	struct err e = {0};
	size_t n;

	find_parts(&p, table);
	n = compose(&p, table);
	if (how & 0x80) { /* what is left is the table */
		n = in.n < sizeof(room) ? in.n : sizeof(room);
		take_bytes(&in, room, n);
	} else {
		patch(&p, &in, table);
		if (take_u8(&in) & 1)
			n = take_u16(&in) % (n + 1);
	}
	void *exact = malloc(n ? n : 1);
	CHECK(exact);
	memcpy(exact, room, n);
	int r = table_parse(exact, n, &t, &e);
	CHECK(r == 0 || (r == -EBADMSG && e.text[0] && !t));
	if (r == 0)
		look_at_all(t, n);
	table_free(t);
	load(exact, n, r);
	free(exact);
	return 0;
}

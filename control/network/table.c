/* What the routing table is made of, kept in memory, and packing it. */
#include "control/network/table.h"
#include "control/certs/certs.h"
#include "control/certs/certs_pack.h"
#include "control/network/options.h"
#include "control/network/own_host.h"
#include "control/network/stale.h"
#include "control/run/fleet.h"
#include "control/run/sleep.h"
#include "control/settings.h"
#include "lib/io.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HOLD_MS                                                                          \
	30000 /* a held request waits as long as Heroku's router waits for a response */

#define API_TIMEOUT_MS                                                                   \
	60000u /* certificates that are checked, images that are compared */
#define API_IDLE_MS 3600000u
#define API_BODY_BYTES ((uint64_t)16 << 30)
#define API_RATE_N 300u /* of one address, in */
#define API_RATE_MS 10000u

/* One app's rows, one allocation; offsets are from the start of its own strings. */
struct part {
	uint32_t app; /* id */
	uint32_t n_hosts, n_instances, strings_size;
	uint32_t index,
		strings_at; /* in the table that is packed: its row, its strings */
	struct table_app row;
	struct table_options *options; /* its own; NULL: those of all */
	struct table_instance *instances;
	struct table_host *hosts;
	char *strings;
};

struct host {
	const char *name;
	uint32_t len;
	uint16_t flags;
	bool twice; /* as the one before; said by measure */
	struct part *part;
};

struct table_parts {
	struct part **parts; /* by app id */
	struct host *hosts;  /* by name, then app id */
	uint32_t n_parts, n_hosts, hosts_cap;
	/* what holds for all apps; texts are at the start of the table's strings */
	struct table_options all;
	bool any_for_all;
	struct buf strings;
	struct table_net nets[TABLE_NETS_MAX];
	unsigned int n_nets;
};

int table_open(struct table_parts **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

static void drop_parts(struct table_parts *t)
{
	for (uint32_t i = 0; i < t->n_parts; i++)
		free(t->parts[i]);
	free(t->parts);
	free(t->hosts);
	buf_free(&t->strings);
}

void table_close(struct table_parts *t)
{
	if (!t)
		return;
	drop_parts(t);
	free(t);
}

/* ---- what is read, of one app or of all ---- */

struct sources {
	struct control *c;
	struct db_app *apps; /* by id */
	struct db_domain *domains;
	struct member *members; /* by app */
	uint32_t *called;
	int n_apps, n_domains, n_members, n_called;
	struct options options;
	json_t *ps;
};

static int by_id(const void *x, const void *y)
{
	const struct db_app *a = x, *b = y;

	return (a->id > b->id) - (a->id < b->id);
}

static int by_app(const void *x, const void *y)
{
	const struct member *a = x, *b = y;

	if (a->app != b->app)
		return a->app < b->app ? -1 : 1;
	return (a->key < b->key) - (a->key > b->key);
}

static int read_apps(struct control *c, uint32_t app, struct db_app **ret)
{
	if (!app) {
		int n = db_app_list(c->db, ret);

		if (n > 0)
			qsort(*ret, (size_t)n, sizeof(**ret), by_id);
		return n;
	}
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	int r = db_app_by_id(c->db, app, *ret);
	return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

/* app 0: all. sources_close in any case. */
static int sources_open(
	struct control *c, uint32_t app, unsigned int workers, struct sources *s)
{
	*s = (struct sources){.c = c};
	int r = s->n_apps = read_apps(c, app, &s->apps);

	if (r >= 0)
		r = s->n_domains = db_domain_all(c->db, app, &s->domains);
	if (r >= 0)
		r = options_open(c, workers, app, &s->options);
	if (r >= 0)
		r = db_setting_topic(c->db, "ps", app, &s->ps);
	if (r >= 0)
		r = s->n_called = db_net_called(c->db, app, &s->called);
	s->n_members = fleet_list(c, app, "web", &s->members);
	if (s->n_members > 0)
		qsort(s->members, (size_t)s->n_members, sizeof(*s->members), by_app);
	return r < 0 ? r : 0;
}

static void sources_close(struct sources *s)
{
	free(s->apps);
	free(s->domains);
	free(s->members);
	free(s->called);
	options_close(&s->options);
	json_decref(s->ps);
}

static bool is_called(const struct sources *s, uint32_t app)
{
	int low = 0, high = s->n_called;

	while (low < high) {
		int mid = low + (high - low) / 2;

		if (s->called[mid] == app)
			return true;
		if (s->called[mid] < app)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

static uint32_t idle_after_ms(const struct sources *s, uint32_t app)
{
	const char *text = options_value(s->ps, app, "idle-after");
	uint32_t ms =
		idle_after_parse(text ? text : options_value(s->ps, 0, "idle-after"));

	return ms && !is_called(s, app) ? ms : 0;
}

/* Its first member; they end where another app's begin. */
static const struct member *members_of(const struct sources *s, uint32_t app)
{
	int low = 0, high = s->n_members;

	while (low < high) {
		int mid = low + (high - low) / 2;

		if (s->members[mid].app < app)
			low = mid + 1;
		else
			high = mid;
	}
	return s->members + low;
}

/* ---- a part ---- */

/* What one grows in; used for the next again. */
struct draft {
	struct buf hosts, instances, strings;
	struct table_app row;
	struct table_options options;
	bool own;
};

static void draft_reset(struct draft *d)
{
	buf_reset(&d->hosts);
	buf_reset(&d->instances);
	buf_reset(&d->strings);
}

static void draft_free(struct draft *d)
{
	buf_free(&d->hosts);
	buf_free(&d->instances);
	buf_free(&d->strings);
}

static uint32_t add_string(struct draft *d, const char *s)
{
	uint32_t off = (uint32_t)d->strings.len;

	buf_adds(&d->strings, s);
	return off;
}

static void add_host(struct draft *d, const char *name)
{
	bool wild = strncmp(name, "*.", 2) == 0;
	const char *stored = wild ? name + 1 : name;
	struct table_host h = {.name_off = add_string(d, stored),
		.name_len = (uint32_t)strlen(stored),
		.flags = wild ? HOST_WILDCARD : 0};

	buf_add(&d->hosts, &h, sizeof(h));
}

static void add_hosts(const struct sources *s, const struct db_app *a, struct draft *d)
{
	char name[HOST_MAX_LEN + NAME_MAX_LEN + 2];
	int n, n_own;
	const struct db_domain *global = db_domain_part(s->domains, s->n_domains, 0, &n);
	const struct db_domain *own =
		db_domain_part(s->domains, s->n_domains, a->id, &n_own);

	for (int i = 0; i < n || i == 0; i++) {
		/* one that is too long is no hostname, and the router would take nothing at all */
		if (snprintf(name, sizeof(name), "%s.%s", a->name,
			    n ? global[i].name : "localhost") <= HOST_MAX_LEN)
			add_host(d, name);
	}
	for (int i = 0; i < n_own; i++)
		add_host(d, own[i].name);
}

static void add_instances(
	const struct sources *s, const struct db_app *a, struct draft *d)
{
	const struct member *end = s->members + s->n_members;
	char name[48];

	for (const struct member *m = members_of(s, a->id); m < end && m->app == a->id;
		m++) {
		/* one of a canary that is none any more is no live one */
		if (m->state != MEMBER_READY ||
			(member_is_canary(m) && m->version != a->canary_version))
			continue;
		snprintf(name, sizeof(name), "%s.%u", m->type, m->number);
		struct table_instance row = {.id = m->id,
			.port = m->listens ? 0 : m->port,
			.name_off = add_string(d, name),
			.name_len = (uint32_t)strlen(name),
			.release = m->version};
		buf_add(&d->instances, &row, sizeof(row));
		d->row.n_instances++;
	}
}

static int fill_draft(
	struct table_parts *t, struct sources *s, const struct db_app *a, struct draft *d)
{
	draft_reset(d);
	d->row = (struct table_app){.id = a->id, .hold_ms = HOLD_MS};
	d->options = t->all;
	if (fleet_held(s->c, a->id))
		d->row.flags |= APP_HOLD;
	d->own = options_own(&s->options, a, &d->row, &d->options, &d->strings,
		(uint32_t)t->strings.len);
	add_hosts(s, a, d);
	if (sleep_row(s->c, a, idle_after_ms(s, a->id), &d->row))
		add_instances(s, a, d);
	return d->hosts.failed || d->instances.failed || d->strings.failed ? -ENOMEM : 0;
}

static void *put(char **at, const struct buf *b)
{
	char *start = *at;

	if (b->len)
		memcpy(start, b->data, b->len);
	*at += b->len;
	return start;
}

static struct part *cast_part(const struct draft *d)
{
	size_t own = d->own ? sizeof(d->options) : 0;
	struct part *p = malloc(
		sizeof(*p) + own + d->instances.len + d->hosts.len + d->strings.len);
	char *at = (char *)(p + 1);

	if (!p)
		return NULL;
	*p = (struct part){.app = d->row.id,
		.row = d->row,
		.n_hosts = (uint32_t)(d->hosts.len / sizeof(*p->hosts)),
		.n_instances = d->row.n_instances,
		.strings_size = (uint32_t)d->strings.len};
	if (own) {
		p->options = memcpy(at, &d->options, own);
		at += own;
	}
	p->instances = put(&at, &d->instances);
	p->hosts = put(&at, &d->hosts);
	p->strings = put(&at, &d->strings);
	return p;
}

/* 0 with NULL for an app that is not in the table (any more). */
static int make_part(struct table_parts *t, struct sources *s, const struct db_app *a,
	struct draft *d, struct part **ret)
{
	*ret = NULL;
	if (!a || a->removing)
		return 0;
	int r = fill_draft(t, s, a, d);
	if (r == 0 && !(*ret = cast_part(d)))
		r = -ENOMEM;
	return r;
}

/*
 * The API at its hostname: none of what is set for all apps holds for it. The longest answers are logs that are followed, the
 * largest requests pushes.
 */
static int make_api(struct control *c, struct draft *d, struct part **ret)
{
	char *host autofree = own_host(c);
	struct table_instance inside = {.id = API_INSTANCE};

	if (!host)
		return 0;
	draft_reset(d);
	d->row = (struct table_app){.id = TABLE_API,
		.n_instances = 1,
		.timeout_ms = API_TIMEOUT_MS,
		.idle_timeout_ms = API_IDLE_MS};
	d->options = (struct table_options){.body_max_bytes = API_BODY_BYTES,
		.rate_n = API_RATE_N,
		.rate_period_ms = API_RATE_MS};
	d->own = true;
	add_host(d, host);
	inside.name_off = add_string(d, "api");
	inside.name_len = 3;
	buf_add(&d->instances, &inside, sizeof(inside));
	if (d->hosts.failed || d->instances.failed || d->strings.failed)
		return -ENOMEM;
	*ret = cast_part(d);
	return *ret ? 0 : -ENOMEM;
}

/* ---- hostnames in order ---- */

/* An app may name a host that is another's default: the older app has it. None has the API's, to which tokens are sent. */
static uint32_t rank(const struct host *h)
{
	return h->part->app == TABLE_API ? 0 : h->part->app;
}

static int by_name(const void *x, const void *y)
{
	const struct host *a = x, *b = y;
	int r = certs_compare(a->name, a->len, b->name, b->len);

	return r ? r : (rank(a) > rank(b)) - (rank(a) < rank(b));
}

static bool same_name(const struct host *a, const struct host *b)
{
	return a->len == b->len && memcmp(a->name, b->name, a->len) == 0;
}

static struct host host_of(struct part *p, uint32_t i)
{
	return (struct host){.name = p->strings + p->hosts[i].name_off,
		.len = p->hosts[i].name_len,
		.flags = (uint16_t)p->hosts[i].flags,
		.part = p};
}

static int room_for(struct table_parts *t, uint32_t more)
{
	uint32_t cap = t->n_hosts + more;

	if (cap <= t->hosts_cap)
		return 0;
	cap += cap / 8 + 16;
	struct host *grown = reallocarray(t->hosts, cap, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	t->hosts = grown;
	t->hosts_cap = cap;
	return 0;
}

static void remove_hosts(struct table_parts *t, const struct part *p)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < t->n_hosts; i++) {
		if (t->hosts[i].part != p)
			t->hosts[kept++] = t->hosts[i];
	}
	t->n_hosts = kept;
}

/* There is room. */
static void insert_host(struct table_parts *t, struct host h)
{
	uint32_t low = 0, high = t->n_hosts;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (by_name(&t->hosts[mid], &h) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	memmove(&t->hosts[low + 1], &t->hosts[low], (t->n_hosts - low) * sizeof(h));
	t->hosts[low] = h;
	t->n_hosts++;
}

/* ---- all anew ---- */

static int make_all(
	struct control *c, struct table_parts *t, struct sources *s, unsigned int workers)
{
	struct draft d = {0};
	uint32_t n_hosts = 0;
	int r = sources_open(c, 0, workers, s);

	if (r < 0)
		return r;
	t->any_for_all = options_all(&s->options, &t->all, &t->strings);
	t->n_nets = options_nets(&s->options, t->nets);
	t->parts = calloc((size_t)s->n_apps + 1, sizeof(*t->parts));
	if (!t->parts || t->strings.failed)
		return -ENOMEM;
	for (int i = 0; r == 0 && i < s->n_apps; i++) {
		r = make_part(t, s, &s->apps[i], &d, &t->parts[t->n_parts]);
		if (r == 0 && t->parts[t->n_parts])
			n_hosts += t->parts[t->n_parts++]->n_hosts;
	}
	if (r == 0)
		r = make_api(c, &d, &t->parts[t->n_parts]);
	if (r == 0 && t->parts[t->n_parts])
		n_hosts += t->parts[t->n_parts++]->n_hosts;
	draft_free(&d);
	return r < 0 ? r : room_for(t, n_hosts);
}

static int read_all(struct control *c, struct table_parts *t, unsigned int workers)
{
	struct table_parts fresh = {0};
	struct sources s;
	int r = make_all(c, &fresh, &s, workers);

	sources_close(&s);
	if (r < 0) {
		drop_parts(&fresh);
		return r;
	}
	for (uint32_t i = 0; i < fresh.n_parts; i++) {
		for (uint32_t k = 0; k < fresh.parts[i]->n_hosts; k++)
			fresh.hosts[fresh.n_hosts++] = host_of(fresh.parts[i], k);
	}
	if (fresh.n_hosts)
		qsort(fresh.hosts, fresh.n_hosts, sizeof(*fresh.hosts), by_name);
	drop_parts(t);
	*t = fresh;
	return 0;
}

/* ---- one app anew ---- */

static uint32_t place_of(const struct table_parts *t, uint32_t app)
{
	uint32_t low = 0, high = t->n_parts;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (t->parts[mid]->app < app)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int add_part(struct table_parts *t, uint32_t at, struct part *p)
{
	struct part **grown =
		reallocarray(t->parts, (size_t)t->n_parts + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	t->parts = grown;
	memmove(&grown[at + 1], &grown[at], (t->n_parts - at) * sizeof(*grown));
	grown[at] = p;
	t->n_parts++;
	return 0;
}

static void remove_part(struct table_parts *t, uint32_t at)
{
	remove_hosts(t, t->parts[at]);
	free(t->parts[at]);
	t->n_parts--;
	memmove(&t->parts[at], &t->parts[at + 1], (t->n_parts - at) * sizeof(*t->parts));
}

/* p takes the place of what the table has of that app; NULL: it goes. */
static int change_part(struct table_parts *t, uint32_t app, struct part *p)
{
	uint32_t at = place_of(t, app);
	int r = p ? room_for(t, p->n_hosts) : 0;

	if (r < 0)
		return r;
	if (at < t->n_parts && t->parts[at]->app == app)
		remove_part(t, at);
	if (p && (r = add_part(t, at, p)) < 0)
		return r;
	for (uint32_t i = 0; p && i < p->n_hosts; i++)
		insert_host(t, host_of(p, i));
	return 0;
}

static int read_one(
	struct control *c, struct table_parts *t, uint32_t app, unsigned int workers)
{
	struct draft d = {0};
	struct part *p = NULL;
	struct sources s;
	int r = sources_open(c, app, workers, &s);

	if (r >= 0)
		r = make_part(t, &s, s.n_apps ? s.apps : NULL, &d, &p);
	if (r >= 0 && (r = change_part(t, app, p)) < 0)
		free(p);
	draft_free(&d);
	sources_close(&s);
	return r;
}

static int bring_up_to_date(
	struct control *c, struct table_parts *t, unsigned int workers)
{
	uint32_t apps[STALE_MAX];
	int n = stale_take(c->stale, STALE_TABLE, apps),
	    r = n < 0 ? read_all(c, t, workers) : 0;

	for (int i = 0; r == 0 && i < n; i++)
		r = read_one(c, t, apps[i], workers);
	if (r < 0)
		stale_again(c->stale, STALE_TABLE);
	return r;
}

/* ---- packing ---- */

struct cursor {
	struct table_host *hosts;
	struct table_app *apps;
	struct table_instance *instances;
	struct table_options *options;
	char *strings;
	uint32_t n_instances, n_options;
};

/* Counts everything, with hosts that are there twice, and says where each part comes. */
static struct table_head measure(struct table_parts *t)
{
	struct table_head h = {.magic = TABLE_MAGIC,
		.n_hosts = t->n_hosts,
		.n_apps = t->n_parts,
		.n_options = t->any_for_all,
		.n_nets = t->n_nets,
		.strings_size = (uint32_t)t->strings.len};

	for (uint32_t i = 0; i < t->n_parts; i++) {
		struct part *p = t->parts[i];

		p->index = i;
		p->strings_at = h.strings_size;
		h.strings_size += p->strings_size;
		h.n_instances += p->n_instances;
		h.n_options += p->options != NULL;
	}
	for (uint32_t i = 0; i < t->n_hosts; i++) {
		t->hosts[i].twice = i && same_name(&t->hosts[i - 1], &t->hosts[i]);
		h.n_hosts -= t->hosts[i].twice;
	}
	return h;
}

static size_t size_of(const struct table_head *h)
{
	return sizeof(*h) + h->n_hosts * sizeof(struct table_host) +
	       h->n_apps * sizeof(struct table_app) +
	       h->n_instances * sizeof(struct table_instance) +
	       h->n_options * sizeof(struct table_options) +
	       h->n_nets * sizeof(struct table_net) + h->strings_size;
}

/* Texts of all apps stay where they are, own ones lie behind them (options_own). */
static void move_text(struct table_text *text, uint32_t all_size, const struct part *p)
{
	if (text->len && text->off >= all_size)
		text->off += p->strings_at - all_size;
}

static void put_options(
	struct cursor *k, const struct table_parts *t, const struct part *p)
{
	uint32_t all_size = (uint32_t)t->strings.len;
	struct table_options o = *p->options;

	move_text(&o.maintenance_page, all_size, p);
	move_text(&o.error_page, all_size, p);
	move_text(&o.canonical, all_size, p);
	k->options[k->n_options++] = o;
}

static void put_part(struct cursor *k, const struct table_parts *t, const struct part *p)
{
	struct table_app row = p->row;

	row.first_instance = k->n_instances;
	row.options = t->any_for_all; /* the first record, or none */
	if (p->options) {
		put_options(k, t, p);
		row.options = k->n_options;
	}
	k->apps[p->index] = row;
	for (uint32_t i = 0; i < p->n_instances; i++) {
		struct table_instance n = p->instances[i];

		n.name_off += p->strings_at;
		k->instances[k->n_instances++] = n;
	}
	memcpy(k->strings + p->strings_at, p->strings, p->strings_size);
}

static void put_hosts(struct cursor *k, const struct table_parts *t)
{
	for (uint32_t i = 0; i < t->n_hosts; i++) {
		const struct host *h = &t->hosts[i];
		const struct part *p = h->part;

		if (h->twice)
			continue;
		*k->hosts++ = (struct table_host){
			.name_off = p->strings_at + (uint32_t)(h->name - p->strings),
			.name_len = h->len,
			.app = p->index,
			.flags = h->flags};
	}
}

static struct cursor cursor_at(const struct table_head *h, char *data)
{
	struct cursor k = {.hosts = (void *)(data + sizeof(*h))};

	k.apps = (void *)(k.hosts + h->n_hosts);
	k.instances = (void *)(k.apps + h->n_apps);
	k.options = (void *)(k.instances + h->n_instances);
	k.strings =
		(char *)(k.options + h->n_options) + h->n_nets * sizeof(struct table_net);
	return k;
}

static int pack(struct control *c, struct table_parts *t)
{
	struct table_head head = measure(t);
	size_t size = size_of(&head);

	if (size > TABLE_SIZE_MAX)
		return -E2BIG;
	char *data autofree = malloc(size);
	if (!data)
		return -ENOMEM;
	head.size = (uint32_t)size;
	memcpy(data, &head, sizeof(head));
	struct cursor k = cursor_at(&head, data);
	struct table_host *hosts = k.hosts;

	if (t->any_for_all)
		k.options[k.n_options++] = t->all;
	memcpy(k.options + head.n_options, t->nets, t->n_nets * sizeof(t->nets[0]));
	if (t->strings.len)
		memcpy(k.strings, t->strings.data, t->strings.len);
	for (uint32_t i = 0; i < t->n_parts; i++)
		put_part(&k, t, t->parts[i]);
	put_hosts(&k, t);
	certs_mark(c->certs, hosts, head.n_hosts, k.strings, k.apps);
	return io_memfd_sealed("table", data, size);
}

int table_make(struct control *c, struct table_parts *t, unsigned int workers)
{
	int r = bring_up_to_date(c, t, workers);

	return r < 0 ? r : pack(c, t);
}

/* Routing table: validation; lookup by a hash from the end, so that suffixes are free. */
#include "router/table.h"
#include "lib/credentials.h"
#include "lib/io.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define HOST_MAX 253

static inline uint32_t hash_step(uint32_t h, char c)
{
	return (h ^ (uint8_t)c) * 16777619u;
}

static uint32_t hash_back(const char *p, size_t len)
{
	uint32_t h = 2166136261u;

	while (len)
		h = hash_step(h, p[--len]);
	return h;
}

static int check_string(const struct table_head *h, uint32_t off, uint32_t len)
{
	return off <= h->strings_size && len <= h->strings_size - off ? 0 : -EBADMSG;
}

/* Sizes of the parts must add up to exactly what came. */
static int check_head(const void *data, size_t size, struct err *e)
{
	const struct table_head *h = data;
	uint64_t sum;

	if (size < sizeof(*h) || size > TABLE_SIZE_MAX)
		return err_set(e, EBADMSG, "table of %zu bytes", size);
	if (h->magic != TABLE_MAGIC || h->size != size)
		return err_set(e, EBADMSG, "table with a wrong magic or size");
	sum = sizeof(*h) + (uint64_t)h->n_hosts * sizeof(struct table_host) +
	      (uint64_t)h->n_apps * sizeof(struct table_app) +
	      (uint64_t)h->n_instances * sizeof(struct table_instance) +
	      (uint64_t)h->n_options * sizeof(struct table_options) +
	      (uint64_t)h->n_nets * sizeof(struct table_net) + h->strings_size;
	if (sum != size)
		return err_set(e, EBADMSG, "table parts do not add up to its size");
	return 0;
}

static bool host_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
	       c == '_' || c == ':' || c == '[' || c == ']';
}

static int compare(
	const struct table *t, const struct table_host *a, const struct table_host *b)
{
	uint32_t n = a->name_len < b->name_len ? a->name_len : b->name_len;
	int r = memcmp(t->strings + a->name_off, t->strings + b->name_off, n);

	return r ? r : (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

static int check_host(
	const struct table *t, const struct table_head *h, uint32_t i, struct err *e)
{
	const struct table_host *host = &t->hosts[i];
	const char *name = t->strings + host->name_off;
	bool wild = host->flags & HOST_WILDCARD;
	uint32_t k;

	if (check_string(h, host->name_off, host->name_len) < 0 || !host->name_len ||
		host->name_len > HOST_MAX)
		return err_set(e, EBADMSG, "host %u: name out of bounds", i);
	if (host->app >= t->n_apps ||
		(host->flags & ~(uint32_t)(HOST_WILDCARD | HOST_TLS)))
		return err_set(e, EBADMSG, "host %u: bad app or flags", i);
	if ((name[0] == '.') != wild || (wild && host->name_len < 2))
		return err_set(e, EBADMSG, "host %u: wildcard flag and name differ", i);
	for (k = 0; k < host->name_len; k++)
		if (!host_char(name[k]))
			return err_set(
				e, EBADMSG, "host %u: bad character in its name", i);
	if (i && compare(t, host - 1, host) >= 0)
		return err_set(e, EBADMSG, "host %u: not sorted or twice", i);
	return 0;
}

static int check_app(const struct table *t, uint32_t i, struct err *e)
{
	const struct table_app *a = &t->apps[i];

	if (!a->id || (a->flags & ~(uint32_t)(APP_HOLD | APP_MAINTENANCE | APP_ASLEEP)))
		return err_set(e, EBADMSG, "app %u: bad id or flags", i);
	if ((a->flags & APP_ASLEEP) && !(a->flags & APP_HOLD))
		return err_set(e, EBADMSG, "app %u: asleep, but nobody may wait", i);
	if (a->first_instance > t->n_instances ||
		a->n_instances > t->n_instances - a->first_instance)
		return err_set(e, EBADMSG, "app %u: instances out of bounds", i);
	if (a->hold_ms > TABLE_HELD_MAX_MS)
		return err_set(
			e, EBADMSG, "app %u: hold_ms above %u", i, TABLE_HELD_MAX_MS);
	if (a->options > t->n_options)
		return err_set(e, EBADMSG, "app %u: options out of bounds", i);
	return 0;
}

static bool name_like(const char *p, uint32_t len)
{
	for (uint32_t k = 0; k < len; k++)
		if (!host_char(p[k]))
			return false;
	return len <= HOST_MAX;
}

static int check_page(const struct table_head *h, const struct table_text *p)
{
	return p->len > TABLE_PAGE_MAX ? -EBADMSG : check_string(h, p->off, p->len);
}

static int check_options(
	const struct table *t, const struct table_head *h, uint32_t i, struct err *e)
{
	const struct table_options *o = &t->options[i];

	if ((o->flags & ~(uint32_t)(OPTION_GZIP | OPTION_H2C)) ||
		o->body_max_bytes > TABLE_BODY_MAX || o->queue_max > TABLE_QUEUE_MAX)
		return err_set(e, EBADMSG, "options %u: bad flags or limits", i);
	if (check_page(h, &o->maintenance_page) < 0 || check_page(h, &o->error_page) < 0)
		return err_set(e, EBADMSG, "options %u: page out of bounds", i);
	if (check_string(h, o->canonical.off, o->canonical.len) < 0 ||
		!name_like(t->strings + o->canonical.off, o->canonical.len))
		return err_set(e, EBADMSG, "options %u: bad canonical name", i);
	if (!o->rate_n != !o->rate_period_ms || o->rate_period_ms > TABLE_HELD_MAX_MS ||
		o->rate_n > TABLE_RATE_MAX || o->auth_rounds > CREDENTIALS_ROUNDS_MAX)
		return err_set(e, EBADMSG, "options %u: bad rate or rounds", i);
	if (!o->canary_key != !o->canary_release ||
		!o->canary_key != !o->canary_percent ||
		o->canary_percent > TABLE_CANARY_MAX)
		return err_set(e, EBADMSG, "options %u: bad canary", i);
	return 0;
}

static int check_net(const struct table *t, uint32_t i, struct err *e)
{
	const struct table_net *n = &t->nets[i];

	if ((n->family == AF_INET && n->prefix <= 32) ||
		(n->family == AF_INET6 && n->prefix <= 128))
		return 0;
	return err_set(e, EBADMSG, "net %u: bad family or prefix", i);
}

static int check_instance(
	const struct table *t, const struct table_head *h, uint32_t i, struct err *e)
{
	const struct table_instance *n = &t->instances[i];

	if (!n->id || n->port > 65535)
		return err_set(e, EBADMSG, "instance %u: bad id or port", i);
	if (check_string(h, n->name_off, n->name_len) < 0 ||
		n->name_len >= PROTO_NAME_MAX)
		return err_set(e, EBADMSG, "instance %u: name out of bounds", i);
	for (uint32_t k = 0; k < n->name_len; k++) {
		char c = t->strings[n->name_off + k];

		if (c <= ' ' || c >= 0x7f || c == '"')
			return err_set(
				e, EBADMSG, "instance %u: bad character in its name", i);
	}
	return 0;
}

static int check_all(const struct table *t, const struct table_head *h, struct err *e)
{
	uint32_t i;
	int r = 0;

	for (i = 0; !r && i < t->n_apps; i++)
		r = check_app(t, i, e);
	for (i = 0; !r && i < t->n_instances; i++)
		r = check_instance(t, h, i, e);
	for (i = 0; !r && i < t->n_options; i++)
		r = check_options(t, h, i, e);
	if (!r && t->n_nets > TABLE_NETS_MAX)
		r = err_set(e, EBADMSG, "%u nets", t->n_nets);
	for (i = 0; !r && i < t->n_nets; i++)
		r = check_net(t, i, e);
	for (i = 0; !r && i < t->n_hosts; i++)
		r = check_host(t, h, i, e);
	return r;
}

static int build_hash(struct table *t, struct err *e)
{
	uint32_t slots = 16, i, at;

	while (slots < t->n_hosts * 2)
		slots *= 2;
	t->slots = calloc(slots, sizeof(*t->slots));
	t->backends = calloc(t->n_instances + 1, sizeof(struct instance *));
	t->sleepers = calloc(t->n_apps + 1, sizeof(struct sleeper *));
	t->policies = calloc(t->n_apps + 1, sizeof(struct policy *));
	if (!t->slots || !t->backends || !t->sleepers || !t->policies)
		return err_set(
			e, ENOMEM, "no memory for a table of %u hosts", t->n_hosts);
	t->mask = slots - 1;
	for (i = 0; i < t->n_hosts; i++) {
		const struct table_host *host = &t->hosts[i];

		at = hash_back(t->strings + host->name_off, host->name_len) & t->mask;
		while (t->slots[at])
			at = (at + 1) & t->mask;
		t->slots[at] = i + 1;
		t->wildcards |= host->flags & HOST_WILDCARD;
	}
	return 0;
}

int table_parse(const void *data, size_t size, struct table **ret, struct err *e)
{
	const struct table_head *h = data;
	struct table *t;
	int r = check_head(data, size, e);

	if (r < 0)
		return r;
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(e, ENOMEM, "no memory for a table");
	t->n_hosts = h->n_hosts;
	t->n_apps = h->n_apps;
	t->n_instances = h->n_instances;
	t->n_options = h->n_options;
	t->n_nets = h->n_nets;
	t->hosts = (const void *)(h + 1);
	t->apps = (const void *)(t->hosts + t->n_hosts);
	t->instances = (const void *)(t->apps + t->n_apps);
	t->options = (const void *)(t->instances + t->n_instances);
	t->nets = (const void *)(t->options + t->n_options);
	t->strings = (const void *)(t->nets + t->n_nets);
	r = check_all(t, h, e);
	if (!r)
		r = build_hash(t, e);
	if (r < 0) {
		table_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

int table_load(int fd, struct table **ret, struct err *e)
{
	size_t size;
	void *map;
	int r = io_memfd_map(
		fd, "table", sizeof(struct table_head), TABLE_SIZE_MAX, &map, &size, e);

	if (r < 0)
		return r;
	r = table_parse(map, size, ret, e);
	if (r < 0) {
		munmap(map, size);
		return r;
	}
	(*ret)->map = map;
	(*ret)->map_size = size;
	return 0;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	if (t->map)
		munmap(t->map, t->map_size);
	free(t->slots);
	free(t->backends);
	free(t->sleepers);
	free(t->policies);
	free(t);
}

static const struct table_host *probe(
	const struct table *t, uint32_t hash, const char *name, size_t len)
{
	uint32_t at = hash & t->mask;

	for (; t->slots[at]; at = (at + 1) & t->mask) {
		const struct table_host *h = &t->hosts[t->slots[at] - 1];

		if (h->name_len == len && !memcmp(t->strings + h->name_off, name, len))
			return h;
	}
	return NULL;
}

const struct table_host *table_find(const struct table *t, const char *host, size_t len)
{
	struct {
		uint32_t hash, at;
	} dots[HOST_MAX / 2 + 1];
	uint32_t h = 2166136261u;
	const struct table_host *found;
	char name[HOST_MAX];
	size_t i, n = 0;

	if (!len || len > HOST_MAX || host[0] == '.')
		return NULL;
	for (i = len; i-- > 0;) {
		char c = host[i];

		name[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
		h = hash_step(h, name[i]);
		if (c == '.' && n < ARRAY_LEN(dots)) {
			dots[n].hash = h;
			dots[n++].at = (uint32_t)i;
		}
	}
	found = probe(t, h, name, len);
	while (!found && t->wildcards && n-- > 0)
		found = probe(t, dots[n].hash, name + dots[n].at, len - dots[n].at);
	return found;
}

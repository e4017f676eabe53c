/* Network rules, names and addresses, and berthd's knowledge of them. */
#include "control/network/network.h"
#include "control/api/view.h"
#include "control/engine.h"
#include "control/network/net_target.h"
#include "control/network/stale.h"
#include "control/run/fleet.h"
#include "control/settings.h"
#include "control/thread.h"
#include "lib/io.h"
#include "lib/log.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define LOOK_UP_MS 60000
#define ADDRESS_KEPT_US                                                                  \
	(3600ull * 1000000) /* connections to an address that a name had go on so long */
#define CALLS_POLL_MS 100   /* while old instances are about to stop */
#define ADDRESSES_MAX 16u   /* of one name */
#define STACK_BYTES ((size_t)512 << 10)

struct sent {
	struct msg_name m;
	uint32_t app;
	bool told, wanted;
	struct sent *next;
};

/* Rules that berthd did not take. */
struct owed {
	uint32_t app;
	enum net_whose whose;
	bool never; /* nor may it have any that it took before */
	struct owed *next;
};

struct network {
	pthread_mutex_t lock; /* what berthd is told is in the order of the database */
	struct sent *sent;
	struct owed *owed;
	bool owed_all; /* nobody knows whose */
	bool failed;   /* berthd was not told something */
	pthread_mutex_t wake_lock;
	pthread_cond_t wake; /* CLOCK_MONOTONIC */
	bool hosts;	     /* there may be names to look up, or rules to tell again */
};

int network_open(struct network **ret)
{
	struct network *n = calloc(1, sizeof(*n));
	pthread_condattr_t attr;

	if (!n)
		return -ENOMEM;
	pthread_mutex_init(&n->lock, NULL);
	pthread_mutex_init(&n->wake_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&n->wake, &attr);
	pthread_condattr_destroy(&attr);
	*ret = n;
	return 0;
}

void network_host(const char *app, const char *type, char out[NETWORK_HOST_TEXT_MAX])
{
	if (strcmp(type, "web") == 0)
		snprintf(out, NETWORK_HOST_TEXT_MAX, "%s." NETWORK_HOST_SUFFIX, app);
	else
		snprintf(out, NETWORK_HOST_TEXT_MAX, "%s.%s." NETWORK_HOST_SUFFIX, type,
			app);
}

/* ---- from the database to numbers ---- */

struct compile {
	struct control *c;
	struct msg_network *m;
	struct buf hosts;
	unsigned int host_share; /* addresses that each rule about a host name gets */
	struct net_rule spare;	 /* for what does not fit: counted, then refused */
};

static struct net_rule *add_rule(struct compile *k, const struct db_net_rule *r)
{
	uint32_t i = k->m->n_rules++;
	struct net_rule *out = i < NET_RULES_MAX ? &k->m->rules[i] : &k->spare;

	*out = (struct net_rule){.verdict = r->allow ? NET_ALLOW : NET_DENY,
		.protocol = (uint8_t)r->protocol,
		.first = (uint16_t)r->first_port,
		.last = (uint16_t)r->last_port};
	return out;
}

static bool has_line(const struct buf *b, const char *line)
{
	const char *at = b->data;

	while (at && (at = strstr(at, line)) && at != b->data && at[-1] != '\n')
		at++;
	return at != NULL;
}

static void add_host(struct compile *k, const char *address, const char *name)
{
	char line[HOST_MAX_LEN + ADDR_TEXT_MAX + 4];

	snprintf(line, sizeof(line), "%s %s\n", address, name);
	if (!has_line(&k->hosts, line))
		buf_adds(&k->hosts, line);
}

static void add_address(struct compile *k, const struct db_net_rule *r, const char *text,
	enum net_verdict allowed)
{
	struct addr a;
	struct net_rule *out;

	if (addr_parse(text, &a) < 0)
		return;
	out = add_rule(k, r);
	out->kind = a.family == AF_INET6 ? NET_ADDRESS6 : NET_ADDRESS4;
	out->prefix = (uint8_t)a.prefix;
	out->verdict = (uint8_t)(r->allow ? allowed : NET_DENY);
	memcpy(out->addr, a.bytes, sizeof(out->addr));
}

static void add_name_hosts(struct compile *k, uint32_t number, const char *name)
{
	char text[INET6_ADDRSTRLEN];
	uint32_t four = htonl(ADDR_NAMES_BASE + number);
	unsigned char six[16];

	add_host(k, inet_ntop(AF_INET, &four, text, sizeof(text)), name);
	addr6_of(ADDR_NAMES_BASE + number, six);
	add_host(k, inet_ntop(AF_INET6, six, text, sizeof(text)), name);
}

static int add_app(struct compile *k, const struct db_net_rule *r)
{
	struct db_net_name *names autofree = NULL;
	struct db_app app;
	char host[NETWORK_HOST_TEXT_MAX];
	int n = db_app_by_id(k->c->db, r->target_app, &app);

	/* its numbers are another app's once it is gone */
	if (n == 0 && !app.removing)
		n = db_net_name_list(k->c->db, r->target_app, &names);
	for (int i = 0; i < n; i++) {
		struct net_rule *out = add_rule(k, r);

		out->kind = NET_NAME;
		out->number = names[i].number;
		network_host(app.name, names[i].type, host);
		if (r->allow)
			add_name_hosts(k, names[i].number, host);
	}
	return n == -ENOENT ? 0 : n < 0 ? n : 0;
}

/* The app finds the name at the addresses that it may reach: those of the last answer. */
static int add_named(struct compile *k, const struct db_net_rule *r)
{
	struct db_net_address *list autofree = NULL;
	int n = db_net_address_list(k->c->db, r->target, &list);

	for (int i = 0; i < n && i < (int)k->host_share; i++) {
		add_address(k, r, list[i].address, NET_ALLOW);
		if (r->allow && list[i].seen_us == list[0].seen_us)
			add_host(k, list[i].address, r->target);
	}
	return n < 0 ? n : 0;
}

static int add_one(struct compile *k, const struct db_net_rule *r)
{
	if (strcmp(r->kind, "app") == 0)
		return add_app(k, r);
	if (strcmp(r->kind, "host") == 0)
		return add_named(k, r);
	if (strcmp(r->kind, "internet") == 0) {
		struct net_rule *out = add_rule(k, r);

		out->kind = NET_INTERNET;
	} else {
		add_address(k, r, r->target, NET_ALLOW_HOST);
	}
	return 0;
}

static void add_any(struct compile *k, uint8_t kind, uint8_t verdict)
{
	*add_rule(k, &(struct db_net_rule){0}) =
		(struct net_rule){.kind = kind, .verdict = verdict};
}

/* After all rules: what builds:set says. */
static void add_mode(struct compile *k, uint32_t app)
{
	enum build_network mode = app_build_network(k->c, app);

	if (mode == BUILD_REGISTRIES)
		add_any(k, NET_SERVERS, NET_ALLOW);
	if (mode != BUILD_INTERNET)
		add_any(k, NET_INTERNET, NET_DENY);
}

/* Only the rules of one kind; how many. */
static int keep_whose(struct db_net_rule *rules, int n, enum net_whose whose)
{
	int kept = 0;

	for (int i = 0; i < n; i++)
		if (rules[i].builds == (whose == NET_BUILDS))
			rules[kept++] = rules[i];
	return kept;
}

int network_compile(struct control *c, uint32_t app, enum net_whose whose,
	struct msg_network *m, struct err *e)
{
	struct db_net_rule *rules autofree = NULL;
	struct compile k = {.c = c, .m = m, .hosts.max = NET_HOSTS_MAX};
	int n = db_net_rule_list(c->db, app, &rules), r = n < 0 ? n : 0;
	unsigned int named = 0;

	m->app = app;
	m->whose = whose;
	n = keep_whose(rules, n, whose);
	for (int i = 0; i < n; i++)
		named += strcmp(rules[i].kind, "host") == 0;
	k.host_share = named ? (NET_RULES_MAX - NETWORK_RULES_MAX) / named : 0;
	if (k.host_share > ADDRESSES_MAX)
		k.host_share = ADDRESSES_MAX;
	if (n > 0)
		qsort(rules, (size_t)n, sizeof(*rules), net_rule_order);
	for (int i = 0; r == 0 && i < n; i++)
		r = add_one(&k, &rules[i]);
	if (r == 0 && whose == NET_BUILDS)
		add_mode(&k, app);
	if (r == 0 && (k.hosts.failed || m->n_rules > NET_RULES_MAX))
		r = -E2BIG;
	if (r == 0 && k.hosts.len)
		memcpy(m->hosts, k.hosts.data, k.hosts.len);
	m->hosts_size = r == 0 ? (uint32_t)k.hosts.len : 0;
	buf_free(&k.hosts);
	if (r == -E2BIG)
		return err_set(e, E2BIG,
			"the app's rules come to more than %d addresses, or the names in "
			"them to more than %d bytes; remove some",
			NET_RULES_MAX, NET_HOSTS_MAX);
	return r < 0 ? err_sys(e, -r, "read the app's network rules") : 0;
}

/* ---- telling berthd ---- */

static void wake(struct network *n)
{
	pthread_mutex_lock(&n->wake_lock);
	if (!n->hosts) {
		n->hosts = true;
		pthread_cond_signal(&n->wake);
	}
	pthread_mutex_unlock(&n->wake_lock);
}

static struct owed **find_owed(struct network *n, uint32_t app, enum net_whose whose)
{
	struct owed **at = &n->owed;

	while (*at && ((*at)->app != app || (*at)->whose != whose))
		at = &(*at)->next;
	return at;
}

static void owe(struct network *n, uint32_t app, enum net_whose whose, bool never)
{
	struct owed **at = find_owed(n, app, whose);

	if (!*at && (*at = calloc(1, sizeof(**at))))
		**at = (struct owed){.app = app, .whose = whose};
	if (*at)
		(*at)->never |= never;
	n->owed_all |= !*at;
	wake(n);
}

static void owe_no_more(struct network *n, uint32_t app, enum net_whose whose)
{
	struct owed **at = find_owed(n, app, whose), *o = *at;

	if (o)
		*at = o->next;
	free(o);
}

static int send_rules(
	struct control *c, uint32_t app, enum net_whose whose, struct err *e)
{
	struct msg_network *m autofree = calloc(1, sizeof(*m));
	int r = -ECONNRESET;

	if (!m)
		return err_set(e, ENOMEM, "out of memory");
	if ((r = network_compile(c, app, whose, m, e)) < 0)
		return r;
	r = engine_call(c->engine, MSG_NETWORK, m, sizeof(*m), NULL, 0, NULL);
	if (r == -ECONNRESET) /* berthd started anew in the middle */
		r = engine_call(c->engine, MSG_NETWORK, m, sizeof(*m), NULL, 0, NULL);
	return r < 0 ? err_sys(e, -r, "berthd did not take the network rules") : 0;
}

static int tell_rules(
	struct control *c, uint32_t app, enum net_whose whose, struct err *e)
{
	int r = send_rules(c, app, whose, e);

	if (r < 0)
		owe(c->network, app, whose, false);
	else
		owe_no_more(c->network, app, whose);
	return r;
}

/* A berthd that says nothing is not waited for once more for each. */
static int tell_all(struct control *c)
{
	struct db_app *apps autofree = NULL;
	int n = db_app_list(c->db, &apps);
	struct err e = {0};

	int r = n < 0 ? n : 0;

	if (n < 0)
		log_error("the network rules of all apps: %s", strerror(-n));
	for (int i = 0; i < n && r != -ETIMEDOUT; i++) {
		r = tell_rules(c, apps[i].id, NET_INSTANCES, &e);
		if (r < 0) {
			owe(c->network, apps[i].id, NET_INSTANCES, true);
			log_error("%s: %s", apps[i].name, e.text);
		}
	}
	c->network->owed_all = n < 0 || r == -ETIMEDOUT;
	if (c->network->owed_all)
		wake(c->network);
	return r;
}

static bool is_gone(struct control *c, uint32_t app)
{
	struct db_app a;

	return db_app_by_id(c->db, app, &a) == -ENOENT;
}

static void tell_owed(struct control *c)
{
	struct network *n = c->network;
	struct err e = {0};
	int r = n->owed_all ? tell_all(c) : 0;

	for (struct owed *o = n->owed, *next; o && r != -ETIMEDOUT; o = next) {
		next = o->next;
		if (is_gone(c, o->app)) {
			owe_no_more(n, o->app, o->whose);
			continue;
		}
		r = tell_rules(c, o->app, o->whose, &e);
		if (r < 0)
			log_debug("network of app %u: %s", o->app, e.text);
	}
}

int network_settle(struct control *c, uint32_t app, struct err *e)
{
	struct network *n = c->network;
	int r = 0;

	pthread_mutex_lock(&n->lock);
	const struct owed *o = *find_owed(n, app, NET_INSTANCES);
	if (n->owed_all || o)
		r = tell_rules(c, app, NET_INSTANCES, e);
	if (r == -E2BIG && !n->owed_all && !o->never) {
		log_warn("network of app %u: what was in force before stays: %s", app,
			e->text);
		r = 0;
	}
	pthread_mutex_unlock(&n->lock);
	return r;
}

int network_apply_builds(struct control *c, uint32_t app, struct err *e)
{
	pthread_mutex_lock(&c->network->lock);
	int r = tell_rules(c, app, NET_BUILDS, e);
	pthread_mutex_unlock(&c->network->lock);
	return r;
}

int network_apply(struct control *c, uint32_t app, struct err *e)
{
	struct network *n = c->network;

	pthread_mutex_lock(&n->lock);
	int r = tell_rules(c, app, NET_INSTANCES, e);
	if (r == 0)
		r = tell_rules(c, app, NET_BUILDS, e);
	else
		owe(n, app, NET_BUILDS, false);
	pthread_mutex_unlock(&n->lock);
	wake(n);
	return r;
}

/* ---- names ---- */

int network_callers(struct control *c, uint32_t app, bool denied, uint32_t **ret)
{
	struct db_net_rule *rules autofree = NULL;
	int n = db_net_rule_list(c->db, 0, &rules), count = 0;
	uint32_t *list = n > 0 ? calloc((size_t)n, sizeof(*list)) : NULL;

	*ret = list;
	if (n > 0 && !list)
		return -ENOMEM;
	for (int i = 0; i < n; i++) /* sorted by app */
		if (rules[i].target_app == app && (rules[i].allow || denied) &&
			(!count || list[count - 1] != rules[i].app))
			list[count++] = rules[i].app;
	return n < 0 ? n : count;
}

bool network_is_called(struct control *c, uint32_t app)
{
	uint32_t *called autofree = NULL;

	return db_net_called(c->db, app, &called) > 0;
}

static bool has_number(
	const struct db_net_name *names, int n, uint32_t app, const char *type)
{
	for (int i = 0; i < n; i++)
		if (names[i].app == app && strcmp(names[i].type, type) == 0)
			return true;
	return false;
}

/* 1 when a number was given, 0 when it has one. */
static int number_one(struct control *c, const struct db_net_name *names, int n,
	uint32_t app, const char *type)
{
	if (has_number(names, n, app, type) || strcmp(type, "release") == 0)
		return 0;
	int r = db_net_name_add(c->db, app, type);

	return r == -EEXIST ? 0 : r < 0 ? r : 1;
}

int network_number(struct control *c, uint32_t app)
{
	struct db_net_name *names autofree = NULL;
	int n = db_net_name_list(c->db, app, &names);
	json_t *types = view_processes(c, app), *command;
	int r = n < 0 ? n : number_one(c, names, n, app, "web"), given = r;
	const char *type;

	json_object_foreach (types, type, command) {
		if (r >= 0 && strcmp(type, "web") != 0)
			given += r = number_one(c, names, n, app, type);
	}
	json_decref(types);
	return r < 0 ? r : given;
}

/* An app that is called has new process types: its callers get their names. */
static void number_called(
	struct control *c, uint32_t app, const struct db_net_rule *rules, int n)
{
	struct err e = {0};
	int r = network_number(c, app);

	if (r < 0) {
		c->network->failed = true;
		log_warn("names of app %u: %s", app, strerror(-r));
	}
	for (int i = 0; r != 0 && i < n; i++) /* some were given, maybe */
		if (rules[i].target_app == app &&
			tell_rules(c, rules[i].app,
				rules[i].builds ? NET_BUILDS : NET_INSTANCES, &e) < 0)
			log_warn("network of app %u: %s", rules[i].app, e.text);
}

static struct sent *find_sent(struct network *n, uint32_t number)
{
	struct sent *s = n->sent;

	while (s && s->m.number != number)
		s = s->next;
	if (!s && (s = calloc(1, sizeof(*s)))) {
		s->m.number = number;
		s->next = n->sent;
		n->sent = s;
	}
	return s;
}

static void tell_name(struct control *c, struct sent *s, const struct msg_name *m)
{
	int r;

	s->wanted = true;
	if (s->told && memcmp(&s->m, m, sizeof(*m)) == 0)
		return;
	r = engine_call(c->engine, MSG_NAME, m, sizeof(*m), NULL, 0, NULL);
	s->told = r == 0;
	s->m = *m;
	if (r < 0) {
		c->network->failed = true;
		log_warn("name %u: %s", m->number, strerror(-r));
	}
}

/* A frozen instance would take the connection and say nothing. */
static bool sleeps(struct control *c, const struct db_net_name *name)
{
	struct db_app app;

	return strcmp(name->type, "web") == 0 &&
	       db_app_by_id(c->db, name->app, &app) == 0 && app.asleep != DB_AWAKE;
}

/* To the live release: the share of a canary is counted in the router. */
static void lead_name(struct control *c, const struct db_net_name *name)
{
	struct msg_name m = {.number = name->number};
	struct member *members autofree = NULL;
	int n = sleeps(c, name) ? 0 : fleet_list(c, name->app, name->type, &members);
	struct sent *s = find_sent(c->network, name->number);

	for (int i = 0; i < n && m.n < NET_NAME_INSTANCES; i++)
		if (members[i].state == MEMBER_READY && !member_is_canary(&members[i]))
			m.ids[m.n++] = members[i].id;
	if (s) {
		s->app = name->app;
		tell_name(c, s, &m);
	}
}

/* Those of an app, or (0) of all, that are gone. */
static void drop_names(struct control *c, struct network *n, uint32_t app)
{
	for (struct sent **at = &n->sent; *at;) {
		struct sent *s = *at;

		if (!s->wanted && (!app || s->app == app)) {
			tell_name(c, s, &(struct msg_name){.number = s->m.number});
			*at = s->next;
			free(s);
			continue;
		}
		s->wanted = false;
		at = &s->next;
	}
}

static bool lead_names(struct control *c, uint32_t app)
{
	struct db_net_name *names autofree = NULL;
	int n = db_net_name_list(c->db, app, &names);

	for (int i = 0; i < n; i++)
		lead_name(c, &names[i]);
	if (n >= 0)
		drop_names(c, c->network, app);
	return n >= 0;
}

static bool refresh_app(struct control *c, uint32_t app)
{
	struct db_net_rule *rules autofree = NULL;
	int n = db_net_rule_about(c->db, app, &rules);

	if (n > 0)
		number_called(c, app, rules, n);
	return lead_names(c, app) && n >= 0;
}

static bool refresh_all(struct control *c)
{
	struct db_net_rule *rules autofree = NULL;
	int n = db_net_rule_list(c->db, 0, &rules);

	for (int i = 0; i < n; i++) {
		bool first = rules[i].target_app != 0;

		for (int j = 0; first && j < i; j++)
			first = rules[j].target_app != rules[i].target_app;
		if (first)
			number_called(c, rules[i].target_app, rules, n);
	}
	return lead_names(c, 0) && n >= 0;
}

void network_refresh(struct control *c)
{
	uint32_t apps[STALE_MAX];

	pthread_mutex_lock(&c->network->lock);
	c->network->failed = false;
	tell_owed(c);
	int n = stale_take(c->stale, STALE_NAMES, apps);
	bool done = n >= 0 || refresh_all(c);
	for (int i = 0; i < n; i++)
		done &= refresh_app(c, apps[i]);
	if (!done || c->network->failed)
		stale_again(c->stale, STALE_NAMES);
	pthread_mutex_unlock(&c->network->lock);
}

static bool any_call(struct control *c, const struct member *m, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (engine_callers(c->engine, m[i].id) > 0)
			return true;
	return false;
}

void network_wait_idle(
	struct control *c, const struct member *m, unsigned int n, int timeout_ms)
{
	uint64_t until = io_mono_ns() + (uint64_t)timeout_ms * 1000000;

	if (n == 0 || !network_is_called(c, m[0].app))
		return;
	while (any_call(c, m, n) && io_mono_ns() < until)
		usleep(CALLS_POLL_MS * 1000);
}

static void forget_sent(struct network *n)
{
	while (n->sent) {
		struct sent *s = n->sent;

		n->sent = s->next;
		free(s);
	}
}

void network_send_all(struct control *c)
{
	pthread_mutex_lock(&c->network->lock);
	tell_all(c);
	forget_sent(c->network);
	stale_again(c->stale, STALE_NAMES);
	pthread_mutex_unlock(&c->network->lock);
}

/* ---- host names ---- */

static int keep_address(
	struct control *c, const char *host, const struct addrinfo *i, uint64_t now)
{
	char text[INET6_ADDRSTRLEN];
	const struct sockaddr_in *four = (const void *)i->ai_addr;
	const struct sockaddr_in6 *six = (const void *)i->ai_addr;
	const void *bytes =
		i->ai_family == AF_INET ? (const void *)&four->sin_addr : &six->sin6_addr;

	if ((i->ai_family != AF_INET && i->ai_family != AF_INET6) ||
		!inet_ntop(i->ai_family, bytes, text, sizeof(text)))
		return 0;
	int r = db_net_address_seen(c->db, host, text, now);

	return r < 0 ? r : 1;
}

static int resolve_error(int code, const char *host, struct err *e)
{
	bool none = code == EAI_NONAME || code == EAI_NODATA;

	return err_set(e, none ? ENOENT : EAGAIN, "%s: %s", host,
		none		     ? "there is no host of that name"
		: code == EAI_SYSTEM ? strerror(errno)
				     : gai_strerror(code));
}

int network_resolve(struct control *c, const char *host, struct err *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	uint64_t now = io_now_us();
	unsigned int count = 0;
	int r = getaddrinfo(host, NULL, &hints, &list);

	if (r != 0)
		return resolve_error(r, host, e);
	r = 0;
	for (struct addrinfo *i = list; r >= 0 && i && count < ADDRESSES_MAX;
		i = i->ai_next) {
		r = keep_address(c, host, i, now);
		count += r > 0;
	}
	freeaddrinfo(list);
	if (r >= 0)
		r = db_net_address_prune(c->db, host, now - ADDRESS_KEPT_US);
	return r < 0 ? err_sys(e, -r, "keep the addresses of %s", host) : (int)count;
}

static bool about_host(const struct db_net_rule *r)
{
	return strcmp(r->kind, "host") == 0;
}

/* No rule before i names the same host / is about a host and of the same app. */
static bool first_of_host(const struct db_net_rule *rules, int i)
{
	for (int j = 0; j < i; j++)
		if (about_host(&rules[j]) &&
			strcmp(rules[j].target, rules[i].target) == 0)
			return false;
	return about_host(&rules[i]);
}

static bool first_of_app(const struct db_net_rule *rules, int i)
{
	for (int j = i - 1; j >= 0 && rules[j].app == rules[i].app; j--)
		if (about_host(&rules[j]))
			return false;
	return about_host(&rules[i]);
}

/* Each host once, and then the apps that have one. false: there is certainly none. */
static bool look_up_all(struct control *c)
{
	struct db_net_rule *rules autofree = NULL;
	int n = db_net_rule_list(c->db, 0, &rules);
	struct err e = {0};
	bool any = false;

	db_net_address_sweep(c->db, io_now_us() - ADDRESS_KEPT_US);
	for (int i = 0; i < n; i++) {
		any |= about_host(&rules[i]);
		if (first_of_host(rules, i) &&
			network_resolve(c, rules[i].target, &e) < 0)
			log_debug("%s", e.text); /* its addresses stay */
	}
	for (int i = 0; i < n; i++)
		if (first_of_app(rules, i) && network_apply(c, rules[i].app, &e) < 0)
			log_warn("network of app %u: %s", rules[i].app, e.text);
	pthread_mutex_lock(&c->network->lock);
	tell_owed(c);
	pthread_mutex_unlock(&c->network->lock);
	return any || n < 0;
}

static void set_hosts(struct network *n, bool any)
{
	pthread_mutex_lock(&n->wake_lock);
	n->hosts = any;
	pthread_mutex_unlock(&n->wake_lock);
}

/* A minute's pause; without host names, and owing nothing, no wake-up at all. */
static void rest(struct network *n, bool any)
{
	struct timespec until = io_mono_in(LOOK_UP_MS);

	pthread_mutex_lock(&n->wake_lock);
	n->hosts |= any;
	while (!n->hosts)
		pthread_cond_wait(&n->wake, &n->wake_lock);
	while (pthread_cond_timedwait(&n->wake, &n->wake_lock, &until) == 0)
		;
	pthread_mutex_unlock(&n->wake_lock);
}

static void *look_up_main(void *arg)
{
	struct control *c = arg;

	for (;;) {
		set_hosts(c->network, false);
		rest(c->network, look_up_all(c));
	}
	return NULL;
}

int network_run(struct control *c)
{
	return thread_detached(look_up_main, c, STACK_BYTES);
}

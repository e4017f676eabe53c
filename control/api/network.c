/* What an app may reach: its rules, and what follows from them. */
#include "control/network/network.h"
#include "control/api/handlers.h"
#include "control/network/net_target.h"
#include "control/settings.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- showing ---- */

/* What a rule's host name, or app, stands for now. */
static json_t *addresses_json(struct request *r, const struct db_net_rule *rule)
{
	struct db_net_address *list autofree = NULL;
	json_t *a = json_array();
	int n = strcmp(rule->kind, "host") == 0
			? db_net_address_list(r->c->db, rule->target, &list)
			: 0;

	for (int i = 0; i < n && list[i].seen_us == list[0].seen_us; i++)
		json_array_append_new(a, json_string(list[i].address));
	return a;
}

static json_t *rule_json(struct request *r, const struct db_net_rule *rule)
{
	struct db_app target = {0};
	char text[NET_TEXT_MAX], ports[16];

	if (rule->target_app)
		db_app_by_id(r->c->db, rule->target_app, &target);
	net_target_text(rule, target.name, text);
	net_ports_text(rule, ports);
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s}", "verdict",
		rule->allow ? "allow" : "deny", "target", text, "protocol",
		net_protocol_text(rule), "ports", ports, "for",
		rule->builds ? "builds" : "instances");
	json_t *addresses = addresses_json(r, rule);

	if (json_array_size(addresses))
		json_object_set(o, "addresses", addresses);
	json_decref(addresses);
	return o;
}

static json_t *name_json(struct request *r, const struct db_net_name *name)
{
	uint32_t four = htonl(ADDR_NAMES_BASE + name->number);
	char host[NETWORK_HOST_TEXT_MAX], text[INET_ADDRSTRLEN];
	struct db_app app;

	if (db_app_by_id(r->c->db, name->app, &app) < 0)
		return NULL;
	network_host(app.name, name->type, host);
	return json_pack("{s:s, s:s}", "name", host, "address",
		inet_ntop(AF_INET, &four, text, sizeof(text)));
}

/* Names that the app finds others by. */
static json_t *names_json(struct request *r, const struct db_net_rule *rules, int n)
{
	json_t *a = json_array();

	for (int i = 0; i < n; i++) {
		struct db_net_name *names autofree = NULL;
		bool wanted = rules[i].target_app && rules[i].allow;

		for (int j = 0; wanted && j < i; j++)
			wanted = !rules[j].allow ||
				 rules[j].target_app != rules[i].target_app;
		int k = wanted ? db_net_name_list(r->c->db, rules[i].target_app, &names)
			       : 0;
		for (int j = 0; j < k; j++)
			json_array_append_new(a, name_json(r, &names[j]));
	}
	return a;
}

static json_t *callers_json(struct request *r)
{
	uint32_t *callers autofree = NULL;
	int n = network_callers(r->c, r->app.id, false, &callers);
	json_t *a = json_array();
	struct db_app app;

	for (int i = 0; i < n; i++)
		if (db_app_by_id(r->c->db, callers[i], &app) == 0)
			json_array_append_new(a, json_string(app.name));
	return a;
}

/* allowed, denied, or limited by some rules. */
static const char *internet_word(const struct db_net_rule *rules, int n)
{
	const char *word = "allowed";

	for (int i = 0; i < n; i++) {
		if (strcmp(rules[i].kind, "internet") != 0)
			continue;
		if (rules[i].first_port || rules[i].protocol)
			word = "limited";
		else if (!rules[i].allow && strcmp(word, "allowed") == 0)
			word = "denied";
	}
	return word;
}

static json_t *rules_json(struct request *r, const struct db_net_rule *rules, int n)
{
	json_t *a = json_array();

	for (int i = 0; i < n; i++)
		json_array_append_new(a, rule_json(r, &rules[i]));
	return a;
}

static int sorted_rules(struct request *r, uint32_t app, struct db_net_rule **ret)
{
	int n = db_net_rule_list(r->c->db, app, ret);

	if (n > 0)
		qsort(*ret, (size_t)n, sizeof(**ret), net_rule_order);
	return n;
}

int network_show(struct request *r)
{
	struct db_net_rule *rules autofree = NULL;
	int n = sorted_rules(r, r->app.id, &rules), own = 0;

	if (n < 0)
		return request_fail_db(r, n, r->app.name);
	while (own < n && !rules[own].builds)
		own++;
	return request_reply(r, 200,
		json_pack("{s:s, s:o, s:o, s:o, s:s, s:{s:s, s:s, s:s, s:s}}", "internet",
			internet_word(rules, own), "rules", rules_json(r, rules, n),
			"names", names_json(r, rules, own), "callers", callers_json(r),
			"builds", build_network_text(app_build_network(r->c, r->app.id)),
			"defaults", "internet", "allow", "private", "deny", "apps",
			"deny", "host", "deny"));
}

int network_list(struct request *r)
{
	struct db_app *apps autofree = NULL;
	int n = db_app_list(r->c->db, &apps);
	json_t *list = json_array(), *o;
	size_t at;

	for (int i = 0; i < n; i++) {
		struct db_net_rule *rules autofree = NULL;
		int k = sorted_rules(r, apps[i].id, &rules);
		json_t *some = rules_json(r, rules, k);

		json_array_foreach (some, at, o)
			json_object_set_new(o, "app", json_string(apps[i].name));
		json_array_extend(list, some);
		json_decref(some);
	}
	return request_reply(r, 200, list);
}

/* ---- changing ---- */

static int read_rule(struct request *r, const char *target, const char *ports,
	const char *protocol, bool builds, struct db_net_rule *rule)
{
	char name[NAME_MAX_LEN + 1];
	struct db_app app;
	struct err e = {0};

	*rule = (struct db_net_rule){.app = r->app.id, .builds = builds};
	if (net_target_parse(target, rule, name, &e) < 0 ||
		net_ports_parse(ports, rule, &e) < 0 ||
		net_protocol_parse(protocol, rule, &e) < 0)
		return request_fail(r, FAIL_USAGE, "%s", e.text);
	if (!name[0])
		return 0;
	if (request_app(r, name, &app) < 0)
		return strncmp(target, "app:", 4) == 0
			       ? -1
			       : request_hint(
					 r, "for a host without a dot: host:%s", name);
	rule->target_app = app.id;
	return 0;
}

static int check_target(struct request *r, const struct db_net_rule *rule)
{
	struct db_app target;
	struct addr a;

	/* Who opens a way to an app must be one who may change it, too. */
	if (rule->allow && rule->target_app &&
		db_app_by_id(r->c->db, rule->target_app, &target) == 0 &&
		access_need(r, &target, ROLE_DEPLOY) < 0)
		return -1;
	if (rule->target_app == r->app.id && !rule->builds) {
		request_fail(r, FAIL_USAGE, "%s is the app itself", r->app.name);
		return request_hint(
			r, "an instance reaches itself at 127.0.0.1, and no other one");
	}
	if (rule->allow && strcmp(rule->kind, "address") == 0 &&
		addr_parse(rule->target, &a) == 0 && addr_is_never(&a))
		return request_fail(r, FAIL_USAGE,
			"%s is never for apps: loopback, link-local (which tells cloud "
			"machines their secrets), multicast and berth's own addresses",
			rule->target);
	return 0;
}

static int check_count(struct request *r)
{
	struct db_net_rule *rules autofree = NULL;
	int n = db_net_rule_list(r->c->db, r->app.id, &rules);

	if (n < 0)
		return request_fail_db(r, n, r->app.name);
	if (n < NETWORK_RULES_MAX)
		return 0;
	request_fail(r, FAIL_CONFLICT, "%s has %d network rules, which is all it can",
		r->app.name, n);
	return request_hint(r, "remove some: berth network:clear %s TARGET", r->app.name);
}

/* A name that does not exist is a slip of the pen; one that cannot be asked for now is
 * looked up again each minute. */
static int look_up(struct request *r, const struct db_net_rule *rule)
{
	struct err e = {0};

	if (strcmp(rule->kind, "host") != 0 ||
		network_resolve(r->c, rule->target, &e) != -ENOENT)
		return 0;
	return request_fail(r, FAIL_USAGE, "%s", e.text);
}

static bool is_same(const struct db_net_rule *a, const struct db_net_rule *b)
{
	return a->builds == b->builds && strcmp(a->kind, b->kind) == 0 &&
	       strcmp(a->target, b->target) == 0 && a->target_app == b->target_app &&
	       a->protocol == b->protocol && a->first_port == b->first_port &&
	       a->last_port == b->last_port;
}

/* The rule whose place this one takes. Count. */
static int find_before(
	struct request *r, const struct db_net_rule *rule, struct db_net_rule *ret)
{
	struct db_net_rule *rules autofree = NULL;
	int n = db_net_rule_list(r->c->db, rule->app, &rules);

	for (int i = 0; i < n; i++) {
		if (!is_same(&rules[i], rule))
			continue;
		*ret = rules[i];
		return 1;
	}
	return n < 0 ? n : 0;
}

/* One that was put and for which there is no room. */
static void take_back(struct request *r, const struct db_net_rule *rule,
	const struct db_net_rule *before)
{
	if (before)
		db_net_rule_put(r->c->db, before);
	else
		db_net_rule_remove(r->c->db, rule, true);
}

/* fresh: what was put, if anything, in the place of before, if anything. */
static int apply(struct request *r, const struct db_net_rule *fresh,
	const struct db_net_rule *before)
{
	struct err e = {0};
	int n = network_apply(r->c, r->app.id, &e);

	if (n == -E2BIG && fresh) {
		take_back(r, fresh, before);
		return request_fail(r, FAIL_CONFLICT, "%s", e.text);
	}
	if (n < 0)
		return request_fail(
			r, FAIL_BERTH, "stored, but not in force: %s", e.text);
	/* an app that is called does not fall asleep: the routing table says so, too */
	routes_refresh(r->c, NULL);
	return network_show(r);
}

static int put(struct request *r, bool allow)
{
	struct db_net_rule rule, before;

	if (read_rule(r, request_string(r, "target"), request_string(r, "ports"),
		    request_string(r, "protocol"), request_bool(r, "builds", false),
		    &rule) < 0)
		return -1;
	rule.allow = allow;
	if (check_target(r, &rule) < 0 || look_up(r, &rule) < 0)
		return -1;
	int had = find_before(r, &rule, &before);
	if (had < 0)
		return request_fail_db(r, had, r->app.name);
	if (!had && check_count(r) < 0)
		return -1;
	int n = rule.target_app ? network_number(r->c, rule.target_app) : 0;

	if (n == -ENOSPC)
		return request_fail(r, FAIL_CONFLICT,
			"%u process types are called by name, which is all there can be",
			ADDR_NAMES - 1);
	if (n >= 0)
		n = db_net_rule_put(r->c->db, &rule);
	if (n == -ENOENT)
		return request_fail(r, FAIL_MISSING, "the app was destroyed meanwhile");
	return n < 0 ? request_fail_db(r, n, r->app.name)
		     : apply(r, &rule, had ? &before : NULL);
}

int network_allow(struct request *r)
{
	return put(r, true);
}

int network_deny(struct request *r)
{
	return put(r, false);
}

int network_clear(struct request *r)
{
	const char *target = request_query(r, "target"),
		   *ports = request_query(r, "ports"),
		   *protocol = request_query(r, "protocol");
	bool builds = request_query(r, "builds") != NULL;
	struct db_net_rule rule;
	int n;

	if (!target && (ports || protocol))
		return request_fail(r, FAIL_USAGE, "ports and protocol need a target");
	if (target && read_rule(r, target, ports, protocol, builds, &rule) < 0)
		return -1;
	n = target ? db_net_rule_remove(r->c->db, &rule, ports || protocol)
		   : db_net_rule_clear(r->c->db, r->app.id, builds);
	if (n < 0)
		return request_fail_db(r, n, r->app.name);
	if (n == 0 && target) {
		request_fail(r, FAIL_MISSING, "%s has no such rule about %.200s",
			r->app.name, target);
		return request_hint(r, "see them: berth network:report %s", r->app.name);
	}
	return apply(r, NULL, NULL);
}

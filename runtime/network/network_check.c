/* Messages about networks, field by field. */
#include "runtime/network/network_check.h"
#include "lib/addr.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static bool all_zero(const unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i])
			return false;
	return true;
}

/* Bits beyond the prefix and bytes beyond the address are 0. */
static bool address_ok(const struct net_rule *r)
{
	bool six = r->kind == NET_ADDRESS6;
	struct addr range = {.family = six ? AF_INET6 : AF_INET, .prefix = r->prefix};
	struct addr whole = range;

	if (r->prefix > (six ? 128 : 32) || (!six && !all_zero(r->addr + 4, 12)))
		return false;
	memcpy(range.bytes, r->addr, sizeof(range.bytes));
	memcpy(whole.bytes, r->addr, sizeof(whole.bytes));
	whole.prefix = six ? 128 : 32;
	return addr_contains(&range, &whole);
}

static bool names_nothing(const struct net_rule *r)
{
	return r->number == 0 && r->prefix == 0 && all_zero(r->addr, sizeof(r->addr));
}

static bool target_ok(const struct net_rule *r)
{
	switch (r->kind) {
	case NET_ADDRESS4:
	case NET_ADDRESS6:
		return r->number == 0 && address_ok(r);
	case NET_NAME:
		return r->number >= 1 && r->number < ADDR_NAMES && r->prefix == 0 &&
		       all_zero(r->addr, sizeof(r->addr));
	case NET_INTERNET:
		return names_nothing(r);
	case NET_SERVERS:
		return names_nothing(r) && r->verdict == NET_ALLOW && !r->protocol &&
		       !r->first;
	default:
		return false;
	}
}

static bool ports_ok(const struct net_rule *r)
{
	return r->first <= r->last && (r->first != 0) == (r->last != 0);
}

static bool rule_ok(const struct net_rule *r)
{
	return r->verdict <= NET_ALLOW_HOST &&
	       (r->protocol == 0 || r->protocol == IPPROTO_TCP ||
		       r->protocol == IPPROTO_UDP) &&
	       ports_ok(r) && target_ok(r);
}

int network_check(const struct msg_network *m, struct err *e)
{
	if (m->app == 0)
		return err_set(e, EINVAL, "the app ids start at 1");
	if (m->app > INT32_MAX || m->whose > NET_BUILDS)
		return err_set(e, EINVAL, "rules of kind %u of app %u", m->whose, m->app);
	if (m->n_rules > NET_RULES_MAX || m->hosts_size > NET_HOSTS_MAX)
		return err_set(e, EINVAL, "%u rules, %u bytes of names", m->n_rules,
			m->hosts_size);
	for (uint32_t i = 0; i < m->n_rules; i++)
		if (!rule_ok(&m->rules[i]))
			return err_set(e, EINVAL, "rule %u is not acceptable", i);
	return 0;
}

int network_check_name(const struct msg_name *m, struct err *e)
{
	if (m->number < 1 || m->number >= ADDR_NAMES)
		return err_set(e, EINVAL, "the number %u of a name", m->number);
	if (m->n > NET_NAME_INSTANCES)
		return err_set(e, EINVAL, "%u instances behind a name", m->n);
	return 0;
}

/* Network rules: their words and their order. */
#include "control/network/net_target.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static int parse_app(const char *name, struct db_net_rule *ret,
	char app[NAME_MAX_LEN + 1], struct err *e)
{
	if (!name_valid(name))
		return err_set(e, EINVAL,
			"\"%.80s\" is neither an app's name nor an address; a host name "
			"has a dot, or write host:NAME",
			name);
	snprintf(ret->kind, sizeof(ret->kind), "app");
	snprintf(app, NAME_MAX_LEN + 1, "%s", name);
	return 0;
}

/* Lower case, without the dot that ends an absolute name. */
static int parse_host(const char *name, struct db_net_rule *ret, struct err *e)
{
	size_t len = strlen(name);

	if (len && name[len - 1] == '.')
		len--;
	if (len > 0 && len <= HOST_MAX_LEN)
		for (size_t i = 0; i < len; i++)
			ret->target[i] = (char)tolower((unsigned char)name[i]);
	if (!ret->target[0] || ret->target[0] == '*' || !name_host_valid(ret->target))
		return err_set(e, EINVAL, "\"%.80s\" is not a host name%s", name,
			ret->target[0] == '*' ? ": each has to be named" : "");
	snprintf(ret->kind, sizeof(ret->kind), "host");
	return 0;
}

/* 1 when it is none and may be a name. */
static int parse_address(const char *text, struct db_net_rule *ret, struct err *e)
{
	struct addr a;
	int r = addr_parse(text, &a);
	bool number = *text && text[strspn(text, "0123456789.")] == '\0';

	if (r == -EINVAL && (number || strchr(text, ':') || strchr(text, '/')))
		return err_set(e, EINVAL,
			"\"%.80s\" is not an address or a range such as 10.0.0.0/8 or "
			"2001:db8::/32",
			text);
	if (r == -EINVAL)
		return 1;
	addr_format(&a, ret->target);
	if (r == -EDOM)
		return err_set(e, EINVAL,
			"%.80s has bits beyond its prefix; did you mean %s?", text,
			ret->target);
	snprintf(ret->kind, sizeof(ret->kind), "address");
	return 0;
}

int net_target_parse(const char *text, struct db_net_rule *ret,
	char app[NAME_MAX_LEN + 1], struct err *e)
{
	int r;

	app[0] = '\0';
	ret->target[0] = '\0';
	if (strcmp(text, "internet") == 0) {
		snprintf(ret->kind, sizeof(ret->kind), "internet");
		return 0;
	}
	if (strncmp(text, "app:", 4) == 0)
		return parse_app(text + 4, ret, app, e);
	if (strncmp(text, "host:", 5) == 0) {
		r = parse_host(text + 5, ret, e);
		return r;
	}
	r = parse_address(text, ret, e);
	if (r != 1)
		return r;
	return strchr(text, '.') ? parse_host(text, ret, e)
				 : parse_app(text, ret, app, e);
}

int net_ports_parse(const char *text, struct db_net_rule *ret, struct err *e)
{
	char first[8] = "";
	const char *dash = text ? strchr(text, '-') : NULL;
	uint64_t a, b;

	ret->first_port = ret->last_port = 0;
	if (!text)
		return 0;
	int n = snprintf(first, sizeof(first), "%.*s",
		(int)(dash ? dash - text : (ptrdiff_t)strlen(text)), text);
	if (n >= (int)sizeof(first) || num_parse_u64(first, 1, 65535, &a) < 0 ||
		num_parse_u64(dash ? dash + 1 : first, 1, 65535, &b) < 0)
		return err_set(e, EINVAL,
			"\"%.40s\" is no port: a number from 1 to 65535, or two with a "
			"dash, as 8000-8010",
			text);
	if (b < a)
		return err_set(e, EINVAL, "%s: the first port is above the last", text);
	ret->first_port = (uint32_t)a;
	ret->last_port = (uint32_t)b;
	return 0;
}

int net_protocol_parse(const char *text, struct db_net_rule *ret, struct err *e)
{
	ret->protocol = 0;
	if (!text)
		return 0;
	if (strcmp(text, "tcp") == 0)
		ret->protocol = IPPROTO_TCP;
	else if (strcmp(text, "udp") == 0)
		ret->protocol = IPPROTO_UDP;
	else
		return err_set(
			e, EINVAL, "the protocol is tcp or udp, not \"%.40s\"", text);
	return 0;
}

void net_target_text(const struct db_net_rule *r, const char *app, char out[NET_TEXT_MAX])
{
	if (strcmp(r->kind, "app") == 0)
		snprintf(out, NET_TEXT_MAX, "app:%s", app);
	else if (strcmp(r->kind, "host") == 0)
		snprintf(out, NET_TEXT_MAX, "host:%s", r->target);
	else
		snprintf(out, NET_TEXT_MAX, "%s",
			strcmp(r->kind, "internet") == 0 ? r->kind : r->target);
}

void net_ports_text(const struct db_net_rule *r, char out[16])
{
	out[0] = '\0';
	if (r->first_port == r->last_port && r->first_port)
		snprintf(out, 16, "%u", r->first_port);
	else if (r->first_port)
		snprintf(out, 16, "%u-%u", r->first_port, r->last_port);
}

const char *net_protocol_text(const struct db_net_rule *r)
{
	return r->protocol == IPPROTO_TCP   ? "tcp"
	       : r->protocol == IPPROTO_UDP ? "udp"
					    : "";
}

/* How much it holds: apps nothing, a single address little, the internet everything. */
static unsigned int width(const struct db_net_rule *r)
{
	struct addr a;

	if (strcmp(r->kind, "app") == 0)
		return 0;
	if (strcmp(r->kind, "host") == 0)
		return 1;
	if (strcmp(r->kind, "internet") == 0)
		return 1000;
	if (addr_parse(r->target, &a) < 0)
		return 999;
	return 1 + (a.family == AF_INET ? 32 : 128) - a.prefix;
}

static unsigned int ports_width(const struct db_net_rule *r)
{
	return r->first_port ? r->last_port - r->first_port : 65536;
}

static int compare(unsigned int a, unsigned int b)
{
	return (a > b) - (a < b);
}

int net_rule_order(const void *x, const void *y)
{
	const struct db_net_rule *a = x, *b = y;
	int r = compare(a->builds, b->builds);

	if (r == 0)
		r = compare(width(a), width(b));

	if (r == 0)
		r = compare(ports_width(a), ports_width(b));
	if (r == 0)
		r = compare(a->protocol == 0, b->protocol == 0);
	if (r == 0)
		r = compare(a->allow, b->allow);
	if (r == 0)
		r = strcmp(a->target, b->target);
	if (r == 0)
		r = compare(a->target_app, b->target_app);
	return r ? r : compare(a->first_port, b->first_port);
}

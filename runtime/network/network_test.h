/* For the tests of networks: words for an app's rules and for what it reaches, on the host
 * and in the world of network_host_test.h. */
#ifndef RUNTIME_NETWORK_TEST_H
#define RUNTIME_NETWORK_TEST_H

#include "lib/addr.h"
#include "runtime/network/netns.h"
#include "runtime/network/network_host_test.h"
#include "runtime/sandbox/box_test.h"

#define PUBLIC "203.0.113.1"
#define PRIVATE "192.168.77.1"
#define METADATA "169.254.169.254"
#define PUBLIC6 "2001:db8:1::1"
#define PRIVATE6 "fd77::1"
#define REFUSED "Connection refused\n"
#define ALLOW NET_ALLOW_HOST
#define DENY NET_DENY

/* ---- words for rules ---- */

static struct msg_network wish;

static UNUSED void begin_rules(uint32_t app)
{
	memset(&wish, 0, sizeof(wish));
	wish.app = app;
}

static UNUSED struct net_rule *rule(uint8_t kind, uint8_t verdict)
{
	struct net_rule *r = &wish.rules[wish.n_rules++];

	r->kind = kind;
	r->verdict = verdict;
	return r;
}

static UNUSED struct net_rule *range(uint8_t verdict, const char *text)
{
	struct addr a;
	struct net_rule *r;

	assert_int_equal(addr_parse(text, &a), 0);
	r = rule(a.family == AF_INET6 ? NET_ADDRESS6 : NET_ADDRESS4, verdict);
	r->prefix = (uint8_t)a.prefix;
	memcpy(r->addr, a.bytes, sizeof(r->addr));
	return r;
}

static UNUSED void port(struct net_rule *r, uint16_t first, uint16_t last)
{
	r->first = first;
	r->last = last;
}

static UNUSED void set_rules(void)
{
	struct err e = {0};
	int r = network_set(w.rt, &wish, &e);

	if (r < 0)
		print_message("network_set: %s\n", e.text);
	assert_int_equal(r, 0);
}

static UNUSED void no_rules(uint32_t app)
{
	begin_rules(app);
	set_rules();
}

static UNUSED void lead(uint32_t number, const struct box *a, const struct box *b)
{
	struct msg_name m = {.number = number};
	struct err e = {0};

	if (a)
		m.ids[m.n++] = a->start.id;
	if (b)
		m.ids[m.n++] = b->start.id;
	assert_int_equal(network_name(w.rt, &m, &e), 0);
}

/* ---- words for what is reached ---- */

static UNUSED struct box of_app(uint32_t app)
{
	struct box b = box_new();

	b.start.app = app;
	return b;
}

/* What the app gets from there is text, or begins with it. */
static UNUSED void check(int line, uint32_t app, const char *addr, const char *tcp_port,
	const char *text, bool whole)
{
	struct box b = of_app(app);

	run(&b, "ask", addr, tcp_port);
	if (whole ? strcmp(b.text, text) != 0 : strncmp(b.text, text, strlen(text)) != 0)
		fail_msg("line %d: app %u to %s port %s: %s", line, app, addr, tcp_port,
			b.text);
}

#define expect(app, addr, port, text) check(__LINE__, app, addr, port, text, true)
#define reaches(app, addr, port) check(__LINE__, app, addr, port, "hello", false)

/* The same from the host itself, so that a refusal of the app is the filter's. */
static UNUSED void is_there(const char *addr, const char *tcp_port)
{
	assert_int_equal(shell("timeout 5 socat -u OPEN:/dev/null "
			       "TCP:%s%s%s:%s,connect-timeout=3",
				 strchr(addr, ':') ? "[" : "", addr,
				 strchr(addr, ':') ? "]" : "", tcp_port),
		0);
}

#define is_refused(app, addr, port)                                                      \
	do {                                                                             \
		is_there(addr, port);                                                    \
		expect(app, addr, port, REFUSED);                                        \
	} while (0)

static UNUSED void start_server(
	struct box *b, uint32_t app, const char *addr, const char *text)
{
	*b = of_app(app);
	box_must_start(b, PROBE("serve", addr, "5000", text));
	wait_for_line(b);
}

static UNUSED void end(struct box *b)
{
	sandbox_kill(w.rt, &b->rec);
	box_end(b);
}

static UNUSED const char *name4(uint32_t number)
{
	static char text[INET_ADDRSTRLEN];
	uint32_t a = htonl(ADDR_NAMES_BASE + number);

	return inet_ntop(AF_INET, &a, text, sizeof(text));
}

static UNUSED const char *six_of(uint32_t addr)
{
	static char text[INET6_ADDRSTRLEN];
	unsigned char six[16];

	addr6_of(addr, six);
	return inet_ntop(AF_INET6, six, text, sizeof(text));
}

/* The nft table holds the word. */
static UNUSED bool table_has(const char *word)
{
	return shell("nft list table inet berth_%s | grep -qF -- '%s'", runtime_id(w.rt),
		       word) == 0;
}

/* ---- the host ---- */

#define SIX_ROUTE "ip -6 route add default via " PUBLIC6

static int set_up_with(const char *route)
{
	sweep_dead(WORLDS "*", remove_world);
	if (make_host() < 0 || shell("%s", route) != 0) {
		print_message("cannot make the test's own network\n");
		return -1;
	}
	return make_world(true);
}

static UNUSED int set_up_without_six(void **state UNUSED)
{
	return set_up_with("true");
}

static UNUSED int set_up_host(void **state UNUSED)
{
	return set_up_with(SIX_ROUTE);
}

static UNUSED int tear_down_host(void **state)
{
	end_host();
	return tear_down(state);
}

#endif

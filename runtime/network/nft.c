/*
 * The packet filter of one berth: what its instances may reach, as text for nft. Rules name
 * interfaces by prefix and addresses by range, so that starting a sandbox of an app without
 * rules of its own touches nothing here.
 */
#include "runtime/network/nft.h"
#include "lib/addr.h"
#include "lib/log.h"
#include "runtime/command.h"
#include "runtime/inside.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAMED_MAX_S 8

struct sets {
	struct buf v4, v6;
};

/* The same may come again: nft takes repeats. */
static void add_allowed(void *arg, int family, const void *addr, unsigned int port)
{
	struct sets *s = arg;
	struct buf *b = family == AF_INET ? &s->v4 : &s->v6;
	char text[INET6_ADDRSTRLEN];

	if (!inet_ntop(family, addr, text, sizeof(text)))
		return;
	buf_addf(b, "%s%s . tcp . %u", b->len ? ", " : "", text, port);
	if (port == 53)
		buf_addf(b, ", %s . udp . %u", text, port);
}

void nft_table_name(const char *id, char out[NFT_NAME_MAX])
{
	snprintf(out, NFT_NAME_MAX, "berth_%.8s", id);
}

void nft_chain_name(uint32_t whose, char out[NFT_NAME_MAX])
{
	snprintf(out, NFT_NAME_MAX, "%s_%u", whose & NFT_BUILDS ? "build" : "app",
		whose & ~NFT_BUILDS);
}

static void add_set(
	struct buf *b, const char *name, const char *type, const struct buf *elements)
{
	buf_addf(b, "\tset %s {\n\t\ttype %s . inet_proto . inet_service\n", name, type);
	if (elements->len)
		buf_addf(b, "\t\telements = { %s }\n", elements->data);
	buf_adds(b, "\t}\n");
}

/* A list of lib/addr.h. */
static void add_ranges(
	struct buf *b, const char *name, const char *type, const char *const *ranges)
{
	buf_addf(b, "\tset %s {\n\t\ttype %s\n\t\tflags interval\n\t\telements = { ",
		name, type);
	for (const char *const *r = ranges; *r; r++)
		buf_addf(b, "%s%s", r == ranges ? "" : ", ", *r);
	buf_adds(b, " }\n\t}\n");
}

/* %d is NET_NAME_INSTANCES. */
static const char maps[] =
	"\tmap apps {\n\t\ttype ifname : verdict\n\t}\n"
	"\tmap names4 {\n\t\ttypeof ip daddr . numgen random mod %1$d : ip daddr\n\t}\n"
	"\tmap names6 {\n\t\ttypeof ip6 daddr . numgen random mod %1$d : ip6 "
	"daddr\n\t}\n";

/*
 * %1$s is the interfaces' pattern, %2$s and %3$s our address ranges, %4$d
 * NET_NAME_INSTANCES, %5$s and %6$s the ranges of names. What an app sends is looked at
 * packet by packet, so that a rule taken away ends what goes on already; only its answers
 * pass by the state of their connection.
 */
static const char chains[] =
	"\tchain source {\n\t\ttype filter hook prerouting priority raw; policy accept;\n"
	"\t\tiifname %1$s fib saddr . iif oif missing drop\n\t}\n"
	"\tchain names {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n"
	"\t\tiifname != %1$s accept\n"
	"\t\tdnat ip to ip daddr . numgen random mod %4$d map @names4\n"
	"\t\tdnat ip6 to ip6 daddr . numgen random mod %4$d map @names6\n\t}\n"
	"\tchain exceptions {\n"
	"\t\tip daddr . meta l4proto . th dport @allowed4 accept\n"
	"\t\tip6 daddr . meta l4proto . th dport @allowed6 accept\n\t}\n"
	"\tchain deny {\n\t\tmeta l4proto tcp reject with tcp reset\n\t\treject with "
	"icmpx admin-prohibited\n\t}\n"
	"\tchain input {\n\t\ttype filter hook input priority filter - 10; policy "
	"accept;\n"
	"\t\tiifname != %1$s accept\n"
	/* broadcast and anycast lead here, too, and are not the host's own */
	"\t\tfib daddr type != local goto deny\n"
	"\t\tiifname vmap @apps\n\t\tjump exceptions\n\t\tgoto deny\n\t}\n"
	"\tchain forward {\n\t\ttype filter hook forward priority filter - 10; policy "
	"accept;\n"
	"\t\tiifname %1$s goto outward\n\t\toifname %1$s goto inward\n\t}\n"
	"\tchain outward {\n"
	/* an end that ended has no route here: that of the host would take it away */
	"\t\toifname != %1$s ct original ip daddr %5$s goto deny\n"
	"\t\toifname != %1$s ct original ip6 daddr %6$s goto deny\n"
	"\t\tct state established,related ct direction reply accept\n"
	"\t\tct state related accept\n\t\tiifname vmap @apps\n"
	"\t\toifname %1$s goto deny\n"
	"\t\tjump exceptions\n\t\tip daddr @private4 goto deny\n\t\tip6 daddr @private6 "
	"goto deny\n\t\taccept\n\t}\n"
	"\tchain inward {\n\t\tct state established,related accept\n\t\tdrop\n\t}\n"
	/* replies of the name servers and refusals above, nothing that begins here */
	"\tchain output {\n\t\ttype filter hook output priority filter - 10; policy "
	"accept;\n"
	"\t\toifname %1$s ct state new drop\n\t}\n"
	"\tchain outside {\n\t\ttype nat hook postrouting priority srcnat; policy "
	"accept;\n"
	"\t\tip saddr %2$s oifname != %1$s masquerade\n"
	"\t\tip6 saddr %3$s oifname != %1$s masquerade\n\t}\n";

/* "198.18.0.0/20" and its IPv6 counterpart. */
static void ranges_of(
	uint32_t addr_base, char four[ADDR_TEXT_MAX], char six[ADDR_TEXT_MAX])
{
	struct addr a = {.family = AF_INET, .prefix = 20}, a6 = {AF_INET6, 116, {0}};
	uint32_t addr = htonl(addr_base);

	memcpy(a.bytes, &addr, sizeof(addr));
	addr6_of(addr_base, a6.bytes);
	addr_format(&a, four);
	addr_format(&a6, six);
}

void nft_add_table(struct buf *b, const char *id, uint32_t addr_base)
{
	struct sets allowed = {.v4 = BUF_INIT, .v6 = BUF_INIT};
	char table[NFT_NAME_MAX], pattern[24];
	char four[ADDR_TEXT_MAX], six[ADDR_TEXT_MAX];
	char names4[ADDR_TEXT_MAX], names6[ADDR_TEXT_MAX];

	reach_servers(add_allowed, &allowed);
	nft_table_name(id, table);
	snprintf(pattern, sizeof(pattern), "\"b%.8s-*\"", id);
	ranges_of(addr_base, four, six);
	ranges_of(ADDR_NAMES_BASE, names4, names6);
	/* In one transaction: at no moment is there no table. The first line makes the
	 * delete succeed. */
	buf_addf(b, "add table inet %1$s\ndelete table inet %1$s\ntable inet %1$s {\n",
		table);
	add_set(b, "allowed4", "ipv4_addr", &allowed.v4);
	add_set(b, "allowed6", "ipv6_addr", &allowed.v6);
	add_ranges(b, "private4", "ipv4_addr", addr_private4);
	add_ranges(b, "private6", "ipv6_addr", addr_private6);
	add_ranges(b, "never4", "ipv4_addr", addr_never4);
	add_ranges(b, "never6", "ipv6_addr", addr_never6);
	buf_addf(b, maps, NET_NAME_INSTANCES);
	buf_addf(b, chains, pattern, four, six, NET_NAME_INSTANCES, names4, names6);
	buf_adds(b, "}\n");
	b->failed = b->failed || allowed.v4.failed || allowed.v6.failed;
	buf_free(&allowed.v4);
	buf_free(&allowed.v6);
}

/* ---- the rules of an app ---- */

static void add_ports(struct buf *b, const struct net_rule *r)
{
	if (r->protocol)
		buf_addf(b, " meta l4proto %u", r->protocol);
	else if (r->first)
		buf_adds(b, " meta l4proto { tcp, udp }");
	if (r->first)
		buf_addf(b, " th dport %u", r->first);
	if (r->last > r->first)
		buf_addf(b, "-%u", r->last);
}

/* One line of nft: the destination is given by a word and an address, or by nothing. */
static void add_line(struct buf *b, const char *start, const char *match,
	const char *address, const struct net_rule *r, const char *verdict)
{
	buf_addf(b, "%s %s%s", start, match, address);
	add_ports(b, r);
	buf_addf(b, " %s\n", verdict);
}

/* The host itself is opened by its exact address only. */
static const char *allow_address(int family, bool host)
{
	static const char *const verdicts[2][2] = {
		{"ip daddr != @never4 fib daddr type != local accept",
			"ip daddr != @never4 accept"},
		{"ip6 daddr != @never6 fib daddr type != local accept",
			"ip6 daddr != @never6 accept"},
	};

	return verdicts[family == AF_INET6][host];
}

static void add_address(struct buf *b, const char *start, const struct net_rule *r)
{
	struct addr a = {.family = r->kind == NET_ADDRESS6 ? AF_INET6 : AF_INET,
		.prefix = r->prefix};
	char text[ADDR_TEXT_MAX];

	memcpy(a.bytes, r->addr, sizeof(a.bytes));
	addr_format(&a, text);
	add_line(b, start, a.family == AF_INET ? "ip daddr " : "ip6 daddr ", text, r,
		r->verdict == NET_DENY
			? "goto deny"
			: allow_address(a.family,
				  r->verdict == NET_ALLOW_HOST && addr_is_single(&a)));
}

/* Only what was led to an instance: to an address without one the defaults apply. */
static void add_name(struct buf *b, const char *start, const struct net_rule *r)
{
	const char *verdict = r->verdict == NET_DENY ? "goto deny" : "accept";
	uint32_t four = htonl(ADDR_NAMES_BASE + r->number);
	char text[INET6_ADDRSTRLEN];
	unsigned char six[16];

	inet_ntop(AF_INET, &four, text, sizeof(text));
	add_line(b, start, "ct status dnat ct original ip daddr ", text, r, verdict);
	addr6_of(ADDR_NAMES_BASE + r->number, six);
	inet_ntop(AF_INET6, six, text, sizeof(text));
	add_line(b, start, "ct status dnat ct original ip6 daddr ", text, r, verdict);
}

static void add_internet(struct buf *b, const char *start, const struct net_rule *r)
{
	if (r->verdict == NET_DENY) {
		add_line(b, start, "", "", r, "goto deny");
		return;
	}
	add_line(b, start, "ip daddr != ", "@private4", r,
		"fib daddr type != local accept");
	add_line(b, start, "ip6 daddr != ", "@private6", r,
		"fib daddr type != local accept");
}

void nft_add_chain(struct buf *b, const char *id, uint32_t whose,
	const struct net_rule *rules, uint32_t n)
{
	char table[NFT_NAME_MAX], chain[NFT_NAME_MAX], start[96];

	nft_table_name(id, table);
	nft_chain_name(whose, chain);
	buf_addf(b, "add chain inet %1$s %2$s\nflush chain inet %1$s %2$s\n", table,
		chain);
	snprintf(start, sizeof(start), "add rule inet %s %s", table, chain);
	for (uint32_t i = 0; i < n; i++) {
		if (rules[i].kind == NET_NAME)
			add_name(b, start, &rules[i]);
		else if (rules[i].kind == NET_INTERNET)
			add_internet(b, start, &rules[i]);
		else if (rules[i].kind == NET_SERVERS)
			buf_addf(b, "%s jump exceptions\n", start);
		else
			add_address(b, start, &rules[i]);
	}
}

void nft_add_chain_end(struct buf *b, const char *id, uint32_t whose)
{
	char table[NFT_NAME_MAX], chain[NFT_NAME_MAX];

	nft_table_name(id, table);
	nft_chain_name(whose, chain);
	buf_addf(b, "flush chain inet %1$s %2$s\ndelete chain inet %1$s %2$s\n", table,
		chain);
}

/* ---- running it ---- */

void nft_add_list(struct buf *b)
{
	buf_adds(b, "list chains\n");
}

int nft_run(const struct buf *script, struct buf *out, struct err *e)
{
	static const char *const argv[] = {"nft", "-f", "-", NULL};
	autobuf own = BUF_INIT;
	int r;

	out = out ? out : &own;
	if (script->failed)
		return err_set(e, ENOMEM, "out of memory");
	r = command_run(argv, script->data, script->len, out);
	if (r == 0)
		return 0;
	if (r == -ENOENT)
		return err_set(e, ENOENT, "the program nft is missing; install nftables");
	return err_set(e, EIO, "nft refused berth's packet filter: %.300s",
		out->data ? out->data : "no reason given");
}

/* Proxies and package indexes, once their names are resolved. False: not all were. */
static bool allow_named(const char *id)
{
	struct sets sets = {.v4 = BUF_INIT, .v6 = BUF_INIT};
	autobuf script = BUF_INIT;
	struct err e = {0};

	unsigned int failed = reach_named(add_allowed, &sets);
	if (sets.v4.len)
		buf_addf(&script, "add element inet berth_%s allowed4 { %s }\n", id,
			sets.v4.data);
	if (sets.v6.len)
		buf_addf(&script, "add element inet berth_%s allowed6 { %s }\n", id,
			sets.v6.data);
	int r = script.len ? nft_run(&script, NULL, &e) : 0;
	if (r < 0)
		log_debug("proxies and indexes: %s", e.text);
	buf_free(&sets.v4);
	buf_free(&sets.v6);
	return r == 0 && failed == 0;
}

/*
 * A resolver that does not answer takes many seconds, and neither a start-up nor the
 * loop may wait for it: a process of its own, with none of our descriptors.
 */
int nft_allow_named_later(const char *id)
{
	pid_t pid = fork();
	sigset_t none;
	int pidfd;

	if (pid == 0) {
		close_range(3, ~0u, 0);
		setsid();
		sigemptyset(&none); /* the caller may block them all */
		sigprocmask(SIG_SETMASK, &none, NULL);
		alarm(NAMED_MAX_S);
		while (!allow_named(id))
			sleep(1);
		_exit(0);
	}
	pidfd = pid < 0 ? -1 : pidfd_open(pid, 0);
	if (pid > 0 && pidfd < 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return pidfd;
}

int nft_remove(const char *id)
{
	char table[NFT_NAME_MAX];
	const char *const argv[] = {"nft", "delete", "table", "inet", table, NULL};
	int r;

	nft_table_name(id, table);
	r = command_run(argv, NULL, 0, NULL);
	if (r < 0)
		log_warn("cannot run nft (%s): the table %s stays", strerror(-r), table);
	return r == 0 ? 0 : -ENOENT;
}

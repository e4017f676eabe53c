/*
 * The packet filter of one berth: one nft table, made whole at start-up. Rules name all
 * its interfaces by prefix and its addresses by range, so that starting a sandbox touches
 * no rule.
 */
#include "lib/log.h"
#include "runtime/command.h"
#include "runtime/inside.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define NAMED_MAX_S 8 /* within the 10 s for which the helper thread looks after it */

struct sets {
	struct buf v4, v6;
};

static void add_allowed(void *arg, int family, const void *addr, unsigned int port)
{
	struct sets *s = arg;
	struct buf *b = family == AF_INET ? &s->v4 : &s->v6;
	char text[INET6_ADDRSTRLEN], tcp[128], udp[128];

	if (!inet_ntop(family, addr, text, sizeof(text)))
		return;
	snprintf(tcp, sizeof(tcp), "%s . tcp . %u", text, port);
	snprintf(udp, sizeof(udp), "%s . udp . %u", text, port);
	if (b->data && strstr(b->data, tcp))
		return; /* nft accepts repeats, people reading it should not have to */
	buf_addf(b, "%s%s", b->len ? ", " : "", tcp);
	if (port == 53)
		buf_addf(b, ", %s", udp);
}

static void add_set(
	struct buf *b, const char *name, const char *type, const struct buf *elements)
{
	buf_addf(b, "\tset %s {\n\t\ttype %s . inet_proto . inet_service\n", name, type);
	if (elements->len)
		buf_addf(b, "\t\telements = { %s }\n", elements->data);
	buf_adds(b, "\t}\n");
}

static const char private_sets[] =
	"\tset private4 {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t\telements = { "
	"0.0.0.0/8, 10.0.0.0/8,\n"
	"\t\t\t100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.0.0.0/24, "
	"192.168.0.0/16,\n"
	"\t\t\t198.18.0.0/15, 224.0.0.0/4, 240.0.0.0/4 }\n\t}\n"
	"\tset private6 {\n\t\ttype ipv6_addr\n\t\tflags interval\n\t\telements = { "
	"::/127, ::ffff:0:0/96,\n"
	"\t\t\t64:ff9b::/96, fc00::/7, fe80::/10, ff00::/8 }\n\t}\n";

/* %1$s is the interfaces' pattern, %2$s our address range. */
static const char chains[] =
	"\tchain source {\n\t\ttype filter hook prerouting priority raw; policy accept;\n"
	"\t\tiifname %1$s fib saddr . iif oif missing drop\n\t}\n"
	"\tchain exceptions {\n"
	"\t\tip daddr . meta l4proto . th dport @allowed4 accept\n"
	"\t\tip6 daddr . meta l4proto . th dport @allowed6 accept\n\t}\n"
	"\tchain deny {\n\t\tmeta l4proto tcp reject with tcp reset\n\t\treject with "
	"icmpx admin-prohibited\n\t}\n"
	"\tchain input {\n\t\ttype filter hook input priority filter - 10; policy "
	"accept;\n"
	"\t\tiifname != %1$s accept\n\t\tjump exceptions\n\t\tgoto deny\n\t}\n"
	"\tchain forward {\n\t\ttype filter hook forward priority filter - 10; policy "
	"accept;\n"
	"\t\tiifname %1$s goto outward\n\t\toifname %1$s goto inward\n\t}\n"
	"\tchain outward {\n\t\toifname %1$s goto deny\n\t\tct state established,related "
	"accept\n"
	"\t\tjump exceptions\n\t\tip daddr @private4 goto deny\n\t\tip6 daddr @private6 "
	"goto deny\n\t\taccept\n\t}\n"
	"\tchain inward {\n\t\tct state established,related accept\n\t\tdrop\n\t}\n"
	/* replies of the name servers and refusals above, nothing that begins here */
	"\tchain output {\n\t\ttype filter hook output priority filter - 10; policy "
	"accept;\n"
	"\t\toifname %1$s ct state new drop\n\t}\n"
	"\tchain outside {\n\t\ttype nat hook postrouting priority srcnat; policy "
	"accept;\n"
	"\t\tip saddr %2$s oifname != %1$s masquerade\n\t}\n";

static int compose(struct buf *b, const char *id, uint32_t addr_base)
{
	struct sets sets = {.v4 = BUF_INIT, .v6 = BUF_INIT};
	char pattern[24], range[32], base[INET_ADDRSTRLEN];
	uint32_t addr = htonl(addr_base);

	reach_servers(add_allowed, &sets);
	inet_ntop(AF_INET, &addr, base, sizeof(base));
	snprintf(pattern, sizeof(pattern), "\"b%s-*\"", id);
	snprintf(range, sizeof(range), "%s/20", base);
	/* In one transaction: at no moment is there no table. The first line makes the
	 * delete succeed. */
	buf_addf(b,
		"add table inet berth_%s\ndelete table inet berth_%s\ntable inet "
		"berth_%s {\n",
		id, id, id);
	add_set(b, "allowed4", "ipv4_addr", &sets.v4);
	add_set(b, "allowed6", "ipv6_addr", &sets.v6);
	buf_adds(b, private_sets);
	buf_addf(b, chains, pattern, range);
	buf_adds(b, "}\n");
	buf_free(&sets.v4);
	buf_free(&sets.v6);
	return b->failed ? -ENOMEM : 0;
}

static void run_script(const struct buf *script)
{
	static const char *const argv[] = {"nft", "-f", "-", NULL};

	if (script->len && !script->failed &&
		command_run(argv, script->data, script->len, NULL) != 0)
		log_debug("nft refused the addresses of proxies and indexes");
}

/* Proxies and package indexes, once their names are resolved. */
static void allow_named(const char *id)
{
	struct sets sets = {.v4 = BUF_INIT, .v6 = BUF_INIT};
	autobuf script = BUF_INIT;

	reach_named(add_allowed, &sets);
	if (sets.v4.len)
		buf_addf(&script, "add element inet berth_%s allowed4 { %s }\n", id,
			sets.v4.data);
	if (sets.v6.len)
		buf_addf(&script, "add element inet berth_%s allowed6 { %s }\n", id,
			sets.v6.data);
	run_script(&script);
	buf_free(&sets.v4);
	buf_free(&sets.v6);
}

/*
 * A resolver that does not answer takes many seconds, and neither a start-up nor the
 * helper thread may wait for it: a process of its own, with none of our descriptors. Its
 * pidfd or -1.
 */
static int allow_named_later(const char *id)
{
	pid_t pid = fork();
	int fd;

	if (pid == 0) {
		close_range(3, ~0u, 0);
		setsid();
		alarm(NAMED_MAX_S);
		allow_named(id);
		_exit(0);
	}
	fd = pid < 0 ? -1 : pidfd_open(pid, 0);
	return fd;
}

int nft_make(const char *id, uint32_t addr_base, int *ret_pidfd, struct err *e)
{
	static const char *const argv[] = {"nft", "-f", "-", NULL};
	autobuf script = BUF_INIT;
	autobuf out = BUF_INIT;
	int r;

	if (compose(&script, id, addr_base) < 0)
		return err_set(e, ENOMEM, "out of memory");
	r = command_run(argv, script.data, script.len, &out);
	if (r == 0) {
		*ret_pidfd = allow_named_later(id);
		return 0;
	}
	if (r == -ENOENT)
		return err_set(e, ENOENT, "the program nft is missing; install nftables");
	return err_set(e, EIO, "nft refused berth's packet filter: %.300s",
		out.data ? out.data : "no reason given");
}

int nft_remove(const char *id)
{
	char table[24];
	const char *const argv[] = {"nft", "delete", "table", "inet", table, NULL};

	snprintf(table, sizeof(table), "berth_%s", id);
	return command_run(argv, NULL, 0, NULL) == 0 ? 0 : -ENOENT;
}

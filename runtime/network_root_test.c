/* What apps reach, by default and by their rules: real sandboxes on a host and in a world
 * of the test's own. */
#include "runtime/network_root_test.h"
#include "lib/addr.h"
#include "runtime/box_test.h"
#include "runtime/netns.h"

#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>

#define REGISTRY "/tmp/berth-network-ranges"
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

static void begin_rules(uint32_t app)
{
	memset(&wish, 0, sizeof(wish));
	wish.app = app;
}

static struct net_rule *rule(uint8_t kind, uint8_t verdict)
{
	struct net_rule *r = &wish.rules[wish.n_rules++];

	r->kind = kind;
	r->verdict = verdict;
	return r;
}

static struct net_rule *range(uint8_t verdict, const char *text)
{
	struct addr a;
	struct net_rule *r;

	assert_int_equal(addr_parse(text, &a), 0);
	r = rule(a.family == AF_INET6 ? NET_ADDRESS6 : NET_ADDRESS4, verdict);
	r->prefix = (uint8_t)a.prefix;
	memcpy(r->addr, a.bytes, sizeof(r->addr));
	return r;
}

static void port(struct net_rule *r, uint16_t first, uint16_t last)
{
	r->first = first;
	r->last = last;
}

static void set_rules(void)
{
	struct err e = {0};
	int r = network_set(w.rt, &wish, &e);

	if (r < 0)
		print_message("network_set: %s\n", e.text);
	assert_int_equal(r, 0);
}

static void no_rules(uint32_t app)
{
	begin_rules(app);
	set_rules();
}

static void lead(uint32_t number, const struct box *a, const struct box *b)
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

static struct box of_app(uint32_t app)
{
	struct box b = box_new();

	b.start.app = app;
	return b;
}

/* What the app gets from there is text, or begins with it. */
static void check(int line, uint32_t app, const char *addr, const char *tcp_port,
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
static void is_there(const char *addr, const char *tcp_port)
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

static void start_server(struct box *b, uint32_t app, const char *addr, const char *text)
{
	*b = of_app(app);
	box_must_start(b, PROBE("serve", addr, "5000", text));
	wait_for_line(b);
}

static void end(struct box *b)
{
	sandbox_kill(w.rt, &b->rec);
	box_end(b);
}

static const char *name4(uint32_t number)
{
	static char text[INET_ADDRSTRLEN];
	uint32_t a = htonl(ADDR_NAMES_BASE + number);

	return inet_ntop(AF_INET, &a, text, sizeof(text));
}

static const char *six_of(uint32_t addr)
{
	static char text[INET6_ADDRSTRLEN];
	unsigned char six[16];

	addr6_of(addr, six);
	return inet_ntop(AF_INET6, six, text, sizeof(text));
}

/* The nft table holds the word. */
static bool table_has(const char *word)
{
	return shell("nft list table inet berth_%s | grep -qF -- '%s'", runtime_id(w.rt),
		       word) == 0;
}

/* ---- IPv6 comes and goes with the host's ---- */

static bool sysctl_is(const char *name, char value)
{
	autobuf b = {.max = 64};
	char path[96];

	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	return io_read_file(AT_FDCWD, path, &b) == 0 && b.data && b.data[0] == value;
}

static void a_host_without_ipv6_gives_none(void **state)
{
	struct box b = box_new();

	(void)state;
	run(&b, "cat", "/proc/net/if_inet6");
	assert_non_null(strstr(b.text, " lo\n"));
	assert_null(strstr(b.text, "eth0"));
	assert_true(sysctl_is("ipv6/conf/all/forwarding", '0'));
	expect(7, PUBLIC6, "80", "Network is unreachable\n");
	expect(7, PUBLIC, "80", "hello 203.0.113.2\n");
}

/* Ready namespaces of before are used up first. */
static void a_route_of_the_host_gives_ipv6(void **state)
{
	struct box b;

	(void)state;
	assert_int_equal(shell("echo 1 >/proc/sys/net/ipv6/conf/up0/accept_ra;"
			       "ip -6 route add default via " PUBLIC6),
		0);
	for (int i = 0; i < 8; i++) {
		b = box_new();
		run(&b, "cat", "/proc/net/if_inet6");
		if (strstr(b.text, "eth0"))
			break;
	}
	assert_non_null(strstr(b.text, "fd62657274680000000000"));
	assert_null(strstr(b.text, "fe80")); /* no address of its own making */
	assert_true(b.rec.flags & SANDBOX_IPV6);
	assert_true(sysctl_is("ipv6/conf/all/forwarding", '1'));
	assert_true(sysctl_is("ipv6/conf/up0/accept_ra", '2'));
}

/* ---- the defaults ---- */

static void the_internet_is_reached_as_the_host(void **state)
{
	struct box b = box_new(), six = box_new();

	(void)state;
	expect(7, PUBLIC, "80", "hello 203.0.113.2\n");
	expect(7, PUBLIC6, "80", "hello 2001:db8:1::2\n");
	run(&b, "udp", PUBLIC, "9999", "by four");
	assert_string_equal(b.text, "by four\n");
	run(&six, "udp", PUBLIC6, "9999", "by six");
	assert_string_equal(six.text, "by six\n");
}

static void private_and_metadata_addresses_are_refused(void **state)
{
	struct box b = box_new();

	(void)state;
	is_refused(7, PRIVATE, "80");
	is_refused(7, METADATA, "80");
	is_refused(7, PRIVATE6, "80");
	run(&b, "udp", PRIVATE, "9999", "word");
	assert_string_equal(b.text, "No route to host\n");
}

/* Something that listens on the host, on every address. */
static pid_t listen_on_host(uint16_t tcp_port)
{
	char text[8];
	pid_t pid = fork();

	if (pid == 0)
		serve_port(tcp_port);
	snprintf(text, sizeof(text), "%u", tcp_port);
	assert_int_equal(shell("for i in $(seq 50); do socat -u OPEN:/dev/null "
			       "TCP:127.0.0.1:%u && exit; sleep 0.1; done; exit 1",
				 tcp_port),
		0);
	return pid;
}

static void the_host_is_reached_by_no_range(void **state)
{
	static const char *const own[] = {
		"203.0.113.2", "192.168.77.2", "2001:db8:1::2", "fd77::2"};
	pid_t pid = listen_on_host(8080);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		is_refused(7, own[i], "8080");
	begin_rules(7);
	range(ALLOW, "203.0.113.2"); /* its exact address is a decision */
	range(ALLOW, "fd77::2");
	range(ALLOW, "0.0.0.0/0");
	range(ALLOW, "::/0");
	rule(NET_INTERNET, ALLOW);
	set_rules();
	reaches(7, own[0], "8080");
	is_refused(7, own[1], "8080");
	is_refused(7, own[2], "8080");
	reaches(7, own[3], "8080");
	begin_rules(7);
	range(NET_ALLOW, own[0]);
	set_rules();
	is_refused(7, own[0], "8080");
	no_rules(7);
	is_refused(7, own[0], "8080");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- rules ---- */

static void a_range_and_a_port_are_allowed_to_one_app(void **state)
{
	struct box b = of_app(7);

	(void)state;
	begin_rules(7);
	port(range(ALLOW, "192.168.77.0/24"), 5432, 5440);
	port(range(ALLOW, PRIVATE6), 443, 443);
	port(range(ALLOW, "192.168.77.1"), 9999, 9999);
	set_rules();
	expect(7, PRIVATE, "5432", "hello 192.168.77.2\n");
	is_refused(7, PRIVATE, "443");
	expect(7, PRIVATE6, "443", "hello fd77::2\n");
	is_refused(7, PRIVATE6, "80");
	reaches(7, PUBLIC, "80");
	run(&b, "udp", PRIVATE, "9999", "word");
	assert_string_equal(b.text, "word\n");
	is_refused(8, PRIVATE, "5432");
	is_refused(8, PRIVATE6, "443");
	wish.rules[2].protocol = IPPROTO_TCP;
	set_rules();
	b = of_app(7);
	run(&b, "udp", PRIVATE, "9999", "word");
	assert_string_equal(b.text, "No route to host\n");
	no_rules(7);
	is_refused(7, PRIVATE, "5432");
	assert_false(table_has("app_7"));
}

static void an_app_may_be_left_without_the_internet(void **state)
{
	struct box b = of_app(7);

	(void)state;
	begin_rules(7);
	port(range(ALLOW, PUBLIC), 443, 443);
	rule(NET_INTERNET, DENY);
	set_rules();
	is_refused(7, PUBLIC, "80");
	is_refused(7, PUBLIC6, "80");
	reaches(7, PUBLIC, "443");
	run(&b, "udp", PUBLIC, "9999", "word");
	assert_string_equal(b.text, "No route to host\n");
	reaches(8, PUBLIC, "80");
	begin_rules(7);
	port(rule(NET_INTERNET, ALLOW), 443, 443);
	rule(NET_INTERNET, DENY);
	set_rules();
	reaches(7, PUBLIC, "443");
	reaches(7, PUBLIC6, "443");
	is_refused(7, PUBLIC, "80");
	is_refused(7, PRIVATE, "443");
	no_rules(7);
}

static void the_first_rule_that_fits_decides(void **state)
{
	(void)state;
	begin_rules(7);
	range(DENY, PRIVATE);
	range(ALLOW, "192.168.0.0/16");
	range(DENY, "203.0.113.0/24");
	set_rules();
	is_refused(7, PRIVATE, "80");
	is_refused(7, PUBLIC, "80");
	begin_rules(7);
	range(ALLOW, PRIVATE);
	range(DENY, "192.168.0.0/16");
	set_rules();
	reaches(7, PRIVATE, "80");
	no_rules(7);
}

static void no_rule_opens_metadata_or_other_sandboxes(void **state)
{
	char addr[INET_ADDRSTRLEN];
	struct box server;
	uint32_t a;

	(void)state;
	start_server(&server, 8, "::", "hello from 8");
	a = htonl(ADDR_BASE + server.rec.net_index);
	inet_ntop(AF_INET, &a, addr, sizeof(addr));
	lead(5, &server, NULL);
	begin_rules(7);
	rule(NET_NAME, ALLOW)->number = 5;
	range(ALLOW, METADATA);
	range(ALLOW, addr);
	range(ALLOW, six_of(ntohl(a)));
	range(ALLOW, "0.0.0.0/0");
	range(ALLOW, "::/0");
	set_rules();
	is_refused(7, METADATA, "80");
	expect(7, addr, "5000", REFUSED);
	expect(7, six_of(ntohl(a)), "5000", REFUSED);
	expect(7, name4(5), "5000", "hello from 8\n"); /* it is there */
	reaches(7, PRIVATE, "80");
	no_rules(7);
	lead(5, NULL, NULL);
	end(&server);
}

static void rules_reach_what_runs_and_connections_that_are_open(void **state)
{
	struct box talker = of_app(7);

	(void)state;
	begin_rules(7);
	range(ALLOW, PRIVATE);
	set_rules();
	box_must_start(&talker, PROBE("talk", PRIVATE, "80"));
	wait_for_line(&talker);
	rule(NET_INTERNET, DENY); /* another rule does not disturb it */
	set_rules();
	usleep(200000);
	assert_int_equal(kill((pid_t)talker.rec.pid, 0), 0);
	no_rules(7);
	box_end(&talker);
	assert_end(&talker, EXIT_REASON_EXITED, 3);
	/* an open connection to the internet, to a sandbox that had no rules */
	talker = of_app(7);
	box_must_start(&talker, PROBE("talk", PUBLIC, "80"));
	wait_for_line(&talker);
	begin_rules(7);
	rule(NET_INTERNET, DENY);
	set_rules();
	box_end(&talker);
	assert_end(&talker, EXIT_REASON_EXITED, 3);
	no_rules(7);
}

static void an_address_takes_no_rules_along_to_its_next_owner(void **state)
{
	struct box b = of_app(7);
	char iface[IFNAMSIZ], element[64];

	(void)state;
	begin_rules(7);
	range(ALLOW, PRIVATE);
	set_rules();
	box_must_start(&b, PROBE("sleep", "60"));
	netpool_iface(runtime_id(w.rt), b.rec.net_index, iface);
	snprintf(element, sizeof(element), "\"%s\" : jump app_7", iface);
	assert_true(table_has(element));
	end(&b);
	assert_false(table_has(iface));
	no_rules(7);
}

static void builds_are_not_asked(void **state)
{
	struct box b = of_app(7);
	char iface[IFNAMSIZ];

	(void)state;
	begin_rules(7);
	rule(NET_INTERNET, DENY);
	set_rules();
	b.start.flags = START_BUILDER;
	box_must_start(&b, PROBE("nothing"));
	netpool_iface(runtime_id(w.rt), b.rec.net_index, iface);
	assert_false(table_has(iface));
	box_end(&b);
	no_rules(7);
}

/* ---- names ---- */

static void a_name_leads_to_its_instances_where_a_rule_allows(void **state)
{
	struct box one, two, other;

	(void)state;
	start_server(&one, 8, "::", "hello from one");
	start_server(&two, 8, "::", "hello from two");
	lead(5, &one, NULL);
	expect(7, name4(5), "5000", REFUSED);
	begin_rules(7);
	port(rule(NET_NAME, ALLOW), 5000, 5000);
	wish.rules[0].number = 5;
	set_rules();
	expect(7, name4(5), "5000", "hello from one\n");
	expect(7, six_of(ADDR_NAMES_BASE + 5), "5000", "hello from one\n");
	expect(7, name4(5), "5001", REFUSED);
	expect(9, name4(5), "5000", REFUSED);
	expect(7, name4(6), "5000", REFUSED);
	/* the next release, while a connection to the first one is open */
	lead(5, &two, NULL);
	expect(7, name4(5), "5000", "hello from two\n");
	end(&two); /* berthd itself takes an instance out that ends */
	expect(7, name4(5), "5000", REFUSED);
	start_server(&other, 9, "::", "hello from a stranger");
	expect(7, name4(5), "5000", REFUSED);
	end(&other);
	end(&one);
	no_rules(7);
	lead(5, NULL, NULL);
	assert_false(table_has(name4(5)));
}

static void calls_are_spread_over_all_instances(void **state)
{
	struct box one, two;
	int ones = 0, twos = 0;

	(void)state;
	start_server(&one, 8, "0.0.0.0", "one");
	start_server(&two, 8, "0.0.0.0", "two");
	lead(5, &one, &two);
	begin_rules(7);
	rule(NET_NAME, ALLOW)->number = 5;
	set_rules();
	for (int i = 0; i < 40 && (!ones || !twos); i++) {
		struct box b = of_app(7);

		run(&b, "ask", name4(5), "5000");
		ones += strcmp(b.text, "one\n") == 0;
		twos += strcmp(b.text, "two\n") == 0;
		assert_int_equal(ones + twos, i + 1);
	}
	assert_true(ones && twos);
	end(&one);
	end(&two);
	lead(5, NULL, NULL);
	no_rules(7);
}

static void hosts_changes_while_a_sandbox_runs(void **state)
{
	static const char line[] = "198.19.240.5 api.internal\n";
	struct box b = of_app(7), other = of_app(8);
	char path[64];
	autobuf text = BUF_INIT;

	(void)state;
	box_must_start(&b, PROBE("sleep", "60"));
	snprintf(path, sizeof(path), "/proc/%u/root/etc/hosts", b.rec.pid);
	begin_rules(7);
	memcpy(wish.hosts, line, sizeof(line) - 1);
	wish.hosts_size = sizeof(line) - 1;
	set_rules();
	assert_int_equal(io_read_file(AT_FDCWD, path, &text), 0);
	assert_non_null(
		strstr(text.data, "127.0.1.1 web.1\n198.19.240.5 api.internal\n"));
	run(&other, "cat", "/etc/hosts");
	assert_null(strstr(other.text, "api.internal"));
	other = of_app(7); /* one that starts has it from the beginning */
	run(&other, "cat", "/etc/hosts");
	assert_non_null(strstr(other.text, line));
	no_rules(7);
	buf_reset(&text);
	assert_int_equal(io_read_file(AT_FDCWD, path, &text), 0);
	assert_null(strstr(text.data, "api.internal"));
	end(&b);
}

/* ---- foreign sources ---- */

struct datagram {
	struct udphdr udp;
	char text[32];
};

static size_t fill_datagram(struct datagram *d, const char *word)
{
	size_t len = sizeof(d->udp) + strlen(word);

	*d = (struct datagram){.udp = {.uh_sport = htons(4444),
				       .uh_dport = htons(9999),
				       .uh_ulen = htons((uint16_t)len)}};
	memcpy(d->text, word, strlen(word));
	return len;
}

static int send4(const char *source, const char *word)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	struct {
		struct iphdr ip;
		struct datagram d;
	} p = {.ip = {.version = 4, .ihl = 5, .ttl = 9, .protocol = IPPROTO_UDP}};
	size_t len = sizeof(p.ip) + fill_datagram(&p.d, word);
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);

	inet_pton(AF_INET, PUBLIC, &to.sin_addr);
	inet_pton(AF_INET, source, &p.ip.saddr);
	p.ip.daddr = to.sin_addr.s_addr;
	p.ip.tot_len = htons((uint16_t)len);
	return sendto(fd, &p, len, 0, (struct sockaddr *)&to, sizeof(to)) == (ssize_t)len
		       ? 0
		       : 2;
}

static uint32_t sum(const void *data, size_t len)
{
	const unsigned char *b = data;
	uint32_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += i % 2 ? b[i] : (uint32_t)b[i] << 8;
	return n;
}

/* IPv6 wants a checksum, over the addresses too (RFC 8200 8.1). */
static int send6(const char *source, const char *word)
{
	struct sockaddr_in6 to = {.sin6_family = AF_INET6};
	struct {
		struct ip6_hdr ip;
		struct datagram d;
	} p = {0};
	size_t len = fill_datagram(&p.d, word);
	int fd = socket(AF_INET6, SOCK_RAW, IPPROTO_RAW);
	uint32_t n;

	inet_pton(AF_INET6, PUBLIC6, &to.sin6_addr);
	inet_pton(AF_INET6, source, &p.ip.ip6_src);
	p.ip.ip6_dst = to.sin6_addr;
	p.ip.ip6_vfc = 0x60;
	p.ip.ip6_hops = 9;
	p.ip.ip6_nxt = IPPROTO_UDP;
	p.ip.ip6_plen = htons((uint16_t)len);
	n = sum(&p.ip.ip6_src, 32) + (uint32_t)len + IPPROTO_UDP + sum(&p.d, len);
	n = (n & 0xffff) + (n >> 16);
	p.d.udp.uh_sum = htons((uint16_t) ~((n & 0xffff) + (n >> 16)));
	len += sizeof(p.ip);
	return sendto(fd, &p, len, 0, (struct sockaddr *)&to, sizeof(to)) == (ssize_t)len
		       ? 0
		       : 2;
}

/* From inside the sandbox's network, as root of the host, which an app never is. */
static void send_in_child(const struct box *b, const char *source, const char *word)
{
	char path[40];
	int status = 1;
	pid_t pid = fork();

	if (pid == 0) {
		snprintf(path, sizeof(path), "/proc/%u/ns/net", b->rec.pid);
		if (setns(open(path, O_RDONLY | O_CLOEXEC), CLONE_NEWNET) < 0)
			_exit(1);
		_exit(strchr(source, ':') ? send6(source, word) : send4(source, word));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static bool hears(const char *word)
{
	char text[512] = "";
	size_t at = 0;
	ssize_t n;

	for (int i = 0; i < 20 && !strstr(text, word); i++) {
		usleep(20000);
		while ((n = read(heard, text + at, sizeof(text) - 1 - at)) > 0)
			at += (size_t)n;
	}
	return strstr(text, word) != NULL;
}

static void foreign_source_addresses_are_dropped(void **state)
{
	static const char *const foreign[] = {"203.0.113.2", "203.0.113.77",
		"198.18.0.200", "192.168.77.1", "127.0.0.1"};
	char own[INET_ADDRSTRLEN];
	struct box b = of_app(7);
	uint32_t a;

	(void)state;
	box_must_start(&b, PROBE("sleep", "60"));
	a = htonl(ADDR_BASE + b.rec.net_index);
	inet_ntop(AF_INET, &a, own, sizeof(own));
	send_in_child(&b, own, "mine");
	assert_true(hears("mine"));
	send_in_child(&b, six_of(ntohl(a)), "mine too");
	assert_true(hears("mine too"));
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
		send_in_child(&b, foreign[i], "foreign");
		assert_false(hears("foreign"));
	}
	end(&b);
}

/* ---- restarts and accidents ---- */

/* Its rules hold at every moment: it tries all the time, and would exit 0. */
static void rules_and_names_outlive_berthd(void **state)
{
	struct box server, b = of_app(7);

	(void)state;
	start_server(&server, 8, "0.0.0.0", "hello from 8");
	lead(5, &server, NULL);
	begin_rules(7);
	rule(NET_NAME, ALLOW)->number = 5;
	range(ALLOW, PRIVATE);
	rule(NET_INTERNET, DENY);
	memcpy(wish.hosts, "#kept\n", 6);
	wish.hosts_size = 6;
	set_rules();
	box_must_start(&b, PROBE("insist", PUBLIC, "80"));
	wait_for_line(&b);
	assert_int_equal(
		shell("cd %s/network && cat app-7 >app-7.new && echo x >name-9", w.dir),
		0); /* what a death in the middle may leave */
	for (int i = 0; i < 3; i++) {
		const struct runtime_config c = {.state = w.state,
			.run = w.dir,
			.lib = "build/bin",
			.registry = w.registry};
		struct err e;

		runtime_close(w.rt);
		assert_int_equal(runtime_open(&c, &w.rt, &e), 0);
		close(b.pidfd);
		close(server.pidfd);
		assert_int_equal(sandbox_adopt(w.rt, &b.rec, &b.pidfd), 0);
		assert_int_equal(sandbox_adopt(w.rt, &server.rec, &server.pidfd), 0);
		assert_int_equal(runtime_network(w.rt, &e), 0);
		runtime_sweep(w.rt);
	}
	expect(7, name4(5), "5000", "hello from 8\n");
	reaches(7, PRIVATE, "80");
	is_refused(7, PUBLIC, "80");
	assert_int_equal(sandbox_signal(w.rt, &b.rec, SIGTERM), 0);
	box_end(&b);
	assert_end(&b, EXIT_REASON_SIGNALED, SIGTERM);
	no_rules(7); /* the adopted one's hosts file was found, too */
	end(&server);
	lead(5, NULL, NULL);
}

static void an_emptied_filter_is_made_anew(void **state)
{
	struct box server;

	(void)state;
	start_server(&server, 8, "0.0.0.0", "hello from 8");
	begin_rules(7);
	rule(NET_NAME, ALLOW)->number = 5;
	rule(NET_INTERNET, DENY);
	set_rules();
	assert_int_equal(shell("nft flush ruleset"), 0);
	lead(5, &server, NULL);
	expect(7, name4(5), "5000", "hello from 8\n");
	assert_int_equal(shell("nft flush ruleset"), 0);
	is_refused(7, PUBLIC, "80");
	assert_int_equal(shell("nft flush ruleset"), 0);
	no_rules(7);
	is_refused(7, PRIVATE, "80");
	reaches(7, PUBLIC, "80");
	end(&server);
	lead(5, NULL, NULL);
}

/* The table's handle, which another one of the same name would not have. */
#define HANDLE "nft -a list tables | grep berth_%s"

/* As `systemctl reload nftables` does it. */
static void a_filter_that_others_removed_is_back_at_once(void **state)
{
	struct pollfd p = {.fd = runtime_network_fd(w.rt), .events = POLLIN};

	(void)state;
	begin_rules(7);
	rule(NET_INTERNET, DENY);
	set_rules();
	runtime_network_check(w.rt);
	assert_int_equal(shell(HANDLE ">%s/handle; nft add table inet other",
				 runtime_id(w.rt), w.dir),
		0);
	assert_int_equal(poll(&p, 1, 1000), 1);
	runtime_network_check(w.rt);
	assert_int_equal(shell("[ \"$(" HANDLE ")\" = \"$(cat %s/handle)\" ]",
				 runtime_id(w.rt), w.dir),
		0);
	assert_int_equal(shell("nft flush ruleset"), 0);
	assert_int_equal(poll(&p, 1, 1000), 1);
	runtime_network_check(w.rt);
	is_refused(7, PUBLIC, "80");
	is_refused(8, PRIVATE, "80");
	reaches(8, PUBLIC, "80");
	no_rules(7);
}

/* What goes to stderr while the filter is made. */
static void make_filter(char *text, size_t size)
{
	int ends[2], saved = dup(STDERR_FILENO);
	ssize_t n;
	struct err e;

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	dup2(ends[1], STDERR_FILENO);
	assert_int_equal(runtime_network(w.rt, &e), 0);
	dup2(saved, STDERR_FILENO);
	n = read(ends[0], text, size - 1);
	text[n > 0 ? n : 0] = '\0';
	close(saved);
	close(ends[0]);
	close(ends[1]);
}

static void a_firewall_that_drops_what_is_forwarded_is_told(void **state)
{
	const struct runtime_config c = {.state = w.state,
		.run = w.dir,
		.lib = "build/bin",
		.registry = w.registry};
	char text[1024];
	struct err e;
	struct box b = of_app(7);

	(void)state;
	assert_int_equal(
		shell("nft add table ip firewall; nft add chain ip firewall f '{ "
		      "type filter hook forward priority 0; policy drop; }'"),
		0);
	runtime_close(w.rt);
	assert_int_equal(runtime_open(&c, &w.rt, &e), 0);
	make_filter(text, sizeof(text));
	assert_non_null(strstr(text, "(table ip firewall) drops what is forwarded"));
	run(&b, "ask", PUBLIC, "80");
	assert_null(strstr(b.text, "hello"));
	assert_int_equal(shell("nft delete table ip firewall"), 0);
	runtime_close(w.rt);
	assert_int_equal(runtime_open(&c, &w.rt, &e), 0);
	make_filter(text, sizeof(text));
	assert_null(strstr(text, "drops"));
	reaches(7, PUBLIC, "80");
}

static void messages_out_of_range_are_refused(void **state)
{
	struct err e;

	(void)state;
	begin_rules(7);
	rule(NET_NAME, ALLOW); /* number 0 */
	assert_int_equal(network_set(w.rt, &wish, &e), -EINVAL);
	assert_false(table_has("app_7"));
}

static void everything_goes_with_berth(void **state)
{
	char path[120];
	struct err e = {0};

	(void)state;
	assert_int_equal(runtime_remove(w.rt, &e), 0);
	runtime_close(w.rt);
	w.rt = NULL;
	assert_true(sysctl_is("ipv4/ip_forward", '0'));
	assert_true(sysctl_is("ipv6/conf/all/forwarding", '0'));
	assert_true(sysctl_is("ipv6/conf/up0/accept_ra", '1'));
	snprintf(path, sizeof(path), "%s/names", w.dir);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(access(w.registry, F_OK), -1);
	assert_int_not_equal(shell("nft list tables | grep -q ."), 0);
}

static int set_up_all(void **state)
{
	static char registry[80];

	if (make_host() < 0) {
		print_message("cannot make the test's own network\n");
		return -1;
	}
	w.registry = registry;
	snprintf(registry, sizeof(registry), REGISTRY ".%d", (int)getpid());
	return set_up(state);
}

static int tear_down_all(void **state)
{
	end_host();
	return tear_down(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_without_ipv6_gives_none),
		cmocka_unit_test(a_route_of_the_host_gives_ipv6),
		cmocka_unit_test(the_internet_is_reached_as_the_host),
		cmocka_unit_test(private_and_metadata_addresses_are_refused),
		cmocka_unit_test(the_host_is_reached_by_no_range),
		cmocka_unit_test(a_range_and_a_port_are_allowed_to_one_app),
		cmocka_unit_test(an_app_may_be_left_without_the_internet),
		cmocka_unit_test(the_first_rule_that_fits_decides),
		cmocka_unit_test(no_rule_opens_metadata_or_other_sandboxes),
		cmocka_unit_test(rules_reach_what_runs_and_connections_that_are_open),
		cmocka_unit_test(an_address_takes_no_rules_along_to_its_next_owner),
		cmocka_unit_test(builds_are_not_asked),
		cmocka_unit_test(a_name_leads_to_its_instances_where_a_rule_allows),
		cmocka_unit_test(calls_are_spread_over_all_instances),
		cmocka_unit_test(hosts_changes_while_a_sandbox_runs),
		cmocka_unit_test(foreign_source_addresses_are_dropped),
		cmocka_unit_test(rules_and_names_outlive_berthd),
		cmocka_unit_test(an_emptied_filter_is_made_anew),
		cmocka_unit_test(a_filter_that_others_removed_is_back_at_once),
		cmocka_unit_test(a_firewall_that_drops_what_is_forwarded_is_told),
		cmocka_unit_test(messages_out_of_range_are_refused),
		cmocka_unit_test(everything_goes_with_berth),
	};

	if (geteuid() != 0) {
		print_message("skipped: sandboxes need root\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}

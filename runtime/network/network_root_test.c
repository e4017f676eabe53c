/* What apps reach by default: real sandboxes on a host and in a world of the test's own. */
#include "runtime/network/network_test.h"
#include "runtime/network/nft.h"

#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <sys/mount.h>

#define WAIT_MS 10000

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
	assert_int_equal(
		shell("echo 1 >/proc/sys/net/ipv6/conf/up0/accept_ra;" SIX_ROUTE), 0);
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

static bool has_ipv6(void *arg UNUSED)
{
	return true;
}

static bool limit_namespaces(unsigned int n)
{
	return shell("echo %u >/proc/sys/user/max_net_namespaces", n) == 0;
}

static bool map_root(void)
{
	int fd autoclose = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);

	return fd >= 0 && io_write_all(fd, "0 0 1", 5) == 0;
}

/* A pool in a user namespace of its own, whose network namespaces are counted apart. */
static int run_short_of_namespaces(void)
{
	struct netpool_config c = {
		.id = "12345678", .addr_base = ADDR_BASE, .n = 64, .ipv6 = has_ipv6};
	struct netpool_place place = {0};
	struct netpool *p;
	struct err e = {0};
	int tries = 0;

	if (unshare(CLONE_NEWUSER) < 0 || !map_root() || unshare(CLONE_NEWNET) < 0 ||
		!limit_namespaces(1))
		return 2;
	if (netpool_open(&c, &p, &e) < 0 || netpool_take(p, &place, &e) != -ENOSPC)
		return 3;
	if (!limit_namespaces(100))
		return 4;
	while (tries < 100 && netpool_take(p, &place, &e) < 0)
		tries++;
	return !place.ipv6;
}

static void a_want_of_namespaces_takes_no_ipv6_away(void **state)
{
	int status = -1;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(run_short_of_namespaces());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
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

/* A table beside berth's for a host with these resolvers, made in a child. */
static int make_table_with(const char *resolv_conf)
{
	int status = 1;
	pid_t pid = fork();

	if (pid == 0) {
		autobuf script = BUF_INIT;
		struct err e;

		if (unshare(CLONE_NEWNS) < 0 ||
			mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
			shell("printf '%s' >%s/resolv; mount --bind %s/resolv "
			      "/etc/resolv.conf",
				resolv_conf, w.dir, w.dir) != 0)
			_exit(1);
		nft_add_table(&script, "12345678", ADDR_BASE);
		_exit(nft_run(&script, NULL, &e) < 0 ? 2 : 0);
	}
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

static void every_resolver_of_the_host_is_an_exception(void **state)
{
	(void)state;
	assert_int_equal(make_table_with("nameserver 110.0.0.2\\n"
					 "nameserver 10.0.0.2\\n"
					 "nameserver 10.0.0.2\\n"
					 "nameserver fd77::53:1\\n"
					 "nameserver fd77::53\\n"),
		0);
	assert_int_equal(
		shell("nft list table inet berth_12345678 >%s/table;"
		      "for e in 110.0.0.2 10.0.0.2 fd77::53:1 fd77::53; do for p in "
		      "tcp udp; do grep -q \"[^0-9]$e . $p . 53\" %s/table; done; done",
			w.dir, w.dir),
		0);
	assert_int_equal(nft_remove("12345678"), 0);
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

/* One datagram from the sandbox's network to port 9998. */
static void send_from(const struct box *b, const char *addr)
{
	char path[40];
	int status = 1;
	pid_t pid = fork();

	if (pid == 0) {
		struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(9998)};
		struct sockaddr_in6 a6 = {
			.sin6_family = AF_INET6, .sin6_port = htons(9998)};
		bool four = inet_pton(AF_INET, addr, &a4.sin_addr) == 1;

		snprintf(path, sizeof(path), "/proc/%u/ns/net", b->rec.pid);
		if (setns(open(path, O_RDONLY | O_CLOEXEC), CLONE_NEWNET) < 0 ||
			(!four && inet_pton(AF_INET6, addr, &a6.sin6_addr) != 1))
			_exit(1);
		int fd = socket(four ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
		const void *to = four ? (void *)&a4 : (void *)&a6;
		ssize_t n = sendto(
			fd, addr, strlen(addr), 0, to, four ? sizeof(a4) : sizeof(a6));
		_exit(n == (ssize_t)strlen(addr) ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Broadcast, and every router's own: the kernel takes what goes there for the host's. */
static void the_host_is_reached_by_no_address_of_many(void **state)
{
	static const char *const many[] = {
		"203.0.113.255", "192.168.77.255", "2001:db8:1::", "fd77::"};
	int host autoclose = listen_on(SOCK_DGRAM, 9998);
	struct box b = of_app(7);
	char text[64];

	(void)state;
	begin_rules(7);
	range(ALLOW, "203.0.113.2");
	range(ALLOW, "192.168.77.255");
	range(ALLOW, "0.0.0.0/0");
	range(ALLOW, "::/0");
	rule(NET_INTERNET, ALLOW);
	set_rules();
	box_must_start(&b, PROBE("sleep", "60"));
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		send_from(&b, many[i]);
	send_from(&b, "203.0.113.2"); /* the first that is heard */
	assert_int_equal(
		poll(&(struct pollfd){.fd = host, .events = POLLIN}, 1, WAIT_MS), 1);
	ssize_t n = recv(host, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	assert_string_equal(text, "203.0.113.2");
	end(&b);
	no_rules(7);
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

static bool hears(const char *word, int tries)
{
	char text[512] = "";
	size_t at = 0;
	ssize_t n;

	for (int i = 0; i < tries && !strstr(text, word); i++) {
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
	assert_true(hears("mine", 500));
	send_in_child(&b, six_of(ntohl(a)), "mine too");
	assert_true(hears("mine too", 500));
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
		send_in_child(&b, foreign[i], "foreign");
		assert_false(hears("foreign", 20));
	}
	end(&b);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_without_ipv6_gives_none),
		cmocka_unit_test(a_route_of_the_host_gives_ipv6),
		cmocka_unit_test(a_want_of_namespaces_takes_no_ipv6_away),
		cmocka_unit_test(the_internet_is_reached_as_the_host),
		cmocka_unit_test(private_and_metadata_addresses_are_refused),
		cmocka_unit_test(every_resolver_of_the_host_is_an_exception),
		cmocka_unit_test(the_host_is_reached_by_no_range),
		cmocka_unit_test(the_host_is_reached_by_no_address_of_many),
		cmocka_unit_test(foreign_source_addresses_are_dropped),
		cmocka_unit_test(everything_goes_with_berth),
	};

	return run_as_root(tests, set_up_without_six, tear_down_host);
}

/* What apps reach by their rules and by names: real sandboxes on a host and in a world of
 * the test's own. */
#include "runtime/network/network.h"
#include "runtime/network/network_test.h"

#include <sys/resource.h>

#include "runtime/inside.h"

#include <sys/pidfd.h>

#define STRANGERS (NETPOOL_READY + 4) /* those that have other addresses come first */

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

/* Which chain what a build, or an instance, sends goes through; "" none. */
static void goes_through(uint32_t flags, const char *chain)
{
	struct box b = of_app(7);
	char iface[IFNAMSIZ], element[64];

	b.start.flags = flags;
	box_must_start(&b, PROBE("nothing"));
	netpool_iface(runtime_id(w.rt), b.rec.net_index, iface);
	snprintf(element, sizeof(element), "\"%s\" : jump %s", iface, chain);
	assert_int_equal(table_has(*chain ? element : iface), *chain != '\0');
	box_end(&b);
	assert_false(table_has(iface));
}

static void builds_have_rules_of_their_own(void **state)
{
	(void)state;
	begin_rules(7);
	rule(NET_INTERNET, DENY);
	set_rules();
	goes_through(START_BUILDER, "");
	wish.whose = NET_BUILDS;
	rule(NET_SERVERS, ALLOW);
	wish.rules[1].verdict = NET_ALLOW;
	set_rules();
	no_rules(7);
	goes_through(START_BUILDER, "build_7");
	goes_through(0, "");
	wish.whose = NET_BUILDS;
	set_rules();
	goes_through(START_BUILDER, "");
	assert_false(table_has("build_7"));
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

/* ---- addresses of those that ended ---- */

static bool held[ADDR_BLOCK];

static bool is_live(uint32_t index)
{
	for (const struct live *l = w.rt->live; l; l = l->next)
		if (l->rec.net_index == index)
			return true;
	return false;
}

static void hold_all_but(uint32_t index)
{
	for (uint32_t i = 1; i < ADDR_BLOCK - 1; i++) {
		held[i] = i != index && !is_live(i);
		if (held[i])
			netpool_reserve(w.rt->pool, i);
	}
}

static void let_go(void)
{
	for (uint32_t i = 1; i < ADDR_BLOCK - 1; i++)
		if (held[i] && !is_live(i))
			netpool_release(w.rt->pool, i);
	memset(held, 0, sizeof(held));
}

static void start_hearer(struct box *b, uint32_t app, const char *word)
{
	*b = of_app(app);
	box_must_start(b, PROBE(word, "9999"));
	wait_for_line(b);
}

static void say_to(struct box *b, const char *addr)
{
	*b = of_app(7);
	box_must_start(b, PROBE("say", addr, "9999"));
	wait_for_line(b);
}

/* Instances of app 9 until one has the address, which is the last; how many. */
static int start_strangers(struct box b[STRANGERS], uint32_t index)
{
	int n = 0;

	hold_all_but(index);
	do {
		assert_true(n < STRANGERS);
		start_hearer(&b[n], 9, "hear");
	} while (b[n++].rec.net_index != index);
	return n;
}

static void end_strangers(struct box *b, int n)
{
	let_go();
	while (n)
		end(&b[--n]);
}

static bool has_more(const struct box *b)
{
	struct pollfd p = {.fd = b->output[0], .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* It sent several more from now on. */
static void goes_on(const struct box *b)
{
	while (has_more(b))
		wait_for_line(b);
	for (int i = 0; i < 20; i++)
		wait_for_line(b);
}

/* What leaves to this port by the uplink is counted. */
static void begin_count(void)
{
	assert_int_equal(shell("nft 'add table inet left; add chain inet left out { type "
			       "filter hook postrouting priority 0; }; add rule inet "
			       "left out oifname up0 udp dport 9999 counter'"),
		0);
}

static void nothing_left(void)
{
	assert_int_equal(shell("nft list table inet left | grep -q 'packets 0 '"), 0);
	assert_int_equal(shell("nft delete table inet left"), 0);
}

static void goes_to_nobody_else(const char *addr)
{
	struct box one, two, talker, strangers[STRANGERS];
	int n;

	start_hearer(&one, 8, "hear");
	start_hearer(&two, 8, "hear");
	lead(5, &one, NULL);
	begin_count();
	say_to(&talker, addr);
	wait_for_line(&one);
	lead(5, &two, NULL);
	assert_false(has_more(&two)); /* goes on where it is */
	end(&one);
	wait_for_line(&two);
	end(&two);
	goes_on(&talker);
	n = start_strangers(strangers, two.rec.net_index);
	goes_on(&talker);
	assert_false(has_more(&strangers[n - 1]));
	nothing_left();
	lead(5, &strangers[n - 1], NULL); /* it would hear it */
	wait_for_line(&strangers[n - 1]);
	end_strangers(strangers, n);
	end(&talker);
}

static void what_goes_to_a_name_goes_to_nobody_else_when_its_instance_ended(void **state)
{
	(void)state;
	begin_rules(7);
	rule(NET_NAME, ALLOW)->number = 5;
	set_rules();
	goes_to_nobody_else(name4(5));
	goes_to_nobody_else(six_of(ADDR_NAMES_BASE + 5));
	no_rules(7);
	lead(5, NULL, NULL);
}

static void nor_when_it_ended_while_no_berthd_ran(void **state)
{
	struct box server, talker, strangers[STRANGERS];
	struct err e;
	int n;

	(void)state;
	begin_rules(7);
	rule(NET_NAME, ALLOW)->number = 5;
	set_rules();
	start_hearer(&server, 8, "hear");
	lead(5, &server, NULL);
	say_to(&talker, name4(5));
	wait_for_line(&server);
	runtime_close(w.rt);
	assert_int_equal(pidfd_send_signal(server.pidfd, SIGKILL, NULL, 0), 0);
	assert_int_equal(open_world(&e), 0);
	box_end(&server);
	close(talker.pidfd);
	assert_int_equal(sandbox_adopt(w.rt, &talker.rec, &talker.pidfd), 0);
	assert_int_equal(runtime_network(w.rt, &e), 0);
	runtime_sweep(w.rt);
	n = start_strangers(strangers, server.rec.net_index);
	goes_on(&talker);
	assert_false(has_more(&strangers[n - 1]));
	end_strangers(strangers, n);
	end(&talker);
	no_rules(7);
	lead(5, NULL, NULL);
}

static void answers_come_to_nobody_else(const char *addr)
{
	struct box server, client, strangers[STRANGERS];
	int n;

	start_hearer(&server, 8, "answer");
	lead(5, &server, NULL);
	say_to(&client, addr);
	wait_for_line(&server);
	begin_count();
	end(&client);
	goes_on(&server);
	n = start_strangers(strangers, client.rec.net_index);
	goes_on(&server);
	assert_false(has_more(&strangers[n - 1]));
	nothing_left();
	lead(5, &strangers[n - 1], NULL);
	let_go();
	say_to(&client, addr);
	wait_for_line(&strangers[n - 1]);
	end(&client);
	end_strangers(strangers, n);
	end(&server);
}

static void answers_of_a_name_come_to_nobody_else_when_who_asked_ended(void **state)
{
	(void)state;
	begin_rules(7);
	rule(NET_NAME, ALLOW)->number = 5;
	set_rules();
	answers_come_to_nobody_else(name4(5));
	answers_come_to_nobody_else(six_of(ADDR_NAMES_BASE + 5));
	no_rules(7);
	lead(5, NULL, NULL);
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

/* So many more descriptors can be opened: the lowest ones. */
static struct rlimit leave_descriptors(int n)
{
	struct rlimit before, now;
	int fds[8], last = 0;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (int i = 0; i < n; i++)
		last = fds[i] = dup(0);
	for (int i = 0; i < n; i++)
		close(fds[i]);
	now = before;
	now.rlim_cur = (rlim_t)last + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	return before;
}

static void kept_rules_that_cannot_be_read_now_stay(void **state)
{
	static const char line[] = "192.0.2.1 db.example.com\n";
	struct network *n;
	struct rlimit before;
	char path[PATH_MAX + 32];
	struct err e = {0};
	size_t len;

	(void)state;
	begin_rules(7);
	wish.whose = NET_BUILDS;
	rule(NET_INTERNET, DENY);
	memcpy(wish.hosts, line, sizeof(line) - 1);
	wish.hosts_size = sizeof(line) - 1;
	set_rules();
	snprintf(path, sizeof(path), "%s/network/build-7", w.rt->run);
	before = leave_descriptors(2); /* the folder, twice */
	assert_int_equal(network_open(w.rt, &n, &e), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	network_close(n);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(shell("echo nonsense >%s/network/app-9", w.rt->run), 0);
	assert_int_equal(network_open(w.rt, &n, &e), 0);
	assert_string_equal(
		network_hosts(n, network_whose(7, START_BUILDER), &len), line);
	network_close(n);
	snprintf(path, sizeof(path), "%s/network/app-9", w.rt->run);
	assert_int_equal(access(path, F_OK), -1);
	begin_rules(7);
	wish.whose = NET_BUILDS;
	set_rules();
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_and_a_port_are_allowed_to_one_app),
		cmocka_unit_test(an_app_may_be_left_without_the_internet),
		cmocka_unit_test(the_first_rule_that_fits_decides),
		cmocka_unit_test(no_rule_opens_metadata_or_other_sandboxes),
		cmocka_unit_test(rules_reach_what_runs_and_connections_that_are_open),
		cmocka_unit_test(an_address_takes_no_rules_along_to_its_next_owner),
		cmocka_unit_test(builds_have_rules_of_their_own),
		cmocka_unit_test(a_name_leads_to_its_instances_where_a_rule_allows),
		cmocka_unit_test(calls_are_spread_over_all_instances),
		cmocka_unit_test(
			what_goes_to_a_name_goes_to_nobody_else_when_its_instance_ended),
		cmocka_unit_test(nor_when_it_ended_while_no_berthd_ran),
		cmocka_unit_test(
			answers_of_a_name_come_to_nobody_else_when_who_asked_ended),
		cmocka_unit_test(hosts_changes_while_a_sandbox_runs),
		cmocka_unit_test(kept_rules_that_cannot_be_read_now_stay),
		cmocka_unit_test(messages_out_of_range_are_refused),
	};

	return run_as_root(tests, set_up_host, tear_down_host);
}

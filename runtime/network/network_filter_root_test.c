/* Rules, names and the filter itself through restarts of berthd and what others do to the
 * packet filter: real sandboxes on a host and in a world of the test's own. */
#include "runtime/network/network_test.h"

#include "runtime/inside.h"
#include "runtime/network/nft.h"

#include <linux/netlink.h>
#include <sys/pidfd.h>

#define WAIT_MS 20000

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
		struct err e;

		runtime_close(w.rt);
		assert_int_equal(open_world(&e), 0);
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

/* A table of the same name, and not as berth left it: one transaction. */
static void a_filter_that_others_replaced_is_back_at_once(void **state)
{
	struct pollfd p = {.fd = runtime_network_fd(w.rt), .events = POLLIN};

	(void)state;
	begin_rules(7);
	range(ALLOW, PRIVATE);
	set_rules();
	assert_int_equal(
		shell("(echo flush ruleset; nft list ruleset) >%s/rules", w.dir), 0);
	begin_rules(7);
	rule(NET_INTERNET, DENY);
	set_rules();
	runtime_network_check(w.rt);
	assert_int_equal(shell("nft -f %s/rules", w.dir), 0);
	reaches(7, PRIVATE, "80");
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	runtime_network_check(w.rt);
	is_refused(7, PRIVATE, "80");
	is_refused(7, PUBLIC, "80");
	no_rules(7);
}

/* ---- while it cannot be made ---- */

static char path_before[4096];

/* Programs are looked for in a folder of w.dir, then where they were if rest. */
static void set_path(const char *folder, bool rest)
{
	char path[4200];

	snprintf(path_before, sizeof(path_before), "%s", getenv("PATH"));
	snprintf(path, sizeof(path), "%s/%s%s%s", w.dir, folder, rest ? ":" : "",
		rest ? path_before : "");
	assert_int_equal(setenv("PATH", path, 1), 0);
}

static void reset_path(void)
{
	assert_int_equal(setenv("PATH", path_before, 1), 0);
}

static void lose_nft(void)
{
	set_path("none", false);
}

/* As berthd's loop does it, until the table has the word, or has it no more. */
static void table_gets(const char *word, bool there)
{
	struct pollfd p = {.fd = runtime_network_fd(w.rt), .events = POLLIN};

	while (table_has(word) != there) {
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		runtime_network_check(w.rt);
	}
}

static void jump_of(const struct box *b, char element[64])
{
	char iface[IFNAMSIZ];

	netpool_iface(runtime_id(w.rt), b->rec.net_index, iface);
	snprintf(element, 64, "\"%s\" : jump app_%u", iface, b->start.app);
}

static void a_repair_that_failed_is_tried_again(void **state)
{
	struct box b = of_app(8);

	(void)state;
	assert_int_equal(shell("nft flush ruleset"), 0);
	lose_nft();
	runtime_network_check(w.rt);
	assert_int_not_equal(box_start(&b, PROBE("nothing")), 0);
	reset_path();
	assert_false(table_has("chain forward"));
	table_gets("chain forward", true);
	is_refused(8, PRIVATE, "80");
	reaches(8, PUBLIC, "80");
}

static void no_start_comes_before_a_repair(void **state)
{
	(void)state;
	assert_int_equal(shell("nft flush ruleset"), 0);
	lose_nft();
	runtime_network_check(w.rt);
	reset_path();
	is_refused(8, PRIVATE, "80");
	assert_true(table_has("chain forward"));
}

static void rules_that_failed_are_whole_when_set_again(void **state)
{
	struct box b = of_app(7);
	struct err e;
	char element[64];

	(void)state;
	box_must_start(&b, PROBE("sleep", "60"));
	jump_of(&b, element);
	begin_rules(7);
	rule(NET_INTERNET, DENY);
	lose_nft();
	for (int i = 0; i < 2; i++)
		assert_true(network_set(w.rt, &wish, &e) < 0);
	reset_path();
	set_rules();
	assert_true(table_has(element));
	no_rules(7);
	end(&b);
}

static void rules_that_could_not_go_stay_with_no_address(void **state)
{
	struct box b = of_app(7);
	struct err e;
	char element[64];

	(void)state;
	begin_rules(7);
	range(ALLOW, PRIVATE);
	set_rules();
	box_must_start(&b, PROBE("sleep", "60"));
	jump_of(&b, element);
	begin_rules(7);
	lose_nft();
	assert_true(network_set(w.rt, &wish, &e) < 0);
	reset_path();
	end(&b);
	is_refused(8, PRIVATE, "80");
	assert_false(table_has(element));
	no_rules(7);
}

static void a_name_that_failed_fails_again_until_it_leads(void **state)
{
	struct msg_name m = {.number = 5, .n = 1};
	struct box server;
	struct err e;

	(void)state;
	start_server(&server, 8, "0.0.0.0", "hello from 8");
	m.ids[0] = server.start.id;
	begin_rules(7);
	rule(NET_NAME, ALLOW)->number = 5;
	set_rules();
	assert_int_equal(shell("nft flush ruleset"), 0);
	lose_nft();
	for (int i = 0; i < 2; i++)
		assert_true(network_name(w.rt, &m, &e) < 0);
	reset_path();
	assert_int_equal(network_name(w.rt, &m, &e), 0);
	expect(7, name4(5), "5000", "hello from 8\n");
	end(&server);
	lead(5, NULL, NULL);
	no_rules(7);
}

/* The one that changes are sent by: it blocks. */
static int find_netlink(void)
{
	for (int fd = 3; fd < 1024; fd++) {
		int protocol = 0;
		socklen_t len = sizeof(protocol);

		if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 &&
			protocol == NETLINK_NETFILTER &&
			!(fcntl(fd, F_GETFL) & O_NONBLOCK))
			return fd;
	}
	fail_msg("no socket to the packet filter");
	return -1;
}

static void an_address_that_could_not_be_freed_is_free_later(void **state)
{
	int nl = find_netlink(), saved autoclose = fcntl(nl, F_DUPFD_CLOEXEC, 3),
	    other autoclose = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct box b = of_app(7);
	char element[64];

	(void)state;
	begin_rules(7);
	range(ALLOW, PRIVATE);
	set_rules();
	box_must_start(&b, PROBE("sleep", "60"));
	jump_of(&b, element);
	assert_true(dup3(other, nl, O_CLOEXEC) == nl);
	lose_nft();
	end(&b);
	reset_path();
	assert_true(dup3(saved, nl, O_CLOEXEC) == nl);
	table_gets(element, false);
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
	char text[1024];
	struct err e;
	struct box b = of_app(7);

	(void)state;
	assert_int_equal(
		shell("nft add table ip firewall; nft add chain ip firewall f '{ "
		      "type filter hook forward priority 0; policy drop; }'"),
		0);
	runtime_close(w.rt);
	assert_int_equal(open_world(&e), 0);
	make_filter(text, sizeof(text));
	assert_non_null(strstr(text, "(table ip firewall) drops what is forwarded"));
	run(&b, "ask", PUBLIC, "80");
	assert_null(strstr(b.text, "hello"));
	assert_int_equal(shell("nft delete table ip firewall"), 0);
	runtime_close(w.rt);
	assert_int_equal(open_world(&e), 0);
	make_filter(text, sizeof(text));
	assert_null(strstr(text, "drops"));
	reaches(7, PUBLIC, "80");
}

/* ---- names of proxies and indexes ---- */

/* What it asks does not answer, as a resolver may not: a program, while its caller lives. */
static void begin_silence(void)
{
	assert_int_equal(
		shell("mkdir -p %s/silent; cd %s/silent;"
		      "echo '#!/bin/sh' >apt-config; chmod 755 apt-config;"
		      "echo 'while kill -0 $PPID; do sleep 0.05; done' >>apt-config",
			w.dir, w.dir),
		0);
	set_path("silent", true);
}

/* Started on a thread that blocks all signals. */
static void who_resolves_names_ends_by_its_alarm(void **state)
{
	sigset_t all, before;
	siginfo_t info = {0};

	(void)state;
	begin_silence();
	sigfillset(&all);
	assert_int_equal(sigprocmask(SIG_SETMASK, &all, &before), 0);
	int namer autoclose = nft_allow_named_later(runtime_id(w.rt));
	assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
	reset_path();
	assert_true(namer >= 0);
	assert_int_equal(pidfd_send_signal(namer, SIGALRM, NULL, 0), 0);
	if (poll(&(struct pollfd){.fd = namer, .events = POLLIN}, 1, WAIT_MS) == 0)
		assert_int_equal(pidfd_send_signal(namer, SIGKILL, NULL, 0), 0);
	assert_int_equal(waitid(P_PIDFD, (id_t)namer, &info, WEXITED), 0);
	assert_int_equal(info.si_code, CLD_KILLED);
	assert_int_equal(info.si_status, SIGALRM);
}

/* The child with a session of its own that is this program still. */
static pid_t find_namer(void)
{
	autobuf children = {.max = 4096};
	char path[64], exe[PATH_MAX] = "", own[PATH_MAX] = "", *end;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	assert_int_equal(io_read_file(AT_FDCWD, path, &children), 0);
	assert_true(readlink("/proc/self/exe", own, sizeof(own) - 1) > 0);
	for (char *at = children.data; at && *at; at = end + strspn(end, " ")) {
		pid_t pid = (pid_t)strtol(at, &end, 10);

		snprintf(path, sizeof(path), "/proc/%d/exe", pid);
		if (getsid(pid) == pid && readlink(path, exe, sizeof(exe) - 1) > 0 &&
			strcmp(exe, own) == 0)
			return pid;
	}
	return 0;
}

/* Else each name of the machine's own takes seconds. */
static void refuse_questions(void)
{
	assert_int_equal(
		shell("for a in $(sed -n 's/^nameserver *//p' /etc/resolv.conf); "
		      "do ip address add $a dev lo || true; done"),
		0);
}

static void names_that_failed_are_resolved_later(void **state)
{
	struct err e;
	pid_t namer;

	(void)state;
	refuse_questions();
	runtime_close(w.rt);
	assert_int_equal(open_world(&e), 0);
	begin_silence();
	assert_int_equal(runtime_network(w.rt, &e), 0);
	reset_path();
	for (int ms = 0; !(namer = find_namer()); ms += 5) {
		assert_true(ms < WAIT_MS);
		usleep(5000);
	}
	assert_int_equal(kill(namer, SIGALRM), 0);
	assert_int_equal(setenv("PIP_INDEX_URL", "http://192.168.77.1:3141/", 1), 0);
	table_gets("192.168.77.1 . tcp . 3141", true);
	assert_int_equal(unsetenv("PIP_INDEX_URL"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_and_names_outlive_berthd),
		cmocka_unit_test(an_emptied_filter_is_made_anew),
		cmocka_unit_test(a_filter_that_others_removed_is_back_at_once),
		cmocka_unit_test(a_filter_that_others_replaced_is_back_at_once),
		cmocka_unit_test(a_repair_that_failed_is_tried_again),
		cmocka_unit_test(no_start_comes_before_a_repair),
		cmocka_unit_test(rules_that_failed_are_whole_when_set_again),
		cmocka_unit_test(rules_that_could_not_go_stay_with_no_address),
		cmocka_unit_test(a_name_that_failed_fails_again_until_it_leads),
		cmocka_unit_test(an_address_that_could_not_be_freed_is_free_later),
		cmocka_unit_test(a_firewall_that_drops_what_is_forwarded_is_told),
		cmocka_unit_test(who_resolves_names_ends_by_its_alarm),
		cmocka_unit_test(names_that_failed_are_resolved_later),
	};

	return run_as_root(tests, set_up_host, tear_down_host);
}

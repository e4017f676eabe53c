/* Rules, names and the filter itself through restarts of berthd and what others do to the
 * packet filter: real sandboxes on a host and in a world of the test's own. */
#include "runtime/network_test.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_and_names_outlive_berthd),
		cmocka_unit_test(an_emptied_filter_is_made_anew),
		cmocka_unit_test(a_filter_that_others_removed_is_back_at_once),
		cmocka_unit_test(a_firewall_that_drops_what_is_forwarded_is_told),
	};

	return run_as_root(tests, set_up_host, tear_down_host);
}

/* A sandbox that is given a listening unix socket: who may connect, what it tells, its end. */
#include "runtime/sandbox/box_test.h"
#include "runtime/sandbox/start_check.h"

#include <net/if.h>
#include <sys/ioctl.h>

static struct box listening(void)
{
	struct box b = box_new();

	b.start.flags = START_LISTEN;
	return b;
}

/* What one connection brings, without waiting for ever. */
static const char *hear(int fd, char text[16])
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n;

	assert_int_equal(poll(&p, 1, END_MS), 1);
	n = recv(fd, text, 15, 0);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void connect_and_hear(const struct box *b)
{
	char text[16];
	int fd;

	assert_int_equal(sandbox_sockets(w.rt, &b->rec, AF_UNIX, 1, &fd), 1);
	assert_string_equal(hear(fd, text), "hello");
	close(fd);
}

static size_t listeners(void)
{
	char path[160];
	size_t n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/listen", w.dir);
	d = opendir(path);
	assert_non_null(d);
	for (const struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void several_connections_reach_it(void **state UNUSED)
{
	struct box b = listening();
	char text[16];
	int fds[3];

	box_must_start(&b, PROBE("accept", "4"));
	assert_int_equal(sandbox_sockets(w.rt, &b.rec, AF_UNIX, 3, fds), 3);
	for (int i = 0; i < 3; i++) {
		assert_string_equal(hear(fds[i], text), "hello");
		close(fds[i]);
	}
	connect_and_hear(&b);
	assert_int_equal(listeners(), 1);
	sandbox_kill(w.rt, &b.rec);
	box_end(&b);
	assert_int_equal(sandbox_sockets(w.rt, &b.rec, AF_UNIX, 1, fds), -ESRCH);
	assert_int_equal(listeners(), 0);
}

/* An address of the host that is not loopback, as any socket of its network tells it. */
static bool host_address(char text[INET_ADDRSTRLEN])
{
	struct ifreq list[64];
	struct ifconf c = {.ifc_len = sizeof(list), .ifc_req = list};
	int fd autoclose = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(ioctl(fd, SIOCGIFCONF, &c), 0);
	for (size_t i = 0; i < (size_t)c.ifc_len / sizeof(list[0]); i++) {
		const struct sockaddr_in *a = (const void *)&list[i].ifr_addr;
		inet_ntop(AF_INET, &a->sin_addr, text, INET_ADDRSTRLEN);
		if (strcmp(text, "127.0.0.1") != 0)
			return true;
	}
	return false;
}

static void it_tells_nothing_of_the_host(void **state UNUSED)
{
	struct box b = listening();
	char text[16], address[INET_ADDRSTRLEN];
	int fd;

	box_must_start(&b, PROBE("listener"));
	assert_int_equal(sandbox_sockets(w.rt, &b.rec, AF_UNIX, 1, &fd), 1);
	assert_string_equal(hear(fd, text), "hello");
	box_end(&b);
	close(fd);
	assert_end(&b, EXIT_REASON_EXITED, 0);
	assert_non_null(strstr(b.text, "LISTEN_FDS 1 LISTEN_PID mine\n"));
	assert_non_null(strstr(b.text, "descriptor 3\nname /proc/self/fd/"));
	assert_non_null(strstr(b.text, "/berth\nname /proc/self/fd/"));
	assert_null(strstr(b.text, w.dir));
	assert_non_null(strstr(b.text, "listener interfaces lo 127.0.0.1 eth0 198.1"));
	assert_non_null(strstr(b.text, "connection interfaces lo 127.0.0.1 eth0 198.1"));
	if (host_address(address))
		assert_null(strstr(b.text, address));
	else
		print_message("this host has no address to tell\n");
	assert_non_null(strstr(b.text, "peer pid 0 uid 65534\npeer pid 0 uid 65534\n"));
}

/* Who receives one closes it, and waits as long as that takes. */
static void no_descriptor_reaches_who_connects(void **state UNUSED)
{
	struct box b = listening();
	int fd;

	box_must_start(&b, PROBE("listener"));
	assert_int_equal(sandbox_sockets(w.rt, &b.rec, AF_UNIX, 1, &fd), 1);
	box_end(&b);
	close(fd);
	assert_non_null(
		strstr(b.text, "descriptor to the peer: Operation not permitted\n"));
	assert_non_null(strstr(b.text, "descriptor to itself: passed\n"));
}

static void without_the_flag_there_is_none(void **state UNUSED)
{
	struct box b = box_new(), started = box_new();
	int fd;

	run(&b, "listener");
	assert_string_equal(b.text,
		"LISTEN_FDS (none) LISTEN_PID (none)\naccept: Bad file "
		"descriptor\n");
	box_must_start(&started, PROBE("keep", "1"));
	assert_int_equal(sandbox_sockets(w.rt, &started.rec, AF_UNIX, 1, &fd), -ENOENT);
	sandbox_kill(w.rt, &started.rec);
	box_end(&started);
}

static void only_an_app_with_a_network_gets_one(void **state UNUSED)
{
	struct box b = listening();
	struct err e;

	assert_int_equal(start_check(&b.start, 1, &e), 0);
	b.start.flags |= START_NO_NET;
	assert_int_equal(start_check(&b.start, 1, &e), -EINVAL);
	b.start.flags = START_LISTEN | START_BUILDER;
	assert_int_equal(start_check(&b.start, 1, &e), -EINVAL);
	b.start.flags = START_LISTEN;
	b.start.profile = PROFILE_BUILD_ROOT;
	assert_int_equal(start_check(&b.start, 1, &e), -EINVAL);
}

static void nobody_waits_when_it_does_not_accept(void **state UNUSED)
{
	struct box b = listening();
	int fds[32], n;

	box_must_start(&b, PROBE("accept", "0"));
	wait_for_line(&b);
	n = sandbox_sockets(w.rt, &b.rec, AF_UNIX, ARRAY_LEN(fds), fds);
	assert_true(n >= 1 && n < (int)ARRAY_LEN(fds));
	assert_int_equal(sandbox_sockets(w.rt, &b.rec, AF_UNIX, 1, fds + n), -EAGAIN);
	while (n)
		close(fds[--n]);
	sandbox_kill(w.rt, &b.rec);
	box_end(&b);
}

static void who_has_closed_it_is_not_reached(void **state UNUSED)
{
	struct box b = listening();
	int fd, r = 1;

	box_must_start(&b, PROBE("unlistened"));
	wait_for_line(&b);
	for (int i = 0; r > 0 && i < 200;
		i++) { /* berth-init is about to close its own */
		r = sandbox_sockets(w.rt, &b.rec, AF_UNIX, 1, &fd);
		if (r > 0)
			close(fd);
		usleep(5000);
	}
	assert_int_equal(r, -ECONNREFUSED);
	sandbox_kill(w.rt, &b.rec);
	box_end(&b);
}

static void who_enters_gets_none(void **state UNUSED)
{
	struct box b = listening(), in = box_new();

	box_must_start(&b, PROBE("accept", "1"));
	box_must_enter(&b, &in, PROBE("listener"));
	box_end(&in);
	assert_string_equal(in.text, "LISTEN_FDS (none) LISTEN_PID (none)\naccept: Bad "
				     "file descriptor\n");
	connect_and_hear(&b);
	sandbox_kill(w.rt, &b.rec);
	box_end(&b);
}

static void it_is_still_reached_after_a_restart(void **state UNUSED)
{
	struct box b = listening();
	struct err e;
	int pidfd;

	box_must_start(&b, PROBE("accept", "2"));
	connect_and_hear(&b);
	runtime_close(w.rt);
	w.rt = NULL;
	assert_int_equal(open_world(&e), 0);
	assert_int_equal(runtime_network(w.rt, &e), 0);
	assert_int_equal(sandbox_adopt(w.rt, &b.rec, &pidfd), 0);
	runtime_sweep(w.rt);
	connect_and_hear(&b);
	close(pidfd);
	sandbox_kill(w.rt, &b.rec);
	box_end(&b);
	assert_int_equal(listeners(), 0);
}

static int set_up_where_possible(void **state)
{
	struct msg_host host;

	if (set_up(state) < 0)
		return -1;
	runtime_host(w.rt, &host);
	if (!host.no_unix[0])
		return 0;
	print_message("skipped: %s\n", host.no_unix);
	tear_down(state);
	exit(77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_connections_reach_it),
		cmocka_unit_test(it_tells_nothing_of_the_host),
		cmocka_unit_test(no_descriptor_reaches_who_connects),
		cmocka_unit_test(without_the_flag_there_is_none),
		cmocka_unit_test(only_an_app_with_a_network_gets_one),
		cmocka_unit_test(nobody_waits_when_it_does_not_accept),
		cmocka_unit_test(who_has_closed_it_is_not_reached),
		cmocka_unit_test(who_enters_gets_none),
		cmocka_unit_test(it_is_still_reached_after_a_restart),
	};

	return run_as_root(tests, set_up_where_possible, tear_down);
}

/* When an instance is ready: several startup checks. berthd and the instance are played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/engine.h"
#include "control/run/fixture.h"
#include "control/run/probe.h"
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* ---- an instance that answers one request a connection ---- */

static struct server {
	int fd;
	struct sockaddr_storage at;
	socklen_t len;
	unsigned int requests;
	pthread_t thread;
} server;

static void *serve(void *arg UNUSED)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello";
	char request[1024];
	int fd;

	while ((fd = accept(server.fd, NULL, NULL)) >= 0) {
		if (recv(fd, request, sizeof(request), 0) > 0 &&
			send(fd, answer, strlen(answer), MSG_NOSIGNAL) > 0)
			server.requests++;
		close(fd);
	}
	return NULL;
}

static void server_start(const struct sockaddr *at, socklen_t len)
{
	server = (struct server){.len = sizeof(server.at)};
	server.fd = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server.fd, at, len), 0);
	assert_int_equal(listen(server.fd, 8), 0);
	assert_int_equal(
		getsockname(server.fd, (struct sockaddr *)&server.at, &server.len), 0);
	assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
}

static void server_stop(void)
{
	shutdown(server.fd, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.fd);
}

/* ---- in the place of the real ones (see the Makefile) ---- */

static unsigned int commands;

int engine_socket(struct engine *g UNUSED, uint64_t id UNUSED, int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (family == AF_UNIX)
		assert_int_equal(
			connect(fd, (struct sockaddr *)&server.at, server.len), 0);
	return fd;
}

int engine_waiting(struct engine *g UNUSED, uint64_t id UNUSED)
{
	return 0;
}

int engine_exit_fd(struct engine *g UNUSED, uint64_t id UNUSED)
{
	return -1;
}

int engine_wait_exit(struct engine *g UNUSED, uint64_t id UNUSED, int timeout_ms UNUSED,
	struct msg_exited *ret UNUSED)
{
	return -EAGAIN;
}

int oneoff_check(struct control *c UNUSED, uint64_t instance UNUSED,
	const char *const *argv UNUSED, int timeout_ms UNUSED, int *ret_status,
	char reason[160] UNUSED)
{
	commands++;
	*ret_status = 0;
	return 0;
}

/* ---- tests ---- */

/* Two pages and two commands, each with one attempt. */
static void expect_ready(struct fixture *f, struct member m)
{
	struct control c = {.db = f->db};
	struct err e = {0};

	m.app = live_app(f->db, "shop",
		"[{\"path\": \"/\", \"attempts\": 1}, {\"path\": \"/up\", \"attempts\": "
		"1}, {\"command\": [\"true\"], \"attempts\": 1}, {\"command\": "
		"[\"true\"], \"attempts\": 1}]");
	m.version = m.number = 1;
	commands = 0;
	if (probe_wait(&c, &m, NULL, &e) < 0)
		fail_msg("%s", e.text);
	server_stop();
	assert_int_equal(server.requests, 2);
	assert_int_equal(commands, 2);
}

static void each_check_has_a_connection_of_its_own(void **state)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	server_start((struct sockaddr *)&at, sizeof(at));
	memcpy(&at, &server.at, sizeof(at));
	expect_ready(*state, (struct member){.type = "web", .port = ntohs(at.sin_port)});
}

static void and_so_it_has_at_a_unix_socket(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	snprintf(at.sun_path, sizeof(at.sun_path), "%s/listener", f->folder);
	server_start((struct sockaddr *)&at, sizeof(at));
	expect_ready(f, (struct member){.type = "web", .port = 5000, .listens = true});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			each_check_has_a_connection_of_its_own, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			and_so_it_has_at_a_unix_socket, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("control/run/probe", tests, NULL, NULL);
}

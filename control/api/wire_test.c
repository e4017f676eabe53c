/* The API's connections: identities, bodies, streams, upgrades, hanging up. */
#include "control/api/fixture.h"
#include <sys/wait.h>

static void bodies_over_one_megabyte_are_refused(void **state)
{
	struct fixture *f = *state;
	struct client c;
	struct err e = {0};
	autobuf out = BUF_INIT;
	char head[] =
		"POST /v1/apps HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n";

	dial(f, &c);
	assert_int_equal(io_write_all(c.fd, head, strlen(head)), 0);
	assert_int_equal(client_reply(&c, &e), 0);
	assert_int_equal(c.status, 413);
	client_close(&c);
	dial(f, &c);
	char chunked[] =
		"POST /v1/apps HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
	char *block autofree = malloc(65536);
	memset(block, ' ', 65536);
	assert_int_equal(io_write_all(c.fd, chunked, strlen(chunked)), 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(io_write_all(c.fd, "10000\r\n", 7), 0);
		assert_int_equal(io_write_all(c.fd, block, 65536), 0);
		assert_int_equal(io_write_all(c.fd, "\r\n", 2), 0);
	}
	assert_int_equal(io_write_all(c.fd, "0\r\n\r\n", 5), 0);
	assert_int_equal(client_reply(&c, &e), 0);
	assert_int_equal(c.status, 413);
	client_close(&c);
}

static void a_connection_serves_several_requests(void **state)
{
	struct fixture *f = *state;
	struct client c;
	autobuf out = BUF_INIT;

	make_released(f, "shop");
	dial(f, &c);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(ask_on(&c, "GET", "/v1/apps", NULL, &out), 200);
		/* A stream does not end it either: a push of several refs asks again. */
		assert_int_equal(
			ask_on(&c, "POST", "/v1/apps/shop/restart", "{}", &out), 200);
		assert_true(c.stream);
		assert_non_null(strstr(out.data, "x 0\n"));
	}
	client_close(&c);
}

static bool comes_true(atomic_int *n, int wanted)
{
	for (int i = 0; i < 2000 && atomic_load(n) != wanted; i++)
		poll(NULL, 0, 10);
	return atomic_load(n) == wanted;
}

static void hanging_up_cancels_a_silent_operation(void **state)
{
	struct fixture *f = *state;
	struct client c;
	struct err e = {0};
	char *line;

	make_released(f, "shop");
	atomic_store(&wait_for_cancel, true);
	dial(f, &c);
	assert_int_equal(
		client_send(&c, "POST", "/v1/apps/shop/restart", NULL, "{}", 2, &e), 0);
	assert_int_equal(client_reply(&c, &e), 0);
	assert_int_equal(client_line(&c, &line), 1);
	assert_string_equal(line, "o restart all");
	client_close(&c);
	assert_true(comes_true(&cancelled_deploys, 1));
}

static void write_log(struct fixture *f, uint32_t app)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/logs/%u", f->folder, app);
	assert_int_equal(io_mkdirs(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/logs/%u/1767323045000000.log", f->folder, app);
	FILE *file = fopen(path, "ae");
	assert_non_null(file);
	fputs("2026-01-02T03:04:05.000000Z app[web.1]: hello\n", file);
	fclose(file);
}

static void logs_are_followed_until_the_asker_goes(void **state)
{
	struct fixture *f = *state;
	struct client c;
	struct err e = {0};
	uint32_t app = make_released(f, "shop");
	char *line;

	expect(f, "GET", "/v1/apps/shop/logs", NULL, 200, "");
	write_log(f, app);
	expect(f, "GET", "/v1/apps/shop/logs?n=5&p=web", NULL, 200,
		"app[web.1]: hello\n");
	expect(f, "GET", "/v1/apps/shop/logs?since=soon", NULL, 400, "since must be");
	dial(f, &c);
	assert_int_equal(
		client_send(&c, "GET", "/v1/apps/shop/logs?follow=1", NULL, NULL, 0, &e),
		0);
	assert_int_equal(client_reply(&c, &e), 0);
	assert_int_equal(client_line(&c, &line), 1);
	write_log(f, app);
	assert_int_equal(client_line(&c, &line), 1);
	assert_non_null(strstr(line, "hello"));
	client_close(&c);
}

static void ask_run(struct fixture *f, struct client *c, const char *body)
{
	struct err e = {0};

	assert_int_equal(pipe2(one_off_end, O_CLOEXEC), 0);
	dial(f, c);
	assert_int_equal(client_send(c, "POST", "/v1/apps/shop/run",
				 "Connection: Upgrade\r\nUpgrade: berth-run\r\n", body,
				 strlen(body), &e),
		0);
}

static void start_run(struct fixture *f, struct client *c, const char *body)
{
	struct err e = {0};

	ask_run(f, c, body);
	assert_int_equal(client_reply(c, &e), 0);
}

static void end_run(struct client *c)
{
	client_close(c);
	close(one_off_end[0]);
	close(one_off_end[1]);
}

static void a_run_hands_out_descriptors_and_its_status(void **state)
{
	struct fixture *f = *state;
	struct client c;
	char byte[2];

	make_released(f, "shop");
	start_run(f, &c, "{\"command\":[\"ls\"]}");
	assert_int_equal(c.status, 101);
	assert_int_equal(client_raw(&c, byte, 1), 1);
	assert_int_equal(byte[0], 'F');
	assert_int_equal(c.nfds, 3);
	assert_int_equal(io_write_all(c.fd, "S\x02", 2), 0);
	assert_true(comes_true(&one_off_signal, 2));
	/* The client's own end of the pipe ends the program, with status 42. */
	assert_int_equal(io_write_all(c.fds[0], "*", 1), 0);
	assert_int_equal(client_raw(&c, byte, 1), 1);
	assert_int_equal(byte[0], 'X');
	assert_int_equal(client_raw(&c, byte, 1), 1);
	assert_int_equal(byte[0], 42);
	end_run(&c);
	assert_int_equal(atomic_load(&stops), 0);
}

static void leaving_a_run_stops_it(void **state)
{
	struct fixture *f = *state;
	struct client c;
	char byte;

	make_released(f, "shop");
	start_run(f, &c,
		"{\"command\":[\"top\"],\"tty\":true,\"rows\":24,\"cols\":80,\"term\":"
		"\"xterm\"}");
	assert_int_equal(client_raw(&c, &byte, 1), 1);
	assert_int_equal(c.nfds, 1);
	client_close(&c);
	assert_true(comes_true(&stops, 1));
	end_run(&c);
}

static void a_run_whose_client_goes_while_it_starts_is_not_waited_for(void **state)
{
	struct fixture *f = *state;
	struct client c;

	make_released(f, "shop");
	atomic_store(&hold_start, true);
	ask_run(f, &c, "{\"command\":[\"top\"]}");
	assert_true(comes_true(&starts, 1));
	client_close(&c);
	atomic_store(&hold_start, false);
	assert_true(comes_true(&abandoned, 1));
	end_run(&c);
}

static void a_run_that_cannot_start_says_125(void **state)
{
	struct fixture *f = *state;
	struct client c;
	autobuf out = BUF_INIT;

	make_released(f, "shop");
	expect(f, "POST", "/v1/apps/shop/run", "{\"command\":[\"ls\"]}", 400, "Upgrade");
	expect(f, "POST", "/v1/apps/shop/run", "{}", 400, "command is missing");
	expect(f, "POST", "/v1/apps/shop/run", "{\"command\":[\"ls\"],\"detach\":true}",
		200, "run.1");
	expect(f, "POST", "/v1/apps/shop/run",
		"{\"command\":[\"ls\"],\"detach\":true,\"tty\":true}", 400,
		"a detached program has no terminal");
	expect(f, "POST", "/v1/apps/shop/enter", "{\"instance\":\"web\"}", 400, "web.1");
	atomic_store(&fail_next, true);
	start_run(f, &c, "{\"command\":[\"nope\"]}");
	assert_int_equal(client_body(&c, &out), 0);
	assert_int_equal(c.status, 500);
	assert_non_null(strstr(out.data, "\"exit\":125"));
	end_run(&c);
}

/* As another user, whom only root can play; first is sent before the request. */
static int ask_as(struct fixture *f, uid_t uid, const char *first)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		struct client c;
		struct err e = {0};
		autobuf out = BUF_INIT;

		if (setuid(uid) < 0 || client_open(&c, f->socket, &e) < 0)
			_exit(1);
		io_write_all(c.fd, first, strlen(first));
		if (client_send(&c, "GET", "/v1/apps", NULL, NULL, 0, &e) < 0 ||
			client_reply(&c, &e) < 0)
			_exit(2);
		_exit(c.status == 200 ? 100 : c.status == 403 ? 103 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void only_root_and_key_holders_are_served(void **state)
{
	struct fixture *f = *state;
	char line[64];

	if (geteuid() != 0)
		skip();
	snprintf(line, sizeof(line), "KEY %u\n", f->key);
	assert_int_equal(ask_as(f, 65534, line), 100);
	assert_int_equal(ask_as(f, 65534, "KEY 999\n"), 103);
	assert_int_equal(ask_as(f, 65534, "KEY x\n"), 103);
	assert_int_not_equal(ask_as(f, 65534, ""),
		100); /* the request's own first line is no KEY line */
	assert_int_equal(ask_as(f, 12345, ""), 103);
	assert_int_equal(ask_as(f, 65534, "KEYKEYKEYKEYKEYKEYKEYKEYKEYKEYKEYKEY"), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(bodies_over_one_megabyte_are_refused),
		T(a_connection_serves_several_requests),
		T(hanging_up_cancels_a_silent_operation),
		T(logs_are_followed_until_the_asker_goes),
		T(a_run_hands_out_descriptors_and_its_status),
		T(leaving_a_run_stops_it),
		T(a_run_whose_client_goes_while_it_starts_is_not_waited_for),
		T(a_run_that_cannot_start_says_125),
		T(only_root_and_key_holders_are_served),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

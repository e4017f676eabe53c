/* Health checks: what app.json says of them, and what answers are healthy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/run/health.h"
#include "lib/io.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void checks_are_read_with_defaults_by_type_and_kind(void **state UNUSED)
{
	json_t *o = json_loads("{\"healthchecks\": {\"web\": [{\"type\": \"liveness\", "
			       "\"command\": [\"a\"], "
			       "\"attempts\": 7}, {\"path\": \"/up\", \"wait\": 0}, "
			       "{\"type\": \"startup\", "
			       "\"port\": 81, \"timeout\": 2, \"initialDelay\": 9}], "
			       "\"work\": [{\"type\": "
			       "\"liveness\", \"command\": []}]}}",
		0, NULL);
	struct health h;

	assert_true(health_read(o, "web", "startup", 0, &h));
	assert_string_equal(h.path, "/up");
	assert_true(h.patient && h.wait_s == 0 && h.attempts == 3 && h.timeout_s == 5);
	assert_true(health_read(o, "web", "startup", 1, &h));
	assert_true(!h.path && !h.patient && h.port == 81 && h.initial_delay_s == 9);
	assert_false(health_read(o, "web", "startup", 2, &h));
	assert_true(health_read(o, "web", "liveness", 0, &h));
	assert_int_equal(json_array_size(h.command), 1);
	assert_int_equal(h.attempts, 7);
	assert_false(health_read(o, "web", "liveness", 1, &h));
	assert_true(health_read(o, "work", "liveness", 0, &h));
	assert_null(h.command);
	assert_false(health_read(o, "none", "startup", 0, &h));
	assert_false(health_read(NULL, "web", "startup", 0, &h));
	json_decref(o);
}

/* open: the connection stays, as of a server that keeps it. */
static void check(const char *answer, bool open, const char *content, const char *says)
{
	struct health h = {.path = "/up", .content = content, .timeout_s = 1};
	char text[160] = "", request[512] = "";
	uint64_t began = io_mono_ns();
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(write(pair[1], answer, strlen(answer)), strlen(answer));
	if (!open)
		shutdown(pair[1], SHUT_WR);
	int r = health_ask(&h, pair[0], text);
	assert_true(read(pair[1], request, sizeof(request) - 1) > 0);
	assert_non_null(strstr(request, "GET /up HTTP/1.1\r\n"));
	if (r != (says != NULL) || strcmp(text, says ? says : "") != 0)
		fail_msg("%s: %d \"%s\"", answer, r, text);
	if (open)
		assert_true(io_mono_ns() - began < UINT64_C(900000000));
	close(pair[0]);
	close(pair[1]);
}

static void an_answer_is_healthy_by_its_status_and_content(void **state UNUSED)
{
	check("HTTP/1.1 200 OK\r\n\r\n", true, NULL, NULL);
	check("HTTP/1.0 302 Found\r\n\r\n", true, NULL, NULL);
	check("HTTP/1.1 500 No\r\n\r\n", true, NULL, "HTTP 500 from /up");
	check("HTTP/1.1 404 No\r\n\r\n", true, NULL, "HTTP 404 from /up");
	check("SSH-2.0 hello\r\n", true, NULL, "no answer from /up");
	check("", false, NULL, "no answer from /up");
	check("HTTP/1.1 200 OK\r\n\r\nall is well", true, "is well", NULL);
	/* of the body, not of the head */
	check("HTTP/1.1 200 OK\r\nX: is well\r\n\r\nnothing", false, "is well",
		"\"is well\" is not in the answer of /up");
	/* as long as it says it is: no waiting for more */
	check("HTTP/1.1 200 OK\r\nContent-length: 7\r\n\r\nnothing", true, "well",
		"\"well\" is not in the answer of /up");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checks_are_read_with_defaults_by_type_and_kind),
		cmocka_unit_test(an_answer_is_healthy_by_its_status_and_content),
	};

	return cmocka_run_group_tests_name("control/run/health", tests, NULL, NULL);
}

/* Words of a command that cannot be said in JSON are refused: left out, they would make it say something else. */
#include "cli/cli.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

/* As a terminal of Latin-1 sends them. */
static char latin[] = "m\xfcnchen.example.com", plain[] = "www.example.com";

/* The status; *ret_sent: the API was asked. It would say yes. */
static int run(const char *command, char *word, bool *ret_sent)
{
	static const char yes[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
				  "Content-Length: 2\r\n\r\n{}";
	char *argv[] = {plain, word, NULL}, fd[16], got[4096];
	struct cli c = {.cmd = args_find(command), .app = "blog", .quiet = true};
	int pair[2];

	assert_non_null(c.cmd);
	c.argv = argv;
	c.argc = 2;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	snprintf(fd, sizeof(fd), "%d", pair[0]);
	setenv("BERTH_API_FD", fd, 1);
	assert_int_equal(write(pair[1], yes, sizeof(yes) - 1), sizeof(yes) - 1);
	int r = c.cmd->run(&c);
	*ret_sent = recv(pair[1], got, sizeof(got), MSG_DONTWAIT) > 0;
	close(pair[0]);
	close(pair[1]);
	return r;
}

static void words_that_are_no_text_change_nothing(void **state UNUSED)
{
	static const char *const commands[] = {"domains:set", "domains:add",
		"domains:remove", "buildpacks:set", "buildpacks:add"};
	bool sent;

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		assert_int_equal(run(commands[i], latin, &sent), STATUS_USAGE);
		assert_false(sent);
		assert_int_equal(run(commands[i], plain, &sent), STATUS_OK);
		assert_true(sent);
	}
}

/* Of a token that is to expire, or a limit of one process type, the rest alone is another wish. */
static void options_that_are_no_text_are_refused(void **state UNUSED)
{
	static const struct {
		const char *command, *option;
		int status;
	} rows[] = {{"tokens:create", "--expires", STATUS_USAGE},
		{"resource:limit", "--process-type", STATUS_USAGE},
		{"images:import", "--as", STATUS_USAGE},
		{"images:export", "--to", STATUS_OK}, /* any file's name */
		{"run", "--env", STATUS_OK}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char option[32], value[] = "\xff=\xff", word[] = "x";
		char *argv[] = {word, option, value, word, NULL};
		struct cli c = {.cmd = args_find(rows[i].command)};

		snprintf(option, sizeof(option), "%s", rows[i].option);
		assert_non_null(c.cmd);
		assert_int_equal(args_parse(&c, 4, argv), rows[i].status);
		free(c.argv);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_that_are_no_text_change_nothing),
		cmocka_unit_test(options_that_are_no_text_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

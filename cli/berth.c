/* berth: the command line, on the host, over ssh, and from elsewhere. */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* The words as they came: parsing cuts them, and ssh needs them whole. */
static char **copy_words(int argc, char **argv)
{
	char **copy = calloc((size_t)argc + 1, sizeof(*copy));

	if (!copy)
		abort();
	for (int i = 0; i < argc; i++) {
		copy[i] = strdup(argv[i]);
		if (!copy[i])
			abort();
	}
	return copy;
}

static int output_error; /* of the first write to stdout that failed */

static ssize_t write_output(void *arg UNUSED, const char *data, size_t len)
{
	int r = out_write(STDOUT_FILENO, data, len);

	if (r < 0 && !output_error)
		output_error = r;
	return r < 0 ? 0 : (ssize_t)len;
}

/* Of a write that failed stdio only keeps that it did, and drops what it was to write; whose flush it was may not have
 * looked. So stdout writes by write_output, which keeps why. */
static void begin_output(void)
{
	stdout = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_output});
	if (!stdout)
		abort();
	setvbuf(stdout, NULL, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF, 0);
}

/* r, or a failure when not all that was printed could be written. A reader that has seen enough changes nothing. */
static int end_output(int r)
{
	fflush(stdout);
	if (!output_error || output_error == -EPIPE)
		return r;
	out_failed(output_error);
	return r ? r : STATUS_FAILED;
}

static int no_command(int argc, char **argv)
{
	if (argc < 2) {
		help_list(NULL);
		return STATUS_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		help_list(NULL);
		return STATUS_OK;
	}
	return -1;
}

static int run(struct cli *c, int argc, char **argv)
{
	char **whole = copy_words(argc, argv);
	int r = args_parse(c, argc, argv);

	if (r)
		return r;
	if (c->help) {
		help_command(c->cmd);
		return STATUS_OK;
	}
	if (!c->over_ssh && c->cmd->run != cmd_help)
		remote_maybe(c, argc, whole);
	r = args_check(c);
	return r ? r : c->cmd->run(c);
}

/* berth parse WORD...: would berth take these words? Nothing is done: tests read the documents with it. */
static int parse(struct cli *c, int argc, char **argv)
{
	if (argc == 0)
		return STATUS_USAGE;
	c->cmd = args_find(argv[0]);
	if (!c->cmd)
		return help_unknown(argv[0]);
	int r = args_parse(c, argc, argv);

	return r || c->help ? r : args_check(c);
}

int main(int argc, char **argv)
{
	static struct cli c;
	int r = no_command(argc, argv);

	if (r >= 0)
		return r;
	signal(SIGPIPE, SIG_IGN);
	c.over_ssh = getenv("BERTH_API_FD") != NULL;
	if (strcmp(argv[1], "complete") == 0)
		return complete(argc - 2, argv + 2);
	if (strcmp(argv[1], "parse") == 0)
		return parse(&c, argc - 2, argv + 2);
	if (strcmp(argv[1], "--version") == 0)
		argv[1] += 2;
	c.cmd = args_find(argv[1]);
	if (!c.cmd)
		return help_unknown(argv[1]);
	begin_output();
	return end_output(run(&c, argc - 1, argv + 1));
}

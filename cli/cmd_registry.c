/* Logins at registries of images. */
#include "cli/cli.h"
#include "lib/io.h"

#include <stdio.h>
#include <string.h>

#define PASSWORD_MAX 4097 /* as much as the API takes, and a line end */

/* From standard input, without its line end. 0 or a status. */
static int read_password(struct cli *c, struct buf *b)
{
	if (isatty(0))
		return say_usage(c, "the password comes from standard input: ... < FILE");
	if (io_read_all(0, b) < 0 || buf_add(b, "", 1) < 0) {
		say("cannot read a password of at most 4096 bytes from standard input");
		return STATUS_FAILED;
	}
	for (size_t n = strlen(b->data); n > 0 && strchr("\r\n", b->data[n - 1]);)
		b->data[--n] = '\0';
	if (!*b->data) {
		say("standard input has no password");
		return STATUS_FAILED;
	}
	return 0;
}

int cmd_registry_login(struct cli *c)
{
	autobuf password = {.max = PASSWORD_MAX + 1};
	int r;

	if (!c->options[OPT_USER])
		return say_usage(c, "as whom? --user USER");
	r = read_password(c, &password);
	if (r)
		return r;
	return api_stream(c, "POST",
		json_pack("{s:s, s:s, s:o}", "host", c->argv[0], "user",
			c->options[OPT_USER], "password", api_value(password.data)),
		"/v1/registry");
}

int cmd_registry_logout(struct cli *c)
{
	int r = api_stream(
		c, "DELETE", NULL, "/v1/registry?host=%s", api_word(c->argv[0]));

	if (!r && !c->quiet && !c->json)
		printf("-----> Logged out of %s\n", c->argv[0]);
	return r;
}

int cmd_registry_list(struct cli *c)
{
	static const struct column columns[] = {
		{"HOST", "host"}, {"USER", "user"}, {"SINCE", "since"}};
	json_t *list;
	int r = api_json(c, "GET", NULL, &list, "/v1/registry");

	return r ? r : out_list(c, columns, ARRAY_LEN(columns), list);
}

/* ssh keys and stacks: what belongs to the host. */
#include "cli/cli.h"
#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* From the file, or stdin without one. */
static int read_key(struct cli *c, struct buf *out)
{
	const char *path =
		c->argc > 1 && strcmp(c->argv[1], "-") != 0 ? c->argv[1] : NULL;
	int r;

	if (path && c->over_ssh)
		return say_usage(c,
			"over ssh the key comes from stdin: ... %s "
			"NAME - < key.pub",
			c->cmd->name);
	if (!path && isatty(0))
		fputs("       paste the public key, then press Ctrl-D\n", stderr);
	r = path ? io_read_file(AT_FDCWD, path, out) : io_read_all(0, out);
	if (r == -EMSGSIZE)
		say("a public key is one line; this is larger than %zu bytes", out->max);
	else if (r < 0)
		say("cannot read %s: %s", path ? path : "stdin", strerror(-r));
	return r < 0 ? STATUS_FAILED : 0;
}

int key_input(struct cli *c, json_t **ret)
{
	autobuf text = {.max = 16384};
	int r = read_key(c, &text);

	if (r)
		return r;
	while (text.len && strchr(" \t\r\n", text.data[text.len - 1]))
		text.data[--text.len] = 0;
	if (!text.len)
		return say_usage(c, "there is no key in the input");
	*ret = json_string(text.data);
	if (*ret && strlen(text.data) == text.len)
		return 0;
	json_decref(*ret);
	say("this is not a public key, as in ~/.ssh/id_ed25519.pub");
	return STATUS_FAILED;
}

int cmd_keys_add(struct cli *c)
{
	json_t *answer, *key;
	int r = key_input(c, &key);

	if (r)
		return r;
	r = api_json(c, "POST", json_pack("{s:s, s:o}", "name", c->argv[0], "key", key),
		&answer, "/v1/ssh-keys");
	if (r)
		return r;
	if (c->json)
		out_json(answer);
	else if (!c->quiet)
		printf("-----> Added key %s %s\n", c->argv[0],
			out_member(answer, "fingerprint"));
	return 0;
}

int cmd_keys_list(struct cli *c)
{
	static const struct column columns[] = {
		{"NAME", "name"}, {"TYPE", "type"}, {"FINGERPRINT", "fingerprint"}};
	json_t *list;
	int r = api_json(c, "GET", NULL, &list, "/v1/ssh-keys");

	return r ? r : out_list(c, columns, ARRAY_LEN(columns), list);
}

int cmd_keys_remove(struct cli *c)
{
	int r = api_stream(c, "DELETE", NULL, "/v1/ssh-keys/%s", api_word(c->argv[0]));

	if (!r && !c->quiet && !c->json)
		printf("-----> Removed key %s\n", c->argv[0]);
	return r;
}

int cmd_stacks_create(struct cli *c)
{
	return api_stream(c, "POST",
		json_pack("{s:s}", "name", c->argc ? c->argv[0] : "debian-12"),
		"/v1/stacks");
}

static void add_stack(struct table *t, const json_t *stack)
{
	char digest[16];

	snprintf(digest, sizeof(digest), "%.12s", out_member(stack, "digest"));
	table_add(t, (const char *const[]){out_member(stack, "name"),
			     out_size(json_object_get(stack, "size")),
			     out_member(stack, "created"), digest});
}

int cmd_stacks_list(struct cli *c)
{
	static const char *const header[] = {"NAME", "SIZE", "CREATED", "DIGEST"};
	json_t *list;
	int r = api_json(c, "GET", NULL, &list, "/v1/stacks");

	return r ? r : out_rows(c, header, ARRAY_LEN(header), list, add_stack);
}

int cmd_stacks_update(struct cli *c)
{
	return api_stream(c, "POST",
		json_pack("{s:s, s:b}", "name", c->argc ? c->argv[0] : "debian-12",
			"update", true),
		"/v1/stacks");
}

static void add_base(struct table *t, const json_t *row)
{
	size_t behind = json_array_size(json_object_get(row, "behind"));
	char state[48];

	if (behind)
		snprintf(state, sizeof(state), "%zu package%s behind", behind,
			behind == 1 ? "" : "s");
	else
		snprintf(state, sizeof(state), "%s",
			json_is_true(json_object_get(row, "current")) ? "current"
								      : "older");
	table_add(t, (const char *const[]){out_member(row, "app"),
			     out_member(row, "stack"), out_member(row, "base"), state});
}

int cmd_stacks_report(struct cli *c)
{
	static const char *const header[] = {"APP", "STACK", "BASE OF", "STATE"};
	json_t *list;
	int r = api_json(c, "GET", NULL, &list, "/v1/stacks/report");

	return r ? r : out_rows(c, header, ARRAY_LEN(header), list, add_base);
}

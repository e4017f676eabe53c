/* Snapshots of volumes, and volumes as archives. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

int cmd_volumes_snapshots(struct cli *c)
{
	static const struct column columns[] = {{"SNAPSHOT", "id"},
		{"CREATED", "created"}, {"WHY", "why"}, {"OF", "of"}, {"FILES", "files"},
		{"SIZE", "bytes"}, {"NEW", "added_bytes"}, {"MESSAGE", "message"}};
	json_t *answer;
	int r = api_json(c, "GET", NULL, &answer, "/v1/volumes/%s/snapshots",
		api_word(c->argv[0]));

	if (r)
		return r;
	if (c->json) {
		out_json(answer);
		return 0;
	}
	return out_list(
		c, columns, ARRAY_LEN(columns), json_object_get(answer, "snapshots"));
}

int cmd_volumes_snapshot(struct cli *c)
{
	const char *message = c->options[OPT_MESSAGE];

	return api_stream(c, "POST", json_pack("{s:s*}", "message", message),
		"/v1/volumes/%s/snapshots", api_word(c->argv[0]));
}

int cmd_volumes_restore(struct cli *c)
{
	int r = confirm_replace(c, c->argv[0]);

	return r ? r
		 : api_stream(c, "POST", json_pack("{s:s}", "snapshot", c->argv[1]),
			   "/v1/volumes/%s/restore", api_word(c->argv[0]));
}

int cmd_volumes_set(struct cli *c)
{
	return api_stream(c, "POST",
		json_pack("{s:s, s:s}", "key", c->argv[1], "value",
			c->argc > 2 ? c->argv[2] : ""),
		"/v1/volumes/%s/settings", api_word(c->argv[0]));
}

static const char *path_of(const struct cli *c, const char *what)
{
	static char path[512];

	snprintf(path, sizeof(path), "/v1/volumes/%.200s/%s", api_word(c->argv[0]), what);
	return path;
}

int cmd_volumes_export(struct cli *c)
{
	if (isatty(STDOUT_FILENO))
		return say_usage(c, "an archive is no text: send it into a file with >");
	return run_upgrade(c, path_of(c, "export"),
		json_pack("{s:s*}", "snapshot", c->argc > 1 ? c->argv[1] : NULL), false);
}

int cmd_volumes_import(struct cli *c)
{
	int r = images_input(c, c->argv[1]);

	return r ? r
		 : run_upgrade(c, path_of(c, "import"),
			   json_pack("{s:b, s:b}", "force", c->options[OPT_FORCE] != NULL,
				   "unverified", c->options[OPT_UNVERIFIED] != NULL),
			   false);
}

/* Snapshots of volumes, and volumes as archives. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

int cmd_volumes_snapshots(struct cli *c)
{
	static const char *const header[] = {
		"SNAPSHOT", "CREATED", "WHY", "OF", "FILES", "SIZE", "NEW", "MESSAGE"};
	json_t *answer, *row;
	struct table t;
	size_t i;
	int r = api_json(c, "GET", NULL, &answer, "/v1/volumes/%s/snapshots",
		api_word(c->argv[0]));

	if (r || c->json) {
		if (!r)
			out_json(answer);
		return r;
	}
	table_init(&t, c, ARRAY_LEN(header), header);
	json_array_foreach (json_object_get(answer, "snapshots"), i, row) {
		char files[24], size[24], added[24];

		snprintf(files, sizeof(files), "%s", out_member(row, "files"));
		snprintf(size, sizeof(size), "%s",
			out_size(json_object_get(row, "bytes")));
		snprintf(added, sizeof(added), "%s",
			out_size(json_object_get(row, "added_bytes")));
		table_add(&t, (const char *const[]){out_member(row, "id"),
				      out_member(row, "created"), out_member(row, "why"),
				      out_member(row, "of"), files, size, added,
				      out_member(row, "message")});
	}
	table_print(&t);
	return 0;
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

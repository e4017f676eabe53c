/* Images: what there is, what it is made of, names for it, and what may go. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

int cmd_images_list(struct cli *c)
{
	static const char *const header[] = {"IMAGE", "USE", "LAYERS", "SIZE", "CREATED"};
	json_t *list, *row;
	struct table t;
	size_t i;
	int r = c->app ? api_json(c, "GET", NULL, &list, "/v1/images?app=%s", c->app)
		       : api_json(c, "GET", NULL, &list, "/v1/images");

	if (r || c->json) {
		if (!r)
			out_json(list);
		return r;
	}
	table_init(&t, c, ARRAY_LEN(header), header);
	json_array_foreach (list, i, row)
		table_add(&t, (const char *const[]){out_member(row, "name"),
				      out_member(row, "use"), out_member(row, "layers"),
				      out_size(json_object_get(row, "size")),
				      out_member(row, "created")});
	table_print(&t);
	return 0;
}

/* sha256:0123456789ab, as people compare them. */
static const char *short_digest(const json_t *row)
{
	static char text[64][24];
	static unsigned int at;
	char *out = text[at++ % ARRAY_LEN(text)];

	snprintf(out, sizeof(text[0]), "%.19s", out_member(row, "digest"));
	return out;
}

static void layer_table(const struct cli *c, const json_t *layers)
{
	static const char *const header[] = {
		"LAYER", "MADE BY", "SIZE", "DIGEST", "CREATED"};
	json_t *row;
	struct table t;
	size_t i;

	table_init(&t, c, ARRAY_LEN(header), header);
	json_array_foreach ((json_t *)(uintptr_t)layers, i, row)
		table_add(&t, (const char *const[]){out_member(row, "id"),
				      out_member(row, "made_by"),
				      out_size(json_object_get(row, "size")),
				      short_digest(row), out_member(row, "created")});
	table_print(&t);
}

/* "APP vN" is "APP:vN". */
const char *image_word(char **argv, int argc)
{
	autobuf b = BUF_INIT;

	buf_adds(&b, argv[0]);
	if (argc > 1)
		buf_addf(&b, ":%s", argv[1]);
	return api_word(b.data ? b.data : "");
}

int cmd_images_history(struct cli *c)
{
	json_t *answer;
	int r = api_json(c, "GET", NULL, &answer, "/v1/images/history?image=%s",
		image_word(c->argv, c->argc));

	if (r)
		return r;
	if (c->json)
		out_json(answer);
	else
		layer_table(c, json_object_get(answer, "layers"));
	return 0;
}

int cmd_images_tag(struct cli *c)
{
	json_t *answer;
	int r = api_json(c, "POST",
		json_pack("{s:s, s:s}", "image", c->argv[0], "name", c->argv[1]), &answer,
		"/v1/images/tag");

	if (r)
		return r;
	if (c->json)
		out_json(answer);
	else if (!c->quiet)
		printf("-----> %s is now also %s\n", c->argv[0],
			out_member(answer, "name"));
	return 0;
}

int cmd_images_untag(struct cli *c)
{
	json_t *answer;
	int r = api_json(c, "DELETE", NULL, &answer, "/v1/images/tag?image=%s",
		api_word(c->argv[0]));

	if (r)
		return r;
	if (c->json)
		out_json(answer);
	else if (!c->quiet)
		printf("-----> %s is gone; layers that nothing else needs go with the "
		       "next "
		       "images:prune\n",
			out_member(answer, "name"));
	return 0;
}

int cmd_images_prune(struct cli *c)
{
	bool dry = c->options[OPT_DRY_RUN] != NULL;
	json_t *answer;
	int r = api_json(c, "POST", json_pack("{s:b}", "dry_run", dry), &answer,
		"/v1/images/prune");

	if (r)
		return r;
	if (c->json) {
		out_json(answer);
		return 0;
	}
	if (json_array_size(json_object_get(answer, "layers")))
		layer_table(c, json_object_get(answer, "layers"));
	if (!c->quiet)
		printf("-----> %s layers, %s, %s\n", out_member(answer, "count"),
			out_size(json_object_get(answer, "bytes")),
			dry ? "would go" : "are gone");
	return 0;
}

/* berth buildpacks:* */
#include "cli/cli.h"
#include "lib/name.h"
#include <stdio.h>
#include <string.h>

static int show(struct cli *c, json_t *answer)
{
	const json_t *list = json_object_get(answer, "buildpacks"), *v;
	const char *url = json_string_value(json_object_get(answer, "BUILDPACK_URL"));
	size_t i;

	if (c->json) {
		out_json(answer);
		return 0;
	}
	if (!c->quiet)
		printf("=====> %s buildpacks\n", c->app);
	json_array_foreach (list, i, v)
		printf("       %zu. %s\n", i + 1, json_string_value(v));
	if (!json_array_size(list) && !c->quiet)
		printf("       none set: %s\n",
			url && *url
				? url
				: "what .buildpacks or app.json names, else what fits");
	return 0;
}

int cmd_buildpacks_list(struct cli *c)
{
	json_t *answer;
	int r = api_json(c, "GET", NULL, &answer, "/v1/apps/%s/buildpacks", c->app);

	return r ? r : show(c, answer);
}

int cmd_buildpacks(struct cli *c)
{
	json_t *body = json_object(), *list = args_list(c), *answer;
	bool clear = strcmp(c->cmd->param, "clear") == 0;
	uint64_t index;

	if (!list)
		return STATUS_USAGE;
	json_object_set_new(body, c->cmd->param, clear ? json_true() : list);
	if (clear)
		json_decref(list);
	if (c->options[OPT_INDEX]) {
		if (num_parse_u64(c->options[OPT_INDEX], 1, 16, &index) < 0)
			return say_usage(c, "--index is a place from 1 to 16");
		json_object_set_new(body, "index", json_integer((json_int_t)index));
	}
	int r = api_json(c, "PATCH", body, &answer, "/v1/apps/%s/buildpacks", c->app);
	if (r || (c->quiet && !c->json))
		return r;
	return show(c, answer);
}

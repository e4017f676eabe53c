/* What takes the disk. */
#include "cli/cli.h"

#include <stdio.h>

static void print_apps(const struct cli *c, const json_t *apps)
{
	static const struct column columns[] = {{"APP", "app"}, {"LAYERS", "layer_bytes"},
		{"GIT", "git_bytes"}, {"CACHES", "cache_bytes"}, {"LOGS", "log_bytes"},
		{"VOLUMES", "volume_bytes"}, {"SCRATCH", "scratch_bytes"},
		{"TOTAL", "total_bytes"}, {"SHARED", "shared_bytes"}};

	out_list(c, columns, ARRAY_LEN(columns), apps);
}

#define ALWAYS                                                                           \
	4 /* so many at the end are shown in any case, others when there is a byte */

static void print_host(const struct cli *c, const json_t *host)
{
	static const char *const header[] = {"WHAT", "SIZE"};
	static const struct {
		const char *key, *words;
	} rows[] = {
		{"apps_bytes", "apps, as above"},
		{"shared_bytes", "layers of several apps"},
		{"base_bytes", "base images"},
		{"tagged_bytes", "tagged and imported images"},
		{"unneeded_bytes", "layers that nothing needs"},
		{"unfinished_bytes", "builds under way"},
		{"volume_bytes", "volumes of no app"},
		{"snapshot_bytes", "snapshots, in the volumes' sizes"},
		{"scratch_bytes", "scratch of no app"},
		{"gone_bytes", "of apps that are gone"},
		{"database_bytes", "database and keys"},
		{"removing_bytes", "being removed"},
		{"other_bytes", "other"},
		{"total_bytes", "all of berth"},
		{"prunable_bytes", "images:prune would free"},
		{"budget_used_bytes", "layers and caches, of the budget"},
		{"budget_bytes", "budget of layers and caches"},
		{"disk_bytes", "disk"},
		{"free_bytes", "free"},
		{"reserve_bytes", "kept free for what runs"},
		{"room_bytes", "room for builds"},
	};
	struct table t;

	table_init(&t, c, ARRAY_LEN(header), header);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const json_t *v = json_object_get(host, rows[i].key);

		if (i >= ARRAY_LEN(rows) - ALWAYS || json_integer_value(v) > 0)
			table_add(&t, (const char *const[]){rows[i].words, out_size(v)});
	}
	table_print(&t);
	if (json_is_true(json_object_get(host, "partial")))
		puts("There is more: not all could be counted.");
}

int cmd_disk_report(struct cli *c)
{
	json_t *answer;
	char title[128];
	int r;

	if (c->app) {
		r = api_json(c, "GET", NULL, &answer, "/v1/apps/%s/disk", c->app);
		snprintf(title, sizeof(title), "%s disk information", c->app);
		return r ? r : out_answer(c, title, answer);
	}
	r = api_json(c, "GET", NULL, &answer, "/v1/disk");
	if (r)
		return r;
	if (c->report_key)
		return out_report_key(c, json_object_get(answer, "host"));
	if (c->json) {
		out_json(answer);
		return 0;
	}
	print_apps(c, json_object_get(answer, "apps"));
	if (!json_object_get(answer, "host"))
		return 0; /* not for who may not see all apps */
	putchar('\n');
	print_host(c, json_object_get(answer, "host"));
	return 0;
}

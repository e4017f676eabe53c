/* Volumes. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

int cmd_volumes_create(struct cli *c)
{
	json_t *answer, *body = json_pack("{s:s, s:s*}", "name", c->argv[0], "size",
				c->options[OPT_SIZE]);
	int r = api_json(c, "POST", body, &answer, "/v1/volumes");

	if (r)
		return r;
	if (c->json)
		out_json(answer);
	else if (!c->quiet)
		printf("-----> Created volume %s\n       to use it: berth volumes:mount "
		       "APP %s:/PATH\n",
			c->argv[0], c->argv[0]);
	return 0;
}

int cmd_volumes_resize(struct cli *c)
{
	json_t *answer;
	int r = api_json(c, "POST", json_pack("{s:s}", "size", c->argv[1]), &answer,
		"/v1/volumes/%s/resize", api_word(c->argv[0]));

	if (r)
		return r;
	if (c->json)
		out_json(answer);
	else if (!c->quiet)
		printf("-----> Volume %s has %s%s\n", c->argv[0],
			out_size(json_object_get(answer, "size_bytes")),
			json_is_true(json_object_get(answer, "later"))
				? " once all that have it mounted were stopped at the "
				  "same "
				  "time (ps:stop, ps:start): this host lets no berthd "
				  "without "
				  "CAP_SYS_RESOURCE grow it while it is mounted"
				: "");
	return 0;
}

/* "blog:/data:ro (worker)" for each. */
static void add_mounts(struct buf *out, const json_t *volume)
{
	const json_t *m;
	size_t i;

	json_array_foreach (json_object_get(volume, "mounts"), i, m) {
		const char *type = out_member(m, "process_type");

		buf_addf(out, "%s%s:%s%s", i ? " " : "", out_member(m, "app"),
			out_member(m, "path"),
			json_is_true(json_object_get(m, "read_only")) ? ":ro" : "");
		if (type[0])
			buf_addf(out, " (%s)", type);
	}
}

/* usage: folders are counted, too, which takes its time. */
static int get_volumes(struct cli *c, bool usage, const char *name, json_t **ret)
{
	return api_json(c, "GET", NULL, ret, "/v1/volumes?%s%s%s%s%s%s",
		usage ? "usage=1&" : "", c->app ? "app=" : "", c->app ? c->app : "",
		c->app ? "&" : "", name ? "name=" : "", name ? api_word(name) : "");
}

static void add_volume(struct table *t, const json_t *volume)
{
	autobuf mounts = BUF_INIT;

	add_mounts(&mounts, volume);
	table_add(t, (const char *const[]){out_member(volume, "name"),
			     out_member(volume, "app"),
			     out_size(json_object_get(volume, "size_bytes")),
			     out_size(json_object_get(volume, "used_bytes")), mounts.data,
			     out_member(volume, "created")});
}

int cmd_volumes_list(struct cli *c)
{
	static const char *const header[] = {
		"NAME", "APP", "SIZE", "USED", "MOUNTS", "CREATED"};
	json_t *list;
	int r = get_volumes(c, false, NULL, &list);

	return r ? r : out_rows(c, header, ARRAY_LEN(header), list, add_volume);
}

/* The list as an object by name: what a report shows. */
int cmd_volumes_report(struct cli *c)
{
	json_t *list, *volume, *report;
	char title[128];
	size_t i;
	int r = get_volumes(c, true, NULL, &list);

	if (r)
		return r;
	report = json_object();
	json_array_foreach (list, i, volume) {
		autobuf text = BUF_INIT;

		add_mounts(&text, volume);
		buf_addf(&text, ", %s", out_size(json_object_get(volume, "used_bytes")));
		if (json_is_integer(json_object_get(volume, "size_bytes")))
			buf_addf(&text, " of %s",
				out_size(json_object_get(volume, "size_bytes")));
		json_object_set_new(report, out_member(volume, "name"),
			json_string(text.data ? text.data : ""));
	}
	json_decref(list);
	snprintf(title, sizeof(title), "%s volumes information", c->app);
	r = out_answer(c, title, report);
	json_decref(report);
	return r;
}

static void add_usage(struct table *t, const json_t *volume)
{
	const char *problem = out_member(volume, "problem");

	table_add(t, (const char *const[]){out_member(volume, "name"),
			     out_size(json_object_get(volume, "used_bytes")),
			     out_size(json_object_get(volume, "size_bytes")),
			     out_member(volume, "files"), out_member(volume, "files_max"),
			     problem[0] ? problem : out_member(volume, "backing")});
}

int cmd_volumes_usage(struct cli *c)
{
	static const char *const header[] = {
		"NAME", "USED", "SIZE", "FILES", "FILES MAX", "ON"};
	json_t *list;
	int r = get_volumes(c, true, c->argc ? c->argv[0] : NULL, &list);

	return r ? r : out_rows(c, header, ARRAY_LEN(header), list, add_usage);
}

/* NAME:PATH[:ro] or NAME PATH; cuts the word. */
static int mount_words(struct cli *c, char **name, char **path, bool *read_only)
{
	size_t len;

	*name = c->argv[0];
	*path = c->argc > 1 ? c->argv[1] : strchr(*name, ':');
	*read_only = c->options[OPT_READ_ONLY] != NULL;
	if (!*path)
		return 0;
	if (c->argc == 1)
		*(*path)++ = 0;
	len = strlen(*path);
	if (len > 3 && strcmp(*path + len - 3, ":ro") == 0) {
		(*path)[len - 3] = 0;
		*read_only = true;
	}
	return 0;
}

int cmd_volumes_mount(struct cli *c)
{
	char *name, *path;
	bool read_only;

	mount_words(c, &name, &path, &read_only);
	if (!path || path[0] != '/')
		return say_usage(c,
			"which path inside the app? An absolute one: berth volumes:mount "
			"%s %s:/data",
			c->app, name);
	return api_stream(c, "POST",
		json_pack("{s:s, s:s, s:b, s:s*}", "app", c->app, "path", path,
			"read_only", read_only, "process_type",
			c->options[OPT_PROCESS_TYPE]),
		"/v1/volumes/%s/mount", api_word(name));
}

int cmd_volumes_unmount(struct cli *c)
{
	char *name, *path;
	bool read_only;
	json_t *body;

	mount_words(c, &name, &path, &read_only);
	body = json_pack("{s:s}", "app", c->app);
	if (path)
		json_object_set_new(body, "path", json_string(path));
	return api_stream(c, "POST", body, "/v1/volumes/%s/unmount", api_word(name));
}

int cmd_volumes_destroy(struct cli *c)
{
	const char *name = c->argv[0];
	int r = confirm(c, "volume", name);

	if (!r)
		r = api_stream(c, "DELETE", NULL, "/v1/volumes/%s?confirm=%s",
			api_word(name), api_word(name));
	if (!r && !c->quiet && !c->json)
		printf("-----> Destroyed volume %s and its snapshots\n", name);
	return r;
}

/* Images: what there is, what it is made of, names for it, and what may go. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int cmd_images_list(struct cli *c)
{
	static const struct column columns[] = {{"IMAGE", "name"}, {"USE", "use"},
		{"LAYERS", "layers"}, {"SIZE", "size"}, {"CREATED", "created"}};
	json_t *list;
	int r = c->app ? api_json(c, "GET", NULL, &list, "/v1/images?app=%s", c->app)
		       : api_json(c, "GET", NULL, &list, "/v1/images");

	return r ? r : out_list(c, columns, ARRAY_LEN(columns), list);
}

static void add_layer(struct table *t, const json_t *row)
{
	char digest[24]; /* sha256:0123456789ab, as people compare them */

	snprintf(digest, sizeof(digest), "%.19s", out_member(row, "digest"));
	table_add(t,
		(const char *const[]){out_member(row, "id"), out_member(row, "made_by"),
			out_size(json_object_get(row, "size")), digest,
			out_member(row, "created")});
}

static int layer_table(const struct cli *c, const json_t *layers)
{
	static const char *const header[] = {
		"LAYER", "MADE BY", "SIZE", "DIGEST", "CREATED"};

	return out_rows(c, header, ARRAY_LEN(header), layers, add_layer);
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
	if (c->json) {
		out_json(answer);
		return 0;
	}
	return layer_table(c, json_object_get(answer, "layers"));
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

/* ---- differences ---- */

/* "+ path (size)" and so on. */
static void show_list(const json_t *list, const char *mark, const char *name,
	const char *a, const char *b, bool sizes)
{
	json_t *row;
	size_t i;

	json_array_foreach ((json_t *)(uintptr_t)list, i, row) {
		const json_t *x = json_object_get(row, a), *y = json_object_get(row, b);
		const char *was = sizes ? out_size(x) : out_line(x);
		const char *now = sizes ? out_size(y) : out_line(y);
		const char *what =
			out_line(json_is_string(row) ? row : json_object_get(row, name));

		if (json_is_string(row))
			printf("  %s %s\n", mark, what);
		else if (b)
			printf("  %s %s  %s -> %s\n", mark, what, was, now);
		else
			printf("  %s %s  %s\n", mark, what, was);
	}
}

static void show_part(const char *title, const json_t *part, const char *name,
	const char *value, bool sizes)
{
	const json_t *added = json_object_get(part, "added");
	const json_t *removed = json_object_get(part, "removed");
	const json_t *changed = json_object_get(part, "changed");
	const json_t *counts = json_object_get(part, "counts");

	if (!json_array_size(added) && !json_array_size(removed) &&
		!json_array_size(changed))
		return;
	printf("%s\n", title);
	show_list(added, "+", name, value, NULL, sizes);
	show_list(removed, "-", name, value, NULL, sizes);
	show_list(changed, "~", name, "from", "to", sizes);
	if (counts)
		printf("  %s added, %s removed, %s changed\n",
			out_member(counts, "added"), out_member(counts, "removed"),
			out_member(counts, "changed"));
}

static int show_diff(struct cli *c, const json_t *answer)
{
	if (c->json) {
		out_json(answer);
		return 0;
	}
	show_part("files", json_object_get(answer, "files"), "path", "size", true);
	show_part("packages", json_object_get(answer, "packages"), "name", "version",
		false);
	show_part("config", json_object_get(answer, "config"), "", "", false);
	show_part("processes", json_object_get(answer, "processes"), "name", "", false);
	return 0;
}

int cmd_releases_diff(struct cli *c)
{
	json_t *answer;
	int r = api_json(c, "GET", NULL, &answer, "/v1/apps/%s/diff?from=%s&to=%s",
		c->app, api_word(c->argv[0]), api_word(c->argv[1]));

	return r ? r : show_diff(c, answer);
}

int cmd_images_diff(struct cli *c)
{
	json_t *answer;
	int r = api_json(c, "GET", NULL, &answer, "/v1/images/diff?from=%s&to=%s",
		api_word(c->argv[0]), api_word(c->argv[1]));

	return r ? r : show_diff(c, answer);
}

/* ---- export ---- */

/* Standard output becomes a new file beside the wanted one. */
static int open_output(struct cli *c, const char *path, char *temp, size_t size)
{
	if (c->over_ssh)
		return say_usage(c,
			"--to names a file of the host: here, send the output "
			"into a file with >");
	if (snprintf(temp, size, "%s.part", path) >= (int)size)
		return say_usage(c, "the name is too long: %.40s...", path);
	int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0) {
		say("cannot write %s: %s", temp, strerror(errno));
		return STATUS_FAILED;
	}
	close(fd);
	return 0;
}

int cmd_images_export(struct cli *c)
{
	const char *to = c->options[OPT_TO];
	autobuf name = BUF_INIT;
	char temp[4096];
	int r = to ? open_output(c, to, temp, sizeof(temp)) : 0;

	if (!r && !to && isatty(STDOUT_FILENO))
		r = say_usage(
			c, "an archive is no text: send it into a file with >, or --to");
	if (r)
		return r;
	buf_adds(&name, c->argv[0]);
	if (c->argc > 1)
		buf_addf(&name, ":%s", c->argv[1]);
	r = run_upgrade(c, "/v1/images/export",
		json_pack("{s:s, s:s, s:s*}", "image", name.data, "format",
			c->format ? c->format : "oci", "compress",
			c->options[OPT_COMPRESS]),
		false);
	if (to && (r ? unlink(temp) : rename(temp, to)) < 0) {
		say("cannot %s %s: %s", r ? "remove" : "make", r ? temp : to,
			strerror(errno));
		r = STATUS_FAILED;
	}
	return r;
}

/* ---- import ---- */

int images_open(const char *path)
{
	struct stat st;
	int fd autoclose = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return folder_open(path);
	return dup2(fd, STDIN_FILENO) < 0 ? -errno : 0;
}

int images_input(struct cli *c, const char *path)
{
	int r;

	if (strcmp(path, "-") == 0)
		return isatty(STDIN_FILENO) ? say_usage(c, "an archive is no text: give "
							   "a file, or send one "
							   "into standard input with <")
					    : 0;
	if (c->over_ssh)
		return say_usage(c,
			"%s would be a file of the host: here, use - and send it with <",
			path);
	r = images_open(path);
	if (r == 0)
		return 0;
	say("cannot read %s: %s", path, strerror(-r));
	return STATUS_FAILED;
}

/* ["a", "b"], or a line for a shell. NULL: wrong, said. */
static json_t *command_words(struct cli *c, const char *text)
{
	json_t *v = text[0] == '[' ? json_loads(text, 0, NULL)
				   : json_pack("[s, s, s]", "/bin/sh", "-c", text);

	if (json_is_array(v))
		return v;
	say_usage(c, "--cmd is a line for a shell, or a list such as '[\"/bin/serve\", "
		     "\"-v\"]'");
	json_decref(v);
	return NULL;
}

static void add_text(json_t *body, const char *key, const char *value)
{
	if (value)
		json_object_set_new(body, key, json_string(value));
}

int cmd_images_import(struct cli *c)
{
	json_t *body = json_object(), *env = json_array();
	int r = images_input(c, c->argv[0]);

	if (r)
		return r;
	add_text(body, "name", c->options[OPT_AS]);
	add_text(body, "workdir", c->options[OPT_WORKDIR]);
	add_text(body, "user", c->options[OPT_USER]);
	for (size_t i = 0; i < c->n_env; i++) {
		json_t *text = json_string(c->env[i]);

		if (!text || !strchr(c->env[i], '='))
			return say_usage(c, "'%.80s' is not KEY=VALUE", c->env[i]);
		json_array_append_new(env, text);
	}
	if (c->n_env)
		json_object_set(body, "env", env);
	if (c->options[OPT_CMD]) {
		json_t *words = command_words(c, c->options[OPT_CMD]);

		if (!words)
			return STATUS_USAGE;
		json_object_set_new(body, "cmd", words);
	}
	return run_upgrade(c, "/v1/images/import", body, false);
}

/* ---- registries ---- */

int cmd_images_pull(struct cli *c)
{
	json_t *body = json_pack("{s:s}", "image", c->argv[0]);

	add_text(body, "name", c->options[OPT_AS]);
	return api_stream(c, "POST", body, "/v1/images/pull");
}

/* An image that is called as it is in a registry goes there. */
int cmd_images_push(struct cli *c)
{
	return api_stream(c, "POST",
		json_pack("{s:s, s:s}", "image", c->argv[0], "to",
			c->argv[c->argc > 1 ? 1 : 0]),
		"/v1/images/push");
}

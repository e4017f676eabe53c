/* `berth-build json`: values out of a JSON file, for the packs' shell scripts. */
#include "buildpacks/command.h"
#include "lib/buf.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* A package.json is a few kB, what a registry says of a package some MB. */
#define JSON_FILE_MAX ((size_t)64 << 20)

/* One line whatever the value holds. */
static void add_text(struct buf *out, const char *s)
{
	for (; *s; s++)
		buf_add(out, (unsigned char)*s < 0x20 ? " " : s, 1);
}

static void add_scalar(struct buf *out, const json_t *v)
{
	if (json_is_string(v))
		add_text(out, json_string_value(v));
	else if (json_is_integer(v))
		buf_addf(out, "%lld", (long long)json_integer_value(v));
	else if (json_is_boolean(v))
		buf_adds(out, json_is_true(v) ? "true" : "false");
	else if (json_is_object(v))
		buf_adds(out, "{}");
	else if (json_is_array(v))
		buf_adds(out, "[]");
}

static void add_all(struct buf *out, json_t *v, bool keys)
{
	const char *key;
	json_t *item;

	json_object_foreach (v, key, item) {
		if (keys)
			add_text(out, key);
		else
			add_scalar(out, item);
		buf_adds(out, " ");
	}
}

/*
 * path is "a/b"; a last part "*" gives all values of an object, "@" its keys,
 * blank-separated. Missing: an empty line.
 */
static void add_path(struct buf *out, json_t *v, char *path)
{
	for (char *save, *s = strtok_r(path, "/", &save); s && v;
		s = strtok_r(NULL, "/", &save)) {
		if (strcmp(s, "*") == 0 || strcmp(s, "@") == 0) {
			add_all(out, v, *s == '@');
			v = NULL;
		} else {
			v = json_object_get(v, s);
		}
	}
	if (v)
		add_scalar(out, v);
	buf_adds(out, "\n");
}

static int complain(const char *fmt, ...) PRINTF(1, 2);
static int complain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	return 1;
}

/*
 * Prints one line per path. On failure prints one line "error: sentence" to stdout, as
 * bin/plan would, and returns 1.
 */
int command_json(int argc, char **argv)
{
	autobuf text = {.max = JSON_FILE_MAX};
	autobuf out = BUF_INIT;
	json_error_t je;
	int fd autoclose = open(argv[1], O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	const char *base = strrchr(argv[1], '/') ? strrchr(argv[1], '/') + 1 : argv[1];
	int r = fd < 0 ? -errno : io_read_all(fd, &text);

	if (r < 0)
		return complain("error: cannot read %s: %s\n", base, strerror(-r));
	size_t bom = text.len >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
	json_t *root =
		json_loadb(text.len ? text.data + bom : "", text.len - bom, 0, &je);
	if (!root)
		return complain("error: %s is not valid JSON: line %d, column %d: %s\n",
			base, je.line, je.column, je.text);
	if (!json_is_object(root)) {
		json_decref(root);
		return complain("error: %s must hold one JSON object\n", base);
	}
	for (int i = 2; i < argc; i++)
		add_path(&out, root, argv[i]);
	json_decref(root);
	return out.failed ||
	       io_write_all(STDOUT_FILENO, out.len ? out.data : "", out.len) < 0;
}

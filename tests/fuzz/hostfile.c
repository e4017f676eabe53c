/* The file of `berth apply`: it is refused, or all of it is in its form, and each value has a line. */
#include "tests/fuzz/fuzz.h"

#include "cli/cli.h"
#include "cli/hostfile.h"

#include <stdarg.h>

/* In the place of cli/say.c: what is refused is said often here. */
void say(const char *fmt, ...)
{
	char text[4096];
	va_list ap;

	va_start(ap, fmt);
	CHECK(vsnprintf(text, sizeof(text), fmt, ap) > 0);
	va_end(ap);
}

/* Of references, which are not followed here. */
json_t *api_value(const char *s)
{
	return json_string(s);
}

struct look {
	struct hostfile *f;
	const char *path[HOSTFILE_DEPTH];
	unsigned int lines;
};

/* Not before what it is in, and within the text. */
static void check_lines(struct look *l, json_t *v, size_t n, unsigned int least)
{
	unsigned int line = hostfile_line(l->f, l->path, n);
	const char *key;
	json_t *sub;
	size_t i;

	CHECK(line >= least && line <= l->lines);
	if (n == HOSTFILE_DEPTH)
		return;
	json_object_foreach (v, key, sub) {
		l->path[n] = key;
		check_lines(l, sub, n + 1, line);
	}
	json_array_foreach (v, i, sub) {
		char index[24];

		snprintf(index, sizeof(index), "%zu", i);
		l->path[n] = index;
		check_lines(l, sub, n + 1, line);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hostfile f = {.name = "host.json", .raw = size % 2};
	struct look l = {.f = &f, .lines = 1};
	char *text = text_of(data, size);

	for (const char *p = text; *p; p++)
		l.lines += *p == '\n';
	if (hostfile_parse(&f, text) == 0)
		check_lines(&l, f.root, 0, 1);
	json_decref(f.root);
	free(f.text);
	return 0;
}

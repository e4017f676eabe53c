/* dpkg's status file. */
#include "buildpacks/image/dpkg.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

struct package {
	char name[128], version[128], status[128];
	const char *text; /* its paragraph, without the empty line */
	size_t len;
};

/* The rest of the line when it begins with field. */
static void take_field(const char *line, size_t len, const char *field, char out[128])
{
	size_t n = strlen(field);

	if (len > n && strncmp(line, field, n) == 0)
		snprintf(out, 128, "%.*s", (int)(len - n), line + n);
}

/* The next paragraph of *at; false at the end. */
static bool next(const char **at, struct package *p)
{
	const char *s = *at;

	while (*s == '\n')
		s++;
	*p = (struct package){.text = s};
	while (*s && *s != '\n') {
		size_t len = strcspn(s, "\n");

		take_field(s, len, "Package: ", p->name);
		take_field(s, len, "Version: ", p->version);
		take_field(s, len, "Status: ", p->status);
		s += len + (s[len] == '\n');
	}
	p->len = (size_t)(s - p->text);
	*at = s;
	return p->len > 0;
}

static json_t *installed(const char *text)
{
	json_t *all = json_object();
	struct package p;

	while (next(&text, &p))
		if (p.name[0] && strcmp(p.status, "install ok installed") == 0)
			json_object_set_new(all, p.name, json_string(p.version));
	return all;
}

json_t *dpkg_packages(const char *root)
{
	char path[PATH_MAX];
	autobuf b = {.max = DPKG_STATUS_MAX};

	snprintf(path, sizeof(path), "%s/" DPKG_STATUS, root);
	if (io_read_file(AT_FDCWD, path, &b) < 0 || !b.data)
		return json_object();
	return installed(b.data);
}

static const char *version_of(const json_t *packages, const char *name)
{
	return json_string_value(json_object_get(packages, name));
}

static int check(
	const json_t *base, const json_t *next_one, const json_t *image, struct err *e)
{
	const char *name;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)base, name, v) {
		const char *now = version_of(image, name);

		if (!now || strcmp(now, json_string_value(v)) != 0)
			return err_set(e, EEXIST, "%s %s of the base was %s%s above it",
				name, json_string_value(v),
				now ? "replaced by " : "removed", now ? now : "");
	}
	json_object_foreach ((json_t *)(uintptr_t)next_one, name, v) {
		const char *now = version_of(image, name);

		if (!version_of(base, name) && now &&
			strcmp(now, json_string_value(v)) != 0)
			return err_set(e, EEXIST,
				"%s is in the new base in version %s, and above it in "
				"version %s",
				name, json_string_value(v), now);
	}
	return 0;
}

int dpkg_rebase(const char *base, const char *next_text, const char *image,
	struct buf *ret, struct err *e)
{
	json_t *of_base = installed(base), *of_next = installed(next_text),
	       *of_image = installed(image);
	struct package p;
	int r = check(of_base, of_next, of_image, e);

	if (r == 0)
		buf_adds(ret, next_text);
	while (r == 0 && next(&image, &p)) {
		/* also those of which only the configuration is left */
		if (!version_of(of_base, p.name) && !version_of(of_next, p.name)) {
			if (ret->len && ret->data[ret->len - 1] != '\n')
				buf_adds(ret, "\n");
			buf_adds(ret, "\n");
			buf_add(ret, p.text, p.len);
		}
	}
	if (r == 0 && ret->failed)
		r = err_set(e, ENOMEM, "out of memory");
	json_decref(of_base);
	json_decref(of_next);
	json_decref(of_image);
	return r;
}

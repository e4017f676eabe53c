/* The built-in buildpacks: which one fits, and what it plans. */
#include "buildpacks/plan/pack.h"
#include "buildpacks/run.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

bool pack_name_valid(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && n < 32 && s[n] == '\0' && s[0] != '-';
}

bool pack_has(const char *pack, const char *file, char out[256])
{
	struct stat st;

	snprintf(out, 256, "%s/%s/%s", PACKS_DIR, pack, file);
	return stat(out, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

/* The next line of *at, cut out of it; blank lines and comments skipped. NULL at the end.
 */
static char *next_line(char **at)
{
	while (*at && **at) {
		char *line = *at, *nl = strchr(line, '\n');
		*at = nl ? nl + 1 : NULL;
		if (nl)
			*nl = '\0';
		line += strspn(line, " \t");
		size_t n = strlen(line);
		while (n > 0 && strchr(" \t\r", line[n - 1]))
			line[--n] = '\0';
		if (n > 0 && *line != '#')
			return line;
	}
	return NULL;
}

static int read_text(const char *path, struct buf *b)
{
	b->max = 64u << 10;
	int r = io_read_file(AT_FDCWD, path, b);
	return r < 0 ? r : buf_add(b, "", 0);
}

enum fit { FIT_NO, FIT_ASK, FIT_YES };

/*
 * What the pack's detect-files says: FIT_NO when none of its files is in the tree;
 * FIT_YES when one is and a line "name: X" (copied to name) spares bin/detect; FIT_ASK
 * otherwise, and without such a file.
 */
static enum fit may_fit(struct plan *p, int app, const char *pack, char name[64])
{
	autobuf text = BUF_INIT;
	autobuf wanted = BUF_INIT;
	char path[256];
	bool found = false;

	name[0] = '\0';
	snprintf(path, sizeof(path), "%s/%s/detect-files", PACKS_DIR, pack);
	if (read_text(path, &text) < 0)
		return FIT_ASK;
	for (char *at = text.data, *line; (line = next_line(&at));) {
		if (strncmp(line, "name: ", 6) == 0) {
			snprintf(name, 64, "%s", line + 6);
			continue;
		}
		found = found || faccessat(app, line, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
		buf_addf(&wanted, "%s%s", wanted.len ? ", " : "", line);
	}
	if (!found && !wanted.failed && wanted.len) {
		buf_addf(&wanted, " (%s)", pack);
		json_array_append_new(p->looked_for, json_string(wanted.data));
	}
	return !found ? FIT_NO : name[0] ? FIT_YES : FIT_ASK;
}

static void set_name(struct plan *p, const char *pack, const struct buf *out)
{
	int n = out->len ? (int)strcspn(out->data, "\r\n") : 0;

	snprintf(p->pack, sizeof(p->pack), "%s", pack);
	snprintf(p->name, sizeof(p->name), "%.*s", n, n ? out->data : "");
	if (!p->name[0])
		snprintf(p->name, sizeof(p->name), "%s", pack);
}

/* 1 the pack takes the tree, 0 not, -errno. */
static int ask(struct plan *p, const char *pack, struct err *e)
{
	autobuf out = {.max = PACK_OUTPUT_MAX};
	char path[256];

	if (!pack_has(pack, "bin/detect", path))
		return 0;
	int r = run_program((const char *const[]){path, APP_DIR, NULL}, APP_DIR, &out, e);
	if (r < 0)
		return r;
	if (r == 0)
		set_name(p, pack, &out);
	return r == 0;
}

static int force(struct plan *p, const char *pack, struct err *e)
{
	autobuf none = BUF_INIT;
	char path[256];

	if (!pack_name_valid(pack) || !pack_has(pack, "bin/detect", path)) {
		plan_fail(p, "there is no buildpack named %s", pack);
		return 0;
	}
	int r = ask(p, pack, e);
	if (r == 0)
		set_name(p, pack, &none);
	return r < 0 ? r : 0;
}

#define CLASSIC "classic" /* the pack that runs those that the app names */

int pack_detect(struct plan *p, const char *forced, struct err *e)
{
	char path[256];
	autobuf order = BUF_INIT;
	int app autoclose = open(APP_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (app < 0)
		return err_sys(e, errno, "cannot open %s", APP_DIR);
	if (forced && *forced) {
		bool one = pack_name_valid(forced) && pack_has(forced, "bin/plan", path);
		return force(p, one ? forced : CLASSIC, e);
	}
	int r = read_text(PACKS_DIR "/order", &order);
	if (r < 0)
		return err_sys(e, -r, "cannot read %s/order", PACKS_DIR);
	for (char *at = order.data, *pack; (pack = next_line(&at));) {
		char name[64];
		enum fit fit =
			pack_name_valid(pack) ? may_fit(p, app, pack, name) : FIT_NO;
		if (fit == FIT_YES) {
			struct buf known = {.data = name, .len = strlen(name)};
			set_name(p, pack, &known);
			return 0;
		}
		r = fit == FIT_ASK ? ask(p, pack, e) : 0;
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return 0;
}

/* [a-z0-9][a-z0-9+.-]+ (Debian policy 5.6.7), with an optional ":arch" or "=version" left
 * out on purpose. */
static bool package_valid(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789+.-");

	return n > 1 && n < 128 && s[n] == '\0' && s[0] != '-' && s[0] != '+' &&
	       s[0] != '.';
}

static void add_apt_file(struct plan *p, int app)
{
	autobuf text = BUF_INIT;
	int fd autoclose =
		openat(app, "apt.txt", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	text.max = 64u << 10;
	if (fd < 0 || io_read_all(fd, &text) < 0 || text.len == 0)
		return;
	for (char *at = text.data, *line; (line = next_line(&at));) {
		char *comment = strchr(line, '#');
		if (comment)
			*comment = '\0';
		for (char *save, *s = strtok_r(line, " \t", &save); s;
			s = strtok_r(NULL, " \t", &save)) {
			if (!package_valid(s)) {
				plan_fail(p,
					"apt.txt: %.100s is not the name of a Debian "
					"package",
					s);
				return;
			}
			p->has_toolchain = true;
			p->build_only = false; /* for the app, as far as we know */
			buf_addf(&p->toolchain, "apt %s\n", s);
		}
	}
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted and each once: the order in which packages are named is no reason for another
 * layer. */
static void sort_lines(struct buf *b)
{
	autobuf out = BUF_INIT;
	char *lines[1024];
	size_t n = 0;

	for (char *at = b->data, *line; n < ARRAY_LEN(lines) && (line = next_line(&at));)
		lines[n++] = line;
	qsort(lines, n, sizeof(lines[0]), compare);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(lines[i], lines[i - 1]) != 0)
			buf_addf(&out, "%s\n", lines[i]);
	struct buf old = *b;
	*b = out;
	out = old;
}

/* control adds the content of these files to the key; those that do not exist are not its
 * business. */
static void drop_missing_files(struct plan *p, int app)
{
	struct stat st;

	for (size_t i = json_array_size(p->files); i-- > 0;) {
		const char *name = json_string_value(json_array_get(p->files, i));
		if (name[0] == '/' || strstr(name, "..") ||
			fstatat(app, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			!S_ISREG(st.st_mode))
			json_array_remove(p->files, i);
	}
}

static void complete(struct plan *p, int app)
{
	add_apt_file(p, app);
	sort_lines(&p->toolchain);
	drop_missing_files(p, app);
}

static bool has_profile(int app)
{
	return faccessat(app, ".profile.d", F_OK, 0) == 0 ||
	       faccessat(app, ".profile", F_OK, 0) == 0;
}

int pack_plan(struct plan *p, struct err *e)
{
	autobuf out = {.max = PACK_OUTPUT_MAX};
	int app autoclose = open(APP_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char path[256];

	if (app < 0)
		return err_sys(e, errno, "cannot open %s", APP_DIR);
	p->profile_d = has_profile(app);
	if (!pack_has(p->pack, "bin/plan", path)) {
		p->compile = true; /* a classic buildpack says nothing before it has
				      compiled */
		complete(p, app);
		return 0;
	}
	int r = run_program((const char *const[]){path, APP_DIR, NULL}, APP_DIR, &out, e);
	if (r > 0 && !out.len)
		return err_set(e, EPROTO,
			"the plan of buildpack %s failed with status %d", p->pack, r);
	if (r >= 0)
		r = plan_add_lines(p, out.data, out.len, e);
	if (r < 0)
		return r;
	complete(p, app);
	return 0;
}

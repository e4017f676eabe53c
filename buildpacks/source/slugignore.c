/* .slugignore: files of the commit that the build and the app do not get. */
#include "buildpacks/source/slugignore.h"
#include "buildpacks/dockerfile/dockerignore.h"
#include "lib/buf.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void warn(json_t *warnings, size_t line, const char *what, const char *text)
{
	char sentence[256];

	snprintf(sentence, sizeof(sentence), SLUGIGNORE_NAME " line %zu: %s: %.100s",
		line, what, text);
	json_array_append_new(warnings, json_string(sentence));
}

/* One line, which is changed. */
static void add(struct slugignore *s, char *line, size_t number, json_t *warnings)
{
	size_t len = strlen(line);

	while (len > 0 && strchr(" \t\r", line[len - 1]))
		line[--len] = '\0';
	if (!len || *line == '#')
		return;
	if (*line == '!') {
		warn(warnings, number, "a ! takes nothing back in", line);
		return;
	}
	if (docker_glob_fault(line)) {
		warn(warnings, number, docker_glob_fault(line), line);
		return;
	}
	bool folder = line[len - 1] == '/';
	while (len > 0 && line[len - 1] == '/')
		line[--len] = '\0';
	bool anchored = strchr(line, '/') != NULL;
	line += strspn(line, "/");
	if (!*line)
		return;
	s->list[s->n].pattern = line;
	s->list[s->n].anchored = anchored;
	s->list[s->n++].folder = folder;
}

int slugignore_parse(
	struct slugignore *s, const char *text, json_t *warnings, struct err *e)
{
	char *rest, *line;
	size_t number = 0;

	*s = (struct slugignore){.text = strdup(text),
		.list = calloc(SLUGIGNORE_PATTERNS_MAX, sizeof(*s->list))};
	if (!s->text || !s->list)
		return err_set(e, ENOMEM, "out of memory");
	rest = s->text;
	while ((line = strsep(&rest, "\n"))) {
		number++;
		if (s->n == SLUGIGNORE_PATTERNS_MAX)
			return err_set(e, E2BIG,
				SLUGIGNORE_NAME " has more than %u lines",
				SLUGIGNORE_PATTERNS_MAX);
		add(s, line, number, warnings);
	}
	return 0;
}

void slugignore_free(struct slugignore *s)
{
	free(s->list);
	free(s->text);
	*s = (struct slugignore){0};
}

bool slugignore_fits(const struct slugignore *s, const char *path, bool folder)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	for (size_t i = 0; i < s->n; i++)
		if ((folder || !s->list[i].folder) &&
			(s->list[i].anchored
					? docker_glob(s->list[i].pattern, path, true)
					: docker_glob(s->list[i].pattern, name, false)))
			return true;
	return false;
}

/* ---- the folder ---- */

static int sweep(const struct slugignore *s, const char *root, struct err *e)
{
	char *copy autofree = strdup(root);
	char *paths[] = {copy, NULL};
	FTS *tree = copy ? fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL) : NULL;
	size_t skip = strlen(root) + 1;
	int n = 0, r = tree ? 0 : -ENOMEM;
	FTSENT *f;

	while (r == 0 && (f = fts_read(tree))) {
		bool folder = f->fts_info == FTS_D;

		if (f->fts_level == 0 || f->fts_info == FTS_DP ||
			!slugignore_fits(s, f->fts_path + skip, folder))
			continue;
		if (folder)
			fts_set(tree, f, FTS_SKIP);
		r = io_remove_tree(AT_FDCWD, f->fts_path);
		n += r == 0;
	}
	if (tree)
		fts_close(tree);
	return r < 0 ? err_sys(e, -r, "leave out what " SLUGIGNORE_NAME " names") : n;
}

int slugignore_apply(const char *root, json_t *warnings, struct err *e)
{
	int dir autoclose = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autobuf text = {.max = SLUGIGNORE_BYTES_MAX};
	struct slugignore s = {0};
	struct stat st;

	if (dir < 0 || fstatat(dir, SLUGIGNORE_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		!S_ISREG(st.st_mode))
		return 0;
	int r = io_read_file(dir, SLUGIGNORE_NAME, &text);
	if (r < 0)
		return err_sys(e, -r, "read " SLUGIGNORE_NAME " (at most %u kB)",
			SLUGIGNORE_BYTES_MAX >> 10);
	buf_add(&text, "", 1);
	r = slugignore_parse(&s, text.data ? text.data : "", warnings, e);
	if (r == 0)
		r = sweep(&s, root, e);
	slugignore_free(&s);
	return r;
}

/*
 * The command line that comes over ssh: words as a shell splits them, quoted again the same
 * ones; a git command is one of two, with an app's name and nothing else.
 */
#include "tests/fuzz/fuzz.h"

#include "lib/buf.h"
#include "receiver/words.h"

#include <errno.h>

/* 'word' for each, with '\'' in place of a quote. */
static void quote(const struct words *w, struct buf *out)
{
	for (size_t i = 0; i < w->argc; i++) {
		buf_adds(out, i ? " '" : "'");
		for (const char *c = w->argv[i]; *c; c++)
			if (*c == '\'')
				buf_adds(out, "'\\''");
			else
				buf_add(out, c, 1);
		buf_adds(out, "'");
	}
}

static void check_git(const struct words *w)
{
	char app[NAME_MAX_LEN + 1] = "";
	enum git_service service = GIT_NONE;
	struct err e = {0};
	int r = words_git(w, &service, app, &e);

	CHECK(r == 1 || r == 0 || (r == -EINVAL && e.text[0]));
	if (r != 1)
		return;
	CHECK(service == GIT_RECEIVE || service == GIT_UPLOAD);
	CHECK(name_valid(app));
	CHECK(w->argc == 2 || w->argc == 3);
	CHECK(strncmp(w->argv[0], "git", 3) == 0 && strstr(w->argv[w->argc - 1], app));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = text_of(data, size);
	struct words w, again;
	struct err e = {0};
	autobuf quoted = BUF_INIT;
	int r = words_split(line, &w, &e);

	CHECK(r == 0 || (e.text[0] && (r == -EINVAL || r == -E2BIG)));
	if (r == 0) {
		CHECK(w.argc <= WORDS_MAX && !w.argv[w.argc]);
		check_git(&w);
		buf_adds(&quoted, "");
		quote(&w, &quoted);
		CHECK(words_split(quoted.data ?: "", &again, &e) == 0);
		CHECK(again.argc == w.argc);
		for (size_t i = 0; i < w.argc; i++)
			CHECK(strcmp(w.argv[i], again.argv[i]) == 0);
		words_free(&again);
		words_free(&w);
	}
	free(line);
	return 0;
}

/* A command line that came over ssh: split into words as a shell would, and the git
 * commands among them. */
#include "receiver/words.h"

#include <errno.h>
#include <string.h>

/* The bytes after a backslash inside double quotes that it quotes; before others it stays
 * itself. */
static bool quotable(char c)
{
	return c == '$' || c == '`' || c == '"' || c == '\\';
}

/* Copies one word from *in to *out, NUL-terminated. *in is at its first byte. */
static int word(const char **in, char **out, struct err *e)
{
	const char *s = *in;
	char *o = *out, quote = 0;

	for (; *s && (quote || !strchr(" \t\r\n", *s)); s++) {
		if (quote && *s == quote) {
			quote = 0;
		} else if (!quote && (*s == '\'' || *s == '"')) {
			quote = *s;
		} else if (*s == '\\' && quote != '\'') {
			if (!s[1] && !quote)
				return err_set(
					e, EINVAL, "the command ends with a backslash");
			if (s[1] == '\n')
				s++;
			else if (s[1] && (!quote || quotable(s[1])))
				*o++ = *++s;
			else
				*o++ = *s;
		} else {
			*o++ = *s;
		}
	}
	if (quote)
		return err_set(e, EINVAL,
			"the command has an opening %c without a closing one", quote);
	*o++ = 0;
	*in = s;
	*out = o;
	return 0;
}

int words_split(const char *line, struct words *ret, struct err *e)
{
	size_t len = strlen(line), max = len / 2 + 2;
	char **argv autofree = NULL;
	size_t argc = 0;
	char *out;

	if (len > WORDS_BYTES_MAX)
		return err_set(e, E2BIG, "the command is longer than %zu kB",
			WORDS_BYTES_MAX >> 10);
	argv = malloc(max * sizeof(*argv) + len + 1);
	if (!argv)
		return err_set(e, ENOMEM, "out of memory");
	out = (char *)(argv + max);
	for (line += strspn(line, " \t\r\n"); *line; line += strspn(line, " \t\r\n")) {
		int r;

		if (argc == WORDS_MAX)
			return err_set(e, E2BIG, "the command has more than %d words",
				WORDS_MAX);
		argv[argc++] = out;
		r = word(&line, &out, e);
		if (r < 0)
			return r;
	}
	argv[argc] = NULL;
	ret->argc = argc;
	ret->argv = TAKE_PTR(argv);
	return 0;
}

void words_free(struct words *w)
{
	free(w->argv);
	*w = (struct words){0};
}

/* "/~/app.git/" -> "app" in a copy of at most size bytes; false when longer. */
static bool strip_path(const char *path, char *out, size_t size)
{
	size_t len;

	path += strncmp(path, "/~/", 3) == 0  ? 3
		: strncmp(path, "~/", 2) == 0 ? 2
					      : *path == '/';
	len = strlen(path);
	if (len > 1 && path[len - 1] == '/')
		len--;
	if (len > 4 && strncmp(path + len - 4, ".git", 4) == 0)
		len -= 4;
	if (len >= size)
		return false;
	memcpy(out, path, len);
	out[len] = 0;
	return true;
}

static int git_command(const char *verb, size_t n_args, const char *path,
	enum git_service *ret, char *app, struct err *e)
{
	if (strcmp(verb, "receive-pack") == 0)
		*ret = GIT_RECEIVE;
	else if (strcmp(verb, "upload-pack") == 0)
		*ret = GIT_UPLOAD;
	else
		return err_set(e, EINVAL,
			"git %.40s is not offered here; push, fetch and clone are", verb);
	if (n_args != 1)
		return err_set(e, EINVAL, "git %s takes one path, the app's name", verb);
	if (!strip_path(path, app, NAME_MAX_LEN + 1) || !name_valid(app))
		return err_set(e, EINVAL,
			"'%.80s' is not an app name: 1 to 63 of a-z, 0-9 and '-', not "
			"starting with '-'",
			path);
	return 1;
}

int words_git(const struct words *w, enum git_service *ret_service,
	char app[NAME_MAX_LEN + 1], struct err *e)
{
	if (w->argc >= 1 && strncmp(w->argv[0], "git-", 4) == 0)
		return git_command(
			w->argv[0] + 4, w->argc - 1, w->argv[1], ret_service, app, e);
	if (w->argc >= 2 && strcmp(w->argv[0], "git") == 0)
		return git_command(
			w->argv[1], w->argc - 2, w->argv[2], ret_service, app, e);
	return 0;
}

/* What an app says about itself: its Procfile. */
#include "control/builds/manifest.h"
#include "lib/name.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static char *trim(char *s)
{
	s += strspn(s, " \t");
	size_t n = strlen(s);
	while (n > 0 && strchr(" \t\r", s[n - 1]))
		s[--n] = '\0';
	return s;
}

/* A '#' after white space starts a comment, unless it stands in quotes. */
static void cut_comment(char *s)
{
	char quote = '\0';

	for (char *p = s; *p; p++) {
		if (quote) {
			if (*p == quote)
				quote = '\0';
		} else if (*p == '\'' || *p == '"') {
			quote = *p;
		} else if (*p == '#' && (p == s || p[-1] == ' ' || p[-1] == '\t')) {
			*p = '\0';
			return;
		}
	}
}

static int parse_line(char *line, unsigned int number, json_t *into, struct err *e)
{
	cut_comment(line);
	line = trim(line);
	if (!*line)
		return 0;
	char *colon = strchr(line, ':');
	if (!colon)
		return err_set(e, EINVAL,
			"Procfile line %u: no colon in \"%.60s\"; a line is `type: "
			"command`",
			number, line);
	*colon = '\0';
	char *type = trim(line), *command = trim(colon + 1);
	if (!name_type_valid(type))
		return err_set(e, EINVAL,
			"Procfile line %u: \"%.60s\" is no process type (letters, "
			"digits, - and _, at most 30)",
			number, type);
	if (!*command)
		return err_set(
			e, EINVAL, "Procfile line %u: %s has no command", number, type);
	if (json_object_get(into, type))
		return err_set(e, EINVAL, "Procfile line %u: %s stands there twice",
			number, type);
	json_t *value = json_string(command);
	if (!value)
		return err_set(e, EINVAL,
			"Procfile line %u: the command is not UTF-8 text", number);
	json_object_set_new(into, type, value);
	return 0;
}

int procfile_parse(const char *text, json_t **ret, struct err *e)
{
	char *copy autofree = strdup(text ? text : "");
	json_t *o = json_object();
	unsigned int number = 0;
	int r = copy && o ? 0 : err_set(e, ENOMEM, "out of memory");

	char *rest = copy;
	if (r == 0 && strncmp(rest, "\xef\xbb\xbf", 3) == 0)
		rest += 3; /* a byte order mark */
	for (char *line; r == 0 && (line = strsep(&rest, "\n"));)
		r = parse_line(line, ++number, o, e);
	if (r < 0) {
		json_decref(o);
		return r;
	}
	*ret = o;
	return 0;
}

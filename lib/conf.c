/* berth.conf: lines of "key = value" that become variables of the environment. */
#include "lib/conf.h"
#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *key, *variable;
} keys[] = {
	{"state", "BERTH_STATE"},
	{"run", "BERTH_RUN"},
	{"http", "BERTH_HTTP"},
	{"https", "BERTH_HTTPS"},
	{"ssh-user", "BERTH_SSH_USER"},
	{"workers", "BERTH_WORKERS"},
	{"cgroup", "BERTH_CGROUP"},
};

static char *trim(char *s)
{
	size_t n;

	s += strspn(s, " \t\r");
	for (n = strlen(s); n > 0 && strchr(" \t\r", s[n - 1]); n--)
		s[n - 1] = '\0';
	return s;
}

static const char *variable_of(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (strcmp(keys[i].key, key) == 0)
			return keys[i].variable;
	return NULL;
}

static int take_line(char *line, const char *path, int number, struct err *e)
{
	char *key = trim(line), *value = strchr(key, '=');
	const char *variable;

	if (!*key || *key == '#')
		return 0;
	if (!value)
		return err_set(e, EINVAL, "%s, line %d: not \"key = value\": \"%.60s\"",
			path, number, key);
	*value++ = '\0';
	key = trim(key);
	value = trim(value);
	variable = variable_of(key);
	if (!variable)
		return err_set(e, EINVAL,
			"%s, line %d: there is no setting \"%.60s\"; berth.conf(5) lists "
			"them",
			path, number, key);
	if (!*value)
		return err_set(e, EINVAL,
			"%s, line %d: \"%s\" has no value; put a # before it for the "
			"default",
			path, number, key);
	return setenv(variable, value, 0) < 0 ? err_sys(e, errno, "setenv") : 0;
}

int conf_parse(char *text, const char *path, struct err *e)
{
	char *rest = text, *line;
	int r = 0;

	for (int number = 1; r == 0 && (line = strsep(&rest, "\n")); number++)
		r = take_line(line, path, number, e);
	return r;
}

int conf_load(struct err *e)
{
	const char *path = getenv("BERTH_CONF");
	autobuf text = {.max = 65536};
	int r;

	if (!path)
		path = CONF_PATH;
	if (!*path)
		return 0;
	r = io_read_file(AT_FDCWD, path, &text);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_sys(e, -r, "cannot read %s", path);
	return text.len ? conf_parse(text.data, path, e) : 0;
}

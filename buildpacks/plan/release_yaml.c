/* What bin/release of a classic buildpack prints: the subset of YAML that buildpacks
 * write there. */
#include "buildpacks/plan/release_yaml.h"
#include <errno.h>
#include <string.h>

enum section { SECTION_OTHER, SECTION_PROCESSES, SECTION_VARS };

static char *trim(char *s)
{
	s += strspn(s, " \t\r");
	for (size_t n = strlen(s); n > 0 && strchr(" \t\r", s[n - 1]); n--)
		s[n - 1] = '\0';
	return s;
}

/* The text of "…" after its first quote, unescaped in place; *ret_end is behind the
 * closing quote. */
static int unquote_double(char *s, char **ret_end)
{
	char *out = s;

	for (; *s && *s != '"'; s++) {
		if (*s == '\\' && s[1]) {
			static const char from[] = "nt\"\\/", to[] = "\n\t\"\\/";
			const char *known = strchr(from, *++s);
			if (!known)
				return -EINVAL;
			*out++ = to[known - from];
		} else {
			*out++ = *s;
		}
	}
	if (*s != '"')
		return -EINVAL;
	*ret_end = s + 1;
	*out = '\0';
	return 0;
}

static int unquote_single(char *s, char **ret_end)
{
	char *out = s;

	for (; *s && (*s != '\'' || s[1] == '\''); s++) {
		s += *s == '\'';
		*out++ = *s;
	}
	if (*s != '\'')
		return -EINVAL;
	*ret_end = s + 1;
	*out = '\0';
	return 0;
}

/* Takes one scalar at s; what follows it (nothing, or a comment) is *ret_rest. */
static int take_scalar(char *s, char **ret_value, char **ret_rest)
{
	s += strspn(s, " \t");
	if (*s == '"' || *s == '\'') {
		*ret_value = s + 1;
		int r = *s == '"' ? unquote_double(s + 1, ret_rest)
				  : unquote_single(s + 1, ret_rest);
		if (r == 0)
			*ret_rest += strspn(*ret_rest, " \t\r");
		return r;
	}
	if (*s &&
		strchr("|>&*!%@`[{",
			*s)) /* block scalars, anchors, tags, flow: not in this subset */
		return -EINVAL;
	char *end = s;
	while (*end && !((*end == ' ' || *end == '\t') && end[1] == '#'))
		end++;
	*ret_rest = end + strlen(end);
	*end = '\0';
	*ret_value = *s == '#' ? *ret_rest : trim(s);
	return 0;
}

static int put(struct plan *p, enum section section, const char *name, const char *value)
{
	if (section == SECTION_VARS)
		return plan_set_env(p, name, value);
	if (section == SECTION_PROCESSES && !json_object_get(p->processes, name))
		return plan_set_process(p, name, value);
	return 0;
}

/* "name: value" at s. */
static int pair(struct plan *p, enum section section, char *s)
{
	char *name, *value, *rest;

	if (*s == '"' || *s == '\'') {
		name = s + 1;
		if ((*s == '"' ? unquote_double(s + 1, &rest)
			       : unquote_single(s + 1, &rest)) < 0)
			return -EINVAL;
		if (*rest != ':')
			return -EINVAL;
		s = rest + 1;
	} else {
		name = s;
		s = strchr(s, ':');
		if (!s || (s[1] && !strchr(" \t", s[1])))
			return -EINVAL;
		*s++ = '\0';
	}
	if (take_scalar(s, &value, &rest) < 0 || (*rest && *rest != '#'))
		return -EINVAL;
	return put(p, section, trim(name), value);
}

/* "{name: value, name: value}" from behind the brace. Values may not hold commas or
 * braces unless quoted. */
static int flow(struct plan *p, enum section section, char *s)
{
	char *end = strrchr(s, '}');

	if (!end || (*trim(end + 1) && *trim(end + 1) != '#'))
		return -EINVAL;
	*end = '\0';
	while (*(s = trim(s))) {
		bool in_double = false, in_single = false;
		char *comma = s;
		for (; *comma && (*comma != ',' || in_double || in_single); comma++) {
			in_double ^= *comma == '"' && !in_single;
			in_single ^= *comma == '\'' && !in_double;
		}
		char *next = *comma ? comma + 1 : comma;
		*comma = '\0';
		if (pair(p, section, trim(s)) < 0)
			return -EINVAL;
		s = next;
	}
	return 0;
}

static enum section section_of(const char *key)
{
	if (strcmp(key, "default_process_types") == 0)
		return SECTION_PROCESSES;
	return strcmp(key, "config_vars") == 0 ? SECTION_VARS : SECTION_OTHER;
}

/* A line that begins in the first column. */
static int top(struct plan *p, char *s, enum section *section)
{
	char *colon = strchr(s, ':');

	if (strncmp(s, "---", 3) == 0 || strcmp(trim(s), "...") == 0 || *s == '-')
		return 0;
	if (!colon)
		return -EINVAL;
	*colon = '\0';
	*section = section_of(trim(s));
	s = trim(colon + 1);
	if (*section == SECTION_OTHER || !*s || *s == '#' || strncmp(s, "[]", 2) == 0)
		return 0;
	return *s == '{' ? flow(p, *section, s + 1) : -EINVAL;
}

int release_yaml_parse(struct plan *p, const char *text, size_t len, struct err *e)
{
	enum section section = SECTION_OTHER;

	for (unsigned int number = 1; len > 0; number++) {
		const char *nl = memchr(text, '\n', len);
		size_t n = nl ? (size_t)(nl - text) : len;
		char *line autofree = strndup(text, n);
		if (!line)
			return err_set(e, ENOMEM, "out of memory");
		char *s = line + strspn(line, " \t\r");
		int r = 0;
		if (*s && *s != '#' && s == line)
			r = top(p, s, &section);
		else if (*s && *s != '#' && section != SECTION_OTHER)
			r = pair(p, section, s);
		if (r < 0)
			return err_set(e, EINVAL,
				"line %u of the buildpack's release output is not "
				"understood",
				number);
		n += nl != NULL;
		text += n;
		len -= n;
	}
	return 0;
}

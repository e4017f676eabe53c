/* What a server wants for an answer: WWW-Authenticate. */
#include "registry/challenge.h"
#include <string.h>
#include <strings.h>

/* RFC 9110, 5.6.2 */
static size_t token_len(const char *s)
{
	return strspn(s, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
			 "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
}

static const char *skip(const char *s, const char *what)
{
	return s + strspn(s, what);
}

/* A token or a quoted string into out; too long: *ok false. Where it ended. */
static const char *read_value(const char *s, char *out, size_t size, bool *ok)
{
	size_t n = 0, len;

	if (*s != '"') {
		len = token_len(s);
		*ok = len < size;
		n = *ok ? len : 0;
		memcpy(out, s, n);
		out[n] = '\0';
		return s + len;
	}
	for (s++; *s && *s != '"'; s++) {
		if (*s == '\\' && s[1])
			s++;
		if (n + 1 < size)
			out[n] = *s;
		n++;
	}
	*ok = *s == '"' && n < size;
	out[*ok ? n : 0] = '\0';
	return *s ? s + 1 : s;
}

static const char *read_param(
	const char *name, size_t len, const char *s, struct challenge *c)
{
	const struct {
		const char *name;
		char *out;
		size_t size;
	} known[] = {{"realm", c->realm, sizeof(c->realm)},
		{"service", c->service, sizeof(c->service)},
		{"scope", c->scope, sizeof(c->scope)}};
	char ignored[2];
	bool ok;

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strlen(known[i].name) != len ||
			strncasecmp(known[i].name, name, len) != 0)
			continue;
		s = read_value(s, known[i].out, known[i].size, &ok);
		if (!ok)
			c->scheme = CHALLENGE_NONE;
		return s;
	}
	return read_value(s, ignored, sizeof(ignored), &ok);
}

static enum challenge_scheme scheme_of(const char *name, size_t len)
{
	if (len == 6 && strncasecmp(name, "Bearer", 6) == 0)
		return CHALLENGE_BEARER;
	return len == 5 && strncasecmp(name, "Basic", 5) == 0 ? CHALLENGE_BASIC
							      : CHALLENGE_NONE;
}

static void choose(const struct challenge *c, struct challenge *best)
{
	bool usable = c->scheme == CHALLENGE_BASIC ||
		      (c->scheme == CHALLENGE_BEARER && c->realm[0]);

	if (usable && c->scheme > best->scheme)
		*best = *c;
}

void challenge_parse(const char *value, struct challenge *ret)
{
	struct challenge now = {0};
	const char *s = skip(value, " \t,");

	*ret = (struct challenge){0};
	while (*s) {
		const char *name = s;
		size_t len = token_len(s);

		s = skip(s + len, " \t");
		if (len == 0 || *s == '=') { /* a parameter, or no challenge at all */
			s = len ? read_param(name, len, skip(s + 1, " \t"), &now) : s + 1;
		} else {
			choose(&now, ret);
			now = (struct challenge){.scheme = scheme_of(name, len)};
		}
		s = skip(s, " \t,");
	}
	choose(&now, ret);
}

/* What a .dockerignore leaves out of a build, and the globs of COPY. */
#include "buildpacks/dockerfile/dockerignore.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

bool docker_is_glob(const char *s)
{
	return strpbrk(s, "*?[\\") != NULL;
}

/* After a '[': where its ']' is, or NULL. */
static const char *class_end(const char *s)
{
	if (*s == '^')
		s++;
	if (*s == ']')
		return NULL; /* Go's filepath.Match: an empty class is malformed */
	for (; *s && *s != ']'; s++)
		if (*s == '\\' && s[1])
			s++;
	return *s ? s : NULL;
}

const char *docker_glob_fault(const char *glob)
{
	for (const char *s = glob; *s; s++) {
		if (*s == '\\' && !s[1])
			return "a backslash at the end escapes nothing";
		if (*s == '\\')
			s++;
		else if (*s == '[' && !(s = class_end(s + 1)))
			return "a [ without its ]";
	}
	return NULL;
}

static unsigned char class_char(const char **s)
{
	if (**s == '\\' && (*s)[1])
		(*s)++;
	return (unsigned char)*(*s)++;
}

/* One character against the class that begins after its '['; end is its ']'. */
static bool in_class(const char *s, const char *end, unsigned char c)
{
	bool negated = *s == '^', found = false;

	s += negated;
	while (s < end) {
		unsigned char low = class_char(&s), high = low;
		if (*s == '-' && s + 1 < end) {
			s++;
			high = class_char(&s);
		}
		found = found || (low <= c && c <= high);
	}
	return found != negated && c != '/';
}

/* One token that is no star, against one character; *ret is behind the token. */
static bool fits(const char *glob, char c, const char **ret)
{
	if (*glob == '?') {
		*ret = glob + 1;
		return c != '/';
	}
	if (*glob == '[') {
		const char *end = class_end(glob + 1);
		*ret = end ? end + 1 : glob + 1;
		return end && in_class(glob + 1, end, (unsigned char)c);
	}
	glob += *glob == '\\' && glob[1];
	*ret = glob + 1;
	return *glob == c;
}

/* Where to go on after a mismatch: the last star, and the last double one, each a character
 * further. */
struct again {
	const char *glob, *path; /* glob NULL: none */
	bool parts;		 /* "**" and a slash: only where a part begins */
};

static bool step_back(
	struct again *star, struct again *deep, const char **g, const char **p)
{
	if (star->glob && *star->path && *star->path != '/') {
		*p = ++star->path;
		*g = star->glob;
		return true;
	}
	star->glob = NULL;
	if (!deep->glob || !*deep->path)
		return false;
	if (deep->parts) {
		const char *slash = strchr(deep->path, '/');
		if (!slash)
			return false;
		deep->path = slash;
	}
	*p = ++deep->path;
	*g = deep->glob;
	return true;
}

bool docker_glob(const char *glob, const char *path, bool deep_stars)
{
	struct again star = {0}, deep = {0};
	const char *g = glob, *p = path;

	while (*p || *g) {
		if (g[0] == '*' && g[1] == '*' && deep_stars) {
			g += 2;
			while (*g == '*')
				g++;
			bool parts = *g == '/';
			g += parts;
			star.glob = NULL;
			deep = (struct again){.glob = g, .path = p, .parts = parts};
			continue;
		}
		if (*g == '*') {
			star = (struct again){.glob = ++g, .path = p};
			continue;
		}
		if (*g && *p && fits(g, *p, &g)) {
			p++;
			continue;
		}
		if (!step_back(&star, &deep, &g, &p))
			return false;
	}
	return true;
}

/* ---- the file ---- */

/* As Go's filepath.Clean, for what is relative: no empty parts, no ".", no part before "..". What
 * would lead above the context stays at its root. */
static void clean(char *s)
{
	char *out = s;

	for (const char *in = s; *in;) {
		size_t len = strcspn(in, "/");
		bool up = len == 2 && in[0] == '.' && in[1] == '.';
		if (up) {
			while (out > s && *--out != '/')
				;
		} else if (len > 1 || (len == 1 && *in != '.')) {
			if (out > s)
				*out++ = '/';
			memmove(out, in, len);
			out += len;
		}
		in += len;
		in += strspn(in, "/");
	}
	*out = '\0';
}

static int add_pattern(struct dockerignore *d, const char *s, size_t len,
	unsigned int line, struct err *e)
{
	bool keeps = *s == '!';
	size_t skip = keeps ? 1 + strspn(s + 1, " \t") : 0;
	char *pattern autofree = strndup(s + skip, len - (skip < len ? skip : len));

	if (!pattern)
		return err_set(e, ENOMEM, "out of memory");
	clean(pattern);
	if (!*pattern)
		return 0; /* "." and "/": Docker takes no notice either */
	const char *fault = docker_glob_fault(pattern);
	if (fault)
		return err_set(
			e, EINVAL, ".dockerignore:%u: %.100s: %s", line, pattern, fault);
	if (d->n == DOCKERIGNORE_PATTERNS_MAX)
		return err_set(e, E2BIG, ".dockerignore:%u: more than %d patterns", line,
			DOCKERIGNORE_PATTERNS_MAX);
	if ((d->n & (d->n - 1)) == 0) {
		void *more = reallocarray(d->list, d->n ? d->n * 2 : 1, sizeof(*d->list));
		if (!more)
			return err_set(e, ENOMEM, "out of memory");
		d->list = more;
	}
	d->list[d->n].plain = !docker_is_glob(pattern);
	d->list[d->n].keeps = keeps;
	d->list[d->n++].pattern = TAKE_PTR(pattern);
	d->any_keeps = d->any_keeps || keeps;
	return 0;
}

int dockerignore_parse(
	struct dockerignore *d, const char *text, size_t len, struct err *e)
{
	unsigned int line = 0;

	*d = (struct dockerignore){0};
	if (len > DOCKERIGNORE_MAX)
		return err_set(e, E2BIG, ".dockerignore is larger than %u kB",
			DOCKERIGNORE_MAX >> 10);
	if (memchr(text, '\0', len))
		return err_set(e, EINVAL, ".dockerignore holds a NUL byte");
	while (len > 0) {
		const char *nl = memchr(text, '\n', len);
		size_t n = nl ? (size_t)(nl - text) : len, trimmed = n, lead = 0;
		line++;
		while (trimmed > 0 && strchr(" \t\r", text[trimmed - 1]))
			trimmed--;
		while (lead < trimmed && strchr(" \t", text[lead]))
			lead++;
		/* Docker takes a comment only at the very start of a line */
		if (trimmed > lead && text[0] != '#') {
			int r = add_pattern(d, text + lead, trimmed - lead, line, e);
			if (r < 0)
				return r;
		}
		n += nl != NULL;
		text += n;
		len -= n;
	}
	return 0;
}

void dockerignore_free(struct dockerignore *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->list[i].pattern);
	free(d->list);
	*d = (struct dockerignore){0};
}

/* The path itself or a folder on the way to it. */
static bool meets(const char *pattern, bool plain, const char *path)
{
	char part[4096];
	size_t n = strlen(pattern);

	if (plain)
		return strncmp(path, pattern, n) == 0 &&
		       (path[n] == '\0' || path[n] == '/');
	if (docker_glob(pattern, path, true))
		return true;
	for (const char *slash = strchr(path, '/'); slash;
		slash = strchr(slash + 1, '/')) {
		size_t len = (size_t)(slash - path);
		if (len >= sizeof(part))
			return false;
		memcpy(part, path, len);
		part[len] = '\0';
		if (docker_glob(pattern, part, true))
			return true;
	}
	return false;
}

bool dockerignore_matches(const struct dockerignore *d, const char *path)
{
	for (size_t i = d->n; i-- > 0;)
		if (meets(d->list[i].pattern, d->list[i].plain, path))
			return !d->list[i].keeps;
	return false;
}

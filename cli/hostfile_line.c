/* Where something stands in a host file. */
#include "cli/hostfile.h"
#include "lib/name.h"

#include <string.h>

static const char *skip_string(const char *p)
{
	for (p++; *p && *p != '"'; p++)
		p += *p == '\\' && p[1];
	return *p ? p + 1 : p;
}

static const char *skip_blanks(const char *p)
{
	return p + strspn(p, HOSTFILE_BLANKS);
}

static const char *skip_value(const char *p)
{
	unsigned int depth = 0;

	do {
		if (*p == '"') {
			p = skip_string(p);
			continue;
		}
		if ((*p == ',' || *p == '}' || *p == ']') && depth == 0)
			break;
		depth += *p == '{' || *p == '[';
		depth -= *p == '}' || *p == ']';
		p++;
	} while (*p);
	return p;
}

/* The value of that member of the object, or of that element of the list, that begins at p;
 * NULL: it has none. */
static const char *enter(const char *p, const char *name)
{
	const bool list = *p == '[';
	uint64_t index = 0;

	if (*p != '{' && (!list || num_parse_u64(name, 0, UINT32_MAX, &index) < 0))
		return NULL;
	for (p = skip_blanks(p + 1); *p && *p != '}' && *p != ']';) {
		bool hit = list && index-- == 0;

		if (!list) {
			const char *end = skip_string(p);

			hit = strlen(name) == (size_t)(end - p) - 2 &&
			      strncmp(p + 1, name, strlen(name)) == 0;
			p = skip_blanks(end);
			p = skip_blanks(p + (*p == ':'));
		}
		if (hit)
			return p;
		p = skip_blanks(skip_value(p));
		p = skip_blanks(p + (*p == ','));
	}
	return NULL;
}

unsigned int hostfile_line(const struct hostfile *f, const char *const *path, size_t n)
{
	const char *at = skip_blanks(f->text), *next = at;
	unsigned int line = 1;

	for (size_t i = 0; i < n && (next = enter(at, path[i])); i++)
		at = next;
	for (const char *p = f->text; p < at; p++)
		line += *p == '\n';
	return line;
}

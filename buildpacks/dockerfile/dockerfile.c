/* A Dockerfile's text as a list of instructions. */
#include "buildpacks/dockerfile/dockerfile.h"
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum takes {
	TAKES_FLAGS = 1 << 0,
	TAKES_JSON = 1 << 1,
	TAKES_HEREDOC = 1 << 2,
	TAKES_NOTHING = 1 << 3, /* the text may be empty */
};

static const struct {
	const char *name;
	unsigned int takes;
} kinds[] = {
	[DOCKER_FROM] = {"FROM", TAKES_FLAGS},
	[DOCKER_RUN] = {"RUN", TAKES_FLAGS | TAKES_JSON | TAKES_HEREDOC},
	[DOCKER_CMD] = {"CMD", TAKES_JSON | TAKES_NOTHING},
	[DOCKER_ENTRYPOINT] = {"ENTRYPOINT", TAKES_JSON | TAKES_NOTHING},
	[DOCKER_LABEL] = {"LABEL", 0},
	[DOCKER_EXPOSE] = {"EXPOSE", 0},
	[DOCKER_ENV] = {"ENV", 0},
	[DOCKER_ADD] = {"ADD", TAKES_FLAGS | TAKES_JSON | TAKES_HEREDOC},
	[DOCKER_COPY] = {"COPY", TAKES_FLAGS | TAKES_JSON | TAKES_HEREDOC},
	[DOCKER_VOLUME] = {"VOLUME", TAKES_JSON},
	[DOCKER_USER] = {"USER", 0},
	[DOCKER_WORKDIR] = {"WORKDIR", 0},
	[DOCKER_ARG] = {"ARG", 0},
	[DOCKER_ONBUILD] = {"ONBUILD", 0},
	[DOCKER_STOPSIGNAL] = {"STOPSIGNAL", 0},
	[DOCKER_HEALTHCHECK] = {"HEALTHCHECK", TAKES_FLAGS},
	[DOCKER_SHELL] = {"SHELL", TAKES_JSON},
	[DOCKER_MAINTAINER] = {"MAINTAINER", 0},
};
_Static_assert(ARRAY_LEN(kinds) == DOCKER_KINDS, "one row a kind");

const char *docker_kind_name(enum docker_kind kind)
{
	return kinds[kind].name;
}

/* ---- places and errors ---- */

/* Line and column of an offset of the joined text. */
static void place_of(const struct docker_instruction *i, size_t at,
	unsigned int *ret_line, unsigned int *ret_column)
{
	*ret_line = i->line;
	*ret_column = i->column;
	for (size_t k = 0; k < i->n_lines && i->lines[k].at <= at; k++) {
		*ret_line = i->lines[k].line;
		*ret_column = i->lines[k].column + (unsigned int)(at - i->lines[k].at);
	}
}

int docker_error(const struct docker_instruction *i, const char *at, struct err *e,
	const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	unsigned int line, column;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	place_of(i, at && i->joined ? (size_t)(at - i->joined) : 0, &line, &column);
	return err_set(e, EINVAL, "Dockerfile:%u:%u: %s", line, column, text);
}

/* ---- physical lines ---- */

struct reader {
	const char *at, *end;
	unsigned int line; /* of what was read last, from 1 */
	char escape;
};

/* The next line without its end. false at the end of the text. */
static bool read_line(struct reader *r, const char **ret, size_t *ret_len)
{
	if (r->at >= r->end)
		return false;
	const char *nl = memchr(r->at, '\n', (size_t)(r->end - r->at));
	const char *stop = nl ? nl : r->end;
	*ret = r->at;
	*ret_len = (size_t)(stop - r->at);
	if (*ret_len > 0 && stop[-1] == '\r')
		(*ret_len)--;
	r->at = nl ? nl + 1 : r->end;
	r->line++;
	return true;
}

static size_t blanks(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && (s[n] == ' ' || s[n] == '\t' || s[n] == '\v' || s[n] == '\f'))
		n++;
	return n;
}

static size_t without_trailing_blanks(const char *s, size_t len)
{
	while (len > 0 && blanks(s + len - 1, 1))
		len--;
	return len;
}

/* Whether the line goes on: its last character, blanks aside, is one escape. *len then ends before
 * it. */
static bool continues(const char *s, size_t *len, char escape)
{
	size_t n = without_trailing_blanks(s, *len);

	if (n == 0 || s[n - 1] != escape || (n > 1 && s[n - 2] == escape))
		return false;
	*len = n - 1;
	return true;
}

/* "# escape=`", before anything else. false: it is none, and none follows. */
static int read_directive(struct dockerfile *d, const char *s, size_t len,
	unsigned int line, bool *seen_escape, struct err *e)
{
	size_t at = blanks(s, len);

	if (at >= len || s[at] != '#')
		return 0;
	at++;
	at += blanks(s + at, len - at);
	size_t name = at;
	while (at < len &&
		((s[at] >= 'a' && s[at] <= 'z') || (s[at] >= 'A' && s[at] <= 'Z')))
		at++;
	size_t name_len = at - name;
	at += blanks(s + at, len - at);
	if (name_len == 0 || at >= len || s[at] != '=')
		return 0;
	at++;
	at += blanks(s + at, len - at);
	size_t value_len = without_trailing_blanks(s + at, len - at);
	if (name_len == 6 && strncasecmp(s + name, "syntax", 6) == 0)
		return 1; /* another frontend cannot be had; what berth reads is its language */
	if (name_len == 5 && strncasecmp(s + name, "check", 5) == 0)
		return 1;
	if (name_len != 6 || strncasecmp(s + name, "escape", 6) != 0)
		return 0;
	if (*seen_escape || value_len != 1 || (s[at] != '\\' && s[at] != '`'))
		return err_set(e, EINVAL,
			"Dockerfile:%u:%zu: escape=%.*s: the escape character is \\ or "
			"`, "
			"and set once",
			line, at + 1, (int)(value_len > 40 ? 40 : value_len), s + at);
	*seen_escape = true;
	d->escape = s[at];
	return 1;
}

/* ---- one instruction ---- */

static int add_place(
	struct docker_instruction *i, size_t at, unsigned int line, unsigned int column)
{
	if ((i->n_lines & (i->n_lines - 1)) == 0) {
		struct docker_line *more = reallocarray(
			i->lines, i->n_lines ? i->n_lines * 2 : 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		i->lines = more;
	}
	i->lines[i->n_lines++] =
		(struct docker_line){.at = at, .line = line, .column = column};
	return 0;
}

/* Joins the lines that belong to the instruction which begins at s. */
static int join(struct docker_instruction *i, struct reader *r, const char *s, size_t len,
	struct err *e)
{
	autobuf text = {.max = DOCKERFILE_MAX};
	size_t skip = blanks(s, len);
	bool first = true, more;

	i->line = r->line;
	i->column = (unsigned int)skip + 1;
	do {
		size_t lead = first ? skip : 0;
		if (!first) {
			size_t n = blanks(s, len);
			if (n == len || s[n] == '#') {
				more = true;
				continue; /* a comment or an empty line in between */
			}
		}
		more = continues(s, &len, r->escape);
		if (add_place(i, text.len, r->line, (unsigned int)lead + 1) < 0)
			return err_set(e, ENOMEM, "out of memory");
		buf_add(&text, s + lead, len > lead ? len - lead : 0);
		first = false;
	} while (more && read_line(r, &s, &len));
	buf_add(&text, "", 0);
	text.len = without_trailing_blanks(text.data ? text.data : "", text.len);
	if (text.data)
		text.data[text.len] = '\0';
	if (text.failed)
		return err_set(e, ENOMEM, "out of memory");
	if (memchr(text.data, '\0', text.len))
		return err_set(e, EINVAL, "Dockerfile:%u: a NUL byte", i->line);
	i->joined = buf_take(&text);
	return i->joined ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int find_kind(struct docker_instruction *i, size_t len, struct err *e)
{
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		if (strlen(kinds[k].name) == len &&
			strncasecmp(i->joined, kinds[k].name, len) == 0) {
			i->kind = (enum docker_kind)k;
			return 0;
		}
	return docker_error(i, NULL, e,
		"unknown instruction %.*s; the line before may lack a \\ at its end",
		(int)(len > 60 ? 60 : len), i->joined);
}

/* "--name=value ..." as long as they come. */
static int read_flags(
	struct docker_instruction *i, char escape, const char **at, struct err *e)
{
	const char *word, *next = *at;
	size_t len;

	while (docker_next_word(&next, escape, &word, &len) && len > 2 &&
		strncmp(word, "--", 2) == 0) {
		const char *equals = memchr(word, '=', len);
		struct docker_flag *f = &i->flags[i->n_flags];
		if (i->n_flags == DOCKERFILE_FLAGS_MAX)
			return docker_error(
				i, word, e, "more than %d flags", DOCKERFILE_FLAGS_MAX);
		size_t name = equals ? (size_t)(equals - word) : len;
		f->name = strndup(word + 2, name - 2);
		f->value = equals ? strndup(equals + 1, len - name - 1) : NULL;
		f->at = (size_t)(word - i->joined);
		i->n_flags++;
		if (!f->name || (equals && !f->value))
			return err_set(e, ENOMEM, "out of memory");
		*at = next;
	}
	return 0;
}

/* What begins like JSON and is none is words, as elsewhere. */
static int read_json(struct docker_instruction *i, struct err *e)
{
	json_t *array = i->text[0] == '['
				? json_loads(i->text, JSON_REJECT_DUPLICATES, NULL)
				: NULL;
	const json_t *item;
	size_t k;

	json_array_foreach (array, k, item)
		if (!json_is_string(item)) {
			json_decref(array);
			return 0;
		}
	if (!json_is_array(array))
		return 0;
	size_t n = json_array_size(array);
	if (n > DOCKERFILE_WORDS_MAX) {
		json_decref(array);
		return docker_error(
			i, i->text, e, "more than %d words", DOCKERFILE_WORDS_MAX);
	}
	i->json = true;
	i->words = calloc(n + 1, sizeof(*i->words));
	json_array_foreach (array, k, item)
		if (i->words && (i->words[k] = strdup(json_string_value(item))))
			i->n_words++;
	json_decref(array);
	return i->words && i->n_words == n ? 0 : err_set(e, ENOMEM, "out of memory");
}

/* ---- here-documents ---- */

/* A word "<<NAME", "<<-NAME", <<"NAME": true with h filled but for its content. */
static int heredoc_word(const char *s, size_t len, struct docker_heredoc *h)
{
	size_t at = 0;

	while (at < len && s[at] >= '0' && s[at] <= '9')
		at++;
	if (len - at < 3 || s[at] != '<' || s[at + 1] != '<' ||
		memchr(s + at + 2, '<', len - at - 2))
		return 0;
	at += 2;
	h->chomp = s[at] == '-';
	at += h->chomp;
	size_t n = len - at;
	h->expand = n > 0 && s[at] != '"' && s[at] != '\'';
	if (n > 2 && !h->expand && s[len - 1] == s[at]) {
		at++;
		n -= 2;
	} else if (!h->expand) {
		return 0;
	}
	if (n == 0 || strcspn(s + at, "\"'<>|&;()$`\\") < n)
		return 0;
	h->name = strndup(s + at, n);
	return h->name ? 1 : -ENOMEM;
}

static int read_heredoc(struct docker_instruction *i, struct docker_heredoc *h,
	struct reader *r, const char *word, struct err *e)
{
	autobuf body = {.max = DOCKERFILE_MAX};
	const char *s;
	size_t len;

	while (read_line(r, &s, &len)) {
		if (h->chomp)
			while (len > 0 && *s == '\t') {
				s++;
				len--;
			}
		if (len == strlen(h->name) && memcmp(s, h->name, len) == 0) {
			buf_add(&body, "", 0);
			if (memchr(body.data ? body.data : "", '\0', body.len))
				return docker_error(
					i, word, e, "a NUL byte in <<%s", h->name);
			h->content = buf_take(&body);
			return h->content ? 0 : err_set(e, ENOMEM, "out of memory");
		}
		buf_add(&body, s, len);
		buf_adds(&body, "\n");
	}
	return docker_error(i, word, e,
		"the here-document <<%.60s has no end: add a line that is just %.60s",
		h->name, h->name);
}

static int read_heredocs(struct docker_instruction *i, struct reader *r, struct err *e)
{
	const char *at = i->text, *word;
	size_t len;

	while (docker_next_word(&at, r->escape, &word, &len)) {
		struct docker_heredoc h = {0};
		int n = heredoc_word(word, len, &h);
		if (n <= 0) {
			if (n < 0)
				return err_set(e, ENOMEM, "out of memory");
			continue;
		}
		if (i->n_heredocs == DOCKERFILE_HEREDOCS_MAX) {
			free(h.name);
			return docker_error(i, word, e, "more than %d here-documents",
				DOCKERFILE_HEREDOCS_MAX);
		}
		i->heredocs[i->n_heredocs++] = h;
		n = read_heredoc(i, &i->heredocs[i->n_heredocs - 1], r, word, e);
		if (n < 0)
			return n;
	}
	return 0;
}

/* What joined holds: kind, flags, text, and for those that take it JSON. r NULL: no
 * here-documents. */
static int understand(
	struct docker_instruction *i, char escape, struct reader *r, struct err *e)
{
	size_t word = strcspn(i->joined, " \t\v\f");
	int n = find_kind(i, word, e);

	if (n < 0)
		return n;
	unsigned int takes = kinds[i->kind].takes;
	const char *at = i->joined + word;
	at += strspn(at, " \t\v\f");
	if (takes & TAKES_FLAGS && (n = read_flags(i, escape, &at, e)) < 0)
		return n;
	i->text = i->joined + (at - i->joined);
	i->text += strspn(i->text, " \t\v\f");
	if (!*i->text && !(takes & TAKES_NOTHING))
		return docker_error(
			i, NULL, e, "%s needs an argument", kinds[i->kind].name);
	if (takes & TAKES_JSON && (n = read_json(i, e)) < 0)
		return n;
	return takes & TAKES_HEREDOC && r && !i->json ? read_heredocs(i, r, e) : 0;
}

int docker_parse_onbuild(const struct docker_instruction *from, char escape,
	struct docker_instruction *ret, struct err *e)
{
	*ret = (struct docker_instruction){.line = from->line, .column = from->column};
	ret->joined = strdup(from->text);
	if (!ret->joined)
		return err_set(e, ENOMEM, "out of memory");
	int r = understand(ret, escape, NULL, e);
	if (r < 0)
		return r;
	if (ret->kind == DOCKER_ONBUILD || ret->kind == DOCKER_FROM ||
		ret->kind == DOCKER_MAINTAINER)
		return docker_error(
			ret, NULL, e, "%s cannot follow ONBUILD", kinds[ret->kind].name);
	return 0;
}

static struct docker_instruction *add_instruction(struct dockerfile *d)
{
	if ((d->n & (d->n - 1)) == 0) {
		struct docker_instruction *more =
			reallocarray(d->list, d->n ? d->n * 2 : 1, sizeof(*more));
		if (!more)
			return NULL;
		d->list = more;
	}
	d->list[d->n] = (struct docker_instruction){0};
	return &d->list[d->n++];
}

static int parse_lines(struct dockerfile *d, struct reader *r, struct err *e)
{
	bool head = true, seen_escape = false;
	const char *s;
	size_t len;
	int n;

	while (read_line(r, &s, &len)) {
		if (head &&
			(n = read_directive(d, s, len, r->line, &seen_escape, e)) != 0) {
			if (n < 0)
				return n;
			continue;
		}
		head = false;
		size_t lead = blanks(s, len);
		if (lead == len || s[lead] == '#')
			continue;
		if (d->n == DOCKERFILE_INSTRUCTIONS_MAX)
			return err_set(e, E2BIG,
				"Dockerfile:%u:1: more than %d instructions; join RUN "
				"lines "
				"with &&",
				r->line, DOCKERFILE_INSTRUCTIONS_MAX);
		struct docker_instruction *i = add_instruction(d);
		if (!i)
			return err_set(e, ENOMEM, "out of memory");
		r->escape = d->escape;
		n = join(i, r, s, len, e);
		if (n == 0)
			n = understand(i, d->escape, r, e);
		if (n < 0)
			return n;
	}
	return 0;
}

int dockerfile_parse(struct dockerfile *d, const char *text, size_t len, struct err *e)
{
	struct reader r = {.at = text, .end = text + len};

	*d = (struct dockerfile){.escape = '\\'};
	if (len > DOCKERFILE_MAX)
		return err_set(
			e, E2BIG, "Dockerfile: larger than %u kB", DOCKERFILE_MAX >> 10);
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		r.at += 3;
	int n = parse_lines(d, &r, e);
	if (n == 0 && d->n == 0)
		return err_set(e, EINVAL,
			"Dockerfile: it has no instruction; begin with FROM, such as "
			"FROM "
			"debian:12");
	return n;
}

void docker_instruction_free(struct docker_instruction *i)
{
	for (size_t k = 0; k < i->n_words; k++)
		free(i->words[k]);
	free(i->words);
	for (size_t k = 0; k < i->n_flags; k++) {
		free(i->flags[k].name);
		free(i->flags[k].value);
	}
	for (size_t k = 0; k < i->n_heredocs; k++) {
		free(i->heredocs[k].name);
		free(i->heredocs[k].content);
	}
	free(i->lines);
	free(i->joined);
	*i = (struct docker_instruction){0};
}

void dockerfile_free(struct dockerfile *d)
{
	for (size_t k = 0; k < d->n; k++)
		docker_instruction_free(&d->list[k]);
	free(d->list);
	*d = (struct dockerfile){0};
}

/* Files of KEY=VALUE lines. */
#include "cli/dotenv.h"
#include "lib/name.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KEY_SIZE 256 /* name_key_valid takes no more */

static const char escaped[] = "nrt\"\\$`", meant[] = "\n\r\t\"\\$`";

struct reader {
	const char *at, *end;
	unsigned int line; /* of at, from 1 */
	char key[KEY_SIZE];
	struct buf value;
	struct err *e;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void skip_blanks(struct reader *r)
{
	while (r->at < r->end && is_blank(*r->at))
		r->at++;
}

static size_t returns_at(const struct reader *r)
{
	size_t n = 0;

	while (r->at + n < r->end && r->at[n] == '\r')
		n++;
	return n;
}

/* Carriage returns before a newline, or at the end, are part of it. */
static bool at_line_end(const struct reader *r)
{
	const char *p = r->at + returns_at(r);

	return p == r->end || *p == '\n';
}

static void skip_line(struct reader *r)
{
	while (r->at < r->end && *r->at != '\n')
		r->at++;
	if (r->at < r->end)
		r->at++;
	r->line++;
}

static int fail(struct reader *r, unsigned int line, const char *why)
{
	return err_set(r->e, EINVAL, "line %u: %s", line, why);
}

/* ---- values ---- */

static void add(struct reader *r, char c)
{
	buf_add(&r->value, &c, 1);
}

/* A backslash that escapes nothing stands for itself. */
static void read_escape(struct reader *r)
{
	const char *known =
		r->at + 1 < r->end && r->at[1] ? strchr(escaped, r->at[1]) : NULL;

	add(r, known ? meant[known - escaped] : '\\');
	r->at += known ? 2 : 1;
}

static int read_quoted(struct reader *r)
{
	const char quote = *r->at++;
	const unsigned int began = r->line;

	while (r->at < r->end && *r->at != quote) {
		if (*r->at == '\\' && quote == '"') {
			read_escape(r);
			continue;
		}
		if (*r->at == '\r' && r->at + 1 < r->end && r->at[1] == '\n')
			r->at++;
		r->line += *r->at == '\n';
		add(r, *r->at++);
	}
	if (r->at == r->end)
		return fail(r, began, "the quote is not closed");
	r->at++;
	skip_blanks(r);
	if (!at_line_end(r) && *r->at != '#')
		return fail(r, r->line, "there is more after the closing quote");
	return 0;
}

/* To the end of the line, or to a comment; without spaces at its end. */
static void read_plain(struct reader *r)
{
	size_t kept = 0;

	while (!at_line_end(r)) {
		/* a run of carriage returns at once, or each of them would look at all behind it */
		const size_t n = *r->at == '\r' ? returns_at(r) : 1;

		if (*r->at == '#' && (r->value.len > kept || r->value.len == 0))
			break;
		buf_add(&r->value, r->at, n);
		if (!is_blank(*r->at))
			kept = r->value.len;
		r->at += n;
	}
	r->value.len = kept;
}

/* ---- lines ---- */

static int read_key(struct reader *r)
{
	static const char word[] = "export";
	const size_t n = sizeof(word) - 1;
	size_t len = 0;

	if ((size_t)(r->end - r->at) > n && memcmp(r->at, word, n) == 0 &&
		is_blank(r->at[n])) {
		r->at += n;
		skip_blanks(r);
	}
	while (r->at + len < r->end && !strchr("= \t\r\n", r->at[len]))
		len++;
	if (len < sizeof(r->key)) {
		memcpy(r->key, r->at, len);
		r->key[len] = '\0';
	}
	if (len >= sizeof(r->key) || strlen(r->key) != len || !name_key_valid(r->key))
		return fail(r, r->line,
			"no valid name: letters, digits and _, not beginning with a "
			"digit, "
			"then =");
	r->at += len;
	skip_blanks(r);
	if (r->at == r->end || *r->at != '=')
		return fail(r, r->line, "there is no = after the name");
	r->at++;
	return 0;
}

static int read_entry(struct reader *r, dotenv_take take, void *arg)
{
	unsigned int began = r->line;
	int n = read_key(r);

	if (n < 0)
		return n;
	skip_blanks(r);
	buf_reset(&r->value);
	if (r->at < r->end && strchr("'\"`", *r->at) && *r->at)
		n = read_quoted(r);
	else
		read_plain(r);
	if (n < 0)
		return n;
	buf_add(&r->value, "", 1);
	if (r->value.failed)
		return fail(r, began, "the value is too long");
	if (memchr(r->value.data, 0, r->value.len - 1))
		return fail(r, began, "a value cannot hold a NUL byte");
	take(arg, r->key, r->value.data, r->value.len - 1);
	return 0;
}

int dotenv_read(const char *data, size_t len, dotenv_take take, void *arg, struct err *e)
{
	struct reader r = {.at = data, .end = data + len, .line = 1, .e = e};
	int n = 0;

	if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
		r.at += 3;
	while (r.at < r.end && n == 0) {
		skip_blanks(&r);
		if (!at_line_end(&r) && *r.at != '#')
			n = read_entry(&r, take, arg);
		if (n == 0)
			skip_line(&r);
	}
	if (r.value.data)
		explicit_bzero(r.value.data, r.value.cap);
	buf_free(&r.value);
	return n;
}

/* ---- writing ---- */

static bool only_of(const char *value, size_t len, const char *set)
{
	for (size_t i = 0; i < len; i++)
		if (!value[i] || !strchr(set, value[i]))
			return false;
	return true;
}

static void write_escaped(struct buf *out, const char *value, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		/* a tab and a newline need no escape, but are seen so */
		const char *known = value[i] ? strchr(meant, value[i]) : NULL;

		if (known)
			buf_addf(out, "\\%c", escaped[known - meant]);
		else
			buf_add(out, value + i, 1);
	}
}

void dotenv_write(struct buf *out, const char *key, const char *value, size_t len)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		"_-+./:@%,=?&";
	bool bare = only_of(value, len, plain);
	bool literal = !memchr(value, '\'', len) && !memchr(value, '\n', len) &&
		       !memchr(value, '\r', len);

	buf_addf(out, "%s=%s", key, bare ? "" : literal ? "'" : "\"");
	if (bare || literal)
		buf_add(out, value, len);
	else
		write_escaped(out, value, len);
	buf_addf(out, "%s\n", bare ? "" : literal ? "'" : "\"");
}

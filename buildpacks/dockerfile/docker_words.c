/* Words and variables of a Dockerfile. */
#include "buildpacks/dockerfile/dockerfile.h"
#include <errno.h>
#include <string.h>

#define DEPTH_MAX 16 /* ${a:-${b:-...}} */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\n' || c == '\r';
}

bool docker_next_word(
	const char **at, char escape, const char **ret_word, size_t *ret_len)
{
	const char *s = *at;
	char quote = '\0';

	while (is_blank(*s))
		s++;
	*ret_word = s;
	for (; *s && (quote || !is_blank(*s)); s++) {
		if (*s == escape && quote != '\'' && s[1])
			s++;
		else if (quote && *s == quote)
			quote = '\0';
		else if (!quote && (*s == '\'' || *s == '"'))
			quote = *s;
	}
	*ret_len = (size_t)(s - *ret_word);
	*at = s;
	return *ret_len > 0;
}

/* Where the expansion is; one frame for each ${x:-...} that is open. */
struct expansion {
	const char *at;
	char escape;
	bool heredoc;
	docker_lookup get;
	void *arg;
	struct buf *out;
	const char *fault, *fault_at;
	struct {
		bool drop; /* the words of ${x:-word} that are not wanted */
		char quote;
	} frames[DEPTH_MAX + 1];
	unsigned int depth;
	bool drop; /* of the innermost, or one around it */
	char quote;
};

static int fault(struct expansion *x, const char *at, const char *text)
{
	x->fault = text;
	x->fault_at = at;
	return -EINVAL;
}

static void put(struct expansion *x, const char *s, size_t len)
{
	if (!x->drop)
		buf_add(x->out, s, len);
}

static size_t name_length(const char *s)
{
	size_t n = 0;

	if (*s >= '0' && *s <= '9') {
		while (s[n] >= '0' && s[n] <= '9')
			n++;
		return n;
	}
	if (*s && strchr("*#@!?-$", *s))
		return 1;
	while ((s[n] >= 'a' && s[n] <= 'z') || (s[n] >= 'A' && s[n] <= 'Z') ||
		s[n] == '_' || (n > 0 && s[n] >= '0' && s[n] <= '9'))
		n++;
	return n;
}

static const char *value_of(struct expansion *x, const char *name, size_t len)
{
	char text[256];

	if (len >= sizeof(text))
		return NULL;
	memcpy(text, name, len);
	text[len] = '\0';
	return x->get(x->arg, text);
}

/* Opens ${name OP word}: what follows is the word, up to its brace. */
static int open_word(
	struct expansion *x, const char *start, const char *value, char op, bool colon)
{
	bool set = value && (!colon || *value);

	if (x->depth == DEPTH_MAX)
		return fault(x, start, "variables are nested too deeply");
	x->frames[x->depth].drop = x->drop;
	x->frames[x->depth++].quote = x->quote;
	if (op == '?' && !set && !x->drop)
		return fault(x, start, "a variable that must be set (${x:?}) is not");
	if (op != '+' && set)
		put(x, value, strlen(value));
	x->drop = x->drop || (op == '+' ? !set : set || op == '?');
	x->quote = '\0';
	return 0;
}

static int braced(struct expansion *x, const char *start)
{
	size_t n = name_length(x->at);
	const char *value = value_of(x, x->at, n);

	if (n == 0)
		return fault(x, start, "${ needs the name of a variable");
	x->at += n;
	if (*x->at == '}') {
		x->at++;
		put(x, value ? value : "", value ? strlen(value) : 0);
		return 0;
	}
	bool colon = *x->at == ':';
	char op = x->at[colon];
	if (op != '-' && op != '+' && op != '?')
		return fault(x, start,
			*x->at ? "only ${x}, ${x:-y}, ${x:+y} and ${x:?y} are understood"
			       : "${ has no }");
	x->at += 1 + colon;
	return open_word(x, start, value, op, colon);
}

static int dollar(struct expansion *x)
{
	const char *start = x->at++;

	if (*x->at == '{') {
		x->at++;
		return braced(x, start);
	}
	size_t n = name_length(x->at);
	if (n == 0) {
		put(x, "$", 1);
		return 0;
	}
	const char *value = value_of(x, x->at, n);
	x->at += n;
	put(x, value ? value : "", value ? strlen(value) : 0);
	return 0;
}

/* An escape: outside quotes it goes and what follows stays; within double quotes only before what
 * means something there. */
static void escaped(struct expansion *x)
{
	char next = x->at[1];

	if (x->heredoc && next != '$' && next != x->escape) {
		put(x, x->at++, 1);
		return;
	}
	if (!next) {
		put(x, x->at++, 1);
		return;
	}
	if (x->quote == '"' && next != '"' && next != '$' && next != x->escape)
		put(x, x->at, 1);
	put(x, x->at + 1, 1);
	x->at += 2;
}

static int step(struct expansion *x)
{
	char c = *x->at;

	if (x->quote == '\'') {
		if (c == '\'')
			x->quote = '\0';
		else
			put(x, x->at, 1);
		x->at++;
		return 0;
	}
	if (c == x->escape) {
		escaped(x);
		return 0;
	}
	if (c == '$')
		return dollar(x);
	if (!x->heredoc && (c == '"' || (c == '\'' && !x->quote))) {
		x->quote = x->quote ? '\0' : c;
		x->at++;
		return 0;
	}
	if (c == '}' && x->depth > 0 && !x->quote) {
		x->drop = x->frames[--x->depth].drop;
		x->quote = x->frames[x->depth].quote;
		x->at++;
		return 0;
	}
	put(x, x->at++, 1);
	return 0;
}

int docker_expand(const char *text, char escape, bool heredoc, docker_lookup get,
	void *arg, struct buf *out, const char **ret_fault, const char **ret_at)
{
	struct expansion x = {.at = text,
		.escape = escape,
		.heredoc = heredoc,
		.get = get,
		.arg = arg,
		.out = out};
	int r = 0;

	while (r == 0 && *x.at)
		r = step(&x);
	if (r == 0 && x.quote)
		r = fault(&x, text, "a quote is not closed");
	if (r == 0 && x.depth > 0)
		r = fault(&x, text, "${ has no }");
	if (r == 0)
		r = buf_add(out, "", 0);
	*ret_fault = x.fault;
	*ret_at = x.fault_at;
	return r;
}

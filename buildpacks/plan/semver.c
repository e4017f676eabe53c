/* Version ranges as npm writes them. */
#include "buildpacks/plan/semver.h"
#include <errno.h>
#include <string.h>

#define BITS 21
#define INFINITE UINT64_MAX

/* Versions lo <= v < hi. */
struct interval {
	uint64_t lo, hi;
};

/* "1", "1.2", "1.x", "*", "v1.2.3-rc.1": the numbers before the first x. */
struct partial {
	uint64_t part[3];
	int n;
};

static uint64_t number(uint64_t major, uint64_t minor, uint64_t patch)
{
	return major << 2 * BITS | minor << BITS | patch;
}

static uint64_t low(const struct partial *p)
{
	return number(p->part[0], p->part[1], p->part[2]);
}

/* The first version above all that p names. */
static uint64_t high(const struct partial *p)
{
	if (p->n == 0)
		return INFINITE;
	return low(p) + ((uint64_t)1 << (3 - p->n) * BITS);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int take_number(const char **s, uint64_t *ret)
{
	uint64_t v = 0;

	if (!is_digit(**s))
		return -EINVAL;
	for (; is_digit(**s); (*s)++) {
		v = v * 10 + (uint64_t)(**s - '0');
		if (v > SEMVER_PART_MAX)
			return -ERANGE;
	}
	*ret = v;
	return 0;
}

static bool is_x(char c)
{
	return c == 'x' || c == 'X' || c == '*';
}

/* Skips "-rc.1+build" behind a version; true when there was a pre-release. */
static bool skip_suffix(const char **s)
{
	bool pre = **s == '-';

	if (**s == '-' || **s == '+')
		while (**s && !strchr(" \t|", **s))
			(*s)++;
	return pre;
}

static int take_partial(const char **s, struct partial *p)
{
	bool open = false; /* an x was seen: what follows counts for nothing */

	*p = (struct partial){0};
	while (**s == 'v' || **s == '=' || **s == ' ')
		(*s)++;
	for (int i = 0; i < 3; i++) {
		uint64_t v;
		if (is_x(**s)) {
			(*s)++;
			open = true;
		} else {
			int r = take_number(s, &v);
			if (r < 0)
				return r;
			if (!open)
				p->part[p->n++] = v;
		}
		if (**s != '.')
			break;
		(*s)++;
	}
	skip_suffix(s);
	return 0;
}

static uint64_t caret_high(const struct partial *p)
{
	if (p->n < 2 || p->part[0] > 0)
		return p->n == 0 ? INFINITE : number(p->part[0] + 1, 0, 0);
	if (p->n < 3 || p->part[1] > 0)
		return number(0, p->part[1] + 1, 0);
	return high(p);
}

static struct interval apply(const char *op, const struct partial *p)
{
	if (strcmp(op, ">=") == 0)
		return (struct interval){low(p), INFINITE};
	if (strcmp(op, ">") == 0)
		return (struct interval){high(p), INFINITE};
	if (strcmp(op, "<=") == 0)
		return (struct interval){0, high(p)};
	if (strcmp(op, "<") == 0)
		return (struct interval){0, low(p)};
	if (strcmp(op, "^") == 0)
		return (struct interval){low(p), caret_high(p)};
	if (strcmp(op, "~") == 0 && p->n >= 2)
		return (struct interval){low(p), number(p->part[0], p->part[1] + 1, 0)};
	return (struct interval){low(p), high(p)};
}

static const char *take_op(const char **s)
{
	static const char *const ops[] = {">=", "<=", ">", "<", "^", "~>", "~", "="};

	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		size_t n = strlen(ops[i]);
		if (strncmp(*s, ops[i], n) == 0) {
			*s += n;
			return ops[i][0] == '~' ? "~" : ops[i];
		}
	}
	return "";
}

static void skip_blanks(const char **s)
{
	while (**s == ' ' || **s == '\t' || **s == ',')
		(*s)++;
}

/* One comparator, or "a - b". */
static int take_comparator(const char **s, struct interval *ret)
{
	struct partial p, to;
	const char *op = take_op(s);
	int r;

	skip_blanks(s);
	r = take_partial(s, &p);
	if (r < 0)
		return r;
	*ret = apply(op, &p);
	if (!*op && strncmp(*s, " - ", 3) == 0) {
		*s += 3;
		skip_blanks(s);
		r = take_partial(s, &to);
		if (r < 0)
			return r;
		*ret = (struct interval){low(&p), high(&to)};
	}
	return 0;
}

int semver_match(const char *range, uint64_t v)
{
	const char *s = range;
	bool any = false;

	if (strlen(range) >= SEMVER_RANGE_MAX)
		return -EINVAL;
	for (;;) {
		bool all = true;
		skip_blanks(&s);
		while (*s && *s != '|') {
			struct interval i;
			if (take_comparator(&s, &i) < 0 || (*s && !strchr(" \t,|", *s)))
				return -EINVAL;
			all = all && v >= i.lo && v < i.hi;
			skip_blanks(&s);
		}
		any = any || all;
		if (!*s)
			return any;
		if (s[0] != '|' || s[1] != '|')
			return -EINVAL;
		s += 2;
	}
}

int semver_parse(const char *s, uint64_t *ret)
{
	uint64_t part[3];

	s += *s == 'v';
	for (int i = 0; i < 3; i++) {
		int r = take_number(&s, &part[i]);
		if (r < 0)
			return r;
		if (i < 2 && *s++ != '.')
			return -EINVAL;
	}
	if (*s == '-')
		return -ENOTSUP;
	if (*s == '+')
		s += 1 + strspn(s + 1, "0123456789abcdefghijklmnopqrstuvwxyz"
				       "ABCDEFGHIJKLMNOPQRSTUVWXYZ.-");
	if (*s)
		return -EINVAL;
	*ret = number(part[0], part[1], part[2]);
	return 0;
}

/* A range is a union of few intervals with small bounds: one that has both ends of a
 * major has what lies between. */
int semver_covers(const char *range, unsigned int major)
{
	int first = semver_match(range, number(major, 0, 0));

	return first == 1 ? semver_match(range,
				    number(major, SEMVER_PART_MAX, SEMVER_PART_MAX))
			  : first;
}

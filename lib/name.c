/* The names people give and the numbers they write: which are valid. */
#include "lib/name.h"
#include "lib/proto.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static bool in(char c, const char *set)
{
	return c && strchr(set, c);
}

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

bool name_valid(const char *s)
{
	size_t n = strlen(s);

	return n >= 1 && n <= NAME_MAX_LEN && s[0] != '-' &&
	       strspn(s, LOWER DIGIT "-") == n;
}

void name_with_hash(const char *name, const char *of, char out[NAME_MAX_LEN + 1])
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *of; of++)
		h = (h ^ (unsigned char)*of) * 16777619u;
	snprintf(out, NAME_MAX_LEN + 1, "%.54s-%08x", name, h);
}

void name_joined(const char *app, const char *volume, char out[NAME_MAX_LEN + 1])
{
	char whole[2 * NAME_MAX_LEN + 2];
	int n = snprintf(whole, sizeof(whole), "%.63s-%.63s", app, volume);

	if (n <= NAME_MAX_LEN)
		snprintf(out, NAME_MAX_LEN + 1, "%.63s", whole);
	else
		name_with_hash(whole, whole, out);
}

bool name_type_valid(const char *s)
{
	size_t n = strlen(s);

	return n >= 1 && n <= 30 && strspn(s, LOWER UPPER DIGIT "_-") == n;
}

bool name_key_valid(const char *s)
{
	size_t n = strlen(s);

	return n >= 1 && n <= 255 && !in(s[0], DIGIT) &&
	       strspn(s, LOWER UPPER DIGIT "_") == n;
}

bool name_host_valid(const char *s)
{
	size_t n = strlen(s);

	if (strncmp(s, "*.", 2) == 0)
		s += 2, n -= 2;
	if (n < 1 || n > HOST_MAX_LEN)
		return false;
	for (;;) {
		size_t label = strspn(s, LOWER DIGIT "-");
		if (label < 1 || label > 63 || s[0] == '-' || s[label - 1] == '-')
			return false;
		if (s[label] == '\0')
			return true;
		if (s[label] != '.')
			return false;
		s += label + 1;
	}
}

bool name_mount_path_valid(const char *s)
{
	if (s[0] != '/' || s[1] == '\0' || strlen(s) >= 256)
		return false;
	while (*s) {
		const char *part = ++s; /* after the slash */
		s += strcspn(s, "/");
		size_t n = (size_t)(s - part);
		if (n == 0 || (n == 1 && part[0] == '.') ||
			(n == 2 && part[0] == '.' && part[1] == '.'))
			return false;
	}
	return true;
}

int num_parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!*s || strspn(s, DIGIT) != strlen(s))
		return -EINVAL;
	for (; *s; s++) {
		if (__builtin_mul_overflow(v, 10u, &v) ||
			__builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -ERANGE;
	}
	if (v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int num_parse_size(const char *s, uint64_t *ret_bytes)
{
	char digits[24];
	size_t n = strspn(s, DIGIT);
	unsigned int shift = 0;
	uint64_t v;

	if (n == 0 || n >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, s, n);
	digits[n] = '\0';
	const char *unit = s + n;
	if (in(*unit, "kK"))
		shift = 10;
	else if (in(*unit, "mM"))
		shift = 20;
	else if (in(*unit, "gG"))
		shift = 30;
	else if (in(*unit, "tT"))
		shift = 40;
	if (shift)
		unit++;
	if (shift && *unit == 'i')
		unit++;
	if (*unit == 'b' || *unit == 'B')
		unit++;
	if (*unit)
		return -EINVAL;
	int r = num_parse_u64(digits, 0, UINT64_MAX >> shift, &v);
	if (r == 0)
		*ret_bytes = v << shift;
	return r;
}

void num_format_size(uint64_t bytes, char out[24])
{
	static const char units[] = "kMGTP";
	size_t i = 0;

	if (bytes < 1024) {
		snprintf(out, 24, "%u bytes", (unsigned int)bytes);
		return;
	}
	double v = (double)bytes / 1024;
	while (v >= 1024 && i + 2 < sizeof(units))
		v /= 1024, i++;
	if (v >= 100 || v - (double)(uint64_t)v < 0.05)
		snprintf(out, 24, "%.0f%c", v, units[i]);
	else
		snprintf(out, 24, "%.1f%c", v, units[i]);
}

void num_write_size(uint64_t bytes, char out[24])
{
	static const char units[] = "kMGT";
	size_t i = 0;

	while (bytes && i + 1 < sizeof(units) && bytes % 1024 == 0)
		bytes /= 1024, i++;
	snprintf(out, 24, "%llu%.1s", (unsigned long long)bytes, i ? units + i - 1 : "");
}

/* signal(7): what a program's C library calls so, whatever it keeps for itself. */
#define RT_MIN 34
#define RT_MAX 64

static int parse_realtime(const char *s)
{
	bool low = strncasecmp(s, "RTMIN", 5) == 0;
	char sign = low ? '+' : '-';
	uint64_t n = 0;

	if (!low && strncasecmp(s, "RTMAX", 5) != 0)
		return -EINVAL;
	if (s[5] && (s[5] != sign || num_parse_u64(s + 6, 1, RT_MAX - RT_MIN, &n) < 0))
		return -EINVAL;
	return low ? RT_MIN + (int)n : RT_MAX - (int)n;
}

int signal_parse(const char *s)
{
	uint64_t n;

	if (num_parse_u64(s, 1, RT_MAX, &n) == 0)
		return (int)n;
	if (strncasecmp(s, "SIG", 3) == 0)
		s += 3;
	for (int i = 1; i < RT_MIN; i++) {
		const char *name = sigabbrev_np(i);

		if (name && strcasecmp(s, name) == 0)
			return i;
	}
	return parse_realtime(s);
}

bool log_segment_parse(const char *file, uint64_t *ret)
{
	char digits[LOG_SEGMENT_DIGITS + 1];

	if (strlen(file) != LOG_SEGMENT_DIGITS + 4 ||
		strcmp(file + LOG_SEGMENT_DIGITS, ".log") != 0)
		return false;
	memcpy(digits, file, LOG_SEGMENT_DIGITS);
	digits[LOG_SEGMENT_DIGITS] = '\0';
	return num_parse_u64(digits, 1, UINT64_MAX, ret) == 0;
}

/* RFC 3339 times both ways, without the C library's locale and time zone machinery. */
#include "lib/stamp.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void format(uint64_t time_us, bool micros, char out[STAMP_SIZE])
{
	time_t seconds = (time_t)(time_us / 1000000);
	struct tm tm;
	char text[80];

	if (!gmtime_r(&seconds, &tm))
		memset(&tm, 0, sizeof(tm));
	int n = snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d",
		tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
		tm.tm_sec);
	if (micros)
		snprintf(text + n, sizeof(text) - (size_t)n, ".%06uZ",
			(unsigned int)(time_us % 1000000));
	else
		snprintf(text + n, sizeof(text) - (size_t)n, "Z");
	memcpy(out, text, STAMP_SIZE - 1);
	out[STAMP_SIZE - 1] = '\0';
}

void stamp_format(uint64_t time_us, char out[STAMP_SIZE])
{
	format(time_us, false, out);
}

void stamp_format_us(uint64_t time_us, char out[STAMP_SIZE])
{
	format(time_us, true, out);
}

void stamp_format_http(uint64_t time_us, char out[STAMP_HTTP_SIZE])
{
	static const char days[] = "SunMonTueWedThuFriSat",
			  months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t seconds = (time_t)(time_us / 1000000);
	struct tm tm;
	char text[96];

	if (!gmtime_r(&seconds, &tm))
		memset(&tm, 0, sizeof(tm));
	snprintf(text, sizeof(text), "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
		days + tm.tm_wday * 3, tm.tm_mday, months + tm.tm_mon * 3,
		tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	memcpy(out, text, STAMP_HTTP_SIZE - 1);
	out[STAMP_HTTP_SIZE - 1] = '\0';
}

/* n digits at *s, in [min, max]; moves *s behind them. -1 when they are not there. */
static int digits(const char **s, int n, int min, int max)
{
	int v = 0;

	for (int i = 0; i < n; i++, (*s)++) {
		if (**s < '0' || **s > '9')
			return -1;
		v = v * 10 + (**s - '0');
	}
	return v < min || v > max ? -1 : v;
}

static bool skip(const char **s, char c)
{
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

static int parse_date(const char **s, struct tm *tm)
{
	tm->tm_year = digits(s, 4, 1970, 9999) - 1900;
	if (tm->tm_year < 70 || !skip(s, '-'))
		return -EINVAL;
	tm->tm_mon = digits(s, 2, 1, 12) - 1;
	if (tm->tm_mon < 0 || !skip(s, '-'))
		return -EINVAL;
	tm->tm_mday = digits(s, 2, 1, 31);
	return tm->tm_mday < 0 ? -EINVAL : 0;
}

static int parse_clock(const char **s, struct tm *tm, uint64_t *ret_us)
{
	uint64_t us = 0, unit = 100000;

	tm->tm_hour = digits(s, 2, 0, 23);
	if (tm->tm_hour < 0 || !skip(s, ':'))
		return -EINVAL;
	tm->tm_min = digits(s, 2, 0, 59);
	if (tm->tm_min < 0 || !skip(s, ':'))
		return -EINVAL;
	tm->tm_sec = digits(s, 2, 0, 60);
	if (tm->tm_sec < 0)
		return -EINVAL;
	if (skip(s, '.')) {
		if (**s < '0' || **s > '9')
			return -EINVAL;
		for (; **s >= '0' && **s <= '9'; (*s)++, unit /= 10)
			us += unit * (uint64_t)(**s - '0');
	}
	*ret_us = us;
	return skip(s, 'Z') ? 0 : -EINVAL;
}

int span_parse(const char *s, uint64_t *ret_s)
{
	uint64_t n = 0, unit;
	int i = 0;

	for (; s[i] >= '0' && s[i] <= '9' && i < 9; i++)
		n = n * 10 + (uint64_t)(s[i] - '0');
	if (i == 0 || !s[i] || s[i + 1])
		return -EINVAL;
	switch (s[i]) {
	case 's':
		unit = 1;
		break;
	case 'm':
		unit = 60;
		break;
	case 'h':
		unit = 3600;
		break;
	case 'd':
		unit = 86400;
		break;
	default:
		return -EINVAL;
	}
	*ret_s = n * unit;
	return 0;
}

static int parse_ago(const char *s, uint64_t now_us, uint64_t *ret_us)
{
	uint64_t back;
	int r = span_parse(s, &back);

	if (r < 0)
		return r;
	back *= 1000000;
	*ret_us = back > now_us ? 0 : now_us - back;
	return 0;
}

int stamp_parse(const char *s, uint64_t now_us, uint64_t *ret_us)
{
	struct tm tm = {0};
	uint64_t us = 0;
	const char *p = s;

	if (strlen(s) < 10 || s[4] != '-')
		return parse_ago(s, now_us, ret_us);
	int r = parse_date(&p, &tm);
	if (r < 0)
		return r;
	if (*p) {
		if (!skip(&p, 'T') || parse_clock(&p, &tm, &us) < 0 || *p)
			return -EINVAL;
	}
	time_t t = timegm(&tm);
	if (t < 0)
		return -EINVAL;
	*ret_us = (uint64_t)t * 1000000 + us;
	return 0;
}

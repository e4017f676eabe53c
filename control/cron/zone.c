/* Time zones: tzfile(5), and the rule at its end for the years after its table (RFC 8536 3.3, POSIX TZ). */
#include "control/cron/zone.h"
#include "lib/buf.h"
#include "lib/io.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define HEAD 44
#define DAY 86400
#define FOLDER "/usr/share/zoneinfo"

struct when {
	char kind; /* M: month, week, day; J: day without 29 February; N: day from 0 */
	int month, week, day;
	int64_t time_s;
};
struct rule {
	bool dst;
	int64_t standard_s, summer_s;
	struct when begin, end; /* of summer time */
};
struct zone {
	size_t n;
	int64_t *at;	 /* n moments */
	int64_t *offset; /* n + 1: before the first, then from each on */
	bool ruled;
	struct rule rule;
};

bool zone_name_valid(const char *s)
{
	size_t n = strlen(s);

	if (!n || n >= ZONE_NAME_MAX || *s == '/' || s[n - 1] == '/' || strstr(s, "//"))
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("_+-/", *s))
			return false;
	return true;
}

void zone_close(struct zone *z)
{
	if (!z)
		return;
	free(z->at);
	free(z->offset);
	free(z);
}

/* ---- days ---- */

/* Of the civil calendar, since 1970 (Howard Hinnant's days_from_civil). */
static int64_t day_of(int64_t y, int m, int d)
{
	y -= m <= 2;
	int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
	int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int64_t year_of(int64_t utc_s)
{
	int64_t y = 1970 + utc_s / (365 * DAY + DAY / 4);

	while (day_of(y + 1, 1, 1) * DAY <= utc_s)
		y++;
	while (day_of(y, 1, 1) * DAY > utc_s)
		y--;
	return y;
}

static bool leap(int64_t y)
{
	return day_of(y, 3, 1) - day_of(y, 2, 28) == 2;
}

/* ---- the rule ---- */

/* Local seconds, as if they were UTC. */
static int64_t when_in(const struct when *w, int64_t year)
{
	int64_t day;

	if (w->kind == 'M') {
		int64_t first = day_of(year, w->month, 1);
		int64_t weekday = ((first + 4) % 7 + 7) % 7;

		day = first + (w->day - weekday + 7) % 7 + (w->week - 1) * 7;
		int64_t next = w->month == 12 ? day_of(year + 1, 1, 1)
					      : day_of(year, w->month + 1, 1);
		if (day >= next)
			day -= 7;
	} else {
		day = day_of(year, 1, 1) + w->day - (w->kind == 'J');
		if (w->kind == 'J' && leap(year) && w->day >= 60)
			day++;
	}
	return day * DAY + w->time_s;
}

static struct zone_span rule_at(const struct rule *r, int64_t utc_s)
{
	struct zone_span s = {r->standard_s, INT64_MIN, INT64_MAX};
	int64_t year = year_of(utc_s);

	if (!r->dst)
		return s;
	for (int64_t y = year - 1; y <= year + 1; y++) {
		int64_t begin = when_in(&r->begin, y) - r->standard_s,
			end = when_in(&r->end, y) - r->summer_s;
		struct {
			int64_t at, offset;
		} both[] = {{begin, r->summer_s}, {end, r->standard_s}};
		for (int i = 0; i < 2; i++) { /* in order of time */
			int k = begin < end ? i : 1 - i;

			if (both[k].at <= utc_s) {
				s.from_s = both[k].at;
				s.offset_s = both[k].offset;
			} else if (both[k].at < s.until_s) {
				s.until_s = both[k].at;
			}
		}
	}
	return s;
}

static bool read_number(const char **p, int64_t max, int64_t *ret)
{
	int64_t n = 0;

	if (!isdigit((unsigned char)**p))
		return false;
	for (; isdigit((unsigned char)**p); (*p)++) {
		n = n * 10 + (**p - '0');
		if (n > max)
			return false;
	}
	*ret = n;
	return true;
}

/* [+-]hh[:mm[:ss]] */
static bool read_time(const char **p, int64_t *ret)
{
	int64_t sign = **p == '-' ? -1 : 1, parts[3] = {0};

	if (**p == '-' || **p == '+')
		(*p)++;
	for (int i = 0; i < 3; i++) {
		if (i && **p != ':')
			break;
		*p += i > 0;
		if (!read_number(p, i ? 59 : 167, &parts[i]))
			return false;
	}
	*ret = sign * (parts[0] * 3600 + parts[1] * 60 + parts[2]);
	return true;
}

static bool skip_name(const char **p)
{
	const char *from = *p;

	if (**p == '<') {
		*p += strcspn(*p, ">");
		return *(*p)++ == '>';
	}
	while (isalpha((unsigned char)**p))
		(*p)++;
	return *p - from >= 3;
}

static bool read_when(const char **p, struct when *w)
{
	int64_t n[3] = {0};
	bool month = **p == 'M';

	if (*(*p)++ != ',')
		return false;
	month = **p == 'M';
	w->kind = month ? 'M' : **p == 'J' ? 'J' : 'N';
	*p += w->kind != 'N';
	for (int i = 0; i < (month ? 3 : 1); i++) {
		if (i && *(*p)++ != '.')
			return false;
		if (!read_number(p, 366, &n[i]))
			return false;
	}
	w->month = (int)n[0];
	w->week = (int)n[1];
	w->day = (int)n[month ? 2 : 0];
	w->time_s = 2 * 3600;
	if (month && (n[0] < 1 || n[0] > 12 || n[1] < 1 || n[1] > 5 || n[2] > 6))
		return false;
	return **p != '/' || ((*p)++, read_time(p, &w->time_s));
}

static bool read_rule(const char *p, struct rule *r)
{
	int64_t west;

	if (!skip_name(&p) || !read_time(&p, &west))
		return false;
	r->standard_s = -west;
	if (!*p)
		return true;
	r->dst = true;
	r->summer_s = r->standard_s + 3600;
	if (!skip_name(&p))
		return false;
	if (*p && *p != ',') {
		if (!read_time(&p, &west))
			return false;
		r->summer_s = -west;
	}
	return read_when(&p, &r->begin) && read_when(&p, &r->end) && !*p;
}

/* ---- the file ---- */

struct head {
	uint32_t isutc, isstd, leaps, times, types, chars;
};

static uint64_t big(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

static bool read_head(const uint8_t *p, size_t size, struct head *h)
{
	if (size < HEAD || memcmp(p, "TZif", 4) != 0)
		return false;
	*h = (struct head){(uint32_t)big(p + 20, 4), (uint32_t)big(p + 24, 4),
		(uint32_t)big(p + 28, 4), (uint32_t)big(p + 32, 4),
		(uint32_t)big(p + 36, 4), (uint32_t)big(p + 40, 4)};
	return h->types >= 1 && h->types <= 256 && h->times <= ZONE_FILE_MAX &&
	       h->leaps <= ZONE_FILE_MAX && h->isutc <= 256 && h->isstd <= 256 &&
	       h->chars <= ZONE_FILE_MAX;
}

static size_t block(const struct head *h, size_t time_size)
{
	return h->times * (time_size + 1) + h->types * 6 + h->chars +
	       h->leaps * (time_size + 4) + h->isstd + h->isutc;
}

static int read_times(struct zone *z, const uint8_t *p, const struct head *h)
{
	const uint8_t *index = p + h->times * 8, *types = index + h->times;

	z->at = calloc(h->times + 1, sizeof(*z->at));
	z->offset = calloc(h->times + 1, sizeof(*z->offset));
	if (!z->at || !z->offset)
		return -ENOMEM;
	z->n = h->times;
	z->offset[0] = (int32_t)big(types, 4);
	for (size_t i = 0; i < z->n; i++) {
		if (index[i] >= h->types)
			return -EINVAL;
		z->at[i] = (int64_t)big(p + i * 8, 8);
		z->offset[i + 1] = (int32_t)big(types + (size_t)index[i] * 6, 4);
		if (i && z->at[i] <= z->at[i - 1])
			return -EINVAL;
	}
	return 0;
}

static int read_foot(struct zone *z, const uint8_t *p, size_t size)
{
	char text[256];

	if (size < 2 || p[0] != '\n')
		return 0;
	const uint8_t *end = memchr(p + 1, '\n', size - 1);
	if (!end || end == p + 1 || (size_t)(end - p) >= sizeof(text))
		return 0;
	snprintf(text, sizeof(text), "%.*s", (int)(end - p - 1), (const char *)p + 1);
	z->ruled = read_rule(text, &z->rule);
	return z->ruled ? 0 : -EINVAL;
}

int zone_parse(const void *data, size_t size, struct zone **ret)
{
	const uint8_t *p = data;
	struct head h;
	struct zone *z;

	if (!read_head(p, size, &h) || p[4] < '2')
		return -EINVAL; /* version 1 ends in 2038 and is not made any more */
	size_t skip = HEAD + block(&h, 4);
	if (size < skip || !read_head(p + skip, size - skip, &h))
		return -EINVAL;
	p += skip + HEAD;
	size -= skip + HEAD;
	if (size < block(&h, 8))
		return -EINVAL;
	z = calloc(1, sizeof(*z));
	if (!z)
		return -ENOMEM;
	int r = read_times(z, p, &h);
	if (r == 0)
		r = read_foot(z, p + block(&h, 8), size - block(&h, 8));
	if (r < 0) {
		zone_close(z);
		return r;
	}
	*ret = z;
	return 0;
}

int zone_open(const char *name, struct zone **ret, struct err *e)
{
	char path[PATH_MAX] = "/etc/localtime";
	struct buf text = {.max = ZONE_FILE_MAX};
	bool own = !name || !*name;

	if (!own && !zone_name_valid(name))
		return err_set(e, EINVAL, "\"%.60s\" is no name of a time zone", name);
	if (!own)
		snprintf(path, sizeof(path), FOLDER "/%s", name);
	int fd autoclose = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && own) {
		*ret = calloc(1, sizeof(**ret));
		if (*ret)
			(*ret)->ruled = true;
		return *ret ? 0 : err_set(e, ENOMEM, "out of memory");
	}
	if (fd < 0)
		return err_set(e, ENOENT,
			"this host does not know the time zone \"%s\"; known: ls " FOLDER,
			name);
	int r = io_read_all(fd, &text);
	if (r >= 0)
		r = zone_parse(text.data ? text.data : "", text.len, ret);
	buf_free(&text);
	return r < 0 ? err_set(e, -r, "%s is no table of a time zone", path) : 0;
}

struct zone_span zone_at(const struct zone *z, int64_t utc_s)
{
	size_t low = 0, high = z->n;

	while (low < high) { /* how many moments are not after it */
		size_t mid = low + (high - low) / 2;
		if (z->at[mid] <= utc_s)
			low = mid + 1;
		else
			high = mid;
	}
	if (z->ruled && low == z->n) {
		struct zone_span s = rule_at(&z->rule, utc_s);

		if (z->n && s.from_s < z->at[z->n - 1])
			s.from_s = z->at[z->n - 1];
		return s;
	}
	return (struct zone_span){z->offset[low], low ? z->at[low - 1] : INT64_MIN,
		low < z->n ? z->at[low] : INT64_MAX};
}

/* crontab(5): reading a schedule, and when it comes next. */
#include "control/cron/schedule.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DAY 86400
#define DAYS_AHEAD                                                                       \
	(41 * 366) /* 29 February on a given weekday comes every 40 years at the latest */

/* ---- reading ---- */

static const char *const months[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
	"aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekdays[] = {
	"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

enum { MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK, FIELDS };
static const struct field {
	const char *name;
	unsigned int min, max;
	const char *const *names;
	unsigned int first; /* number of names[0] */
} fields[FIELDS] = {
	[MINUTE] = {"minute", 0, 59, NULL, 0},
	[HOUR] = {"hour", 0, 23, NULL, 0},
	[DAY_OF_MONTH] = {"day of month", 1, 31, NULL, 0},
	[MONTH] = {"month", 1, 12, months, 1},
	[DAY_OF_WEEK] = {"day of week", 0, 7, weekdays, 0},
};

static const struct {
	const char *name, *text;
} nicknames[] = {{"@hourly", "0 * * * *"}, {"@daily", "0 0 * * *"},
	{"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"}, {"@monthly", "0 0 1 * *"},
	{"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}};

static bool read_number(const char **p, unsigned int *ret)
{
	unsigned int n = 0, digits = 0;

	for (; isdigit((unsigned char)**p) && digits < 4; (*p)++, digits++)
		n = n * 10 + (unsigned int)(**p - '0');
	*ret = n;
	return digits > 0 && digits < 4;
}

static bool read_value(const struct field *f, const char **p, unsigned int *ret)
{
	for (unsigned int i = 0; f->names && f->names[i]; i++) {
		if (strncasecmp(*p, f->names[i], 3) != 0 ||
			isalpha((unsigned char)(*p)[3]))
			continue;
		*p += 3;
		*ret = f->first + i;
		return true;
	}
	return read_number(p, ret) && *ret >= f->min && *ret <= f->max;
}

/* One item of a list: *, N, N-M, then perhaps /STEP. */
static bool read_item(const struct field *f, const char **p, uint64_t *bits)
{
	unsigned int low = f->min, high = f->max, step = 1;
	bool range = **p == '*';

	if (range) {
		(*p)++;
	} else {
		if (!read_value(f, p, &low))
			return false;
		high = low;
		range = **p == '-';
		if (range && ((*p)++, !read_value(f, p, &high)))
			return false;
	}
	if (**p == '/' && ((*p)++, !range || !read_number(p, &step) || !step))
		return false;
	if (high < low)
		return false;
	for (unsigned int i = low; i <= high; i += step)
		*bits |= UINT64_C(1) << i;
	return true;
}

static int read_field(
	const struct field *f, const char *text, uint64_t *ret, struct err *e)
{
	const char *p = text;
	bool well = true;

	*ret = 0;
	do {
		well = read_item(f, &p, ret);
	} while (well && *p == ',' && p++);
	if (well && !*p)
		return 0;
	return err_set(e, EINVAL,
		"\"%.40s\" is no %s: numbers from %u to %u%s, *, lists 1,2, ranges 1-5, "
		"steps "
		"*/2 or 1-9/2",
		text, f->name, f->min, f->max, f->names ? " or names" : "");
}

static int read_fields(char *words[FIELDS], struct schedule *s, struct err *e)
{
	uint64_t bits[FIELDS];
	int r = 0;

	for (int i = 0; r == 0 && i < FIELDS; i++)
		r = read_field(&fields[i], words[i], &bits[i], e);
	if (r < 0)
		return r;
	*s = (struct schedule){.minutes = bits[MINUTE],
		.hours = (uint32_t)bits[HOUR],
		.days = (uint32_t)bits[DAY_OF_MONTH],
		.months = (uint16_t)bits[MONTH],
		.weekdays =
			(uint8_t)((bits[DAY_OF_WEEK] | bits[DAY_OF_WEEK] >> 7) & 0x7f),
		.any_time = *words[MINUTE] == '*' || *words[HOUR] == '*',
		.any_day = *words[DAY_OF_MONTH] == '*',
		.any_weekday = *words[DAY_OF_WEEK] == '*'};
	return 0;
}

static int split(char *text, char *words[FIELDS])
{
	int n = 0;

	for (char *word; (word = strsep(&text, " \t"));) {
		if (!*word)
			continue;
		if (n == FIELDS)
			return FIELDS + 1;
		words[n++] = word;
	}
	return n;
}

static int expand(const char *text, char out[SCHEDULE_TEXT_MAX], struct err *e)
{
	if (strlen(text) >= SCHEDULE_TEXT_MAX)
		return err_set(e, EINVAL, "a schedule has at most %d characters",
			SCHEDULE_TEXT_MAX - 1);
	snprintf(out, SCHEDULE_TEXT_MAX, "%s", text);
	if (*text != '@')
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(nicknames); i++)
		if (strcasecmp(text, nicknames[i].name) == 0) {
			snprintf(out, SCHEDULE_TEXT_MAX, "%s", nicknames[i].text);
			return 0;
		}
	return err_set(e, EINVAL,
		"\"%.40s\" is none of @hourly @daily @midnight @weekly @monthly @yearly "
		"@annually",
		text);
}

int schedule_parse(const char *text, struct schedule *ret, struct err *e)
{
	char copy[SCHEDULE_TEXT_MAX], *words[FIELDS];
	static const uint8_t long_days[] = {
		0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool comes = false;
	int r = expand(text, copy, e);

	if (r < 0)
		return r;
	int n = split(copy, words);
	if (n != FIELDS)
		return err_set(e, EINVAL,
			"\"%.80s\" has %s%d fields: minute hour day-of-month month "
			"day-of-week",
			text, n > FIELDS ? "more than " : "", n > FIELDS ? FIELDS : n);
	r = read_fields(words, ret, e);
	if (r < 0)
		return r;
	/* The day of the month alone may name one that no such month has. */
	for (unsigned int m = 1; m <= 12; m++)
		comes |= (ret->months >> m & 1) &&
			 (ret->days & ((UINT64_C(2) << long_days[m]) - 2));
	if (comes || (!ret->any_weekday && !ret->any_day))
		return 0;
	return err_set(
		e, EINVAL, "\"%.80s\" never comes: no such month has that day", text);
}

/* ---- the next time ---- */

/* Of days since 1970 (Howard Hinnant's civil_from_days). */
static void civil(int64_t day, unsigned int *ret_month, unsigned int *ret_day)
{
	int64_t z = day + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

	*ret_day = (unsigned int)(doy - (153 * mp + 2) / 5 + 1);
	*ret_month = (unsigned int)(mp < 10 ? mp + 3 : mp - 9);
}

static bool on_day(const struct schedule *s, int64_t day)
{
	unsigned int m, d, w = (unsigned int)(((day + 4) % 7 + 7) % 7);

	civil(day, &m, &d);
	if (!(s->months >> m & 1))
		return false;
	bool by_day = s->days >> d & 1, by_weekday = s->weekdays >> w & 1;
	return s->any_day || s->any_weekday ? by_day && by_weekday : by_day || by_weekday;
}

/* The first local minute at or after `from`, both seconds of the local clock. */
static bool next_local(const struct schedule *s, int64_t from, int64_t *ret)
{
	int64_t day = from >= 0 ? from / DAY : (from - DAY + 1) / DAY;
	int64_t minute = (from - day * DAY + 59) / 60;

	for (int i = 0; i < DAYS_AHEAD; i++, day++, minute = 0) {
		if (!on_day(s, day))
			continue;
		for (; minute < 24 * 60; minute++) {
			if (!(s->hours >> (minute / 60) & 1)) {
				minute += 59 - minute % 60;
				continue;
			}
			if (s->minutes >> (minute % 60) & 1) {
				*ret = day * DAY + minute * 60;
				return true;
			}
		}
	}
	return false;
}

/* As the clock goes: each span of one offset by itself. */
static int next_by_clock(
	const struct schedule *s, const struct zone *z, int64_t from_s, int64_t *ret_s)
{
	int64_t local;

	for (int i = 0; i < 1000; i++) {
		struct zone_span span = zone_at(z, from_s);

		if (!next_local(s, from_s + span.offset_s, &local))
			return -ENOENT;
		if (local - span.offset_s < span.until_s) {
			*ret_s = local - span.offset_s;
			return 0;
		}
		from_s = span.until_s;
	}
	return -ENOENT;
}

/* The moment of a local time: the first of two, or that of the change which skips it. */
static int64_t moment(const struct zone *z, int64_t local)
{
	struct zone_span before = zone_at(z, local - DAY), after;
	int64_t utc_s = local - before.offset_s;

	if (utc_s < before.until_s)
		return utc_s;
	after = zone_at(z, before.until_s);
	utc_s = local - after.offset_s;
	return utc_s > before.until_s ? utc_s : before.until_s;
}

int schedule_next(
	const struct schedule *s, const struct zone *z, int64_t after_s, int64_t *ret_s)
{
	struct zone_span now = zone_at(z, after_s);
	int64_t local = after_s + now.offset_s;

	if (s->any_time)
		return next_by_clock(s, z, after_s + 1, ret_s);
	/* What the clock shows a second time was seen to the first time. */
	while (next_local(s, local + 1, &local)) {
		*ret_s = moment(z, local);
		if (*ret_s > after_s)
			return 0;
	}
	return -ENOENT;
}

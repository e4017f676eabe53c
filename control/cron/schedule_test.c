/* When a task is due, against times worked out by hand and with other programs: calendars, lists, summer time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/cron/schedule.h"
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A table of one type and no change, then the rule: what tzfile(5) has for a zone without a past. */
static struct zone *zone_of(const char *rule)
{
	uint8_t file[512] = "TZif2";
	struct zone *z = NULL;

	file[39] = 1; /* types */
	file[43] = 1; /* bytes of names */
	size_t n = 44 + 7;
	memcpy(file + n, file, 44);
	n += 44 + 7;
	n += (size_t)snprintf((char *)file + n, sizeof(file) - n, "\n%s\n", rule);
	assert_int_equal(zone_parse(file, n, &z), 0);
	return z;
}

static int64_t utc(const char *text)
{
	struct tm t = {0};

	assert_non_null(strptime(text, "%Y-%m-%d %H:%M:%S", &t));
	return timegm(&t);
}

static const char *shown(int64_t s)
{
	static char text[32];
	time_t t = (time_t)s;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	return text;
}

static void check(const char *rule, const char *schedule, const char *after,
	const char *const *next)
{
	struct zone *z = zone_of(rule);
	struct schedule s;
	struct err e = {0};
	int64_t at = utc(after);

	if (schedule_parse(schedule, &s, &e) < 0)
		fail_msg("%s: %s", schedule, e.text);
	for (; *next; next++) {
		assert_int_equal(schedule_next(&s, z, at, &at), 0);
		if (strcmp(shown(at), *next) != 0)
			fail_msg("%s after %s: %s, not %s", schedule, after, shown(at),
				*next);
	}
	zone_close(z);
}
#define NEXT(rule, schedule, after, ...)                                                 \
	check(rule, schedule, after, (const char *const[]){__VA_ARGS__, NULL})

static void fields_lists_ranges_steps_and_names_say_when(void **state UNUSED)
{
	NEXT("UTC0", "* * * * *", "2026-01-02 03:04:05", "2026-01-02 03:05:00",
		"2026-01-02 03:06:00");
	NEXT("UTC0", "0 3 * * *", "2026-01-02 03:00:00", "2026-01-03 03:00:00");
	NEXT("UTC0", "0 3 * * *", "2026-01-02 02:59:59", "2026-01-02 03:00:00");
	NEXT("UTC0", "*/20 * * * *", "2026-01-02 03:04:05", "2026-01-02 03:20:00",
		"2026-01-02 03:40:00", "2026-01-02 04:00:00");
	NEXT("UTC0", "5,10-12,50-58/4 1 * * *", "2026-01-02 03:04:05",
		"2026-01-03 01:05:00", "2026-01-03 01:10:00", "2026-01-03 01:11:00",
		"2026-01-03 01:12:00", "2026-01-03 01:50:00", "2026-01-03 01:54:00",
		"2026-01-03 01:58:00", "2026-01-04 01:05:00");
	NEXT("UTC0", "0 0 * FEB,dec mon-fri", "2026-01-02 03:04:05",
		"2026-02-02 00:00:00", "2026-02-03 00:00:00", "2026-02-04 00:00:00",
		"2026-02-05 00:00:00", "2026-02-06 00:00:00", "2026-02-09 00:00:00");
	NEXT("UTC0", "30 4 * * 7", "2026-01-02 00:00:00", "2026-01-04 04:30:00");
	NEXT("UTC0", "30 4 * * 5-7", "2026-01-02 05:00:00", "2026-01-03 04:30:00",
		"2026-01-04 04:30:00", "2026-01-09 04:30:00");
	NEXT("UTC0", "  0   12  1  1\t* ", "2026-01-02 03:04:05", "2027-01-01 12:00:00");
}

static void nicknames_say_when(void **state UNUSED)
{
	NEXT("UTC0", "@hourly", "2026-12-31 23:00:00", "2027-01-01 00:00:00",
		"2027-01-01 01:00:00");
	NEXT("UTC0", "@daily", "2026-12-31 23:00:00", "2027-01-01 00:00:00",
		"2027-01-02 00:00:00");
	NEXT("UTC0", "@Midnight", "2026-12-31 23:00:00", "2027-01-01 00:00:00");
	NEXT("UTC0", "@weekly", "2026-12-31 23:00:00", "2027-01-03 00:00:00");
	NEXT("UTC0", "@monthly", "2026-12-31 23:00:00", "2027-01-01 00:00:00",
		"2027-02-01 00:00:00");
	NEXT("UTC0", "@yearly", "2026-12-31 23:00:00", "2027-01-01 00:00:00",
		"2028-01-01 00:00:00");
	NEXT("UTC0", "@annually", "2026-12-31 23:00:00", "2027-01-01 00:00:00");
}

/* crontab(5): "the command will be run when either field matches"; a field that begins with * restricts. */
static void either_day_field_is_enough_where_both_say_something(void **state UNUSED)
{
	NEXT("UTC0", "0 0 13 * 5", "2026-02-01 00:00:00", "2026-02-06 00:00:00",
		"2026-02-13 00:00:00", "2026-02-20 00:00:00", "2026-02-27 00:00:00",
		"2026-03-06 00:00:00", "2026-03-13 00:00:00");
	NEXT("UTC0", "0 0 */2 * 1", "2026-02-01 00:00:00", "2026-02-09 00:00:00",
		"2026-02-23 00:00:00", "2026-03-09 00:00:00");
	NEXT("UTC0", "0 0 30 2 1", "2026-01-01 00:00:00", "2026-02-02 00:00:00");
}

static void days_that_are_rare_are_found(void **state UNUSED)
{
	NEXT("UTC0", "0 0 29 2 *", "2026-01-01 00:00:00", "2028-02-29 00:00:00",
		"2032-02-29 00:00:00");
	NEXT("UTC0", "0 0 29 2 *", "2096-02-29 00:00:00", "2104-02-29 00:00:00");
	NEXT("UTC0", "0 0 31 * *", "2026-01-31 00:00:00", "2026-03-31 00:00:00",
		"2026-05-31 00:00:00");
	NEXT("UTC0", "0 0 29-29/1 2 */7", "2026-01-01 00:00:00", "2032-02-29 00:00:00");
}

#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"
#define NEW_YORK "EST5EDT,M3.2.0,M11.1.0"
#define LORD_HOWE "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"
#define DUBLIN "IST-1GMT0,M10.5.0,M3.5.0/1"

/* Berlin 2026: 29 March 02:00 becomes 03:00 (01:00 UTC), 25 October 03:00 becomes 02:00. */
static void a_skipped_time_runs_at_the_change_a_repeated_one_once(void **state UNUSED)
{
	NEXT(BERLIN, "30 2 * * *", "2026-03-27 12:00:00", "2026-03-28 01:30:00",
		"2026-03-29 01:00:00", "2026-03-30 00:30:00");
	NEXT(BERLIN, "0,30 2 * * *", "2026-03-28 12:00:00", "2026-03-29 01:00:00",
		"2026-03-30 00:00:00");
	NEXT(BERLIN, "30 2 * * *", "2026-10-24 12:00:00", "2026-10-25 00:30:00",
		"2026-10-26 01:30:00");
	NEXT(BERLIN, "30 2 * * *", "2026-10-25 00:40:00", "2026-10-26 01:30:00");
	NEXT(BERLIN, "30 2 * * *", "2026-10-25 01:10:00", "2026-10-26 01:30:00");
	NEXT(BERLIN, "0 3 * * *", "2026-10-25 00:59:00", "2026-10-25 02:00:00");
	NEXT(NEW_YORK, "30 2 * * *", "2026-03-07 12:00:00", "2026-03-08 07:00:00",
		"2026-03-09 06:30:00");
	NEXT(NEW_YORK, "30 1 * * *", "2026-11-01 00:00:00", "2026-11-01 05:30:00",
		"2026-11-02 06:30:00");
	NEXT(LORD_HOWE, "15 2 * * *", "2026-10-03 12:00:00", "2026-10-03 15:30:00",
		"2026-10-04 15:15:00");
	NEXT(DUBLIN, "30 1 * * *", "2026-03-28 12:00:00", "2026-03-29 01:00:00",
		"2026-03-30 00:30:00");
}

static void a_schedule_of_every_hour_follows_the_clock(void **state UNUSED)
{
	NEXT(BERLIN, "30 * * * *", "2026-10-24 23:45:00", "2026-10-25 00:30:00",
		"2026-10-25 01:30:00", "2026-10-25 02:30:00");
	NEXT(BERLIN, "@hourly", "2026-03-29 00:00:00", "2026-03-29 01:00:00",
		"2026-03-29 02:00:00");
	NEXT(BERLIN, "*/30 2 * * *", "2026-10-24 23:45:00", "2026-10-25 00:00:00",
		"2026-10-25 00:30:00", "2026-10-25 01:00:00", "2026-10-25 01:30:00",
		"2026-10-26 01:00:00");
	NEXT(BERLIN, "*/30 2 * * *", "2026-03-28 12:00:00", "2026-03-30 00:00:00");
}

static void the_local_clock_counts(void **state UNUSED)
{
	NEXT(BERLIN, "0 0 1 1 *", "2026-06-01 00:00:00", "2026-12-31 23:00:00");
	NEXT(NEW_YORK, "0 20 * * 0", "2026-07-01 00:00:00", "2026-07-06 00:00:00");
	NEXT("<+14>-14", "0 0 1 * *", "2026-07-01 00:00:00", "2026-07-31 10:00:00");
}

static void what_is_no_schedule_is_refused_with_its_field(void **state UNUSED)
{
	static const struct {
		const char *text, *says;
	} rows[] = {{"", "has 0 fields"}, {"* * * *", "has 4 fields"},
		{"* * * * * *", "more than 5 fields"}, {"60 * * * *", "is no minute"},
		{"* 24 * * *", "is no hour"}, {"* * 0 * *", "is no day of month"},
		{"* * 32 * *", "is no day of month"}, {"* * * 13 *", "is no month"},
		{"* * * foo *", "is no month"}, {"* * * * 8", "is no day of week"},
		{"* * * * monday", "is no day of week"}, {"5/10 * * * *", "is no minute"},
		{"*/0 * * * *", "is no minute"}, {"9-5 * * * *", "is no minute"},
		{"1, * * * *", "is no minute"}, {"1-2-3 * * * *", "is no minute"},
		{"-1 * * * *", "is no minute"}, {"1.5 * * * *", "is no minute"},
		{"99999999999 * * * *", "is no minute"}, {"@reboot", "is none of"},
		{"@", "is none of"}, {"0 0 30 2 *", "never comes"},
		{"0 0 31 4,6,9,11 *", "never comes"}};
	struct schedule s;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = {0};

		if (schedule_parse(rows[i].text, &s, &e) != -EINVAL)
			fail_msg("%s is taken", rows[i].text);
		if (!strstr(e.text, rows[i].says))
			fail_msg("%s: %s", rows[i].text, e.text);
	}
}

static void a_table_of_a_zone_is_read_and_nonsense_refused(void **state UNUSED)
{
	uint8_t file[256] = "TZif2";
	struct zone *z = NULL;
	struct err e = {0};

	assert_int_equal(zone_parse("TZif", 4, &z), -EINVAL);
	assert_int_equal(zone_parse(file, sizeof(file), &z), -EINVAL);
	for (size_t n = 0; n < 44 + 7 + 44 + 7; n++) {
		file[39] = file[43] = 1;
		assert_int_equal(zone_parse(file, n, &z), -EINVAL);
	}
	z = zone_of(BERLIN);
	struct zone_span s = zone_at(z, utc("2026-07-01 00:00:00"));
	assert_int_equal(s.offset_s, 7200);
	assert_int_equal(s.from_s, utc("2026-03-29 01:00:00"));
	assert_int_equal(s.until_s, utc("2026-10-25 01:00:00"));
	zone_close(z);
	assert_int_equal(zone_open("../../etc/passwd", &z, &e), -EINVAL);
	assert_int_equal(zone_open("Europe/Nowhere", &z, &e), -ENOENT);
	assert_non_null(strstr(e.text, "Europe/Nowhere"));
	assert_int_equal(zone_open(NULL, &z, &e), 0);
	zone_close(z);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_lists_ranges_steps_and_names_say_when),
		cmocka_unit_test(nicknames_say_when),
		cmocka_unit_test(either_day_field_is_enough_where_both_say_something),
		cmocka_unit_test(days_that_are_rare_are_found),
		cmocka_unit_test(a_skipped_time_runs_at_the_change_a_repeated_one_once),
		cmocka_unit_test(a_schedule_of_every_hour_follows_the_clock),
		cmocka_unit_test(the_local_clock_counts),
		cmocka_unit_test(what_is_no_schedule_is_refused_with_its_field),
		cmocka_unit_test(a_table_of_a_zone_is_read_and_nonsense_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

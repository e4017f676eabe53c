/*
 * When a task is due: crontab(5) as Debian's cron reads it. Five fields (minute hour day-of-month month day-of-week) of
 * numbers, lists, ranges, steps (of * or a range) and names of three letters; 0 and 7 are Sunday; or @hourly @daily @midnight
 * @weekly @monthly @yearly @annually. Where both day fields say something (neither begins with *), either is enough.
 *
 * A clock that is changed (summer time): a time that is skipped counts for the moment of the change, one that comes twice
 * for the first time. A schedule whose minute or hour begins with * follows the clock as it is.
 */
#ifndef CONTROL_SCHEDULE_H
#define CONTROL_SCHEDULE_H

#include "control/cron/zone.h"

#define SCHEDULE_TEXT_MAX 256

struct schedule {
	uint64_t minutes;
	uint32_t hours, days; /* bit 1: the 1st */
	uint16_t months;      /* bit 1: January */
	uint8_t weekdays;     /* bit 0: Sunday */
	bool any_time;	      /* minute or hour begins with * */
	bool any_day, any_weekday;
};

/* -EINVAL with a sentence that names the field; also of one that never comes, such as 30 February. */
int schedule_parse(const char *text, struct schedule *ret, struct err *e);
/* The first moment after `after_s` (both UTC, seconds since 1970). -ENOENT: none in 40 years. */
int schedule_next(
	const struct schedule *s, const struct zone *z, int64_t after_s, int64_t *ret_s);

#endif

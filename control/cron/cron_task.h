/* A scheduled task as app.json has it, and when it is due. Nothing here asks the database or the clock. */
#ifndef CONTROL_CRON_TASK_H
#define CONTROL_CRON_TASK_H

#include "control/cron/schedule.h"
#include "db/db.h"

#define CRON_TASKS_MAX 50u /* of one app */
#define CRON_COMMAND_MAX 4096u
#define CRON_TIMEOUT_MAX_S 2592000u /* 30 days */
#define CRON_CATCH_UP_MAX_S 86400u
#define CRON_LATE_S 60 /* a start within a minute of its time is in time */

/* What happens when the run before still runs (names of Dokku and Kubernetes). */
enum cron_policy { CRON_ALLOW, CRON_FORBID, CRON_REPLACE };

struct cron_task {
	char id[DB_CRON_ID]; /* of schedule and command: the same in each release that has both */
	const char *command, *text; /* text: the schedule as written; both of the JSON */
	struct schedule schedule;
	enum cron_policy policy;
	bool suspended;	    /* by app.json */
	uint32_t timeout_s; /* 0: as set */
};

/* command and schedule must be strings, the others are checked. -EINVAL. */
int cron_task_read(const json_t *row, struct cron_task *ret, struct err *e);
const char *cron_policy_name(enum cron_policy p);
/* "allow", "forbid", "replace"; -EINVAL. */
int cron_policy_parse(const char *text);

/*
 * Which time is to be seen to now. All times up to seen_us were; of those since then only the last one counts, and it is run when it
 * is at most window_s old (and late when it is older than CRON_LATE_S), else missed.
 */
enum cron_verdict { CRON_NOT_YET, CRON_DUE, CRON_LATE, CRON_MISSED };
struct cron_plan {
	enum cron_verdict verdict;
	uint64_t at_us;	  /* that time; of those missed the first */
	uint64_t seen_us; /* all up to then are seen to by that */
	uint64_t next_us; /* the next one after now; 0: none */
};
struct cron_plan cron_plan(const struct schedule *s, const struct zone *z,
	uint64_t seen_us, uint64_t now_us, uint32_t window_s);

#endif

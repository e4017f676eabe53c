/* Scheduled tasks: reading one, its id, and what is due. */
#include "control/cron/cron_task.h"
#include "control/builds/key.h"
#include "lib/stamp.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define S_US UINT64_C(1000000)

static const char *const policies[] = {
	[CRON_ALLOW] = "allow", [CRON_FORBID] = "forbid", [CRON_REPLACE] = "replace"};

const char *cron_policy_name(enum cron_policy p)
{
	return policies[p];
}

int cron_policy_parse(const char *text)
{
	for (size_t i = 0; text && i < ARRAY_LEN(policies); i++)
		if (strcmp(text, policies[i]) == 0)
			return (int)i;
	return -EINVAL;
}

static void make_id(struct cron_task *t)
{
	char hex[65];
	struct key k;

	key_begin(&k, "cron-1");
	key_adds(&k, t->text);
	key_adds(&k, t->command);
	key_end(&k, hex);
	snprintf(t->id, sizeof(t->id), "%.*s", DB_CRON_ID - 1, hex);
}

static int read_timeout(const json_t *row, uint32_t *ret, struct err *e)
{
	const json_t *v = json_object_get(row, "timeout");
	const char *text = json_string_value(v);
	uint64_t s = json_is_integer(v) && json_integer_value(v) > 0
			     ? (uint64_t)json_integer_value(v)
			     : 0;

	*ret = 0;
	if (!v)
		return 0;
	if ((text && span_parse(text, &s) < 0) || s < 1 || s > CRON_TIMEOUT_MAX_S)
		return err_set(e, EINVAL,
			"timeout is no time such as 90s, 15m or 2h, at most 30d");
	*ret = (uint32_t)s;
	return 0;
}

int cron_task_read(const json_t *row, struct cron_task *ret, struct err *e)
{
	const char *policy =
		json_string_value(json_object_get(row, "concurrency_policy"));
	int p = policy ? cron_policy_parse(policy) : CRON_FORBID;

	*ret = (struct cron_task){
		.command = json_string_value(json_object_get(row, "command")),
		.text = json_string_value(json_object_get(row, "schedule")),
		.suspended = json_is_true(json_object_get(row, "suspend")) ||
			     json_is_true(json_object_get(row, "maintenance"))};
	if (!ret->command || !*ret->command || strlen(ret->command) >= CRON_COMMAND_MAX)
		return err_set(e, EINVAL, "command is missing or longer than %u bytes",
			CRON_COMMAND_MAX);
	if (!ret->text)
		return err_set(e, EINVAL, "schedule is missing");
	if (p < 0)
		return err_set(e, EINVAL,
			"concurrency_policy is allow, forbid or replace, not \"%.40s\"",
			policy);
	ret->policy = (enum cron_policy)p;
	int r = schedule_parse(ret->text, &ret->schedule, e);
	if (r == 0)
		r = read_timeout(row, &ret->timeout_s, e);
	if (r == 0)
		make_id(ret);
	return r;
}

/* ---- what is due ---- */

static uint64_t next_after(
	const struct schedule *s, const struct zone *z, uint64_t after_us)
{
	int64_t at;

	if (schedule_next(s, z, (int64_t)(after_us / S_US), &at) < 0 || at <= 0)
		return 0;
	return (uint64_t)at * S_US;
}

struct cron_plan cron_plan(const struct schedule *s, const struct zone *z,
	uint64_t seen_us, uint64_t now_us, uint32_t window_s)
{
	uint64_t oldest_us = now_us - (window_s + CRON_LATE_S) * S_US;
	struct cron_plan p = {.verdict = CRON_NOT_YET};

	p.next_us = next_after(s, z, seen_us);
	if (!p.next_us || p.next_us > now_us)
		return p;
	p.verdict = CRON_MISSED;
	p.at_us = p.next_us;
	if (p.at_us <
		oldest_us) /* many may have been missed: those that are too old are not walked */
		p.next_us = next_after(s, z, oldest_us - 1);
	for (; p.next_us && p.next_us <= now_us; p.next_us = next_after(s, z, p.at_us)) {
		p.at_us = p.next_us;
		p.verdict = now_us - p.at_us > CRON_LATE_S * S_US ? CRON_LATE : CRON_DUE;
	}
	p.seen_us = p.verdict == CRON_MISSED ? now_us : p.at_us;
	return p;
}

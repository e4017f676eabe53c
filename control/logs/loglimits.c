/* Log budgets and rates, for berth-logger. */
#include "control/logs/loglimits.h"
#include "control/engine.h"
#include "control/network/options.h"
#include "lib/log.h"
#include "lib/name.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int loglimits_parse_rate(const char *text, struct msg_log_limits *ret)
{
	char number[32];
	size_t len = strlen(text);
	uint64_t n;

	ret->rate_lines = ret->rate_bytes = 0;
	if (strcmp(text, "off") == 0) {
		ret->rate_lines = LOG_RATE_OFF;
		return 0;
	}
	if (len > 2 && strcmp(text + len - 2, "/s") == 0)
		len -= 2;
	if (len == 0 || len >= sizeof(number))
		return -EINVAL;
	snprintf(number, sizeof(number), "%.*s", (int)len, text);
	bool lines = isdigit((unsigned char)number[len - 1]);

	if (num_parse_size(number, &n) < 0 || n < 1 || n > LOG_RATE_MAX)
		return -EINVAL;
	*(lines ? &ret->rate_lines : &ret->rate_bytes) = n;
	return 0;
}

static int tell(struct control *c, const json_t *topic, uint32_t app)
{
	const char *budget = options_value(topic, app, LOGLIMITS_BUDGET),
		   *rate = options_value(topic, app, LOGLIMITS_RATE);
	struct msg_log_limits m = {.app = app};

	if (budget)
		num_parse_size(budget, &m.budget_bytes);
	if (rate)
		loglimits_parse_rate(rate, &m);
	return engine_call(c->engine, MSG_LOG_LIMITS, &m, sizeof(m), NULL, 0, NULL);
}

int loglimits_apply(struct control *c, uint32_t app, struct err *e)
{
	json_t *topic = NULL;
	int r = db_setting_topic(c->db, LOGLIMITS_TOPIC, app, &topic);

	if (r == 0)
		r = tell(c, topic, app);
	json_decref(topic);
	return r < 0 ? err_sys(e, -r, "tell berth-logger") : 0;
}

void loglimits_apply_all(struct control *c)
{
	json_t *topic = NULL, *values;
	int r = db_setting_topic(c->db, LOGLIMITS_TOPIC, 0, &topic);
	const char *id;
	uint64_t app;

	json_object_foreach (topic, id, values) {
		if (r == 0 && num_parse_u64(id, 0, UINT32_MAX, &app) == 0)
			r = tell(c, topic, (uint32_t)app);
	}
	json_decref(topic);
	if (r < 0)
		log_error("log budgets and rates: %s", strerror(-r));
}

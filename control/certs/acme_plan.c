/* Automatic certificates: what is wanted, what is due, and when a try is allowed. */
#include "control/certs/acme_plan.h"
#include "control/certs/cert.h"
#include <stdio.h>
#include <string.h>

static bool checkable(const char *host)
{
	static const char local[] = ".localhost";
	size_t n = strlen(host), tail = sizeof(local) - 1;

	return host[0] != '*' && strchr(host, '.') &&
	       !(n >= tail && strcmp(host + n - tail, local) == 0);
}

static bool is_added(
	const struct db_cert *certs, int n, const char *host, uint64_t now_us)
{
	for (int i = 0; i < n; i++)
		if (certs[i].name[0] && certs[i].from_us <= now_us &&
			now_us < certs[i].until_us && cert_covers(certs[i].names, host))
			return true;
	return false;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *acme_names(
	const json_t *hostnames, const struct db_cert *certs, int n, uint64_t now_us)
{
	const char **list autofree =
		calloc(json_array_size(hostnames) + 1, sizeof(*list));
	json_t *names = json_array();
	const json_t *v;
	size_t i, count = 0;

	if (!list)
		return names;
	json_array_foreach (hostnames, i, v) {
		const char *host = json_string_value(v);

		if (checkable(host) && !is_added(certs, n, host, now_us))
			list[count++] = host;
	}
	qsort(list, count, sizeof(*list), by_text);
	for (i = 0; i < count; i++)
		if (i == 0 || strcmp(list[i], list[i - 1]) != 0)
			json_array_append_new(names, json_string(list[i]));
	return names;
}

static bool has_name(const json_t *names, const char *name)
{
	const json_t *v;
	size_t i;

	json_array_foreach (names, i, v)
		if (strcmp(json_string_value(v), name) == 0)
			return true;
	return false;
}

static bool same_names(const json_t *a, const json_t *b)
{
	const json_t *v;
	size_t i;

	if (json_array_size(a) != json_array_size(b))
		return false;
	json_array_foreach (a, i, v)
		if (!has_name(b, json_string_value(v)))
			return false;
	return true;
}

uint64_t acme_renew_us(const struct db_cert *have)
{
	return have->until_us - (have->until_us - have->from_us) / 3;
}

bool acme_late(const struct db_cert *have, uint64_t now_us)
{
	const uint64_t renew_us = acme_renew_us(have);

	return now_us > renew_us + (have->until_us - renew_us) / 2;
}

enum acme_need acme_need(
	const json_t *names, const struct db_cert *have, bool forced, uint64_t now_us)
{
	if (json_array_size(names) == 0)
		return ACME_NONE;
	if (!have)
		return ACME_FIRST;
	if (!same_names(names, have->names))
		return ACME_NAMES;
	if (now_us >= acme_renew_us(have))
		return ACME_AGE;
	return forced ? ACME_FORCED : ACME_NONE;
}

uint64_t acme_pause_us(uint32_t failures, uint32_t random)
{
	uint64_t pause = ACME_PAUSE_US;

	for (uint32_t i = 1; i < failures && pause < ACME_PAUSE_MAX_US; i++)
		pause *= 2;
	if (pause > ACME_PAUSE_MAX_US)
		pause = ACME_PAUSE_MAX_US;
	return pause - pause / 5 + (2 * pause / 5) * (random % 1000) / 1000;
}

char *acme_names_text(const json_t *names)
{
	return json_dumps(names, JSON_COMPACT);
}

int acme_allowed_us(struct control *c, uint32_t app, const char *names, uint64_t now_us,
	uint64_t *ret_us, const char **ret_why)
{
	static const struct {
		enum db_orders which;
		uint32_t most;
		uint64_t within_us;
		const char *why;
	} limits[] = {
		{ORDERS_REFUSED, 5, ACME_HOUR_US, "5 tries failed within an hour"},
		{ORDERS_ISSUED, 5, 7 * ACME_DAY_US,
			"5 certificates for these names within a week"},
		{ORDERS_ALL, 250, 3 * ACME_HOUR_US, "250 orders within 3 hours"},
	};
	uint64_t at;

	*ret_us = 0;
	*ret_why = NULL;
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		int r = db_order_time(
			c->db, limits[i].which, app, names, limits[i].most, &at);

		if (r < 0)
			return r;
		if (at && at + limits[i].within_us > now_us &&
			at + limits[i].within_us > *ret_us) {
			*ret_us = at + limits[i].within_us;
			*ret_why = limits[i].why;
		}
	}
	return 0;
}

/* ---- what uacme says ---- */

/* The last error document of the authority in the output; NULL: none. */
static json_t *problem_in(const char *output)
{
	static const char mark[] = "following error:";
	json_t *problem = NULL;

	for (const char *p = output; (p = strstr(p, mark)); p += sizeof(mark) - 1) {
		const char *from = strchr(p, '{');
		json_t *o = from ? json_loads(from, JSON_DISABLE_EOF_CHECK, NULL) : NULL;

		if (!o)
			continue;
		json_decref(problem);
		problem = o;
	}
	return problem;
}

static void explain_problem(const json_t *problem, char *out, size_t size,
	bool *ret_limited, bool *ret_forgotten)
{
	const char *detail = json_string_value(json_object_get(problem, "detail"));
	const char *type = json_string_value(json_object_get(problem, "type"));
	const char *kind = type && strrchr(type, ':') ? strrchr(type, ':') + 1 : "";
	const char *advice = "";

	detail = detail ? detail : "no reason given";
	*ret_limited = strcmp(kind, "rateLimited") == 0;
	*ret_forgotten = strcmp(kind, "accountDoesNotExist") == 0;
	if (strstr(detail, "deactivated"))
		advice = "; make a new account: berth tls:renew APP --new-account";
	else if (strcmp(kind, "unauthorized") == 0 || strcmp(kind, "connection") == 0 ||
		 strcmp(kind, "dns") == 0)
		advice = "; each name must lead to this host, port 80";
	else if (strcmp(kind, "rejectedIdentifier") == 0 ||
		 strcmp(kind, "malformed") == 0)
		advice =
			"; a name it does not take can go: berth domains:remove APP NAME";
	snprintf(out, size, "the authority refused: %.300s%s%s%s%s", detail,
		*kind ? " (" : "", kind, *kind ? ")" : "", advice);
}

/* Of the text after the last mark, one line. */
static bool line_after(const char *output, const char *mark, char *out, size_t size)
{
	const char *last = NULL;

	for (const char *p = output; (p = strstr(p, mark)); p += strlen(mark))
		last = p + strlen(mark);
	if (!last)
		return false;
	snprintf(out, size, "%.*s", (int)strcspn(last, "\n"), last);
	return true;
}

static void last_line(const char *output, char *out, size_t size)
{
	out[0] = '\0';
	for (const char *p = output; *p; p += strcspn(p, "\n"), p += *p == '\n')
		if (*p != '\n')
			snprintf(out, size, "%.*s", (int)strcspn(p, "\n"), p);
}

void acme_explain(const char *output, char *out, size_t size, bool *ret_limited,
	bool *ret_forgotten)
{
	json_t *problem = problem_in(output);
	char line[256];

	*ret_limited = *ret_forgotten = false;
	if (problem) {
		explain_problem(problem, out, size, ret_limited, ret_forgotten);
	} else if (strstr(output, "no account associated with")) {
		*ret_forgotten = true;
		snprintf(out, size, "the authority does not know our account");
	} else if (strstr(output, "berth-acme: cannot start uacme: No such file")) {
		snprintf(out, size,
			"uacme is not installed on this host; install the package uacme");
	} else if (line_after(output, " failed: ", line, sizeof(line))) {
		snprintf(out, size, "the authority cannot be reached: %s", line);
	} else {
		last_line(output, line, sizeof(line));
		snprintf(out, size, "uacme failed: %s",
			line[0] ? line : "it said nothing");
	}
	json_decref(problem);
	for (char *p = out; *p; p++)
		*p = (unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f ? '?' : *p;
}

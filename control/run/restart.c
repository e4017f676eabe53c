/* What happens to an instance that ended: states and events, policy, pauses. */
#include "control/run/restart.h"
#include "lib/name.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Tables are read down their columns: */
/* clang-format off */
#define KEEP(state) {MEMBER_##state, MEMBER_KEEP}
#define TO(state, action) {MEMBER_##state, MEMBER_##action}
#define NEVER(state) {MEMBER_##state, MEMBER_FAULT}

/* A deploy that starts an instance also judges its start: an end before it is ready is the deploy's affair. */
static const struct member_step steps[MEMBER_STATES][MEMBER_EVENTS] = {
	[MEMBER_STARTING] = {
		[EVENT_TURN]     = NEVER(STARTING),
		[EVENT_READY]    = TO(READY, KEEP),
		[EVENT_FELL]     = TO(GONE, FORGET),
		[EVENT_LOOPED]   = TO(GONE, FORGET),
		[EVENT_FINISHED] = TO(GONE, FORGET),
		[EVENT_DUE]      = NEVER(STARTING),
		[EVENT_UNWANTED] = TO(RETIRING, KEEP),
	},
	[MEMBER_QUEUED] = {
		[EVENT_TURN]     = TO(RESTARTING, START),
		[EVENT_READY]    = NEVER(QUEUED),
		[EVENT_FELL]     = NEVER(QUEUED),
		[EVENT_LOOPED]   = NEVER(QUEUED),
		[EVENT_FINISHED] = NEVER(QUEUED),
		[EVENT_DUE]      = NEVER(QUEUED),
		[EVENT_UNWANTED] = TO(GONE, FORGET),
	},
	[MEMBER_RESTARTING] = {
		[EVENT_TURN]     = NEVER(RESTARTING),
		[EVENT_READY]    = TO(READY, ROUTE),
		[EVENT_FELL]     = TO(BACKOFF, PAUSE),
		[EVENT_LOOPED]   = TO(CRASHED, LONG_PAUSE),
		[EVENT_FINISHED] = TO(ENDED, SETTLE),
		[EVENT_DUE]      = NEVER(RESTARTING),
		[EVENT_UNWANTED] = TO(RETIRING, KEEP),
	},
	[MEMBER_READY] = {
		[EVENT_TURN]     = NEVER(READY),
		[EVENT_READY]    = NEVER(READY),
		[EVENT_FELL]     = TO(BACKOFF, PAUSE),
		[EVENT_LOOPED]   = TO(CRASHED, LONG_PAUSE),
		[EVENT_FINISHED] = TO(ENDED, SETTLE),
		[EVENT_DUE]      = NEVER(READY),
		[EVENT_UNWANTED] = TO(RETIRING, KEEP),
	},
	[MEMBER_BACKOFF] = {
		[EVENT_TURN]     = NEVER(BACKOFF),
		[EVENT_READY]    = NEVER(BACKOFF),
		[EVENT_FELL]     = NEVER(BACKOFF),
		[EVENT_LOOPED]   = NEVER(BACKOFF),
		[EVENT_FINISHED] = NEVER(BACKOFF),
		[EVENT_DUE]      = TO(QUEUED, QUEUE),
		[EVENT_UNWANTED] = TO(GONE, FORGET),
	},
	[MEMBER_CRASHED] = {
		[EVENT_TURN]     = NEVER(CRASHED),
		[EVENT_READY]    = NEVER(CRASHED),
		[EVENT_FELL]     = NEVER(CRASHED),
		[EVENT_LOOPED]   = NEVER(CRASHED),
		[EVENT_FINISHED] = NEVER(CRASHED),
		[EVENT_DUE]      = TO(QUEUED, QUEUE),
		[EVENT_UNWANTED] = TO(GONE, FORGET),
	},
	[MEMBER_ENDED] = {
		[EVENT_TURN]     = NEVER(ENDED),
		[EVENT_READY]    = NEVER(ENDED),
		[EVENT_FELL]     = NEVER(ENDED),
		[EVENT_LOOPED]   = NEVER(ENDED),
		[EVENT_FINISHED] = NEVER(ENDED),
		[EVENT_DUE]      = NEVER(ENDED),
		[EVENT_UNWANTED] = TO(GONE, FORGET),
	},
	/* Told to go twice, and ready too late, are no news. */
	[MEMBER_RETIRING] = {
		[EVENT_TURN]     = NEVER(RETIRING),
		[EVENT_READY]    = KEEP(RETIRING),
		[EVENT_FELL]     = TO(GONE, FORGET),
		[EVENT_LOOPED]   = TO(GONE, FORGET),
		[EVENT_FINISHED] = TO(GONE, FORGET),
		[EVENT_DUE]      = NEVER(RETIRING),
		[EVENT_UNWANTED] = KEEP(RETIRING),
	},
	/* In no list: nothing reaches it. */
	[MEMBER_GONE] = {
		[EVENT_TURN]     = NEVER(GONE),
		[EVENT_READY]    = NEVER(GONE),
		[EVENT_FELL]     = NEVER(GONE),
		[EVENT_LOOPED]   = NEVER(GONE),
		[EVENT_FINISHED] = NEVER(GONE),
		[EVENT_DUE]      = NEVER(GONE),
		[EVENT_UNWANTED] = NEVER(GONE),
	},
};
/* clang-format on */

static const char *const names[] = {
	[MEMBER_STARTING] = "starting",
	[MEMBER_QUEUED] = "waiting",
	[MEMBER_RESTARTING] = "starting",
	[MEMBER_READY] = "running",
	[MEMBER_BACKOFF] = "restarting",
	[MEMBER_CRASHED] = "crashed",
	[MEMBER_ENDED] = "ended",
	[MEMBER_RETIRING] = "stopping",
	[MEMBER_GONE] = "gone",
};

_Static_assert(MEMBER_STATES == 9 && MEMBER_EVENTS == 7,
	"a new state or event has a row or a column in every table here and in the test");
_Static_assert(ARRAY_LEN(names) == MEMBER_STATES, "each state has a name");

const struct member_step *member_step(enum member_state state, enum member_event event)
{
	return &steps[state][event];
}

const char *member_state_name(enum member_state state)
{
	return names[state];
}

int restart_policy_parse(const char *text, struct restart_policy *ret)
{
	static const struct {
		const char *word;
		enum restart_when when;
	} words[] = {
		{"always", RESTART_ALWAYS},
		{"unless-stopped", RESTART_ALWAYS},
		{"on-failure", RESTART_ON_FAILURE},
		{"never", RESTART_NEVER},
		{"no", RESTART_NEVER},
	};
	static const char limited[] = "on-failure:";
	uint64_t tries;

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcmp(text, words[i].word) == 0) {
			*ret = (struct restart_policy){.when = words[i].when};
			return 0;
		}
	}
	if (strncmp(text, limited, sizeof(limited) - 1) != 0 ||
		num_parse_u64(text + sizeof(limited) - 1, 1, 1000, &tries) < 0)
		return -EINVAL;
	*ret = (struct restart_policy){RESTART_ON_FAILURE, (uint32_t)tries};
	return 0;
}

void restart_policy_text(const struct restart_policy *p, char out[32])
{
	static const char *const words[] = {[RESTART_ALWAYS] = "always",
		[RESTART_ON_FAILURE] = "on-failure",
		[RESTART_NEVER] = "never"};

	if (p->tries)
		snprintf(out, 32, "%s:%u", words[p->when], p->tries);
	else
		snprintf(out, 32, "%s", words[p->when]);
}

enum member_event restart_verdict(
	const struct restart_policy *p, bool well, uint32_t failures)
{
	if (p->when == RESTART_NEVER || (p->when == RESTART_ON_FAILURE && well) ||
		(p->tries && failures > p->tries))
		return EVENT_FINISHED;
	return failures >= RESTART_LOOP ? EVENT_LOOPED : EVENT_FELL;
}

uint64_t restart_pause_ms(uint32_t failures, uint32_t random)
{
	uint32_t doubled = failures ? failures - 1 : 0;
	uint64_t ms =
		doubled < 16 ? (uint64_t)RESTART_FIRST_MS << doubled : RESTART_MAX_MS;

	if (failures >= RESTART_LOOP)
		ms = RESTART_LOOP_MS;
	else if (ms > RESTART_MAX_MS)
		ms = RESTART_MAX_MS;
	return ms + ms * (random % (RESTART_JITTER + 1)) / 100;
}

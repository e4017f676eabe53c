/*
 * Memory that ran out in an instance, while it runs and at its end. The kernel tells;
 * without that nothing wakes up. An instance that runs out again and again is looked at
 * once a second.
 */
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/instances/instance_table.h"

#include <signal.h>
#include <string.h>

#define FIRST_LOOK_MS 50 /* when the count is there, and the end, if it is the end */
#define NEXT_LOOK_MS 1000
#define RECENT_NS 2000000000ull /* between a kill and the end that came of it */

static void on_event(void *arg, uint32_t events UNUSED);
static void look(void *arg);

/* true when there are more kills than before. */
static bool count(struct instance *i)
{
	const struct instances_config *c = &i->all->c;
	struct msg_oom body = {.id = i->record.id};
	uint64_t kills = sandbox_oom_kills(
		c->rt, &i->record.sandbox, i->oom.fd, &body.memory_limit_bytes);
	int r = 0;

	if (kills <= i->oom.kills)
		return false;
	i->oom.kills = kills;
	i->oom.at_ns = io_mono_ns();
	body.kills = (uint32_t)kills;
	if (!(i->record.sandbox.flags & SANDBOX_ENTERED))
		r = msg_send(c->control_fd, MSG_OOM, 0, 0, &body, sizeof(body), NULL, 0);
	if (r < 0)
		log_error("cannot tell control that memory ran out in %llx: %s",
			(unsigned long long)body.id, strerror(-r));
	return true;
}

static void listen_again(struct instance *i)
{
	i->oom.watch = loop_add(i->all->c.loop, i->oom.fd, i->oom.events, on_event, i);
}

static void look_in(struct instance *i, uint64_t ms)
{
	i->oom.timer = loop_after(i->all->c.loop, ms, look, i);
	if (!i->oom.timer)
		listen_again(i);
}

static void look(void *arg)
{
	struct instance *i = arg;
	bool first = i->oom.first;

	i->oom.timer = NULL;
	i->oom.first = false;
	if (count(i) || first)
		look_in(i, NEXT_LOOK_MS);
	else
		listen_again(i);
}

static void on_event(void *arg, uint32_t events UNUSED)
{
	struct instance *i = arg;

	loop_del(i->oom.watch);
	i->oom.watch = NULL;
	i->oom.first = true;
	look_in(i, FIRST_LOOK_MS);
}

static void begin(void *arg)
{
	struct instance *i = arg;

	i->oom.timer = NULL;
	i->oom.fd = sandbox_oom_open(i->all->c.rt, &i->record.sandbox, &i->oom.events);
	if (i->oom.fd < 0) {
		log_warn("kills for want of memory in %llx are told at its end only: %s",
			(unsigned long long)i->record.id, strerror(-i->oom.fd));
		return;
	}
	count(i); /* also what happened before this worker started */
	listen_again(i);
}

/* In the loop's next turn: it costs 50 us, and the answer to a start goes first. */
void instance_oom_watch(struct instance *i)
{
	uint64_t limit;

	if (i->record.kind != RECORD_SANDBOX)
		return;
	if (i->record.sandbox.flags & SANDBOX_ENTERED) /* its target is watched */
		i->oom.kills =
			sandbox_oom_kills(i->all->c.rt, &i->record.sandbox, -1, &limit);
	else
		i->oom.timer = loop_after(i->all->c.loop, 0, begin, i);
}

void instance_oom_close(struct instance *i)
{
	loop_del(i->oom.watch);
	loop_cancel(i->oom.timer);
	if (i->oom.fd >= 0)
		close(i->oom.fd);
	i->oom.watch = NULL;
	i->oom.timer = NULL;
	i->oom.fd = -1;
}

void instance_oom_ended(struct instance *i)
{
	struct msg_exited *x = &i->record.exited;
	bool recent = (i->record.kind == RECORD_SANDBOX && count(i)) ||
		      (i->oom.at_ns && io_mono_ns() - i->oom.at_ns < RECENT_NS);

	instance_oom_close(i);
	/* what was killed for memory some time ago is not why it ends now */
	if (x->reason == EXIT_REASON_OOM && !recent)
		x->reason = EXIT_REASON_SIGNALED;
}

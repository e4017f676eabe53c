/* Freezing and thawing instances. Whether one is frozen is the kernel's to know: a later
 * berthd reads it from the control group. */
#include "lib/log.h"
#include "runtime/instances/instance_table.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

static bool is_app(const struct instance *i)
{
	return i->record.kind == RECORD_SANDBOX &&
	       i->record.sandbox.profile == PROFILE_APP &&
	       !(i->record.sandbox.flags & SANDBOX_ENTERED);
}

bool instance_frozen(const struct instance *i)
{
	return i->record.state == RECORD_RUNNING && is_app(i) &&
	       sandbox_frozen(i->all->c.rt, &i->record.sandbox);
}

/* Whoever entered it shares its group. */
static bool is_entered(const struct instances *in, uint64_t id)
{
	for (unsigned int b = 0; b < INSTANCE_BUCKETS; b++)
		for (struct instance *i = in->buckets[b]; i; i = i->next)
			if (i->record.state != RECORD_ENDED &&
				(i->record.sandbox.flags & SANDBOX_ENTERED) &&
				i->record.sandbox.target == id)
				return true;
	return false;
}

/* ---- memory ---- */

/* It looks for signals after every few pages. */
static void stop_reclaim(struct instance *i)
{
	if (i->reclaim >= 0)
		(void)pidfd_send_signal(i->reclaim, SIGKILL, NULL, 0);
}

void instance_end_reclaim(struct instance *i)
{
	siginfo_t si;

	if (i->reclaim < 0)
		return;
	loop_del(i->reclaim_watch);
	i->reclaim_watch = NULL;
	stop_reclaim(i);
	(void)waitid(P_PIDFD, (id_t)i->reclaim, &si, WEXITED);
	close(i->reclaim);
	i->reclaim = -1;
}

static void on_reclaimed(void *arg, uint32_t events UNUSED)
{
	instance_end_reclaim(arg);
}

static void begin_reclaim(struct instance *i)
{
	if (i->reclaim >= 0)
		return;
	i->reclaim = sandbox_reclaim(i->all->c.rt, &i->record.sandbox);
	if (i->reclaim < 0) {
		log_warn("the memory of %llx is not reclaimed: %s",
			(unsigned long long)i->record.id, strerror(-i->reclaim));
		i->reclaim = -1;
		return;
	}
	i->reclaim_watch = loop_add(i->all->c.loop, i->reclaim, EPOLLIN, on_reclaimed, i);
	if (!i->reclaim_watch)
		instance_end_reclaim(i);
}

/* ---- freezing ---- */

int instances_freeze(struct instances *in, uint64_t id, bool reclaim)
{
	struct instance *i = instance_find(in, id);
	int r;

	if (!i || i->record.state != RECORD_RUNNING)
		return -ESRCH;
	if (!is_app(i))
		return -EINVAL;
	if ((i->record.flags & RECORD_STOPPING) || in->stopping || is_entered(in, id))
		return -EBUSY;
	r = sandbox_freeze(in->c.rt, &i->record.sandbox, true);
	if (r == 0 && reclaim)
		begin_reclaim(i);
	return r;
}

int instance_thaw(struct instance *i)
{
	if (!is_app(i))
		return 0;
	stop_reclaim(i); /* reaped by its watch: a wake must not wait for that */
	return sandbox_freeze(i->all->c.rt, &i->record.sandbox, false);
}

int instances_thaw(struct instances *in, uint64_t id)
{
	struct instance *i = instance_find(in, id);

	return i && i->record.state == RECORD_RUNNING ? instance_thaw(i) : -ESRCH;
}

/* All sandboxes that berthd knows: the table, their output and their end. Starting them:
 * instance_start.c. */
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/daemons/stackrun.h"
#include "runtime/instances/fifos.h"
#include "runtime/instances/instance_table.h"
#include "runtime/process.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#define LOG_WAIT_MS                                                                      \
	200 /* so long control's news of an end waits for the last output to be in the   \
	       log */
#define STOP_ALL_LOG_MS 1000

struct instances *instances_new(const struct instances_config *c)
{
	struct instances *in = calloc(1, sizeof(*in));

	if (in)
		in->c = *c;
	return in;
}

struct instance *instance_find(struct instances *in, uint64_t id)
{
	struct instance *i = in->buckets[id % INSTANCE_BUCKETS];

	while (i && i->record.id != id)
		i = i->next;
	return i;
}

struct instance *instance_add(struct instances *in, const struct record *r)
{
	struct instance *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;
	i->all = in;
	i->record = *r;
	i->pidfd = -1;
	i->fifo = -1;
	i->reclaim = -1;
	i->oom.fd = -1;
	i->next = in->buckets[r->id % INSTANCE_BUCKETS];
	in->buckets[r->id % INSTANCE_BUCKETS] = i;
	in->n++;
	return i;
}

static void free_instance(struct instance *i)
{
	loop_del(i->watch);
	loop_cancel(i->kill_timer);
	loop_cancel(i->tell_timer);
	instance_end_reclaim(i);
	instance_oom_close(i);
	if (i->pidfd >= 0)
		close(i->pidfd);
	if (i->fifo >= 0)
		close(i->fifo);
	free(i);
}

void instance_drop(struct instance *i)
{
	struct instances *in = i->all;

	for (struct instance **at = &in->buckets[i->record.id % INSTANCE_BUCKETS]; *at;
		at = &(*at)->next) {
		if (*at == i) {
			*at = i->next;
			in->n--;
			break;
		}
	}
	free_instance(i);
}

void instances_free(struct instances *in)
{
	if (!in)
		return;
	for (unsigned int b = 0; b < INSTANCE_BUCKETS; b++) {
		while (in->buckets[b]) {
			struct instance *i = in->buckets[b];

			in->buckets[b] = i->next;
			free_instance(i);
		}
	}
	loop_cancel(in->stop_timer);
	free(in);
}

int instance_save(struct instance *i)
{
	int r = record_write(i->all->c.folders->instances, &i->record);

	if (r < 0)
		log_error("cannot write the record of %llx: %s",
			(unsigned long long)i->record.id, strerror(-r));
	return r;
}

/* --- output --- */

/* Gives the logger a read end, and keeps one: what is in the FIFO lives as long as
 * somebody has it open. */
int instance_attach(struct instance *i)
{
	const struct instances_config *c = &i->all->c;
	struct msg_log_attach body = {
		.id = i->record.id, .app = i->record.app, .release = i->record.release};
	int fd autoclose = fifo_open_read(c->folders->fifo, i->record.id);
	int r;

	if (fd < 0)
		return fd;
	memcpy(body.name, i->record.sandbox.name, sizeof(body.name));
	r = msg_send(c->logger_fd, MSG_LOG_ATTACH, 0, 0, &body, sizeof(body), &fd, 1);
	if (i->fifo < 0)
		i->fifo = TAKE_FD(fd);
	return r;
}

static void forget_if_done(struct instance *i)
{
	if (i->record.state != RECORD_ENDED || !(i->record.flags & RECORD_ACKED) ||
		(i->record.flags & RECORD_FIFO))
		return;
	record_remove(i->all->c.folders->instances, i->record.id);
	instance_drop(i);
}

static void tell_exit(struct instance *i)
{
	const struct msg_exited *body = &i->record.exited;
	int r = msg_send(
		i->all->c.control_fd, MSG_EXITED, 0, 0, body, sizeof(*body), NULL, 0);

	loop_cancel(i->tell_timer);
	i->tell_timer = NULL;
	/* Said again after control's next HELLO. */
	if (r < 0)
		log_error("cannot tell control of the end of %llx: %s",
			(unsigned long long)body->id, strerror(-r));
}

static void end_fifo(struct instance *i)
{
	fifo_remove(i->all->c.folders->fifo, i->record.id);
	if (i->fifo >= 0)
		close(i->fifo);
	i->fifo = -1;
	i->record.flags &= ~(uint32_t)RECORD_FIFO;
}

static void check_stop_all(struct instances *in);

void instances_log_done(struct instances *in, uint64_t id)
{
	struct instance *i = instance_find(in, id);

	if (!i || !(i->record.flags & RECORD_FIFO))
		return;
	/* Before the exit is seen the output may be at its end already; the record
	 * follows then. */
	end_fifo(i);
	instance_save(i);
	if (i->tell_timer)
		tell_exit(i);
	forget_if_done(i);
	check_stop_all(in);
}

void instances_attach_all(struct instances *in)
{
	for (unsigned int b = 0; b < INSTANCE_BUCKETS; b++) {
		for (struct instance *i = in->buckets[b], *next; i; i = next) {
			next = i->next;
			if (!(i->record.flags & RECORD_FIFO))
				continue;
			int r = instance_attach(i);

			if (r == -ENOENT)
				instances_log_done(in, i->record.id);
			else if (r < 0)
				log_error("cannot attach the output of %llx: %s",
					(unsigned long long)i->record.id, strerror(-r));
		}
	}
}

/* --- the end --- */

static void tell_late(void *arg)
{
	struct instance *i = arg;

	i->tell_timer = NULL;
	tell_exit(i);
}

static void read_stack_exit(const struct instance *i, int exit_fd, struct msg_exited *ret)
{
	int32_t status;

	*ret = (struct msg_exited){
		.id = i->record.id, .reason = EXIT_REASON_LOST, .time_us = io_now_us()};
	if (exit_fd >= 0 &&
		pread(exit_fd, &status, sizeof(status), 0) == sizeof(status)) {
		ret->reason = EXIT_REASON_EXITED;
		ret->value = status;
	}
}

static void collect_exit(struct instance *i)
{
	const struct instances_config *c = &i->all->c;
	int exit_fd autoclose = record_exit_open(c->folders->instances, i->record.id);

	if (i->record.kind == RECORD_STACK)
		read_stack_exit(i, exit_fd, &i->record.exited);
	else
		(void)sandbox_exit_info(
			c->rt, &i->record.sandbox, exit_fd, &i->record.exited);
	instance_oom_ended(i);
	if (i->record.exited.reason == EXIT_REASON_LOST &&
		(i->record.flags & RECORD_KILLED)) {
		i->record.exited.reason = EXIT_REASON_SIGNALED;
		i->record.exited.value = SIGKILL;
	}
	i->record.exited.id = i->record.id;
	i->record.state = RECORD_ENDED;
	instance_save(i);
	if (i->record.kind == RECORD_STACK)
		stackrun_cleanup(c->chores, c->folders, i->record.id);
	else
		sandbox_cleanup(c->rt, &i->record.sandbox);
}

/* It is gone: what is known of the end goes to disk, then to control. */
void instance_ended(struct instance *i)
{
	loop_del(i->watch);
	i->watch = NULL;
	if (i->pidfd >= 0)
		close(i->pidfd);
	i->pidfd = -1;
	loop_cancel(i->kill_timer);
	i->kill_timer = NULL;
	instance_end_reclaim(i);
	collect_exit(i);
	if (i->record.flags & RECORD_FIFO)
		i->tell_timer = loop_after(i->all->c.loop, LOG_WAIT_MS, tell_late, i);
	if (!i->tell_timer)
		tell_exit(i);
	check_stop_all(i->all);
}

static void on_exit_seen(void *arg, uint32_t events UNUSED)
{
	struct instance *i = arg;
	siginfo_t si;

	/* ECHILD when an earlier worker started it: the monitor reaps it. */
	(void)waitid(P_PIDFD, (id_t)i->pidfd, &si, WEXITED | WNOHANG);
	instance_ended(i);
}

int instance_watch(struct instance *i, int pidfd)
{
	i->pidfd = pidfd;
	i->watch = loop_add(i->all->c.loop, pidfd, EPOLLIN, on_exit_seen, i);
	instance_oom_watch(i);
	return i->watch ? 0 : -ENOMEM;
}

void instances_tell_exits(struct instances *in)
{
	for (unsigned int b = 0; b < INSTANCE_BUCKETS; b++)
		for (struct instance *i = in->buckets[b]; i; i = i->next)
			if (i->record.state == RECORD_ENDED &&
				!(i->record.flags & RECORD_ACKED) && !i->tell_timer)
				tell_exit(i);
}

void instances_acked(struct instances *in, uint64_t id)
{
	struct instance *i = instance_find(in, id);

	if (!i || i->record.state != RECORD_ENDED)
		return;
	i->record.flags |= RECORD_ACKED;
	if (i->record.flags & RECORD_FIFO)
		instance_save(i);
	forget_if_done(i);
}

/* --- stopping --- */

static void kill_now(struct instance *i)
{
	int r;

	i->record.flags |= RECORD_KILLED;
	instance_save(i);
	if (i->record.kind == RECORD_STACK)
		r = pidfd_send_signal(i->pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH
			    ? -errno
			    : 0;
	else
		r = sandbox_kill(i->all->c.rt, &i->record.sandbox);
	if (r < 0)
		log_error("cannot kill %llx: %s", (unsigned long long)i->record.id,
			strerror(-r));
}

static void kill_late(void *arg)
{
	struct instance *i = arg;

	i->kill_timer = NULL;
	kill_now(i);
}

/* Until when it has time, on disk: a restarted worker goes on with it. */
void instance_plan_kill(struct instance *i)
{
	uint64_t now = io_mono_ns();
	uint64_t left =
		i->record.kill_at_ns > now ? (i->record.kill_at_ns - now) / 1000000 : 0;

	loop_cancel(i->kill_timer);
	i->kill_timer = loop_after(i->all->c.loop, left, kill_late, i);
	if (!i->kill_timer)
		kill_now(i);
}

static void stop_one(struct instance *i, uint32_t timeout_ms)
{
	uint64_t kill_at = io_mono_ns() + (uint64_t)timeout_ms * 1000000;

	if (timeout_ms == 0 || i->record.kind == RECORD_STACK) {
		kill_now(i);
		return;
	}
	/* A second stop can only shorten the time. */
	if (!(i->record.flags & RECORD_STOPPING) || kill_at < i->record.kill_at_ns) {
		i->record.flags |= RECORD_STOPPING;
		i->record.kill_at_ns = kill_at;
		instance_save(i);
	}
	(void)instance_thaw(i); /* or it would not see the signal */
	int signo = i->record.sandbox.stop_signal;
	signo = signo ? signo : SIGTERM;
	if (sandbox_signal(i->all->c.rt, &i->record.sandbox, signo) < 0)
		log_warn("cannot send signal %d to %llx", signo,
			(unsigned long long)i->record.id);
	instance_plan_kill(i);
}

int instances_stop(struct instances *in, uint64_t id, uint32_t timeout_ms)
{
	struct instance *i = instance_find(in, id);

	if (!i)
		return -ESRCH;
	if (i->record.state == RECORD_RUNNING)
		stop_one(i, timeout_ms);
	return 0;
}

static bool output_waits(struct instances *in)
{
	for (unsigned int b = 0; b < INSTANCE_BUCKETS; b++)
		for (struct instance *i = in->buckets[b]; i; i = i->next)
			if (i->record.flags & RECORD_FIFO)
				return true;
	return false;
}

static void finish_stop_all(void *arg)
{
	struct instances *in = arg;
	void (*done)(void *) = in->done;

	in->stop_timer = NULL;
	in->done = NULL;
	if (done)
		done(in->done_arg);
}

static void check_stop_all(struct instances *in)
{
	if (!in->stopping || !in->done || instances_any_running(in))
		return;
	if (!output_waits(in)) {
		loop_cancel(in->stop_timer);
		finish_stop_all(in);
	} else if (!in->stop_timer) {
		in->stop_timer =
			loop_after(in->c.loop, STOP_ALL_LOG_MS, finish_stop_all, in);
	}
}

void instances_stop_all(struct instances *in, void (*done)(void *arg), void *arg)
{
	in->stopping = true;
	in->done = done;
	in->done_arg = arg;
	for (unsigned int b = 0; b < INSTANCE_BUCKETS; b++) {
		for (struct instance *i = in->buckets[b]; i; i = i->next) {
			uint32_t timeout = i->record.sandbox.stop_timeout_ms;

			if (i->record.state == RECORD_RUNNING)
				stop_one(i, timeout < STOP_ALL_MAX_MS ? timeout
								      : STOP_ALL_MAX_MS);
		}
	}
	check_stop_all(in);
}

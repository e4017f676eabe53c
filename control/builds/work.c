/* Builds under way. */
#include "control/builds/work.h"
#include "control/logs/applog.h"
#include "control/settings.h"
#include "lib/io.h"
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define CANCEL_MS 5000
#define LOOK_MS 200 /* whoever waits for a turn may go away meanwhile */

struct turn {
	struct turn *next; /* who came later */
};

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static struct work *works; /* program-wide, like the apps themselves */
static struct turn *turns; /* who waits, eldest first */
static unsigned int running;

__attribute__((constructor)) static void init(void)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &attr);
	pthread_condattr_destroy(&attr);
}

/* ---- the sink ---- */

static void work_write(struct sink *s, char kind, const char *text)
{
	struct work *w = (struct work *)s;

	w->to->write(w->to, kind, text);
	if (kind != 'o')
		return;
	pthread_mutex_lock(&guard);
	if (w->output.len < WORK_OUTPUT_MAX)
		buf_addf(&w->output, "%s\n", text);
	pthread_mutex_unlock(&guard);
	applog(w->app, "berth[build]", "%s", text);
}

static bool work_cancelled(struct sink *s)
{
	struct work *w = (struct work *)s;

	return w->cancelled || sink_cancelled(w->to);
}

void work_open(struct work *w, struct sink *to, uint32_t app, uint64_t build)
{
	*w = (struct work){.sink = {work_write, work_cancelled, to->watch_fd},
		.to = to,
		.app = app,
		.build = build,
		.output.max = WORK_OUTPUT_MAX + 65536};
	pthread_mutex_lock(&guard);
	w->next = works;
	works = w;
	pthread_mutex_unlock(&guard);
}

void work_close(struct work *w)
{
	struct work **at = &works;

	pthread_mutex_lock(&guard);
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&guard);
}

/* ---- those under way ---- */

char *work_output(uint64_t build)
{
	char *copy = NULL;

	pthread_mutex_lock(&guard);
	for (struct work *w = works; w; w = w->next)
		if (w->build == build)
			copy = strdup(w->output.data ? w->output.data : "");
	pthread_mutex_unlock(&guard);
	return copy;
}

static struct work *find(uint32_t app, uint64_t build)
{
	struct work *w = works;

	while (w && (w->app != app || (build && w->build != build)))
		w = w->next;
	return w;
}

int work_cancel(uint32_t app, uint64_t *ret_build)
{
	struct timespec until = io_mono_in(CANCEL_MS);
	struct work *w;
	int status = -ESRCH;

	pthread_mutex_lock(&guard);
	w = find(app, 0);
	if (w) {
		w->cancelled = true;
		*ret_build = w->build;
		status = 0;
		pthread_cond_broadcast(&changed);
	}
	while (status == 0 && find(app, *ret_build))
		status = -pthread_cond_timedwait(&changed, &guard, &until);
	pthread_mutex_unlock(&guard);
	return status;
}

/* ---- turns ---- */

static void wait_turn(void)
{
	struct timespec until = io_mono_in(LOOK_MS);

	pthread_cond_timedwait(&changed, &guard, &until);
}

static void leave_line(struct turn *t)
{
	struct turn **at = &turns;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	pthread_cond_broadcast(&changed);
}

static void tell_waiting(struct sink *s, unsigned int n)
{
	pthread_mutex_unlock(&guard);
	sink_step(s,
		"Waiting for %u other build%s (`berth builds:set --global parallel N` "
		"lets more run at once)",
		n, n == 1 ? "" : "s");
	pthread_mutex_lock(&guard);
}

/* The sink's own words and questions take the guard. */
static bool gone(struct sink *s)
{
	pthread_mutex_unlock(&guard);
	bool yes = sink_cancelled(s);
	pthread_mutex_lock(&guard);
	return yes;
}

int work_turn_take(unsigned int max, struct sink *s, struct err *e)
{
	struct turn me = {NULL}, **at = &turns;
	bool told = false, left = false;

	pthread_mutex_lock(&guard);
	while (*at)
		at = &(*at)->next;
	*at = &me;
	while (!left && (turns != &me || running >= max)) {
		if (!told)
			tell_waiting(s, running);
		told = true;
		wait_turn();
		left = gone(s);
	}
	leave_line(&me);
	running += !left;
	pthread_mutex_unlock(&guard);
	return left ? err_set(e, ECANCELED, "cancelled while waiting") : 0;
}

void work_turn_drop(void)
{
	pthread_mutex_lock(&guard);
	running--;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&guard);
}

unsigned int work_parallel_default(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	struct sysinfo host = {0};
	uint64_t each = default_limits("build")->memory_bytes, fit;

	if (sysinfo(&host) < 0 || !each)
		return 1;
	fit = (uint64_t)host.totalram * host.mem_unit / each;
	if (processors < 1)
		processors = 1;
	if (fit > (uint64_t)processors)
		fit = (uint64_t)processors;
	return fit ? (unsigned int)fit : 1;
}

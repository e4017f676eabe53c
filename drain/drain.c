/*
 * berth-drain: sends logs to where their owners want them, for berth-control, which starts it and tells it what there is to do
 * (lib/proto.h). It speaks to strangers: it reads nothing of berth but the logs, writes nothing but what it keeps of each drain and
 * the files that are drains, can be called by nobody, and ends with control.
 *   berth-drain PARENT STATE
 * One thread; libcurl looks names up in short-lived ones of its own.
 */
#include "drain/hook.h"
#include "drain/outlet.h"
#include "lib/confine.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/name.h"
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define CONTROL STDIN_FILENO
#define FILE_BYTES ((uint64_t)128 << 20)
#define MEMORY_BYTES ((uint64_t)2 << 30) /* of address space */
#define STACK_BYTES ((size_t)256 << 10)	 /* of threads that look names up */

static struct outlet outlet;

/* ---- confinement ---- */

static int limit(int what, uint64_t most)
{
	struct rlimit rl;

	if (getrlimit(what, &rl) < 0)
		return -errno;
	if (rl.rlim_max > most)
		rl.rlim_max = most;
	rl.rlim_cur = rl.rlim_max;
	return setrlimit(what, &rl) < 0 ? -errno : 0;
}

static int enter(const char *state, struct err *e)
{
	char logs[PATH_MAX], kept[PATH_MAX], files[PATH_MAX];
	const struct confine_place places[] = {
		{"/etc", CONFINE_READ}, /* name servers, the CA store */
		{"/run/systemd/resolve", CONFINE_READ},
		{logs, CONFINE_READ},
		{kept, CONFINE_WRITE},
		{files, CONFINE_WRITE},
	};
	int r;

	snprintf(logs, sizeof(logs), "%s/logs", state);
	snprintf(kept, sizeof(kept), "%s/control/drains", state);
	snprintf(files, sizeof(files), "%s/drains", state);
	if ((r = limit(RLIMIT_FSIZE, FILE_BYTES)) < 0 ||
		(r = limit(RLIMIT_AS, MEMORY_BYTES)) < 0 ||
		(r = limit(RLIMIT_CORE, 0)) < 0 || (r = limit(RLIMIT_NOFILE, 65536)) < 0)
		return err_sys(e, -r, "cannot limit berth-drain");
	umask(027);
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_sys(e, errno, "cannot hide berth-drain's memory");
	r = confine("berth-drain", places, ARRAY_LEN(places), CONFINE_CALLS_OUT, e);
	return r == -EOPNOTSUPP ? 0 : r;
}

/* ---- control ---- */

static int say(json_t *o)
{
	char *text autofree = json_dumps(o, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;

	json_decref(o);
	/* control never waits for us long, and we never for it: it asks for nothing twice */
	return len && send(CONTROL, text, len, MSG_NOSIGNAL | MSG_DONTWAIT) ==
				       (ssize_t)len
		       ? 0
		       : -EAGAIN;
}

static void ask_name(struct outlet *o UNUSED, struct app_log *l)
{
	l->asked = say(json_pack("{s:i}", "name", (int)l->app)) == 0;
}

static void tell(
	struct outlet *o UNUSED, const struct drain *d, bool well, const char *text)
{
	say(json_pack("{s:I, s:b, s:s}", "drain", (json_int_t)d->id, "well", well, "text",
		text));
}

static void answer(struct outlet *o UNUSED, uint64_t id, long status, const char *text)
{
	say(json_pack("{s:I, s:i, s:s}", "hook", (json_int_t)id, "status", (int)status,
		"text", text));
}

static void hear(const json_t *o)
{
	const json_t *name = json_object_get(o, "name");
	struct err e = {0};

	if (json_object_get(o, "drain")) {
		if (outlet_put(&outlet, o, &e) < 0)
			log_error("%s", e.text);
	} else if (json_object_get(o, "hook")) {
		hook_post(&outlet, o);
	} else if (json_object_get(o, "all")) {
		outlet_settle_list(&outlet);
	} else if (json_is_string(name)) {
		outlet_name(&outlet,
			(uint32_t)json_integer_value(json_object_get(o, "app")),
			json_string_value(name));
	}
}

static void on_control(void *arg UNUSED, uint32_t events UNUSED)
{
	static char text[DRAIN_MESSAGE_MAX];
	ssize_t n = recv(CONTROL, text, sizeof(text), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	json_t *o = n > 0 ? json_loadb(text, (size_t)n, 0, NULL) : NULL;
	explicit_bzero(text, sizeof(text)); /* it may hold a password */
	if (n > 0)
		hear(o);
	else
		loop_stop(outlet.loop);
	json_decref(o);
}

static void on_signal(void *arg UNUSED, uint32_t events UNUSED)
{
	loop_stop(outlet.loop);
}

static int watch_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd >= 0 && loop_add(outlet.loop, fd, EPOLLIN, on_signal, NULL) ? 0
									      : -ENOMEM;
}

static int prepare(const char *state, struct err *e)
{
	pthread_attr_t attr;
	int r = enter(state, e);

	if (r < 0)
		return r;
	mallopt(M_ARENA_MAX, 1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_setattr_default_np(&attr);
	pthread_attr_destroy(&attr);
	outlet = (struct outlet){.loop = loop_new(),
		.state = state,
		.ask = ask_name,
		.tell = tell,
		.answer = answer};
	if (!outlet.loop || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(e, EIO, "libcurl does not start");
	r = outlet_open(&outlet, e);
	if (r == 0 && (watch_signals() < 0 ||
			      !loop_add(outlet.loop, CONTROL, EPOLLIN, on_control, NULL)))
		r = err_set(e, ENOMEM, "out of memory");
	return r;
}

int main(int argc, char **argv)
{
	struct err e = {0};
	uint64_t parent;

	log_open("berth-drain");
	if (argc != 3 || num_parse_u64(argv[1], 1, INT32_MAX, &parent) < 0) {
		fprintf(stderr, "berth-drain is started by berth-control\n");
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGPIPE, SIG_IGN);
	if (getppid() != (pid_t)parent)
		return 1;
	if (prepare(argv[2], &e) < 0) {
		log_error("%s", e.text);
		return 1;
	}
	loop_run(outlet.loop);
	outlet_save(&outlet);
	return 0;
}

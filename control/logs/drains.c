/* One berth-drain for all drains and webhooks: started while there are any, told what there are, started again when it dies. */
#include "control/logs/drains.h"
#include "control/child.h"
#include "control/logs/applog.h"
#include "control/logs/webhooks.h"
#include "control/thread.h"
#include "lib/drain_url.h"
#include "lib/io.h"
#include "lib/log.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define STACK_BYTES ((size_t)512 << 10)
#define AGAIN_MS 1000 /* after it died */
#define END_MS 3000   /* it writes down where it is */
#define SEND_MS 10000 /* one that takes no orders for so long is ended */
#define LINE_TEXT 300

struct drains {
	int wake;		    /* eventfd */
	atomic_bool alive, renamed; /* renamed: it is to be told what apps are called */
	/* of the thread */
	pid_t pid; /* 0: none */
	int pidfd, sock;
	uint64_t again_ns; /* not before */
	uint64_t untold;   /* the newest drain of which that was logged */
};

int drains_open(struct control *c, struct drains **ret, struct err *e)
{
	struct drains *d = calloc(1, sizeof(*d));
	char folder[PATH_MAX];

	if (!d)
		return err_sys(e, ENOMEM, "drains");
	snprintf(folder, sizeof(folder), "%s/control/drains", c->state);
	d->wake = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	d->pidfd = d->sock = -1;
	if (d->wake < 0 || (mkdir(folder, 0700) < 0 && errno != EEXIST)) {
		int r = err_sys(e, errno, "make %s", folder);

		free(d);
		return r;
	}
	*ret = d;
	return 0;
}

void drains_changed(struct control *c)
{
	const uint64_t one = 1;

	if (c->drains)
		(void)!write(c->drains->wake, &one, sizeof(one));
}

void drains_renamed(struct control *c)
{
	if (c->drains)
		atomic_store(&c->drains->renamed, true);
	drains_changed(c);
}

bool drains_alive(struct control *c)
{
	return c->drains && atomic_load(&c->drains->alive);
}

/* ---- the process ---- */

static void end(struct drains *d)
{
	struct pollfd p = {.fd = d->pidfd, .events = POLLIN};

	if (d->sock >= 0)
		close(d->sock); /* it ends by that */
	if (d->pid > 0) {
		if (d->pidfd < 0 || poll(&p, 1, END_MS) <= 0)
			kill(d->pid, SIGKILL);
		waitpid(d->pid, NULL, 0);
	}
	if (d->pidfd >= 0)
		close(d->pidfd);
	d->pid = 0;
	d->sock = d->pidfd = -1;
	atomic_store(&d->alive, false);
}

static int start(struct control *c, struct drains *d)
{
	const struct timeval most = {.tv_sec = SEND_MS / 1000};
	char path[PATH_MAX], parent[16];
	const char *const argv[] = {"berth-drain", parent, c->state, NULL};
	int pair[2];
	int r = io_beside_program(argv[0], path, sizeof(path));

	snprintf(parent, sizeof(parent), "%d", getpid());
	if (r < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return r < 0 ? r : -errno;
	d->sock = pair[0];
	setsockopt(d->sock, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most));
	const int fds[] = {pair[1], -1, STDERR_FILENO};
	r = child_start(path, argv, fds, ARRAY_LEN(fds), false, &d->pid);
	close(pair[1]);
	if (r < 0)
		d->pid = 0;
	else if ((d->pidfd = pidfd_open(d->pid, 0)) < 0)
		r = -errno;
	if (r < 0)
		end(d);
	else
		atomic_store(&d->alive, true);
	return r;
}

/* 0, -EPIPE: it takes no orders, or -EMSGSIZE, -ENOMEM: this one cannot be told. */
static int tell(struct drains *d, json_t *o)
{
	char *text = json_dumps(o, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;
	int r = !text ? -ENOMEM : len > DRAIN_MESSAGE_MAX ? -EMSGSIZE : 0;

	if (r == 0 && send(d->sock, text, len, MSG_NOSIGNAL) < 0)
		r = -EPIPE;
	json_decref(o);
	if (text)
		explicit_bzero(text, len); /* it may hold a password */
	free(text);
	return r;
}

static int tell_one(struct control *c, struct drains *d, const struct db_drain *row)
{
	json_t *o = json_pack("{s:I, s:i, s:s, s:b, s:b, s:b, s:I}", "drain",
		(json_int_t)row->id, "app", (int)row->app, "url", row->url, "gzip",
		(row->flags & DRAIN_GZIP) != 0, "insecure",
		(row->flags & DRAIN_INSECURE) != 0, "local",
		(row->flags & DRAIN_LOCAL) != 0, "created_us",
		(json_int_t)row->created_us);
	char *ca autofree = row->has_ca ? db_drain_ca(c->db, row->id) : NULL;

	if (ca && *ca)
		json_object_set_new(o, "ca", json_string(ca));
	return tell(d, o);
}

/* One that cannot be told keeps nobody from the others. */
static int tell_all(
	struct control *c, struct drains *d, const struct db_drain *rows, int n)
{
	for (int i = 0; i < n; i++) {
		int r = tell_one(c, d, &rows[i]);

		if (r == -EPIPE)
			return r;
		if (r == 0 || rows[i].id <= d->untold)
			continue;
		d->untold = rows[i].id;
		log_error("drain %llu is not served: berth-drain cannot be told of it: "
			  "%s",
			(unsigned long long)rows[i].id, strerror(-r));
	}
	return tell(d, json_pack("{s:i}", "all", n));
}

static int tell_hook(void *arg, json_t *o)
{
	return tell(arg, o);
}

/* Those that it does not read it passes over. */
static int tell_names(struct control *c, struct drains *d)
{
	struct db_app *apps autofree = NULL;
	int n = db_app_list(c->db, &apps), r = 0;

	for (int i = 0; i < n && r == 0; i++)
		if (!apps[i].removing)
			r = tell(d, json_pack("{s:i, s:s}", "app", (int)apps[i].id,
					    "name", apps[i].name));
	return r;
}

/* While none runs: what one kept of drains that are gone, and could not remove. */
static void remove_kept(struct control *c, const struct db_drain *rows, int n)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/control/drains", c->state);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		const unsigned long long id = strtoull(entry->d_name, NULL, 10);
		int i = 0;

		while (i < n && rows[i].id != id)
			i++;
		if (id && i == n)
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

static void try_later(struct drains *d)
{
	d->again_ns = io_mono_ns() + AGAIN_MS * UINT64_C(1000000);
}

/* What there is, whatever it knew before. */
static void bring_up_to_date(struct control *c, struct drains *d)
{
	struct db_drain *rows autofree = NULL;
	int n = db_drain_list(c->db, &rows), r = 0;

	const int hooks = webhooks_count(c);

	if (n < 0 || hooks < 0) { /* the database failed */
		try_later(d);
		return;
	}
	if (n == 0 && hooks == 0) {
		end(d);
		d->again_ns = 0;
	}
	if (!d->pid)
		remove_kept(c, rows, n);
	if (n == 0 && hooks == 0)
		return;
	if (!d->pid && io_mono_ns() < d->again_ns)
		return;
	if (!d->pid && (r = start(c, d)) < 0) {
		log_error("cannot start berth-drain: %s", strerror(-r));
		try_later(d);
		return;
	}
	d->again_ns = 0;
	r = tell_all(c, d, rows, n);
	for (int i = 0; i < n; i++)
		explicit_bzero(rows[i].url, sizeof(rows[i].url));
	if (r == 0 && atomic_exchange(&d->renamed, false))
		r = tell_names(c, d);
	if (r == 0)
		r = webhooks_send(c, tell_hook, d);
	if (r < 0) {
		log_error("berth-drain takes no orders; it is started again");
		kill(d->pid, SIGKILL);
	}
}

/* ---- what it says ---- */

static void answer_name(struct control *c, struct drains *d, uint32_t id)
{
	struct db_app app;
	bool there = db_app_by_id(c->db, id, &app) == 0 && !app.removing;

	tell(d, json_pack("{s:i, s:s}", "app", (int)id, "name", there ? app.name : ""));
}

/* A drain of an app that (not) works is a line of the app's log, one of all apps' of berthd's. */
static void note_health(struct control *c, uint64_t id, bool well, const char *text)
{
	struct db_drain *rows autofree = NULL;
	int n = db_drain_list(c->db, &rows);

	for (int i = 0; i < n; i++) {
		struct drain_url u;
		char shown[DRAIN_URL_MAX] = "?";

		if (rows[i].id != id)
			continue;
		if (drain_url_parse(rows[i].url, &u, NULL) == 0)
			drain_url_show(&u, shown);
		if (rows[i].app && well)
			applog(rows[i].app, DRAIN_SOURCE,
				"drain %llu delivers again: %.600s",
				(unsigned long long)id, shown);
		else if (rows[i].app)
			applog(rows[i].app, DRAIN_SOURCE,
				"drain %llu cannot deliver, and goes on trying: %.600s: "
				"%.*s",
				(unsigned long long)id, shown, LINE_TEXT, text);
		else if (well)
			log_info("drain %llu of all apps delivers again",
				(unsigned long long)id);
		else
			log_warn("drain %llu of all apps cannot deliver: %.*s",
				(unsigned long long)id, LINE_TEXT, text);
	}
}

static void hear(struct control *c, struct drains *d)
{
	char text[4096];
	ssize_t n = recv(d->sock, text, sizeof(text), MSG_DONTWAIT);
	json_t *o = n > 0 ? json_loadb(text, (size_t)n, 0, NULL) : NULL;
	const json_t *name = json_object_get(o, "name"),
		     *id = json_object_get(o, "drain"),
		     *hook = json_object_get(o, "hook");
	const char *why = json_string_value(json_object_get(o, "text"));

	if (json_is_integer(name))
		answer_name(c, d, (uint32_t)json_integer_value(name));
	else if (json_is_integer(id))
		note_health(c, (uint64_t)json_integer_value(id),
			json_is_true(json_object_get(o, "well")), why ? why : "");
	else if (json_is_integer(hook))
		webhooks_answered(c, (uint64_t)json_integer_value(hook),
			(uint32_t)json_integer_value(json_object_get(o, "status")),
			why ? why : "");
	json_decref(o);
	if (n == 0)
		kill(d->pid, SIGKILL); /* it closed its end */
}

static int wait_ms(struct control *c, const struct drains *d)
{
	const uint64_t now = io_mono_ns();

	const int hooks = d->pid ? webhooks_wait_ms(c) : -1;
	const int again = !d->again_ns	       ? -1
			  : now >= d->again_ns ? 0
					       : (int)((d->again_ns - now) / 1000000) + 1;

	return hooks < 0 || (again >= 0 && again < hooks) ? again : hooks;
}

static void *drains_main(void *arg)
{
	struct control *c = arg;
	struct drains *d = c->drains;

	for (;;) {
		struct pollfd p[] = {{.fd = d->wake, .events = POLLIN},
			{.fd = d->sock, .events = POLLIN},
			{.fd = d->pidfd, .events = POLLIN}};
		uint64_t many;
		int n = poll(p, ARRAY_LEN(p), wait_ms(c, d));

		if (n < 0)
			continue;
		if (p[2].revents) {
			log_warn("berth-drain ended; it is started again");
			end(d);
			try_later(d);
			continue;
		}
		if (p[1].revents)
			hear(c, d);
		if (p[0].revents)
			(void)!read(d->wake, &many, sizeof(many));
		if (p[0].revents || n == 0)
			bring_up_to_date(c, d);
	}
	return NULL;
}

int drains_run(struct control *c)
{
	return thread_detached(drains_main, c, STACK_BYTES);
}

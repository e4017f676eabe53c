/*
 * backup:drill: what a backup is worth. A berth of its own, with folders of its own and on a port of its own, gets all of it; every tree and layer is
 * read there again and compared with the backup; the apps are started and asked; all of it is removed.
 */
#include "backup/run.h"
#include "lib/io.h"
#include "lib/jtext.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define START_MS 30000
#define CHORE_MS 30000
#define ANSWER_S 30

struct drill {
	const struct options *o;
	struct store *s;
	json_t *list, *did;
	char folder[PATH_MAX - 512], state[PATH_MAX - 256], run[128], berthd[PATH_MAX];
	unsigned int port;
	pid_t pid; /* of berthd */
	struct talk restore;
	unsigned int compared, differ, answered, silent;
};

/* ---- a berth of its own ---- */

static void find_berthd(char out[PATH_MAX])
{
	char self[PATH_MAX - 64], *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = '\0';
	if ((slash = strrchr(self, '/')))
		*slash = '\0';
	snprintf(out, PATH_MAX, "%s/berthd", self);
}

static unsigned int free_port(void)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd autoclose = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		getsockname(fd, (struct sockaddr *)&a, &n) < 0)
		return 0;
	return ntohs(a.sin_port);
}

static int make_folders(struct drill *d, struct err *e)
{
	snprintf(d->folder, sizeof(d->folder), "%s/berth-drill.XXXXXX",
		d->o->at ? d->o->at : "/var/lib");
	snprintf(d->run, sizeof(d->run), "/run/berth-drill.XXXXXX");
	if (!mkdtemp(d->folder))
		return err_sys(e, errno, "make a folder like %s", d->folder);
	snprintf(d->state, sizeof(d->state), "%s/state", d->folder);
	if (!mkdtemp(d->run) || mkdir(d->state, 0755) < 0 || chmod(d->folder, 0755) < 0 ||
		chmod(d->run, 0755) < 0 || chmod(d->state, 0755) < 0)
		return err_sys(e, errno, "make %s", d->run);
	return 0;
}

/* word: --stop-all, --remove or, without, the daemon. Its pid. */
static pid_t start_berthd(const struct drill *d, const char *word)
{
	char http[64], log[PATH_MAX];
	sigset_t none;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	snprintf(http, sizeof(http), "127.0.0.1:%u", d->port);
	snprintf(log, sizeof(log), "%s/berthd.log", d->folder);
	int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600),
	    null = open("/dev/null", O_RDONLY);
	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	close_range(3, ~0u, 0);
	umask(022);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid(); /* an interrupt must not reach it before it is told to end */
	unsetenv("BERTH_HTTP");
	unsetenv("BERTH_HTTPS");
	if (word)
		execl(d->berthd, d->berthd, word, "--state", d->state, "--run", d->run,
			(char *)NULL);
	else
		execl(d->berthd, d->berthd, "--state", d->state, "--run", d->run,
			"--http", http, "--https", "none", (char *)NULL);
	_exit(127);
}

static bool answers(const struct drill *d)
{
	const struct timeval wait = {.tv_sec = 2};
	struct client c;
	char path[PATH_MAX];
	struct err e;

	snprintf(path, sizeof(path), "%s/api.sock", d->run);
	if (client_open(&c, path, &e) < 0)
		return false;
	/* Its queue is there before control is. */
	setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	bool ok = client_send(&c, "GET", "/v1/status", NULL, NULL, 0, &e) == 0 &&
		  client_reply(&c, &e) == 0 && c.status == 200;
	client_close(&c);
	return ok;
}

/* Those that end us: from now on they are waited for, so that nothing is left behind. */
static void ending_signals(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGINT);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGHUP);
}

static int start(struct drill *d, struct err *e)
{
	const struct timespec look = {.tv_nsec = 50000000};
	sigset_t set;

	int r = make_folders(d, e), status;

	if (r < 0)
		return r;
	find_berthd(d->berthd);
	d->port = free_port();
	d->pid = start_berthd(d, NULL);
	if (d->pid < 0)
		return err_sys(e, errno, "start %s", d->berthd);
	ending_signals(&set);
	for (int ms = 0; ms < START_MS; ms += 50) {
		if (answers(d))
			return 0;
		if (waitpid(d->pid, &status, WNOHANG) == d->pid) {
			d->pid = 0;
			return err_set(e, ECHILD,
				"berthd ended at once: see %s/berthd.log", d->folder);
		}
		if (sigtimedwait(&set, NULL, &look) > 0)
			return err_set(e, EINTR, "interrupted");
	}
	return err_set(e, ETIME, "berthd does not answer: see %s/berthd.log", d->folder);
}

static int run_berthd(const struct drill *d, const char *word)
{
	pid_t pid = start_berthd(d, word);
	int status = -1;

	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* A child of the berthd that ended, which writes layers to disk, may not be done yet. */
static int remove_folder(const char *path)
{
	int r = io_remove_tree(AT_FDCWD, path);

	for (int ms = 0; r == -ENOTEMPTY && ms < CHORE_MS; ms += 50) {
		usleep(50000);
		r = io_remove_tree(AT_FDCWD, path);
	}
	return r;
}

/* Nothing of it stays, whatever happened. */
static int tear_down(struct drill *d, struct err *e)
{
	int r = 0;

	if (!*d->folder || access(d->folder, F_OK) < 0)
		return 0;
	if (d->pid > 0) {
		run_berthd(d, "--stop-all");
		while (waitpid(d->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (*d->berthd && run_berthd(d, "--remove") != 0)
		r = err_set(
			e, EIO, "berthd --remove failed: see %s/berthd.log", d->folder);
	if (r < 0)
		return r;
	r = remove_folder(d->folder);
	if (r == 0)
		r = remove_folder(d->run);
	return r < 0 ? err_sys(e, -r, "remove %s", d->folder) : 0;
}

/* ---- the files ---- */

static void compare(struct drill *d, const char *kind, const char *name, const char *was,
	const char *now)
{
	bool same = *was && strcmp(was, now) == 0;

	d->compared++;
	d->differ += !same;
	if (!same)
		say_fail("%s %s: %.16s in the backup, %.16s restored", kind, name, was,
			now);
	else if (!d->o->quiet && strcmp(kind, "layer") != 0)
		say_detail("%s %s: sha256 %.16s, the same", kind, name, now);
}

static int compare_tree(struct drill *d, struct talk *t, const char *kind,
	const char *name, const json_t *item, json_t *request, struct err *e)
{
	json_t *now = NULL;
	int r = tree_again(t, d->s, request, &now, e);

	if (r == 0)
		compare(d, kind, name, text_of(item, "digest"), text_of(now, "digest"));
	json_decref(now);
	return r;
}

static int compare_layer(
	struct drill *d, struct talk *t, const json_t *row, struct err *e)
{
	const json_t *item = item_find(d->list, "layer", text_of(row, "key"), 0);
	json_t *said = NULL;
	int r = talk_ask(t,
		json_pack("{s:s, s:O}", "op", "layer", "id", json_object_get(row, "id")),
		e);

	while (r == 0 && (r = frame_read(t->out, &t->f)) == 0 && t->f.kind == FRAME_DATA)
		;
	if (r == 0)
		r = t->f.kind == FRAME_END
			    ? talk_answer(t, &said, e)
			    : err_set(e, EIO, "%.*s", (int)t->f.body.len, t->f.body.data);
	if (r == 0)
		compare(d, "layer", text_of(row, "kind"), text_of(item, "diff_id"),
			text_of(said, "diff_id") + 7);
	json_decref(said);
	return r;
}

static int compare_all(struct drill *d, struct talk *t, const json_t *plan, struct err *e)
{
	json_t *row;
	size_t i;
	int r = 0;

	json_array_foreach (json_object_get(plan, "volumes"), i, row)
		if (r == 0)
			r = compare_tree(d, t, "volume", text_of(row, "name"),
				item_find(d->list, "volume", text_of(row, "name"), 0),
				json_pack("{s:s, s:O}", "op", "volume", "id",
					json_object_get(row, "id")),
				e);
	json_array_foreach (json_object_get(plan, "repos"), i, row)
		if (r == 0)
			r = compare_tree(d, t, "repo", json_string_value(row),
				item_find(d->list, "repo", json_string_value(row), 0),
				json_pack("{s:s, s:O}", "op", "repo", "app", row), e);
	json_array_foreach (json_object_get(plan, "layers"), i, row)
		if (r == 0)
			r = compare_layer(d, t, row, e);
	if (!d->o->quiet)
		say_detail("%zu layers compared",
			json_array_size(json_object_get(plan, "layers")));
	return r;
}

/* What berth has there now, read as for a backup. */
static int compare_files(struct drill *d, struct err *e)
{
	json_t *plan = NULL;
	struct talk t;
	int r = talk_open(&t, d->run, json_pack("{s:s}", "op", "take"), e);

	if (r == 0)
		r = talk_answer(&t, &plan, e);
	if (r == 0)
		r = compare_all(d, &t, plan, e);
	json_decref(plan);
	talk_close(&t);
	return r;
}

/* ---- the apps ---- */

static json_t *get_json(const struct drill *d, const char *path)
{
	struct client c;
	char sock[PATH_MAX];
	autobuf body = BUF_INIT;
	json_t *v = NULL;
	struct err e;

	snprintf(sock, sizeof(sock), "%s/api.sock", d->run);
	if (client_open(&c, sock, &e) < 0)
		return NULL;
	if (client_send(&c, "GET", path, NULL, NULL, 0, &e) == 0 &&
		client_reply(&c, &e) == 0 && client_body(&c, &body) == 0)
		v = json_loadb(
			body.data ? body.data : "", body.len, JSON_DECODE_ANY, NULL);
	client_close(&c);
	return v;
}

/* The status of GET /, 0: no answer. */
static int ask(const struct drill *d, const char *host)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)d->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct timeval wait = {.tv_sec = ANSWER_S};
	int fd autoclose = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), status = 0;
	char text[512];

	snprintf(text, sizeof(text),
		"GET / HTTP/1.1\r\nHost: %.200s\r\nConnection: close\r\n\r\n", host);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		io_write_all(fd, text, strlen(text)) < 0)
		return 0;
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_WAITALL);
	text[n > 0 ? n : 0] = '\0';
	return sscanf(text, "HTTP/1.1 %3d", &status) == 1 ? status : 0;
}

/* http://HOST[:PORT][/] */
static void host_of(const char *url, char out[256])
{
	const char *at = strstr(url, "://");

	snprintf(out, 256, "%.255s", at ? at + 3 : url);
	out[strcspn(out, ":/")] = '\0';
}

static void ask_app(struct drill *d, const char *name)
{
	char path[160], host[256];

	snprintf(path, sizeof(path), "/v1/apps/%s", name);
	json_t *app = get_json(d, path);
	if (!app || !number_of(app, "release")) {
		json_decref(app);
		return;
	}
	host_of(text_of(app, "url"), host);
	int status = *host ? ask(d, host) : 0;
	bool ok = status >= 100 && status < 500;
	*(ok ? &d->answered : &d->silent) += 1;
	if (ok)
		say_detail("%s answers: status %d", name, status);
	else
		say_fail("%s does not answer: status %d", name, status);
	json_decref(app);
}

static int ask_all(struct drill *d, struct err *e)
{
	json_t *said = NULL, *row;
	size_t i;
	int r = talk_ask(&d->restore, json_pack("{s:s}", "op", "start"), e);

	if (r == 0)
		r = talk_answer(&d->restore, &said, e);
	json_decref(said);
	json_array_foreach (
		json_object_get(json_object_get(d->did, "plan"), "apps"), i, row)
		if (r == 0)
			ask_app(d, text_of(row, "name"));
	return r;
}

/* ---- the whole ---- */

static int practise(struct drill *d, struct err *e)
{
	struct options all = *d->o;
	int r;

	all.as = NULL;
	all.drill = true;
	say_step("Restoring backup %s of %s into %s", text_of(d->list, "id"),
		text_of(d->list, "host"), d->state);
	r = restore_into(d->s, d->list, d->run, d->state, &all, &d->restore, &d->did, e);
	if (r < 0)
		return r;
	say_detail("%llu rows of the database, %llu differ",
		(unsigned long long)number_of(d->did, "rows"),
		(unsigned long long)number_of(d->did, "differ"));
	say_step("Comparing what is there with the backup");
	store_only_names(d->s);
	r = compare_files(d, e);
	if (r == 0) {
		say_step("Starting the apps and asking them");
		r = ask_all(d, e);
	}
	talk_close(&d->restore);
	if (r == 0 && (d->differ || d->silent))
		r = err_set(e, EBADMSG,
			"%u of %u things differ, %u of %u apps do not answer", d->differ,
			d->compared, d->silent, d->silent + d->answered);
	return r;
}

/* In a child, so that whatever ends it, the folders and what runs in them go. */
static int practise_apart(struct drill *d, struct err *e)
{
	sigset_t set;
	int status = 0;

	ending_signals(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(e, errno, "fork");
	if (pid == 0) {
		int r;

		sigprocmask(SIG_UNBLOCK, &set, NULL);
		r = practise(d, e);
		if (r < 0)
			say_fail("%s", e->text);
		else
			say_step("The drill proved: %llu rows, %u trees and layers as in "
				 "the "
				 "backup, %u apps answer",
				(unsigned long long)number_of(d->did, "rows"),
				d->compared, d->answered);
		_exit(r < 0);
	}
	for (;;) {
		siginfo_t si;
		int signo = sigwaitinfo(&set, &si);

		if (waitpid(pid, &status, WNOHANG) == pid)
			break;
		if (signo > 0 && signo != SIGCHLD) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return err_set(e, EINTR, "interrupted");
		}
	}
	return status == 0 ? 0 : err_set(e, EIO, "the drill failed");
}

int run_drill(const struct options *o, struct err *e)
{
	struct drill d = {.o = o, .restore.client.fd = -1};
	struct err undone = {0};
	sigset_t set;
	int r;

	if (geteuid() != 0)
		return err_set(
			e, EPERM, "a drill starts a berth of its own: run it as root");
	r = store_open(o->place, &o->secret, &d.s, e);
	if (r == 0)
		r = list_read(d.s, o->id, &d.list, e);
	ending_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (r == 0)
		r = start(&d, e);
	if (r == 0)
		r = practise_apart(&d, e);
	if (tear_down(&d, &undone) < 0) {
		say_fail("%s", undone.text);
		r = r < 0 ? r : err_set(e, EIO, "something was left behind");
	}
	json_decref(d.list);
	store_close(d.s);
	return r;
}

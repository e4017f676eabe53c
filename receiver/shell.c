/* berth-shell: the ssh user's login shell; one git command or one berth command, nothing
 * else. Libc only. */
#include "lib/io.h"
#include "lib/jtext.h"
#include "lib/name.h"
#include "receiver/common.h"
#include "receiver/deliver.h"
#include "receiver/jail.h"
#include "receiver/repo.h"
#include "receiver/words.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#define ROOM_BYTES (1u << 20) /* for git's own files, before it knows what comes */
#define ROOM_FILES 64u
#define SAFE_PATH "/usr/local/bin:/usr/bin:/bin"
#define ENV_MAX 32
#define ENV_BYTES 8192
#define HTTP_API_FD 3
#define HTTP_ADVERTISE "advertise"
#define GRACE_MS 200
#define KILL_AFTER_MS                                                                    \
	2000 /* git removes its quarantine on SIGTERM; what then still runs is stuck */

struct settings {
	const char *run, *state;
	uint64_t key;		 /* 0: root, who needs none */
	bool is_whole;		 /* the pack holds what the repository has, too */
	const char *http;	 /* the step of a request over HTTP; NULL: over ssh */
	bool gzip;		 /* its body */
	char bin[PATH_MAX - 64]; /* the folder this program lies in */
};

/* The environment of what is started, built from nothing. */
struct env {
	const char *list[ENV_MAX + 1];
	size_t n, used;
	char text[ENV_BYTES];
};

static void env_add(struct env *v, const char *name, const char *value)
{
	size_t room = sizeof(v->text) - v->used;
	int len = snprintf(v->text + v->used, room, "%s=%s", name, value);

	if (v->n == ENV_MAX || len < 0 || (size_t)len >= room)
		return;
	v->list[v->n++] = v->text + v->used;
	v->used += (size_t)len + 1;
}

static void env_add_int(struct env *v, const char *name, int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", value);
	env_add(v, name, text);
}

/* Passes on what the client or sshd set, when it is short and harmless. */
static void env_pass(struct env *v, const char *name)
{
	const char *value = getenv(name);

	if (value && strlen(value) < 64 &&
		strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz012345"
			      "6789=:._@+-") == strlen(value))
		env_add(v, name, value);
}

static int find_self(struct settings *s)
{
	ssize_t n = readlink("/proc/self/exe", s->bin, sizeof(s->bin) - 1);
	char *slash;

	if (n <= 0 || (size_t)n >= sizeof(s->bin) - 1)
		return -EIO;
	s->bin[n] = 0;
	slash = strrchr(s->bin, '/');
	if (!slash)
		return -EIO;
	*slash = 0;
	return 0;
}

/* The forced command of authorized_keys: berth-shell --run DIR --state DIR --key ID. */
static int parse_forced(const struct words *w, struct settings *s)
{
	const char *name = w->argc ? strrchr(w->argv[0], '/') : NULL;

	if (w->argc != 7 || strcmp(name ? name + 1 : w->argv[0], "berth-shell") != 0)
		return -EINVAL;
	for (size_t i = 1; i < w->argc; i += 2) {
		if (strcmp(w->argv[i], "--run") == 0)
			s->run = w->argv[i + 1];
		else if (strcmp(w->argv[i], "--state") == 0)
			s->state = w->argv[i + 1];
		else if (strcmp(w->argv[i], "--key") != 0 ||
			 num_parse_u64(w->argv[i + 1], 1, UINT32_MAX, &s->key) < 0)
			return -EINVAL;
	}
	return s->run && s->state && s->key ? 0 : -EINVAL;
}

/* A connection on which control knows which key we speak for. fd, or -errno after saying
 * why. */
static int connect_api(const struct settings *s)
{
	char path[PATH_MAX], line[32];
	int fd, r,
		n = snprintf(
			line, sizeof(line), "KEY %llu\n", (unsigned long long)s->key);

	snprintf(path, sizeof(path), "%s/api.sock", s->run);
	fd = io_unix_connect(path, SOCK_STREAM);
	if (fd < 0) {
		common_say("berth does not run on this host (%s)", strerror(-fd));
		return fd;
	}
	r = !s->key || send(fd, line, (size_t)n, MSG_NOSIGNAL) == n ? 0 : -EPIPE;
	if (r < 0) {
		common_say("the connection to berth-control broke");
		close(fd);
		return r;
	}
	return fd;
}

/* Asks control whether this key may push to or read the app. 0, or the exit status after
 * saying why not. */
static bool answer_text(const char *json, const char *key, char *to, size_t size)
{
	autobuf text = BUF_INIT;

	return json && jtext_string(json, key, &text) &&
	       snprintf(to, size, "%s", text.data) < (int)size;
}

static int ask_access(
	int fd, const char *app, enum git_service service, struct repo_move *behind)
{
	static struct client c;
	autobuf body = BUF_INIT, answer = BUF_INIT;
	char path[NAME_MAX_LEN + 32];

	client_init(&c, fd);
	buf_addf(&body, "{\"service\":\"%s\"}",
		service == GIT_RECEIVE ? "receive-pack" : "upload-pack");
	snprintf(path, sizeof(path), "/v1/git/%s/access", app);
	if (common_post(&c, path, &body) < 0)
		return 1;
	if (c.status >= 300)
		return common_fail(&c);
	if (client_body(&c, &answer) < 0) {
		common_say("berth-control was interrupted; try again");
		return 1;
	}
	if (!answer_text(answer.data, "ref", behind->ref, sizeof(behind->ref)) ||
		!answer_text(answer.data, "release", behind->release,
			sizeof(behind->release)) ||
		!answer_text(answer.data, "old", behind->old, sizeof(behind->old)) ||
		!answer_text(
			answer.data, "commit", behind->commit, sizeof(behind->commit)))
		behind->ref[0] = '\0';
	return 0;
}

static void git_env(const struct settings *s, struct env *v, const char *hooks)
{
	env_add(v, "PATH", SAFE_PATH);
	env_add(v, "HOME", "/nonexistent");
	env_add(v, "LANG", "C.UTF-8");
	env_add(v, "GIT_CONFIG_NOSYSTEM", "1");
	env_add(v, "GIT_CONFIG_GLOBAL", "/dev/null");
	/* Again here: the repository may have been made by a berth installed elsewhere.
	 */
	env_add(v, "GIT_CONFIG_COUNT", s->is_whole ? "2" : "1");
	env_add(v, "GIT_CONFIG_KEY_0", "core.hooksPath");
	env_add(v, "GIT_CONFIG_VALUE_0", hooks);
	/* Unpacked, objects that are there already are left out; a large pack is quicker kept as it is. */
	env_add(v, "GIT_CONFIG_KEY_1", "receive.unpackLimit");
	env_add(v, "GIT_CONFIG_VALUE_1", "5000");
	env_pass(v, "GIT_PROTOCOL");
}

/* Does not return. */
static void exec_path(const char *const *argv, const struct env *v)
{
	/* exec takes no const, and changes nothing. */
	union {
		const char *const *from;
		char *const *to;
	} a = {.from = argv}, e = {.from = v->list};

	/* execvpe looks in our own PATH, which is the client's in nothing but name. */
	setenv("PATH", SAFE_PATH, 1);
	execvpe(argv[0], a.to, e.to);
	common_say("cannot start %s: %s", argv[0], strerror(errno));
	_exit(1);
}

/* git from here on; does not return. Without Landlock in the kernel the rest of the
 * confinement still holds. */
static void exec_git(const struct settings *s, const char *const *argv,
	const struct env *v, const char *repo, bool writable)
{
	struct err e = {0};
	int r = jail_enter(repo, writable, s->bin, &e);

	if (r < 0 && r != -EOPNOTSUPP) {
		common_say("%s", e.text);
		_exit(1);
	}
	exec_path(argv, v);
}

/* In the child: its own process group, which dies with us however we end. */
static void run_child(const struct settings *s, const char *const *argv,
	const struct env *v, const char *repo, pid_t parent, const int fds[3])
{
	sigset_t none;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (size_t i = 0; i < 3; i++)
		io_set_cloexec(fds[i], false);
	exec_git(s, argv, v, repo, true);
}

/* True when the child has ended; *status is then what a shell would say. */
static bool reap(pid_t pid, int *status)
{
	int w;

	if (waitpid(pid, &w, WNOHANG) != pid)
		return false;
	*status = WIFEXITED(w) ? WEXITSTATUS(w) : 128 + WTERMSIG(w);
	return true;
}

/*
 * Waits for the child. sshd closes its end of our stdout when the client goes (Ctrl-C,
 * lost connection); git itself would notice only at its next output, so we end the whole
 * group. A client that has its answer goes too, a moment before git ends by itself: hence
 * the grace.
 */
static int watch(pid_t pid, int signals)
{
	static const int waits_ms[] = {-1, GRACE_MS, KILL_AFTER_MS, -1},
			 kills[] = {0, SIGTERM, SIGKILL};
	struct pollfd p[2] = {{.fd = signals, .events = POLLIN}, {.fd = 1, .events = 0}};
	int status = 1, step = 0;

	while (!reap(pid, &status)) {
		struct signalfd_siginfo si;
		int n = poll(p, 2, waits_ms[step]);

		if (n > 0 && p[0].revents &&
			read(signals, &si, sizeof(si)) == (ssize_t)sizeof(si) &&
			si.ssi_signo != SIGCHLD && step == 0)
			step = 1;
		if (n > 0 && (p[1].revents & (POLLHUP | POLLERR | POLLNVAL))) {
			p[1].fd = -1;
			step = step ? step : 1;
		}
		if (n == 0)
			kill(-pid, kills[step++]);
	}
	if (step > 1)
		kill(-pid, SIGKILL); /* whatever of the group outlived git */
	return status;
}

static int receive(const struct settings *s, const char *const *argv, struct env *v,
	const char *repo, int api, const char *app)
{
	sigset_t set;
	pid_t pid, parent = getpid();
	int signals, push = memfd_create("berth-push", MFD_CLOEXEC);
	int trace = memfd_create("berth-trace", MFD_CLOEXEC);

	env_add_int(v, "BERTH_API_FD", api);
	env_add_int(v, "BERTH_PUSH_FD", push);
	/* git keeps from its hooks whether the pusher has a terminal; its packet trace,
	 * here in memory, tells. */
	if (trace > 2 && trace < 10)
		env_add_int(v, "GIT_TRACE_PACKET", trace);
	env_add(v, "BERTH_APP", app);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (push < 0 || signals < 0 || (pid = fork()) < 0) {
		common_say("cannot start git: %s", strerror(errno));
		return 1;
	}
	if (pid == 0)
		run_child(s, argv, v, repo, parent, (int[]){api, push, trace});
	setpgid(pid, pid);
	close(api); /* so that control sees the end when the child's side ends */
	return watch(pid, signals);
}

/* Root delivers as who receives: from here on nothing of root is left. */
static int become_owner(const char *repos)
{
	const struct passwd *p;
	struct stat st;

	if (geteuid() != 0)
		return 0;
	if (stat(repos, &st) < 0 || st.st_uid == 0 || !(p = getpwuid(st.st_uid)) ||
		setgroups(0, NULL) < 0 ||
		setresgid(p->pw_gid, p->pw_gid, p->pw_gid) < 0 ||
		setresuid(p->pw_uid, p->pw_uid, p->pw_uid) < 0) {
		common_say("cannot become the user of %s", repos);
		return -1;
	}
	return 0;
}

/* git itself says no more than that it cannot make a folder. */
static bool has_room(const char *repos)
{
	struct statvfs st;

	if (statvfs(repos, &st) < 0)
		return true;
	unsigned long long bytes = (unsigned long long)st.f_bavail * st.f_frsize,
			   files = st.f_files ? st.f_favail : ROOM_FILES;
	if (bytes >= ROOM_BYTES && files >= ROOM_FILES)
		return true;
	common_say(
		"no space left for a push: it needs %u kB and %u files beside what is "
		"pushed; "
		"free are %llu kB and %llu files. What takes the disk: berth disk:report",
		ROOM_BYTES >> 10, ROOM_FILES, bytes >> 10, files);
	return false;
}

static const char *service_name(enum git_service service)
{
	return service == GIT_RECEIVE ? "receive-pack" : "upload-pack";
}

/* What git-http-backend(1) reads of a request, in our own words. */
static void http_env(const struct settings *s, struct env *v, enum git_service service,
	const char *repo)
{
	bool advertise = strcmp(s->http, HTTP_ADVERTISE) == 0;
	char text[PATH_MAX + 64];

	env_add(v, "GIT_HTTP_EXPORT_ALL", "1");
	env_add(v, "REMOTE_USER", "berth"); /* control has checked who it is */
	env_add(v, "REQUEST_METHOD", advertise ? "GET" : "POST");
	snprintf(text, sizeof(text), "service=git-%s", service_name(service));
	env_add(v, "QUERY_STRING", advertise ? text : "");
	snprintf(text, sizeof(text), advertise ? "%s/info/refs" : "%s/git-%s", repo,
		service_name(service));
	env_add(v, "PATH_TRANSLATED", text);
	snprintf(text, sizeof(text), "application/x-git-%s-request",
		service_name(service));
	env_add(v, "CONTENT_TYPE", text);
	if (s->gzip)
		env_add(v, "HTTP_CONTENT_ENCODING", "gzip");
}

/* The connection to control, which has agreed. fd, or -1 after saying why not, with the exit status. */
static int open_api(const struct settings *s, enum git_service service, const char *app,
	struct repo_move *behind, int *ret_status)
{
	int api = s->http ? HTTP_API_FD : connect_api(s);

	*ret_status = 1;
	if (api < 0)
		return -1;
	*ret_status = ask_access(api, app, service, behind);
	return *ret_status ? -1 : api;
}

static int git(const struct settings *s, enum git_service service, const char *app)
{
	char repos[PATH_MAX], path[PATH_MAX], hooks[PATH_MAX];
	const char *over_ssh[] = {"git", service_name(service), path, NULL};
	static const char *const over_http[] = {"git", "http-backend", NULL};
	const char *const *argv = s->http ? over_http : over_ssh;
	static struct env v;
	struct repo_move behind = {0};
	struct err e;
	int status, api = open_api(s, service, app, &behind, &status);

	if (api < 0)
		return status;
	umask(027); /* the group is control's, which reads */
	snprintf(hooks, sizeof(hooks), "%s/hooks", s->bin);
	snprintf(repos, sizeof(repos), "%.4000s/repos", s->state);
	snprintf(path, sizeof(path), "%.4000s/%s.git", repos, app);
	if (become_owner(repos) < 0 || (service == GIT_RECEIVE && !has_room(repos)))
		return 1;
	if (repo_ensure(repos, app, hooks, &e) < 0) {
		common_say("%s", e.text);
		return 1;
	}
	git_env(s, &v, hooks);
	if (s->http)
		http_env(s, &v, service, path);
	if ((service == GIT_RECEIVE || behind.ref[0]) && repo_hold(path, &behind) < 0) {
		common_say("cannot open the repository of %s: %s", app, strerror(errno));
		return 1;
	}
	if (service == GIT_RECEIVE)
		return receive(s, argv, &v, path, api, app);
	close(api);
	exec_git(s, argv, &v, path, false);
	return 1;
}

/* ---- a commit that was made here ---- */

struct delivering {
	const struct settings *s;
	const char *app;
};

/* In a child, so that what it sees of its output's reader is ours. */
static int start_receive(void *arg, int in_fd, int out_fd)
{
	const struct delivering *y = arg;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	/* What git and the hook say is for who reads our output. */
	if (dup2(1, 2) < 0 || dup2(in_fd, 0) < 0 || dup2(out_fd, 1) < 0 ||
		close_range(3, ~0u, 0) < 0)
		_exit(1);
	signal(SIGPIPE, SIG_DFL);
	_exit(git(y->s, GIT_RECEIVE, y->app));
}

/* --deliver APP [MESSAGE], started by the command line (git:from-archive). */
static int deliver_main(struct settings *s, int argc, char **argv)
{
	struct delivering y = {.s = s, .app = argv[2]};
	const char *key = getenv("BERTH_KEY"), *run = getenv("BERTH_RUN"),
		   *state = getenv("BERTH_STATE");
	char option[DELIVER_OPTION_MAX];

	s->is_whole = true;
	s->run = run && *run ? run : "/run/berth";
	s->state = state && *state ? state : "/var/lib/berth";
	if (!name_valid(y.app) || find_self(s) < 0 ||
		(key && num_parse_u64(key, 1, UINT32_MAX, &s->key) < 0)) {
		common_say("berth-shell --deliver is started by berth git:from-archive");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	bool has_message = argc > 3 && deliver_option(argv[3], option);
	return deliver(0, has_message ? option : NULL, start_receive, &y);
}

/* --http APP SERVICE STEP PROTOCOL [gzip], started by berthd (lib/proto.h, MSG_GIT): one request of git's. */
static int http_main(struct settings *s, int argc, char **argv)
{
	const char *run = getenv("BERTH_RUN"), *state = getenv("BERTH_STATE");
	char protocol[] = "version=0";
	bool push = argc > 3 && strcmp(argv[3], "receive-pack") == 0;

	if (argc < 6 || argc > 7 || !run || !state || !name_valid(argv[2]) ||
		(!push && strcmp(argv[3], "upload-pack") != 0) || find_self(s) < 0) {
		common_say("berth-shell --http is started by berthd");
		return 2;
	}
	s->run = run;
	s->state = state;
	s->http = argv[4];
	s->gzip = argc == 7;
	protocol[sizeof(protocol) - 2] = argv[5][0];
	if (argv[5][0] > '0')
		setenv("GIT_PROTOCOL", protocol, 1);
	return git(s, push ? GIT_RECEIVE : GIT_UPLOAD, argv[2]);
}

/* --restore APP, started by berth-backup: files of a repository come in. */
static int restore_main(struct settings *s, const char *app)
{
	const char *state = getenv("BERTH_STATE");
	char repos[PATH_MAX], hooks[PATH_MAX];
	struct err e = {0};

	snprintf(repos, sizeof(repos), "%.4000s/repos",
		state && *state ? state : "/var/lib/berth");
	if (!name_valid(app) || find_self(s) < 0) {
		common_say("berth-shell --restore is started by berth backup:restore");
		return 2;
	}
	snprintf(hooks, sizeof(hooks), "%s/hooks", s->bin);
	umask(027); /* the group is control's, which reads */
	if (become_owner(repos) < 0)
		return 1;
	if (repo_restore(repos, app, hooks, 0, &e) == 0)
		return 0;
	common_say("%s", e.text);
	return 1;
}

/* Everything that is not git is for the command line, which speaks on our connection. */
static int command(const struct settings *s, const struct words *w)
{
	static struct env v;
	char path[PATH_MAX];
	const char **argv autofree = calloc(w->argc + 2, sizeof(*argv));
	int api = connect_api(s);

	if (api < 0 || !argv)
		return 1;
	for (size_t i = 0; i < w->argc; i++)
		argv[i + 1 - (strcmp(w->argv[0], "berth") == 0)] = w->argv[i];
	snprintf(path, sizeof(path), "%s/berth", s->bin);
	if (access(path, X_OK) < 0)
		snprintf(path, sizeof(path), "%s/../../bin/berth", s->bin);
	argv[0] = path;
	env_add(&v, "PATH", SAFE_PATH);
	env_add(&v, "HOME", "/nonexistent");
	env_add(&v, "LANG", "C.UTF-8");
	env_pass(&v, "TERM");
	env_pass(&v, "NO_COLOR");
	env_add(&v, "BERTH_RUN", s->run);
	env_add(&v, "BERTH_STATE", s->state);
	env_add_int(&v, "BERTH_KEY", (int)s->key);
	env_add_int(&v, "BERTH_API_FD", api);
	io_set_cloexec(api, false);
	exec_path(argv, &v);
	return 1;
}

static int help(void)
{
	static const char text[] =
		"berth: your key is known; there is no interactive shell here.\n"
		"  git push berth@HOST:APP main     deploys\n"
		"  ssh berth@HOST apps:list         runs a command\n"
		"  ssh berth@HOST help              lists the commands\n";

	return io_write_all(1, text, strlen(text)) < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	const char *line = getenv("SSH_ORIGINAL_COMMAND");
	struct words forced = {0}, w = {0};
	struct settings s = {0};
	char app[NAME_MAX_LEN + 1];
	enum git_service service = GIT_NONE;
	struct err e = {0};
	int r;

	if (argc == 3 && strcmp(argv[1], "--restore") == 0)
		return restore_main(&s, argv[2]);
	if (argc >= 3 && strcmp(argv[1], "--http") == 0)
		return http_main(&s, argc, argv);
	if (argc >= 3 && strcmp(argv[1], "--deliver") == 0)
		return deliver_main(&s, argc, argv);
	if (argc != 3 || strcmp(argv[1], "-c") != 0 ||
		words_split(argv[2], &forced, &e) < 0 || parse_forced(&forced, &s) < 0 ||
		find_self(&s) < 0) {
		common_say("berth-shell is started by sshd, with the command of "
			   "authorized_keys");
		return 2;
	}
	if (!line)
		return help();
	if (words_split(line, &w, &e) < 0) {
		common_say("%s", e.text);
		return 2;
	}
	if (w.argc == 0)
		return help();
	r = words_git(&w, &service, app, &e);
	if (r < 0) {
		common_say("%s", e.text);
		return 2;
	}
	return r > 0 ? git(&s, service, app) : command(&s, &w);
}

/* Commands for another host: the same words over ssh, the app from the checkout's remote.
 */
#include "cli/cli.h"
#include "cli/hostfile.h"
#include "lib/io.h"
#include "lib/name.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define URL_MAX 1024

struct target {
	char dest[300]; /* [user@]host, as ssh takes it */
	char port[8];	/* "" : ssh's own */
	char app[NAME_MAX_LEN + 1];
};

/* git config --get remote.NAME.url; false when there is no such checkout or remote. */
static bool read_url(const char *name, char url[URL_MAX])
{
	autobuf out = {.max = URL_MAX - 1};
	char key[200];
	int p[2], status = 1;
	pid_t pid;

	if (strlen(name) > 150 || pipe2(p, O_CLOEXEC) < 0)
		return false;
	snprintf(key, sizeof(key), "remote.%s.url", name);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(p[1], 1);
		dup2(null, 2);
		execlp("git", "git", "config", "--get", key, (char *)NULL);
		_exit(127);
	}
	close(p[1]);
	if (pid > 0) {
		io_read_all(p[0], &out);
		close(p[0]);
		waitpid(pid, &status, 0);
	}
	if (status != 0 || !out.data || !out.len)
		return false;
	out.data[strcspn(out.data, "\n")] = 0;
	snprintf(url, URL_MAX, "%s", out.data);
	return true;
}

static bool set_app(struct target *t, const char *path)
{
	size_t len;

	path += strncmp(path, "/~/", 3) == 0 ? 3 : *path == '/';
	len = strlen(path);
	if (len > 4 && strcmp(path + len - 4, ".git") == 0)
		len -= 4;
	if (len > NAME_MAX_LEN)
		return false;
	memcpy(t->app, path, len);
	t->app[len] = 0;
	return name_valid(t->app);
}

/* [user@]host[:port]; a word beginning with "-" would be an option of ssh. */
static bool set_host(struct target *t, const char *text, size_t len)
{
	const char *at = memchr(text, '@', len);
	const char *colon =
		memchr(at ? at : text, ':', len - (size_t)(at ? at - text : 0));
	size_t host = colon ? (size_t)(colon - text) : len;
	uint64_t port;

	if (host == 0 || host >= sizeof(t->dest) || text[0] == '-' ||
		(at && at[1] == '-'))
		return false;
	memcpy(t->dest, text, host);
	t->dest[host] = 0;
	if (!colon)
		return true;
	if (len - host - 1 >= sizeof(t->port))
		return false;
	memcpy(t->port, colon + 1, len - host - 1);
	t->port[len - host - 1] = 0;
	return num_parse_u64(t->port, 1, 65535, &port) == 0;
}

static bool parse_url(const char *url, struct target *t)
{
	const char *path;

	if (strncmp(url, "ssh://", 6) == 0) {
		url += 6;
		path = strchr(url, '/');
		return path && set_host(t, url, (size_t)(path - url)) && set_app(t, path);
	}
	path = strstr(url, "://") ? NULL : strchr(url, ':');
	if (!path || memchr(url, '/', (size_t)(path - url)))
		return false;
	return set_host(t, url, (size_t)(path - url)) && set_app(t, path + 1);
}

static bool host_from_env(const char *host, struct target *t)
{
	char text[300];

	snprintf(text, sizeof(text), "%s%s", strchr(host, '@') ? "" : "berth@", host);
	return set_host(t, text, strlen(text));
}

/* Whether the words are for another host, and which. Exits when the host named cannot be
 * one. */
static bool find_target(const struct cli *c, struct target *t)
{
	const char *name = c->remote, *host = getenv("BERTH_HOST"),
		   *run = getenv("BERTH_RUN");
	char url[URL_MAX];

	if (name) {
		if (read_url(name, url) && parse_url(url, t))
			return true;
		say("this checkout has no remote '%.60s' that leads to berth "
		    "(berth@HOST:APP)",
			name);
		exit(STATUS_USAGE);
	}
	if (host && *host) {
		if (host_from_env(host, t))
			return true;
		say("BERTH_HOST is not [USER@]HOST[:PORT]: '%.80s'", host);
		exit(STATUS_USAGE);
	}
	return !run && access("/run/berth/api.sock", F_OK) < 0 &&
	       read_url("berth", url) && parse_url(url, t);
}

/* Appends a word as a POSIX shell reads it; berth-shell splits by the same rules. */
static void quote(struct buf *b, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-_=+:,./@%";

	buf_adds(b, b->len ? " " : "");
	if (*word && strspn(word, plain) == strlen(word)) {
		buf_adds(b, word);
		return;
	}
	buf_adds(b, "'");
	for (; *word; word++) {
		if (*word == '\'')
			buf_adds(b, "'\\''");
		else
			buf_add(b, word, 1);
	}
	buf_adds(b, "'");
}

/* A key's file lies here, not there: it becomes the input. */
static void open_key_file(const char *path)
{
	int fd = strcmp(path, "-") == 0 ? 0 : open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		say("cannot read %s: %s", path, strerror(errno));
		exit(STATUS_FAILED);
	}
	if (fd > 0)
		dup2(fd, 0);
}

static bool needs_app(const struct cli *c)
{
	const char *first = c->argc ? c->argv[0] : NULL;

	if (c->app || !(c->cmd->flags & (CMD_APP | CMD_APP_MAYBE)) ||
		c->options[OPT_GLOBAL])
		return false;
	/* A first word that can be no app, or that is needed for something else: the app
	 * was left out. */
	return !first || !name_valid(first) ||
	       (c->cmd->min > 0 && c->argc == c->cmd->min);
}

static void build_line(const struct cli *c, const struct target *t, int argc, char **argv,
	struct buf *line)
{
	quote(line, argv[0]);
	if (t->app[0] && needs_app(c)) {
		quote(line, "--app");
		quote(line, t->app);
	}
	for (int i = 1; i < argc; i++) {
		if (i != c->remote_at)
			quote(line, argv[i]);
		else if (strcmp(argv[i], "--remote") == 0)
			i++; /* its value */
	}
}

/* The words of certs:add that name files of this host, if they do; they are taken out of the others. */
static bool take_pem_files(struct cli *c, const char *files[2])
{
	if (c->cmd->run != cmd_certs_add)
		return false;
	if (c->options[OPT_CERT] && c->options[OPT_KEY]) {
		files[0] = c->options[OPT_CERT];
		files[1] = c->options[OPT_KEY];
		return true;
	}
	if (c->argc < 2 || access(c->argv[c->argc - 1], F_OK) < 0 ||
		access(c->argv[c->argc - 2], F_OK) < 0)
		return false;
	files[0] = c->argv[c->argc - 2];
	files[1] = c->argv[c->argc - 1];
	c->argc -= 2;
	return true;
}

/* Both files, one after the other, become the input: PEM that holds a chain and a key. */
static void open_pem_files(const char *files[2])
{
	int fd = memfd_create("pem", MFD_CLOEXEC);

	for (int i = 0; i < 2; i++) {
		autobuf text = {.max = (size_t)1 << 20};
		int r = io_read_file(AT_FDCWD, files[i], &text);

		if (r == 0 && text.len)
			r = io_write_all(fd, text.data, text.len);
		if (r == 0)
			r = io_write_all(fd, "\n", 1);
		if (r < 0) {
			say("cannot read %s: %s", files[i], strerror(-r));
			exit(STATUS_FAILED);
		}
	}
	lseek(fd, 0, SEEK_SET);
	dup2(fd, 0);
}

static void build_certs_line(
	const struct cli *c, const struct target *t, char **argv, struct buf *line)
{
	buf_reset(line);
	quote(line, argv[0]);
	if (c->app || (t->app[0] && needs_app(c))) {
		quote(line, "--app");
		quote(line, c->app ? c->app : t->app);
	}
	for (int i = 0; i < c->argc; i++)
		quote(line, c->argv[i]);
	if (c->quiet)
		quote(line, "--quiet");
	if (c->json)
		quote(line, "--format=json");
}

/* apply: what stands in the file for values of this host is resolved here. */
static void send_hostfile(const char *path)
{
	struct hostfile f = {.references = true, .raw = true};
	int fd = memfd_create("apply", MFD_CLOEXEC);
	int r = hostfile_read(&f, path);

	if (r)
		exit(r);
	if (fd < 0 || json_dumpfd(f.root, fd, JSON_INDENT(2)) < 0 ||
		lseek(fd, 0, SEEK_SET) < 0 || dup2(fd, 0) < 0) {
		say("cannot send %s: %s", path, strerror(errno));
		exit(STATUS_FAILED);
	}
}

/* The file of images:import, git:from-archive, config:import and members:add, the last word, is one of this host: it becomes the input,
 * "-" its name. */
static void send_file(struct cli *c, char **argv)
{
	static char dash[] = "-";
	const char *path = c->argc ? c->argv[c->argc - 1] : "-";
	bool plain = c->cmd->run == cmd_config_import ||
		     (c->cmd->run == cmd_members_add && c->argc == 2);

	if (c->cmd->run == cmd_apply && c->argc == 1) {
		send_hostfile(path);
		argv[c->last_at] = dash;
		return;
	}
	if (c->argc > 2 || strcmp(path, "-") == 0 || strstr(path, "://"))
		return;
	if (c->cmd->run != cmd_images_import && c->cmd->run != cmd_git_from_archive &&
		!plain)
		return;
	int r = plain ? config_open(path) : images_open(path);
	if (r < 0) {
		say("cannot read %s: %s", path, strerror(-r));
		exit(STATUS_FAILED);
	}
	argv[c->last_at] = dash;
}

void remote_maybe(struct cli *c, int argc, char **argv)
{
	const char *program = getenv("BERTH_SSH");
	struct target t = {0};
	autobuf line = {.max = (size_t)512 << 10};
	const char *words[8], *files[2];
	size_t n = 0;
	bool tty = c->cmd->flags & CMD_PROGRAM || c->cmd->options & OPT(CONFIRM);

	if (!find_target(c, &t))
		return;
	send_file(c, argv);
	build_line(c, &t, argc, argv, &line);
	if (c->cmd->run == cmd_keys_add && c->argc == 2) {
		open_key_file(c->argv[1]);
		buf_reset(&line);
		quote(&line, argv[0]);
		quote(&line, c->argv[0]);
	}
	if (take_pem_files(c, files)) {
		open_pem_files(files);
		build_certs_line(c, &t, argv, &line);
	}
	if (line.failed) {
		say("the command is too long for ssh");
		exit(STATUS_USAGE);
	}
	words[n++] = program && *program ? program : "ssh";
	if (t.port[0]) {
		words[n++] = "-p";
		words[n++] = t.port;
	}
	if (tty && !c->options[OPT_NO_TTY] && isatty(0) && isatty(1))
		words[n++] = "-t";
	words[n++] = t.dest;
	words[n++] = line.data;
	words[n] = NULL;
	union {
		const char **from;
		char *const *to;
	} w = {.from = words};
	execvp(words[0], w.to);
	say("cannot start %s: %s", words[0], strerror(errno));
	exit(STATUS_FAILED);
}

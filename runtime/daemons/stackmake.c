/* Making a stack's tar with mmdebstrap. */
#include "runtime/daemons/stackmake.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/daemons/stackrun.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define FIELDS 6
#define KEYRING "/usr/share/keyrings/debian-archive-keyring.gpg"
/* Fixed, so that the same packages give the same bytes. */
#define STACK_DATE_EPOCH "1700000000"

enum field { F_CREATED_BY, F_ORIGIN, F_URI, F_RELEASE, F_CODENAME, F_COMPONENT };

/* --- what apt knows --- */

static bool split_fields(char *line, char *fields[FIELDS])
{
	for (int i = 0; i < FIELDS; i++) {
		fields[i] = line;
		line = strchr(line, '|');
		if (line)
			*line++ = '\0';
		else
			return i == FIELDS - 1;
	}
	return false;
}

/* These come from signed files of the host's own archives, and yet: nothing that could
 * end a sources line early. */
static bool is_word(const char *s)
{
	return *s && s[strcspn(s, " \t[]#\"'\\")] == '\0';
}

/*
 * "trixie-security" for bookworm becomes "bookworm-security": the same archives carry
 * every release. The code name stands first in the release's name, or the host uses words
 * like "stable".
 */
static bool release_for(char *out, size_t size, const char *release, const char *codename)
{
	static const char *const suffixes[] = {"-security", "-updates"};

	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		size_t len = strlen(release), n = strlen(suffixes[i]);

		if (len > n && strcmp(release + len - n, suffixes[i]) == 0) {
			snprintf(out, size, "%s%s", codename, suffixes[i]);
			return true;
		}
	}
	if (strchr(release, '-') || strcmp(release, "sid") == 0 ||
		strcmp(release, "unstable") == 0 || strcmp(release, "experimental") == 0)
		return false;
	snprintf(out, size, "%s", codename);
	return true;
}

static void add_source(struct buf *out, const char *uri, const char *release, int *n)
{
	autobuf line = BUF_INIT;

	/* Non-free parts of the host's sources are the host's business. */
	buf_addf(&line, "deb [signed-by=" KEYRING "] %s %s main\n", uri, release);
	if (line.failed || (out->data && strstr(out->data, line.data)))
		return;
	buf_add(out, line.data, line.len);
	(*n)++;
}

int stack_sources(const char *targets, const char *codename, struct buf *out)
{
	char *copy autofree = strdup(targets);
	char *fields[FIELDS], release[64];
	int n = 0;

	for (char *line = copy, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (!split_fields(line, fields) ||
			strcmp(fields[F_CREATED_BY], "Packages") != 0 ||
			strcmp(fields[F_ORIGIN], "Debian") != 0 ||
			strcmp(fields[F_COMPONENT], "main") != 0 ||
			!is_word(fields[F_URI]) || !is_word(fields[F_RELEASE]))
			continue;
		if (release_for(release, sizeof(release), fields[F_RELEASE], codename))
			add_source(out, fields[F_URI], release, &n);
	}
	return n;
}

void stack_apt_settings(const char *dump, struct buf *out)
{
	static const char *const wanted[] = {"Acquire::http", "Acquire::https",
		"Acquire::Retries", "Acquire::ForceIPv", "Acquire::Proxy",
		"Acquire::Check-Valid-Until", "Acquire::Max-FutureTime"};

	for (const char *line = dump, *end; *line; line = *end ? end + 1 : end) {
		end = line + strcspn(line, "\n");
		for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
			if (strncasecmp(line, wanted[i], strlen(wanted[i])) == 0) {
				buf_add(out, line, (size_t)(end - line));
				buf_adds(out, "\n");
				break;
			}
		}
	}
}

/* --- running programs --- */

/* Runs argv; stdout goes to out (read to its end) or, when out is NULL, to fd to. The
 * exit status, or -errno. */
static int run(const char *const *argv, struct buf *out, int to)
{
	int fds[2] = {-1, -1}, status;
	pid_t pid;

	if (out && pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		if (dup2(out ? fds[1] : to, STDOUT_FILENO) >= 0)
			execvp(argv[0], (char **)(uintptr_t)argv);
		dprintf(STDERR_FILENO, "cannot run %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	if (fds[1] >= 0)
		close(fds[1]);
	if (out) {
		int r = pid > 0 ? io_read_all(fds[0], out) : 0;

		close(fds[0]);
		if (r < 0)
			log_error("%s: %s", argv[0], strerror(-r));
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int read_targets(struct buf *out, const char *const *extra, size_t n_extra)
{
	const char *argv[16] = {
		"apt-get", "indextargets", "--format", STACK_TARGET_FORMAT};

	for (size_t i = 0; i < n_extra && i < 11; i++)
		argv[4 + i] = extra[i];
	buf_reset(out);
	return run(argv, out, -1);
}

/*
 * A host whose package lists were never fetched, or were cleaned: fetch them into a
 * folder of our own, the host's are not touched.
 */
static int fetch_lists(const char *tmp, struct buf *targets)
{
	char lists[512], cache[512];
	const char *const where[] = {"-o", lists, "-o", cache};
	const char *const update[] = {"apt-get", "-o", lists, "-o", cache, "-o",
		"APT::Sandbox::User=", "-o", "APT::Update::Post-Invoke-Success=", "-q",
		"update", NULL};
	int r;

	snprintf(lists, sizeof(lists), "Dir::State::lists=%s/lists", tmp);
	snprintf(cache, sizeof(cache), "Dir::Cache=%s/cache", tmp);
	dprintf(STDERR_FILENO, "reading the host's package archives\n");
	r = run(update, NULL, STDERR_FILENO);
	if (r != 0)
		return r;
	return read_targets(targets, where, ARRAY_LEN(where));
}

static int find_sources(const char *tmp, const char *codename, struct buf *sources)
{
	autobuf targets = {.max = STACK_APT_TEXT_MAX};
	int r = read_targets(&targets, NULL, 0);

	if (r == 0 && targets.data && stack_sources(targets.data, codename, sources) > 0)
		return 0;
	r = fetch_lists(tmp, &targets);
	if (r == 0 && targets.data && stack_sources(targets.data, codename, sources) > 0)
		return 0;
	dprintf(STDERR_FILENO, "this host's apt sources name no archive of Debian's own; "
			       "add one to /etc/apt/sources.list.d, then try again\n");
	return 1;
}

static int write_file(
	const char *tmp, const char *name, const struct buf *b, char path[512])
{
	int fd autoclose = -1;

	snprintf(path, 512, "%s/%s", tmp, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	return io_write_all(fd, b->len ? b->data : "", b->len);
}

static int write_settings(const char *tmp, char path[512])
{
	static const char *const argv[] = {"apt-config", "dump", NULL};
	autobuf dump = {.max = STACK_APT_TEXT_MAX};
	autobuf settings = BUF_INIT;

	if (run(argv, &dump, -1) == 0 && dump.data)
		stack_apt_settings(dump.data, &settings);
	return write_file(tmp, "apt.conf", &settings, path);
}

/* mmdebstrap runs this with the new root as $1: the user that apps are, and nothing of
 * the host's settings left. */
static const char finish[] =
	"#!/bin/sh\n"
	"set -e\n"
	"rm -f \"$1/etc/apt/apt.conf.d/99mmdebstrap\" \"$1/etc/hostname\" "
	"\"$1/etc/resolv.conf\"\n"
	"echo 'app:x:1000:1000:app:/app:/bin/sh' >>\"$1/etc/passwd\"\n"
	"echo 'app:x:1000:' >>\"$1/etc/group\"\n"
	"echo 'app:*:19675::::::' >>\"$1/etc/shadow\"\n"
	"echo 'app:!::' >>\"$1/etc/gshadow\"\n"
	"mkdir -p \"$1/app\"\n"
	"chmod 755 \"$1/app\"\n"
	"chown 1000:1000 \"$1/app\"\n";

static int write_hook(const char *tmp, char path[512])
{
	autobuf b = BUF_INIT;
	int r;

	buf_adds(&b, finish);
	r = write_file(tmp, "finish", &b, path);
	return r < 0 ? r : chmod(path, 0755) < 0 ? -errno : 0;
}

static int bootstrap(const char *codename, const char *sources, const char *settings,
	const char *finisher)
{
	char aptopt[600], hook[600];
	const char *const argv[] = {"mmdebstrap", "--mode=unshare", "--variant=minbase",
		"--format=tar", "--include=ca-certificates", aptopt,
		/* Pages nobody reads inside a container; licences stay. */
		"--dpkgopt=path-exclude=/usr/share/doc/*",
		"--dpkgopt=path-include=/usr/share/doc/*/copyright",
		"--dpkgopt=path-exclude=/usr/share/man/*",
		"--dpkgopt=path-exclude=/usr/share/info/*",
		"--dpkgopt=path-exclude=/usr/share/groff/*",
		"--dpkgopt=path-exclude=/usr/share/lintian/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*",
		"--dpkgopt=path-include=/usr/share/locale/locale.alias", hook, codename,
		"-", sources, NULL};

	snprintf(aptopt, sizeof(aptopt), "--aptopt=%s", settings);
	snprintf(hook, sizeof(hook), "--customize-hook=%s", finisher);
	return run(argv, NULL, STDOUT_FILENO);
}

static int make(uint32_t suite)
{
	const char *tmp = getenv("TMPDIR"), *codename = suite == 1 ? "bookworm" : NULL;
	char sources_path[512], settings_path[512], hook_path[512];
	autobuf sources = BUF_INIT;
	int r;

	if (!tmp || strlen(tmp) > 400 || !codename) {
		log_error("berthd starts this with TMPDIR set");
		return 2;
	}
	signal(SIGPIPE, SIG_DFL);
	if (setenv("SOURCE_DATE_EPOCH", STACK_DATE_EPOCH, 1) < 0)
		return 1;
	r = find_sources(tmp, codename, &sources);
	if (r != 0)
		return 1;
	if ((r = write_file(tmp, "sources.list", &sources, sources_path)) < 0 ||
		(r = write_settings(tmp, settings_path)) < 0 ||
		(r = write_hook(tmp, hook_path)) < 0) {
		dprintf(STDERR_FILENO, "cannot write into %s: %s\n", tmp, strerror(-r));
		return 1;
	}
	r = bootstrap(codename, sources_path, settings_path, hook_path);
	if (r != 0)
		dprintf(STDERR_FILENO, "mmdebstrap failed (status %d)\n",
			r < 0 ? 125 : r);
	return r < 0 ? 125 : r;
}

int stack_make(uint32_t suite)
{
	int32_t status = make(suite);

	/* By hand there is no such file. */
	if (fcntl(STACK_EXIT_FD, F_GETFD) >= 0)
		(void)io_write_all(STACK_EXIT_FD, &status, sizeof(status));
	return status;
}

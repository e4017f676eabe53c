/* The toolchain step: Debian packages and the pack's own downloads, as container root,
 * into a layer of their own. */
#include "buildpacks/command.h"
#include "buildpacks/plan/pack.h"
#include "buildpacks/run.h"
#include "lib/io.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define APT_PACKAGES_MAX 512
#define TAIL_LINES 20 /* of apt's output, shown when it fails */

/* Lists in English only, no diffs; the sandbox is the confinement, so no second user for
 * downloads. */
#define APT_OPTIONS                                                                      \
	"-qq", "-y", "-o", "Acquire::Languages=none", "-o", "Acquire::PDiffs=false",     \
		"-o", "APT::Sandbox::User=root", "-o", "Dpkg::Use-Pty=0", "-o",          \
		"Acquire::Retries=2", "-o", "APT::Status-Fd=3"

/* Progress by a descriptor of its own: apt closes it in dpkg, whose scripts need their
 * stdout. */
#define APT_GET "sh", "-c", "exec apt-get \"$@\" 3>&1", "apt-get"

/* Services must not start in a build: exit status 101 is "forbidden" (policy-rc.d(8)). */
#define POLICY "/usr/sbin/policy-rc.d"

/* What apt and dpkg print: progress, complaints, and the rest, of which the end matters
 * when they fail. */
struct apt_output {
	char *tail[TAIL_LINES]; /* a ring */
	unsigned int n;
	int shown;	      /* last tenth of the way that was printed, -1 none */
	const char *fetching; /* what is being downloaded */
};

/* "dlstatus:N:PERCENT:TEXT", "pmstatus:PACKAGE:PERCENT:TEXT" (apt's
 * README.progress-reporting) */
static bool take_progress(struct apt_output *o, const char *s, size_t len)
{
	bool download = len > 9 && memcmp(s, "dlstatus:", 9) == 0;
	int percent;

	if (!download && !(len > 9 && memcmp(s, "pmstatus:", 9) == 0))
		return false;
	const char *second = memchr(s + 9, ':', len - 9);
	if (second && sscanf(second, ":%d", &percent) == 1 && percent / 10 != o->shown) {
		o->shown = percent / 10;
		say_progress("%s %d%%",
			download ? o->fetching : "unpacking and configuring", percent);
	}
	return true;
}

static void take_line(void *arg, const char *s, size_t len)
{
	struct apt_output *o = arg;

	if (len == 0 || take_progress(o, s, len))
		return;
	char **slot = &o->tail[o->n++ % TAIL_LINES];
	free(*slot);
	*slot = strndup(s, len);
}

static void end_output(struct apt_output *o, bool show)
{
	for (unsigned int i = 0; i < TAIL_LINES; i++) {
		char *line = o->tail[(o->n + i) % TAIL_LINES];
		if (show && line)
			say_detail("%s", line);
		free(line);
	}
}

static int run_apt(const char *const *argv, const char *fetching)
{
	struct apt_output o = {.shown = -1, .fetching = fetching};
	struct err e = {0};
	int r = run_lines(argv, "/", take_line, &o, &e);

	if (r < 0)
		say_warning("%s", e.text);
	end_output(&o, r > 0);
	return r < 0 ? 1 : r;
}

/* The packages of the key's "apt NAME" lines; names point into lines, which is cut up. */
static size_t apt_packages(char *lines, const char *names[APT_PACKAGES_MAX])
{
	size_t n = 0;

	for (char *save, *s = strtok_r(lines, "\n", &save); s;
		s = strtok_r(NULL, "\n", &save))
		if (strncmp(s, "apt ", 4) == 0 && s[4] != '-' && n < APT_PACKAGES_MAX)
			names[n++] = s + 4;
	return n;
}

static int write_policy(void)
{
	static const char text[] = "#!/bin/sh\nexit 101\n";
	int fd autoclose = open(POLICY, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);

	return fd < 0 ? -errno : io_write_all(fd, text, strlen(text));
}

/* Base images go without manual pages, but packages' alternatives link into their folder
 * (openjdk-17-jre-headless). */
static void make_man(void)
{
	if (mkdir("/usr/share/man", 0755) == 0 || errno == EEXIST)
		mkdir("/usr/share/man/man1", 0755);
}

static int apt_install(const char *key)
{
	char *lines autofree = strdup(key);
	const char *names[APT_PACKAGES_MAX];
	const char *argv[APT_PACKAGES_MAX + 32] = {
		APT_GET, "install", "--no-install-recommends", APT_OPTIONS, "--"};
	autobuf list = BUF_INIT;
	size_t at = 0;

	if (!lines)
		return 1;
	size_t n = apt_packages(lines, names);
	if (n == 0)
		return 0;
	while (argv[at])
		at++;
	for (size_t i = 0; i < n; i++) {
		argv[at++] = names[i];
		buf_addf(&list, " %s", names[i]);
	}
	say_step("Installing Debian packages:%s", list.failed ? "" : list.data);
	make_man();
	int r = run_apt((const char *const[]){APT_GET, "update", APT_OPTIONS, NULL},
		"fetching package lists");
	if (r == 0 && write_policy() == 0) {
		r = run_apt(argv, "downloading");
		unlink(POLICY);
	} else if (r == 0) {
		r = run_apt(argv, "downloading");
	}
	if (r != 0)
		say_warning("Debian packages could not be installed (status %d)", r);
	return r;
}

static void empty_dir(const char *path)
{
	DIR *d = opendir(path);

	if (!d)
		return;
	for (struct dirent *entry; (entry = readdir(d));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			io_remove_tree(dirfd(d), entry->d_name);
	closedir(d);
}

/* What no later step reads; it would only be stored. */
static void clean(void)
{
	static const char *const dirs[] = {"/var/lib/apt/lists", "/var/cache/apt",
		"/var/log", "/var/tmp", "/tmp", "/root/.npm", "/root/.cache"};
	static const char *const files[] = {"/var/cache/debconf/config.dat-old",
		"/var/cache/debconf/templates.dat-old", "/var/lib/dpkg/status-old",
		"/var/lib/dpkg/available-old", "/var/cache/ldconfig/aux-cache"};

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		empty_dir(dirs[i]);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		unlink(files[i]);
}

int command_toolchain(int argc, char **argv)
{
	const char *env = getenv("BERTH_TOOLCHAIN");
	const char *key = argc > 2 ? argv[2] : env ? env : "";
	struct err e = {0};
	char path[256];
	int r;

	step_environment();
	setenv("HOME", "/root", 1);
	setenv("DEBIAN_FRONTEND", "noninteractive", 1);
	if (!pack_name_valid(argv[1]) || !pack_has(argv[1], "bin/detect", path)) {
		say_warning("there is no buildpack named %.64s", argv[1]);
		return 1;
	}
	r = apt_install(key);
	if (r == 0 && pack_has(argv[1], "bin/toolchain", path)) {
		r = run_program((const char *const[]){path, key, NULL}, "/", NULL, &e);
		if (r < 0)
			say_warning("%s", e.text);
	}
	clean();
	if (r == 0)
		r = io_write_all(STDOUT_FILENO, "{}\n", 3) < 0;
	return r < 0 ? 1 : r;
}

/* The steps of a build: unpack, source, toolchain, deps, compile. */
#include "buildpacks/command.h"
#include "buildpacks/dockerfile/docker_plan.h"
#include "buildpacks/image/dpkg.h"
#include "buildpacks/image/unpack.h"
#include "buildpacks/plan/config_dir.h"
#include "buildpacks/plan/pack.h"
#include "buildpacks/plan/release_yaml.h"
#include "buildpacks/run.h"
#include "buildpacks/source/slugignore.h"
#include "buildpacks/source/tree.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CACHE_DIR "/cache"
#define ENV_DIR "/tmp/env"
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

int command_unpack(int argc UNUSED, char **argv UNUSED)
{
	struct err e = {0};

	if (unpack_archive(STDIN_FILENO, "/", &e) < 0 || unpack_finish("/", &e) < 0) {
		say_warning("%s", e.text);
		return 1;
	}
	json_t *said = json_pack("{s:o}", "packages", dpkg_packages("/"));
	json_dumpf(said, stdout, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(said);
	return 0;
}

void step_environment(void)
{
	char self[32];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", RUN_SELF_FD);
	setenv("BERTH_BUILD", self, 1);
	setenv("HOME", APP_DIR, 1);
	setenv("APP_DIR", APP_DIR, 1);
	setenv("PATH", DEFAULT_PATH, 1);
	setenv("LANG", "C.UTF-8", 0);
	/* Both are set by git in a hook and lead a build's own git calls astray. */
	unsetenv("GIT_DIR");
	unsetenv("GIT_WORK_TREE");
	umask(022);
}

/* control names submodules, which have no content in a tree: one path a line. */
static void warn_submodules(struct plan *p)
{
	const char *s = getenv("BERTH_SUBMODULES");

	for (; s && *s; s += strspn(s, "\n")) {
		int n = (int)strcspn(s, "\n");
		plan_warn(p, "not fetched: %.*s (a git submodule)", n, s);
		s += n;
	}
}

/* Afterwards the folder is not the commit's tree any more: what changes in that cannot be written over it. */
static int leave_out(struct plan *p, struct err *e)
{
	int r = slugignore_apply(APP_DIR, p->warnings, e);

	if (r < 0)
		plan_fail(p, "%s", e->text);
	if (r > 0)
		say_detail(SLUGIGNORE_NAME " leaves out %d files and folders", r);
	p->whole = p->whole || r != 0;
	return r;
}

/* changes: the stream has what differs from what lies there already. */
static int plan_source(struct plan *p, bool changes, struct err *e)
{
	int r = tree_unpack(STDIN_FILENO, APP_DIR, changes, p->warnings, e);

	if (r < 0) {
		plan_fail(p, "%s", e->text);
		return 0;
	}
	warn_submodules(p);
	p->whole = json_array_size(p->warnings) > 0;
	if (docker_detect(p) != 0)
		return 0;
	r = leave_out(p, e);
	if (r < 0)
		return 0;
	r = pack_detect(p, getenv("BERTH_BUILDPACKS"), e);
	if (r < 0 || !p->pack[0])
		return r;
	return pack_plan(p, e);
}

/* Prints the plan; an error that is nobody's fault but ours is a line on stderr and
 * status 1. */
static int finish(struct plan *p, int r, struct err *e)
{
	if (r == 0)
		r = plan_print(p, STDOUT_FILENO);
	if (r < 0)
		say_warning("%s", e->code ? e->text : strerror(-r));
	plan_free(p);
	return r < 0;
}

int command_source(int argc, char **argv)
{
	bool changes = argc > 1 && strcmp(argv[1], "changes") == 0;
	struct err e = {0};
	struct plan p;
	int r;

	step_environment();
	r = plan_init(&p);
	if (r == 0)
		r = plan_source(&p, changes, &e);
	return finish(&p, r, &e);
}

static const char *check_pack(const char *pack)
{
	char path[256];

	if (pack_name_valid(pack) && pack_has(pack, "bin/detect", path))
		return pack;
	say_warning("there is no buildpack named %.64s", pack);
	return NULL;
}

/* Runs a script of the pack; 0 when the pack has none. Status as run_program, failures to
 * start are 1. */
static int run_script(
	const char *pack, const char *file, const char *a, const char *b, const char *c)
{
	struct err e = {0};
	char path[256];

	if (!pack_has(pack, file, path))
		return 0;
	int r = run_program(
		(const char *const[]){path, a, b, c, NULL}, APP_DIR, NULL, &e);
	if (r < 0)
		say_warning("%s", e.text);
	return r < 0 ? 1 : r;
}

/* The cache folder, when control mounted one that we may write; else a private one that
 * goes with the sandbox. */
static const char *cache_dir(void)
{
	if (access(CACHE_DIR, W_OK) == 0)
		return CACHE_DIR;
	return mkdir("/tmp/cache", 0755) < 0 && errno != EEXIST ? "/tmp" : "/tmp/cache";
}

int command_deps(int argc UNUSED, char **argv)
{
	const char *pack = check_pack(argv[1]);
	struct err e = {0};

	step_environment();
	if (!pack)
		return 1;
	if (tree_unpack(STDIN_FILENO, APP_DIR, true, NULL, &e) < 0) {
		say_warning("%s", e.text);
		return 1;
	}
	int r = run_script(pack, "bin/deps", APP_DIR, cache_dir(), NULL);
	if (r == 0)
		r = io_write_all(STDOUT_FILENO, "{}\n", 3) < 0;
	return r;
}

/* bin/release adds to what the plan has. Its failure is the build's: a wrong start
 * command is worse than none. */
static int read_release(struct plan *p, struct err *e)
{
	autobuf out = {.max = PACK_OUTPUT_MAX};
	char path[256];

	if (!pack_has(p->pack, "bin/release", path))
		return 0;
	int r = run_program((const char *const[]){path, APP_DIR, NULL}, APP_DIR, &out, e);
	if (r > 0)
		return err_set(
			e, EPROTO, "%s/bin/release failed with status %d", p->pack, r);
	return r < 0 ? r : release_yaml_parse(p, out.data, out.len, e);
}

static int plan_again(struct plan *p, const char *pack, struct err *e)
{
	int r;

	snprintf(p->pack, sizeof(p->pack), "%s", pack);
	r = pack_plan(p, e);
	return r < 0 ? r : read_release(p, e);
}

int command_compile(int argc UNUSED, char **argv)
{
	const char *pack = check_pack(argv[1]);
	struct err e = {0};
	struct plan p;
	int r;

	if (!pack)
		return 1;
	if (config_dir_write(ENV_DIR, getenv("BERTH_CONFIG_KEYS"), &e) < 0) {
		say_warning("%s", e.text);
		return 1;
	}
	step_environment();
	setenv("CURL_CONNECT_TIMEOUT", "30", 0);
	setenv("CURL_TIMEOUT", "180", 0);
	r = run_script(pack, "bin/compile", APP_DIR, cache_dir(), ENV_DIR);
	if (r != 0)
		return r;
	r = plan_init(&p);
	if (r == 0)
		r = plan_again(&p, pack, &e);
	return finish(&p, r, &e);
}

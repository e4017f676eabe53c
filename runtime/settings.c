/* What berthd was started with: flags, else environment, else berth.conf, else defaults. */
#include "runtime/settings.h"
#include "lib/conf.h"
#include "lib/name.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

const char settings_usage[] =
	"usage: berthd [--state DIR] [--run DIR] [--http "
	"ADDR[,ADDR]] [--https ADDR[,ADDR]|none] [--ssh-user NAME] [--workers N]\n"
	"       berthd --stop       end berth's programs; apps go "
	"on and are found again at the next start\n"
	"       berthd --upgrade    replace the running programs by "
	"these; apps and requests go on\n"
	"       berthd --stop-all   end the apps too (SIGTERM, "
	"their stop timeout, SIGKILL)\n"
	"       berthd --remove     remove what a stopped berth "
	"left on this host at run time\n"
	"       berthd --hold       keep the unit of the apps' control groups\n";

enum {
	OPT_STATE = 256,
	OPT_RUN,
	OPT_HTTP,
	OPT_HTTPS,
	OPT_USER,
	OPT_WORKERS,
	OPT_STOP,
	OPT_STOP_ALL,
	OPT_UPGRADE,
	OPT_REMOVE,
	OPT_STACK,
	OPT_HOLD,
	OPT_HELP
};

static const struct option options[] = {
	{"state", required_argument, NULL, OPT_STATE},
	{"run", required_argument, NULL, OPT_RUN},
	{"http", required_argument, NULL, OPT_HTTP},
	{"https", required_argument, NULL, OPT_HTTPS},
	{"ssh-user", required_argument, NULL, OPT_USER},
	{"workers", required_argument, NULL, OPT_WORKERS},
	{"stop", no_argument, NULL, OPT_STOP},
	{"stop-all", no_argument, NULL, OPT_STOP_ALL},
	{"upgrade", no_argument, NULL, OPT_UPGRADE},
	{"remove", no_argument, NULL, OPT_REMOVE},
	{"stack-build", required_argument, NULL, OPT_STACK},
	{"hold", no_argument, NULL, OPT_HOLD},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static int copy(char *to, size_t size, const char *from, const char *what, struct err *e)
{
	size_t len = strlen(from);

	if (len == 0 || len >= size)
		return err_set(e, EINVAL, "%s is empty or longer than %zu characters",
			what, size - 1);
	memcpy(to, from, len + 1);
	return 0;
}

static int copy_dir(char *to, const char *from, const char *what, struct err *e)
{
	size_t len;
	int r = copy(to, SETTINGS_PATH_MAX, from, what, e);

	if (r < 0)
		return r;
	if (to[0] != '/')
		return err_set(
			e, EINVAL, "%s must be an absolute path, not \"%s\"", what, from);
	for (len = strlen(to); len > 1 && to[len - 1] == '/'; len--)
		to[len - 1] = '\0';
	return 0;
}

static unsigned int default_workers(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

	return n < 1 ? 1 : n > 4 ? 4 : (unsigned int)n;
}

static const char *env_or(const char *name, const char *fallback)
{
	const char *v = getenv(name);

	return v && *v ? v : fallback;
}

static int set_workers(struct settings *s, const char *text, struct err *e)
{
	uint64_t n;

	if (num_parse_u64(text, 1, PROTO_WORKERS_MAX, &n) < 0)
		return err_set(e, EINVAL,
			"workers must be a number from 1 to %d, not \"%s\"",
			PROTO_WORKERS_MAX, text);
	s->workers = (unsigned int)n;
	return 0;
}

static int load_defaults(struct settings *s, struct err *e)
{
	const char *workers = env_or("BERTH_WORKERS", NULL);
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;
	int r;

	*s = (struct settings){.mode = MODE_RUN, .workers = default_workers()};
	if (n <= 0)
		return err_sys(e, errno, "cannot read /proc/self/exe");
	exe[n] = '\0';
	slash = strrchr(exe, '/');
	if (slash)
		*slash = '\0';
	if ((r = copy(s->programs, sizeof(s->programs), exe, "the folder of berthd", e)) <
			0 ||
		(r = copy_dir(s->state, env_or("BERTH_STATE", "/var/lib/berth"),
			 "BERTH_STATE", e)) < 0 ||
		(r = copy_dir(s->run, env_or("BERTH_RUN", "/run/berth"), "BERTH_RUN",
			 e)) < 0 ||
		(r = copy(s->http, sizeof(s->http),
			 env_or("BERTH_HTTP", "0.0.0.0:80,[::]:80"), "BERTH_HTTP", e)) <
			0 ||
		(r = copy(s->https, sizeof(s->https),
			 env_or("BERTH_HTTPS", "0.0.0.0:443,[::]:443"), "BERTH_HTTPS",
			 e)) < 0 ||
		(r = copy(s->ssh_user, sizeof(s->ssh_user),
			 env_or("BERTH_SSH_USER", "berth"), "BERTH_SSH_USER", e)) < 0)
		return r;
	return workers ? set_workers(s, workers, e) : 0;
}

static int set_option(struct settings *s, int opt, const char *arg, struct err *e)
{
	switch (opt) {
	case OPT_STATE:
		return copy_dir(s->state, arg, "--state", e);
	case OPT_RUN:
		return copy_dir(s->run, arg, "--run", e);
	case OPT_HTTP:
		return copy(s->http, sizeof(s->http), arg, "--http", e);
	case OPT_HTTPS:
		return copy(s->https, sizeof(s->https), arg, "--https", e);
	case OPT_USER:
		return copy(s->ssh_user, sizeof(s->ssh_user), arg, "--ssh-user", e);
	case OPT_WORKERS:
		return set_workers(s, arg, e);
	case OPT_STOP:
		s->mode = MODE_STOP;
		return 0;
	case OPT_STOP_ALL:
		s->mode = MODE_STOP_ALL;
		return 0;
	case OPT_UPGRADE:
		s->mode = MODE_UPGRADE;
		return 0;
	case OPT_REMOVE:
		s->mode = MODE_REMOVE;
		return 0;
	case OPT_HOLD:
		s->mode = MODE_HOLD;
		return 0;
	case OPT_STACK:
		s->mode = MODE_STACK;
		s->suite = strcmp(arg, "debian-12") == 0 ? 1 : 0;
		return s->suite ? 0 : err_set(e, EINVAL, "no stack is named \"%s\"", arg);
	case OPT_HELP:
		s->mode = MODE_HELP;
		return 0;
	default:
		return err_set(e, EINVAL, "wrong usage");
	}
}

static int export_settings(const struct settings *s, struct err *e)
{
	char workers[16];

	snprintf(workers, sizeof(workers), "%u", s->workers);
	if (setenv("BERTH_STATE", s->state, 1) < 0 ||
		setenv("BERTH_RUN", s->run, 1) < 0 ||
		setenv("BERTH_HTTP", s->http, 1) < 0 ||
		setenv("BERTH_HTTPS", s->https, 1) < 0 ||
		setenv("BERTH_SSH_USER", s->ssh_user, 1) < 0 ||
		setenv("BERTH_WORKERS", workers, 1) < 0)
		return err_sys(e, errno, "setenv");
	return 0;
}

int settings_load(struct settings *s, int argc, char **argv, struct err *e)
{
	int r = conf_load(e), opt;

	if (r == 0)
		r = load_defaults(s, e);
	if (r < 0)
		return r;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1)
		if ((r = set_option(s, opt, optarg, e)) < 0)
			return r;
	if (optind < argc)
		return err_set(e, EINVAL, "unexpected argument \"%s\"", argv[optind]);
	return export_settings(s, e);
}

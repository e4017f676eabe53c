/* berth-backup: takes, checks and restores backups. Started by berth (cli/cmd_backup.c), which has checked its words. */
#include "backup/run.h"
#include "lib/log.h"
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

static const struct {
	const char *name;
	int (*run)(const struct options *o, struct err *e);
} commands[] = {
	{"create", run_create},
	{"list", run_list},
	{"verify", run_verify},
	{"restore", run_restore},
	{"drill", run_drill},
};

enum {
	OPT_APP = 256,
	OPT_AS,
	OPT_ID,
	OPT_AT,
	OPT_KEY,
	OPT_PASSPHRASE,
	OPT_PLAIN,
	OPT_JSON,
	OPT_QUIET
};

static const struct option words[] = {
	{"app", required_argument, NULL, OPT_APP},
	{"as", required_argument, NULL, OPT_AS},
	{"snapshot", required_argument, NULL, OPT_ID},
	{"at", required_argument, NULL, OPT_AT},
	{"key", required_argument, NULL, OPT_KEY},
	{"passphrase-file", required_argument, NULL, OPT_PASSPHRASE},
	{"no-encryption", no_argument, NULL, OPT_PLAIN},
	{"json", no_argument, NULL, OPT_JSON},
	{"quiet", no_argument, NULL, OPT_QUIET},
	{NULL, 0, NULL, 0},
};

static void take_word(struct options *o, int word)
{
	switch (word) {
	case OPT_APP:
		o->app = optarg;
		break;
	case OPT_AS:
		o->as = optarg;
		break;
	case OPT_ID:
		o->id = optarg;
		break;
	case OPT_AT:
		o->at = optarg;
		break;
	case OPT_KEY:
		o->secret = (struct secret){KEY_FILE, optarg};
		break;
	case OPT_PASSPHRASE:
		o->secret = (struct secret){KEY_PASSPHRASE, optarg};
		break;
	case OPT_PLAIN:
		o->secret = (struct secret){KEY_NONE, NULL};
		break;
	case OPT_JSON:
		o->json = true;
		break;
	case OPT_QUIET:
		o->quiet = true;
		break;
	default:
		break;
	}
}

static int run(const char *command, const struct options *o)
{
	struct err e = {0};

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].name, command) != 0)
			continue;
		if (commands[i].run(o, &e) == 0)
			return 0;
		say_fail("%s", e.text);
		return 1;
	}
	return 2;
}

int main(int argc, char **argv)
{
	struct options o = {.secret = {KEY_PASSPHRASE, NULL}};
	int word;

	log_open("berth-backup");
	umask(077);
	prctl(PR_SET_DUMPABLE, 0); /* it holds keys */
	signal(SIGPIPE, SIG_IGN);
	while ((word = getopt_long(argc, argv, "", words, NULL)) >= 0)
		take_word(&o, word);
	if (argc - optind != 2) {
		fprintf(stderr,
			"berth-backup is started by berth: berth backup:create --help\n");
		return 2;
	}
	o.place = argv[optind + 1];
	return run(argv[optind], &o);
}

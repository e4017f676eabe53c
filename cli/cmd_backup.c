/* Backups: berth-backup does the work, with libraries that no other command needs to start with. */
#include "cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define WORDS_MAX 32

struct words {
	const char *list[WORDS_MAX];
	unsigned int n;
};

static void add(struct words *w, const char *word, const char *value)
{
	if (!value || w->n + 3 > WORDS_MAX)
		return;
	w->list[w->n++] = word;
	if (*value)
		w->list[w->n++] = value;
}

/* Beside this program, or where it is installed. */
static void find_program(char out[PATH_MAX])
{
	char self[PATH_MAX - 64], *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	snprintf(out, PATH_MAX, "%s/berth-backup", self);
	if (access(out, X_OK) < 0)
		snprintf(out, PATH_MAX, "%s/../lib/berth/berth-backup", self);
}

static bool is_stdio(const char *word)
{
	return !word || strcmp(word, "-") == 0;
}

/* Over ssh, files are the caller's, not the host's. */
static int check(const struct cli *c, const char *place)
{
	const char *secret = c->options[OPT_PASSPHRASE_FILE]
				     ? c->options[OPT_PASSPHRASE_FILE]
				     : c->options[OPT_KEY];

	if (c->options[OPT_PASSPHRASE_FILE] && c->options[OPT_KEY])
		return say_usage(c, "either a passphrase or a key file");
	if (c->options[OPT_NO_ENCRYPTION] && secret)
		return say_usage(c, "either encrypted or not");
	if (c->options[OPT_AS] && !c->app)
		return say_usage(
			c, "which app is to be called %s? --app APP", c->options[OPT_AS]);
	if (!c->over_ssh)
		return 0;
	if (!is_stdio(place) || (secret && !is_stdio(secret)))
		return say_usage(c,
			"over ssh, a backup goes through the connection: "
			"ssh berth@HOST backup:create --to - --passphrase-file - < "
			"PASSPHRASE > FILE");
	if (!secret && !c->options[OPT_NO_ENCRYPTION])
		return say_usage(
			c, "over ssh, the passphrase comes in: --passphrase-file -");
	return 0;
}

int cmd_backup(struct cli *c)
{
	const char *place = c->argc ? c->argv[0] : c->options[OPT_TO];
	char program[PATH_MAX];
	struct words w = {.n = 1};
	int r;

	if (!place)
		return say_usage(c, "where to? --to FOLDER, --to FILE, or --to - for "
				    "standard output");
	r = check(c, place);
	if (r)
		return r;
	find_program(program);
	w.list[0] = program;
	add(&w, "--app", c->app);
	add(&w, "--as", c->options[OPT_AS]);
	add(&w, "--snapshot", c->options[OPT_SNAPSHOT]);
	add(&w, "--at", c->options[OPT_AT]);
	add(&w, "--key", c->options[OPT_KEY]);
	add(&w, "--passphrase-file", c->options[OPT_PASSPHRASE_FILE]);
	add(&w, "--no-encryption", c->options[OPT_NO_ENCRYPTION]);
	add(&w, "--json", c->json ? "" : NULL);
	add(&w, "--quiet", c->quiet ? "" : NULL);
	w.list[w.n++] = "--";
	w.list[w.n++] = c->cmd->param;
	w.list[w.n++] = place;
	w.list[w.n] = NULL;
	execv(program, (char *const *)(uintptr_t)w.list);
	say("cannot start %s: %s", program, strerror(errno));
	return STATUS_FAILED;
}

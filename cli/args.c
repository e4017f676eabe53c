/* The words of a command line: options anywhere, the app, the rest. */
#include "cli/cli.h"
#include "lib/jtext.h"
#include "lib/name.h"

#include <stdio.h>
#include <string.h>

const struct option_spec option_table[OPT_COUNT] = {
	[OPT_NUM] = {'n', "num", "N", "so many, the last ones"},
	[OPT_PS] = {'p', "ps", "PROC", "only this process type or instance"},
	[OPT_TAIL] = {'t', "tail", NULL, "go on showing new lines"},
	[OPT_SINCE] = {0, "since", "TIME",
		"from this time on: 10m, 2h, 3d or 2026-01-02T03:04:05Z"},
	[OPT_UNTIL] = {0, "until", "TIME", "up to this time, as with --since"},
	[OPT_IGNORE_CASE] = {'i', "ignore-case", NULL, "of --grep: a is A"},
	[OPT_RELEASE] = {0, "release", "vN", "only what instances of this release wrote"},
	[OPT_GREP] = {0, "grep", "TEXT", "only lines that hold this text"},
	[OPT_GLOBAL] = {0, "global", NULL,
		"for all apps that have no value of their own"},
	[OPT_MEMORY] = {0, "memory", "SIZE", "256M, 1G"},
	[OPT_CPU] = {0, "cpu", "CPUS", "0.5, 2"},
	[OPT_PIDS] = {0, "pids", "N", "processes and threads"},
	[OPT_SCRATCH] = {0, "scratch", "SIZE", "files written outside of volumes"},
	[OPT_NOFILE] = {0, "nofile", "N", "open files of each process"},
	[OPT_IO_READ] = {0, "io-read", "SIZE", "bytes a second read from disk: 10M"},
	[OPT_IO_WRITE] = {0, "io-write", "SIZE", "bytes a second written to disk"},
	[OPT_PROCESS_TYPE] = {0, "process-type", "TYPE",
		"only this one: web, ...; run: one-offs; build: builds"},
	[OPT_TTY] = {0, "tty", NULL, "with a terminal"},
	[OPT_NO_TTY] = {0, "no-tty", NULL, "without a terminal"},
	[OPT_READ_ONLY] = {0, "read-only", NULL, "the app cannot write to it"},
	[OPT_VOLUMES] = {0, "volumes", "keep|destroy",
		"what becomes of its volumes (keep)"},
	[OPT_ENV] = {'e', "env", "KEY=VALUE", "more environment, may be repeated"},
	[OPT_TYPE] = {0, "type", "TYPE", "with the limits of this process type"},
	[OPT_NO_RESTART] = {0, "no-restart", NULL,
		"store only, takes effect with the next release"},
	[OPT_LIMIT] = {0, "limit", "N", "at most so many"},
	[OPT_FORCE] = {'f', "force", NULL,
		"do not ask; for git:from-archive: also when nothing changed"},
	[OPT_CONFIRM] = {0, "confirm", "NAME", "the name, instead of being asked for it"},
	[OPT_PORT] = {0, "port", "N[-M]", "only this port, or these"},
	[OPT_PROTO] = {0, "proto", "tcp|udp", "only this protocol"},
	[OPT_BUILDS] = {0, "builds", NULL, "for its builds, not for its instances"},
	[OPT_CERT] = {0, "cert", "FILE", "the certificates, PEM, the server's first"},
	[OPT_KEY] = {0, "key", "FILE",
		"of certs:add: its private key, PEM; of setup: a public key, - reads "
		"stdin; of a backup: random bytes"},
	[OPT_DOMAIN] = {0, "domain", "DOMAIN", "whose subdomains are the apps"},
	[OPT_EMAIL] = {0, "email", "ADDRESS",
		"that the certificate authority may write to"},
	[OPT_NEW_ACCOUNT] = {0, "new-account", NULL,
		"with a new account at the authority"},
	[OPT_OFF] = {0, "off", NULL, "no more of it"},
	[OPT_INDEX] = {0, "index", "N", "at this place, the first is 1"},
	[OPT_AS] = {0, "as", "NAME[:TAG]", "its name here"},
	[OPT_CMD] = {0, "cmd", "COMMAND",
		"what it starts: a line for a shell, or a list of words as JSON"},
	[OPT_WORKDIR] = {0, "workdir", "PATH", "where it starts"},
	[OPT_USER] = {0, "user", "USER",
		"as whom: an image starts, USER[:GROUP]; a login"},
	[OPT_MESSAGE] = {0, "message", "TEXT",
		"of the commit and the release; of the snapshot"},
	[OPT_AUTHOR] = {0, "author", "'NAME <MAIL>'", "of the commit; else who asks"},
	[OPT_COMPRESS] = {0, "compress", "gzip|zstd", "the layers of an OCI image"},
	[OPT_GZIP] = {0, "gzip", NULL, "send it compressed"},
	[OPT_INSECURE] = {0, "insecure", NULL, "take any certificate"},
	[OPT_CA] = {0, "ca", "FILE|-",
		"PEM of the authority of its certificate, not the host's"},
	[OPT_ROLE] = {0, "role", "ROLE", "view, logs, deploy or admin"},
	[OPT_MEMBER] = {0, "member", "NAME", "whose it is; else of who asks"},
	[OPT_EXPIRES] = {0, "expires", "TIME", "after so long it is no good: 12h, 30d"},
	[OPT_STDIN] = {0, "stdin", NULL,
		"the value is what comes in, without its last line end"},
	[OPT_REPLACE] = {0, "replace", NULL, "and unset all that the file does not name"},
	[OPT_VALUES] = {0, "values", NULL, "with the values"},
	[OPT_WITH_DATA] = {0, "with-data", NULL,
		"its volumes too; of rollback: as they were when that release was "
		"replaced"},
	[OPT_EVENT] = {0, "event", "EVENT,...",
		"only these: deploy, crash, disk, certificate"},
	[OPT_SECRET] = {0, "secret", "TEXT|-",
		"that requests are signed with, - of stdin; else one is made and shown"},
	[OPT_SKIP_DEPLOY] = {0, "skip-deploy", NULL, "only make the app, start nothing"},
	[OPT_UNVERIFIED] = {0, "unverified", NULL,
		"also an archive without the checksum that volumes:export adds"},
	[OPT_TO] = {0, "to", "FILE",
		"into this file of the host instead of stdout; a backup: or this folder"},
	[OPT_PASSPHRASE_FILE] = {0, "passphrase-file", "FILE",
		"the backup's passphrase is its first line; - is stdin; without: asked"},
	[OPT_NO_ENCRYPTION] = {0, "no-encryption", NULL,
		"whoever has the backup can read all of it"},
	[OPT_SNAPSHOT] = {0, "snapshot", "ID",
		"this backup of the folder, not the newest"},
	[OPT_AT] = {0, "at", "FOLDER", "where there is room for all of it (/var/lib)"},
	[OPT_SIZE] = {0, "size", "SIZE", "the most that it holds: 500M, 2G"},
	[OPT_PLAN] = {0, "plan", NULL, "only show what would change"},
	[OPT_PRUNE] = {0, "prune", NULL,
		"what a section does not name goes, but for volumes; asks"},
	[OPT_CHECK] = {0, "check", NULL,
		"with --plan: exit status 3 when something would"},
	[OPT_DETACH] = {0, "detach", NULL, "do not wait for its end"},
	[OPT_ALL] = {0, "all", NULL, "all of them"},
	[OPT_DRY_RUN] = {0, "dry-run", NULL, "only show what would be done"},
};

const struct command *args_find(const char *name)
{
	for (size_t i = 0; i < command_count; i++)
		if (strcmp(command_table[i].name, name) == 0)
			return &command_table[i];
	return NULL;
}

/* Reading position in the words. */
struct words {
	int argc, at;
	char **argv;
};

/* The value of an option: after its "=", or the next word. NULL after saying that it is
 * missing. */
static const char *value_of(
	struct cli *c, struct words *w, const char *name, const char *attached)
{
	if (attached)
		return attached;
	if (w->at + 1 < w->argc)
		return w->argv[++w->at];
	say_usage(c, "--%s needs a value", name);
	return NULL;
}

/* Files' names, and what goes into a program's environment. */
#define ANY_BYTES                                                                        \
	(OPT(ENV) | OPT(CERT) | OPT(KEY) | OPT(CA) | OPT(TO) | OPT(AT) |                 \
		OPT(PASSPHRASE_FILE))

static bool is_text(const char *s)
{
	return jtext_utf8(s, strlen(s)) == strlen(s);
}

static int set_option(struct cli *c, struct words *w, size_t i, const char *attached)
{
	const char *value = "";

	if (option_table[i].value) {
		value = value_of(c, w, option_table[i].name, attached);
		if (!value)
			return STATUS_USAGE;
		if (!(ANY_BYTES & OPTION_BIT(i)) && !is_text(value))
			return say_usage(
				c, "--%s is not valid UTF-8", option_table[i].name);
	} else if (attached) {
		return say_usage(c, "--%s takes no value", option_table[i].name);
	}
	if (i == OPT_ENV) {
		if (c->n_env == ENV_VARS_MAX)
			return say_usage(c, "more than %d times --env", ENV_VARS_MAX);
		c->env[c->n_env++] = value;
	}
	c->options[i] = value;
	return 0;
}

static int set_format(struct cli *c, const char *value)
{
	if (!value)
		return STATUS_USAGE;
	if (c->cmd->flags & CMD_FORMAT) {
		c->format = value;
		return 0;
	}
	if (strcmp(value, "json") != 0 && strcmp(value, "text") != 0 &&
		strcmp(value, "stdout") != 0)
		return say_usage(c, "--format is json or text, not '%.40s'", value);
	c->json = strcmp(value, "json") == 0;
	return 0;
}

/* --remote and --app take their value from the same places as all others. */
static int set_common(struct cli *c, struct words *w, const char *name,
	const char *attached, bool *known)
{
	const char *value;

	*known = true;
	if (strcmp(name, "help") == 0) {
		c->help = true;
	} else if (strcmp(name, "quiet") == 0) {
		c->quiet = true;
	} else if (strcmp(name, "format") == 0) {
		return set_format(c, value_of(c, w, name, attached));
	} else if (strcmp(name, "app") == 0) {
		value = value_of(c, w, name, attached);
		if (!value)
			return STATUS_USAGE;
		c->app = value;
	} else if (strcmp(name, "remote") == 0) {
		value = value_of(c, w, name, attached);
		if (!value)
			return STATUS_USAGE;
		c->remote = value;
		c->remote_at = attached ? w->at : w->at - 1;
	} else {
		*known = false;
	}
	return 0;
}

static int long_option(struct cli *c, struct words *w, char *word)
{
	char *attached = strchr(word, '=');
	bool known;
	int r;

	if (attached)
		*attached++ = 0;
	r = set_common(c, w, word, attached, &known);
	if (known || r)
		return r;
	for (size_t i = 0; i < OPT_COUNT; i++)
		if (c->cmd->options & OPTION_BIT(i) &&
			strcmp(word, option_table[i].name) == 0)
			return set_option(c, w, i, attached);
	if (c->cmd->flags & CMD_REPORT && !attached && !c->report_key) {
		c->report_key = word;
		return 0;
	}
	return say_usage(c, "berth %s knows no option --%.60s", c->cmd->name, word);
}

static int short_options(struct cli *c, struct words *w, const char *letters)
{
	for (; *letters; letters++) {
		size_t i = 0;
		bool known = true;

		if (*letters == 'h' || *letters == 'q' || *letters == 'a') {
			const char *name = *letters == 'h'   ? "help"
					   : *letters == 'q' ? "quiet"
							     : "app";
			int r = set_common(c, w, name,
				*letters == 'a' && letters[1] ? letters + 1 : NULL,
				&known);

			if (r || *letters == 'a')
				return r;
			continue;
		}
		while (i < OPT_COUNT && !(c->cmd->options & OPTION_BIT(i) &&
						option_table[i].letter == *letters))
			i++;
		if (i == OPT_COUNT)
			return say_usage(c, "berth %s knows no option -%c", c->cmd->name,
				*letters);
		if (option_table[i].value)
			return set_option(c, w, i, letters[1] ? letters + 1 : NULL);
		c->options[i] = "";
	}
	return 0;
}

bool args_is_instance(const char *word)
{
	const char *dot = strrchr(word, '.');
	char type[32]; /* what is cut is too long for one, too */

	if (!dot)
		return false;
	snprintf(type, sizeof(type), "%.*s", (int)(dot - word), word);
	return name_type_valid(type) && dot[1] &&
	       strspn(dot + 1, "0123456789") == strlen(dot + 1);
}

/* After the first word of a program its words are not ours to read. */
static bool in_program(const struct cli *c)
{
	int first = c->app ? 0 : 1;

	if (!(c->cmd->flags & CMD_PROGRAM))
		return false;
	if (c->cmd->run == cmd_enter && c->argc > first &&
		args_is_instance(c->argv[first]))
		first++;
	return c->argc > first;
}

static int parse_words(struct cli *c, struct words *w)
{
	bool only_words = false;

	for (; w->at < w->argc; w->at++) {
		char *word = w->argv[w->at];
		int r = 0;

		if (!only_words && strcmp(word, "--") == 0) {
			only_words = true;
			c->dashed = c->argv + c->argc;
			continue;
		}
		if (only_words || word[0] != '-' || !word[1]) {
			c->argv[c->argc++] = word;
			c->last_at = w->at;
		} else if (word[1] == '-') {
			r = long_option(c, w, word + 2);
		} else {
			r = short_options(c, w, word + 1);
		}
		if (r)
			return r;
		only_words = only_words || in_program(c);
	}
	return 0;
}

static int take_app(struct cli *c)
{
	if (c->app || !(c->cmd->flags & (CMD_APP | CMD_APP_MAYBE)))
		return 0;
	if (c->argc == 0)
		return c->cmd->flags & CMD_APP ? say_usage(c, "which app?") : 0;
	c->app = c->argv[0];
	c->argv++;
	c->argc--;
	return 0;
}

int args_parse(struct cli *c, int argc, char **argv)
{
	struct words w = {.argc = argc, .at = 1, .argv = argv};

	c->argv = calloc((size_t)argc + 1, sizeof(*c->argv));
	if (!c->argv)
		abort();
	return parse_words(c, &w);
}

int args_check(struct cli *c)
{
	int r;

	if (c->options[OPT_GLOBAL] && c->cmd->flags & CMD_APP) {
		/* TOPIC:set --global KEY VALUE has no app */
	} else if ((r = take_app(c))) {
		return r;
	}
	if (c->app && !name_valid(c->app))
		return say_usage(c,
			"'%.80s' is not an app name: 1 to 63 of a-z, 0-9 and '-', not "
			"starting with '-'",
			c->app);
	if (c->argc < c->cmd->min)
		return say_usage(c, "something is missing");
	if (c->cmd->max >= 0 && c->argc > c->cmd->max)
		return say_usage(c, "too many arguments: '%.80s'", c->argv[c->cmd->max]);
	return 0;
}

json_t *args_list(const struct cli *c)
{
	json_t *list = json_array();

	for (int i = 0; i < c->argc; i++) {
		json_t *word = json_string(c->argv[i]);

		if (!word) {
			json_decref(list);
			say_usage(c, "word %d is not valid UTF-8", i + 1);
			return NULL;
		}
		json_array_append_new(list, word);
	}
	return list;
}

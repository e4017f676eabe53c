/*
 * The command line: one row a command (table.c) feeds dispatch, help and the checks of
 * its arguments; handlers (cmd_*.c) ask the API and show the answer. A short-lived
 * program: it aborts when memory runs out.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "lib/base.h"
#include "lib/buf.h"
#include "lib/client.h"
#include <jansson.h>

enum {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_PENDING = 3,
	STATUS_START = 125
};

/* Options beyond those that every command takes. Values are kept as given; handlers parse
 * them. */
enum option {
	OPT_NUM,
	OPT_PS,
	OPT_TAIL,
	OPT_SINCE,
	OPT_GREP,
	OPT_GLOBAL,
	OPT_MEMORY,
	OPT_CPU,
	OPT_PIDS,
	OPT_SCRATCH,
	OPT_NOFILE,
	OPT_IO_READ,
	OPT_IO_WRITE,
	OPT_PROCESS_TYPE,
	OPT_TTY,
	OPT_NO_TTY,
	OPT_READ_ONLY,
	OPT_VOLUMES,
	OPT_ENV,
	OPT_TYPE,
	OPT_NO_RESTART,
	OPT_LIMIT,
	OPT_FORCE,
	OPT_CONFIRM,
	OPT_PORT,
	OPT_PROTO,
	OPT_BUILDS,
	OPT_CERT,
	OPT_KEY,
	OPT_NEW_ACCOUNT,
	OPT_OFF,
	OPT_DRY_RUN,
	OPT_INDEX,
	OPT_TO,
	OPT_AS,
	OPT_CMD,
	OPT_WORKDIR,
	OPT_USER,
	OPT_MESSAGE,
	OPT_AUTHOR,
	OPT_COMPRESS,
	OPT_DOMAIN,
	OPT_EMAIL,
	OPT_STDIN,
	OPT_REPLACE,
	OPT_VALUES,
	OPT_WITH_DATA,
	OPT_UNVERIFIED,
	OPT_GZIP,
	OPT_INSECURE,
	OPT_CA,
	OPT_UNTIL,
	OPT_IGNORE_CASE,
	OPT_RELEASE,
	OPT_PASSPHRASE_FILE,
	OPT_NO_ENCRYPTION,
	OPT_SNAPSHOT,
	OPT_AT,
	OPT_ROLE,
	OPT_MEMBER,
	OPT_EXPIRES,
	OPT_SIZE,
	OPT_PLAN,
	OPT_PRUNE,
	OPT_CHECK,
	OPT_SKIP_DEPLOY,
	OPT_DETACH,
	OPT_ALL,
	OPT_EVENT,
	OPT_SECRET,
	OPT_COUNT
};
typedef unsigned __int128 option_set;
#define OPTION_BIT(i) ((option_set)1 << (i))
#define OPT(o) OPTION_BIT(OPT_##o)
_Static_assert(OPT_COUNT <= 128, "a command's options are bits of one word");

struct option_spec {
	char letter; /* 0: none */
	const char *name;
	const char *value; /* what stands for its value in the help, NULL: takes none */
	const char *help;
};
extern const struct option_spec option_table[OPT_COUNT];

enum command_flags {
	CMD_APP = 1 << 0, /* the first argument is an app (or --app, or the checkout's
			     remote) */
	CMD_APP_MAYBE = 1 << 1, /* an app may be given; without it: all */
	CMD_REPORT = 1 << 2,	/* --KEY prints that bare value */
	CMD_PROGRAM = 1 << 3, /* words after the app are a program's, dashes and all; "--"
				 may stand before them */
	CMD_FORMAT = 1 << 5,  /* --format is the command's own: c->format */
	CMD_HIDDEN = 1 << 4,  /* another name of a command; not in the list */
};

#define CPU_LEAST 0.001 /* the API takes thousandths, and 0 takes a limit away */
#define ENV_VARS_MAX 64 /* -e of one run */

struct cli {
	const struct command *cmd;
	const char *app; /* NULL only without CMD_APP */
	char **argv;	 /* the rest, argc of them, after the app */
	int argc;
	const char *options[OPT_COUNT]; /* value, "" for one without, NULL: not given */
	const char *env[ENV_VARS_MAX];	/* all values of -e */
	size_t n_env;
	const char *remote;	/* --remote */
	int remote_at;		/* its place among the words as they came */
	int last_at;		/* that of the last word of argv */
	char **dashed;		/* what of argv stood behind "--"; NULL: there was none */
	const char *report_key; /* of --KEY */
	const char *format;	/* with CMD_FORMAT; NULL: not given */
	bool json, quiet, help;
	bool over_ssh; /* started by berth-shell: files of this host are not the caller's
			*/
	bool connected;
	struct client client;
};

struct command {
	const char *name;
	const char *args; /* after the app, for the usage line */
	const char *help;
	const char *example;
	int (*run)(struct cli *c); /* returns the exit status */
	int min, max;		   /* arguments after the app; max -1: any number */
	unsigned int flags;
	option_set options;
	const char *param; /* handlers shared by several rows: method, last part of the
			      path, or topic */
};
extern const struct command command_table[];
extern const size_t command_count;

/* args.c: options and words (argv[0] is the command; "=" in options is cut). 0, or a
 * status after saying why. */
int args_parse(struct cli *c, int argc, char **argv);
/* Takes the app from the words, checks it and how many are left. 0 or a status. */
int args_check(struct cli *c);
const struct command *args_find(const char *name);
/* "web.1": a process type, a dot, a number. */
bool args_is_instance(const char *word);
/* The words as a list of JSON. NULL after saying that one is no text: a list without it says something else. */
json_t *args_list(const struct cli *c);

/* complete.c: berth complete WORD..., as shells ask: prints what the last word, perhaps empty, may become, one a line. */
int complete(int argc, char **argv);

/* help.c */
void help_command(const struct command *cmd);
void help_list(const char *topic); /* NULL: all */
/* The table's rows as JSON, those of a topic, or one. NULL: all, other names of commands too. */
void help_json(const char *name);
bool help_is_topic(const char *name);
int help_unknown(const char *name);

/* say.c: a failure, " !     text" on stderr; usage: the same, and how it is meant;
 * returns STATUS_USAGE. */
void say(const char *fmt, ...) PRINTF(1, 2);
int say_usage(const struct cli *c, const char *fmt, ...) PRINTF(2, 3);

/*
 * api.c: one request. path is a format whose %s take words that api_word has made safe.
 * body is taken over (NULL: none). All return an exit status, 0 when it went well; errors
 * were said. *ret (if not NULL) is the caller's.
 */
int api_json(struct cli *c, const char *method, json_t *body, json_t **ret,
	const char *path, ...) PRINTF(5, 6);
/* For requests that stream, or answer with JSON after all. d lines: with --format json on
 * stdout. */
int api_stream(struct cli *c, const char *method, json_t *body, const char *path, ...)
	PRINTF(4, 5);
/* The lines of the answer, as they come. */
int api_lines(struct cli *c, void (*take)(void *arg, const char *line), void *arg,
	const char *path, ...) PRINTF(4, 5);
/* text/plain, copied to stdout as it comes. */
int api_text(struct cli *c, const char *path);
/* Sends and reads the head, on a connection made at first need. 0 or a status. */
int api_begin(struct cli *c, const char *method, const char *path, const char *headers,
	json_t *body);
/* Says what an answer with a 4xx or 5xx status says, returns its exit status. */
int api_fail(struct cli *c);
/* Percent-encodes a word for a path or a query; kept until the end of the program. */
const char *api_word(const char *s);
/* A JSON string, or {"base64": "…"} when s is no UTF-8. */
json_t *api_value(const char *s);
/* A JSON string of what came in, and of its first line. NULL: it is no text, its NUL bytes neither. */
json_t *api_string(const struct buf *b);
json_t *api_line(const struct buf *b);

/* out.c */
/* All of it to fd 1 or 2, whether that blocks or not. 0 or -errno. */
int out_write(int fd, const void *data, size_t len);
/* Says that r, of out_write, kept the output from being written; of -EPIPE nothing: its reader has seen enough.
 * STATUS_FAILED. */
int out_failed(int r);
void out_json(const json_t *v);
/* Columns: header cells (left out with --quiet), then rows; cells of NULL are "-". All
 * are copied. */
#define TABLE_COLUMNS_MAX 9 /* disk:report */
struct table {
	size_t columns, n_cells, capacity;
	char **cells;
};
void table_init(
	struct table *t, const struct cli *c, size_t columns, const char *const *header);
void table_add(struct table *t, const char *const *cells);
/* Prints aligned and frees. */
void table_print(struct table *t);
/* A list of objects: a row each, of these members of theirs, bytes and sizes as people read them; as JSON when that is
 * wanted. The list stays the caller's. 0. */
struct column {
	const char *title, *key;
};
int out_list(
	const struct cli *c, const struct column *columns, size_t n, const json_t *list);
/* The same where a cell is more than a member: add adds one's row, of columns cells, to the table. */
int out_rows(const struct cli *c, const char *const *header, size_t columns,
	const json_t *list, void (*add)(struct table *t, const json_t *one));
/* "=====> title" (unless --quiet) and aligned "key: value" lines; nested objects as
 * key.sub. */
void out_report(const struct cli *c, const char *title, const json_t *object);
/* --KEY of a report: prints it, or says what there is. An exit status. */
int out_report_key(const struct cli *c, const json_t *object);
/* An answer as was asked for: one --KEY of it, JSON, or a report. An exit status. */
int out_answer(const struct cli *c, const char *title, const json_t *object);
/* A value as people read it, in one of a few static buffers: true, 12, text, "a b c" for
 * lists, "" for null. */
const char *out_value(const json_t *v);
/* The same on one line, without what a terminal would act on. */
const char *out_line(const json_t *v);
/* The member's value, as above; "" when absent. */
const char *out_member(const json_t *object, const char *key);
const char *out_size(const json_t *v);
/* In place: what a terminal would act on becomes '?', blanks that are none a blank; lines: those that end lines, and tabs, stay. */
void out_plain(char *text, bool lines);
/* The bytes of a config value (string or {"base64"}). */
int out_bytes(const json_t *v, struct buf *out);

/* remote.c: replaces this program by ssh to the host, when the words are meant for one;
 * returns when they are not. argv: as they came, before they were parsed. */
void remote_maybe(struct cli *c, int argc, char **argv);

/* cmd_apps.c */
int cmd_apps_list(struct cli *c);
int cmd_apps_create(struct cli *c);
int cmd_apps_report(struct cli *c);
int cmd_apps_destroy(struct cli *c);
int cmd_apps_rename(struct cli *c);
int cmd_apps_clone(struct cli *c);
int cmd_previews_list(struct cli *c);
int cmd_simple_post(struct cli *c); /* param: last part of the path */
int cmd_status(struct cli *c);
int cmd_version(struct cli *c);
int cmd_help(struct cli *c);
/* cmd_apply.c */
int cmd_apply(struct cli *c);
int cmd_apply_export(struct cli *c);
/* doctor.c, setup.c */
int cmd_doctor(struct cli *c);
int cmd_setup(struct cli *c);
/* cmd_config.c */
int cmd_config_show(struct cli *c);
int cmd_config_get(struct cli *c);
int cmd_config_keys(struct cli *c);
int cmd_config_export(struct cli *c);
int cmd_config_set(struct cli *c);
int cmd_config_unset(struct cli *c);
int cmd_config_clear(struct cli *c);
int cmd_config_import(struct cli *c);
int cmd_config_history(struct cli *c);
int cmd_config_rollback(struct cli *c);
/* Standard input becomes the file. 0 or -errno. */
int config_open(const char *path);
/* cmd_buildpacks.c, cmd_settings.c */
int cmd_buildpacks_list(struct cli *c);
int cmd_buildpacks(struct cli *c); /* param: add, remove, set, clear */
int cmd_domains(struct cli *c);	   /* param: add, remove, set, clear */
int cmd_domains_report(struct cli *c);
/* A value too long or too secret for a word: what comes in, without its last line end, until the end of the program. 0 or a
 * status, said. */
int value_from_stdin(const char **value);
int cmd_setting_set(struct cli *c); /* param: topic */
int cmd_setting_report(struct cli *c);
int cmd_maintenance(struct cli *c); /* param: on, off */
/* cmd_events.c */
int cmd_events(struct cli *c);
/* cmd_certs.c */
int cmd_certs_add(struct cli *c);
int cmd_certs_remove(struct cli *c);
int cmd_certs_show(struct cli *c);
int cmd_certs_report(struct cli *c);
int cmd_tls_enable(struct cli *c);
int cmd_tls_disable(struct cli *c);
int cmd_tls_renew(struct cli *c);
int cmd_tls_report(struct cli *c);
/* cmd_network.c */
int cmd_network_rule(struct cli *c); /* param: allow, deny */
int cmd_network_clear(struct cli *c);
int cmd_network_report(struct cli *c);
/* cmd_ps.c */
int cmd_ps_report(struct cli *c);
int cmd_ps_scale(struct cli *c);
int cmd_top(struct cli *c);
int cmd_metrics(struct cli *c);
int cmd_ps_do(struct cli *c); /* param: restart, stop, start, rebuild */
int cmd_resource_limit(struct cli *c);
int cmd_resource_clear(struct cli *c);
int cmd_resource_report(struct cli *c);
int cmd_logs(struct cli *c);
int cmd_logs_failed(struct cli *c);
/* cmd_releases.c */
int cmd_releases(struct cli *c);
int cmd_releases_info(struct cli *c);
int cmd_releases_canary(struct cli *c);
int cmd_rollback(struct cli *c);
int cmd_builds(struct cli *c);
int cmd_builds_cancel(struct cli *c);
int cmd_builds_info(struct cli *c); /* param: "output": only that */
/* cmd_git.c */
int cmd_git_from_image(struct cli *c);
int cmd_git_from_archive(struct cli *c);
/* cmd_images.c */
int cmd_images_list(struct cli *c);
int cmd_images_history(struct cli *c);
int cmd_images_tag(struct cli *c);
int cmd_images_untag(struct cli *c);
int cmd_disk_report(struct cli *c);
int cmd_images_prune(struct cli *c);
int cmd_images_export(struct cli *c);
int cmd_images_import(struct cli *c);
int cmd_images_diff(struct cli *c);
int cmd_releases_diff(struct cli *c);
int cmd_images_pull(struct cli *c);
int cmd_images_push(struct cli *c);
/* cmd_backup.c */
int cmd_backup(struct cli *c); /* param: create, list, verify, restore, drill */
/* cmd_registry.c */
int cmd_registry_login(struct cli *c);
int cmd_registry_logout(struct cli *c);
int cmd_registry_list(struct cli *c);
/* folder.c: standard input becomes what tar makes of the folder; where tar cannot read all of it, which is said, what no
 * reader takes for a whole archive. 0 or -errno. */
int folder_open(const char *path);
/* Standard input becomes the file, or the folder as an archive. 0 or -errno. */
int images_open(const char *path);
/* The same of a word of the command, "-" for what comes in. 0 or a status, said. */
int images_input(struct cli *c, const char *path);
/* An image's reference from one or two words, safe in a query. */
const char *image_word(char **argv, int argc);
/* cmd_drains.c */
int cmd_drains_report(struct cli *c);
int cmd_drains_add(struct cli *c);
int cmd_drains_remove(struct cli *c);
/* cmd_webhooks.c */
int cmd_webhooks_list(struct cli *c);
int cmd_webhooks_add(struct cli *c);
int cmd_webhooks_remove(struct cli *c);
int cmd_webhooks_test(struct cli *c);
/* cmd_host.c */
int cmd_volumes_create(struct cli *c);
int cmd_volumes_list(struct cli *c);
int cmd_volumes_report(struct cli *c);
int cmd_volumes_usage(struct cli *c);
int cmd_volumes_resize(struct cli *c);
int cmd_volumes_mount(struct cli *c);
int cmd_volumes_unmount(struct cli *c);
int cmd_volumes_destroy(struct cli *c);
int cmd_keys_add(struct cli *c);
int cmd_keys_list(struct cli *c);
int cmd_keys_remove(struct cli *c);
/* A public key from the file that is the second word, or stdin. 0 or a status, said. */
int key_input(struct cli *c, json_t **ret);
/* cmd_members.c */
int cmd_members_add(struct cli *c);
int cmd_members_list(struct cli *c);
int cmd_members_remove(struct cli *c);
int cmd_access_add(struct cli *c);
int cmd_access_list(struct cli *c);
int cmd_access_remove(struct cli *c);
int cmd_tokens_create(struct cli *c);
int cmd_tokens_list(struct cli *c);
int cmd_tokens_revoke(struct cli *c);
int cmd_stacks_create(struct cli *c);
int cmd_stacks_update(struct cli *c);
int cmd_stacks_report(struct cli *c);
int cmd_stacks_list(struct cli *c);
/* cmd_snapshots.c */
int cmd_volumes_snapshot(struct cli *c);
int cmd_volumes_snapshots(struct cli *c);
int cmd_volumes_restore(struct cli *c);
int cmd_volumes_set(struct cli *c);
int cmd_volumes_export(struct cli *c);
int cmd_volumes_import(struct cli *c);
/* cmd_cron.c */
int cmd_cron_list(struct cli *c);
int cmd_cron_run(struct cli *c);
int cmd_cron_suspend(struct cli *c); /* param: suspend, resume */
int cmd_cron_history(struct cli *c);
/* cmd_run.c */
int cmd_run_list(struct cli *c);
int cmd_run_stop(struct cli *c);
int cmd_run(struct cli *c);
/* Sends a request that is answered with an upgrade, and relays. An exit status; when berth failed STATUS_START of commands that
 * start a program (CMD_PROGRAM), else STATUS_FAILED. body is taken over. */
int run_upgrade(struct cli *c, const char *path, json_t *body, bool tty);
int cmd_run_detached(struct cli *c);
int cmd_enter(struct cli *c);
/* confirm.c: the person types the name, or --force, or --confirm NAME. 0 or a status. */
int confirm(const struct cli *c, const char *noun, const char *name);
/* The same before n things go that a host file does not name: the word is "prune". */
int confirm_prune(const struct cli *c, size_t n);
/* The same before what a volume holds is replaced. */
int confirm_replace(const struct cli *c, const char *volume);

/* nearest.c: the name among n most like word, NULL when none is close. */
const char *nearest(const char *word, const char *const *names, size_t n);

#endif

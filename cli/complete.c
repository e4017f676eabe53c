/* What a shell offers for the word that is being typed (packaging/completions). */
#include "cli/cli.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static void offer(const char *candidate, const char *word)
{
	if (strncmp(candidate, word, strlen(word)) == 0)
		puts(candidate);
}

static void offer_commands(const char *word)
{
	for (size_t i = 0; i < command_count; i++)
		if (!(command_table[i].flags & CMD_HIDDEN))
			offer(command_table[i].name, word);
}

static void offer_option(const char *name, const char *word)
{
	char text[64];

	snprintf(text, sizeof(text), "--%s", name);
	offer(text, word);
}

static void offer_options(const struct command *cmd, const char *word)
{
	static const char *const every[] = {"format", "help", "quiet", "remote"};

	for (size_t i = 0; i < OPT_COUNT; i++)
		if (cmd->options & OPTION_BIT(i))
			offer_option(option_table[i].name, word);
	if (cmd->flags & (CMD_APP | CMD_APP_MAYBE))
		offer_option("app", word);
	for (size_t i = 0; i < ARRAY_LEN(every); i++)
		offer_option(every[i], word);
}

/* The names in a list of the API; none where berth does not run here. */
static void offer_names(struct cli *c, const char *path, const char *word)
{
	json_t *list, *row;
	size_t i;

	if (api_json(c, "GET", NULL, &list, "%s", path) != 0)
		return;
	json_array_foreach (list, i, row)
		offer(out_member(row, "name"), word);
	json_decref(list);
}

static void offer_roles(const char *word)
{
	static const char *const roles[] = {"view", "logs", "deploy", "admin"};

	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		offer(roles[i], word);
}

/* Words that are no options, of those before the one that is typed. */
static int count_plain(int n, char **words)
{
	int plain = 0;

	for (int i = 0; i < n; i++)
		plain += words[i][0] != '-';
	return plain;
}

static void offer_words(struct cli *c, int before, char **words, const char *word)
{
	int at = count_plain(before, words);

	if (at == 0 && c->cmd->flags & (CMD_APP | CMD_APP_MAYBE))
		offer_names(c, "/v1/apps", word);
	else if (strncmp(c->cmd->name, "volumes:", 8) == 0)
		offer_names(c, "/v1/volumes", word);
	else if (strncmp(c->cmd->name, "ssh-keys:", 9) == 0)
		offer_names(c, "/v1/ssh-keys", word);
	else if (strncmp(c->cmd->name, "members:", 8) == 0 ||
		 (strncmp(c->cmd->name, "access:", 7) == 0 && at == 1))
		offer_names(c, "/v1/members", word);
	else if (c->cmd->run == cmd_access_add && at == 2)
		offer_roles(word);
	else if (c->cmd->run == cmd_tokens_revoke)
		offer_names(c, "/v1/tokens", word);
	else if (strncmp(c->cmd->name, "stacks:", 7) == 0)
		offer_names(c, "/v1/stacks", word);
	else if (c->cmd->run == cmd_help)
		offer_commands(word);
}

int complete(int argc, char **argv)
{
	static struct cli c;
	const char *word = argc ? argv[argc - 1] : "";
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(null, STDERR_FILENO); /* a shell's prompt is no place for what went wrong */
	if (argc < 2) {
		offer_commands(word);
		return STATUS_OK;
	}
	c.cmd = args_find(argv[0]);
	if (!c.cmd)
		return STATUS_OK;
	if (word[0] == '-')
		offer_options(c.cmd, word);
	else
		offer_words(&c, argc - 2, argv + 1, word);
	return STATUS_OK;
}

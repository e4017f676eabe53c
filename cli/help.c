/* Help: of one command, of a topic, of everything; and the command that was probably
 * meant. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static const char *app_word(const struct command *cmd)
{
	return cmd->flags & CMD_APP ? " APP" : cmd->flags & CMD_APP_MAYBE ? " [APP]" : "";
}

static void option_line(const struct option_spec *o)
{
	char text[64];

	snprintf(text, sizeof(text), "--%s%s%s", o->name, o->value ? " " : "",
		o->value ? o->value : "");
	printf("  %c%c%c %-24s %s\n", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
		o->letter ? ',' : ' ', text, o->help);
}

void help_command(const struct command *cmd)
{
	static const struct option_spec every[] = {
		{'a', "app", "APP", "the app, instead of the first argument"},
		{0, "format", "json", "the answer as JSON"},
		{'q', "quiet", NULL, "no headers, only what was asked for"},
		{0, "remote", "NAME", "over ssh, to the host of this git remote"},
		{'h', "help", NULL, "this help"},
	};

	printf("berth %s%s%s%s\n    %s\n\nExample:\n    berth %s\n\nOptions:\n",
		cmd->name, app_word(cmd), cmd->args[0] ? " " : "", cmd->args, cmd->help,
		cmd->example);
	for (size_t i = 0; i < OPT_COUNT; i++)
		if (cmd->options & OPTION_BIT(i))
			option_line(&option_table[i]);
	if (cmd->flags & CMD_REPORT)
		printf("      %-24s %s\n", "--KEY", "only the value of that line");
	for (size_t i = 0; i < ARRAY_LEN(every); i++)
		if (i > 0 || cmd->flags & (CMD_APP | CMD_APP_MAYBE))
			option_line(&every[i]);
}

static bool in_topic(const struct command *cmd, const char *topic)
{
	size_t n = topic ? strlen(topic) : 0;

	return !(cmd->flags & CMD_HIDDEN) &&
	       (!topic || (strncmp(cmd->name, topic, n) == 0 &&
				  (!cmd->name[n] || cmd->name[n] == ':')));
}

void help_list(const char *topic)
{
	int width = 0;

	for (size_t i = 0; i < command_count; i++) {
		const struct command *cmd = &command_table[i];
		int n = in_topic(cmd, topic) ? snprintf(NULL, 0, "%s%s %s", cmd->name,
						       app_word(cmd), cmd->args)
					     : 0;

		width = n > width && n < 48 ? n : width;
	}
	if (!topic)
		puts("berth TOPIC:COMMAND [APP] [ARGS]      berth help COMMAND for more "
		     "on one of them\n");
	for (size_t i = 0; i < command_count; i++) {
		const struct command *cmd = &command_table[i];
		char text[160];

		if (!in_topic(cmd, topic))
			continue;
		snprintf(text, sizeof(text), "%s%s %s", cmd->name, app_word(cmd),
			cmd->args);
		printf("  %-*s  %s\n", width, text, cmd->help);
	}
}

static json_t *option_json(const struct option_spec *o)
{
	char letter[2] = {o->letter, '\0'};

	return json_pack("{s:s, s:o, s:o, s:s}", "name", o->name, "letter",
		letter[0] ? json_string(letter) : json_null(), "value",
		o->value ? json_string(o->value) : json_null(), "help", o->help);
}

static json_t *command_json(const struct command *cmd)
{
	json_t *options = json_array();

	for (size_t i = 0; i < OPT_COUNT; i++)
		if (cmd->options & OPTION_BIT(i))
			json_array_append_new(options, option_json(&option_table[i]));
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:b, s:b, s:b, s:o}",
		"name", cmd->name, "app",
		cmd->flags & CMD_APP	     ? "needed"
		: cmd->flags & CMD_APP_MAYBE ? "possible"
					     : "none",
		"args", cmd->args, "help", cmd->help, "example", cmd->example, "min",
		cmd->min, "max", cmd->max, "report", (cmd->flags & CMD_REPORT) != 0,
		"own_format", (cmd->flags & CMD_FORMAT) != 0, "hidden",
		(cmd->flags & CMD_HIDDEN) != 0, "options", options);
}

void help_json(const char *name)
{
	json_t *list = json_array();

	for (size_t i = 0; i < command_count; i++)
		if (!name || strcmp(name, command_table[i].name) == 0 ||
			in_topic(&command_table[i], name))
			json_array_append_new(list, command_json(&command_table[i]));
	out_json(list);
	json_decref(list);
}

bool help_is_topic(const char *name)
{
	for (size_t i = 0; i < command_count; i++)
		if (in_topic(&command_table[i], name))
			return true;
	return false;
}

int help_unknown(const char *name)
{
	const char **names autofree = calloc(command_count, sizeof(*names));
	const char *meant;

	if (!names)
		abort();
	if (name[0] && help_is_topic(name)) {
		say("'%s' is a topic; its commands:", name);
		fflush(stderr);
		dup2(2, 1);
		help_list(name);
		return STATUS_USAGE;
	}
	for (size_t i = 0; i < command_count; i++)
		names[i] = command_table[i].name;
	meant = nearest(name, names, command_count);
	say("there is no command '%.100s'", name);
	if (meant)
		say("did you mean: berth %s", meant);
	else
		say("berth help lists the commands");
	return STATUS_USAGE;
}

/* Asking before something is destroyed. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static int refuse(const char *does, const char *name, const char *typed)
{
	if (typed)
		say("'%.80s' is not %s: nothing was changed", typed, name);
	else
		say("this %s %s: add --force, or --confirm %s", does, name, name);
	return STATUS_USAGE;
}

/* does: "destroys the volume"; so: what else is to be known. */
static int ask(const struct cli *c, const char *does, const char *so, const char *name)
{
	const char *given = c->options[OPT_CONFIRM];
	char line[128];

	if (given)
		return strcmp(given, name) == 0 ? 0 : refuse(does, name, given);
	if (c->options[OPT_FORCE])
		return 0;
	if (!isatty(0) || !isatty(2))
		return refuse(does, name, NULL);
	fprintf(stderr,
		" !     This %s %s%s.\n"
		" !     To go on, type its name: ",
		does, name, so);
	if (!fgets(line, sizeof(line), stdin))
		return refuse(does, name, "");
	line[strcspn(line, "\r\n")] = 0;
	return strcmp(line, name) == 0 ? 0 : refuse(does, name, line);
}

int confirm(const struct cli *c, const char *noun, const char *name)
{
	char does[64];

	snprintf(does, sizeof(does), "destroys the %.40s", noun);
	return ask(c, does, " and cannot be undone", name);
}

int confirm_prune(const struct cli *c, size_t n)
{
	char does[96];

	snprintf(does, sizeof(does),
		"takes away %zu thing%s that the file does not name:", n,
		n == 1 ? "" : "s");
	return ask(c, does, "", "prune");
}

int confirm_replace(const struct cli *c, const char *volume)
{
	return ask(c, "replaces what is in the volume",
		"; a snapshot of what it is now is kept", volume);
}

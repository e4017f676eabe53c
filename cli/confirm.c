/* Asking before something is destroyed. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static int refuse(const char *noun, const char *name, const char *typed)
{
	if (typed)
		say("'%.80s' is not %s: nothing was changed", typed, name);
	else
		say("this destroys the %s %s: add --force, or --confirm %s", noun, name,
			name);
	return STATUS_USAGE;
}

int confirm(const struct cli *c, const char *noun, const char *name)
{
	const char *given = c->options[OPT_CONFIRM];
	char line[128];

	if (given)
		return strcmp(given, name) == 0 ? 0 : refuse(noun, name, given);
	if (c->options[OPT_FORCE])
		return 0;
	if (!isatty(0) || !isatty(2))
		return refuse(noun, name, NULL);
	fprintf(stderr,
		" !     This destroys the %s %s and cannot be undone.\n"
		" !     To go on, type its name: ",
		noun, name);
	if (!fgets(line, sizeof(line), stdin))
		return refuse(noun, name, "");
	line[strcspn(line, "\r\n")] = 0;
	return strcmp(line, name) == 0 ? 0 : refuse(noun, name, line);
}

/* What the command line says on stderr. */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>

static void put(const char *fmt, va_list ap)
{
	fflush(stdout);
	fputs(" !     ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(fmt, ap);
	va_end(ap);
}

int say_usage(const struct cli *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(fmt, ap);
	va_end(ap);
	if (c->cmd)
		fprintf(stderr, "       usage: berth %s %s%s\n", c->cmd->name,
			c->cmd->flags & CMD_APP		? "APP "
			: c->cmd->flags & CMD_APP_MAYBE ? "[APP] "
							: "",
			c->cmd->args);
	return STATUS_USAGE;
}

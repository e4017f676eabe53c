/* Where an operation's output goes: formatting shared by all sinks. */
#include "control/control.h"
#include "lib/plain.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_LEN 2048 /* longer lines are cut: they are for people */

static void put(struct sink *s, const char *prefix, const char *fmt, va_list ap)
{
	char text[LINE_MAX_LEN];
	char line[LINE_MAX_LEN * PLAIN_FACTOR + PLAIN_END_LEN + 16];

	vsnprintf(text, sizeof(text), fmt, ap);
	char *rest = text;
	for (char *part = strsep(&rest, "\n"); part; part = strsep(&rest, "\n")) {
		size_t n = strlen(prefix);
		memcpy(line, prefix, n);
		n += plain_copy(line + n, part, strlen(part), PLAIN_WITH_COLOURS);
		line[n] = '\0';
		s->write(s, 'o', line);
	}
}

#define SINK_FUNCTION(name, prefix)                                                      \
	void name(struct sink *s, const char *fmt, ...)                                  \
	{                                                                                \
		va_list ap;                                                              \
		va_start(ap, fmt);                                                       \
		put(s, prefix, fmt, ap);                                                 \
		va_end(ap);                                                              \
	}

SINK_FUNCTION(sink_line, "")
SINK_FUNCTION(sink_step, "-----> ")
SINK_FUNCTION(sink_detail, "       ")
SINK_FUNCTION(sink_fail, " !     ")

bool sink_cancelled(struct sink *s)
{
	return s->cancelled && s->cancelled(s);
}

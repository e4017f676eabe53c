/* A program's own diagnostics: one line each on stderr. */
#include "lib/log.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *program = "berth"; /* set once by main, before threads */
static enum log_level level = LOG_LEVEL_INFO;

void log_open(const char *name)
{
	program = name;
	level = getenv("BERTH_DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
}

/* One write a line, so that threads and programs sharing the descriptor never mix lines. */
static void put(enum log_level at, const char *fmt, va_list ap)
{
	static const char *const words[] = {"error: ", "warning: ", "", "debug: "};
	char line[2048];

	if (at > level)
		return;
	int n = snprintf(
		line, sizeof(line), "%s[%d]: %s", program, (int)getpid(), words[at]);
	int m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	size_t len = strlen(line);
	(void)m;
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return; /* nowhere left to say it */
}

#define LEVEL_FUNCTION(name, at)                                                         \
	void name(const char *fmt, ...)                                                  \
	{                                                                                \
		va_list ap;                                                              \
		va_start(ap, fmt);                                                       \
		put(at, fmt, ap);                                                        \
		va_end(ap);                                                              \
	}

LEVEL_FUNCTION(log_error, LOG_LEVEL_ERROR)
LEVEL_FUNCTION(log_warn, LOG_LEVEL_WARN)
LEVEL_FUNCTION(log_info, LOG_LEVEL_INFO)
LEVEL_FUNCTION(log_debug, LOG_LEVEL_DEBUG)

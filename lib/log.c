/* A program's own diagnostics: one line each on stderr. */
#include "lib/log.h"
#include "lib/io.h"
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

/* Texts may hold what others chose: they must not look like lines of ours, or like a
 * terminal's commands. */
static void flatten(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = *s == '\n' ? ' ' : '?';
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
	(void)m;
	flatten(line);
	size_t len = strlen(line);
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

bool log_rate_ok(struct log_rate *r)
{
	uint64_t now = io_mono_ns();

	if (now - r->since_ns > LOG_RATE_WINDOW_S * 1000000000ull) {
		if (r->dropped)
			log_warn("%u more lines like the last were left out", r->dropped);
		*r = (struct log_rate){.since_ns = now};
	}
	if (r->lines++ < LOG_RATE_LINES)
		return true;
	r->dropped++;
	return false;
}

/* Runs one program (a pack's script, apt, ...) and relays what it prints. */
#ifndef BUILDPACKS_RUN_H
#define BUILDPACKS_RUN_H

#include "lib/base.h"
#include "lib/buf.h"
#include "lib/err.h"

#define RUN_LINE_MAX 4096 /* a longer line of output is cut in pieces */
#define RUN_SELF_FD                                                                      \
	9 /* berth-build itself, open in every script: BERTH_BUILD names it              \
	     (/proc/self/fd/9) */

/*
 * Runs argv (argv[0] a path, or a name looked up in PATH) in folder dir (NULL: here) and
 * waits.
 *
 * With out == NULL stdout and stderr go to our stderr line by line: lines in the form of
 * the pusher's output
 * ("-----> ", "=====> ", " !     ", seven spaces) as they are, others behind seven
 * spaces; of a line with carriage returns the last state. Else stdout is collected in out
 * (its max holds) and stderr relayed.
 *
 * The exit status, 128 + N for signal N; -errno when it could not be started.
 */
int run_program(const char *const *argv, const char *dir, struct buf *out, struct err *e);

/* As run_program, with each line of stdout and stderr handed to line(arg, text, its
 * length). */
typedef void (*run_line_cb)(void *arg, const char *s, size_t len);
int run_lines(const char *const *argv, const char *dir, run_line_cb line, void *arg,
	struct err *e);

/* One line to stderr: "-----> text", "       text", " !     text". */
void say_step(const char *fmt, ...) PRINTF(1, 2);
void say_detail(const char *fmt, ...) PRINTF(1, 2);
void say_warning(const char *fmt, ...) PRINTF(1, 2);
/* A detail that the next line replaces on a terminal: it ends in a carriage return. */
void say_progress(const char *fmt, ...) PRINTF(1, 2);

#endif

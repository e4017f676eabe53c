/* Procfile commands and the shell that runs them. */
#ifndef CONTROL_COMMAND_H
#define CONTROL_COMMAND_H

#include "lib/base.h"
#include "lib/buf.h"

/*
 * Appends the command as a shell is to run it: a single command gets "exec" before it ("exec env" when it begins with
 * assignments), so that the program takes the shell's place and receives the signals itself. A list, a pipe or a
 * compound command stays as it is: its shell remains.
 */
void command_for_shell(const char *command, struct buf *out);
/* The whole text after the shell's -c; with profile_d, for bash: what .profile.d sets comes first. command NULL: the
 * shell's arguments. */
void command_text(const char *command, bool profile_d, struct buf *out);

#endif

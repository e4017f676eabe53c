/* Procfile commands and the shell that runs them. */
#include "control/command.h"
#include <string.h>

/* Skips a quoted part, from the character after the quote to the one after its end. */
static const char *skip_quoted(const char *p, char quote)
{
	for (; *p && *p != quote; p++) {
		if (quote == '"' && *p == '\\' && p[1])
			p++;
	}
	return *p ? p + 1 : p;
}

/* Skips ${...}, $(...) or `...`: evaluated before exec, whatever is inside. */
static const char *skip_expansion(const char *p)
{
	char end = *p == '`' ? '`' : p[1] == '{' ? '}' : ')';
	int depth = 1;

	for (p += *p == '`' ? 1 : 2; *p && depth; p++) {
		if (*p == end)
			depth--;
		else if (end == ')' && *p == '(')
			depth++;
	}
	return p;
}

/* Nothing outside quotes that joins commands, groups them, or runs something in the background. */
static bool is_single(const char *p)
{
	if (*p == '{')
		return false;
	while (*p) {
		if (*p == '\'' || *p == '"') {
			p = skip_quoted(p + 1, *p);
		} else if (*p == '`' || (*p == '$' && (p[1] == '{' || p[1] == '('))) {
			p = skip_expansion(p);
		} else if (*p == '\\' && p[1]) {
			p += 2;
		} else if ((*p == '>' || *p == '<') && p[1] == '&') {
			p += 2; /* 2>&1 */
		} else if (strchr(";&|()\n", *p)) {
			return false;
		} else {
			p++;
		}
	}
	return true;
}

/* Words that only a shell knows, before which exec means nothing. */
static bool begins_with_shell_word(const char *s)
{
	static const char *const words[] = {"exec", "if", "for", "while", "until", "case",
		"cd", "export", "set", ".", "source", "eval", "trap", "!", "ulimit",
		"umask", "exit", "wait", "read", ":"};
	size_t n = strcspn(s, " \t");

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strlen(words[i]) == n && strncmp(s, words[i], n) == 0)
			return true;
	}
	return false;
}

static bool begins_with_assignment(const char *s)
{
	size_t n = strspn(
		s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

	return n > 0 && s[n] == '=';
}

void command_for_shell(const char *command, struct buf *out)
{
	command += strspn(command, " \t");
	bool assigns = begins_with_assignment(command);
	/* env knows no exec: who writes it after the assignments needs no other. */
	if (is_single(command) && !begins_with_shell_word(command) &&
		!(assigns && strstr(command, " exec ")))
		buf_adds(out, assigns ? "exec env " : "exec ");
	buf_adds(out, command);
}

void command_text(const char *command, bool profile_d, struct buf *out)
{
	if (profile_d)
		buf_adds(out, "for f in /app/.profile.d/*.sh; do [ -r \"$f\" ] && . "
			      "\"$f\"; done\n"
			      "[ -r /app/.profile ] && . /app/.profile\n");
	if (command)
		command_for_shell(command, out);
	else
		buf_adds(out, "exec \"$@\"");
}

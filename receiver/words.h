/* A command line that came over ssh: split into words as a shell would, and the git
 * commands among them. */
#ifndef RECEIVER_WORDS_H
#define RECEIVER_WORDS_H

#include "lib/base.h"
#include "lib/err.h"
#include "lib/name.h"

#define WORDS_MAX 4096 /* words of one command line; ssh itself stops at 256 kB */
#define WORDS_BYTES_MAX ((size_t)512 << 10)

struct words {
	char **argv; /* argc words, then NULL; one allocation with them */
	size_t argc;
};

/*
 * Splits at blanks and newlines; single quotes, double quotes and backslash mean what
 * they mean to a POSIX shell (2.2 Quoting); nothing is expanded, every other byte is
 * kept. 0, -EINVAL (a quote or backslash left open), -E2BIG, -ENOMEM.
 */
int words_split(const char *line, struct words *ret, struct err *e);
void words_free(struct words *w);

enum git_service { GIT_NONE, GIT_RECEIVE, GIT_UPLOAD };

/*
 * Which git command the words are: "git-receive-pack PATH" or "git receive-pack PATH",
 * same for upload-pack. The path loses a leading "/" (or "/~/", "~/"), a trailing "/" and
 * ".git", and must then be an app's name. 1 and *ret_service, app; 0 when it is no git
 * command at all; -EINVAL with the rule in e when it is one that is not allowed.
 */
int words_git(const struct words *w, enum git_service *ret_service,
	char app[NAME_MAX_LEN + 1], struct err *e);

#endif

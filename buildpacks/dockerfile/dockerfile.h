/*
 * A Dockerfile's text as a list of instructions: what is written, not yet what it means. Pure: no
 * I/O, no expansion of variables. Follows the Dockerfile reference and, where that is silent, what
 * BuildKit's parser does (moby/buildkit, frontend/dockerfile/parser).
 *
 * Every error reads "Dockerfile:LINE:COLUMN: cause; what to do", both counted from 1.
 */
#ifndef BUILDPACKS_DOCKERFILE_H
#define BUILDPACKS_DOCKERFILE_H

#include "lib/base.h"
#include "lib/buf.h"
#include "lib/err.h"

#define DOCKERFILE_MAX (1u << 20) /* bytes; the longest public ones have some 20 kB */
#define DOCKERFILE_INSTRUCTIONS_MAX 4096
#define DOCKERFILE_WORDS_MAX 4096 /* of one instruction */
#define DOCKERFILE_FLAGS_MAX 16
#define DOCKERFILE_HEREDOCS_MAX 16

enum docker_kind {
	DOCKER_FROM,
	DOCKER_RUN,
	DOCKER_CMD,
	DOCKER_ENTRYPOINT,
	DOCKER_LABEL,
	DOCKER_EXPOSE,
	DOCKER_ENV,
	DOCKER_ADD,
	DOCKER_COPY,
	DOCKER_VOLUME,
	DOCKER_USER,
	DOCKER_WORKDIR,
	DOCKER_ARG,
	DOCKER_ONBUILD,
	DOCKER_STOPSIGNAL,
	DOCKER_HEALTHCHECK,
	DOCKER_SHELL,
	DOCKER_MAINTAINER,
	DOCKER_KINDS
};

struct docker_flag {
	char *name, *value; /* value NULL: written without "=" */
	size_t at;	    /* in the instruction's joined text, for docker_place */
};

struct docker_heredoc {
	char *name, *content; /* content ends with a newline unless empty */
	bool expand;	      /* the name was written without quotes */
	bool chomp;	      /* <<-: leading tabs are gone */
};

/* One physical line of an instruction: where its text begins in the joined one. */
struct docker_line {
	size_t at;
	unsigned int line, column;
};

struct docker_instruction {
	enum docker_kind kind;
	unsigned int line, column; /* of its first character */
	char *joined; /* the whole instruction in one line: continuations joined */
	char *text;   /* in joined: what follows word and flags */
	bool json;    /* text is a JSON array of strings, which words has */
	char **words; /* JSON form: its strings. Else NULL */
	size_t n_words;
	struct docker_flag flags[DOCKERFILE_FLAGS_MAX];
	size_t n_flags;
	struct docker_heredoc heredocs[DOCKERFILE_HEREDOCS_MAX];
	size_t n_heredocs;
	struct docker_line *lines;
	size_t n_lines;
};

struct dockerfile {
	char escape; /* '\\' or '`' */
	struct docker_instruction *list;
	size_t n;
};

/* "RUN" */
const char *docker_kind_name(enum docker_kind kind);

/*
 * Parses text (length len). 0, -EINVAL with e, -E2BIG over a maximum, -ENOMEM. dockerfile_free in
 * any case.
 */
int dockerfile_parse(struct dockerfile *d, const char *text, size_t len, struct err *e);
void dockerfile_free(struct dockerfile *d);

/*
 * Parses the one instruction after ONBUILD's word; it keeps the places of `from`. As
 * dockerfile_parse; docker_instruction_free in any case.
 */
int docker_parse_onbuild(const struct docker_instruction *from, char escape,
	struct docker_instruction *ret, struct err *e);
void docker_instruction_free(struct docker_instruction *i);

/* Fills e with "Dockerfile:LINE:COLUMN: text", the place of `at` (a pointer into i->joined; NULL:
 * the instruction's own). Returns -EINVAL. */
int docker_error(const struct docker_instruction *i, const char *at, struct err *e,
	const char *fmt, ...) PRINTF(4, 5);

/* ---- words and variables (docker_words.c) ---- */

/* The value of a variable, or NULL. */
typedef const char *(*docker_lookup)(void *arg, const char *name);

/*
 * Expands $x, ${x}, ${x:-y}, ${x:+y} (and - + ? :? ) in text, and takes quotes and escapes away, as
 * a shell would; single quotes keep all. A missing variable is empty. heredoc: quotes are plain
 * characters, and an escape takes only a $ or itself. Appends to out. 0, -EINVAL
 * with *ret_fault a sentence without a place (static), and *ret_at where.
 */
int docker_expand(const char *text, char escape, bool heredoc, docker_lookup get,
	void *arg, struct buf *out, const char **ret_fault, const char **ret_at);

/*
 * The next word of *at, ended by blanks outside quotes; quotes and escapes stay in it. Its length
 * and start, or false at the end of the text.
 */
bool docker_next_word(
	const char **at, char escape, const char **ret_word, size_t *ret_len);

#endif

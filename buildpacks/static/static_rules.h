/*
 * What a site says about its own paths: the files _redirects and _headers in its top folder, in the form that hosts of
 * static sites share.
 *
 * _redirects, one a line:  FROM TO [STATUS]      FROM is a path, with at most one *; TO a path or an address, ":splat" in
 *                                                it is what * stood for; STATUS 301 (default), 302, 303, 307, 308, or 200:
 *                                                the file at TO is shown. A file at FROM comes first, unless STATUS ends in !
 * _headers:                PATH                  and below it, indented, "Name: value"; all blocks that match apply
 */
#ifndef BUILDPACKS_STATIC_RULES_H
#define BUILDPACKS_STATIC_RULES_H

#include "lib/base.h"
#include "lib/buf.h"

#define RULES_MAX 512		   /* of each file */
#define RULES_TEXT_MAX (64u << 10) /* of each file */
#define RULES_HEADERS_MAX 3000	   /* bytes of fields that one answer gets */
#define RULES_TO_MAX 1024

struct redirect {
	const char *from, *to;
	int status;
	bool force;
};

struct header {
	const char *path, *line; /* line: "Name: value" */
};

struct rules {
	struct redirect redirects[RULES_MAX];
	struct header headers[RULES_MAX];
	size_t n_redirects, n_headers;
	char *texts[2]; /* what the pointers point into */
};

/* Takes text (NUL-terminated, malloced; owned by r afterwards). Lines that are not understood are left out; each is told to
 * complain(arg, line's number, why), which may be NULL. */
typedef void (*rules_complain)(void *arg, unsigned int line, const char *why);
void rules_parse_redirects(
	struct rules *r, char *text, rules_complain complain, void *arg);
void rules_parse_headers(struct rules *r, char *text, rules_complain complain, void *arg);
void rules_free(struct rules *r);
/*
 * The first redirect for path (decoded, with its leading slash), of the forced ones or of all.
 * to is filled: what a star stood for is encoded again, but for a file (200). NULL: none, or
 * one that the client's own path would turn to another site ("//host").
 */
const struct redirect *rules_redirect(
	const struct rules *r, const char *path, bool forced_only, char to[RULES_TO_MAX]);
/* Appends the field lines for path to out, whole lines, at most RULES_HEADERS_MAX bytes. */
void rules_headers(const struct rules *r, const char *path, struct buf *out);

#endif

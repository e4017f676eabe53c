/*
 * The file of `berth apply` (docs/APPLY.md): JSON with comments that says what a host and its apps are to be set to. Read,
 * checked and brought into the one form in which the API tells it (GET /v1/state, /v1/apps/A/state).
 */
#ifndef CLI_HOSTFILE_H
#define CLI_HOSTFILE_H

#include "lib/base.h"
#include <jansson.h>

#define HOSTFILE_MAX ((size_t)8 << 20)
#define HOSTFILE_VALUE_MAX                                                               \
	((size_t)1 << 20) /* of {"file": …}, as much as the API takes */
#define HOSTFILE_DEPTH 6
#define HOSTFILE_BLANKS " \t\r\n"

struct hostfile {
	const char *name; /* what messages call it */
	char *text;	  /* comments are blanks, so that lines stay what they are */
	json_t *root;
	/* {"env": …} and {"file": …} are this machine's: not over ssh */
	bool references;
	bool raw;	    /* values stay as they are written, but for references */
	const char *folder; /* that names of files begin at; NULL: the current one */
};

/*
 * text (taken over, ends with a NUL) to root. Every wrong word is refused with its line and its place. 0, or STATUS_FAILED
 * or STATUS_USAGE, said. The two are there until the end of the program.
 */
int hostfile_parse(struct hostfile *f, char *text);
/* The same of a file, "-": standard input. */
int hostfile_read(struct hostfile *f, const char *path);
/* The line of the value at those names from the top ("0" of a list), as far as they lead; from 1. */
unsigned int hostfile_line(const struct hostfile *f, const char *const *path, size_t n);

#endif

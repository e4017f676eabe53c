/*
 * Making a stack's tar with mmdebstrap, as user _berth-build in a process of its own
 * (berthd --stack-build): Debian's own archives out of the host's apt sources, the host's
 * ways to reach them, nothing else.
 */
#ifndef RUNTIME_STACKMAKE_H
#define RUNTIME_STACKMAKE_H

#include "lib/base.h"
#include "lib/buf.h"
#include "lib/err.h"

#define STACK_APT_TEXT_MAX (4u << 20) /* what apt prints about a host's sources */
#define STACK_TARGET_FORMAT                                                              \
	"$(CREATED_BY)|$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(CODENAME)|$(COMPONENT)"

/*
 * Writes the tar to stdout, progress to stderr; TMPDIR must be a folder of its own.
 * Returns the exit status.
 */
int stack_make(uint32_t suite);

/*
 * For tests: one-line apt sources of the suite's codename from what apt-get indextargets
 * printed in STACK_TARGET_FORMAT. Archives of another release of Debian stand in for
 * those of the suite. Returns how many lines.
 */
int stack_sources(const char *targets, const char *codename, struct buf *out);
/* For tests: those lines of apt-config dump that say how to reach archives. */
void stack_apt_settings(const char *dump, struct buf *out);

#endif

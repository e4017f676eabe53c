/*
 * What a sandbox runs: argv and environment packed into a sealed memfd. control writes it; berthd only
 * passes it on; berth-init, already confined, reads it. Layout: struct spec_head, then argc + envc
 * NUL-terminated strings.
 */
#ifndef LIB_SPEC_H
#define LIB_SPEC_H

#include "lib/base.h"

#define SPEC_MAGIC 0x62727370u	 /* "brsp" */
#define SPEC_SIZE_MAX (1u << 20) /* config is at most 256 KiB in all; ARG_MAX is 2 MiB */
#define SPEC_STRINGS_MAX 4096u

struct spec_head {
	uint32_t magic;
	uint32_t argc; /* 1 .. */
	uint32_t envc;
	uint32_t size; /* of the strings, bytes */
	char cwd[256]; /* working directory inside; made absolute by the writer */
};

/* argv and env are NULL-terminated. Sealed memfd, CLOEXEC, or -errno (-E2BIG over the limits). */
int spec_pack(const char *const *argv, const char *const *env, const char *cwd);
/*
 * Reads one back: one allocation that holds the vectors and the strings; free(*ret_mem).
 * 0, -EBADMSG when malformed, -EPERM when not sealed, -errno.
 */
int spec_unpack(
	int fd, char ***ret_argv, char ***ret_env, char ret_cwd[256], void **ret_mem);

#endif

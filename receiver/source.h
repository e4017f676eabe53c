/*
 * A commit's tree as a tar stream, and single files of a commit, straight from the git
 * objects.
 *
 * Only control links this. Nothing here checks out, filters or follows anything:
 * .gitattributes are ignored, symlinks are data, submodules and LFS pointers are reported
 * and not fetched. Threads may use different repositories at once; one git_repository
 * belongs to one thread at a time.
 */
#ifndef RECEIVER_SOURCE_H
#define RECEIVER_SOURCE_H

#include "lib/base.h"
#include "lib/buf.h"
#include "lib/err.h"
#include <git2.h>

#define SOURCE_DEPTH_MAX 128	  /* folders inside folders; PATH_MAX would allow 2,000 */
#define SOURCE_PATH_MAX 3072	  /* bytes of a path below /app; well below PATH_MAX */
#define SOURCE_ENTRIES_MAX 300000 /* a tree of trees can name 10^10 files in a few kB */
#define SOURCE_BLOB_MAX ((uint64_t)256 << 20) /* a file is in memory while sent */
#define SOURCE_TOTAL_MAX ((uint64_t)4 << 30)
#define SOURCE_NOTES_MAX 20 /* submodules and LFS pointers kept by name */

struct source_filter {
	/* Exact paths from the tree's root ("package.json", "web/package.json"); a path
	 * that is a folder takes all below it; paths that do not exist are left out.
	 * NULL: everything. */
	const char *const *files;
	size_t n_files;
	/* A tree (not a commit), with files NULL: only what differs from it, and as gone (lib/tar.h) what it has and
	 * this has not, or has as another type. NULL: everything. */
	const git_oid *base;
	int64_t mtime_s; /* of every entry, seconds since 1970; the commit's time, or 0 */
};

/* What was seen on the way. Zero it first; source_report_free frees the names. */
struct source_report {
	uint64_t entries, bytes; /* written to the tar, folders included; file contents */
	uint64_t gone;		 /* of the base, a folder with all below it as one */
	unsigned int n_submodules; /* all of them, also those beyond SOURCE_NOTES_MAX */
	unsigned int n_lfs;	   /* files that are only Git LFS pointers */
	char *submodules[SOURCE_NOTES_MAX]; /* paths */
	char *lfs[SOURCE_NOTES_MAX];
};
void source_report_free(struct source_report *r);

/*
 * Opens a bare repository at exactly that path, whoever owns it (control reads what the
 * ssh user owns). Sets up libgit2 on first use. git_repository_free when done. 0,
 * -ENOENT, -EIO.
 */
int source_open(const char *path, git_repository **ret, struct err *e);

/*
 * The tree and the committer's time (seconds since 1970) of a commit given as 40 hex
 * digits; an annotated tag is followed. Any ret_ may be NULL. 0, -EINVAL (not hex),
 * -ENOENT (no such object, or not a commit), -EIO.
 */
int source_commit(git_repository *repo, const char *hex, git_oid *ret_tree,
	int64_t *ret_time_s, struct err *e);

/*
 * Writes the tree as ustar with pax records for long names: folders 0755, files 0644 or
 * 0755, symlinks, all uid and gid 1000, in git's order, so equal trees give equal bytes.
 * fd is blocking and stays open; SIGPIPE must be ignored. f and ret may be NULL
 * (everything, mtime 0; no report). tree may also be the id of a commit. 0; -EINVAL when
 * the tree holds a name no file may have (".git" in any case, ".", "..", empty, a slash)
 * or one name twice; -E2BIG over a maximum above; -ENOENT for a missing object; -EPIPE
 * when the reader went away; -EIO. With fd -1 nothing is written and no file is read: for
 * what the report counts.
 */
int source_stream(git_repository *repo, const git_oid *tree, int fd,
	const struct source_filter *f, struct source_report *ret, struct err *e);

/*
 * Appends the content of one file (no symlink) of the tree to out. 0, -ENOENT when absent
 * or not a file, -EFBIG when larger than max bytes, -EIO.
 */
int source_file(git_repository *repo, const git_oid *tree, const char *path, size_t max,
	struct buf *out, struct err *e);

#endif

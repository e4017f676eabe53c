/*
 * A vault: trees of files kept in a folder, each content once. Files are cut into pieces of VAULT_CHUNK bytes, a piece lies
 * under the SHA-256 of its bytes, and a tree is a manifest: every path with its kind, mode, owner, times, extended
 * attributes, links and pieces. What is the same in two trees, or twice in one, takes its place once.
 *
 *   chunks/AB/ABCD...   pieces, 64 hex digits; never changed once they are there
 *   trees/NAME          a tree: the list of the pieces that make its manifest, with a checksum
 *   new/                what a scan has made so far; nothing else refers to it
 *
 * Use: vault_load the last tree (or none), vault_scan with it, perhaps vault_scan again with what that gave while whoever
 * writes is held still, vault_save. Restoring: vault_load, vault_restore.
 *
 * Crashes: pieces get their places after they are on disk, a tree its name after its pieces. Whatever is interrupted leaves
 * what was there, and garbage in new/ or among the pieces, which the next vault_open (new/) and vault_prune (chunks/) take.
 * One process has a vault open at a time: a lock on the folder, which ends with the process.
 *
 * Files are never followed out of a tree: folders are opened one by one without following links, and never those of another
 * file system. What the manifests and pieces hold is trusted by nobody: manifests are read strictly, and a piece is used when
 * its bytes have its hash.
 *
 * Which files are read: those whose identity (inode, change time, size, time) is not that of the tree given as `previous`. An
 * identity is kept only when nothing can have changed the file behind it: the pages of the file are written out before it is
 * read, so that a store through a mapping made later shows in its times; its change time is older than a tick of the clock; it
 * is the same after reading. Where that was not so, the file is read again the next time.
 *
 * Kept: regular files (holes by blocks of 4 KiB, hard links), folders, symlinks, FIFOs, sockets; user.* attributes and access
 * lists. Left out: devices, the folder lost+found of a file system, and files named
 * .berth-restore.
 */
#ifndef BUILDPACKS_VAULT_H
#define BUILDPACKS_VAULT_H

#include "lib/base.h"
#include "lib/buf.h"
#include "lib/err.h"

/* Reflinks want multiples of the file system's block; larger pieces save entries, smaller ones bytes that changed. */
#define VAULT_CHUNK ((size_t)1 << 20)
#define VAULT_ID 32
#define VAULT_NAME_MAX 200	/* of a tree: A-Z a-z 0-9 . _ -, not a dot first */
#define VAULT_PATH_MAX 4096u	/* NUL included */
#define VAULT_DEPTH_MAX 500u	/* folders in each other: one descriptor each */
#define VAULT_XATTRS_MAX 65536u /* of one file, names and values */
#define VAULT_FILE_MAX ((uint64_t)1 << 44)   /* of one file, as ext4 has it */
#define VAULT_MANIFEST_MAX ((size_t)1 << 30) /* some 6 million files */

/*
 * How pieces and manifests are stored, for a vault on foreign ground. NULL: as they are, and then they may be reflinks.
 * With id_key an id is an HMAC-SHA-256, so that nobody without the key can tell which known bytes are here.
 * seal: makes what is stored of len bytes (already compressed, if that is wanted); open: the reverse, and it fails with
 * -EBADMSG for what seal did not make for this id. out is empty. Both 0 or -errno with e.
 */
struct vault_codec {
	int (*seal)(void *arg, const uint8_t id[VAULT_ID], const void *data, size_t len,
		struct buf *out, struct err *e);
	int (*open)(void *arg, const uint8_t id[VAULT_ID], const void *data, size_t len,
		struct buf *out, struct err *e);
	void *arg;
	const uint8_t *id_key; /* 32 bytes; NULL: none */
};
struct vault_options {
	int zstd_level;			 /* 0: pieces are not compressed */
	const struct vault_codec *codec; /* outlives the vault; may be NULL */
	bool read_only; /* the folder is not written to: load, restore, verify */
};

struct vault;
/*
 * The vault in the folder; an empty folder becomes one. Opened with the options it was made with. dirfd stays the caller's.
 * NULL with e: EBUSY another process has it open, EPROTO it was made with other options or is none.
 */
struct vault *vault_open(int dirfd, const struct vault_options *o, struct err *e);
/* What was scanned and not saved is dropped. NULL is fine. */
void vault_close(struct vault *v);

/* A tree in memory: its manifest, checked. */
struct vault_tree;
void vault_tree_free(struct vault_tree *t);

/* Counts of one call; each adds to what is there. */
struct vault_stats {
	uint64_t entries;		 /* files, folders and links of the tree */
	uint64_t files;			 /* regular ones */
	uint64_t bytes;			 /* in them, as their sizes say */
	uint64_t read_files, read_bytes; /* those that had to be read */
	uint64_t
		hashed_bytes; /* of read_bytes: those that were not known by a quicker sum */
	uint64_t new_chunks,
		new_bytes; /* added to the vault, as stored; bytes without reflinks */
	uint64_t reflinks; /* of new_chunks, those that take no space */
	uint64_t wrote_files, wrote_bytes, removed; /* of a restore */
	uint64_t chunks,
		freed_bytes; /* of verify: pieces read; of prune: pieces kept, bytes freed */
};

enum vault_scan_flags {
	VAULT_HELD =
		1
		<< 0, /* nobody writes while this scan runs, but somebody will after it: nothing is
				flushed, what is read now is read again the next time */
};
/*
 * The tree at folder `tree` (open for reading). previous: of an earlier scan or vault_load, may be NULL. New pieces lie in
 * new/ until vault_save. Blocks. 0; -ENOSPC, -ENAMETOOLONG, -ELOOP (too deep), -EFBIG (VAULT_MANIFEST_MAX), -errno, with e.
 */
int vault_scan(struct vault *v, int tree, const struct vault_tree *previous,
	unsigned int flags, struct vault_tree **ret, struct vault_stats *stats,
	struct err *e);
/*
 * Keeps the tree under the name, which is replaced when it is there. Returns when all is on disk. Trees scanned before and
 * not saved lose the pieces that only they had. 0 or -errno with e.
 */
int vault_save(struct vault *v, const char *name, const struct vault_tree *t,
	struct vault_stats *stats, struct err *e);
/* -ENOENT no such tree, -EBADMSG damaged. */
int vault_load(struct vault *v, const char *name, struct vault_tree **ret, struct err *e);

/*
 * Makes the folder `target` equal to the tree: what is extra goes, what differs is written, the rest is not touched. now: a
 * tree scanned from target since anybody wrote there (saves reading), or NULL. Called again after an interruption it goes on.
 * Every piece is checked before it is written. Nobody else may write there. 0; -EBADMSG a piece is damaged or missing;
 * -errno, with e: target is something between, and the same call again, or one with the old tree, is the way out.
 */
int vault_restore(struct vault *v, const struct vault_tree *t,
	const struct vault_tree *now, int target, struct vault_stats *stats,
	struct err *e);

/* Removes the trees that are not named, then the pieces that no tree has. A tree that cannot be read: -EBADMSG, nothing goes. */
int vault_prune(struct vault *v, const char *const *keep, size_t n,
	struct vault_stats *stats, struct err *e);
/* Reads every piece of the tree (NULL: of all trees) and checks it. -EBADMSG with the path of the first file that is hurt. */
int vault_verify(
	struct vault *v, const char *name, struct vault_stats *stats, struct err *e);
/* Calls cb for the name of each tree, in no order; stops when it returns nonzero, and returns that. */
int vault_names(struct vault *v, int (*cb)(void *arg, const char *name), void *arg);

/* ---- what a manifest holds ---- */

enum vault_kind {
	VAULT_DIR = 'd',
	VAULT_FILE = 'f',
	VAULT_SYMLINK = 'l',
	VAULT_HARDLINK = 'h', /* another name of an earlier VAULT_FILE */
	VAULT_FIFO = 'p',
	VAULT_SOCKET = 's',
};
/* Strings and ids lie in the tree; ids: one for each VAULT_CHUNK of size, 32 zero bytes for a piece of zeros. */
struct vault_entry {
	const char *
		path; /* relative, "" for the root, which comes first; then in order of vault_path_order */
	const char *link; /* target of a symlink, path of a hard link's file, else "" */
	const char
		*xattrs; /* NAME NUL, 4 bytes length (little endian), VALUE, and so on */
	const uint8_t *ids;
	size_t n_ids, xattrs_len;
	uint64_t size, ino;
	int64_t mtime_ns, ctime_ns; /* ctime_ns 0: no identity */
	uint32_t mode, uid, gid;    /* mode: the lower 12 bits */
	enum vault_kind kind;
};
/* Walks a tree: *at is 0 first. true and the next entry, false at the end. */
bool vault_tree_next(const struct vault_tree *t, size_t *at, struct vault_entry *ret);
/* The order of entries: by names, folder by folder, a folder before what is in it. As strcmp. */
int vault_path_order(const char *a, const char *b);
/* A piece's bytes: of one VAULT_CHUNK, or of the last one of a file, into buf (of VAULT_CHUNK); *ret_len. Zeros for the zero id. */
int vault_chunk_read(struct vault *v, const uint8_t id[VAULT_ID], size_t len,
	uint8_t *buf, struct err *e);

/* ---- a tree that does not come from a folder ---- */

/* Adds the piece if it is not there; its id. len: 1 .. VAULT_CHUNK. */
int vault_chunk_add(struct vault *v, const void *data, size_t len,
	uint8_t ret_id[VAULT_ID], struct vault_stats *stats, struct err *e);
/* Appends an entry to a manifest that is being written; b->max is VAULT_MANIFEST_MAX. 0 or -ENOMEM, -EMSGSIZE. */
int vault_entry_add(struct buf *manifest, const struct vault_entry *n);
/* Ends and checks the manifest, which becomes the tree's (b is empty then). -EBADMSG with what is wrong with it. */
int vault_tree_make(struct buf *manifest, struct vault_tree **ret, struct err *e);

#endif

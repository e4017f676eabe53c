/* The vault: trees in, trees out, and whatever happens in between. */
#include "buildpacks/volume/vault_inside.h"
#include "lib/io.h"
#include <setjmp.h>
#include <stdarg.h>
/* cmocka wants the ones above */
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>

#define MB (1 << 20)

struct stage {
	char path[64];
	int dir, vault, tree, other;
	struct err e;
};

static int folder(int dir, const char *name)
{
	assert_return_code(mkdirat(dir, name, 0755), errno);
	return openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int begin(void **state)
{
	struct stage *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	strcpy(s->path, "/tmp/berth-vault-XXXXXX");
	assert_non_null(mkdtemp(s->path));
	s->dir = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	s->vault = folder(s->dir, "vault");
	s->tree = folder(s->dir, "tree");
	s->other = folder(s->dir, "other");
	*state = s;
	return 0;
}

static int end(void **state)
{
	struct stage *s = *state;

	close(s->vault);
	close(s->tree);
	close(s->other);
	close(s->dir);
	assert_int_equal(io_remove_tree(AT_FDCWD, s->path), 0);
	free(s);
	return 0;
}

/* ---- making files ---- */

static void write_at(int dir, const char *path, const void *data, size_t len, off_t at)
{
	int fd autoclose = openat(dir, path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, len, at), (ssize_t)len);
}

static void write_text(int dir, const char *path, const char *text)
{
	write_at(dir, path, text, strlen(text), 0);
}

static uint8_t *noise(size_t len, unsigned int seed)
{
	uint8_t *data = malloc(len);

	assert_non_null(data);
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1103515245 + 12345;
		data[i] = (uint8_t)(seed >> 16);
	}
	return data;
}

static void write_noise(int dir, const char *path, size_t len, unsigned int seed)
{
	uint8_t *data autofree = noise(len, seed);

	write_at(dir, path, data, len, 0);
}

/* Past a tick, so that what was written is certain. */
static void settle_clock(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
}

static void make_tree(int dir)
{
	int sparse;

	write_text(dir, "a.txt", "hello");
	write_text(dir, "empty", "");
	write_noise(dir, "big", 3 * MB + 17, 1);
	assert_int_equal(mkdirat(dir, "d", 0750), 0);
	assert_int_equal(mkdirat(dir, "d/deep", 0700), 0);
	write_text(dir, "d/deep/x", "x in d");
	write_text(dir, "d.txt", "sorts after what is in d");
	assert_int_equal(symlinkat("/etc/passwd", dir, "d/link"), 0);
	assert_int_equal(linkat(dir, "a.txt", dir, "d/hard", 0), 0);
	assert_int_equal(mkfifoat(dir, "pipe", 0640), 0);
	sparse = openat(dir, "sparse", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(sparse, 50 * MB), 0);
	assert_int_equal(pwrite(sparse, "tail", 4, 40 * MB + 5), 4);
	(void)fsetxattr(sparse, "user.note", "kept", 4, 0);
	close(sparse);
	const struct timespec times[2] = {{1000000000, 5}, {1000000000, 123456789}};
	assert_int_equal(utimensat(dir, "d/deep/x", times, 0), 0);
	assert_int_equal(utimensat(dir, "d", times, 0), 0);
}

/* ---- what a folder holds, as words ---- */

static void describe_file(int parent, const char *name, struct buf *out)
{
	int fd autoclose = openat(parent, name, O_RDONLY | O_CLOEXEC);
	uint8_t id[VAULT_ID];
	autobuf data = {.max = 64 * MB}, xattrs = BUF_INIT;
	char hex[VAULT_HEX];
	struct vault v = {0};

	assert_int_equal(io_read_all(fd, &data), 0);
	vault_hash(&v, data.data, data.len, id);
	vault_hex(id, hex);
	assert_int_equal(vault_xattrs_read(fd, &xattrs), 0);
	buf_addf(out, " %zu %s %zu", data.len, hex, xattrs.len);
}

static char *words_of(int dir)
{
	struct err e;
	struct vault_walk *w = vault_walk_open(dir, &e);
	struct vault_seen f;
	struct buf out = BUF_INIT;
	char target[4096];

	assert_non_null(w);
	while (vault_walk_next(w, &f, &e) > 0) {
		buf_addf(&out, "%s %c %o %u:%u %lld links %lu", f.path,
			vault_kind_of(&f.st), f.st.st_mode, f.st.st_uid, f.st.st_gid,
			(long long)vault_ns(f.st.st_mtim), (unsigned long)f.st.st_nlink);
		if (S_ISREG(f.st.st_mode))
			describe_file(f.parent, f.name, &out);
		if (S_ISLNK(f.st.st_mode)) {
			ssize_t n = readlinkat(f.parent, f.name, target, sizeof(target));
			buf_addf(&out, " -> %.*s", (int)n, target);
		}
		buf_adds(&out, "\n");
	}
	vault_walk_free(w);
	return buf_take(&out);
}

static void same_trees(int a, int b)
{
	char *x autofree = words_of(a), *y autofree = words_of(b);

	assert_string_equal(x, y);
}

/* ---- using a vault ---- */

static const struct vault_options plain = {0};

static struct vault *opened(struct stage *s, const struct vault_options *o)
{
	struct vault *v = vault_open(s->vault, o, &s->e);

	if (!v)
		fail_msg("%s", s->e.text);
	return v;
}

static void must(struct stage *s, int r)
{
	if (r < 0)
		fail_msg("%s", s->e.text);
}

static void put_with(struct stage *s, const struct vault_options *o, const char *name,
	const char *previous, struct vault_stats *stats)
{
	struct vault *v = opened(s, o);
	struct vault_tree *before = NULL, *t = NULL;

	memset(stats, 0, sizeof(*stats));
	if (previous)
		must(s, vault_load(v, previous, &before, &s->e));
	must(s, vault_scan(v, s->tree, before, 0, &t, stats, &s->e));
	must(s, vault_save(v, name, t, stats, &s->e));
	vault_tree_free(before);
	vault_tree_free(t);
	vault_close(v);
}

static void put(struct stage *s, const char *name, const char *previous,
	struct vault_stats *stats)
{
	put_with(s, &plain, name, previous, stats);
}

static int get_with(struct stage *s, const struct vault_options *o, const char *name,
	int to, struct vault_stats *stats)
{
	struct vault *v = opened(s, o);
	struct vault_tree *t = NULL;
	int r = vault_load(v, name, &t, &s->e);

	memset(stats, 0, sizeof(*stats));
	if (r == 0)
		r = vault_restore(v, t, NULL, to, stats, &s->e);
	vault_tree_free(t);
	vault_close(v);
	return r;
}

static void get(struct stage *s, const char *name, int to, struct vault_stats *stats)
{
	must(s, get_with(s, &plain, name, to, stats));
}

/* ---- tests ---- */

static void a_tree_comes_back_as_it_was(void **state)
{
	struct stage *s = *state;
	struct vault_stats stats;
	struct stat st;

	make_tree(s->tree);
	put(s, "one", NULL, &stats);
	assert_int_equal(stats.files, 6);
	get(s, "one", s->other, &stats);
	same_trees(s->tree, s->other);
	assert_int_equal(fstatat(s->other, "sparse", &st, 0), 0);
	assert_true(st.st_blocks * 512 < 2 * MB);
}

static void what_did_not_change_is_not_read(void **state)
{
	struct stage *s = *state;
	struct vault_stats stats;

	make_tree(s->tree);
	settle_clock();
	put(s, "one", NULL, &stats);
	assert_true(stats.read_files > 0);
	put(s, "two", "one", &stats);
	assert_int_equal(stats.read_files, 0);
	assert_true(stats.new_chunks <= 1); /* nothing, or the manifest */
	get(s, "two", s->other, &stats);
	same_trees(s->tree, s->other);
}

static void a_small_change_costs_one_piece(void **state)
{
	struct stage *s = *state;
	struct vault_stats stats;

	make_tree(s->tree);
	settle_clock();
	put(s, "one", NULL, &stats);
	write_at(s->tree, "big", "!", 1, MB + 5);
	put(s, "two", "one", &stats);
	assert_int_equal(stats.read_files, 1);
	assert_int_equal(stats.new_chunks, 2); /* and the manifest */
	get(s, "two", s->other, &stats);
	same_trees(s->tree, s->other);
	get(s, "one", s->other, &stats);
	assert_int_equal(stats.wrote_files, 2); /* one has two names */
	assert_int_equal(stats.wrote_bytes, MB + 5);
}

/* The identity that a scan gave the file f, in a time short enough to count. */
static int64_t identity_of_fresh(struct stage *s, struct vault *v)
{
	for (int i = 0; i < 200; i++) {
		struct vault_stats stats = {0};
		struct vault_tree *t = NULL;
		struct vault_entry n;
		uint64_t began = io_mono_ns();
		size_t at = 0;

		write_text(s->tree, "f", i % 2 ? "odd" : "even");
		must(s, vault_scan(v, s->tree, NULL, 0, &t, &stats, &s->e));
		bool quick = io_mono_ns() - began < 15000000;
		while (vault_tree_next(t, &at, &n) && n.kind != VAULT_FILE)
			;
		vault_tree_free(t);
		if (quick)
			return n.ctime_ns;
	}
	skip(); /* the machine is too busy to do it in time */
	return -1;
}

static void a_file_written_within_a_tick_is_read_again(void **state)
{
	struct stage *s = *state;
	struct vault *v = opened(s, &plain);

	assert_int_equal(identity_of_fresh(s, v), 0);
	vault_close(v);
}

static void what_is_read_while_held_is_read_again(void **state)
{
	struct stage *s = *state;
	struct vault_stats stats = {0};
	struct vault *v = opened(s, &plain);
	struct vault_tree *first = NULL, *held = NULL, *next = NULL;

	write_text(s->tree, "f", "one");
	write_text(s->tree, "still", "one");
	settle_clock();
	must(s, vault_scan(v, s->tree, NULL, 0, &first, &stats, &s->e));
	write_text(s->tree, "f", "two");
	settle_clock();
	stats = (struct vault_stats){0};
	must(s, vault_scan(v, s->tree, first, VAULT_HELD, &held, &stats, &s->e));
	assert_int_equal(stats.read_files, 1);
	stats = (struct vault_stats){0};
	must(s, vault_scan(v, s->tree, held, 0, &next, &stats, &s->e));
	assert_int_equal(stats.read_files, 1);
	must(s, vault_save(v, "next", next, &stats, &s->e));
	vault_tree_free(first);
	vault_tree_free(held);
	vault_tree_free(next);
	vault_close(v);
	get(s, "next", s->other, &stats);
	same_trees(s->tree, s->other);
}

static void of_a_large_file_only_what_changed_is_hashed_while_held(void **state)
{
	struct stage *s = *state;
	struct vault_stats stats = {0};
	struct vault *v = opened(s, &plain);
	struct vault_tree *first = NULL, *held = NULL;

	write_noise(s->tree, "database", 5 * MB + 100, 1);
	settle_clock();
	must(s, vault_scan(v, s->tree, NULL, 0, &first, &stats, &s->e));
	write_at(s->tree, "database", "!", 1, 2 * MB + 7);
	stats = (struct vault_stats){0};
	must(s, vault_scan(v, s->tree, first, VAULT_HELD, &held, &stats, &s->e));
	assert_int_equal(stats.read_bytes, 5 * MB + 100);
	assert_int_equal(stats.hashed_bytes, MB + 100);
	must(s, vault_save(v, "held", held, &stats, &s->e));
	vault_tree_free(first);
	vault_tree_free(held);
	vault_close(v);
	get(s, "held", s->other, &stats);
	same_trees(s->tree, s->other);
}

static void a_restore_takes_away_what_is_extra(void **state)
{
	struct stage *s = *state;
	struct vault_stats stats;

	make_tree(s->tree);
	settle_clock();
	put(s, "one", NULL, &stats);
	get(s, "one", s->other, &stats);
	/* kinds change, files come and go, links join what was apart */
	must(s, unlinkat(s->other, "a.txt", 0));
	must(s, mkdirat(s->other, "a.txt", 0755));
	write_text(s->other, "a.txt/inside", "x");
	must(s, io_remove_tree(s->other, "d"));
	write_text(s->other, "d", "was a folder");
	must(s, linkat(s->other, "big", s->other, "zz", 0));
	must(s, unlinkat(s->other, "d.txt", 0));
	must(s, linkat(s->other, "big", s->other, "d.txt", 0));
	write_text(s->other, ".berth-restore", "left behind");
	must(s, unlinkat(s->other, "empty", 0));
	must(s, symlinkat("../tree", s->other, "empty"));
	get(s, "one", s->other, &stats);
	same_trees(s->tree, s->other);
	get(s, "one", s->tree, &stats);
	assert_int_equal(stats.wrote_bytes, 0);
}

static void a_restore_with_the_tree_of_now_reads_only_what_differs(void **state)
{
	struct stage *s = *state;
	struct vault_stats stats;
	struct vault_tree *one = NULL, *now = NULL;

	write_noise(s->tree, "big", 4 * MB, 3);
	settle_clock();
	put(s, "one", NULL, &stats);
	write_at(s->tree, "big", "changed", 7, 2 * MB);
	write_noise(s->tree, "grown", 2 * MB, 4);
	settle_clock();
	put(s, "now", "one", &stats);
	struct vault *v = opened(s, &plain);
	must(s, vault_load(v, "one", &one, &s->e));
	must(s, vault_load(v, "now", &now, &s->e));
	stats = (struct vault_stats){0};
	must(s, vault_restore(v, one, now, s->tree, &stats, &s->e));
	assert_int_equal(stats.wrote_bytes, MB);
	assert_int_equal(stats.removed, 1);
	vault_tree_free(one);
	vault_tree_free(now);
	vault_close(v);
	get(s, "one", s->other, &stats);
	same_trees(s->tree, s->other);
}

static void an_interrupted_scan_leaves_nothing_that_counts(void **state)
{
	struct stage *s = *state;
	struct vault_stats stats = {0};
	int new;

	make_tree(s->tree);
	put(s, "one", NULL, &stats);
	new = openat(s->vault, "new", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	write_text(new, "part", "half a piece");
	write_text(new,
		"0000000000000000000000000000000000000000000000000000000000000001",
		"not what its name says");
	get(s, "one", s->other, &stats);
	assert_int_equal(faccessat(new, "part", F_OK, 0), -1);
	close(new);
	same_trees(s->tree, s->other);
}

static void a_prune_keeps_what_is_named(void **state)
{
	struct stage *s = *state;
	struct vault_stats stats = {0};
	static const char *const keep[] = {"two"};

	write_noise(s->tree, "shared", MB, 1);
	write_noise(s->tree, "old", 2 * MB, 2);
	put(s, "one", NULL, &stats);
	must(s, unlinkat(s->tree, "old", 0));
	put(s, "two", "one", &stats);
	struct vault *v = opened(s, &plain);
	stats = (struct vault_stats){0};
	must(s, vault_prune(v, keep, 1, &stats, &s->e));
	vault_close(v);
	assert_true(stats.freed_bytes >= 2 * MB);
	assert_int_equal(stats.chunks, 2); /* shared and the manifest */
	assert_int_equal(get_with(s, &plain, "one", s->other, &stats), -ENOENT);
	get(s, "two", s->other, &stats);
	same_trees(s->tree, s->other);
}

/* The path of some piece of the vault, of this size. */
static int hurt_piece(struct stage *s, off_t size)
{
	char path[64];

	for (unsigned int i = 0; i < 256; i++) {
		snprintf(path, sizeof(path), "chunks/%02x", i);
		int fd autoclose =
			openat(s->vault, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		DIR *d = fd < 0 ? NULL : fdopendir(dup(fd));
		struct dirent *n;
		struct stat st;
		bool done = false;

		while (d && !done && (n = readdir(d)))
			if (n->d_name[0] != '.' && fstatat(fd, n->d_name, &st, 0) == 0 &&
				st.st_size == size) {
				write_at(fd, n->d_name, "?", 1, size / 2);
				done = true;
			}
		if (d)
			closedir(d);
		if (done)
			return 0;
	}
	return -ENOENT;
}

static void damage_is_found_and_never_restored(void **state)
{
	struct stage *s = *state;
	struct vault_stats stats = {0};
	struct vault *v;

	write_noise(s->tree, "f", MB, 9);
	put(s, "one", NULL, &stats);
	v = opened(s, &plain);
	must(s, vault_verify(v, NULL, &stats, &s->e));
	assert_int_equal(hurt_piece(s, MB), 0);
	assert_int_equal(vault_verify(v, NULL, &stats, &s->e), -EBADMSG);
	assert_non_null(strstr(s->e.text, "f"));
	vault_close(v);
	assert_int_equal(get_with(s, &plain, "one", s->other, &stats), -EBADMSG);
	assert_int_equal(faccessat(s->other, "f", F_OK, 0), -1);
}

static void a_damaged_tree_keeps_prune_from_removing(void **state)
{
	struct stage *s = *state;
	struct vault_stats stats = {0};
	static const char *const keep[] = {"one"};
	struct vault *v;
	struct stat st;

	write_noise(s->tree, "f", MB, 9);
	put(s, "one", NULL, &stats);
	write_noise(s->tree, "f", MB, 8);
	put(s, "two", NULL, &stats);
	assert_int_equal(fstatat(s->vault, "trees/one", &st, 0), 0);
	write_at(s->vault, "trees/one", "?", 1, st.st_size / 2);
	v = opened(s, &plain);
	assert_int_equal(vault_prune(v, keep, 1, &stats, &s->e), -EBADMSG);
	vault_close(v);
	get(s, "two", s->other, &stats);
}

static int turn(void *arg, const uint8_t *id, const void *data, size_t len,
	struct buf *out, struct err *e)
{
	uint8_t key = *(const uint8_t *)arg;
	uint8_t *at = (uint8_t *)buf_room(out, len);

	if (!at)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)(((const uint8_t *)data)[i] ^ key ^ id[i % VAULT_ID]);
	out->len += len;
	return 0;
}

static void a_vault_may_be_compressed_and_sealed(void **state)
{
	struct stage *s = *state;
	uint8_t key = 0x5a, id_key[32] = {7};
	const struct vault_codec codec = {turn, turn, &key, id_key};
	const struct vault_options o = {.zstd_level = 3, .codec = &codec};
	char *zeros autofree = calloc(1, MB);
	struct vault_stats stats;
	struct err e;

	make_tree(s->tree);
	memset(zeros, 'a', MB);
	write_at(s->tree, "dull", zeros, MB, 0);
	put_with(s, &o, "one", NULL, &stats);
	assert_true(stats.new_bytes < 3 * MB + MB / 2);
	must(s, get_with(s, &o, "one", s->other, &stats));
	same_trees(s->tree, s->other);
	assert_null(vault_open(s->vault, &plain, &e));
	assert_int_equal(e.code, EPROTO);
	key = 0x5b;
	assert_int_equal(get_with(s, &o, "one", s->other, &stats), -EBADMSG);
}

static void one_at_a_time(void **state)
{
	struct stage *s = *state;
	struct vault *v = opened(s, &plain);
	struct err e;

	assert_null(vault_open(s->vault, &plain, &e));
	assert_int_equal(e.code, EBUSY);
	vault_close(v);
	v = opened(s, &plain);
	vault_close(v);
}

/* ---- manifests ---- */

static const struct vault_entry root = {
	.path = "", .link = "", .xattrs = "", .kind = VAULT_DIR, .mode = 0755};

static struct vault_entry file(const char *path)
{
	return (struct vault_entry){
		.path = path, .link = "", .xattrs = "", .kind = VAULT_FILE, .mode = 0644};
}

static int made_of(const struct vault_entry *entries, size_t n)
{
	autobuf b = BUF_INIT;
	struct vault_tree *t = NULL;
	struct err e;
	int r;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(vault_entry_add(&b, &entries[i]), 0);
	r = vault_tree_make(&b, &t, &e);
	vault_tree_free(t);
	return r;
}

static void manifests_are_read_strictly(void **state)
{
	(void)state;
	const struct vault_entry good[] = {root, file("a"), file("b")};
	const struct vault_entry no_root[] = {file("a")};
	const struct vault_entry order[] = {root, file("b"), file("a")};
	const struct vault_entry twice[] = {root, file("a"), file("a")};
	const struct vault_entry below[] = {root, file("a"), file("a/b")};
	const struct vault_entry nowhere[] = {root, file("x/b")};
	struct vault_entry link = file("z"), bits = file("m");

	assert_int_equal(made_of(good, 3), 0);
	assert_int_equal(made_of(no_root, 1), -EBADMSG);
	assert_int_equal(made_of(order, 3), -EBADMSG);
	assert_int_equal(made_of(twice, 3), -EBADMSG);
	assert_int_equal(made_of(below, 3), -EBADMSG);
	assert_int_equal(made_of(nowhere, 2), -EBADMSG);
	static const char *const bad[] = {
		"..", ".", "../x", "/x", "a//b", "a/", "a/../b"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const struct vault_entry n[] = {root, file(bad[i])};
		assert_int_equal(made_of(n, 2), -EBADMSG);
	}
	link.kind = VAULT_HARDLINK;
	static const char *const targets[] = {"", "/etc/passwd", "../x", "z", "zz"};
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		link.link = targets[i];
		const struct vault_entry n[] = {root, link};
		assert_int_equal(made_of(n, 2), -EBADMSG);
	}
	link.link = "a";
	const struct vault_entry linked[] = {root, file("a"), link};
	assert_int_equal(made_of(linked, 3), 0);
	bits.mode = 0100644;
	const struct vault_entry moded[] = {root, bits};
	assert_int_equal(made_of(moded, 2), -EBADMSG);
	bits.mode = 0644;
	bits.xattrs = "trusted.x\0\1\0\0\0v";
	bits.xattrs_len = 15;
	const struct vault_entry attributed[] = {root, bits};
	assert_int_equal(made_of(attributed, 2), -EBADMSG);
}

/* Whatever bytes are changed or cut: refused, or a tree whose every path is one. */
static void changed_manifests_do_no_harm(void **state)
{
	struct stage *s = *state;
	struct vault_stats stats = {0};
	struct vault *v = opened(s, &plain);
	struct vault_tree *t = NULL;
	unsigned int seed = 20261128, accepted = 0;

	make_tree(s->tree);
	must(s, vault_scan(v, s->tree, NULL, 0, &t, &stats, &s->e));
	for (int round = 0; round < 20000; round++) {
		struct buf b = BUF_INIT;
		struct vault_tree *other = NULL;
		struct vault_entry n;
		size_t at = 0;

		buf_add(&b, t->data, t->len);
		for (int k = 0; b.len && k < 1 + round % 3; k++) {
			seed = seed * 1103515245 + 12345;
			size_t where = (seed >> 8) % b.len;
			seed = seed * 1103515245 + 12345;
			b.data[where] = (char)(seed >> 16);
			if (round % 7 == 0)
				b.len = where;
		}
		if (b.len && vault_tree_make(&b, &other, &s->e) == 0) {
			accepted++;
			while (vault_tree_next(other, &at, &n))
				assert_true(!*n.path || vault_path_valid(n.path));
		}
		vault_tree_free(other);
		buf_free(&b);
	}
	assert_true(accepted > 0); /* owners and times may be anything */
	vault_tree_free(t);
	vault_close(v);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		T(a_tree_comes_back_as_it_was),
		T(what_did_not_change_is_not_read),
		T(a_small_change_costs_one_piece),
		T(a_file_written_within_a_tick_is_read_again),
		T(what_is_read_while_held_is_read_again),
		T(of_a_large_file_only_what_changed_is_hashed_while_held),
		T(a_restore_takes_away_what_is_extra),
		T(a_restore_with_the_tree_of_now_reads_only_what_differs),
		T(an_interrupted_scan_leaves_nothing_that_counts),
		T(a_prune_keeps_what_is_named),
		T(damage_is_found_and_never_restored),
		T(a_damaged_tree_keeps_prune_from_removing),
		T(a_vault_may_be_compressed_and_sealed),
		T(one_at_a_time),
		T(manifests_are_read_strictly),
		T(changed_manifests_do_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

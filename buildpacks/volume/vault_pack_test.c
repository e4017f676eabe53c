/* Trees as archives, and what strangers' archives become. */
#include "buildpacks/image/blob.h"
#include "buildpacks/image/pax.h"
#include "buildpacks/volume/vault_inside.h"
#include "buildpacks/volume/vault_pack.h"
#include "lib/io.h"
#include <setjmp.h>
#include <stdarg.h>
/* cmocka wants the ones above */
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MB (1 << 20)

struct stage {
	char path[64];
	int vault, tree, other;
	struct vault *v;
	struct err e;
};

static int folder(const char *above, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", above, name);
	assert_return_code(mkdir(path, 0755), errno);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int begin(void **state)
{
	static const struct vault_options plain = {0};
	struct stage *s = calloc(1, sizeof(*s));

	strcpy(s->path, "/tmp/berth-pack-XXXXXX");
	assert_non_null(mkdtemp(s->path));
	s->vault = folder(s->path, "vault");
	s->tree = folder(s->path, "tree");
	s->other = folder(s->path, "other");
	s->v = vault_open(s->vault, &plain, &s->e);
	assert_non_null(s->v);
	*state = s;
	return 0;
}

static int end(void **state)
{
	struct stage *s = *state;

	vault_close(s->v);
	close(s->vault);
	close(s->tree);
	close(s->other);
	assert_int_equal(io_remove_tree(AT_FDCWD, s->path), 0);
	free(s);
	return 0;
}

static void write_file(int dir, const char *name, const void *data, size_t len)
{
	int fd autoclose = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);

	assert_int_equal(io_write_all(fd, data, len), 0);
}

static int unpacked(struct stage *s, int fd, const struct vault_unpack *how)
{
	struct vault_unpack u = *how;
	struct vault_stats stats = {0};
	struct vault_tree *t = NULL;
	int r;

	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	u.fd = fd;
	r = vault_unpack(s->v, &u, &t, &stats, &s->e);
	if (r == 0) {
		assert_int_equal(vault_save(s->v, "in", t, &stats, &s->e), 0);
		r = vault_restore(s->v, t, NULL, s->other, &stats, &s->e);
	}
	vault_tree_free(t);
	return r;
}

static const struct vault_unpack usual = {.max_bytes = 64 * MB, .max_files = 100};
static const struct vault_unpack loose = {
	.max_bytes = 64 * MB, .max_files = 100, .unverified = true};

/* ---- our own ---- */

/* Some files and their archive, in memory. */
static int packed(struct stage *s)
{
	char *data autofree = malloc(3 * MB);
	struct vault_stats stats = {0};
	struct vault_tree *t = NULL;
	int fd = memfd_create("archive", MFD_CLOEXEC);

	for (size_t i = 0; i < 3 * MB; i++)
		data[i] = (char)(i * i >> 7);
	memset(data + MB, 0, MB);
	write_file(s->tree, "big", data, 3 * MB - 5);
	write_file(s->tree, "small", "x", 1);
	assert_int_equal(mkdirat(s->tree, "d", 0750), 0);
	assert_int_equal(linkat(s->tree, "small", s->tree, "d/again", 0), 0);
	assert_int_equal(symlinkat("../nowhere", s->tree, "d/link"), 0);
	assert_int_equal(vault_scan(s->v, s->tree, NULL, 0, &t, &stats, &s->e), 0);
	assert_int_equal(vault_save(s->v, "out", t, &stats, &s->e), 0);
	vault_tree_free(t);
	assert_int_equal(vault_pack(s->v, "out", fd, &stats, &s->e), 0);
	return fd;
}

static void what_was_exported_comes_back(void **state)
{
	struct stage *s = *state;
	int fd autoclose = packed(s);
	struct stat st, again;
	char cmd[200];

	if (unpacked(s, fd, &usual) < 0)
		fail_msg("%s", s->e.text);
	snprintf(cmd, sizeof(cmd), "%s/other/big", s->path);
	assert_int_equal(stat(cmd, &st), 0);
	assert_int_equal(st.st_size, 3 * MB - 5);
	assert_true(st.st_blocks * 512 < 2 * MB + MB / 2);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(fstatat(s->other, "small", &st, 0), 0);
	assert_int_equal(fstatat(s->other, "d/again", &again, 0), 0);
	assert_int_equal(st.st_ino, again.st_ino);
	assert_int_equal(fstatat(s->other, "d/link", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISLNK(st.st_mode));
}

static void one_changed_byte_is_refused_whatever_is_asked(void **state)
{
	struct stage *s = *state;
	int fd autoclose = packed(s);
	off_t size = lseek(fd, 0, SEEK_END);
	char byte;

	for (off_t at = 1; at < size; at += size / 40) {
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 0x10;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		assert_true(unpacked(s, fd, &usual) < 0);
		byte ^= 0x10;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	assert_int_equal(faccessat(s->other, "small", F_OK, 0), -1);
	assert_int_equal(unpacked(s, fd, &usual), 0);
}

static void a_cut_archive_is_refused(void **state)
{
	struct stage *s = *state;
	int fd autoclose = packed(s);
	off_t size = lseek(fd, 0, SEEK_END);

	for (off_t at = size - 1; at > 0; at -= size / 20) {
		assert_int_equal(ftruncate(fd, at), 0);
		assert_true(unpacked(s, fd, &usual) < 0);
	}
	assert_int_equal(faccessat(s->other, "small", F_OK, 0), -1);
}

/* ---- strangers' ---- */

struct made {
	struct blob b;
	int fd;
};

static struct made *make(void)
{
	struct made *m = calloc(1, sizeof(*m));

	m->fd = memfd_create("archive", MFD_CLOEXEC);
	assert_int_equal(blob_open(&m->b, m->fd, BLOB_PLAIN), 0);
	return m;
}

static void add(struct made *m, char type, const char *path, const char *link,
	unsigned int mode, const char *data)
{
	const struct pax_entry n = {.path = path,
		.link = link,
		.type = type,
		.mode = mode,
		.uid = 70000,
		.size = data ? strlen(data) : 0};

	assert_int_equal(pax_head(&m->b, &n), 0);
	if (data) {
		assert_int_equal(blob_write(&m->b, data, strlen(data)), 0);
		assert_int_equal(pax_pad(&m->b, strlen(data)), 0);
	}
}

/* Takes it in, and away. */
static int give(struct stage *s, struct made *m, const struct vault_unpack *how)
{
	char plain[65], stored[65];
	int r;

	assert_int_equal(pax_end(&m->b), 0);
	assert_int_equal(blob_end(&m->b, plain, stored), 0);
	r = unpacked(s, m->fd, how);
	blob_free(&m->b);
	close(m->fd);
	free(m);
	return r;
}

static int give_one(struct stage *s, char type, const char *path, const char *link)
{
	struct made *m = make();

	add(m, '0', "good", NULL, 0644, "good");
	add(m, type, path, link, 0644, type == '0' ? "bad" : NULL);
	return give(s, m, &loose);
}

static void hostile_names_are_refused(void **state)
{
	struct stage *s = *state;

	assert_int_equal(give_one(s, '0', "fine", NULL), 0); /* the control */
	assert_int_equal(give_one(s, '0', "/etc/passwd", NULL), -EPERM);
	assert_int_equal(give_one(s, '0', "../x", NULL), -EPERM);
	assert_int_equal(give_one(s, '0', "a/../../x", NULL), -EPERM);
	assert_int_equal(give_one(s, '1', "link", "/etc/passwd"), -EPERM);
	assert_int_equal(give_one(s, '1', "link", "../x"), -EPERM);
	assert_int_equal(give_one(s, '1', "link", "missing"), -EPERM);
	assert_int_equal(give_one(s, '0', "good/below", NULL), -EPERM);
}

static void an_entry_below_a_link_is_refused(void **state)
{
	struct stage *s = *state;
	struct made *m = make();

	add(m, '2', "out", "/tmp", 0777, NULL);
	add(m, '0', "out/x", NULL, 0644, "x");
	assert_int_equal(give(s, m, &loose), -EPERM);
}

static void what_is_odd_is_made_safe(void **state)
{
	struct stage *s = *state;
	struct made *m = make();
	struct stat st, again;

	add(m, '0', "deep/er/setuid", NULL, 06755, "x");
	add(m, '3', "device", NULL, 0666, NULL);
	add(m, '0', "zz", NULL, 0644, "linked");
	add(m, '1', "aa", "zz", 0644, NULL);
	add(m, '0', "twice", NULL, 0644, "old");
	add(m, '0', "twice", NULL, 0644, "newer");
	if (give(s, m, &loose) < 0)
		fail_msg("%s", s->e.text);
	assert_int_equal(fstatat(s->other, "deep/er/setuid", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(st.st_uid, 65534);
	assert_int_equal(faccessat(s->other, "device", F_OK, 0), -1);
	assert_int_equal(fstatat(s->other, "zz", &st, 0), 0);
	assert_int_equal(fstatat(s->other, "aa", &again, 0), 0);
	assert_int_equal(st.st_ino, again.st_ino);
	assert_int_equal(st.st_size, 6);
	assert_int_equal(fstatat(s->other, "twice", &st, 0), 0);
	assert_int_equal(st.st_size, 5);
}

static void more_than_allowed_is_refused(void **state)
{
	struct stage *s = *state;
	const struct vault_unpack few = {
		.max_bytes = MB, .max_files = 3, .unverified = true};
	const struct vault_unpack small = {
		.max_bytes = 7, .max_files = 100, .unverified = true};
	struct made *m = make();

	for (int i = 0; i < 4; i++)
		add(m, '0', (const char *const[]){"a", "b", "c", "d"}[i], NULL, 0644,
			"x");
	assert_int_equal(give(s, m, &few), -EFBIG);
	m = make();
	add(m, '0', "a", NULL, 0644, "1234");
	add(m, '0', "b", NULL, 0644, "1234");
	assert_int_equal(give(s, m, &small), -EFBIG);
}

static void an_archive_without_checksum_is_taken_only_when_asked(void **state)
{
	struct stage *s = *state;
	struct made *m = make();

	add(m, '0', "a", NULL, 0644, "x");
	assert_int_equal(give(s, m, &usual), -EBADMSG);
	assert_non_null(strstr(s->e.text, "--unverified"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		T(what_was_exported_comes_back),
		T(one_changed_byte_is_refused_whatever_is_asked),
		T(a_cut_archive_is_refused),
		T(hostile_names_are_refused),
		T(an_entry_below_a_link_is_refused),
		T(what_is_odd_is_made_safe),
		T(more_than_allowed_is_refused),
		T(an_archive_without_checksum_is_taken_only_when_asked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Layers as tar: order, whiteouts, hard links, names, and that equal trees give equal bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "buildpacks/image/layer.h"
#include "lib/buf.h"
#include "lib/io.h"
#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

struct fixture {
	char root[64], layer[80], below[80], merged[80];
	struct layer_places p;
};

static void make(const char *place, const char *path, const char *text)
{
	char whole[4096];
	int fd;

	snprintf(whole, sizeof(whole), "%s/%s", place, path);
	for (char *s = whole + strlen(place) + 1; (s = strchr(s, '/')); s++) {
		*s = '\0';
		mkdir(whole, 0755);
		*s = '/';
	}
	if (!text)
		return;
	fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

static void make_whiteout(const char *place, const char *path)
{
	char whole[200];

	make(place, path, NULL);
	snprintf(whole, sizeof(whole), "%s/%s", place, path);
	assert_int_equal(mknod(whole, S_IFCHR, makedev(0, 0)), 0);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->root, sizeof(f->root), "/tmp/berth-layer.XXXXXX");
	assert_non_null(mkdtemp(f->root));
	snprintf(f->layer, sizeof(f->layer), "%s/layer", f->root);
	snprintf(f->below, sizeof(f->below), "%s/below", f->root);
	snprintf(f->merged, sizeof(f->merged), "%s/merged", f->root);
	f->p = (struct layer_places){
		.layer = f->layer, .below = f->below, .merged = f->merged};
	mkdir(f->layer, 0755);
	mkdir(f->below, 0755);
	mkdir(f->merged, 0755);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	io_remove_tree(AT_FDCWD, f->root);
	free(f);
	return 0;
}

/* The tar in a memory file; plain gets its digest. */
static int write_tar(
	struct fixture *f, enum blob_form form, char plain[65], char stored[65])
{
	int fd = memfd_create("layer", MFD_CLOEXEC);
	struct blob b;
	struct err e = {0};

	assert_int_equal(blob_open(&b, fd, form), 0);
	if (layer_write(&f->p, &b, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(blob_end(&b, plain, stored), 0);
	blob_free(&b);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* Every entry as "PATH[=TARGET][:SIZE]", one a line. */
static void list(int fd, struct buf *out)
{
	struct archive *a = archive_read_new();
	struct archive_entry *entry;

	archive_read_support_format_tar(a);
	assert_int_equal(archive_read_open_fd(a, fd, 10240), ARCHIVE_OK);
	while (archive_read_next_header(a, &entry) == ARCHIVE_OK) {
		const char *link = archive_entry_hardlink(entry);

		if (!link)
			link = archive_entry_symlink(entry);
		buf_addf(out, "%s%s%s:%d\n", archive_entry_pathname(entry),
			link ? "=" : "", link ? link : "",
			(int)archive_entry_size(entry));
	}
	archive_read_free(a);
}

static void entries_are_sorted_and_whiteouts_come_first(void **state)
{
	struct fixture *f = *state;
	char from[100], to[100], plain[65], stored[65];
	autobuf out = BUF_INIT;

	make(f->layer, "b/z", "12345");
	make_whiteout(f->layer, "b/x");
	make(f->layer, "b/a", "1");
	snprintf(from, sizeof(from), "%s/b/a", f->layer);
	snprintf(to, sizeof(to), "%s/b/link", f->layer);
	assert_int_equal(link(from, to), 0);
	snprintf(to, sizeof(to), "%s/c", f->layer);
	assert_int_equal(symlink("b/../b/z", to), 0);
	/* hidden by the whiteout; seen; and nothing says why it is hidden: the folder must */
	make(f->below, "b/x", "");
	make(f->below, "b/seen", "");
	make(f->merged, "b/seen", "");
	make(f->below, "d/gone", "");
	make(f->layer, "d/new", "");
	make(f->merged, "d/new", "");
	int fd autoclose = write_tar(f, BLOB_PLAIN, plain, stored);
	list(fd, &out);
	assert_string_equal(out.data, "b/:0\nb/.wh.x:0\nb/a:1\nb/link=b/a:0\nb/z:5\n"
				      "c=b/../b/z:0\nd/:0\nd/.wh..wh..opq:0\nd/new:0\n");
	assert_string_equal(plain, stored);
}

static void long_names_and_attributes_are_kept(void **state)
{
	struct fixture *f = *state;
	char plain[65], stored[65], name[600], whole[800];
	autobuf out = BUF_INIT, raw = BUF_INIT;
	int n = 0;

	for (int i = 0; i < 100; i++)
		n += snprintf(name + n, sizeof(name) - (size_t)n, "d%02d/", i);
	snprintf(name + n, sizeof(name) - (size_t)n, "f\xc3\xa9");
	make(f->layer, name, "x");
	snprintf(whole, sizeof(whole), "%s/%s", f->layer, name);
	bool attributes = setxattr(whole, "user.colour", "blue", 4, 0) == 0;
	int fd autoclose = write_tar(f, BLOB_PLAIN, plain, stored);
	char *at = buf_room(&raw, 1 << 20);
	raw.len = (size_t)read(fd, at, 1 << 20);
	assert_non_null(memmem(raw.data, raw.len, name, strlen(name)));
	if (attributes) /* not on every file system */
		assert_non_null(
			memmem(raw.data, raw.len, "SCHILY.xattr.user.colour=blue\n", 30));
	lseek(fd, 0, SEEK_SET);
	list(fd, &out);
	assert_non_null(strstr(out.data, "d98/d99/:0\n"));
}

static void equal_trees_give_equal_bytes(void **state)
{
	struct fixture *f = *state;
	char plain[6][65], stored[6][65];

	make(f->layer, "a/b", "some text");
	for (int i = 0; i < 6; i++)
		close(write_tar(f, (enum blob_form)(i / 2), plain[i], stored[i]));
	assert_string_equal(stored[0], stored[1]);
	assert_string_equal(stored[2], stored[3]);
	assert_string_equal(stored[4], stored[5]);
	assert_string_not_equal(stored[0], stored[2]);
	assert_string_not_equal(stored[2], stored[4]);
	assert_string_equal(plain[0], plain[3]);
	assert_string_equal(plain[0], plain[5]);
	make(f->layer, "a/b", "other bits");
	close(write_tar(f, BLOB_PLAIN, plain[1], stored[1]));
	assert_string_not_equal(plain[0], plain[1]);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(entries_are_sorted_and_whiteouts_come_first),
		T(long_names_and_attributes_are_kept),
		T(equal_trees_give_equal_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

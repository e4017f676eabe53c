/* Source trees from tar streams: names, links, hostile archives. */
#include "buildpacks/source/tree.h"
#include "buildpacks/source/untar.h"
#include "lib/buf.h"
#include "lib/io.h"
#include "lib/tar.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

struct fixture {
	char dir[64];
	int stream;
	struct tar tar;
	json_t *warnings;
	struct err e;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->dir, sizeof(f->dir), "/tmp/berth-tree-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->stream = memfd_create("tar", MFD_CLOEXEC);
	f->warnings = json_array();
	assert_int_equal(tar_open(&f->tar, f->stream, 0), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	tar_free(&f->tar);
	close(f->stream);
	json_decref(f->warnings);
	io_remove_tree(AT_FDCWD, f->dir);
	free(f);
	return 0;
}

static int unpack(struct fixture *f, bool merge)
{
	assert_int_equal(tar_end(&f->tar), 0);
	assert_int_equal(lseek(f->stream, 0, SEEK_SET), 0);
	return tree_unpack(f->stream, f->dir, merge, f->warnings, &f->e);
}

static void put(struct fixture *f, const char *path, const char *text)
{
	assert_int_equal(tar_file(&f->tar, path, false, text, strlen(text)), 0);
}

static void check_file(const struct fixture *f, const char *path, const char *text)
{
	autobuf b = BUF_INIT;
	int dir autoclose = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(io_read_file(dir, path, &b), 0);
	assert_int_equal(b.len, strlen(text));
	if (b.len)
		assert_memory_equal(b.data, text, b.len);
}

static void a_tree_arrives_as_it_was_sent(void **state)
{
	struct fixture *f = *state;
	char long_name[201], path[600];
	struct stat st;

	memset(long_name, 'n', 200);
	long_name[200] = '\0';
	snprintf(path, sizeof(path), "deep/%s/%s", long_name, long_name);
	assert_int_equal(tar_folder(&f->tar, "deep/"), 0);
	put(f, path, "far");
	put(f, "empty", "");
	put(f, "without/its/folders", "x");
	put(f, "Icon\r", "odd name");
	assert_int_equal(tar_file(&f->tar, "run.sh", true, "#!/bin/sh\n", 10), 0);
	assert_int_equal(tar_link(&f->tar, "link", "run.sh", 6), 0);
	assert_int_equal(unpack(f, false), 0);
	check_file(f, path, "far");
	check_file(f, "empty", "");
	check_file(f, "without/its/folders", "x");
	check_file(f, "Icon\r", "odd name");
	check_file(f, "link", "#!/bin/sh\n");
	snprintf(path, sizeof(path), "%s/run.sh", f->dir);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(json_array_size(f->warnings), 0);
}

/* Sizes around the writer's buffer: what waits in it must go out before a large piece. */
static void files_of_every_size_keep_their_order(void **state)
{
	static const size_t sizes[] = {10, 511, 512, 513, (size_t)130 << 10, 1,
		(size_t)200 << 10, (size_t)255 << 10, (size_t)256 << 10,
		(size_t)700 << 10, 3};
	struct fixture *f = *state;
	char name[16];
	char *data autofree = calloc(1, (size_t)701 << 10);

	assert_non_null(data);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		snprintf(name, sizeof(name), "f%zu", i);
		memset(data, 'a' + (int)i, sizes[i]);
		assert_int_equal(tar_file(&f->tar, name, false, data, sizes[i]), 0);
	}
	assert_int_equal(unpack(f, false), 0);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		snprintf(name, sizeof(name), "f%zu", i);
		memset(data, 'a' + (int)i, sizes[i]);
		data[sizes[i]] = '\0';
		check_file(f, name, data);
	}
}

static void refuse(const char *path, const char *word)
{
	struct fixture *f;

	set_up((void **)&f);
	put(f, path, "x");
	if (unpack(f, false) != -EPERM)
		fail_msg("%s must be refused", path);
	if (!strstr(f->e.text, word))
		fail_msg("%s: the message must name the reason: %s", path, f->e.text);
	tear_down((void **)&f);
}

static void names_that_could_leave_the_tree_are_refused(void **state UNUSED)
{
	refuse("/etc/passwd", "absolute");
	refuse("../esc", "..");
	refuse("a/../b", "..");
	refuse("a//b", "empty part");
	refuse(".git/config", ".git");
	refuse("a/.GIT/config", ".git");
	refuse("git~1", ".git");
}

static void nothing_is_written_through_a_link(void **state)
{
	struct fixture *f = *state;
	char outside[80], path[128];

	snprintf(outside, sizeof(outside), "%s-out", f->dir);
	assert_int_equal(mkdir(outside, 0700), 0);
	assert_int_equal(tar_link(&f->tar, "d", outside, strlen(outside)), 0);
	put(f, "d/f", "escaped");
	int r = unpack(f, false);
	snprintf(path, sizeof(path), "%s/f", outside);
	bool escaped = access(path, F_OK) == 0;
	unlink(path);
	rmdir(outside);
	assert_int_equal(r, -EPERM);
	assert_false(escaped);
	assert_non_null(strstr(f->e.text, "d/f"));
}

static void a_name_twice_is_refused_unless_merging(void **state)
{
	struct fixture *f = *state;

	put(f, "a", "1");
	put(f, "a", "2");
	assert_int_equal(unpack(f, false), -EEXIST);
	assert_int_equal(lseek(f->stream, 0, SEEK_SET), 0);
	assert_int_equal(tree_unpack(f->stream, f->dir, true, NULL, &f->e), 0);
	check_file(f, "a", "2");
}

static void what_is_gone_goes_where_a_tree_is_changed(void **state)
{
	struct fixture *f = *state;
	char kept[96];

	snprintf(kept, sizeof(kept), "%s/kept", f->dir);
	put(f, "folder/deep/x", "1");
	put(f, "kept/x", "1");
	assert_int_equal(tar_link(&f->tar, "link", "kept", 4), 0);
	assert_int_equal(unpack(f, false), 0);
	assert_int_equal(ftruncate(f->stream, 0), 0);
	assert_int_equal(lseek(f->stream, 0, SEEK_SET), 0);
	assert_int_equal(tar_gone(&f->tar, "folder"), 0);
	assert_int_equal(tar_gone(&f->tar, "link"), 0);
	assert_int_equal(tar_gone(&f->tar, "absent"), 0);
	put(f, "folder", "a file now");
	assert_int_equal(unpack(f, true), 0);
	check_file(f, "folder", "a file now");
	check_file(f, "kept/x", "1");
	assert_int_equal(access(kept, F_OK), 0);
	/* a whole tree has nothing that could be gone, and no name leads outside */
	assert_int_equal(lseek(f->stream, 0, SEEK_SET), 0);
	assert_int_equal(tree_unpack(f->stream, f->dir, false, NULL, &f->e), -EPERM);
	check_file(f, "folder", "a file now");
	assert_int_equal(ftruncate(f->stream, 0), 0);
	assert_int_equal(lseek(f->stream, 0, SEEK_SET), 0);
	assert_int_equal(tar_gone(&f->tar, "kept/../.."), 0);
	assert_int_equal(unpack(f, true), -EPERM);
}

static void links_outside_and_lfs_pointers_are_reported(void **state)
{
	struct fixture *f = *state;

	put(f, "big.bin",
		"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
	put(f, "sub/dir/x", "x");
	assert_int_equal(tar_link(&f->tar, "sub/up", "../../etc", 9), 0);
	assert_int_equal(tar_link(&f->tar, "sub/fine", "../big.bin", 10), 0);
	assert_int_equal(unpack(f, false), 0);
	assert_int_equal(json_array_size(f->warnings), 2);
	assert_non_null(strstr(json_string_value(json_array_get(f->warnings, 0)),
		"not fetched: big.bin"));
	assert_non_null(
		strstr(json_string_value(json_array_get(f->warnings, 1)), "sub/up"));
}

static void many_warnings_are_counted(void **state)
{
	struct fixture *f = *state;
	char name[16];

	for (int i = 0; i < TREE_WARNINGS_MAX + 5; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		assert_int_equal(tar_link(&f->tar, name, "/etc", 4), 0);
	}
	assert_int_equal(unpack(f, false), 0);
	assert_int_equal(json_array_size(f->warnings), TREE_WARNINGS_MAX + 1);
	const char *last =
		json_string_value(json_array_get(f->warnings, TREE_WARNINGS_MAX));
	assert_non_null(strstr(last, "5 more"));
}

static void cut_and_broken_streams_are_errors(void **state)
{
	struct fixture *f = *state;
	char block[512];

	put(f, "a", "some text");
	assert_int_equal(tar_end(&f->tar), 0);
	assert_int_equal(pread(f->stream, block, sizeof(block), 0), (int)sizeof(block));
	for (int cut = 100; cut < 1024; cut += 300) {
		assert_int_equal(ftruncate(f->stream, cut), 0);
		lseek(f->stream, 0, SEEK_SET);
		assert_int_equal(
			tree_unpack(f->stream, f->dir, true, NULL, &f->e), -EBADMSG);
	}
	block[0] ^= 1; /* the checksum no longer fits */
	assert_int_equal(pwrite(f->stream, block, sizeof(block), 0), (int)sizeof(block));
	lseek(f->stream, 0, SEEK_SET);
	assert_int_equal(tree_unpack(f->stream, f->dir, true, NULL, &f->e), -EBADMSG);
}

/* Every kind of entry that is neither file, folder nor symlink, with a good checksum. */
static void devices_and_hard_links_are_refused(void **state)
{
	struct fixture *f = *state;
	unsigned char block[512];

	put(f, "a", "");
	assert_int_equal(tar_end(&f->tar), 0);
	for (const char *type = "1346SDV"; *type; type++) {
		unsigned int sum = 0;
		assert_int_equal(
			pread(f->stream, block, sizeof(block), 0), (int)sizeof(block));
		block[156] = (unsigned char)*type;
		memset(block + 148, ' ', 8);
		for (size_t i = 0; i < sizeof(block); i++)
			sum += block[i];
		snprintf((char *)block + 148, 8, "%06o", sum);
		assert_int_equal(
			pwrite(f->stream, block, sizeof(block), 0), (int)sizeof(block));
		lseek(f->stream, 0, SEEK_SET);
		if (tree_unpack(f->stream, f->dir, true, NULL, &f->e) != -EPERM)
			fail_msg("type %c must be refused", *type);
	}
}

static void link_targets_are_measured(void **state UNUSED)
{
	assert_false(untar_link_leaves("a", "b", "/app"));
	assert_false(untar_link_leaves("a/b/c", "../../d", "/app"));
	assert_true(untar_link_leaves("a/b/c", "../../../d", "/app"));
	assert_false(untar_link_leaves("a", "/app/b", "/app"));
	assert_true(untar_link_leaves("a", "/app/../etc", "/app"));
	assert_true(untar_link_leaves("a", "/application", "/app"));
	assert_true(untar_link_leaves("a", "x/../../y", "/app"));
	assert_false(untar_link_leaves("a", "./x/./y", "/app"));
}

int main(void)
{
#define WITH_DIR(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_DIR(a_tree_arrives_as_it_was_sent),
		WITH_DIR(files_of_every_size_keep_their_order),
		cmocka_unit_test(names_that_could_leave_the_tree_are_refused),
		WITH_DIR(nothing_is_written_through_a_link),
		WITH_DIR(a_name_twice_is_refused_unless_merging),
		WITH_DIR(links_outside_and_lfs_pointers_are_reported),
		WITH_DIR(many_warnings_are_counted),
		WITH_DIR(cut_and_broken_streams_are_errors),
		WITH_DIR(devices_and_hard_links_are_refused),
		WITH_DIR(what_is_gone_goes_where_a_tree_is_changed),
		cmocka_unit_test(link_targets_are_measured),
	};

	return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}

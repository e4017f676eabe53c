/* Source archives: the tree that git would make of them, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "buildpacks/source/archive.h"
#include "buildpacks/source/git_tree.h"
#include "lib/io.h"
#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* git write-tree of a.sh (a program), a/b/c.txt and a0 "hello\n", a-b "x", link -> a/b/c.txt. */
#define TREE "c91788205437eb0fe70f2f9d785d00176f459ce6"
#define EMPTY_BLOB "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"

struct fixture {
	struct archive_commit a;
	struct archive *out;
	struct err e;
	json_t *said;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->a = (struct archive_commit){.fd = memfd_create("archive", MFD_CLOEXEC),
		.pack = memfd_create("pack", MFD_CLOEXEC),
		.max_files = 1000,
		.max_bytes = 1 << 20,
		.max_file = 1 << 19,
		.parent = "",
		.tree = "",
		.author = "A <a@b>",
		.message = "text",
		.time_s = 1700000000};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	archive_write_free(f->out);
	close(f->a.fd);
	close(f->a.pack);
	json_decref(f->said);
	free(f);
	return 0;
}

static void begin(struct fixture *f, bool zip)
{
	f->out = archive_write_new();
	if (zip)
		archive_write_set_format_zip(f->out);
	else
		archive_write_set_format_gnutar(f->out);
	archive_write_set_bytes_per_block(f->out, 512);
	archive_write_open_fd(f->out, f->a.fd);
}

/* type: '0' file, 'x' program, '1' hard link, '2' link, '5' folder, '6' FIFO. */
static void add(struct fixture *f, const char *path, char type, const char *text)
{
	struct archive_entry *n = archive_entry_new();
	bool file = type == '0' || type == 'x';

	archive_entry_set_pathname(n, path);
	archive_entry_set_filetype(n, type == '2'   ? AE_IFLNK
				      : type == '5' ? AE_IFDIR
				      : type == '6' ? AE_IFIFO
						    : AE_IFREG);
	archive_entry_set_perm(n, type == 'x' ? 04755 : 0644);
	archive_entry_set_size(n, file ? (la_int64_t)strlen(text) : 0);
	if (type == '1')
		archive_entry_set_hardlink(n, text);
	if (type == '2')
		archive_entry_set_symlink(n, text);
	assert_int_equal(archive_write_header(f->out, n), ARCHIVE_OK);
	if (file && *text)
		assert_true(archive_write_data(f->out, text, strlen(text)) > 0);
	archive_entry_free(n);
}

static void add_sample(struct fixture *f, const char *top)
{
	static const struct {
		const char *path;
		char type;
		const char *text;
	} all[] = {{"a0", '0', "hello\n"}, {"link", '2', "a/b/c.txt"},
		{"a/b/c.txt", '0', "hello\n"}, {"a.sh", 'x', "#!/bin/sh\n"},
		{"a-b", '0', "x"}, {"empty/", '5', ""}};
	char path[100];

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		snprintf(path, sizeof(path), "%s%s", top, all[i].path);
		add(f, path, all[i].type, all[i].text);
	}
}

static int run(struct fixture *f)
{
	if (f->out)
		archive_write_close(f->out);
	lseek(f->a.fd, 0, SEEK_SET);
	return archive_to_pack(&f->a, &f->said, &f->e);
}

static const char *said(struct fixture *f, const char *key)
{
	return json_string_value(json_object_get(f->said, key));
}

static void refuses(struct fixture *f, int code, const char *text)
{
	assert_int_equal(run(f), code);
	if (!strstr(f->e.text, text))
		fail_msg("not in \"%s\": %s", f->e.text, text);
	assert_null(f->said);
}

/* ---- taken ---- */

static void a_tree_is_what_git_makes_of_the_files(void **state)
{
	struct fixture *f = *state;
	char magic[12];

	begin(f, false);
	add_sample(f, "");
	assert_int_equal(run(f), 0);
	assert_string_equal(said(f, "tree"), TREE);
	assert_null(said(f, "top"));
	assert_int_equal(pread(f->a.pack, magic, 12, 0), 12);
	/* 4 contents, 3 folders, the commit */
	assert_memory_equal(magic, "PACK\0\0\0\2\0\0\0\10", 12);
}

static void one_folder_around_all_is_taken_off(void **state)
{
	struct fixture *f = *state;

	begin(f, false);
	add_sample(f, "./project-1/");
	assert_int_equal(run(f), 0);
	assert_string_equal(said(f, "tree"), TREE);
	assert_string_equal(said(f, "top"), "project-1");
}

static void a_zip_gives_the_same_tree(void **state)
{
	struct fixture *f = *state;

	begin(f, true);
	add_sample(f, "p/");
	assert_int_equal(run(f), 0);
	assert_string_equal(said(f, "tree"), TREE);
}

static void what_did_not_change_makes_no_commit_unless_it_must(void **state)
{
	struct fixture *f = *state;

	f->a.tree = TREE;
	begin(f, false);
	add_sample(f, "");
	assert_int_equal(run(f), 0);
	assert_true(json_is_true(json_object_get(f->said, "same")));
	json_decref(f->said);
	f->a.force = true;
	assert_int_equal(ftruncate(f->a.pack, 0), 0);
	lseek(f->a.pack, 0, SEEK_SET);
	assert_int_equal(run(f), 0);
	assert_int_equal(strlen(said(f, "commit")), 40);
}

static void the_later_of_two_files_of_one_name_counts(void **state)
{
	struct fixture *f = *state;

	begin(f, false);
	add_sample(f, "");
	add(f, "a0", 'x', "first");
	add(f, "a0", '0', "hello\n");
	assert_int_equal(run(f), 0);
	assert_string_equal(said(f, "tree"), TREE);
}

static void a_hard_link_is_the_file_once_more(void **state)
{
	struct fixture *f = *state;

	begin(f, false);
	add(f, "a/b/c.txt", '0', "hello\n");
	add(f, "a0", '1', "a/b/c.txt");
	add(f, "link", '2', "a/b/c.txt");
	add(f, "a.sh", 'x', "#!/bin/sh\n");
	add(f, "a-b", '0', "x");
	assert_int_equal(run(f), 0);
	assert_string_equal(said(f, "tree"), TREE);
}

static void a_checkouts_own_git_folder_is_left_out(void **state)
{
	struct fixture *f = *state;

	begin(f, false);
	add_sample(f, "");
	add(f, ".git/config", '0', "[core]\n\tfsmonitor = evil\n");
	add(f, "a/.git", '0', "gitdir: /etc");
	add(f, ".git/pipe", '6', "");
	assert_int_equal(run(f), 0);
	assert_string_equal(said(f, "tree"), TREE);
	assert_int_equal(json_integer_value(json_object_get(f->said, "left_out")), 3);
}

static void names_that_differ_in_form_alone_stay_two(void **state)
{
	struct fixture *f = *state;

	begin(f, false);
	add(f, "caf\xc3\xa9", '0', "1");
	add(f, "cafe\xcc\x81", '0', "2");
	add(f, "README", '0', "3");
	add(f, "readme", '0', "4");
	assert_int_equal(run(f), 0);
	assert_int_equal(json_integer_value(json_object_get(f->said, "files")), 4);
}

/* ---- refused ---- */

static void paths_that_lead_out_are_refused(void **state)
{
	static const struct {
		const char *path, *text;
	} bad[] = {{"../x", "dots"}, {"a/../../x", "dots"}, {"/etc/x", "absolute"},
		{"a//b", "empty"}, {".GIT/config", ".git"}, {"a/Git~1/x", ".git"}};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct fixture *f;
		void *own = NULL;

		set_up(&own);
		f = own;
		begin(f, false);
		add(f, "good", '0', "x");
		add(f, bad[i].path, '0', "out");
		refuses(f, -EPERM, bad[i].text);
		tear_down(&own);
	}
	(void)state;
}

static void a_file_below_a_file_or_a_link_is_refused(void **state)
{
	struct fixture *f = *state;

	begin(f, false);
	add(f, "s", '2', "/tmp");
	add(f, "s-between", '0', "x");
	add(f, "s/x", '0', "out");
	refuses(f, -EPERM, "below something that is not a folder");
}

static void what_is_no_file_is_refused(void **state)
{
	struct fixture *f = *state;

	begin(f, false);
	add(f, "good", '0', "x");
	add(f, "pipe", '6', "");
	refuses(f, -EPERM, "neither a file");
}

static void a_hard_link_to_what_is_not_there_is_refused(void **state)
{
	struct fixture *f = *state;

	begin(f, false);
	add(f, "h", '1', "etc/shadow");
	refuses(f, -EPERM, "not in the archive");
}

static void more_than_the_limits_is_refused(void **state)
{
	struct fixture *f = *state;
	char name[16], large[1 << 10] = "";

	memset(large, 'x', sizeof(large) - 1);
	f->a.max_bytes = 5000;
	begin(f, false);
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		add(f, name, '0', large);
	}
	refuses(f, -EFBIG, "unpacked");
	f->a.max_bytes = 1 << 20;
	f->a.max_files = 5;
	refuses(f, -EFBIG, "more than 5 files");
	f->a.max_files = 100;
	f->a.max_file = 1000;
	refuses(f, -EFBIG, "f0 is larger");
	f->a.max_file = 1 << 19;
	lseek(f->a.pack, 0, SEEK_SET);
	assert_int_equal(run(f), 0); /* the check can pass */
}

static void folders_too_deep_are_refused(void **state)
{
	struct fixture *f = *state;
	char path[2 * 300 + 2] = "";

	for (int i = 0; i < 300; i++)
		memcpy(path + 2 * i, "d/", 3);
	memcpy(path + 600, "x", 2);
	begin(f, false);
	add(f, path, '0', "x");
	refuses(f, -E2BIG, "nested more than 128");
}

static void a_zip_with_one_name_twice_is_refused(void **state)
{
	struct fixture *f = *state;

	begin(f, true);
	add(f, "x", '0', "1");
	add(f, "x", '0', "2");
	refuses(f, -EPERM, "twice");
}

static void what_is_no_archive_is_refused(void **state)
{
	static const char page[] = "<html>not found</html>\n";
	struct fixture *f = *state;

	refuses(f, -EBADMSG, "no archive");
	assert_int_equal(write(f->a.fd, page, sizeof(page)), sizeof(page));
	refuses(f, -EBADMSG, "no archive");
}

static void a_truncated_archive_is_refused(void **state)
{
	struct fixture *f = *state;

	begin(f, false);
	add(f, "x", '0', "123456789");
	archive_write_close(f->out);
	assert_int_equal(ftruncate(f->a.fd, 515), 0);
	assert_true(run(f) < 0);
	assert_null(f->said);
}

/* ---- the pack ---- */

static void an_object_twice_is_stored_once(void **state)
{
	struct git_pack *p = malloc(sizeof(*p));
	struct fixture *f = *state;
	uint8_t oid[GIT_OID];
	char text[GIT_OID_TEXT], data[8];

	assert_int_equal(git_pack_open(p, f->a.pack), 0);
	for (unsigned int i = 0; i < 6000; i++) {
		memset(data, 0, sizeof(data));
		memcpy(data, &(unsigned int){i % 3000}, 4);
		assert_int_equal(
			git_pack_object(p, GIT_BLOB, data, sizeof(data), oid), 0);
	}
	assert_int_equal(p->n, 3000);
	assert_int_equal(git_pack_object(p, GIT_BLOB, "", 0, oid), 0);
	git_oid_text(oid, text);
	assert_string_equal(text, EMPTY_BLOB);
	/* less or more than was said is an error, not a damaged pack */
	assert_int_equal(git_pack_begin(p, GIT_BLOB, 2), 0);
	assert_int_equal(git_pack_write(p, "abc", 3), -EINVAL);
	assert_int_equal(git_pack_end(p, oid), -EINVAL);
	git_pack_free(p);
	free(p);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_tree_is_what_git_makes_of_the_files),
		TEST(one_folder_around_all_is_taken_off),
		TEST(a_zip_gives_the_same_tree),
		TEST(what_did_not_change_makes_no_commit_unless_it_must),
		TEST(the_later_of_two_files_of_one_name_counts),
		TEST(a_hard_link_is_the_file_once_more),
		TEST(a_checkouts_own_git_folder_is_left_out),
		TEST(names_that_differ_in_form_alone_stay_two),
		TEST(paths_that_lead_out_are_refused),
		TEST(a_file_below_a_file_or_a_link_is_refused),
		TEST(what_is_no_file_is_refused),
		TEST(a_hard_link_to_what_is_not_there_is_refused),
		TEST(more_than_the_limits_is_refused),
		TEST(folders_too_deep_are_refused),
		TEST(a_zip_with_one_name_twice_is_refused),
		TEST(what_is_no_archive_is_refused),
		TEST(a_truncated_archive_is_refused),
		TEST(an_object_twice_is_stored_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

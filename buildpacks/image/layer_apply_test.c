/* Foreign layers: what is taken, refused and left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "buildpacks/image/image_plan.h"
#include "buildpacks/image/layer_apply.h"
#include "buildpacks/image/layer_in.h"
#include "buildpacks/image/pax.h"
#include "lib/io.h"
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct fixture {
	char root[64];
	int fd;
	struct blob b;
	char diff_id[65], stored[65];
	struct err e;
	json_t *said;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->root, sizeof(f->root), "/tmp/berth-apply.XXXXXX");
	assert_non_null(mkdtemp(f->root));
	f->fd = memfd_create("layer", MFD_CLOEXEC);
	assert_int_equal(blob_open(&f->b, f->fd, BLOB_GZIP), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	blob_free(&f->b);
	close(f->fd);
	json_decref(f->said);
	assert_int_equal(chdir("/"), 0);
	io_remove_tree(AT_FDCWD, f->root);
	free(f);
	return 0;
}

static void add(struct fixture *f, const char *path, char type, const char *text)
{
	struct pax_entry n = {.path = path,
		.type = type,
		.mode = type == '5' ? 0755 : 0644,
		.uid = getuid(),
		.gid = getgid(),
		.link = type == '1' || type == '2' ? text : NULL,
		.size = type == '0' ? strlen(text) : 0};

	assert_int_equal(pax_head(&f->b, &n), 0);
	if (type == '0') {
		assert_int_equal(blob_write(&f->b, text, n.size), 0);
		assert_int_equal(pax_pad(&f->b, n.size), 0);
	}
}

static int apply(struct fixture *f, uint64_t max_bytes, uint64_t max_entries)
{
	struct layer_apply a = {.fd = f->fd,
		.path = "",
		.diff_id = f->diff_id,
		.root = f->root,
		.max_bytes = max_bytes,
		.max_entries = max_entries};

	pax_end(&f->b);
	assert_int_equal(blob_end(&f->b, f->diff_id, f->stored), 0);
	return layer_apply(&a, &f->said, &f->e);
}

static void holds(struct fixture *f, const char *path, const char *text)
{
	autobuf b = BUF_INIT;
	int root autoclose = open(f->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = io_read_file(root, path, &b);

	if (!text) {
		assert_int_equal(r, -ENOENT);
		return;
	}
	assert_int_equal(r, 0);
	assert_string_equal(b.data ? b.data : "", text);
}

static void refuses(struct fixture *f, const char *why)
{
	assert_true(apply(f, 1 << 20, 100) < 0);
	assert_non_null(strstr(f->e.text, why));
	assert_null(f->said);
}

static void files_links_and_whiteouts_are_applied(void **state)
{
	struct fixture *f = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/gone", f->root);
	mkdir(path, 0755);
	add(f, "./a/", '5', NULL);
	add(f, "./a/file", '0', "first");
	add(f, "./a/hard", '1', "./a/file");
	add(f, "./a/soft", '2', "/outside");
	add(f, "./a/soft", '0', "a file now"); /* what the link leads to is not touched */
	add(f, "null", '3', "");
	add(f, ".wh.gone", '0', "");
	assert_int_equal(apply(f, 1 << 20, 100), 0);
	holds(f, "a/file", "first");
	holds(f, "a/hard", "first");
	holds(f, "a/soft", "a file now");
	holds(f, "null", NULL);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(json_integer_value(json_object_get(f->said, "skipped")), 1);
}

static void an_opaque_folder_hides_what_was_below(void **state)
{
	struct fixture *f = *state;
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/d", f->root);
	mkdir(path, 0750);
	snprintf(path, sizeof(path), "%s/d/old", f->root);
	mkdir(path, 0755);
	add(f, "d/new", '0', "new");
	add(f, "d/.wh..wh..opq", '0', "");
	assert_int_equal(apply(f, 1 << 20, 100), 0);
	assert_int_equal(access(path, F_OK), -1);
	holds(f, "d/new", "new");
	snprintf(path, sizeof(path), "%s/d", f->root);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
}

static void a_path_that_leaves_is_refused(void **state)
{
	struct fixture *f = *state;

	add(f, "a/../../x", '0', "out");
	refuses(f, "dots");
}

static void an_absolute_path_is_refused(void **state)
{
	struct fixture *f = *state;

	add(f, "/tmp/x", '0', "out");
	refuses(f, "absolute");
}

static void nothing_is_written_below_a_link(void **state)
{
	struct fixture *f = *state;

	add(f, "s", '2', "/tmp");
	add(f, "s/x", '0', "out");
	refuses(f, "lies below something that is not a folder");
}

static void a_hard_link_needs_its_target(void **state)
{
	struct fixture *f = *state;

	add(f, "h", '1', "etc/shadow");
	refuses(f, "which is not there");
}

static void another_digest_is_refused_before_a_file_is_written(void **state)
{
	struct fixture *f = *state;
	struct layer_apply a = {.fd = f->fd,
		.path = "",
		.root = f->root,
		.max_bytes = 1 << 20,
		.max_entries = 10};

	add(f, "x", '0', "x");
	pax_end(&f->b);
	blob_end(&f->b, f->diff_id, f->stored);
	a.diff_id = "0000000000000000000000000000000000000000000000000000000000000000";
	assert_true(layer_apply(&a, &f->said, &f->e) < 0);
	assert_non_null(strstr(f->e.text, "digest"));
	holds(f, "x", NULL);
}

/* Zeros in which there is no entry, that what the heads say would bound. */
static void more_bytes_than_allowed_are_refused_by_their_number(void **state)
{
	struct fixture *f = *state;
	struct layer_in *in;
	char digest[65];

	assert_int_equal(blob_zeros(&f->b, 3 << 20), 0);
	assert_int_equal(blob_end(&f->b, f->diff_id, f->stored), 0);
	in = layer_in_open(f->fd, "", 2 << 20, &f->e);
	assert_non_null(in);
	assert_true(layer_in_end(in, digest, &f->e) < 0);
	assert_non_null(strstr(f->e.text, "larger than 2 MB"));
	layer_in_close(in);
}

static void more_than_allowed_is_refused(void **state)
{
	struct fixture *f = *state;

	add(f, "a", '0', "0123456789");
	add(f, "b", '0', "0123456789");
	assert_int_equal(apply(f, 15, 100), -EFBIG);
	holds(f, "a", NULL);
	f->e = (struct err){0};
	struct layer_apply again = {.fd = f->fd,
		.path = "",
		.diff_id = f->diff_id,
		.root = f->root,
		.max_bytes = 1 << 20,
		.max_entries = 1};
	assert_int_equal(layer_apply(&again, &f->said, &f->e), -EFBIG);
	assert_non_null(strstr(f->e.text, "more than 1 files"));
}

static void a_root_file_system_is_what_is_nothing_else(void **state)
{
	struct fixture *f = *state;

	add(f, "bin/", '5', NULL);
	pax_end(&f->b);
	blob_end(&f->b, f->diff_id, f->stored);
	assert_int_equal(image_plan(f->fd, 1 << 20, false, &f->said, &f->e), 0);
	const json_t *layer = json_array_get(json_object_get(f->said, "layers"), 0);
	assert_string_equal(
		json_string_value(json_object_get(f->said, "kind")), "rootfs");
	assert_string_equal(
		json_string_value(json_object_get(layer, "diff_id")), f->diff_id);
}

static void what_is_no_archive_is_said_to_be_none(void **state)
{
	struct fixture *f = *state;

	assert_true(write(f->fd, "no archive", 10) == 10);
	assert_true(image_plan(f->fd, 1 << 20, false, &f->said, &f->e) < 0);
	assert_non_null(strstr(f->e.text, "archive"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(files_links_and_whiteouts_are_applied),
		T(an_opaque_folder_hides_what_was_below),
		T(a_path_that_leaves_is_refused),
		T(an_absolute_path_is_refused),
		T(nothing_is_written_below_a_link),
		T(a_hard_link_needs_its_target),
		T(another_digest_is_refused_before_a_file_is_written),
		T(more_than_allowed_is_refused),
		T(more_bytes_than_allowed_are_refused_by_their_number),
		T(a_root_file_system_is_what_is_nothing_else),
		T(what_is_no_archive_is_said_to_be_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

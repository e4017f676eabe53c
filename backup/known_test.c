/* Tests: rows of many small files lie in a file, come back in any order, and stay in memory where no file can be. */
#include "backup/known.h"
#include "lib/frame.h"
#include "lib/io.h"
#include "lib/stow.h"
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define FILES 3000u
#define EACH 4096u
#define IN_MEMORY ((size_t)6 << 20) /* of 12 MB */

static char folder[] = "/tmp/berth-known.XXXXXX";

static void put_u32(struct buf *b, uint32_t v)
{
	v = htole32(v);
	buf_add(b, &v, sizeof(v));
}

/* Of file i: an entry that is its number, and random bytes that begin with it. */
static void row_of(struct buf *b, uint32_t i, struct row *ret)
{
	static char bytes[EACH];
	unsigned char entry[STOW_IDENTITY + 4] = {0};

	if (!bytes[EACH - 1])
		assert_int_equal(getentropy(bytes + EACH - 256, 256), 0);
	bytes[EACH - 1] |= 1;
	for (unsigned int k = 0; k < EACH - 256; k += 4)
		bytes[k] = (char)(i * 2654435761u >> (k / 4 % 24));
	memcpy(bytes, &i, sizeof(i));
	memcpy(entry + STOW_IDENTITY, &i, sizeof(i));
	buf_reset(b);
	put_u32(b, sizeof(entry));
	buf_add(b, entry, sizeof(entry));
	put_u32(b, 1);
	buf_add(b, "I", 1);
	put_u32(b, EACH);
	buf_add(b, bytes, EACH);
	assert_int_equal(row_read(b->data, b->len, ret), 1);
}

static void fill(struct known *k)
{
	autobuf b = {0};
	struct err e = {0};
	struct row row;

	for (uint32_t i = 0; i < FILES; i++) {
		row_of(&b, i, &row);
		assert_int_equal(known_add(k, &row, &e), 0);
	}
	assert_int_equal(k->n, FILES);
}

static void is_row(struct known *k, uint32_t i)
{
	autobuf b = {0};
	struct err e = {0};
	struct row row, expected;

	row_of(&b, i, &expected);
	assert_int_equal(known_row(k, i, &row, &e), 0);
	assert_int_equal(row.end - row.start, b.len);
	assert_memory_equal(row.start, b.data, b.len);
}

static void all_come_back(struct known *k)
{
	for (uint32_t i = 0; i < FILES; i++)
		is_row(k, i);
	for (uint32_t i = 0; i < FILES; i += 97)
		is_row(k, FILES - 1 - i);
}

static size_t memory_of(const struct known *k)
{
	return k->rows.cap + k->tail.cap + k->blocks.cap + k->sealed.cap + k->block.cap;
}

static int names_in(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void rows_lie_in_a_file_without_a_name(void **state UNUSED)
{
	struct known k = {0};

	assert_int_equal(setenv("TMPDIR", folder, 1), 0);
	fill(&k);
	assert_false(k.no_file);
	assert_in_range(memory_of(&k), 1, IN_MEMORY);
	assert_int_equal(names_in(folder), 0);
	all_come_back(&k);
	assert_in_range(memory_of(&k), 1, IN_MEMORY);
	known_free(&k);
}

static void nothing_of_them_can_be_read_in_it(void **state UNUSED)
{
	struct known k = {0};
	autobuf b = {0};
	struct row row;

	assert_int_equal(setenv("TMPDIR", folder, 1), 0);
	fill(&k);
	const off_t size = lseek(k.fd, 0, SEEK_END);
	assert_true(size > 1000);
	char *text autofree = malloc((size_t)size);
	assert_int_equal(pread(k.fd, text, (size_t)size, 0), size);
	row_of(&b, 0, &row);
	assert_null(memmem(text, (size_t)size, row.end - 64, 64));
	assert_non_null(memmem(b.data, b.len, row.end - 64, 64));
	known_free(&k);
}

/* Blocks of another place in the file, or changed ones, are told. */
static void what_was_changed_in_it_is_told(void **state UNUSED)
{
	struct known k = {0};
	struct row row;
	struct err e = {0};

	assert_int_equal(setenv("TMPDIR", folder, 1), 0);
	fill(&k);
	assert_int_equal(pwrite(k.fd, "other", 5, 1000), 5);
	assert_int_equal(known_row(&k, 0, &row, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "temporary file"));
	is_row(&k, FILES - 1);
	assert_int_equal(ftruncate(k.fd, 10), 0);
	assert_true(known_row(&k, FILES / 2, &row, &e) < 0);
	known_free(&k);
}

static void they_stay_in_memory_where_no_file_can_be(void **state UNUSED)
{
	struct known k = {0};

	assert_int_equal(setenv("TMPDIR", "/dev/null", 1), 0);
	fill(&k);
	assert_true(k.no_file);
	assert_in_range(memory_of(&k), FILES * EACH, SIZE_MAX);
	all_come_back(&k);
	known_free(&k);
}

/* The disk is full after the first blocks. */
static void the_rest_stays_in_memory_once_the_file_is_full(void **state UNUSED)
{
	struct known k = {0};
	autobuf b = {0};
	struct err e = {0};
	struct row row;

	assert_int_equal(setenv("TMPDIR", folder, 1), 0);
	fill(&k);
	const size_t blocks = k.blocks.len;
	int fd autoclose = open("/dev/full", O_RDWR | O_CLOEXEC);
	int file autoclose = fcntl(k.fd, F_DUPFD_CLOEXEC, 3);

	assert_true(fd >= 0 && file >= 0);
	assert_int_equal(dup3(fd, k.fd, O_CLOEXEC), k.fd);
	for (uint32_t i = FILES; i < 2 * FILES; i++) {
		row_of(&b, i, &row);
		assert_int_equal(known_add(&k, &row, &e), 0);
	}
	assert_true(k.no_file);
	assert_int_equal(k.blocks.len, blocks);
	assert_int_equal(dup3(file, k.fd, O_CLOEXEC), k.fd);
	for (uint32_t i = 0; i < 2 * FILES; i++)
		is_row(&k, i);
	known_free(&k);
}

static void the_entries_are_sent_with_an_end(void **state UNUSED)
{
	int out autoclose = memfd_create("out", MFD_CLOEXEC);
	struct known k = {0};
	struct frame f = {0};
	struct err e = {0};

	assert_int_equal(setenv("TMPDIR", folder, 1), 0);
	fill(&k);
	assert_int_equal(known_send(&k, out, &e), 0);
	assert_int_equal(lseek(out, 0, SEEK_SET), 0);
	for (uint32_t i = 0; i < FILES; i++) {
		assert_int_equal(frame_read(out, &f), 0);
		assert_int_equal(f.kind, FRAME_ENTRY);
		assert_int_equal(f.body.len, STOW_IDENTITY + 4);
		assert_memory_equal(f.body.data + STOW_IDENTITY, &i, sizeof(i));
	}
	assert_int_equal(frame_read(out, &f), 0);
	assert_int_equal(f.kind, FRAME_END);
	frame_free(&f);
	known_free(&k);
}

static int setup(void **state UNUSED)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state UNUSED)
{
	return io_remove_tree(AT_FDCWD, folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_lie_in_a_file_without_a_name),
		cmocka_unit_test(nothing_of_them_can_be_read_in_it),
		cmocka_unit_test(what_was_changed_in_it_is_told),
		cmocka_unit_test(they_stay_in_memory_where_no_file_can_be),
		cmocka_unit_test(the_rest_stays_in_memory_once_the_file_is_full),
		cmocka_unit_test(the_entries_are_sent_with_an_end),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

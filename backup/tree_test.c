/* Tests: a file of more parts than fit into a row is kept, comes back and is missed like any other. */
#include "backup/tree.h"
#include "lib/io.h"
#include "lib/stow.h"
#include <endian.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define RUNS 9000u	/* of bytes, a hole before each: more than 32 MB in all */
#define LARGE_EACH 300u /* one of so many runs is not small */

static char folder[] = "/tmp/berth-tree.XXXXXX", place[64];

static void frame(struct buf *b, enum frame_kind kind, const void *data, size_t size)
{
	unsigned char head[FRAME_HEAD];

	frame_head(head, kind, size);
	buf_add(b, head, sizeof(head));
	assert_int_equal(buf_add(b, data, size), 0);
}

/* What stow_send says of a file "db" with holes. Its bytes. */
static uint64_t frames_of_a_file(struct buf *b)
{
	const uint64_t hole = htole64(4096), end[3] = {htole64(1)};
	unsigned char entry[STOW_IDENTITY + 41] = {[STOW_IDENTITY] = 'f',
		[STOW_IDENTITY + 33] = 2,
		[STOW_IDENTITY + 35] = 'd',
		[STOW_IDENTITY + 36] = 'b'};
	uint64_t run[2 * TREE_INLINE / sizeof(uint64_t)] = {0}, bytes = 0;

	frame(b, FRAME_ENTRY, entry, sizeof(entry));
	for (unsigned int i = 0; i < RUNS; i++) {
		size_t size = i % LARGE_EACH ? TREE_INLINE : sizeof(run);

		run[0] = i;
		frame(b, FRAME_HOLE, &hole, sizeof(hole));
		frame(b, FRAME_DATA, run, size);
		bytes += size;
	}
	frame(b, FRAME_END, end, sizeof(end));
	return bytes;
}

static void missing(void *arg UNUSED, const char *path, const char *why UNUSED)
{
	assert_string_equal(path, "db");
}

static size_t known_rows(struct store *s, const json_t *item)
{
	struct known k;
	struct err e = {0};

	assert_int_equal(known_read(&k, s, json_object_get(item, "chunks"), &e), 0);
	size_t n = k.n;
	known_free(&k);
	return n;
}

/* All chunks but those of the list of files, and what lies beside those. */
static void lose_chunks(const json_t *item)
{
	const json_t *chunks = json_object_get(item, "chunks");

	for (unsigned int i = 0; i < 256; i++) {
		char path[sizeof(place) + 16], name[3];
		bool listed = false;
		json_t *v;
		size_t j;

		snprintf(name, sizeof(name), "%02x", i);
		snprintf(path, sizeof(path), "%schunks/%s", place, name);
		json_array_foreach ((json_t *)(uintptr_t)chunks, j, v)
			listed |= strncmp(json_string_value(v), name, 2) == 0;
		if (!listed)
			assert_int_equal(io_remove_tree(AT_FDCWD, path), 0);
	}
}

static void a_file_of_many_runs_and_holes_is_kept(void **state UNUSED)
{
	int in autoclose = memfd_create("in", MFD_CLOEXEC);
	int out autoclose = memfd_create("out", MFD_CLOEXEC);
	autobuf sent = {.max = (size_t)64 << 20};
	const uint64_t bytes = frames_of_a_file(&sent);
	char *got autofree = malloc(sent.len);
	struct store *s = NULL;
	struct err e = {0};
	json_t *item = NULL;

	assert_int_equal(io_write_all(in, sent.data, sent.len), 0);
	assert_int_equal(lseek(in, 0, SEEK_SET), 0);
	assert_int_equal(store_make(place, &(struct secret){KEY_NONE, NULL}, &s, &e), 0);
	assert_int_equal(tree_put(s, NULL, in, &item, &e), 0);
	assert_int_equal(json_integer_value(json_object_get(item, "size")), bytes);
	assert_int_equal(tree_get(s, item, out, &e), 0);
	assert_int_equal(lseek(out, 0, SEEK_END), sent.len);
	assert_int_equal(pread(out, got, sent.len, 0), sent.len);
	assert_memory_equal(got, sent.data, sent.len);
	assert_int_equal(tree_verify(s, item, missing, NULL), 0);
	assert_int_equal(known_rows(s, item), 1);

	lose_chunks(item);
	assert_int_equal(tree_verify(s, item, missing, NULL), 1);
	assert_int_equal(known_rows(s, item), 0);
	json_decref(item);
	store_close(s);
}

static int setup(void **state UNUSED)
{
	if (!mkdtemp(folder))
		return -1;
	snprintf(place, sizeof(place), "%s/place/", folder);
	return 0;
}

static int teardown(void **state UNUSED)
{
	return io_remove_tree(AT_FDCWD, folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_of_many_runs_and_holes_is_kept),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

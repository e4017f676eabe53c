/* Tests: what is sealed is found out when it changed, moved or is missing; bytes are cut by what they are. */
#include "backup/blob.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char folder[] = "/tmp/berth-store.XXXXXX";
static char key[64], other[64];

static const struct secret *secret_of(const char *path)
{
	static struct secret s;

	s = (struct secret){KEY_FILE, path};
	return &s;
}

static const char *path_of(const char *name)
{
	static char path[4][256];
	static unsigned int at;
	char *out = path[at++ % ARRAY_LEN(path)];

	snprintf(out, sizeof(path[0]), "%s/%s", folder, name);
	return out;
}

static void fill(char *data, size_t size, uint64_t seed)
{
	for (size_t i = 0; i < size; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		data[i] = (char)(seed >> 56);
	}
}

/* Two chunks and a list; the place of the chunks' names in ids. */
static void make(const char *path, unsigned char ids[2][ID_SIZE])
{
	json_t *list = json_pack("{s:i, s:s}", "format", 1, "id", "20260101T000000Z-1");
	struct store *s = NULL;
	struct err e = {0};

	assert_int_equal(store_make(path, secret_of(key), &s, &e), 0);
	assert_int_equal(store_put(s, "one", 3, ids[0], &e), 0);
	assert_int_equal(store_put(s, "two", 3, ids[1], &e), 0);
	assert_int_equal(store_put(s, "one", 3, ids[0], &e), 0);
	assert_in_range(store_sums(s).new_chunks, 1, 2); /* not the third */
	assert_int_equal(store_finish(s, "20260101T000000Z-1", list, &e), 0);
	store_close(s);
	json_decref(list);
}

/* Is all of it there and whole? */
static bool whole(const char *path, unsigned char ids[2][ID_SIZE])
{
	struct store *s = NULL;
	struct err e = {0};
	json_t *list = NULL;
	autobuf out = {.max = SEALED_MAX};
	bool ok = store_open(path, secret_of(key), &s, &e) == 0;

	ok = ok && store_read(s, NULL, &list, &e) == 0 && !*store_fault(s) &&
	     store_get(s, ids[0], &out, &e) == 0 && strcmp(out.data, "one") == 0 &&
	     store_get(s, ids[1], &out, &e) == 0 && strcmp(out.data, "two") == 0;
	json_decref(list);
	store_close(s);
	return ok;
}

static void put_file(const char *path, const void *data, size_t size)
{
	int fd autoclose = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(io_write_all(fd, data, size), 0);
}

static void every_flipped_bit_and_every_cut_of_a_stream_is_found(void **state UNUSED)
{
	const char *path = path_of("stream"), *bad = path_of("bad");
	unsigned char ids[2][ID_SIZE];
	autobuf b = BUF_INIT;

	make(path, ids);
	assert_true(whole(path, ids));
	assert_int_equal(io_read_file(AT_FDCWD, path, &b), 0);
	for (size_t i = 0; i < b.len; i++) {
		b.data[i] ^= (char)(1 << i % 8);
		put_file(bad, b.data, b.len);
		b.data[i] ^= (char)(1 << i % 8);
		/* Zeros in a record's head say nothing. */
		if (whole(bad, ids))
			assert_int_equal(b.data[i], 0);
		put_file(bad, b.data, i);
		assert_false(whole(bad, ids));
	}
}

static void a_stream_in_another_order_is_found(void **state UNUSED)
{
	const char *path = path_of("order");
	unsigned char ids[2][ID_SIZE];
	autobuf b = BUF_INIT;
	char first[256];
	const size_t size = 48 + SEAL_EXTRA + 3, at = sizeof(struct header);

	make(path, ids);
	assert_int_equal(io_read_file(AT_FDCWD, path, &b), 0);
	memcpy(first, b.data + at, size);
	memmove(b.data + at, b.data + at + size, size);
	memcpy(b.data + at + size, first, size);
	put_file(path, b.data, b.len);
	assert_false(whole(path, ids));
	/* Also with the numbers put right. */
	b.data[at + 8] = 0;
	b.data[at + size + 8] = 1;
	put_file(path, b.data, b.len);
	assert_false(whole(path, ids));
}

static void a_folder_is_opened_with_its_key_only(void **state UNUSED)
{
	unsigned char ids[2][ID_SIZE];
	const char *path = path_of("folder/");
	struct store *s = NULL;
	struct err e = {0};

	make(path, ids);
	assert_true(whole(path, ids));
	assert_int_equal(store_open(path, secret_of(other), &s, &e), -EACCES);
	assert_int_equal(
		store_open(path, &(struct secret){KEY_PASSPHRASE, key}, &s, &e), -ENOKEY);
	assert_int_equal(
		store_make(path, &(struct secret){KEY_NONE, NULL}, &s, &e), -EINVAL);
}

static void what_a_backup_that_was_cut_off_left_is_looked_at(void **state UNUSED)
{
	unsigned char ids[2][ID_SIZE];
	char chunk[128], hex[2 * ID_SIZE + 1];

	make(path_of("cut/"), ids);
	id_hex(ids[0], hex);
	snprintf(chunk, sizeof(chunk), "cut/chunks/%.2s/%s", hex, hex);
	put_file(path_of(chunk), "", 0);
	assert_false(whole(path_of("cut/"), ids));
	put_file(path_of("cut/running"), "", 0);
	make(path_of("cut/"), ids);
	assert_true(whole(path_of("cut/"), ids));
}

struct pieces {
	size_t n, sizes[64];
	uint64_t sums[64];
};

static int count(void *arg, const void *piece, size_t size, struct err *e UNUSED)
{
	struct pieces *p = arg;
	const unsigned char *at = piece;
	uint64_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum = sum * 31 + at[i];
	p->sums[p->n] = sum;
	p->sizes[p->n++] = size;
	assert_in_range(size, 1, CHUNK_MAX);
	return 0;
}

static void cut(const struct keys *k, const char *data, size_t size, size_t step,
	struct pieces *p)
{
	struct cutter c;
	struct err e;

	cutter_init(&c, k);
	for (size_t at = 0; at < size; at += step)
		assert_int_equal(
			cutter_feed(&c, data + at, size - at < step ? size - at : step,
				false, count, p, &e),
			0);
	assert_int_equal(cutter_feed(&c, "", 0, true, count, p, &e), 0);
	cutter_free(&c);
}

static void bytes_put_in_move_few_cuts(void **state UNUSED)
{
	const size_t size = 12 << 20, more = 1000;
	char *data autofree = malloc(size + more);
	struct pieces whole_ones = {0}, parts = {0}, longer = {0}, others = {0};
	struct keys k = {.cut = "a key"}, k2 = {.cut = "another"};
	size_t same = 0, sum = 0;

	fill(data + more, size, 1);
	cut(&k, data + more, size, size, &whole_ones);
	cut(&k, data + more, size, 77777, &parts);
	assert_memory_equal(&whole_ones, &parts, sizeof(parts));
	assert_in_range(whole_ones.n, 5, 30);
	for (size_t i = 0; i < whole_ones.n; i++)
		sum += whole_ones.sizes[i];
	assert_int_equal(sum, size);
	cut(&k2, data + more, size, size, &others);
	assert_memory_not_equal(&whole_ones, &others, sizeof(others));
	fill(data, more, 2);
	cut(&k, data, size + more, size, &longer);
	for (size_t i = 0; i < longer.n; i++)
		for (size_t j = 0; j < whole_ones.n; j++)
			same += longer.sums[i] == whole_ones.sums[j];
	assert_true(same + 2 >= whole_ones.n);
}

static int setup(void **state UNUSED)
{
	char data[64];

	if (!mkdtemp(folder))
		return -1;
	snprintf(key, sizeof(key), "%s", path_of("key"));
	snprintf(other, sizeof(other), "%s", path_of("other"));
	fill(data, sizeof(data), 3);
	put_file(key, data, sizeof(data));
	fill(data, sizeof(data), 4);
	put_file(other, data, sizeof(data));
	return 0;
}

static int teardown(void **state UNUSED)
{
	return io_remove_tree(AT_FDCWD, folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_flipped_bit_and_every_cut_of_a_stream_is_found),
		cmocka_unit_test(a_stream_in_another_order_is_found),
		cmocka_unit_test(a_folder_is_opened_with_its_key_only),
		cmocka_unit_test(what_a_backup_that_was_cut_off_left_is_looked_at),
		cmocka_unit_test(bytes_put_in_move_few_cuts),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

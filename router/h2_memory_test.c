/* A session's memory is packed and comes back as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "router/h2_memory.h"
#include <cmocka.h>
#include <string.h>

struct fixture {
	struct h2_rooms rooms;
	struct h2_memory m;
	nghttp2_mem mem;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	h2_memory_open(&f->m, &f->rooms, &f->mem);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	h2_memory_close(&f->m, &f->rooms);
	h2_rooms_free(&f->rooms);
	free(f);
	return 0;
}

static bool in_room(const struct fixture *f, const char *p)
{
	return p >= f->m.room && p < f->m.room + H2_ROOM;
}

static void what_was_packed_comes_back_byte_by_byte(void **state)
{
	static const size_t sizes[] = {2928, 1024, 16394, 4096};
	struct fixture *f = *state;
	char *parts[4], copies[4][16394] = {0};
	unsigned int random = 1;

	if (!f->m.room)
		skip(); /* a sanitizer's malloc has it all */
	for (size_t i = 0; i < 4; i++) {
		parts[i] = f->mem.calloc(1, sizes[i], f->mem.mem_user_data);
		assert_true(in_room(f, parts[i]));
	}
	for (unsigned int turn = 0; turn < 20; turn++) {
		for (unsigned int k = 0; k < 10; k++) {
			size_t i = (random = random * 1103515245 + 12345) >> 16 & 3;
			size_t at = (random = random * 1103515245 + 12345) % sizes[i];

			parts[i][at] = copies[i][at] = (char)(turn + k);
		}
		if (turn == 10)
			memset(parts[2], 0, sizes[2]), memset(copies[2], 0, sizes[2]);
		h2_memory_rest(&f->m);
		assert_non_null(f->m.packed);
		for (size_t at = 0; at < H2_ROOM; at++)
			assert_int_equal(f->m.room[at], 0);
		h2_memory_wake(&f->m);
		assert_null(f->m.packed);
		for (size_t i = 0; i < 4; i++)
			assert_memory_equal(parts[i], copies[i], sizes[i]);
	}
}

static void what_would_not_get_small_stays(void **state)
{
	struct fixture *f = *state;
	char *p = f->mem.malloc(16394, f->mem.mem_user_data);

	memset(p, 'x', 16394);
	h2_memory_rest(&f->m);
	assert_null(f->m.packed);
	assert_int_equal(p[16393], 'x');
	f->mem.free(p, f->mem.mem_user_data);
}

static void what_is_small_or_comes_later_is_mallocs(void **state)
{
	struct fixture *f = *state;
	void *arg = f->mem.mem_user_data;
	char *small = f->mem.malloc(100, arg), *first = f->mem.realloc(NULL, 3000, arg);

	assert_false(in_room(f, small));
	f->m.filling = false;
	char *later = f->mem.malloc(3000, arg);
	assert_false(in_room(f, later));
	memset(first, 'a', 3000);
	char *grown = f->mem.realloc(first, 5000, arg);
	assert_false(in_room(f, grown));
	assert_int_equal(grown[0], 'a');
	assert_int_equal(grown[2999], 'a');
	char *huge = f->mem.calloc(2, H2_ROOM, arg);
	assert_false(in_room(f, huge));
	f->mem.free(small, arg);
	f->mem.free(later, arg);
	f->mem.free(grown, arg);
	f->mem.free(huge, arg);
}

static void a_room_is_empty_for_the_next(void **state)
{
	struct fixture *f = *state;
	char *room = f->m.room, *p = f->mem.malloc(16394, f->mem.mem_user_data);

	if (!room)
		skip();
	memset(p, 'x', 16394);
	h2_memory_close(&f->m, &f->rooms);
	h2_memory_open(&f->m, &f->rooms, &f->mem);
	assert_ptr_equal(f->m.room, room);
	for (size_t at = 0; at < H2_ROOM; at++)
		assert_int_equal(room[at], 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_packed_comes_back_byte_by_byte),
		TEST(what_would_not_get_small_stays),
		TEST(what_is_small_or_comes_later_is_mallocs),
		TEST(a_room_is_empty_for_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What nghttp2 keeps of a connection, and how it is packed while the connection rests. */
#include "router/h2_memory.h"
#include <string.h>
#include <sys/mman.h>

#define CHUNK 64u      /* rooms that are made at once */
#define LARGE 1024u    /* what is smaller comes and goes */
#define UNIT 16u       /* is zero or not */
#define WORTH_IT 8192u /* packed larger than this it stays as it is */

struct run {
	uint16_t at, n; /* units */
};

/* ---- rooms ---- */

static bool keep_room(struct h2_rooms *rooms, void *room)
{
	if (rooms->n_free == rooms->cap_free) {
		uint32_t cap = rooms->cap_free ? rooms->cap_free * 2 : CHUNK;
		void **grown = reallocarray(rooms->free, cap, sizeof(*grown));

		if (!grown)
			return false;
		rooms->free = grown;
		rooms->cap_free = cap;
	}
	rooms->free[rooms->n_free++] = room;
	return true;
}

static void make_rooms(struct h2_rooms *rooms)
{
	void **grown = reallocarray(rooms->chunks, rooms->n_chunks + 1u, sizeof(*grown));
	char *chunk;

	if (!grown)
		return;
	rooms->chunks = grown;
	chunk = mmap(NULL, (size_t)CHUNK * H2_ROOM, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (chunk == MAP_FAILED)
		return;
	madvise(chunk, (size_t)CHUNK * H2_ROOM, MADV_NOHUGEPAGE);
	rooms->chunks[rooms->n_chunks++] = chunk;
	for (uint32_t i = CHUNK; i-- > 0;)
		keep_room(rooms, chunk + (size_t)i * H2_ROOM);
}

static void *take_room(struct h2_rooms *rooms)
{
#ifdef __SANITIZE_ADDRESS__
	return NULL; /* it watches what malloc gives */
#endif
	if (!rooms->n_free)
		make_rooms(rooms);
	return rooms->n_free ? rooms->free[--rooms->n_free] : NULL;
}

void h2_rooms_free(struct h2_rooms *rooms)
{
	for (uint32_t i = 0; i < rooms->n_chunks; i++)
		munmap(rooms->chunks[i], (size_t)CHUNK * H2_ROOM);
	free(rooms->chunks);
	free(rooms->free);
	*rooms = (struct h2_rooms){0};
}

/* ---- nghttp2's allocator ---- */

static bool in_room(const struct h2_memory *m, const void *p)
{
	return m->room && (const char *)p >= m->room &&
	       (const char *)p < m->room + H2_ROOM;
}

/* NULL: it has no place there. Nobody has written there before: it is zero. */
static void *from_room(struct h2_memory *m, size_t size)
{
	size_t whole = (size + UNIT - 1) & ~(size_t)(UNIT - 1);
	void *p = m->room + m->used;

	if (!m->room || size < LARGE || whole < size || whole > H2_ROOM - m->used)
		return NULL;
	m->used += (uint32_t)whole;
	return p;
}

static void *get(size_t size, void *arg)
{
	struct h2_memory *m = arg;
	void *p = m->filling ? from_room(m, size) : NULL;

	return p ? p : malloc(size);
}

/* The table of streams comes with the first of them. */
static void *get_zeroed(size_t n, size_t size, void *arg)
{
	struct h2_memory *m = arg;
	void *p = size && n <= H2_ROOM / size ? from_room(m, n * size) : NULL;

	return p ? p : calloc(n, size);
}

/* A place in the room is not given out again: it would not be zero. */
static void put(void *p, void *arg)
{
	if (!in_room(arg, p))
		free(p);
}

static void *resize(void *p, size_t size, void *arg)
{
	const struct h2_memory *m = arg;
	size_t had;
	void *copy;

	if (!p)
		return get(size, arg);
	if (!in_room(m, p))
		return realloc(p, size);
	had = (size_t)(m->room + m->used - (char *)p);
	copy = malloc(size);
	if (copy)
		memcpy(copy, p, had < size ? had : size);
	return copy;
}

void h2_memory_open(struct h2_memory *m, struct h2_rooms *rooms, nghttp2_mem *ret)
{
	*m = (struct h2_memory){.room = take_room(rooms), .filling = true};
	*ret = (nghttp2_mem){m, get, put, get_zeroed, resize};
}

/* The next one finds it empty. */
void h2_memory_close(struct h2_memory *m, struct h2_rooms *rooms)
{
	if (m->room) {
		madvise(m->room, H2_ROOM, MADV_DONTNEED);
		keep_room(rooms, m->room);
	}
	free(m->packed);
	*m = (struct h2_memory){0};
}

/* ---- rest ---- */

static bool is_zero(const char *unit)
{
	uint64_t words[UNIT / 8];

	memcpy(words, unit, sizeof(words));
	return !(words[0] | words[1]);
}

/* The next run at or after unit *at; n 0: none. */
static struct run next_run(const struct h2_memory *m, uint32_t *at)
{
	uint32_t end = m->used / UNIT, from;

	while (*at < end && is_zero(m->room + (size_t)*at * UNIT))
		++*at;
	for (from = *at; *at < end && !is_zero(m->room + (size_t)*at * UNIT);)
		++*at;
	return (struct run){(uint16_t)from, (uint16_t)(*at - from)};
}

static size_t packed_size(const struct h2_memory *m)
{
	size_t size = sizeof(struct run); /* the last one: n 0 */
	uint32_t at = 0;
	struct run r;

	while ((r = next_run(m, &at)).n)
		size += sizeof(r) + (size_t)r.n * UNIT;
	return size;
}

void h2_memory_rest(struct h2_memory *m)
{
	size_t size = m->room && !m->packed ? packed_size(m) : 0;
	uint32_t at = 0;
	struct run r;
	char *p;

	if (!size || size > WORTH_IT || !(m->packed = malloc(size)))
		return;
	p = m->packed;
	do {
		r = next_run(m, &at);
		memcpy(p, &r, sizeof(r));
		memcpy(p + sizeof(r), m->room + (size_t)r.at * UNIT, (size_t)r.n * UNIT);
		p += sizeof(r) + (size_t)r.n * UNIT;
	} while (r.n);
	madvise(m->room, H2_ROOM, MADV_DONTNEED);
}

void h2_memory_wake(struct h2_memory *m)
{
	const char *p = m->packed;
	struct run r;

	for (memcpy(&r, p, sizeof(r)); r.n; memcpy(&r, p, sizeof(r))) {
		memcpy(m->room + (size_t)r.at * UNIT, p + sizeof(r), (size_t)r.n * UNIT);
		p += sizeof(r) + (size_t)r.n * UNIT;
	}
	free(m->packed);
	m->packed = NULL;
}

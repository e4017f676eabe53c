/*
 * What large files held a moment ago: while an app is held for the last reading, what did not change since the reading before
 * is told by a sum that takes a tenth of the time of an id. The sum is no secret and no signature: who finds two pieces of the
 * same sum can only put an old piece of his own file into his own snapshot.
 */
#include "buildpacks/volume/vault_inside.h"
#include <search.h>
#include <string.h>

struct quick {
	uint64_t ino;
	size_t n;
	struct {
		uint64_t sum;
		uint8_t id[VAULT_ID];
	} * pieces;
};

static int by_inode(const void *a, const void *b)
{
	const struct quick *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static uint64_t turn(uint64_t sum, uint64_t word)
{
	sum += word * UINT64_C(0xC2B2AE3D27D4EB4F);
	sum = sum << 31 | sum >> 33;
	return sum * UINT64_C(0x9E3779B185EBCA87);
}

/* The kernel of XXH64: four sums that do not wait for each other. */
uint64_t vault_quick_sum(const uint8_t *data, size_t len)
{
	uint64_t sum[4] = {1, 2, 3, 4}, words[4], all = len;

	for (size_t at = 0; at < len; at += sizeof(words)) {
		size_t n = len - at < sizeof(words) ? len - at : sizeof(words);

		if (n < sizeof(words))
			memset(words, 0, sizeof(words));
		memcpy(words, data + at, n);
		for (int i = 0; i < 4; i++)
			sum[i] = turn(sum[i], words[i]);
	}
	for (int i = 0; i < 4; i++)
		all = turn(all, sum[i]);
	return all ^ all >> 29;
}

static struct quick *find(const struct vault *v, uint64_t ino)
{
	const struct quick wanted = {.ino = ino};
	struct quick *const *found = tfind(&wanted, &v->quick, by_inode);

	return found ? *found : NULL;
}

static struct quick *make(struct vault *v, uint64_t ino)
{
	struct quick *q = calloc(1, sizeof(*q)), **there;

	if (!q)
		return NULL;
	q->ino = ino;
	there = tsearch(q, &v->quick, by_inode);
	if (there && *there == q)
		return q;
	free(q);
	return NULL;
}

/* What is not remembered is hashed the next time. */
void vault_quick_note(struct vault *v, uint64_t ino, size_t piece, uint64_t sum,
	const uint8_t id[VAULT_ID])
{
	struct quick *q = find(v, ino);
	void *more;

	if (!q && !(q = make(v, ino)))
		return;
	if (piece >= q->n) {
		more = reallocarray(q->pieces, piece + 64, sizeof(*q->pieces));
		if (!more)
			return;
		q->pieces = more;
		memset(q->pieces + q->n, 0, (piece + 64 - q->n) * sizeof(*q->pieces));
		q->n = piece + 64;
	}
	q->pieces[piece].sum = sum;
	memcpy(q->pieces[piece].id, id, VAULT_ID);
}

bool vault_quick_find(const struct vault *v, uint64_t ino, size_t piece, uint64_t sum,
	uint8_t ret_id[VAULT_ID])
{
	const struct quick *q = find(v, ino);

	if (!q || piece >= q->n || q->pieces[piece].sum != sum ||
		vault_zero_id(q->pieces[piece].id))
		return false;
	memcpy(ret_id, q->pieces[piece].id, VAULT_ID);
	return true;
}

static void free_quick(void *p)
{
	struct quick *q = p;

	free(q->pieces);
	free(q);
}

void vault_quick_free(struct vault *v)
{
	tdestroy(v->quick, free_quick);
	v->quick = NULL;
}

/* Which pieces are needed, and whether they are what they should be. */
#include "buildpacks/volume/vault_inside.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* Ids that were seen: open addressing; an id is random by itself. The zero id is never in it. */
struct id_set {
	uint8_t *slots;
	size_t n, room;
};

static uint8_t *slot_of(const struct id_set *s, const uint8_t *id)
{
	size_t at;

	memcpy(&at, id, sizeof(at));
	for (at &= s->room - 1;; at = (at + 1) & (s->room - 1)) {
		uint8_t *slot = s->slots + at * VAULT_ID;

		if (vault_zero_id(slot) || memcmp(slot, id, VAULT_ID) == 0)
			return slot;
	}
}

static int grow(struct id_set *s)
{
	struct id_set larger = {.room = s->room ? s->room * 2 : 1024};

	if (s->n * 2 < s->room)
		return 0;
	larger.slots = calloc(larger.room, VAULT_ID);
	if (!larger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < s->room; i++)
		if (!vault_zero_id(s->slots + i * VAULT_ID))
			memcpy(slot_of(&larger, s->slots + i * VAULT_ID),
				s->slots + i * VAULT_ID, VAULT_ID);
	larger.n = s->n;
	free(s->slots);
	*s = larger;
	return 0;
}

/* 1: it is new. */
static int set_add(struct id_set *s, const uint8_t *id)
{
	uint8_t *slot;

	if (vault_zero_id(id))
		return 0;
	if (grow(s) < 0)
		return -ENOMEM;
	slot = slot_of(s, id);
	if (!vault_zero_id(slot))
		return 0;
	memcpy(slot, id, VAULT_ID);
	s->n++;
	return 1;
}

static bool set_has(const struct id_set *s, const uint8_t *id)
{
	return s->room && !vault_zero_id(slot_of(s, id));
}

/* ---- what is needed ---- */

struct prune {
	struct vault *v;
	const char *const *keep;
	size_t n_keep;
	struct id_set needed;
	struct vault_stats *stats;
	struct err *e;
};

static bool kept(const struct prune *p, const char *name)
{
	for (size_t i = 0; i < p->n_keep; i++)
		if (strcmp(p->keep[i], name) == 0)
			return true;
	return false;
}

static int need_all(struct id_set *set, const uint8_t *ids, size_t n)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i++)
		r = set_add(set, ids + i * VAULT_ID);
	return r < 0 ? r : 0;
}

static int need_tree(void *arg, const char *name)
{
	struct prune *p = arg;
	struct vault_tree *t = NULL;
	struct vault_entry entry;
	uint8_t *ids autofree = NULL;
	autobuf manifest = BUF_INIT;
	size_t n, at = 0;
	int r;

	if (!kept(p, name))
		return 0;
	r = vault_load_ids(p->v, name, &ids, &n, &manifest, p->e);
	if (r == 0)
		r = vault_tree_make(&manifest, &t, p->e);
	if (r < 0)
		return r;
	r = need_all(&p->needed, ids, n);
	while (r == 0 && vault_tree_next(t, &at, &entry))
		r = need_all(&p->needed, entry.ids, entry.n_ids);
	vault_tree_free(t);
	return r < 0 ? err_sys(p->e, -r, "read the tree %s", name) : 0;
}

static int drop_tree(void *arg, const char *name)
{
	struct prune *p = arg;

	if (!kept(p, name) && unlinkat(p->v->trees, name, 0) < 0 && errno != ENOENT)
		return err_sys(p->e, errno, "remove the tree %s", name);
	return 0;
}

/* ---- sweeping ---- */

static int sweep_file(struct prune *p, int dir, const char *name)
{
	uint8_t id[VAULT_ID];
	struct stat st;

	if (!vault_unhex(name, id))
		return 0;
	if (set_has(&p->needed, id)) {
		p->stats->chunks++;
		return 0;
	}
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		p->stats->freed_bytes += (uint64_t)st.st_blocks * 512;
	return unlinkat(dir, name, 0) < 0 ? -errno : 0;
}

static int sweep_folder(struct prune *p, const char *name)
{
	int fd = openat(
		p->v->chunks, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *n;
	int r = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while (r == 0 && (n = readdir(d)))
		if (n->d_name[0] != '.')
			r = sweep_file(p, fd, n->d_name);
	closedir(d);
	return r;
}

static int sweep(struct prune *p)
{
	char name[3];
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < 256; i++) {
		snprintf(name, sizeof(name), "%02x", i);
		r = sweep_folder(p, name);
	}
	return r < 0 ? err_sys(p->e, -r, "remove pieces that nothing needs") : 0;
}

int vault_prune(struct vault *v, const char *const *keep, size_t n,
	struct vault_stats *stats, struct err *e)
{
	struct prune p = {.v = v, .keep = keep, .n_keep = n, .stats = stats, .e = e};
	int r = vault_names(v, need_tree, &p);

	if (r == 0)
		r = vault_names(v, drop_tree, &p);
	if (r == 0 && fsync(v->trees) < 0) /* no tree without its pieces after a crash */
		r = err_sys(e, errno, "remove snapshots");
	if (r == 0)
		r = sweep(&p);
	free(p.needed.slots);
	return r;
}

/* ---- checking ---- */

struct verify {
	struct vault *v;
	struct id_set checked;
	struct vault_stats *stats;
	struct err *e;
};

static int verify_file(struct verify *y, const struct vault_entry *n)
{
	for (size_t i = 0; i < n->n_ids; i++) {
		const uint8_t *id = n->ids + i * VAULT_ID;
		uint64_t left = n->size - (uint64_t)i * VAULT_CHUNK;
		int r = set_add(&y->checked, id);

		if (r > 0) {
			y->stats->chunks++;
			r = vault_chunk_read(y->v, id,
				left < VAULT_CHUNK ? (size_t)left : VAULT_CHUNK,
				y->v->part, y->e);
		}
		if (r < 0)
			return err_add(y->e, "%s", n->path);
		y->stats->read_bytes += left < VAULT_CHUNK ? left : VAULT_CHUNK;
	}
	return 0;
}

static int verify_tree(void *arg, const char *name)
{
	struct verify *y = arg;
	struct vault_tree *t = NULL;
	struct vault_entry n;
	size_t at = 0;
	int r = vault_load(y->v, name, &t, y->e);

	while (r == 0 && vault_tree_next(t, &at, &n))
		r = verify_file(y, &n);
	if (r == 0) {
		y->stats->entries += t->entries;
		y->stats->files += t->files;
		y->stats->bytes += t->bytes;
	}
	vault_tree_free(t);
	return r;
}

int vault_verify(
	struct vault *v, const char *name, struct vault_stats *stats, struct err *e)
{
	struct verify y = {.v = v, .stats = stats, .e = e};
	int r = name ? verify_tree(&y, name) : vault_names(v, verify_tree, &y);

	free(y.checked.slots);
	return r;
}

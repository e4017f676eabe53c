/* Trees under their names: the pieces of a manifest, with a checksum. */
#include "buildpacks/volume/vault_inside.h"
#include "lib/io.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define TREE_MAGIC "brthtre1"

struct tree_head {
	char magic[8];
	uint64_t manifest_bytes;
};

static bool name_ok(const char *name)
{
	size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				"0123456789._-");

	return n > 0 && n <= VAULT_NAME_MAX && !name[n] && name[0] != '.';
}

/* The head, the ids, the hash of both. */
static int pack_tree(struct vault *v, const struct vault_tree *t, struct buf *out,
	struct vault_stats *stats, struct err *e)
{
	struct tree_head head = {.magic = TREE_MAGIC, .manifest_bytes = t->len};
	uint8_t id[VAULT_ID];
	int r = buf_add(out, &head, sizeof(head));

	for (size_t at = 0; r == 0 && at < t->len; at += VAULT_CHUNK) {
		size_t n = t->len - at < VAULT_CHUNK ? t->len - at : VAULT_CHUNK;

		r = vault_chunk_add(v, t->data + at, n, id, stats, e);
		if (r < 0)
			return r;
		r = buf_add(out, id, sizeof(id));
	}
	if (r < 0)
		return err_set(e, ENOMEM, "out of memory");
	vault_hash(v, out->data, out->len, id);
	return buf_add(out, id, sizeof(id)) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

static int unpack_tree(const struct vault *v, const struct buf *b, struct tree_head *ret)
{
	uint8_t id[VAULT_ID];
	size_t ids;

	if (b->len < sizeof(*ret) + VAULT_ID)
		return -EBADMSG;
	memcpy(ret, b->data, sizeof(*ret));
	ids = (b->len - sizeof(*ret)) / VAULT_ID - 1;
	vault_hash(v, b->data, b->len - VAULT_ID, id);
	if (memcmp(id, b->data + b->len - VAULT_ID, VAULT_ID) != 0 ||
		memcmp(ret->magic, TREE_MAGIC, sizeof(ret->magic)) != 0 ||
		ret->manifest_bytes == 0 || ret->manifest_bytes > VAULT_MANIFEST_MAX ||
		(ret->manifest_bytes + VAULT_CHUNK - 1) / VAULT_CHUNK != ids ||
		(b->len - sizeof(*ret)) % VAULT_ID)
		return -EBADMSG;
	return 0;
}

/* Under its own name as a seal's id: a tree cannot be passed off as another. */
static int seal_tree(struct vault *v, const char *name, struct buf *b, struct err *e)
{
	uint8_t id[VAULT_ID];
	autobuf out = {.max = b->max + VAULT_CHUNK};
	int r;

	if (!v->o.codec)
		return 0;
	vault_hash(v, name, strlen(name), id);
	r = v->o.codec->seal(v->o.codec->arg, id, b->data, b->len, &out, e);
	if (r < 0)
		return r;
	buf_reset(b);
	return buf_add(b, out.data, out.len) < 0 ? err_set(e, ENOMEM, "out of memory")
						 : 0;
}

int vault_save(struct vault *v, const char *name, const struct vault_tree *t,
	struct vault_stats *stats, struct err *e)
{
	autobuf b = {0};
	int r;

	if (!name_ok(name) || v->o.read_only)
		return err_set(e, EINVAL, "\"%.80s\" cannot be the name of a tree", name);
	r = pack_tree(v, t, &b, stats, e);
	if (r == 0)
		r = seal_tree(v, name, &b, e);
	if (r == 0 && v->grown)
		r = vault_settle(v, e);
	if (r < 0)
		return r;
	r = io_replace_file(v->trees, name, b.data, b.len, 0600);
	return r < 0 ? err_sys(e, -r, "keep the snapshot") : 0;
}

static int open_tree_file(struct vault *v, const char *name, struct buf *b, struct err *e)
{
	autobuf sealed = {0};
	uint8_t id[VAULT_ID];
	int r;

	if (!name_ok(name))
		return err_set(e, ENOENT, "there is no tree named \"%.80s\"", name);
	r = io_read_file(v->trees, name, v->o.codec ? &sealed : b);
	if (r < 0)
		return err_sys(e, -r, "read the tree %s", name);
	if (!v->o.codec)
		return 0;
	vault_hash(v, name, strlen(name), id);
	return v->o.codec->open(v->o.codec->arg, id, sealed.data, sealed.len, b, e);
}

int vault_load_ids(struct vault *v, const char *name, uint8_t **ret, size_t *ret_n,
	struct buf *manifest, struct err *e)
{
	struct tree_head head;
	autobuf b = {0};
	int r = open_tree_file(v, name, &b, e);

	if (r < 0)
		return r;
	if (unpack_tree(v, &b, &head) < 0)
		return err_set(e, EBADMSG, "the tree %s is damaged", name);
	const uint8_t *ids = (const uint8_t *)b.data + sizeof(head);
	manifest->max = VAULT_MANIFEST_MAX + 1;
	*ret_n = (head.manifest_bytes + VAULT_CHUNK - 1) / VAULT_CHUNK;
	for (size_t i = 0, left = head.manifest_bytes; i < *ret_n; i++) {
		size_t n = left < VAULT_CHUNK ? left : VAULT_CHUNK;
		char *at = buf_room(manifest, n);

		if (!at)
			return err_set(e, ENOMEM, "out of memory");
		r = vault_chunk_read(v, ids + i * VAULT_ID, n, (uint8_t *)at, e);
		if (r < 0)
			return err_add(e, "the tree %s", name);
		manifest->len += n;
		left -= n;
	}
	*ret = malloc(*ret_n * VAULT_ID);
	if (!*ret)
		return err_set(e, ENOMEM, "out of memory");
	memcpy(*ret, ids, *ret_n * VAULT_ID);
	return 0;
}

int vault_load(struct vault *v, const char *name, struct vault_tree **ret, struct err *e)
{
	uint8_t *ids autofree = NULL;
	autobuf manifest = {0};
	size_t n;
	int r = vault_load_ids(v, name, &ids, &n, &manifest, e);

	return r < 0 ? r : vault_tree_make(&manifest, ret, e);
}

int vault_names(struct vault *v, int (*cb)(void *arg, const char *name), void *arg)
{
	int fd = openat(v->trees, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *n;
	int r = 0;

	if (!d)
		return -errno;
	while (r == 0 && (n = readdir(d)))
		if (name_ok(n->d_name))
			r = cb(arg, n->d_name);
	closedir(d);
	return r;
}

/* A manifest: a record for each entry, in order, and a last one that counts them. Little endian, as the machines are. */
#include "buildpacks/volume/vault_inside.h"
#include <errno.h>
#include <string.h>

#define MAGIC "brthman1"
#define KIND_END 'e'

struct record {
	uint64_t size, ino; /* KIND_END: how many entries there were; 0 */
	int64_t mtime_ns, ctime_ns;
	uint32_t mode, uid, gid, xattrs_len;
	uint16_t path_len, link_len;
	uint8_t kind, pad[3];
};
_Static_assert(sizeof(struct record) == 56, "no holes in a record");
_Static_assert(
	__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are written as they are");

static size_t ids_of(uint64_t size)
{
	return (size_t)((size + VAULT_CHUNK - 1) / VAULT_CHUNK);
}

/* '/' sorts before every byte of a name, after the end. */
static int rank(char c)
{
	return c == '\0' ? 0 : c == '/' ? 1 : (unsigned char)c + 1;
}

int vault_path_order(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return rank(*a) - rank(*b);
}

bool vault_path_valid(const char *path)
{
	for (;;) {
		size_t n = strcspn(path, "/");

		if (n == 0 || n > 255 || (n <= 2 && path[0] == '.' && path[n - 1] == '.'))
			return false;
		if (!path[n])
			return true;
		path += n + 1;
	}
}

int vault_entry_add(struct buf *manifest, const struct vault_entry *n)
{
	struct record rec = {.size = n->size,
		.ino = n->ino,
		.mtime_ns = n->mtime_ns,
		.ctime_ns = n->ctime_ns,
		.mode = n->mode,
		.uid = n->uid,
		.gid = n->gid,
		.xattrs_len = (uint32_t)n->xattrs_len,
		.path_len = (uint16_t)strlen(n->path),
		.link_len = (uint16_t)strlen(n->link),
		.kind = (uint8_t)n->kind};

	if (manifest->len == 0)
		buf_add(manifest, MAGIC, strlen(MAGIC));
	buf_add(manifest, &rec, sizeof(rec));
	buf_add(manifest, n->path, rec.path_len + 1u);
	buf_add(manifest, n->link, rec.link_len + 1u);
	buf_add(manifest, n->xattrs, n->xattrs_len);
	return buf_add(manifest, n->ids, n->n_ids * VAULT_ID);
}

/* ---- reading ---- */

struct cursor {
	const char *at, *end;
};

static const char *take(struct cursor *c, size_t len)
{
	const char *at = c->at;

	if ((size_t)(c->end - c->at) < len)
		return NULL;
	c->at += len;
	return at;
}

/* Exactly so many bytes before its NUL. */
static const char *take_string(struct cursor *c, size_t len)
{
	const char *s = len < VAULT_PATH_MAX ? take(c, len + 1) : NULL;

	return s && memchr(s, '\0', len + 1) == s + len ? s : NULL;
}

/* 1, or 0 for the last record (its count in ret->size), -EBADMSG. */
static int take_entry(struct cursor *c, struct vault_entry *ret)
{
	const char *raw = take(c, sizeof(struct record));
	struct record rec;

	if (!raw)
		return -EBADMSG;
	memcpy(&rec, raw, sizeof(rec));
	*ret = (struct vault_entry){.size = rec.size,
		.ino = rec.ino,
		.mtime_ns = rec.mtime_ns,
		.ctime_ns = rec.ctime_ns,
		.mode = rec.mode,
		.uid = rec.uid,
		.gid = rec.gid,
		.xattrs_len = rec.xattrs_len,
		.kind = (enum vault_kind)rec.kind};
	if (rec.kind == KIND_END)
		return 0;
	if (rec.xattrs_len > VAULT_XATTRS_MAX || rec.size > VAULT_FILE_MAX ||
		(rec.size && rec.kind != VAULT_FILE) || rec.mode > 07777)
		return -EBADMSG;
	ret->n_ids = ids_of(rec.size);
	ret->path = take_string(c, rec.path_len);
	ret->link = take_string(c, rec.link_len);
	ret->xattrs = take(c, rec.xattrs_len);
	ret->ids = (const uint8_t *)take(c, ret->n_ids * VAULT_ID);
	return ret->path && ret->link && ret->xattrs && ret->ids ? 1 : -EBADMSG;
}

bool vault_tree_next(const struct vault_tree *t, size_t *at, struct vault_entry *ret)
{
	struct cursor c = {t->data + (*at ? *at : strlen(MAGIC)), t->data + t->len};

	if (take_entry(&c, ret) <= 0)
		return false;
	*at = (size_t)(c.at - t->data);
	return true;
}

/* Only names that are kept, each followed by as many bytes as it says. */
static bool xattrs_ok(const struct vault_entry *n)
{
	struct cursor c = {n->xattrs, n->xattrs + n->xattrs_len};

	while (c.at < c.end) {
		const char *name = c.at,
			   *nul = memchr(name, '\0', (size_t)(c.end - name));
		const char *size =
			nul && take(&c, (size_t)(nul - name) + 1) ? take(&c, 4) : NULL;
		uint32_t len;

		if (!size || !vault_xattr_kept(name))
			return false;
		memcpy(&len, size, sizeof(len));
		if (!take(&c, len))
			return false;
	}
	return true;
}

static bool link_ok(const struct vault_entry *n)
{
	switch (n->kind) {
	case VAULT_SYMLINK:
		return *n->link != '\0';
	case VAULT_HARDLINK:
		return vault_path_valid(n->link) &&
		       vault_path_order(n->link, n->path) < 0;
	case VAULT_DIR:
	case VAULT_FILE:
	case VAULT_FIFO:
	case VAULT_SOCKET:
		return *n->link == '\0';
	}
	return false;
}

/* Its folder is the entry before it, or one of those that the entry before lies in: all of them are folders then. */
static bool folder_ok(const struct vault_entry *before, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0, n = strlen(before->path);

	if (len == 0)
		return true;
	if (len > n || strncmp(path, before->path, len) != 0)
		return false;
	return len == n ? before->kind == VAULT_DIR : before->path[len] == '/';
}

static const char *fault_of(const struct vault_entry *before, const struct vault_entry *n)
{
	if (!before)
		return *n->path || n->kind != VAULT_DIR
			       ? "it does not begin with its root"
			       : NULL;
	if (!vault_path_valid(n->path))
		return "a path is not acceptable";
	if (vault_path_order(before->path, n->path) >= 0)
		return "a path comes twice or too late";
	if (!folder_ok(before, n->path))
		return "a path lies in no folder";
	if (!link_ok(n))
		return "a link is not acceptable";
	return xattrs_ok(n) ? NULL : "an attribute is not acceptable";
}

static int check(struct vault_tree *t, struct err *e)
{
	struct cursor c = {t->data, t->data + t->len};
	struct vault_entry before = {0}, n;
	const char *magic = take(&c, strlen(MAGIC)), *fault;
	int r;

	if (!magic || memcmp(magic, MAGIC, strlen(MAGIC)) != 0)
		return err_set(e, EBADMSG, "this is no manifest");
	while ((r = take_entry(&c, &n)) > 0) {
		fault = fault_of(t->entries ? &before : NULL, &n);
		if (fault)
			return err_set(e, EBADMSG, "the manifest is damaged: %s", fault);
		t->entries++;
		t->files += n.kind == VAULT_FILE;
		t->bytes += n.size;
		before = n;
	}
	if (r < 0 || n.size != t->entries || c.at != c.end || t->entries == 0)
		return err_set(e, EBADMSG, "the manifest has no proper end");
	return 0;
}

static int end_manifest(struct buf *manifest)
{
	struct record rec = {.kind = KIND_END};
	struct cursor c = {
		manifest->data + strlen(MAGIC), manifest->data + manifest->len};
	struct vault_entry n;

	if (manifest->len <= strlen(MAGIC))
		return -EBADMSG;
	while (c.at < c.end) {
		int r = take_entry(&c, &n);

		if (r <= 0) /* it has its end, or is none: check says which */
			return 0;
		rec.size++;
	}
	return buf_add(manifest, &rec, sizeof(rec));
}

int vault_tree_make(struct buf *manifest, struct vault_tree **ret, struct err *e)
{
	struct vault_tree *t;
	int r;

	if (manifest->failed || end_manifest(manifest) == -EMSGSIZE)
		return err_set(e, EFBIG,
			"the manifest is larger than %zu MB: too many files",
			VAULT_MANIFEST_MAX >> 20);
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(e, ENOMEM, "out of memory");
	t->len = manifest->len;
	t->data = buf_take(manifest);
	r = t->data ? check(t, e) : err_set(e, EBADMSG, "this is no manifest");
	if (r == 0)
		*ret = t;
	else
		vault_tree_free(t);
	return r;
}

void vault_tree_free(struct vault_tree *t)
{
	if (!t)
		return;
	free(t->data);
	free(t);
}

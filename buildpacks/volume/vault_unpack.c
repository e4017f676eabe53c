/* An archive becomes a tree of a vault, trusting nothing in it. */
#include "buildpacks/volume/vault_inside.h"
#include "buildpacks/volume/vault_pack.h"
#include "buildpacks/volume/vault_stream.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ID_MAX 65534u
#define APP_ID 1000u /* of folders that the archive does not mention */

/* ---- entries, as they come ---- */

struct item {
	char *path, *link;
	struct buf xattrs, ids;
	struct vault_entry n;
	size_t order; /* among those of the same path the last one counts */
};

struct unpack {
	struct vault *v;
	const struct vault_unpack *u;
	struct vault_stats *stats;
	struct item *items;
	size_t n_items, room;
	uint64_t bytes, skipped;
	uint8_t data[VAULT_CHUNK];
	size_t used; /* of data */
	struct err *e;
};

static void free_item(struct item *i)
{
	free(i->path);
	free(i->link);
	buf_free(&i->xattrs);
	buf_free(&i->ids);
}

static struct item *new_item(struct unpack *u, const char *path)
{
	if (u->n_items == u->room) {
		u->room = u->room ? u->room * 2 : 256;
		u->items = reallocarray(u->items, u->room, sizeof(*u->items));
	}
	if (!u->items)
		abort();
	struct item *i = &u->items[u->n_items];
	*i = (struct item){.path = strdup(path), .order = u->n_items++};
	i->link = strdup("");
	if (!i->path || !i->link)
		abort();
	return i;
}

static enum vault_kind kind_of(struct archive_entry *entry)
{
	if (archive_entry_hardlink(entry))
		return VAULT_HARDLINK;
	switch (archive_entry_filetype(entry)) {
	case AE_IFREG:
		return VAULT_FILE;
	case AE_IFDIR:
		return VAULT_DIR;
	case AE_IFLNK:
		return VAULT_SYMLINK;
	case AE_IFIFO:
		return VAULT_FIFO;
	default:
		return 0;
	}
}

static uint32_t id_of(la_int64_t id)
{
	return id < 0 || id > ID_MAX ? ID_MAX : (uint32_t)id;
}

static void take_xattrs(struct archive_entry *entry, struct buf *out)
{
	const char *name;
	const void *value;
	size_t size;

	out->max = VAULT_XATTRS_MAX;
	archive_entry_xattr_reset(entry);
	while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
		uint32_t len = (uint32_t)size;

		if (strncmp(name, "user.", 5) != 0 || !vault_xattr_kept(name) ||
			out->len + strlen(name) + 5 + size > VAULT_XATTRS_MAX)
			continue;
		buf_add(out, name, strlen(name) + 1);
		buf_add(out, &len, sizeof(len));
		buf_add(out, value, size);
	}
}

/* ---- a file's bytes, in pieces ---- */

static int end_piece(struct unpack *u, struct item *i)
{
	uint8_t id[VAULT_ID];
	int r;

	if (u->used == 0)
		return 0;
	r = vault_chunk_add(u->v, u->data, u->used, id, u->stats, u->e);
	if (r < 0)
		return r;
	if (!vault_zero_id(id))
		u->bytes += u->used;
	if (u->bytes > u->u->max_bytes)
		return err_set(u->e, EFBIG,
			"refused: more than %llu MB in it, which is what the volume may "
			"hold",
			(unsigned long long)(u->u->max_bytes >> 20));
	i->n.size += u->used;
	u->used = 0;
	return buf_add(&i->ids, id, sizeof(id)) < 0
		       ? err_set(u->e, EFBIG, "a file is too large")
		       : 0;
}

static int add_bytes(struct unpack *u, struct item *i, const uint8_t *from, uint64_t len)
{
	int r = 0;

	while (r == 0 && len > 0) {
		size_t n = VAULT_CHUNK - u->used;

		if (n > len)
			n = (size_t)len;
		if (from)
			memcpy(u->data + u->used, from, n);
		else
			memset(u->data + u->used, 0, n);
		from = from ? from + n : NULL;
		len -= n;
		u->used += n;
		r = u->used == VAULT_CHUNK ? end_piece(u, i) : 0;
	}
	return r;
}

static int take_data(struct unpack *u, struct archive *a, struct item *i, uint64_t size)
{
	const void *data;
	size_t len;
	la_int64_t offset;
	uint64_t at = 0;
	int r, status;

	if (size > VAULT_FILE_MAX)
		return err_set(u->e, EFBIG, "refused: %s claims %llu bytes", i->path,
			(unsigned long long)size);
	i->ids.max = (size_t)(VAULT_FILE_MAX / VAULT_CHUNK) * VAULT_ID;
	while ((status = archive_read_data_block(a, &data, &len, &offset)) ==
		ARCHIVE_OK) {
		if (offset < 0 || (uint64_t)offset < at || (uint64_t)offset > size ||
			len > size - (uint64_t)offset)
			return err_set(u->e, EBADMSG, "%s: impossible contents", i->path);
		r = add_bytes(u, i, NULL, (uint64_t)offset - at);
		if (r == 0)
			r = add_bytes(u, i, data, len);
		if (r < 0)
			return r;
		at = (uint64_t)offset + len;
	}
	if (status != ARCHIVE_EOF)
		return tar_in_error(a, i->path, u->e);
	r = add_bytes(u, i, NULL, size - at);
	return r < 0 ? r : end_piece(u, i);
}

static int take_link(struct unpack *u, struct item *i, struct archive_entry *entry)
{
	char target[TAR_PATH_MAX];
	const char *link = i->n.kind == VAULT_HARDLINK ? archive_entry_hardlink(entry)
						       : archive_entry_symlink(entry);

	if (i->n.kind == VAULT_HARDLINK) {
		int r = tar_in_path(link, target, u->e);
		if (r < 0)
			return r;
		link = target;
	}
	if (!link || !*link || strlen(link) >= VAULT_PATH_MAX)
		return err_set(u->e, EBADMSG, "%s: no target of a link", i->path);
	free(i->link);
	i->link = strdup(link);
	return i->link ? 0 : err_set(u->e, ENOMEM, "out of memory");
}

static void take_owner(struct item *i, struct archive_entry *entry)
{
	i->n.mode = (uint32_t)archive_entry_perm(entry) &
		    (i->n.kind == VAULT_DIR ? 03777u : 01777u);
	i->n.uid = id_of(archive_entry_uid(entry));
	i->n.gid = id_of(archive_entry_gid(entry));
	i->n.mtime_ns =
		archive_entry_mtime(entry) * 1000000000 + archive_entry_mtime_nsec(entry);
}

static int take_entry(struct unpack *u, struct archive *a, struct archive_entry *entry)
{
	char path[TAR_PATH_MAX];
	enum vault_kind kind = kind_of(entry);
	int r = tar_in_path(archive_entry_pathname(entry), path, u->e);

	if (r < 0)
		return r;
	if (strcmp(path, ".") == 0)
		path[0] = '\0';
	if (*path && !vault_path_valid(path))
		return err_set(
			u->e, EPERM, "refused: the path %.200s is not acceptable", path);
	if (u->n_items >= u->u->max_files)
		return err_set(u->e, EFBIG, "refused: more than %llu files",
			(unsigned long long)u->u->max_files);
	if (!kind || (!*path && kind != VAULT_DIR)) {
		u->skipped++;
		return 0;
	}
	struct item *i = new_item(u, path);
	i->n.kind = kind;
	take_owner(i, entry);
	if (kind == VAULT_SYMLINK || kind == VAULT_HARDLINK)
		return take_link(u, i, entry);
	take_xattrs(entry, &i->xattrs);
	return kind == VAULT_FILE && archive_entry_size(entry) > 0
		       ? take_data(u, a, i, (uint64_t)archive_entry_size(entry))
		       : 0;
}

static int take_entries(struct unpack *u, struct archive *a)
{
	struct archive_entry *entry;
	int status, r;

	while ((status = archive_read_next_header(a, &entry)) == ARCHIVE_OK ||
		status == ARCHIVE_WARN)
		if ((r = take_entry(u, a, entry)) < 0)
			return r;
	return status == ARCHIVE_EOF ? 0 : tar_in_error(a, "the archive", u->e);
}

/* ---- entries, as a manifest has them ---- */

static int by_path(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int r = vault_path_order(x->path, y->path);

	return r ? r : x->order < y->order ? -1 : x->order > y->order;
}

static struct item *find(struct unpack *u, const char *path)
{
	size_t low = 0, high = u->n_items;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int r = vault_path_order(u->items[mid].path, path);

		if (r == 0)
			return &u->items[mid];
		if (r < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

/* Whether the path, or something in it, is the entry before i. */
static bool is_there(const struct unpack *u, size_t i, const char *path)
{
	size_t len = strlen(path);
	const char *before = i > 0 ? u->items[i - 1].path : "";

	return strncmp(before, path, len) == 0 && (before[len] == '/' || !before[len]);
}

static int is_no_folder(const struct unpack *u, size_t i, const char *path)
{
	return i > 0 && strcmp(u->items[i - 1].path, path) == 0 &&
	       u->items[i - 1].n.kind != VAULT_DIR;
}

static struct item *new_folder(struct unpack *u, const char *path)
{
	struct item *i = new_item(u, path);

	i->order = 0;
	i->n.kind = VAULT_DIR;
	i->n.mode = 0755;
	i->n.uid = i->n.gid = APP_ID;
	return i;
}

/* Folders that were only named as part of a path; they are sorted in afterwards. */
static int add_parents(struct unpack *u)
{
	const size_t n = u->n_items;
	char path[VAULT_PATH_MAX];

	for (size_t i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s", u->items[i].path);
		for (char *slash; (slash = strrchr(path, '/'));) {
			*slash = '\0';
			if (is_no_folder(u, i, path))
				return err_set(u->e, EPERM,
					"refused: %s lies below something that is not a "
					"folder",
					u->items[i].path);
			if (is_there(u, i, path))
				break;
			new_folder(u, path);
		}
	}
	return u->n_items > u->u->max_files * 2
		       ? err_set(u->e, EFBIG, "refused: too many folders")
		       : 0;
}

/* Sorted, and of each path the last that came. */
static void sort(struct unpack *u)
{
	size_t kept = 0;

	if (u->n_items)
		qsort(u->items, u->n_items, sizeof(*u->items), by_path);
	for (size_t i = 0; i < u->n_items; i++) {
		if (i + 1 < u->n_items &&
			strcmp(u->items[i].path, u->items[i + 1].path) == 0) {
			free_item(&u->items[i]);
			continue;
		}
		u->items[kept++] = u->items[i];
	}
	u->n_items = kept;
}

/* The file behind a hard link, which may be named by way of others. */
static struct item *file_of(struct unpack *u, struct item *i)
{
	for (int k = 0; i && k < 64; k++) {
		if (i->n.kind == VAULT_FILE)
			return i;
		i = i->n.kind == VAULT_HARDLINK ? find(u, i->link) : NULL;
	}
	return NULL;
}

/* The contents go to the name that comes first, the others lead there. first[k]: of the file at k. */
static int find_firsts(struct unpack *u, size_t *first, size_t *file)
{
	for (size_t i = 0; i < u->n_items; i++)
		first[i] = file[i] = i;
	for (size_t i = 0; i < u->n_items; i++) {
		if (u->items[i].n.kind != VAULT_HARDLINK)
			continue;
		struct item *f = file_of(u, &u->items[i]);
		if (!f)
			return err_set(u->e, EPERM,
				"refused: %s is a hard link to %s, which is not there",
				u->items[i].path, u->items[i].link);
		file[i] = (size_t)(f - u->items);
		if (i < first[file[i]])
			first[file[i]] = i;
	}
	return 0;
}

static void swap_contents(struct item *a, struct item *b)
{
	struct item t = *a;

	*a = *b;
	*b = t;
	/* names stay */
	char *path = a->path;
	a->path = b->path;
	b->path = path;
}

static int set_link(struct item *i, const char *target)
{
	free(i->link);
	i->link = strdup(target);
	i->n.kind = VAULT_HARDLINK;
	return i->link ? 0 : -ENOMEM;
}

static int resolve_links(struct unpack *u)
{
	size_t *first autofree = calloc(u->n_items + 1, sizeof(*first));
	size_t *file autofree = calloc(u->n_items + 1, sizeof(*file));
	int r = first && file ? find_firsts(u, first, file)
			      : err_set(u->e, ENOMEM, "out of memory");

	for (size_t i = 0; r == 0 && i < u->n_items; i++)
		if (file[i] == i && first[i] < i)
			swap_contents(&u->items[i], &u->items[first[i]]);
	for (size_t i = 0; r == 0 && i < u->n_items; i++)
		if (first[file[i]] != i)
			r = set_link(&u->items[i], u->items[first[file[i]]].path);
	return r;
}

static const char *bytes_of(const struct buf *b)
{
	return b->data ? b->data : "";
}

static int write_manifest(struct unpack *u, struct buf *manifest)
{
	int r = 0;

	for (size_t k = 0; r == 0 && k < u->n_items; k++) {
		struct item *i = &u->items[k];

		i->n.path = i->path;
		i->n.link = i->n.kind == VAULT_SYMLINK || i->n.kind == VAULT_HARDLINK
				    ? i->link
				    : "";
		i->n.xattrs = bytes_of(&i->xattrs);
		i->n.xattrs_len = i->xattrs.len;
		i->n.ids = (const uint8_t *)bytes_of(&i->ids);
		i->n.n_ids = i->ids.len / VAULT_ID;
		if (i->n.kind == VAULT_HARDLINK)
			i->n.size = i->n.n_ids = i->n.xattrs_len = 0;
		r = vault_entry_add(manifest, &i->n);
	}
	return r < 0 ? err_sys(u->e, -r, "write the manifest") : 0;
}

static int make_tree(struct unpack *u, struct vault_tree **ret)
{
	autobuf manifest = {.max = VAULT_MANIFEST_MAX};
	int r;

	for (size_t i = 0; i < u->n_items; i++)
		u->items[i].order = i + 1;
	new_folder(u, "");
	sort(u);
	r = add_parents(u);
	sort(u);
	if (r == 0)
		r = resolve_links(u);
	if (r == 0)
		r = write_manifest(u, &manifest);
	return r == 0 ? vault_tree_make(&manifest, ret, u->e) : r;
}

static int unpack(struct unpack *u, struct vault_stream *s, struct vault_tree **ret)
{
	struct archive *a = vault_stream_open(s, u->e);
	int r;

	if (!a)
		return -EBADMSG;
	r = take_entries(u, a);
	if (r == 0)
		r = vault_stream_end(s, a, u->e);
	archive_read_free(a);
	if (r == 0)
		r = make_tree(u, ret);
	return r;
}

int vault_unpack(struct vault *v, const struct vault_unpack *what,
	struct vault_tree **ret, struct vault_stats *stats, struct err *e)
{
	struct unpack *u = calloc(1, sizeof(*u));
	struct vault_stream *s = calloc(1, sizeof(*s));
	int r = -ENOMEM;

	if (u && s) {
		*s = (struct vault_stream){
			.fd = what->fd, .unverified = what->unverified};
		u->v = v;
		u->u = what;
		u->stats = stats;
		u->e = e;
		r = unpack(u, s, ret);
		if (r == 0) {
			stats->entries += (*ret)->entries;
			stats->files += (*ret)->files;
			stats->bytes += (*ret)->bytes;
		}
		for (size_t i = 0; i < u->n_items; i++)
			free_item(&u->items[i]);
		free(u->items);
	} else {
		err_set(e, ENOMEM, "out of memory");
	}
	free(u);
	free(s);
	return r;
}

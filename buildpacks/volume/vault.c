/* A vault's folder, and the pieces in it. */
#define OPENSSL_SUPPRESS_DEPRECATED /* the functions below are the ones without set-up */
#include "buildpacks/volume/vault_inside.h"
#include "lib/io.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>

#define BLOCK ((size_t)4096)
#define FORM_FILE "vault" /* how pieces are stored */
#define FORM_PLAIN "berth vault 1 plain\n"
#define FORM_CODED "berth vault 1 coded\n"
#define PACKED 'z' /* first byte of a coded piece: compressed, or not */
#define UNPACKED 'r'

/* ---- hashes ---- */

/* SHA256() itself would bring all of libcrypto. */
static void plain(const void *data, size_t len, uint8_t ret[VAULT_ID])
{
	SHA256_CTX c;

	SHA256_Init(&c);
	SHA256_Update(&c, data, len);
	SHA256_Final(ret, &c);
}

static void keyed(const uint8_t *key, uint8_t with, const void *data, size_t len,
	uint8_t ret[VAULT_ID])
{
	uint8_t pad[64];
	SHA256_CTX c;

	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] = (uint8_t)((i < 32 ? key[i] : 0) ^ with);
	SHA256_Init(&c);
	SHA256_Update(&c, pad, sizeof(pad));
	SHA256_Update(&c, data, len);
	SHA256_Final(ret, &c);
}

/* With a key HMAC (RFC 2104). */
void vault_hash(
	const struct vault *v, const void *data, size_t len, uint8_t ret[VAULT_ID])
{
	const uint8_t *key = v->o.codec ? v->o.codec->id_key : NULL;
	uint8_t inner[VAULT_ID];

	if (!key) {
		plain(data, len, ret);
		return;
	}
	keyed(key, 0x36, data, len, inner);
	keyed(key, 0x5c, inner, sizeof(inner), ret);
}

/* ---- the folder ---- */

int vault_empty(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *n;
	int r = 0;

	if (!d)
		return -errno;
	while (r == 0 && (n = readdir(d)))
		if (n->d_name[0] != '.' && unlinkat(dir, n->d_name, 0) < 0)
			r = -errno;
	closedir(d);
	return r;
}

static int open_folder(struct vault *v, const char *name)
{
	if (!v->o.read_only && mkdirat(v->dir, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	int fd = openat(v->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int check_form(struct vault *v, struct err *e)
{
	const char *want = v->coded ? FORM_CODED : FORM_PLAIN;
	autobuf b = {.max = 64};
	int r = io_read_file(v->dir, FORM_FILE, &b);

	if (r == -ENOENT && !v->o.read_only) {
		r = io_replace_file(v->dir, FORM_FILE, want, strlen(want), 0600);
		return r < 0 ? err_sys(e, -r, "begin the vault") : 0;
	}
	if (r < 0 || !b.data || strcmp(b.data, want) != 0)
		return err_set(e, EPROTO, "this is no vault, or one of another form");
	return 0;
}

static int open_folders(struct vault *v, struct err *e)
{
	int r = check_form(v, e);

	if (r < 0)
		return r;
	v->chunks = open_folder(v, "chunks");
	v->trees = open_folder(v, "trees");
	if (!v->o.read_only)
		v->new = open_folder(v, "new");
	if (v->chunks < 0 || v->trees < 0 || (v->new < 0 && !v->o.read_only))
		return err_sys(e, errno, "open the vault");
	r = v->o.read_only ? 0 : vault_empty(v->new);
	return r < 0 ? err_sys(e, -r, "clear what an interrupted snapshot left") : 0;
}

static int lock(struct vault *v, struct err *e)
{
	if (v->dir < 0)
		return err_sys(e, errno, "open the vault");
	if (flock(v->dir, (v->o.read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK
		       ? err_set(e, EBUSY, "another operation has the snapshots open")
		       : err_sys(e, errno, "lock the vault");
}

struct vault *vault_open(int dirfd, const struct vault_options *o, struct err *e)
{
	struct vault *v = calloc(1, sizeof(*v));
	int r;

	if (!v) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	v->o = *o;
	v->coded = o->codec || o->zstd_level;
	v->chunks = v->trees = v->new = -1;
	v->stored.max = v->packed.max = 4 * VAULT_CHUNK;
	v->dir = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = lock(v, e);
	if (r == 0)
		r = open_folders(v, e);
	if (r == 0)
		return v;
	vault_close(v);
	return NULL;
}

void vault_close(struct vault *v)
{
	const int fds[] = {v ? v->dir : -1, v ? v->chunks : -1, v ? v->trees : -1};

	if (!v)
		return;
	if (v->new >= 0) {
		(void)vault_empty(v->new);
		close(v->new);
	}
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	vault_quick_free(v);
	ZSTD_freeCCtx(v->zstd);
	buf_free(&v->stored);
	buf_free(&v->packed);
	free(v);
}

/* ---- how a piece is stored ---- */

static int compress(struct vault *v, const void *data, size_t len, struct buf *out)
{
	const size_t bound = ZSTD_compressBound(len);
	char *at = buf_adds(out, (const char[]){PACKED, 0}) < 0 ? NULL
								: buf_room(out, bound);

	if (!at || (!v->zstd && !(v->zstd = ZSTD_createCCtx())))
		return -ENOMEM;
	size_t n = ZSTD_compressCCtx(v->zstd, at, bound, data, len, v->o.zstd_level);
	if (ZSTD_isError(n))
		return -EIO;
	out->len += n;
	return 0;
}

/* The bytes to store, in v->stored. */
static int encode(struct vault *v, const uint8_t id[VAULT_ID], const void *data,
	size_t len, struct err *e)
{
	int r = -EMSGSIZE;

	buf_reset(&v->packed);
	buf_reset(&v->stored);
	if (v->o.zstd_level)
		r = compress(v, data, len, &v->packed);
	if (r == 0 && v->packed.len > len)
		r = -EMSGSIZE;
	if (r == -EMSGSIZE) {
		buf_reset(&v->packed);
		buf_adds(&v->packed, (const char[]){UNPACKED, 0});
		r = buf_add(&v->packed, data, len);
	}
	if (r < 0)
		return err_sys(e, -r, "pack a piece");
	if (v->o.codec)
		return v->o.codec->seal(v->o.codec->arg, id, v->packed.data,
			v->packed.len, &v->stored, e);
	return buf_add(&v->stored, v->packed.data, v->packed.len) < 0
		       ? err_set(e, ENOMEM, "out of memory")
		       : 0;
}

/* len bytes from v->stored. */
static int decode(struct vault *v, const uint8_t id[VAULT_ID], size_t len, uint8_t *data,
	struct err *e)
{
	struct buf *from = &v->stored;
	int r = 0;

	if (v->o.codec) {
		buf_reset(&v->packed);
		r = v->o.codec->open(
			v->o.codec->arg, id, from->data, from->len, &v->packed, e);
		from = &v->packed;
	}
	if (r < 0)
		return r;
	if (from->len > 0 && from->data[0] == UNPACKED && from->len == len + 1) {
		memcpy(data, from->data + 1, len);
		return 0;
	}
	if (from->len > 1 && from->data[0] == PACKED &&
		ZSTD_decompress(data, len, from->data + 1, from->len - 1) == len)
		return 0;
	return err_set(e, EBADMSG, "a piece is damaged");
}

static void chunk_path(const uint8_t id[VAULT_ID], char out[3 + VAULT_HEX])
{
	char hex[VAULT_HEX];

	vault_hex(id, hex);
	snprintf(out, 3 + VAULT_HEX, "%.2s/%s", hex, hex);
}

static int read_stored(struct vault *v, const uint8_t id[VAULT_ID])
{
	char path[3 + VAULT_HEX];
	int r;

	chunk_path(id, path);
	buf_reset(&v->stored);
	r = io_read_file(v->chunks, path, &v->stored);
	if (r != -ENOENT || v->new < 0)
		return r;
	buf_reset(&v->stored);
	return io_read_file(v->new, path + 3, &v->stored);
}

int vault_chunk_read(struct vault *v, const uint8_t id[VAULT_ID], size_t len,
	uint8_t *buf, struct err *e)
{
	uint8_t found[VAULT_ID];
	int r;

	if (len == 0 || len > VAULT_CHUNK)
		return err_set(e, EINVAL, "a piece of %zu bytes", len);
	if (vault_zero_id(id)) {
		memset(buf, 0, len);
		return 0;
	}
	r = read_stored(v, id);
	if (r == -ENOENT)
		return err_set(e, EBADMSG, "a piece is missing");
	if (r < 0)
		return err_sys(e, -r, "read a piece");
	if (v->coded)
		r = decode(v, id, len, buf, e);
	else if (v->stored.len == len)
		memcpy(buf, v->stored.data, len);
	else
		r = err_set(e, EBADMSG, "a piece is damaged: it has %zu bytes, not %zu",
			v->stored.len, len);
	if (r < 0)
		return r;
	vault_hash(v, buf, len, found);
	return memcmp(found, id, VAULT_ID) == 0
		       ? 0
		       : err_set(e, EBADMSG, "a piece is damaged");
}

static bool has_chunk(const struct vault *v, const uint8_t id[VAULT_ID])
{
	char path[3 + VAULT_HEX];

	chunk_path(id, path);
	return faccessat(v->chunks, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	       faccessat(v->new, path + 3, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Blocks of zeros stay holes. */
static int write_blocks(int fd, const uint8_t *data, size_t len)
{
	for (size_t at = 0, end; at < len; at = end) {
		bool zero = vault_zeros(data + at, len - at < BLOCK ? len - at : BLOCK);

		for (end = at; end < len; end += BLOCK)
			if (vault_zeros(data + end,
				    len - end < BLOCK ? len - end : BLOCK) != zero)
				break;
		if (end > len)
			end = len;
		if (!zero &&
			pwrite(fd, data + at, end - at, (off_t)at) != (ssize_t)(end - at))
			return errno ? -errno : -EIO;
	}
	return ftruncate(fd, (off_t)len) < 0 ? -errno : 0;
}

/* A reflink of the part; what is in it now is what it is named after, whoever writes to the file. */
static int clone_part(struct vault *v, int fd, int from, uint64_t offset, size_t len,
	uint8_t id[VAULT_ID])
{
	struct file_clone_range range = {.src_fd = from,
		.src_offset = offset,
		.src_length = len == VAULT_CHUNK ? len : 0};
	struct stat st;

	if (v->coded || from < 0 || ioctl(fd, FICLONERANGE, &range) < 0)
		return -EOPNOTSUPP;
	/* to the end of the file, which may be another one by now */
	if (fstat(fd, &st) < 0 || st.st_size != (off_t)len ||
		pread(fd, v->part, len, 0) != (ssize_t)len)
		return ftruncate(fd, 0) < 0 ? -errno : -EOPNOTSUPP;
	vault_hash(v, v->part, len, id);
	return 1;
}

/* Under a name of its own until its bytes, and so its name, are certain. 1: a reflink. */
static int write_new(struct vault *v, const char *name, const void *data, size_t len,
	int from, uint64_t offset, uint8_t id[VAULT_ID], struct err *e)
{
	int fd autoclose =
		openat(v->new, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return err_sys(e, errno, "store a piece");
	r = clone_part(v, fd, from, offset, len, id);
	if (r > 0)
		return r;
	if (r == -EOPNOTSUPP && v->coded) {
		r = encode(v, id, data, len, e);
		if (r < 0)
			return r;
		r = io_write_all(fd, v->stored.data, v->stored.len);
	} else if (r == -EOPNOTSUPP) {
		r = write_blocks(fd, data, len);
	}
	return r < 0 ? err_sys(e, -r, "store a piece of the snapshot") : 0;
}

int vault_chunk_take(struct vault *v, const void *data, size_t len, int from,
	uint64_t offset, uint8_t ret_id[VAULT_ID], struct vault_stats *stats,
	struct err *e)
{
	char hex[VAULT_HEX];
	int r;

	memset(ret_id, 0, VAULT_ID);
	if (vault_zeros(data, len))
		return 0;
	vault_hash(v, data, len, ret_id);
	if (has_chunk(v, ret_id))
		return 0;
	r = write_new(v, "part", data, len, from, offset, ret_id, e);
	if (r < 0)
		return r;
	vault_hex(ret_id, hex);
	if (renameat(v->new, "part", v->new, hex) < 0)
		return err_sys(e, errno, "store a piece");
	v->grown = true;
	stats->new_chunks++;
	stats->reflinks += r > 0;
	if (r == 0)
		stats->new_bytes += v->coded ? v->stored.len : len;
	return 0;
}

int vault_chunk_add(struct vault *v, const void *data, size_t len,
	uint8_t ret_id[VAULT_ID], struct vault_stats *stats, struct err *e)
{
	return vault_chunk_take(v, data, len, -1, 0, ret_id, stats, e);
}

/* ---- keeping what was scanned ---- */

/* What is in new/ is on disk: each piece gets its place. */
static int place_all(struct vault *v, struct err *e)
{
	int fd = openat(v->new, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	char path[3 + VAULT_HEX];
	uint8_t id[VAULT_ID];
	struct dirent *n;
	int r = 0;

	if (!d)
		return err_sys(e, errno, "open the vault");
	while (r == 0 && (n = readdir(d))) {
		if (!vault_unhex(n->d_name, id))
			continue;
		chunk_path(id, path);
		path[2] = '\0';
		if (mkdirat(v->chunks, path, 0700) < 0 && errno != EEXIST)
			r = -errno;
		path[2] = '/';
		if (r == 0 && renameat(v->new, n->d_name, v->chunks, path) < 0)
			r = -errno;
	}
	closedir(d);
	return r < 0 ? err_sys(e, -r, "keep the snapshot's pieces") : 0;
}

static int sync_all(struct vault *v, struct err *e)
{
	return syncfs(v->dir) < 0 ? err_sys(e, errno, "write the snapshot to disk") : 0;
}

int vault_settle(struct vault *v, struct err *e)
{
	int r = sync_all(v, e);

	if (r == 0)
		r = place_all(v, e);
	if (r == 0)
		r = sync_all(v, e);
	v->grown = r < 0;
	return r;
}

/* An entry of a tree, read. */
#include "lib/stow.h"
#include <endian.h>
#include <errno.h>
#include <string.h>

struct cursor {
	const unsigned char *at, *end;
};

static bool take(struct cursor *c, void *out, size_t size)
{
	if ((size_t)(c->end - c->at) < size)
		return false;
	memcpy(out, c->at, size);
	c->at += size;
	return true;
}

static bool take_u32(struct cursor *c, uint32_t *ret)
{
	bool ok = take(c, ret, sizeof(*ret));

	*ret = le32toh(*ret);
	return ok;
}

static bool take_u64(struct cursor *c, uint64_t *ret)
{
	bool ok = take(c, ret, sizeof(*ret));

	*ret = le64toh(*ret);
	return ok;
}

static bool take_text(struct cursor *c, const char **ret, size_t *ret_len)
{
	uint16_t len;

	if (!take(c, &len, sizeof(len)))
		return false;
	len = le16toh(len);
	if ((size_t)(c->end - c->at) < len || memchr(c->at, 0, len))
		return false;
	*ret = (const char *)c->at;
	*ret_len = len;
	c->at += len;
	return true;
}

int stow_entry_read(const void *data, size_t size, struct stow_entry *ret)
{
	struct cursor c = {data, (const unsigned char *)data + size};
	struct stow_entry n = {0};
	uint64_t mtime = 0;
	uint16_t attributes = 0;

	if (size < STOW_IDENTITY || size > STOW_ENTRY_MAX)
		return -EBADMSG;
	c.at += STOW_IDENTITY;
	if (!take(&c, &n.type, 1) || !take_u32(&c, &n.mode) || !take_u32(&c, &n.uid) ||
		!take_u32(&c, &n.gid) || !take_u64(&c, &mtime) ||
		!take_u32(&c, &n.mtime_ns) || !take_u64(&c, &n.size) ||
		!take_text(&c, &n.path, &n.path_len) ||
		!take_text(&c, &n.target, &n.target_len) ||
		!take(&c, &attributes, sizeof(attributes)))
		return -EBADMSG;
	n.mtime_s = (int64_t)mtime;
	n.n_attributes = le16toh(attributes);
	n.attributes = c.at;
	n.end = c.end;
	if (n.path_len > STOW_PATH_MAX || n.mode & ~07777u || n.mtime_ns > 999999999u ||
		!strchr("dflhp", n.type) || n.type == '\0')
		return -EBADMSG;
	*ret = n;
	return 0;
}

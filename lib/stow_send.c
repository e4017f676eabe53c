/* A tree of files, sent. */
#include "lib/io.h"
#include "lib/stow.h"
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>

#define OUT_FLUSH ((size_t)256 << 10)
#define LOST_PATH 200 /* so much of a path says where it is */

/* ---- what the receiver of the last backup was sent ---- */

struct known {
	struct buf text;    /* entries one after the other */
	size_t *at, *slots; /* where each begins; hash to number + 1 */
	uint64_t n, room, n_slots;
};

static uint64_t hash(const void *data, size_t size)
{
	const unsigned char *p = data;
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < size; i++)
		h = (h ^ p[i]) * 0x100000001b3u;
	return h ^ h >> 29;
}

/* Open addressing; n_slots is a power of two and more than there are numbers. */
static void slot_put(size_t *slots, uint64_t n_slots, uint64_t h, size_t number)
{
	while (slots[h & (n_slots - 1)])
		h++;
	slots[h & (n_slots - 1)] = number + 1;
}

static int known_add(struct known *k, const struct buf *entry)
{
	if (k->n == k->room) {
		uint64_t room = k->room ? k->room * 2 : 1024;
		size_t *at = realloc(k->at, (room + 1) * sizeof(*at));

		if (!at)
			return -ENOMEM;
		k->at = at;
		k->room = room;
	}
	k->at[k->n++] = k->text.len;
	k->at[k->n] = k->text.len + entry->len;
	return buf_add(&k->text, entry->data, entry->len);
}

static int known_index(struct known *k)
{
	for (k->n_slots = 64; k->n_slots < k->n * 2;)
		k->n_slots *= 2;
	k->slots = calloc(k->n_slots, sizeof(*k->slots));
	if (!k->slots)
		return -ENOMEM;
	for (uint64_t i = 0; i < k->n; i++)
		slot_put(k->slots, k->n_slots,
			hash(k->text.data + k->at[i], k->at[i + 1] - k->at[i]), i);
	return 0;
}

static int known_read(struct known *k, int fd)
{
	struct frame f = {0};
	int r;

	k->text.max = (size_t)4 << 30;
	while ((r = frame_read(fd, &f)) == 0 && f.kind == FRAME_ENTRY)
		if ((r = known_add(k, &f.body)) < 0)
			break;
	if (r == 0 && f.kind != FRAME_END)
		r = -EBADMSG;
	frame_free(&f);
	return r < 0 ? r : known_index(k);
}

static bool known_find(const struct known *k, const struct buf *entry, uint64_t *ret)
{
	if (k->n == 0)
		return false;
	for (uint64_t h = hash(entry->data, entry->len);; h++) {
		size_t slot = k->slots[h & (k->n_slots - 1)];

		if (!slot)
			return false;
		size_t from = k->at[slot - 1];
		if (k->at[slot] - from == entry->len &&
			memcmp(k->text.data + from, entry->data, entry->len) == 0) {
			*ret = slot - 1;
			return true;
		}
	}
}

static void known_free(struct known *k)
{
	buf_free(&k->text);
	free(k->at);
	free(k->slots);
}

/* ---- one walk ---- */

struct links { /* files with several names that were met */
	struct link {
		uint64_t ino;
		char *path;
	} * list;
	size_t *slots; /* two for each of the room; hash of the inode to number + 1 */
	size_t n, room;
};

struct walk {
	const struct stow *t;
	int out;
	struct known known;
	struct links links;
	struct buf pending, entry;
	struct buf
		folders; /* paths of those still to be walked, each with its NUL, the next one last */
	struct frame_end sum;
	int64_t recent_s; /* a ctime from then on tells nothing */
	dev_t dev;
	unsigned char *part; /* FRAME_HEAD + FRAME_MAX */
	struct err *e;
};

static int flush(struct walk *w)
{
	int r = io_write_all(w->out, w->pending.data, w->pending.len);

	buf_reset(&w->pending);
	return r < 0 ? err_sys(w->e, -r, "send the files") : 0;
}

static int send(struct walk *w, enum frame_kind kind, const void *data, size_t size)
{
	unsigned char head[FRAME_HEAD];

	frame_head(head, kind, size);
	buf_add(&w->pending, head, sizeof(head));
	if (buf_add(&w->pending, data, size) < 0)
		return err_set(w->e, ENOMEM, "out of memory");
	return w->pending.len < OUT_FLUSH ? 0 : flush(w);
}

static int send_number(struct walk *w, enum frame_kind kind, uint64_t v)
{
	v = htole64(v);
	return send(w, kind, &v, sizeof(v));
}

/* One that stays out of the backup is no reason for all others to. */
static int lose(struct walk *w, const char *path, const char *why)
{
	char text[LOST_PATH + 200];
	int n = snprintf(text, sizeof(text), "%.*s%s: %s", LOST_PATH, *path ? path : ".",
		strlen(path) > LOST_PATH ? "..." : "", why);

	return send(w, FRAME_LOST, text, (size_t)n);
}

/* ---- an entry ---- */

static void put_u16(struct buf *b, size_t v)
{
	uint16_t le = htole16((uint16_t)v);
	buf_add(b, &le, sizeof(le));
}

static void put_u32(struct buf *b, uint32_t v)
{
	v = htole32(v);
	buf_add(b, &v, sizeof(v));
}

static void put_u64(struct buf *b, uint64_t v)
{
	v = htole64(v);
	buf_add(b, &v, sizeof(v));
}

static void put_text(struct buf *b, const char *s)
{
	put_u16(b, strlen(s));
	buf_adds(b, s);
}

static void put_identity(struct walk *w, const struct stat *st)
{
	bool old = st->st_ctim.tv_sec < w->recent_s;

	put_u64(&w->entry, old ? st->st_ino : 0);
	put_u64(&w->entry, old ? (uint64_t)st->st_ctim.tv_sec : 0);
	put_u32(&w->entry, old ? (uint32_t)st->st_ctim.tv_nsec : 0);
	put_u64(&w->entry, 0);
	put_u32(&w->entry, old ? 1 : 0);
}

/* By descriptor, so that no link is followed; links and FIFOs have none. All of them or, false, none. */
static bool put_attributes(struct walk *w, int fd)
{
	char names[65536], value[65536];
	ssize_t n = fd < 0 ? 0 : flistxattr(fd, names, sizeof(names));
	size_t at = w->entry.len;
	unsigned int count = 0;

	put_u16(&w->entry, 0);
	for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
		ssize_t size;

		if (strncmp(p, "user.", 5) != 0 ||
			(size = fgetxattr(fd, p, value, sizeof(value))) < 0)
			continue;
		put_text(&w->entry, p);
		put_u32(&w->entry, (uint32_t)size);
		buf_add(&w->entry, value, (size_t)size);
		count++;
		if (w->entry.len > STOW_ENTRY_MAX) {
			w->entry.len = at + sizeof(uint16_t);
			return false;
		}
	}
	uint16_t le = htole16((uint16_t)count);
	memcpy(w->entry.data + at, &le, sizeof(le));
	return true;
}

static int make_entry(struct walk *w, char type, const char *path, const char *target,
	const struct stat *st, int fd)
{
	bool sized = type == 'f';

	buf_reset(&w->entry);
	put_identity(w, st);
	buf_add(&w->entry, &type, 1);
	put_u32(&w->entry, st->st_mode & 07777);
	put_u32(&w->entry, st->st_uid);
	put_u32(&w->entry, st->st_gid);
	put_u64(&w->entry, (uint64_t)st->st_mtim.tv_sec);
	put_u32(&w->entry, (uint32_t)st->st_mtim.tv_nsec);
	put_u64(&w->entry, sized ? (uint64_t)st->st_size : 0);
	put_text(&w->entry, path);
	put_text(&w->entry, target);
	bool whole = put_attributes(w, fd);
	w->sum.entries++;
	if (w->entry.failed)
		return err_set(w->e, ENOMEM, "out of memory");
	return whole ? 0
		     : lose(w, path,
			       "it is kept without its attributes, which are larger than "
			       "512 kB");
}

/* 1: it is one of those that were known. */
static int send_entry(struct walk *w)
{
	uint64_t number;

	if (w->entry.data[STOW_IDENTITY - 4] && known_find(&w->known, &w->entry, &number))
		return send_number(w, FRAME_SAME, number) < 0 ? -w->e->code : 1;
	return send(w, FRAME_ENTRY, w->entry.data, w->entry.len);
}

/* ---- files ---- */

/* Where the next bytes are, with what lies before them said as a hole. The size at the end of the file. */
static off_t skip_hole(struct walk *w, int fd, off_t at, off_t size, int *ret)
{
	off_t data = lseek(fd, at, SEEK_DATA);

	if (data < 0)
		data = errno == ENXIO ? size : at;
	if (data > size)
		data = size;
	*ret = data > at ? send_number(w, FRAME_HOLE, (uint64_t)(data - at)) : 0;
	return data;
}

static int send_part(struct walk *w, size_t size)
{
	int r = flush(w);

	frame_head(w->part, FRAME_DATA, size);
	if (r == 0 && (r = io_write_all(w->out, w->part, FRAME_HEAD + size)) < 0)
		return err_sys(w->e, -r, "send the files");
	w->sum.bytes += size;
	return r;
}

/* As many bytes as its entry says; what is missing of them by now is a hole. */
static int send_bytes(struct walk *w, int fd, const char *path, off_t size)
{
	off_t at = 0;
	int r = 0;

	while (r == 0 && at < size) {
		at = skip_hole(w, fd, at, size, &r);
		off_t hole = at < size ? lseek(fd, at, SEEK_HOLE) : size;
		off_t end = hole > at && hole < size ? hole : size;

		while (r == 0 && at < end) {
			size_t want = end - at < (off_t)FRAME_MAX ? (size_t)(end - at)
								  : FRAME_MAX;
			ssize_t n = pread(fd, w->part + FRAME_HEAD, want, at);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return err_sys(w->e, errno, "read %s", path);
			if (n == 0)
				return send_number(w, FRAME_HOLE, (uint64_t)(size - at));
			r = send_part(w, (size_t)n);
			at += n;
		}
	}
	return r;
}

static uint64_t link_hash(uint64_t ino)
{
	return hash(&ino, sizeof(ino));
}

static const char *links_find(const struct links *l, uint64_t ino)
{
	size_t slot;

	if (l->n == 0)
		return NULL;
	for (uint64_t h = link_hash(ino); (slot = l->slots[h & (2 * l->room - 1)]); h++)
		if (l->list[slot - 1].ino == ino)
			return l->list[slot - 1].path;
	return NULL;
}

static bool links_grow(struct links *l)
{
	size_t room = l->room ? l->room * 2 : 64;
	size_t *slots = calloc(2 * room, sizeof(*slots));
	struct link *list = slots ? realloc(l->list, room * sizeof(*list)) : NULL;

	if (!list) {
		free(slots);
		return false;
	}
	free(l->slots);
	*l = (struct links){list, slots, l->n, room};
	for (size_t i = 0; i < l->n; i++)
		slot_put(slots, 2 * room, link_hash(list[i].ino), i);
	return true;
}

static void links_free(struct links *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->list[i].path);
	free(l->list);
	free(l->slots);
}

/* NULL: this is it. Without memory every name is a file of its own. */
static const char *first_name(struct walk *w, const struct stat *st, const char *path)
{
	struct links *l = &w->links;
	const char *first = links_find(l, st->st_ino);

	if (first || (l->n == l->room && !links_grow(l)))
		return first;
	char *copy = strdup(path);
	if (copy) {
		slot_put(l->slots, 2 * l->room, link_hash(st->st_ino), l->n);
		l->list[l->n++] = (struct link){st->st_ino, copy};
	}
	return NULL;
}

static int send_file(struct walk *w, int fd, const char *path, const struct stat *st)
{
	const char *first = st->st_nlink > 1 ? first_name(w, st, path) : NULL;
	int r = make_entry(
		w, first ? 'h' : 'f', path, first ? first : "", st, first ? -1 : fd);

	if (r == 0)
		r = send_entry(w);
	if (r != 0 || first)
		return r < 0 ? r : 0;
	return send_bytes(w, fd, path, st->st_size);
}

static int send_link(struct walk *w, int dir, const char *name, const char *path,
	const struct stat *st)
{
	char target[STOW_PATH_MAX + 1];
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

	if (n < 0)
		return err_sys(w->e, errno, "read the link %s", path);
	target[n] = '\0';
	int r = make_entry(w, 'l', path, target, st, -1);
	r = r < 0 ? r : send_entry(w);
	return r < 0 ? r : 0;
}

/* It went, or became something else, while it was read. */
static int leave_out(struct walk *w)
{
	w->sum.left_out++;
	return 0;
}

static int send_regular(struct walk *w, int dir, const char *name, const char *path)
{
	int fd autoclose = openat(
		dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOATIME);
	struct stat st;

	if (fd < 0 && errno == EPERM)
		fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ELOOP))
		return leave_out(w);
	if (fd < 0 && errno == EWOULDBLOCK)
		return lose(w, path, "a program has a lease on it");
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(w->e, errno, "open %s", path);
	if (!S_ISREG(st.st_mode) || st.st_dev != w->dev)
		return leave_out(w);
	return send_file(w, fd, path, &st);
}

static int send_other(struct walk *w, int dir, const char *name, const char *path,
	const struct stat *st)
{
	int r;

	if (S_ISLNK(st->st_mode))
		return send_link(w, dir, name, path, st);
	if (!S_ISFIFO(st->st_mode))
		return leave_out(w);
	r = make_entry(w, 'p', path, "", st, -1);
	r = r < 0 ? r : send_entry(w);
	return r < 0 ? r : 0;
}

/* ---- folders ---- */

static int open_folder(const struct walk *w, const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};

	return (int)syscall(SYS_openat2, w->t->fd, *path ? path : ".", &how, sizeof(how));
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_skipped(const struct walk *w, bool top, const char *name)
{
	const struct stow *t = w->t;

	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	       (t->skip && t->skip(name)) ||
	       (top && t->omit && strcmp(name, t->omit) == 0);
}

/* Its names, sorted; offsets instead of pointers until all are there. -E2BIG: they are too many. -errno or the count. */
static int read_names(struct walk *w, int dir, bool top, struct buf *text, char ***ret)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	unsigned int n = 0;

	if (!d)
		return fd < 0 ? -errno : (close(fd), -ENOMEM);
	text->max = (size_t)256 << 20;
	while (n <= STOW_NAMES_MAX && (entry = readdir(d)))
		if (!is_skipped(w, top, entry->d_name)) {
			buf_add(text, entry->d_name, strlen(entry->d_name) + 1);
			n++;
		}
	closedir(d);
	if (n > STOW_NAMES_MAX)
		return -E2BIG;
	if (text->failed || !(*ret = calloc(n + 1, sizeof(**ret))))
		return -ENOMEM;
	char *at = text->data;
	for (unsigned int i = 0; i < n; i++, at += strlen(at) + 1)
		(*ret)[i] = at;
	qsort(*ret, n, sizeof(**ret), by_bytes);
	return (int)n;
}

/* One name of a folder. A folder is only noted, in *ret_folder. */
static int send_name(
	struct walk *w, int dir, const char *above, const char *name, bool *ret_folder)
{
	char path[STOW_PATH_MAX + 300];
	struct stat st;

	snprintf(path, sizeof(path), "%s%s%s", above, *above ? "/" : "", name);
	if (strlen(path) > STOW_PATH_MAX)
		return lose(w, path, "its path is longer than 4095 bytes");
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? leave_out(w)
				       : err_sys(w->e, errno, "look at %s", path);
	*ret_folder = S_ISDIR(st.st_mode);
	if (S_ISREG(st.st_mode))
		return send_regular(w, dir, name, path);
	return *ret_folder ? 0 : send_other(w, dir, name, path, &st);
}

static int note_folder(struct walk *w, const char *above, const char *name)
{
	char path[STOW_PATH_MAX + 1];
	int n = snprintf(path, sizeof(path), "%s%s%s", above, *above ? "/" : "", name);

	if (w->folders.len + (size_t)n >= w->folders.max)
		return lose(w, path, "too many folders lie beside it");
	return buf_add(&w->folders, path, (size_t)n + 1) < 0
		       ? err_set(w->e, ENOMEM, "out of memory")
		       : 0;
}

/* The noted folders are taken from the end: to be walked in order, they are noted in the reverse one. */
static int send_names(struct walk *w, int dir, const char *path, char **names, int n)
{
	const char *last = *path || !w->t->last ? "" : w->t->last;
	bool folder, has_last = false;
	int r = 0, n_folders = 0;

	for (int i = 0; r == 0 && i < n; i++) {
		folder = false;
		r = send_name(w, dir, path, names[i], &folder);
		if (folder && strcmp(names[i], last) == 0)
			has_last = true;
		else if (folder)
			names[n_folders++] = names[i];
	}
	if (r == 0 && has_last)
		r = note_folder(w, path, last);
	while (r == 0 && n_folders > 0)
		r = note_folder(w, path, names[--n_folders]);
	return r;
}

static int send_folder(struct walk *w, const char *path)
{
	int dir autoclose = open_folder(w, path), r;
	char **names autofree = NULL;
	autobuf text = BUF_INIT;
	struct stat st;

	if (dir < 0 &&
		(errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EXDEV))
		return leave_out(w);
	if (dir < 0 || fstat(dir, &st) < 0)
		return err_sys(w->e, errno, "open %s/", path);
	if ((r = make_entry(w, 'd', path, "", &st, dir)) < 0 || (r = send_entry(w)) < 0)
		return r;
	int n = read_names(w, dir, !*path, &text, &names);
	if (n == -E2BIG)
		return lose(w, path, "it has more than 1000000 names, and is kept empty");
	return n < 0 ? err_sys(w->e, -n, "read the folder %s/", path)
		     : send_names(w, dir, path, names, n);
}

static int walk(struct walk *w)
{
	char path[STOW_PATH_MAX + 1];
	int r = send_folder(w, "");

	while (r == 0 && w->folders.len) {
		size_t at = w->folders.len - 1;

		while (at && w->folders.data[at - 1])
			at--;
		snprintf(path, sizeof(path), "%s", w->folders.data + at);
		w->folders.len = at;
		r = send_folder(w, path);
	}
	return r;
}

static int send_end(struct walk *w)
{
	const uint64_t end[3] = {
		htole64(w->sum.entries), htole64(w->sum.bytes), htole64(w->sum.left_out)};
	int r = send(w, FRAME_END, end, sizeof(end));

	return r < 0 ? r : flush(w);
}

int stow_send(const struct stow *t, int before, int out, struct err *e)
{
	struct walk w = {
		.t = t, .out = out, .e = e, .recent_s = time(NULL) - STOW_RECENT_S};
	struct stat st;
	int r = before < 0 ? 0 : known_read(&w.known, before);

	w.folders.max = (size_t)256 << 20;
	w.part = malloc(FRAME_HEAD + FRAME_MAX);
	if (r < 0)
		r = err_sys(e, -r, "read what the last backup has");
	else if (!w.part)
		r = err_set(e, ENOMEM, "out of memory");
	else if (fstat(t->fd, &st) < 0)
		r = err_sys(e, errno, "look at the folder");
	w.dev = r < 0 ? 0 : st.st_dev;
	if (r == 0 && (r = walk(&w)) == 0)
		r = send_end(&w);
	links_free(&w.links);
	free(w.part);
	buf_free(&w.pending);
	buf_free(&w.entry);
	buf_free(&w.folders);
	known_free(&w.known);
	return r;
}

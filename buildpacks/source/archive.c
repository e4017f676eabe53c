/* A source archive becomes a commit in a pack. */
#include "buildpacks/source/archive.h"
#include "buildpacks/command.h"
#include "buildpacks/image/layer_in.h"
#include "buildpacks/run.h"
#include "buildpacks/source/git_tree.h"
#include "lib/buf.h"
#include "lib/name.h"
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PART 65536u
#define COMMITTER "berth <berth@localhost>"

struct reading {
	const struct archive_commit *a;
	struct archive *in;
	struct git_pack *pack;
	struct git_tree tree;
	bool zip;
	uint64_t entries, bytes, left_out,
		limit; /* limit: of bytes, by the archive's size too */
	struct err *e;
};

/* ---- what may be in it ---- */

/* git's own folder as it lies in a checkout, and what macOS puts beside the files of a zip. */
static bool is_left_out(const char *path)
{
	if (strncmp(path, "__MACOSX/", 9) == 0)
		return true;
	for (const char *s = path; *s; s += *s == '/') {
		size_t len = strcspn(s, "/");

		if (len == 4 && memcmp(s, ".git", 4) == 0)
			return true;
		s += len;
	}
	return false;
}

static int count(struct reading *y, struct archive_entry *entry, const char *path)
{
	la_int64_t size = archive_entry_size(entry);

	if (++y->entries > y->a->max_files)
		return err_set(y->e, EFBIG, "refused: more than %llu files",
			(unsigned long long)y->a->max_files);
	if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry))
		return 0;
	/* what a sparse file claims to be, too */
	if (size < 0 || (uint64_t)size > y->a->max_file)
		return err_set(y->e, EFBIG, "refused: %.200s is larger than %llu MB",
			path, (unsigned long long)(y->a->max_file >> 20));
	y->bytes += (uint64_t)size;
	if (y->bytes <= y->limit)
		return 0;
	return y->limit < y->a->max_bytes
		       ? err_set(y->e, EFBIG,
				 "refused: unpacked it is more than %u times as large",
				 ARCHIVE_RATIO_MAX)
		       : err_set(y->e, EFBIG, "refused: larger than %llu MB unpacked",
				 (unsigned long long)(y->limit >> 20));
}

/* ---- one entry ---- */

static int pack_fail(struct reading *y, int r)
{
	return err_sys(y->e, -r, "write the commit");
}

static int copy_data(struct reading *y, const char *path, uint64_t size)
{
	char part[PART];
	uint64_t sum = 0;
	la_ssize_t n;

	while ((n = archive_read_data(y->in, part, sizeof(part))) > 0) {
		sum += (uint64_t)n;
		if (sum > size)
			break;
		int r = git_pack_write(y->pack, part, (size_t)n);
		if (r < 0)
			return pack_fail(y, r);
	}
	if (n < 0)
		return tar_in_error(y->in, path, y->e);
	return sum == size
		       ? 0
		       : err_set(y->e, EBADMSG,
				 "%.200s: its size is not what the archive says", path);
}

static int put_file(struct reading *y, struct archive_entry *entry, const char *path)
{
	uint64_t size = (uint64_t)archive_entry_size(entry);
	uint8_t oid[GIT_OID];

	if (!archive_entry_size_is_set(entry))
		return err_set(y->e, EBADMSG,
			"%.200s: the archive does not say how large it is", path);
	int r = git_pack_begin(y->pack, GIT_BLOB, size);
	if (r < 0)
		return pack_fail(y, r);
	r = copy_data(y, path, size);
	if (r < 0)
		return r;
	r = git_pack_end(y->pack, oid);
	if (r == 0)
		r = git_tree_put(&y->tree, path,
			archive_entry_perm(entry) & 0111 ? GIT_PROGRAM : GIT_FILE, oid);
	return r < 0 ? pack_fail(y, r) : 0;
}

static int put_link(struct reading *y, struct archive_entry *entry, const char *path)
{
	const char *target = archive_entry_symlink(entry);
	uint8_t oid[GIT_OID];

	if (!target || !*target || strlen(target) >= TAR_PATH_MAX)
		return err_set(
			y->e, EPERM, "refused: the link %.200s has no target", path);
	int r = git_pack_object(y->pack, GIT_BLOB, target, strlen(target), oid);
	if (r == 0)
		r = git_tree_put(&y->tree, path, GIT_LINK, oid);
	return r < 0 ? pack_fail(y, r) : 0;
}

/* A file that the archive has had already, once more. */
static int put_hardlink(struct reading *y, struct archive_entry *entry, const char *path)
{
	char target[TAR_PATH_MAX];
	int r = tar_in_path(archive_entry_hardlink(entry), target, y->e);

	if (r < 0)
		return r;
	const struct git_file *f = git_tree_find(&y->tree, target);
	if (!f)
		return err_set(y->e, EPERM,
			"refused: %.200s is a hard link to %.200s, which is not in the "
			"archive",
			path, target);
	const struct git_file file = *f; /* putting moves the files */
	r = git_tree_put(&y->tree, path, file.mode, file.oid);
	return r < 0 ? pack_fail(y, r) : 0;
}

static int put_entry(struct reading *y, struct archive_entry *entry)
{
	char path[TAR_PATH_MAX];
	const mode_t type = archive_entry_filetype(entry);
	int r = tar_in_path(archive_entry_pathname(entry), path, y->e);

	if (r == 0)
		r = count(y, entry, path);
	if (r < 0 || !*path)
		return r;
	if (is_left_out(path)) {
		y->left_out += type != AE_IFDIR;
		return 0;
	}
	r = git_tree_check(path, y->e);
	if (r < 0)
		return r;
	if (y->zip && git_tree_find(&y->tree, path))
		return err_set(y->e, EPERM, "refused: the zip has %.200s twice", path);
	if (archive_entry_hardlink(entry))
		return put_hardlink(y, entry, path);
	if (type == AE_IFREG)
		return put_file(y, entry, path);
	if (type == AE_IFLNK)
		return put_link(y, entry, path);
	return type == AE_IFDIR
		       ? 0
		       : err_set(y->e, EPERM,
				 "refused: %.200s is neither a file, a folder nor a link",
				 path);
}

/* ---- the archive ---- */

static int no_archive(struct archive *in, struct err *e)
{
	const char *text = archive_error_string(in);

	return err_set(e, EBADMSG,
		"no archive that can be read (%s): tar, tar.gz, tar.xz, tar.zst, tar.bz2 "
		"or "
		"zip",
		text ? text : "damaged");
}

/* The first entry's head, or the end of an archive without any. */
static bool is_zip(int fd)
{
	char magic[4];

	return pread(fd, magic, sizeof(magic), 0) == sizeof(magic) &&
	       (memcmp(magic, "PK\3\4", 4) == 0 || memcmp(magic, "PK\5\6", 4) == 0);
}

static struct archive *open_archive(int fd, bool zip, struct err *e)
{
	struct archive *in = archive_read_new();

	if (!in) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	/*
	 * Without a locale names of a tar stay the bytes they are. Those of a zip need one, and come in Unicode's form C: there
	 * two names may become one.
	 */
	if (zip) {
		setlocale(LC_CTYPE, "C.UTF-8");
		archive_read_support_format_zip(in);
	} else {
		tar_in_filters(in);
		archive_read_support_format_tar(in);
	}
	if (archive_read_open_fd(in, fd, PART) == ARCHIVE_OK)
		return in;
	no_archive(in, e);
	archive_read_free(in);
	return NULL;
}

static int read_all(struct reading *y)
{
	struct archive_entry *entry;
	int r, n = 0;

	while ((r = archive_read_next_header(y->in, &entry)) >= ARCHIVE_WARN &&
		r != ARCHIVE_EOF) {
		/* the last filter is the file itself */
		if (n++ == 0 && archive_filter_count(y->in) > 2)
			return err_set(y->e, EPERM,
				"refused: the archive is compressed more than once");
		int done = put_entry(y, entry);
		if (done < 0)
			return done;
	}
	if (r != ARCHIVE_EOF)
		return no_archive(y->in, y->e);
	return y->tree.n ? 0 : err_set(y->e, EBADMSG, "the archive has no files");
}

static int set_limit(struct reading *y)
{
	struct stat st;

	if (fstat(y->a->fd, &st) < 0)
		return err_sys(y->e, errno, "read the archive");
	y->limit = (uint64_t)st.st_size * ARCHIVE_RATIO_MAX;
	if (y->limit < ARCHIVE_RATIO_FROM)
		y->limit = ARCHIVE_RATIO_FROM;
	if (y->limit > y->a->max_bytes)
		y->limit = y->a->max_bytes;
	return 0;
}

/* ---- the commit ---- */

static int write_commit(struct reading *y, const char *tree, char ret[GIT_OID_TEXT])
{
	const struct archive_commit *a = y->a;
	unsigned long long time_s = a->time_s;
	autobuf b = BUF_INIT;
	uint8_t oid[GIT_OID];

	buf_addf(&b, "tree %s\n", tree);
	if (*a->parent)
		buf_addf(&b, "parent %s\n", a->parent);
	buf_addf(&b, "author %s %llu +0000\ncommitter " COMMITTER " %llu +0000\n\n%s\n",
		a->author, time_s, time_s, a->message);
	int r = b.failed ? -ENOMEM
			 : git_pack_object(y->pack, GIT_COMMIT, b.data, b.len, oid);
	if (r == 0)
		r = git_pack_finish(y->pack);
	git_oid_text(oid, ret);
	return r < 0 ? pack_fail(y, r) : 0;
}

static int commit(struct reading *y, json_t **ret)
{
	char *top autofree = git_tree_strip(&y->tree);
	char tree[GIT_OID_TEXT], name[GIT_OID_TEXT] = "";
	uint8_t root[GIT_OID];
	int r = git_tree_write(&y->tree, y->pack, root, y->e);

	if (r < 0)
		return r;
	git_oid_text(root, tree);
	bool same = strcmp(tree, y->a->tree) == 0 && !y->a->force;
	if (!same)
		r = write_commit(y, tree, name);
	if (r == 0)
		*ret = json_pack("{s:s, s:s, s:I, s:I, s:s?, s:I, s:b}", "commit", name,
			"tree", tree, "files", (json_int_t)y->tree.n, "bytes",
			(json_int_t)y->bytes, "top", top, "left_out",
			(json_int_t)y->left_out, "same", same);
	return r < 0 || *ret ? r : err_set(y->e, ENOMEM, "out of memory");
}

int archive_to_pack(const struct archive_commit *a, json_t **ret, struct err *e)
{
	struct git_pack *pack autofree = malloc(sizeof(*pack));
	struct reading y = {.a = a, .pack = pack, .e = e};
	int r = pack ? git_pack_open(pack, a->pack) : -ENOMEM;

	if (r < 0)
		return err_sys(e, -r, "make the commit");
	y.zip = is_zip(a->fd);
	y.in = open_archive(a->fd, y.zip, e);
	r = y.in ? set_limit(&y) : -EBADMSG;
	if (r == 0)
		r = read_all(&y);
	if (r == 0)
		r = commit(&y, ret);
	archive_read_free(y.in);
	git_tree_free(&y.tree);
	git_pack_free(pack);
	return r;
}

/* ---- the command ---- */

static const char *word(const char *name)
{
	const char *text = getenv(name);

	return text ? text : "";
}

static uint64_t number(const char *name)
{
	uint64_t v = 0;

	return num_parse_u64(word(name), 0, UINT64_MAX, &v) == 0 ? v : 0;
}

int command_archive(int argc UNUSED, char **argv UNUSED)
{
	struct archive_commit a = {.fd = STDIN_FILENO,
		.pack = STDOUT_FILENO,
		.max_files = number("BERTH_MAX_FILES"),
		.max_bytes = number("BERTH_MAX_BYTES"),
		.max_file = number("BERTH_MAX_FILE"),
		.parent = word("BERTH_PARENT"),
		.tree = word("BERTH_TREE"),
		.force = *word("BERTH_FORCE"),
		.author = word("BERTH_AUTHOR"),
		.message = word("BERTH_MESSAGE"),
		.time_s = number("BERTH_TIME")};
	struct err e = {0};
	json_t *said = NULL;

	if (archive_to_pack(&a, &said, &e) < 0) {
		say_warning("%s", e.text);
		return 1;
	}
	json_dumpf(said, stderr, JSON_COMPACT);
	fputc('\n', stderr);
	json_decref(said);
	return 0;
}

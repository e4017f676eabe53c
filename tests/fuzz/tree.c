/*
 * A source tree's tar, unpacked: whatever it says, nothing is written outside of the folder,
 * and only files, folders and links are made. The same bytes in small pieces give the same.
 * Needs root, and gives it away: the folder is another user's.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/sums.h"

#include "buildpacks/source/tree.h"
#include "buildpacks/source/untar.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define NOBODY 65534

static unsigned int found;

static int look(const char *path, const struct stat *st, int kind, struct FTW *w UNUSED)
{
	CHECK(kind != FTW_DNR && kind != FTW_NS);
	CHECK(S_ISREG(st->st_mode) || S_ISDIR(st->st_mode) || S_ISLNK(st->st_mode));
	CHECK(!(st->st_mode & (S_ISUID | S_ISGID)) && st->st_nlink >= 1);
	CHECK(strlen(path) < 8192);
	found++;
	return 0;
}

static unsigned int look_at(const char *path)
{
	found = 0;
	CHECK(nftw(path, look, 16, FTW_PHYS) == 0);
	return found;
}

static int memory_file(const void *data, size_t n)
{
	int fd = memfd_create("tar", MFD_CLOEXEC);

	CHECK(fd >= 0 && io_write_all(fd, data, n) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

static void set_user(unsigned int id)
{
	(void)setfsgid(id);
	(void)setfsuid(id);
}

/* top/a/b/NAME is unpacked into; 3 folders above it, and only those, remain. */
static int unpack(const char *name, const void *data, size_t n, bool merge,
	unsigned int *ret_entries)
{
	char path[96];
	int fd autoclose = memory_file(data, n);
	json_t *warnings = json_array();
	struct err e = {0};

	snprintf(path, sizeof(path), "%s/a/b/%s", top, name);
	CHECK(warnings && (mkdir(path, 0755) == 0 || merge));
	CHECK(chown(path, NOBODY, NOBODY) == 0);
	set_user(NOBODY);
	int r = tree_unpack(fd, path, merge, warnings, &e);
	set_user(0);
	CHECK(r == 0 || (r < 0 && e.text[0]));
	char *text = json_dumps(warnings, 0);
	CHECK(text && json_array_size(warnings) <= 3 * TREE_WARNINGS_MAX);
	free(text);
	json_decref(warnings);
	*ret_entries = look_at(path);
	return r;
}

static void check_entries(const void *data, size_t n)
{
	static struct untar_entry entry;
	int fd autoclose = memory_file(data, n);
	struct untar *t = untar_open(fd);
	struct err e = {0};
	int r;

	CHECK(t);
	while ((r = untar_next(t, &entry, &e)) == 1) {
		const char *piece;
		uint64_t total = 0;
		size_t len;

		CHECK(memchr(entry.path, '\0', sizeof(entry.path)));
		CHECK(memchr(entry.link, '\0', sizeof(entry.link)));
		CHECK(entry.path[0] != '/' && !strstr(entry.path, "//"));
		CHECK(strcmp(entry.path, "..") != 0 &&
			strncmp(entry.path, "../", 3) != 0 &&
			!strstr(entry.path, "/../"));
		if (entry.type != UNTAR_FILE)
			continue;
		while ((r = untar_read(t, &piece, &len, &e)) == 1)
			total += len;
		CHECK(r < 0 || total == entry.size);
		if (r < 0)
			break;
	}
	CHECK(r == 0 || e.text[0]);
	untar_close(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t how = take_u8(&in);
	char path[96];
	unsigned int first, again;

	CHECK(geteuid() == 0);
	if (!top[0])
		make_top();
	/* whoever unpacks may write to these, and must not */
	for (const char *const *f = (const char *const[]){"a", "a/b", NULL}; *f; f++) {
		snprintf(path, sizeof(path), "%s/%s", top, *f);
		CHECK(mkdir(path, 0755) == 0 && chown(path, NOBODY, NOBODY) == 0);
	}
	CHECK(chown(top, NOBODY, NOBODY) == 0 && chmod(top, 0755) == 0);
	char *tar = text_of(in.p, in.n);
	if (how & 1)
		fix_sums(tar, in.n);
	check_entries(tar, in.n);
	int r = unpack("in", tar, in.n, false, &first);
	if (how & 2) { /* once more over what is there */
		int m = unpack("in", tar, in.n, true, &again);

		CHECK(r != 0 || (m == 0 && again == first));
	}
	free(tar);
	snprintf(path, sizeof(path), "%s/a/b/in", top);
	CHECK(io_remove_tree(AT_FDCWD, path) == 0);
	CHECK(look_at(top) == 3);
	snprintf(path, sizeof(path), "%s/a", top);
	CHECK(io_remove_tree(AT_FDCWD, path) == 0);
	return 0;
}

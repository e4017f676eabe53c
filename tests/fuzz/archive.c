/*
 * An archive of source: whatever it says, it is refused with a reason, or becomes a pack that is whole: as many objects as
 * its head says, each as long as it says, and the checksum of all.
 */
#include "tests/fuzz/fuzz.h"

#include "buildpacks/source/archive.h"
#include "buildpacks/source/git_pack.h"

#include <sys/mman.h>
#include <sys/stat.h>

#define MAX_FILES 200
#define MAX_BYTES (1u << 20)

/* One object: gitformat-pack(5). Returns where the next begins. */
static size_t look_at_object(const uint8_t *p, size_t at, size_t end)
{
	uint64_t size = p[at] & 15, sum = 0;
	unsigned int shift = 4, type = p[at] >> 4 & 7;
	uint8_t out[4096];
	z_stream z = {0};
	int r;

	CHECK(type == GIT_COMMIT || type == GIT_TREE || type == GIT_BLOB);
	while (p[at++] & 128) {
		CHECK(at < end && shift < 60);
		size |= (uint64_t)(p[at] & 127) << shift;
		shift += 7;
	}
	CHECK(inflateInit(&z) == Z_OK);
	z.next_in = (uint8_t *)(uintptr_t)p + at;
	z.avail_in = (uInt)(end - at);
	do {
		z.next_out = out;
		z.avail_out = sizeof(out);
		r = inflate(&z, Z_NO_FLUSH);
		CHECK(r == Z_OK || r == Z_STREAM_END);
		sum += sizeof(out) - z.avail_out;
	} while (r != Z_STREAM_END);
	at = end - z.avail_in;
	inflateEnd(&z);
	CHECK(sum == size);
	return at;
}

static void look_at_pack(int fd)
{
	struct stat st;

	CHECK(fstat(fd, &st) == 0 && st.st_size > 12 + (off_t)GIT_OID);
	size_t size = (size_t)st.st_size, end = size - GIT_OID, at = 12;
	const uint8_t *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	uint8_t oid[GIT_OID];
	SHA1_CTX hash;

	CHECK(p != MAP_FAILED && memcmp(p, "PACK\0\0\0\2", 8) == 0);
	uint32_t n = (uint32_t)p[8] << 24 | (uint32_t)p[9] << 16 | (uint32_t)p[10] << 8 |
		     p[11];
	CHECK(n >= 3); /* a file, the root, the commit */
	while (n-- > 0)
		at = look_at_object(p, at, end);
	CHECK(at == end);
	SHA1Init(&hash);
	SHA1Update(&hash, p, end);
	SHA1Final(oid, &hash);
	CHECK(memcmp(oid, p + end, GIT_OID) == 0);
	munmap((void *)(uintptr_t)p, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd autoclose = memfd_create("archive", MFD_CLOEXEC);
	int pack autoclose = memfd_create("pack", MFD_CLOEXEC);
	struct archive_commit a = {.fd = fd,
		.pack = pack,
		.max_files = MAX_FILES,
		.max_bytes = MAX_BYTES,
		.max_file = MAX_BYTES / 2,
		.parent = "",
		.tree = "",
		.author = "A <a@b>",
		.message = "text",
		.time_s = 1};
	struct err e = {0};
	json_t *said = NULL;

	CHECK(fd >= 0 && pack >= 0 && io_write_all(fd, data, size) == 0);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	if (archive_to_pack(&a, &said, &e) < 0) {
		CHECK(e.text[0] && !said);
		return 0;
	}
	CHECK(json_string_length(json_object_get(said, "commit")) == 2 * GIT_OID);
	json_decref(said);
	look_at_pack(pack);
	return 0;
}

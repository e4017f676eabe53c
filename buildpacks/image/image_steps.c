/* The commands of berth-build that read images. Where layers are mounted is control's choice (control/images/portable.c). */
#include "buildpacks/command.h"
#include "buildpacks/image/dpkg.h"
#include "buildpacks/image/image_diff.h"
#include "buildpacks/image/image_plan.h"
#include "buildpacks/image/layer.h"
#include "buildpacks/image/layer_apply.h"
#include "buildpacks/image/pax.h"
#include "buildpacks/run.h"
#include "lib/io.h"
#include "lib/name.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LAYER "/tmp/layer"
#define BELOW "/tmp/below"
#define MERGED "/tmp/merged"
#define OTHER "/tmp/other"
#define SPOOL                                                                            \
	"/berth-blob" /* in the sandbox's scratch: a tar entry begins with its size */

static int fail(const struct err *e)
{
	say_warning("%s", e->text);
	return 1;
}

static int answer(json_t *v)
{
	json_dumpf(v, stdout, JSON_COMPACT);
	json_decref(v);
	return 0;
}

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

static int write_blob(int fd, enum blob_form form, struct blob *b, char plain[65],
	char stored[65], struct err *e)
{
	const char *capabilities = getenv("BERTH_CAPABILITIES");
	struct layer_places p = {.layer = LAYER,
		.capabilities = capabilities ? json_loads(capabilities, 0, NULL) : NULL};
	int r = blob_open(b, fd, form);

	if (is_there(BELOW)) {
		p.below = BELOW;
		p.merged = MERGED;
	}
	if (r < 0)
		return err_sys(e, -r, "prepare the layer");
	r = layer_write(&p, b, e);
	if (r == 0 && (r = blob_end(b, plain, stored)) < 0)
		err_sys(e, -r, "store the layer");
	return r;
}

/* One entry of the archive around: its name is the stored digest between prefix and suffix. */
static int copy_out(int spool, const struct blob *b, const char *name, struct err *e)
{
	struct blob out;
	struct pax_entry n = {
		.path = name, .type = '0', .mode = 0644, .size = b->stored_size};
	char part[65536], plain[65], stored[65];
	ssize_t got = 0;
	int r = blob_open(&out, STDOUT_FILENO, BLOB_PLAIN);

	if (r == 0 && lseek(spool, 0, SEEK_SET) < 0)
		r = -errno;
	if (r == 0)
		r = pax_head(&out, &n);
	while (r == 0 && (got = read(spool, part, sizeof(part))) > 0)
		r = blob_write(&out, part, (size_t)got);
	if (r == 0 && got < 0)
		r = -errno;
	if (r == 0)
		r = pax_pad(&out, b->stored_size);
	if (r == 0)
		r = blob_end(&out, plain, stored);
	blob_free(&out);
	return r < 0 ? err_sys(e, -r, "write the archive") : 0;
}

static enum blob_form form_of(const char *word)
{
	if (strcmp(word, "oci-zstd") == 0)
		return BLOB_ZSTD;
	return strcmp(word, "oci") == 0 ? BLOB_GZIP : BLOB_PLAIN;
}

static int with_spool(const char *word, struct err *e)
{
	int spool autoclose = open(SPOOL, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	char plain[65], stored[65], name[128];
	const enum blob_form form = form_of(word);
	struct blob b = {0};
	int r;

	if (spool < 0)
		return err_sys(e, errno, "make room for the layer");
	unlink(SPOOL);
	r = write_blob(spool, form, &b, plain, stored, e);
	snprintf(name, sizeof(name), form ? "blobs/sha256/%s" : "%s.tar", stored);
	if (r == 0)
		r = copy_out(spool, &b, name, e);
	blob_free(&b);
	if (r == 0)
		fprintf(stderr,
			"{\"diff_id\":\"sha256:%s\",\"digest\":\"sha256:%s\",\"size\":%"
			"llu}\n",
			plain, stored, (unsigned long long)b.stored_size);
	return r;
}

/* rootfs: the tar itself to stdout. digest: nowhere. */
static int straight(bool to_stdout, struct err *e)
{
	char plain[65], stored[65];
	struct blob b = {0};
	int r = write_blob(
		to_stdout ? STDOUT_FILENO : -1, BLOB_PLAIN, &b, plain, stored, e);

	blob_free(&b);
	if (r == 0)
		fprintf(to_stdout ? stderr : stdout, "{\"diff_id\":\"sha256:%s\"}\n",
			plain);
	return r;
}

int command_layer(int argc UNUSED, char **argv)
{
	struct err e = {0};
	bool digest = strcmp(argv[1], "digest") == 0;
	int r = digest || strcmp(argv[1], "rootfs") == 0 ? straight(!digest, &e)
							 : with_spool(argv[1], &e);

	return r < 0 ? fail(&e) : 0;
}

int command_diff(int argc UNUSED, char **argv UNUSED)
{
	struct err e = {0};
	json_t *differences = NULL;
	int r = image_diff(MERGED, OTHER, &differences, &e);

	if (r < 0)
		return fail(&e);
	return answer(differences);
}

/* ---- another base ---- */

static int read_status(const char *root, struct buf *b, struct err *e)
{
	char path[128];
	int r;

	*b = (struct buf){.max = DPKG_STATUS_MAX};
	snprintf(path, sizeof(path), "%s/" DPKG_STATUS, root);
	r = io_read_file(AT_FDCWD, path, b);
	if (r < 0 && r != -ENOENT)
		return err_sys(e, -r, "read %s", path);
	buf_adds(b, "");
	return b->data ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int write_status(const struct buf *b, struct err *e)
{
	int fd autoclose = open("/" DPKG_STATUS,
		O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	int r = fd < 0 ? -errno : io_write_all(fd, b->data, b->len);

	return r < 0 ? err_sys(e, -r, "write /" DPKG_STATUS) : 0;
}

/* The root is the new base, OTHER the old one, MERGED the image on it: what dpkg says of all becomes the layer. */
int command_rebase(int argc UNUSED, char **argv UNUSED)
{
	autobuf base = BUF_INIT, next = BUF_INIT, image = BUF_INIT, whole = BUF_INIT;
	struct err e = {0};
	int r = read_status(OTHER, &base, &e);

	if (r == 0)
		r = read_status("/", &next, &e);
	if (r == 0)
		r = read_status(MERGED, &image, &e);
	if (r < 0)
		return fail(&e);
	r = dpkg_rebase(base.data, next.data, image.data, &whole, &e);
	if (r == -EEXIST)
		return answer(json_pack("{s:s}", "hindrance", e.text));
	bool same = r == 0 && strcmp(whole.data, next.data) == 0;
	if (r == 0 && !same)
		r = write_status(&whole, &e);
	return r < 0 ? fail(&e) : answer(json_pack("{s:b}", "same", same));
}

/* ---- import ---- */

static uint64_t number(const char *name)
{
	const char *text = getenv(name);
	uint64_t v = 0;

	return text && num_parse_u64(text, 0, UINT64_MAX, &v) == 0 ? v : 0;
}

int command_import_plan(int argc UNUSED, char **argv UNUSED)
{
	struct err e = {0};
	json_t *plan = NULL;

	return image_plan(STDIN_FILENO, number("BERTH_MAX_BYTES"),
		       getenv("BERTH_PARTIAL") != NULL, &plan, &e) < 0
		       ? fail(&e)
		       : answer(plan);
}

int command_import_layer(int argc UNUSED, char **argv UNUSED)
{
	const char *path = getenv("BERTH_LAYER"), *diff_id = getenv("BERTH_DIFF_ID");
	struct layer_apply a = {.fd = STDIN_FILENO,
		.path = path ? path : "",
		.diff_id = diff_id ? diff_id : "",
		.root = "/",
		.max_bytes = number("BERTH_MAX_BYTES"),
		.max_entries = number("BERTH_MAX_FILES")};
	struct err e = {0};
	json_t *said = NULL;

	return layer_apply(&a, &said, &e) < 0 ? fail(&e) : answer(said);
}

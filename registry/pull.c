/* An image out of a registry, into an archive as images:import takes it. */
#include "lib/io.h"
#include "lib/tar.h"
#include "registry/manifest.h"
#include "registry/talk.h"
#include "registry/transfer.h"
#include <errno.h>
#include <sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define INDEX_DEPTH 3
#define PARTS_MAX 100 /* of one layer */

struct pull {
	struct remote *r;
	uint64_t max_bytes;
	struct manifest m;
	struct descriptor top,
		own; /* what the reference names; the manifest, which may be it */
	struct buf manifest, config;
	char diff_ids[MANIFEST_LAYERS_MAX][72];
	bool want[MANIFEST_LAYERS_MAX];
	struct tar tar;
};

static void digest_text(const struct buf *b, char out[72])
{
	memcpy(out, "sha256:", 7);
	SHA256Data((const uint8_t *)b->data, b->len, out + 7);
}

/* ---- small things, in memory ---- */

/* *ret: the caller's. */
static int fetch_text(struct pull *p, const char *kind, const char *reference,
	size_t most, struct buf *ret, struct err *e)
{
	struct http_request q = {
		.method = "GET", .accept = MANIFEST_ACCEPT, .text_max = most};
	struct http_answer a = {0};
	char url[512], what[400];

	snprintf(url, sizeof(url), "/v2/%s/%s/%s", p->r->repository, kind, reference);
	snprintf(what, sizeof(what), "%s%c%s", p->r->repository,
		strchr(reference, ':') ? '@' : ':', reference);
	q.url = url;
	int n = remote_ask(p->r, &q, &a, e);
	if (n == 0 && a.status != 200)
		n = remote_fail(p->r, &a, what, e);
	if (n == 0 && !a.text.len)
		n = err_set(e, EBADMSG, "%s sends nothing for %s", p->r->host, what);
	if (n == 0) {
		char digest[72];

		digest_text(&a.text, digest);
		const char *expected = digest_valid(reference)	? reference
				       : digest_valid(a.digest) ? a.digest
								: digest;
		if (strcmp(expected, digest) != 0)
			n = err_set(e, EBADMSG,
				"refused: %s sends %s for %s, which should be %s",
				p->r->host, digest, what, expected);
	}
	if (n == 0) {
		*ret = a.text;
		a.text = (struct buf)BUF_INIT;
	}
	http_answer_free(&a);
	return n;
}

static int expect_size(const struct buf *b, const struct descriptor *d, struct err *e)
{
	return b->len == d->size
		       ? 0
		       : err_set(e, EBADMSG, "refused: %s has %zu bytes instead of %llu",
				 d->digest, b->len, (unsigned long long)d->size);
}

static const char *machine(void)
{
	static struct utsname u;

	if (uname(&u) < 0 || strcmp(u.machine, "x86_64") == 0)
		return "amd64";
	return strcmp(u.machine, "aarch64") == 0 ? "arm64" : u.machine;
}

static int fetch_manifest(struct pull *p, const char *reference, struct err *e)
{
	int n = 0;

	p->m.index = true;
	for (int depth = 0; n == 0 && p->m.index; depth++) {
		const struct descriptor next = p->m.chosen;

		buf_free(&p->manifest);
		if (depth == INDEX_DEPTH)
			return err_set(
				e, ELOOP, "refused: an index of indexes of indexes");
		n = fetch_text(p, "manifests", depth ? next.digest : reference,
			MANIFEST_BYTES_MAX, &p->manifest, e);
		if (n == 0 && depth)
			n = expect_size(&p->manifest, &next, e);
		if (n == 0)
			n = manifest_parse(
				p->manifest.data, p->manifest.len, machine(), &p->m, e);
		if (n == 0 && depth == 0)
			digest_text(&p->manifest, p->top.digest);
	}
	if (n == 0) {
		digest_text(&p->manifest, p->own.digest);
		p->own.size = p->manifest.len;
	}
	return n;
}

static int fetch_config(struct pull *p, struct err *e)
{
	int n = p->m.config.size > CONFIG_BYTES_MAX
			? err_set(e, EFBIG, "refused: its configuration has %llu kB",
				  (unsigned long long)(p->m.config.size >> 10))
			: fetch_text(p, "blobs", p->m.config.digest, CONFIG_BYTES_MAX,
				  &p->config, e);

	if (n == 0)
		n = expect_size(&p->config, &p->m.config, e);
	return n == 0 ? manifest_diff_ids(p->config.data, p->config.len, p->diff_ids,
				p->m.n_layers, e)
		      : n;
}

/* ---- layers, into the archive ---- */

struct layer {
	const struct descriptor *d;
	struct pull *p;
	off_t start; /* in ARCHIVE */
	uint64_t got;
	SHA2_CTX hash;
	struct talk_progress progress;
	struct err *e;
};

static int rewind_layer(struct layer *l)
{
	SHA256Init(&l->hash);
	l->got = 0;
	return lseek(ARCHIVE, l->start, SEEK_SET) < 0
		       ? err_sys(l->e, errno, "go back in the archive")
		       : 0;
}

static int take(void *arg, const struct http_answer *a, bool begins, const void *data,
	size_t size)
{
	struct layer *l = arg;
	int n = 0;

	if (begins && a->status == 200 && l->got) /* it knows no ranges */
		n = rewind_layer(l);
	if (n == 0 && begins && a->status == 206 && a->from != l->got)
		n = err_set(l->e, EBADMSG, "refused: %s answers with another range",
			l->p->r->host);
	if (n == 0 && size > l->d->size - l->got)
		n = err_set(l->e, EBADMSG,
			"refused: %s sends more for %s than the %llu bytes of the "
			"manifest",
			l->p->r->host, l->d->digest, (unsigned long long)l->d->size);
	if (n < 0)
		return n;
	n = io_write_all(ARCHIVE, data, size);
	if (n < 0)
		return err_sys(l->e, -n, "keep the layer");
	SHA256Update(&l->hash, data, size);
	l->got += size;
	talk_bytes(&l->progress, l->got);
	return 0;
}

/* From where it stands. 0: whole; -EAGAIN: broken, with what there is. */
static int fetch_part(struct layer *l, struct err *e)
{
	struct http_request q = {.method = "GET", .from = l->got, .take = take, .arg = l};
	struct http_answer a = {0};
	char url[512], what[128];

	snprintf(url, sizeof(url), "/v2/%s/blobs/%s", l->p->r->repository, l->d->digest);
	snprintf(what, sizeof(what), "layer %s", l->d->digest);
	q.url = url;
	int n = remote_do(l->p->r, &q, &a, e);
	if (n == 0 && remote_busy(a.status))
		n = err_set(e, EAGAIN, "%s answers %ld", l->p->r->host, a.status);
	else if (n == 0 && a.status != 200 && a.status != 206)
		n = remote_fail(l->p->r, &a, what, e);
	else if (n == 0 && l->got < l->d->size)
		n = err_set(e, EAGAIN, "%s ended after %llu of %llu bytes of %s",
			l->p->r->host, (unsigned long long)l->got,
			(unsigned long long)l->d->size, l->d->digest);
	http_answer_free(&a);
	return n;
}

static int check_layer(struct layer *l, struct err *e)
{
	char digest[72] = "sha256:";

	SHA256End(&l->hash, digest + 7);
	return strcmp(digest, l->d->digest) == 0
		       ? 0
		       : err_set(e, EBADMSG, "refused: %s sends %s for %s", l->p->r->host,
				 digest, l->d->digest);
}

/* Tries that bring nothing are counted; those that bring something lead to an end. */
static int fetch_layer(struct layer *l, struct err *e)
{
	unsigned int tries = 0;
	int n = rewind_layer(l);

	for (int part = 0; n == 0; part++) {
		const uint64_t before = l->got;

		n = fetch_part(l, e);
		if (n != -EAGAIN)
			break;
		tries = l->got > before ? 0 : tries + 1;
		if (tries == REMOTE_TRIES - 1 || part == PARTS_MAX)
			break;
		talk_detail("%s: %s; going on", l->progress.what, e->text);
		remote_pause(tries);
		n = 0;
	}
	return n == 0 ? check_layer(l, e) : n;
}

static int put_layer(struct pull *p, size_t i, const char *title, struct err *e)
{
	struct layer l = {.d = &p->m.layers[i], .p = p, .e = e};
	char path[96];

	snprintf(path, sizeof(path), "blobs/sha256/%s", l.d->digest + 7);
	int n = tar_file_begin(&p->tar, path, l.d->size);
	if (n == 0 && (l.start = lseek(ARCHIVE, 0, SEEK_CUR)) < 0)
		n = -errno;
	if (n < 0)
		return err_sys(e, -n, "write the archive");
	talk_begin(&l.progress, title, l.d->size);
	n = fetch_layer(&l, e);
	if (n < 0)
		return n;
	talk_end(&l.progress, l.got);
	n = tar_file_end(&p->tar, l.d->size);
	return n < 0 ? err_sys(e, -n, "write the archive") : 0;
}

/* One may be in an image twice. */
static bool is_first(const struct pull *p, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (p->want[k] &&
			strcmp(p->m.layers[k].digest, p->m.layers[i].digest) == 0)
			return false;
	return true;
}

static int put_layers(struct pull *p, struct err *e)
{
	uint64_t sum = 0;
	char title[64];
	int n = 0;

	for (size_t i = 0; i < p->m.n_layers; i++)
		sum += p->want[i] ? p->m.layers[i].size : 0;
	if (sum > p->max_bytes)
		return err_set(e, EFBIG,
			"it has %llu MB to fetch, and there is room for %llu MB",
			(unsigned long long)(sum >> 20),
			(unsigned long long)(p->max_bytes >> 20));
	for (size_t i = 0; n == 0 && i < p->m.n_layers; i++) {
		if (!p->want[i] || !is_first(p, i))
			continue;
		snprintf(title, sizeof(title), "layer %zu of %zu", i + 1, p->m.n_layers);
		n = put_layer(p, i, title, e);
	}
	return n;
}

/* ---- the whole ---- */

static int ask_wanted(struct pull *p, struct err *e)
{
	json_t *rows = json_array(), *answer, *want;

	for (size_t i = 0; i < p->m.n_layers; i++)
		json_array_append_new(
			rows, json_pack("{s:s, s:I}", "diff_id", p->diff_ids[i], "size",
				      (json_int_t)p->m.layers[i].size));
	talk_send(json_pack("{s:o}", "layers", rows));
	answer = talk_wait();
	want = json_object_get(answer, "want");
	bool ok = json_array_size(want) == p->m.n_layers;
	for (size_t i = 0; ok && i < p->m.n_layers; i++)
		p->want[i] = json_is_true(json_array_get(want, i));
	json_decref(answer);
	return ok ? 0 : err_set(e, EPROTO, "berth-control gave no answer");
}

static int put_text(struct pull *p, const struct descriptor *d, const struct buf *b)
{
	char path[96];

	snprintf(path, sizeof(path), "blobs/sha256/%s", d->digest + 7);
	return tar_file(&p->tar, path, false, b->data, b->len);
}

static int put_end(struct pull *p)
{
	static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	char index[512];
	int n = snprintf(index, sizeof(index),
		"{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"%s\",\"digest\":\"%"
		"s\",\"size\":%llu}]}",
		MANIFEST_TYPE, p->own.digest, (unsigned long long)p->own.size);

	n = tar_file(&p->tar, "index.json", false, index, (size_t)n);
	if (n == 0)
		n = tar_file(&p->tar, "oci-layout", false, layout, sizeof(layout) - 1);
	if (n == 0)
		n = put_text(p, &p->m.config, &p->config);
	if (n == 0)
		n = put_text(p, &p->own, &p->manifest);
	return n == 0 ? tar_end(&p->tar) : n;
}

static int put_all(struct pull *p, struct err *e)
{
	int n = tar_open(&p->tar, ARCHIVE, 0);

	if (n < 0)
		return err_sys(e, -n, "write the archive");
	n = put_layers(p, e);
	if (n == 0 && (n = put_end(p)) < 0)
		err_sys(e, -n, "write the archive");
	tar_free(&p->tar);
	return n;
}

int transfer_pull(
	struct remote *r, const char *reference, uint64_t max_bytes, struct err *e)
{
	static struct pull p;

	p = (struct pull){.r = r, .max_bytes = max_bytes};
	int n = fetch_manifest(&p, reference, e);
	if (n == 0)
		n = fetch_config(&p, e);
	if (n == 0)
		n = ask_wanted(&p, e);
	if (n == 0)
		n = put_all(&p, e);
	if (n == 0)
		talk_send(json_pack("{s:s}", "done", p.top.digest));
	buf_free(&p.manifest);
	buf_free(&p.config);
	return n;
}

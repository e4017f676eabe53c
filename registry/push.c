/* An image into a registry, blob by blob as control has them. */
#include "registry/manifest.h"
#include "registry/talk.h"
#include "registry/transfer.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct blob {
	const char *title, *digest;
	uint64_t size, offset; /* in ARCHIVE */
	struct talk_progress progress;
};

/* 1, 0 or -errno. */
static int has(struct remote *r, const char *digest, struct err *e)
{
	struct http_request q = {.method = "HEAD"};
	struct http_answer a = {0};
	char url[512];

	snprintf(url, sizeof(url), "/v2/%s/blobs/%s", r->repository, digest);
	q.url = url;
	int n = remote_ask(r, &q, &a, e);
	if (n == 0)
		n = a.status == 200   ? 1
		    : a.status == 404 ? 0
				      : remote_fail(r, &a, digest, e);
	http_answer_free(&a);
	return n;
}

static void moved(void *arg, uint64_t sent)
{
	struct blob *b = arg;

	talk_bytes(&b->progress, sent);
}

/* Where the bytes go: distribution specification, "Pushing blobs", POST then PUT. */
static int begin(
	struct remote *r, const char *digest, char url[URL_MAX_LEN], struct err *e)
{
	struct http_request q = {.method = "POST", .text_max = HTTP_ERROR_MAX};
	struct http_answer a = {0};
	char path[320];

	snprintf(path, sizeof(path), "/v2/%s/blobs/uploads/", r->repository);
	q.url = path;
	int n = remote_ask(r, &q, &a, e);
	if (n == 0 && (a.status != 202 || !a.location[0]))
		n = remote_fail(r, &a, "place for a blob", e);
	if (n == 0 && origin_join(r->base, a.location, url) < 0)
		n = err_set(e, EPROTO, "%s leads to no address", r->host);
	http_answer_free(&a);
	if (n < 0)
		return n;
	const size_t used = strlen(url);
	n = snprintf(url + used, URL_MAX_LEN - used, "%cdigest=%s",
		strchr(url, '?') ? '&' : '?', digest);
	return (size_t)n < URL_MAX_LEN - used
		       ? 0
		       : err_set(e, EPROTO, "an address of %s is too long", r->host);
}

static int put(struct remote *r, const char *url, const char *type, struct blob *b,
	const char *what, struct err *e)
{
	struct http_request q = {.method = "PUT",
		.url = url,
		.content_type = type,
		.has_body = true,
		.body_fd = ARCHIVE,
		.body_offset = b->offset,
		.body_size = b->size,
		.moved = moved,
		.arg = b};
	struct http_answer a = {0};
	int n = remote_do(r, &q, &a, e);

	if (n == 0 && remote_busy(a.status))
		n = err_set(e, EAGAIN, "%s answers %ld", r->host, a.status);
	else if (n == 0 && a.status != 201)
		n = remote_fail(r, &a, what, e);
	else if (n == 0 && digest_valid(a.digest) && strcmp(a.digest, b->digest) != 0)
		n = err_set(e, EBADMSG, "%s has %s of what was sent as %s", r->host,
			a.digest, b->digest);
	http_answer_free(&a);
	return n;
}

/* 1: it was there, 0, or -errno. */
static int send_blob(struct remote *r, struct blob *b, struct err *e)
{
	char url[URL_MAX_LEN];
	int n = has(r, b->digest, e);

	if (n != 0)
		return n;
	talk_begin(&b->progress, b->title, b->size);
	for (unsigned int try = 0; try < REMOTE_TRIES; try++) {
		if (try)
			remote_pause(try - 1);
		n = begin(r, b->digest, url, e);
		if (n == 0)
			n = put(r, url, "application/octet-stream", b, b->digest, e);
		if (n != -EAGAIN)
			break;
		talk_detail("%s; once more", e->text);
	}
	if (n == 0)
		talk_end(&b->progress, b->size);
	return n;
}

static int send_manifest(
	struct remote *r, const char *reference, struct blob *b, struct err *e)
{
	char path[512];
	int n = 0;

	snprintf(path, sizeof(path), "/v2/%s/manifests/%s", r->repository, reference);
	talk_begin(&b->progress, b->title, b->size);
	for (unsigned int try = 0; try < REMOTE_TRIES; try++) {
		if (try)
			remote_pause(try - 1);
		n = put(r, path, MANIFEST_TYPE, b, "manifest", e);
		if (n != -EAGAIN)
			break;
	}
	return n;
}

/* One of control's orders: 0, 1 the last, or -errno. */
static int obey(struct remote *r, const char *reference, const json_t *o, struct err *e)
{
	const char *asked = json_string_value(json_object_get(o, "has"));
	const char *blob = json_string_value(json_object_get(o, "blob"));
	const char *manifest = json_string_value(json_object_get(o, "manifest"));
	const char *title = json_string_value(json_object_get(o, "title"));
	struct blob b = {.title = title ? title : "",
		.digest = blob ? blob : manifest,
		.size = (uint64_t)json_integer_value(json_object_get(o, "size")),
		.offset = (uint64_t)json_integer_value(json_object_get(o, "offset"))};
	int n;

	if (!digest_valid(asked ? asked : b.digest))
		return err_set(e, EPROTO, "berth-control named no blob");
	if (asked) {
		n = has(r, asked, e);
		if (n >= 0)
			talk_send(json_pack("{s:s}", "done", n ? asked : ""));
		return n < 0 ? n : 0;
	}
	n = blob ? send_blob(r, &b, e) : send_manifest(r, reference, &b, e);
	if (n < 0)
		return n;
	talk_send(json_pack("{s:s}", "done", n ? "" : b.digest));
	return !blob;
}

int transfer_push(struct remote *r, const char *reference, struct err *e)
{
	int n = 0;

	while (n == 0) {
		json_t *o = talk_wait();

		n = obey(r, reference, o, e);
		json_decref(o);
	}
	return n < 0 ? n : 0;
}

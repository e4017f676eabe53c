/* One question over HTTP, and its answer. No policy: who may be asked, with what, is remote.h's matter. */
#ifndef REGISTRY_HTTP_H
#define REGISTRY_HTTP_H

#include "lib/buf.h"
#include "lib/err.h"
#include <curl/curl.h>

#define HTTP_ERROR_MAX ((size_t)64 << 10) /* of a page that comes with an error */
#define HTTP_CONNECT_S 30L
#define HTTP_SMALL_S 60L /* a question whose answer fits into memory */
#define HTTP_STALL_S 60L /* less than HTTP_STALL_BYTES a second for so long: broken */
#define HTTP_STORE_S                                                                     \
	600L /* the same where something is sent: a registry may take long to store it */
#define HTTP_STALL_BYTES 512L

struct http_answer;
struct http_request {
	const char *method; /* GET HEAD POST PUT */
	const char *url;
	const char *authorization, *accept,
		*content_type; /* values of headers, or NULL */
	bool plain;	       /* http, too */
	bool direct;	       /* around the proxies of the environment */
	uint64_t from; /* only what comes after so many bytes, if the server can */
	/* What is sent: body_size bytes of the file body_fd; else none. */
	bool has_body;
	int body_fd;
	uint64_t body_offset, body_size;
	/* Takes the body of a 200 or 206; begins: the first piece of it. 0 or -errno, which is http_do's. NULL: it goes to
	 * answer.text, up to text_max. */
	int (*take)(void *arg, const struct http_answer *a, bool begins, const void *data,
		size_t size);
	size_t text_max;
	/* About once a second while bytes move; may be NULL. */
	void (*moved)(void *arg, uint64_t sent);
	void *arg;
};
struct http_answer {
	long status;
	char type[128], digest[80],
		location[8192]; /* Content-Type, Docker-Content-Digest */
	char challenge[4096];	/* all WWW-Authenticate, joined */
	uint64_t from;		/* of a 206: where it begins */
	struct buf text;
};
/*
 * Asks; a is emptied before (http_answer_free it in the end). Blocks. 0 whatever the status; -EAGAIN: the connection broke,
 * another try may help; -EPROTO: what answers there speaks no TLS; -EKEYREJECTED: its certificate is not trusted; -EHOSTUNREACH:
 * it cannot be reached; -errno of take or -EFBIG: text is longer than text_max; with e.
 */
int http_do(
	CURL *curl, const struct http_request *q, struct http_answer *a, struct err *e);
void http_answer_free(struct http_answer *a);

#endif

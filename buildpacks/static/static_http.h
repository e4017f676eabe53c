/* The parts of berth-static that have no side effects: request heads, ranges, dates,
 * types. RFC 9110 and 9112. */
#ifndef BUILDPACKS_STATIC_HTTP_H
#define BUILDPACKS_STATIC_HTTP_H

#include "lib/base.h"
#include <sys/types.h>
#include <time.h>

struct http_request {
	bool head, keep;
	char path[1024];	      /* decoded, no leading slash */
	const char *raw_path, *query; /* of the head; raw_path without query */
	int raw_len, query_len;
	const char *range, *if_none, *if_since,
		*if_range; /* field values or NULL, NUL-terminated */
};

/*
 * Parses a request head in place: h is NUL-terminated and ends with the last line's CRLF,
 * without the empty line. 0, or the status to answer with: 400, 404 (path too long), 405,
 * 501, 505.
 */
int http_parse_head(char *h, struct http_request *r);
/* Whether a part of the decoded path begins with a dot (".well-known" on top is allowed,
 * RFC 8615) or is empty. */
bool http_path_hidden(const char *path);
/*
 * One range "bytes=a-b", "a-" or "-n" of a file of size bytes (RFC 9110 14.1.2): 206 with
 * the first and last byte, 416, or 200 for what a server may ignore (several ranges,
 * malformed).
 */
int http_parse_range(const char *s, off_t size, off_t *ret_first, off_t *ret_last);
/* Weak comparison of etag with an If-None-Match list (RFC 9110 13.1.2). */
bool http_etag_matches(const char *list, const char *etag);
/* IMF-fixdate (RFC 9110 5.6.7). */
void http_format_date(time_t t, char out[40]);
const char *http_type_of(const char *path);
const char *http_reason_of(int status);

#endif

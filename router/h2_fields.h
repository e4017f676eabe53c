/* Lines of HTTP/1.1 as fields of HTTP/2. */
#ifndef ROUTER_H2_FIELDS_H
#define ROUTER_H2_FIELDS_H

#include "lib/base.h"
#include <nghttp2/nghttp2.h>

/* nghttp2 copies both, and writes the name small. */
static inline nghttp2_nv h2_field(
	const char *name, size_t name_len, const char *value, size_t len)
{
	return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value,
		name_len, len, NGHTTP2_NV_FLAG_NONE};
}

/*
 * The line at *p, which moves behind it, without the white space around its value. False at the end, and where no whole line
 * with a colon is. Nothing is copied.
 */
bool h2_field_next(const char **p, const char *end, nghttp2_nv *ret);
/* Those lines that are no framing, routing or hop-by-hop fields, at most max of them. How many. */
size_t h2_fields_of_trailers(const char *p, size_t n, nghttp2_nv *out, size_t max);

#endif

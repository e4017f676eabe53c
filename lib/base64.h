/* Base64 (RFC 4648 section 4), strict: padding required, no white space. */
#ifndef LIB_BASE64_H
#define LIB_BASE64_H

#include "lib/buf.h"

/* Adds the encoding of data to out. 0 or buf_add's errors. */
int base64_encode(const void *data, size_t len, struct buf *out);
/* Adds the bytes that text (len characters) stands for to out. 0, -EINVAL, or buf_add's
 * errors. */
int base64_decode(const char *text, size_t len, struct buf *out);

#endif

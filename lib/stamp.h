/* Times as people and the API write them: RFC 3339 in UTC, microseconds optional. */
#ifndef LIB_STAMP_H
#define LIB_STAMP_H

#include "lib/base.h"

#define STAMP_SIZE 28 /* "2026-01-02T03:04:05.678901Z" and NUL */

/* "2026-01-02T03:04:05Z" */
void stamp_format(uint64_t time_us, char out[STAMP_SIZE]);
/* "2026-01-02T03:04:05.678901Z" */
void stamp_format_us(uint64_t time_us, char out[STAMP_SIZE]);
#define STAMP_HTTP_SIZE 30 /* "Fri, 02 Jan 2026 03:04:05 GMT" and NUL */
/* As HTTP's Date has it (RFC 9110 5.6.7). */
void stamp_format_http(uint64_t time_us, char out[STAMP_HTTP_SIZE]);
/*
 * "2026-01-02T03:04:05[.678901]Z", "2026-01-02", or a time before now_us: "90s", "10m",
 * "2h", "3d". 0 or -EINVAL.
 */
int stamp_parse(const char *s, uint64_t now_us, uint64_t *ret_us);

/* "90s", "15m", "2h", "3d": how long, in seconds. 0 or -EINVAL. */
int span_parse(const char *s, uint64_t *ret_s);

#endif

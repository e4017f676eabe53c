/* The names people give and the numbers they write: which are valid. */
#ifndef LIB_NAME_H
#define LIB_NAME_H

#include "lib/base.h"

#define NAME_MAX_LEN 63	 /* an app's name is also a DNS label */
#define HOST_MAX_LEN 253 /* RFC 1035 2.3.4 */

/* ^[a-z0-9][a-z0-9-]{0,62}$ : apps, volumes, members */
bool name_valid(const char *s);
/* name, cut, with a hash of what it stands for: long ones are told apart by it. */
void name_with_hash(const char *name, const char *of, char out[NAME_MAX_LEN + 1]);
/* APP-VOLUME, of what is made of another app's volume; a long one is cut and gets a hash. */
void name_joined(const char *app, const char *volume, char out[NAME_MAX_LEN + 1]);
/* [A-Za-z0-9_-]{1,30} : process types */
bool name_type_valid(const char *s);
/* [A-Za-z_][A-Za-z0-9_]* , at most 255 : config keys */
bool name_key_valid(const char *s);
/* A lower-case hostname of valid labels, or "*." and one. */
bool name_host_valid(const char *s);
/* An absolute path without "..", ".", "//" or a trailing slash, shorter than 256. */
bool name_mount_path_valid(const char *s);

/* The file name of a log's segment (the end of lib/proto.h): its number, above 0. */
bool log_segment_parse(const char *file, uint64_t *ret);

/* Whole-string decimal number in [min, max]. 0, -EINVAL (not a number), -ERANGE. */
int num_parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret);
/* "512M", "2G", "64k", plain bytes. 0, -EINVAL, -ERANGE. */
int num_parse_size(const char *s, uint64_t *ret_bytes);
/* "512M", "1.5G", "900k", "37 bytes" into a static-size buffer owned by the caller. */
void num_format_size(uint64_t bytes, char out[24]);
/* As num_parse_size reads it back, to the byte: "2G", "1536M", "1500000001". */
void num_write_size(uint64_t bytes, char out[24]);

/* "SIGQUIT", "quit", "3", "SIGRTMIN+3", "RTMAX-1", as Docker's STOPSIGNAL takes them: 1 .. 64, or -EINVAL. */
int signal_parse(const char *s);

#endif

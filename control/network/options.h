/* What the router is told of apps' settings: the options of its table, from the topics "http" and "maintenance". */
#ifndef CONTROL_OPTIONS_H
#define CONTROL_OPTIONS_H

#include "control/control.h"
#include "lib/addr.h"

#define PAGE_MAX ((size_t)TABLE_PAGE_MAX) /* of HTML, bytes */

/* The settings, read at once. */
struct options {
	json_t *http, *maintenance; /* app id as text -> key -> value; "0": all apps */
	uint32_t workers;    /* of the router: each gets its part of what is counted */
	struct buf *strings; /* where a record's texts go, */
	uint32_t from;	     /* with offsets that begin there */
};

/* Of an app and what holds for all, or (0) of all apps. 0 or -errno; options_close in any case. */
int options_open(struct control *c, uint32_t workers, uint32_t app, struct options *ret);
void options_close(struct options *o);
/* What is set for all apps: false when nothing is, which makes *ret zero. Its texts are added to strings. */
bool options_all(struct options *o, struct table_options *ret, struct buf *strings);
/*
 * Fills in row's times and APP_MAINTENANCE. False when nothing of that app's own is set and it has no canary, else ret, which
 * is that of all apps before, is its record: its own texts are added to strings, at offsets that begin with all_size, where
 * those of all apps end.
 */
bool options_own(struct options *o, const struct db_app *a, struct table_app *row,
	struct table_options *ret, struct buf *strings, uint32_t all_size);
/* The proxies that all apps believe, at most TABLE_NETS_MAX. */
unsigned int options_nets(const struct options *o, struct table_net ret[TABLE_NETS_MAX]);
/* One value of a topic (db_setting_topic); NULL: not set. */
const char *options_value(const json_t *topic, uint32_t app, const char *key);

/*
 * Values as people write them. 0 or -EINVAL.
 * Rate: "100/s", "600/m", up to TABLE_RATE_MAX. Nets: addresses and ranges between spaces or commas; how many, or -E2BIG, or
 * -EINVAL with the word in bad.
 */
int options_parse_rate(const char *text, uint32_t *ret_n, uint32_t *ret_period_ms);
int options_parse_nets(
	const char *text, struct table_net ret[TABLE_NETS_MAX], char bad[ADDR_TEXT_MAX]);
/*
 * "NAME:PASSWORD" as it is stored, "NAME:ROUNDS:SALT:KEY" (lib/credentials.h): in out, which the caller frees. 0, -EINVAL
 * (no name, no password, or longer than 256 bytes), -ENOMEM, -EIO.
 */
int options_hide_password(const char *text, struct buf *out);
/* What "sticky on" is stored as, with a key of its own: cookies of before mean nothing to it. 0 or -EIO. */
#define OPTIONS_STICKY_MAX 32
int options_make_sticky(char out[OPTIONS_STICKY_MAX]);
/* What an app may be spoken to in. */
#define OPTIONS_HTTP1 "http/1.1"
#define OPTIONS_H2C "h2c"

#endif

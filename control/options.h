/* What the router is told of apps' settings: the options of its table, from the topics "http" and "maintenance". */
#ifndef CONTROL_OPTIONS_H
#define CONTROL_OPTIONS_H

#include "control/control.h"
#include "lib/addr.h"

#define PAGE_MAX ((size_t)TABLE_PAGE_MAX) /* of HTML, bytes */

/* While one table is built: all the settings, read at once, and the records made so far. */
struct options {
	json_t *http, *maintenance; /* app id as text -> key -> value; "0": all apps */
	struct table_options global;
	uint32_t global_index; /* of its record + 1; 0: not made, or nothing is set */
	uint32_t n;	       /* records in rows */
	uint32_t workers;      /* of the router: each gets its part of what is counted */
	struct buf *strings, rows;
};

/* strings: of the table. 0 or -errno; options_close in any case. */
int options_open(
	struct control *c, uint32_t workers, struct buf *strings, struct options *ret);
void options_close(struct options *o);
/* The proxies that all apps believe, at most TABLE_NETS_MAX. */
unsigned int options_nets(const struct options *o, struct table_net ret[TABLE_NETS_MAX]);
/* Fills in the row's times, its options (the canary among them) and APP_MAINTENANCE. */
void options_row(struct options *o, const struct db_app *a, struct table_app *row);

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

#endif

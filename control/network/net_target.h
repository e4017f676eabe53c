/* Network rules as people write them: targets, ports, protocols; and which rule counts
 * before which. */
#ifndef CONTROL_NET_TARGET_H
#define CONTROL_NET_TARGET_H

#include "db/db.h"
#include "lib/addr.h"

#define NET_TEXT_MAX (HOST_MAX_LEN + 8) /* "host:" and a name */

/*
 * kind and target of *ret, from: internet, an address or range, app:NAME or a name without
 * a dot (an app: its name goes to `app`, target_app stays), host:NAME or a name with a dot.
 * 0, or -EINVAL with the sentence.
 */
int net_target_parse(const char *text, struct db_net_rule *ret,
	char app[NAME_MAX_LEN + 1], struct err *e);
/* "5432" or "8000-8010"; NULL: all. 0 or -EINVAL with the sentence. */
int net_ports_parse(const char *text, struct db_net_rule *ret, struct err *e);
/* "tcp", "udp"; NULL: all. 0 or -EINVAL with the sentence. */
int net_protocol_parse(const char *text, struct db_net_rule *ret, struct err *e);

/* As it may be written again; app: the name of target_app. */
void net_target_text(
	const struct db_net_rule *r, const char *app, char out[NET_TEXT_MAX]);
/* "" for all. */
void net_ports_text(const struct db_net_rule *r, char out[16]);
const char *net_protocol_text(const struct db_net_rule *r);

/*
 * The order in which rules are asked, for qsort, those of builds last: apps, then the narrower range before the
 * wider, the internet last; of one target fewer ports before more, one protocol before
 * all, deny before allow.
 */
int net_rule_order(const void *a, const void *b);

#endif

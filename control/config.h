/*
 * An app's config: an object of KEY -> value (db/db.h). TYPE/KEY holds for processes of that type only, over the app's own
 * KEY. A change that makes a release is stored by that release's switch, and by nothing else.
 */
#ifndef CONTROL_CONFIG_H
#define CONTROL_CONFIG_H

#include "control/control.h"

#define CONFIG_VALUE_MAX ((size_t)64 << 10)
#define CONFIG_MAX ((size_t)256 << 10) /* names and values of everything, in all */

bool config_key_valid(const char *key); /* KEY or TYPE/KEY */
/* KEY of either. */
const char *config_key_name(const char *key);
/* What a process of that type gets (NULL: what is there for all types), under plain names. The caller's. */
json_t *config_of_type(const json_t *config, const char *type);
size_t config_size(const json_t *config);

struct config_change {
	json_t *set;   /* keys and values, may be NULL */
	json_t *unset; /* list of keys, may be NULL */
	/* What else is there of this goes: "" the app's own, a process type, "*" all. NULL: nothing goes. */
	const char *replace;
	const char *why; /* of the release: "Config of v3: "; NULL: only the keys */
};
/* The config after it; *ret_before has the keys that differ, with the value from before or null. Both the caller's. */
json_t *config_changed(
	const json_t *config, const struct config_change *ch, json_t **ret_before);
/* "Set A, worker/B; unset C", cut where it does not fit: names only, values are nobody's business. */
void config_describe(const json_t *before, const json_t *after, char *out, size_t size);
/*
 * What a release changed comes into the config as it is by now: before and after as config_changed gives them. A key that somebody
 * else changed meanwhile stays as that one wants it.
 */
void config_merge(json_t *config, const json_t *before, const json_t *after);
/* The same in what is stored; within the transaction of the switch. 0 or -errno. */
int config_settle(
	struct control *c, uint32_t app, const json_t *before, const json_t *after);
/*
 * Makes a release with the change, or only stores it: when restart is false or there is no release yet. Returns as the
 * operations of control.h do.
 */
int config_apply(struct control *c, const struct db_app *app,
	const struct config_change *ch, bool restart, const char *actor, struct sink *s,
	struct err *e);

#endif

/* SSH keys: who may connect. */
#include "control/access/sshkey.h"
#include "control/api/api.h"
#include "control/api/handlers.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KEYS_MAX 500 /* sshd reads them line by line at each login */

static json_t *key_json(const struct db_key *k)
{
	return json_pack("{s:s, s:s, s:s, s:I}", "name", k->name, "fingerprint",
		k->fingerprint, "type", k->type, "id", (json_int_t)k->id);
}

int keys_list(struct request *r)
{
	struct db_key *keys autofree = NULL;
	int n = db_key_list(r->c->db, &keys);

	if (n < 0)
		return request_fail_db(r, n, "ssh keys");
	json_t *list = json_array();
	for (int i = 0; i < n; i++)
		json_array_append_new(list, key_json(&keys[i]));
	return request_reply(r, 200, list);
}

/* The key is there: under the same name that is what was asked for. */
static int find_taken(struct request *r, struct db_key *k)
{
	struct db_key *keys autofree = NULL;
	int n = db_key_list(r->c->db, &keys);

	for (int i = 0; i < n; i++) {
		if (strcmp(keys[i].blob, k->blob) != 0)
			continue;
		if (strcmp(keys[i].name, k->name) != 0)
			return request_fail(r, FAIL_CONFLICT,
				"this key is there already, as %s", keys[i].name);
		*k = keys[i];
		return 1;
	}
	return request_fail(r, FAIL_CONFLICT, "this key is there already");
}

static int check_room(struct request *r)
{
	struct db_key *keys autofree = NULL;
	int n = db_key_list(r->c->db, &keys);

	if (n < 0)
		return request_fail_db(r, n, "ssh keys");
	if (n >= KEYS_MAX)
		return request_fail(r, FAIL_CONFLICT,
			"there are %d keys already, the most that berth takes", n);
	return 0;
}

int key_put(struct request *r, const char *member, const char *text, struct db_key *ret)
{
	struct err e = {0};

	*ret = (struct db_key){0};
	if (sshkey_parse(text, ret, &e) < 0)
		return request_fail(r, FAIL_USAGE, "%s", e.text);
	if (check_room(r) < 0)
		return -1;
	snprintf(ret->name, sizeof(ret->name), "%s", member);
	int n = db_key_add(r->c->db, ret);
	if (n == -EEXIST)
		return find_taken(r, ret);
	if (n < 0)
		return request_fail_db(r, n, member);
	if (keys_write(r->c, &e) < 0) {
		db_key_delete(r->c->db, ret->id);
		return request_fail(r, FAIL_BERTH, "%s", e.text);
	}
	return 0;
}

/* A name is a member's: it may hold several keys, which are removed together. */
int keys_add(struct request *r)
{
	const char *name = request_string(r, "name");
	struct db_key k;

	if (request_name(r, "key", name) < 0)
		return -1;
	int n = key_put(r, name, request_string(r, "key"), &k);
	return n < 0 ? -1 : request_reply(r, n ? 200 : 201, key_json(&k));
}

static int remove_keys(struct request *r, void *arg UNUSED)
{
	struct db_member m;

	if (db_member_by_name(r->c->db, r->args[0], &m) == 0 && m.keys &&
		access_check_last(r, m.id) < 0)
		return -1;
	int n = db_key_remove(r->c->db, r->args[0]);

	if (n < 0)
		return request_fail_db(r, n, r->args[0]);
	if (n == 0)
		return request_fail(
			r, FAIL_MISSING, "there is no key named %.80s", r->args[0]);
	return 0;
}

int keys_remove(struct request *r)
{
	struct err e = {0};

	if (request_whole(r, r->args[0], remove_keys, NULL) < 0)
		return -1;
	api_recheck(r);
	/* The row is gone whatever happens: start-up writes the file again. */
	if (keys_write(r->c, &e) < 0)
		return request_fail(r, FAIL_BERTH,
			"the key is removed, but the list for sshd is not: %s", e.text);
	return 0;
}

/* SSH keys: who may connect. */
#include "control/api_handlers.h"
#include "control/sshkey.h"
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
static int answer_taken(struct request *r, const struct db_key *k)
{
	struct db_key *keys autofree = NULL;
	int n = db_key_list(r->c->db, &keys);

	for (int i = 0; i < n; i++) {
		if (strcmp(keys[i].blob, k->blob) != 0)
			continue;
		if (strcmp(keys[i].name, k->name) == 0)
			return request_reply(r, 200, key_json(&keys[i]));
		return request_fail(r, FAIL_CONFLICT, "this key is there already, as %s",
			keys[i].name);
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

/* A name is a person's: it may hold several keys, which are removed together. */
int keys_add(struct request *r)
{
	const char *name = request_string(r, "name");
	struct db_key k = {0};
	struct err e = {0};

	if (request_name(r, "key", name) < 0)
		return -1;
	if (sshkey_parse(request_string(r, "key"), &k, &e) < 0)
		return request_fail(r, FAIL_USAGE, "%s", e.text);
	if (check_room(r) < 0)
		return -1;
	snprintf(k.name, sizeof(k.name), "%s", name);
	int n = db_key_add(r->c->db, &k);
	if (n == -EEXIST)
		return answer_taken(r, &k);
	if (n < 0)
		return request_fail_db(r, n, name);
	if (keys_write(r->c, &e) < 0) {
		db_key_delete(r->c->db, k.id);
		return request_fail(r, FAIL_BERTH, "%s", e.text);
	}
	return request_reply(r, 201, key_json(&k));
}

int keys_remove(struct request *r)
{
	struct err e = {0};
	int n = db_key_remove(r->c->db, r->args[0]);

	if (n < 0)
		return request_fail_db(r, n, r->args[0]);
	if (n == 0)
		return request_fail(
			r, FAIL_MISSING, "there is no key named %.80s", r->args[0]);
	/* The row is gone whatever happens: start-up writes the file again. */
	if (keys_write(r->c, &e) < 0)
		return request_fail(r, FAIL_BERTH,
			"the key is removed, but the list for sshd is not: %s", e.text);
	return 0;
}

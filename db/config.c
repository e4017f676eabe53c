/* An app's config: any bytes but NUL, as JSON outside and blobs inside. */
#include "db/secret.h"
#include "lib/base64.h"
#include <errno.h>
#include <string.h>

/* A string where the bytes are UTF-8, else {"base64": "..."}: JSON has no other way to
 * say bytes. */
static json_t *value_of(const void *data, size_t len)
{
	json_t *v = json_stringn(data ? data : "", len);
	autobuf text = BUF_INIT;

	if (v)
		return v;
	if (base64_encode(data, len, &text) < 0)
		return NULL;
	return json_pack("{s:s}", "base64", text.data ? text.data : "");
}

static int bytes_of(const json_t *v, struct buf *out)
{
	const json_t *b = json_object_get(v, "base64");

	if (json_is_string(v))
		return buf_add(out, json_string_value(v), json_string_length(v));
	if (!json_is_string(b))
		return -EINVAL;
	return base64_decode(json_string_value(b), json_string_length(b), out);
}

static struct secret_place place(uint32_t app, const char *key)
{
	return secret_place("config/%u/%s", app, key);
}

static int take_value(struct query *q, uint32_t app, json_t *config)
{
	const char *key = query_str(q, 0);
	const void *data = sqlite3_column_blob(q->stmt, 1);
	size_t len = (size_t)sqlite3_column_bytes(q->stmt, 1);
	autobuf bytes = BUF_INIT;
	const struct secret_place p = place(app, key);
	int r = secret_open(q->db, &p, data, len, &bytes);

	if (r < 0)
		return r;
	r = json_object_set_new(config, key, value_of(bytes.data, bytes.len));
	if (bytes.data)
		explicit_bzero(bytes.data, bytes.len);
	return r < 0 ? -ENOMEM : 0;
}

int db_config_get(struct db *db, uint32_t app, json_t **ret)
{
	autoquery q = QUERY_INIT;
	int r = query_open(&q, db,
		"SELECT key, value FROM config WHERE app=? ORDER BY key", "u", app);

	if (r < 0)
		return r;
	json_t *o = json_object();
	while ((r = query_next(&q)) > 0)
		if ((r = take_value(&q, app, o)) < 0)
			break;
	if (r < 0) {
		json_decref(o);
		return r;
	}
	*ret = o;
	return 0;
}

static int put_value(struct db *db, uint32_t app, const char *key, const json_t *v)
{
	autobuf bytes = BUF_INIT, sealed = BUF_INIT;
	const struct secret_place p = place(app, key);
	int r = bytes_of(v, &bytes);

	if (r == 0)
		r = secret_seal(db, &p, bytes.data, bytes.len, &sealed);
	if (bytes.data)
		explicit_bzero(bytes.data, bytes.len);
	return r < 0 ? r
		     : query_exec(db,
			       "INSERT INTO config(app, key, value) VALUES(?, ?, ?)",
			       "usb", app, key, (const void *)sealed.data, sealed.len);
}

static int put_all(struct db *db, uint32_t app, const json_t *config)
{
	const char *key;
	json_t *v;
	int r = query_exec(db, "DELETE FROM config WHERE app=?", "u", app);

	if (r < 0)
		return r;
	/* jansson's iteration takes a non-const object; it is not changed. */
	json_object_foreach ((json_t *)(uintptr_t)config, key, v) {
		r = put_value(db, app, key, v);
		if (r < 0)
			return r == -EBUSY ? -ENOENT : r;
	}
	return 0;
}

int db_config_put(struct db *db, uint32_t app, const json_t *config)
{
	int r = db_begin(db);

	if (r < 0)
		return r;
	r = put_all(db, app, config);
	int ended = db_end(db, r == 0);
	return r < 0 ? r : ended;
}

static int settle(struct db *db, uint32_t app)
{
	struct db_release live = {0};
	int r = db_begin(db);

	if (r < 0)
		return r;
	r = db_release_get(db, app, 0, &live);
	if (r == 0)
		r = db_config_put(db, app, live.config);
	if (r >= 0 || r == -ENOENT) /* no release yet: it holds for the first */
		r = query_exec(
			db, "UPDATE app SET config_pending=0 WHERE id=?", "u", app);
	db_release_clear(&live);
	int ended = db_end(db, r >= 0);
	return r < 0 ? r : ended;
}

int db_config_settle(struct db *db)
{
	uint32_t *apps autofree = NULL;
	int n = query_all(db, sizeof(*apps), query_fill_u32, (void **)&apps,
		"SELECT id FROM app WHERE config_pending", "");
	int failed = n < 0 ? n : 0;

	for (int i = 0; i < n; i++) {
		int r = settle(db, apps[i]);

		failed = r < 0 ? r : failed;
	}
	return failed;
}

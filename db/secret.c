/* Secret values: sealed with the host's key, bound to their place. */
#include "db/secret.h"
#include "lib/log.h"
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A sealed value: form, id of the key, nonce, then as long as the value, then the tag. */
#define FORM 1
#define ID_SIZE 4
#define NONCE_SIZE 12
#define TAG_SIZE 16
#define HEAD_SIZE (1 + ID_SIZE + NONCE_SIZE)

struct secret_place secret_place(const char *fmt, ...)
{
	struct secret_place p;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p.text, sizeof(p.text), fmt, ap);
	va_end(ap);
	return p;
}

/* What names the key without telling anything about it. */
static void key_id(const struct db *db, uint8_t out[ID_SIZE])
{
	static const char purpose[] = "berth: id of a secret key";
	uint8_t text[sizeof(purpose) + DB_KEY_SIZE], digest[SHA256_DIGEST_LENGTH];

	memcpy(text, purpose, sizeof(purpose));
	memcpy(text + sizeof(purpose), db->key, DB_KEY_SIZE);
	SHA256(text, sizeof(text), digest);
	memcpy(out, digest, ID_SIZE);
	explicit_bzero(text, sizeof(text));
}

/* ---- one value ---- */

/* The cipher with key, nonce and place; NULL when OpenSSL refuses. */
static EVP_CIPHER_CTX *begin(const struct db *db, const struct secret_place *p,
	const uint8_t *nonce, bool seal)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n;

	if (c &&
		EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, db->key, nonce, seal) ==
			1 &&
		EVP_CipherUpdate(
			c, NULL, &n, (const uint8_t *)p->text, (int)strlen(p->text)) == 1)
		return c;
	EVP_CIPHER_CTX_free(c);
	return NULL;
}

static bool run(EVP_CIPHER_CTX *c, const void *data, size_t len, uint8_t *out)
{
	int n = 0;

	/* without bytes OpenSSL takes the call for the end */
	return len == 0 || EVP_CipherUpdate(c, out, &n, data, (int)len) == 1;
}

static bool end(EVP_CIPHER_CTX *c)
{
	uint8_t none[TAG_SIZE];
	int n;

	return EVP_CipherFinal_ex(c, none, &n) == 1;
}

int secret_seal(struct db *db, const struct secret_place *p, const void *data, size_t len,
	struct buf *out)
{
	uint8_t *at = (uint8_t *)buf_room(out, HEAD_SIZE + len + TAG_SIZE);
	uint8_t *nonce = at + 1 + ID_SIZE, *text = at + HEAD_SIZE;

	if (!at)
		return -ENOMEM;
	at[0] = FORM;
	key_id(db, at + 1);
	if (RAND_bytes(nonce, NONCE_SIZE) != 1)
		return -EIO;
	EVP_CIPHER_CTX *c = begin(db, p, nonce, true);
	bool ok = c && run(c, data, len, text) && end(c) &&
		  EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, text + len) == 1;
	EVP_CIPHER_CTX_free(c);
	if (!ok)
		return -EIO;
	out->len += HEAD_SIZE + len + TAG_SIZE;
	return 0;
}

static int open_value(struct db *db, const struct secret_place *p, const uint8_t *at,
	size_t len, struct buf *out)
{
	uint8_t id[ID_SIZE], tag[TAG_SIZE];

	key_id(db, id);
	if (len < HEAD_SIZE + TAG_SIZE || at[0] != FORM ||
		memcmp(at + 1, id, ID_SIZE) != 0)
		return -EBADMSG;
	len -= HEAD_SIZE + TAG_SIZE;
	uint8_t *text = (uint8_t *)buf_room(out, len + 1);
	if (!text)
		return -ENOMEM;
	text[len] = '\0';
	memcpy(tag, at + HEAD_SIZE + len, TAG_SIZE);
	EVP_CIPHER_CTX *c = begin(db, p, at + 1 + ID_SIZE, false);
	bool ok = c && run(c, at + HEAD_SIZE, len, text) &&
		  EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, tag) == 1 &&
		  end(c);
	EVP_CIPHER_CTX_free(c);
	if (!ok) {
		explicit_bzero(text, len);
		return -EBADMSG;
	}
	out->len += len;
	return 0;
}

int secret_open(struct db *db, const struct secret_place *p, const void *data, size_t len,
	struct buf *out)
{
	int r = open_value(db, p, data, len, out);

	if (r == -EBADMSG)
		log_error("database: the secret of %s cannot be opened: it was changed, "
			  "or is of another row or key",
			p->text);
	return r;
}

json_t *secret_json(struct query *q, int column, const struct secret_place *p)
{
	autobuf text = BUF_INIT;
	const void *data = sqlite3_column_blob(q->stmt, column);
	size_t len = (size_t)sqlite3_column_bytes(q->stmt, column);
	json_t *v = NULL;

	if (secret_open(q->db, p, data, len, &text) == 0)
		v = json_loadb(text.data ? text.data : "", text.len,
			JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	if (text.data)
		explicit_bzero(text.data, text.len);
	return v;
}

/* ---- all of them ---- */

#define LAY_OPEN 3 /* the first of these tables, before there was a key */

/* Each row has: the column that is secret, what names the row in its place, and for the update its keys. */
static const struct {
	const char *noun, *select, *update;
} tables[] = {
	{"config", "SELECT value, app || '/' || key, app, key FROM config",
		"UPDATE config SET value=? WHERE app=? AND key=?"},
	{"release", "SELECT config, app || '/' || version, app, version FROM release",
		"UPDATE release SET config=? WHERE app=? AND version=?"},
	{"login", "SELECT password, host, host, host FROM login",
		"UPDATE login SET password=? WHERE host=? AND host=?"},
	{"drain", "SELECT url, id, id, id FROM drain",
		"UPDATE drain SET url=? WHERE id=? AND id=?"},
	{"webhook", "SELECT target, id, id, id FROM webhook",
		"UPDATE webhook SET target=? WHERE id=? AND id=?"},
};

struct secret_row {
	void *data;
	size_t len;
	char *name, *key[2];
};

static void take_row(struct query *q, void *element)
{
	struct secret_row *r = element;

	r->len = (size_t)sqlite3_column_bytes(q->stmt, 0);
	r->data = malloc(r->len + 1);
	if (r->data && r->len)
		memcpy(r->data, sqlite3_column_blob(q->stmt, 0), r->len);
	r->name = strdup(query_str(q, 1));
	r->key[0] = strdup(query_str(q, 2));
	r->key[1] = strdup(query_str(q, 3));
}

static void free_row(struct secret_row *r)
{
	if (r->data)
		explicit_bzero(r->data, r->len);
	free(r->data);
	free(r->name);
	free(r->key[0]);
	free(r->key[1]);
}

/* was: what the row is sealed with until now; NULL: it lies open. */
static int seal_row(
	struct db *db, struct db *was, size_t table, const struct secret_row *r)
{
	autobuf plain = BUF_INIT, sealed = BUF_INIT;

	if (!r->data || !r->name || !r->key[0] || !r->key[1])
		return -ENOMEM;
	const struct secret_place p = secret_place("%s/%s", tables[table].noun, r->name);
	int n = was ? secret_open(was, &p, r->data, r->len, &plain) : 0;
	if (n == 0 && was)
		n = secret_seal(db, &p, plain.data, plain.len, &sealed);
	else if (n == 0)
		n = secret_seal(db, &p, r->data, r->len, &sealed);
	if (plain.data)
		explicit_bzero(plain.data, plain.cap);
	return n < 0 ? n
		     : query_exec(db, tables[table].update, "bss",
			       (const void *)sealed.data, sealed.len, r->key[0],
			       r->key[1]);
}

static int seal_table(struct db *db, struct db *was, size_t table)
{
	struct secret_row *rows autofree = NULL;
	int n = query_all(
		db, sizeof(*rows), take_row, (void **)&rows, tables[table].select, "");
	int r = n < 0 ? n : 0;

	for (int k = 0; k < n; k++) {
		if (r >= 0)
			r = seal_row(db, was, table, &rows[k]);
		free_row(&rows[k]);
	}
	return r;
}

static void id_text(const struct db *db, char out[ID_SIZE * 2 + 1])
{
	uint8_t id[ID_SIZE];

	key_id(db, id);
	for (size_t i = 0; i < ID_SIZE; i++)
		snprintf(out + i * 2, 3, "%02x", id[i]);
}

int secret_seal_all(struct db *db, bool fresh, struct err *e)
{
	char id[ID_SIZE * 2 + 1];
	int r = 0;

	id_text(db, id);
	for (size_t i = 0; i < LAY_OPEN && r >= 0; i++)
		r = seal_table(db, NULL, i);
	if (r >= 0)
		r = query_exec(db, "INSERT INTO secret_key(id, swept) VALUES(?, ?)", "su",
			id, fresh);
	return r < 0 ? err_sys(e, -r, "encrypt the secrets") : 0;
}

int secret_rekey(struct db *copy)
{
	struct db was = {0}; /* its key alone */
	char id[ID_SIZE * 2 + 1];
	int r = 0;

	memcpy(was.key, copy->key, sizeof(was.key));
	if (RAND_priv_bytes(copy->key, sizeof(copy->key)) != 1)
		r = -EIO;
	for (size_t i = 0; i < ARRAY_LEN(tables) && r >= 0; i++)
		r = seal_table(copy, &was, i);
	id_text(copy, id);
	if (r >= 0)
		r = query_exec(copy, "UPDATE secret_key SET id=?", "s", id);
	explicit_bzero(&was, sizeof(was));
	return r < 0 ? r : 0;
}

/* ---- at each start ---- */

static int empty_log(struct db *db)
{
	autoquery q = QUERY_INIT;
	int r = query_first(&q, db, "PRAGMA wal_checkpoint(TRUNCATE)", "");

	return r < 0 ? r : query_u32(&q, 0) ? -EBUSY : 0;
}

/* Pages and log records that had values in the open are in no part of a file any more. */
static int sweep(struct db *db, const char *folder, struct err *e)
{
	int r = query_exec(db, "VACUUM", "");

	if (r >= 0)
		r = empty_log(db);
	if (r < 0)
		return err_sys(
			e, -r, "database: cannot remove what was not encrypted before");
	r = db_copy_forget(folder, e);
	if (r < 0)
		return r;
	r = query_exec(db, "UPDATE secret_key SET swept=1", "");
	if (r < 0)
		return err_sys(e, -r, "database");
	log_info("database: the secrets in it are encrypted; copies that had them open "
		 "are removed");
	return 0;
}

int secret_check(struct db *db, const char *folder, struct err *e)
{
	char id[ID_SIZE * 2 + 1], made[ID_SIZE * 2 + 1];
	autoquery q = QUERY_INIT;
	int r = query_first(&q, db, "SELECT id, swept FROM secret_key", "");

	if (r < 0)
		return err_sys(e, -r, "database: the id of its key cannot be read");
	query_text(&q, 0, made, sizeof(made));
	bool swept = query_u32(&q, 1) != 0;
	query_close(&q);
	id_text(db, id);
	if (strcmp(id, made) != 0)
		return err_set(e, EKEYREJECTED,
			"database: its secrets are encrypted with the key %s, and "
			"secret.key beside %s is the key %s; put the secret.key that "
			"belongs to this database there (it is in the backup that the "
			"database is from; root's, mode 0600). Without that key config "
			"values and logins are lost. Apps go on meanwhile",
			made, folder, id);
	return swept ? 0 : sweep(db, folder, e);
}

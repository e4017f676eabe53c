/* What the audit trail says of a request. */
#include "control/api/audit.h"
#include "lib/jtext.h"
#include "lib/log.h"
#include <stdio.h>
#include <string.h>

#define VALUE_SHOWN 80 /* bytes of one value */

/* A part of a field's or a setting's name. New fields with secrets are called so. */
static const char *const secret_words[] = {
	"password", "passphrase", "secret", "token", "key", "chain", "auth", "page"};

bool audit_is_secret(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(secret_words); i++)
		if (strstr(name, secret_words[i]))
			return strcmp(name, "author") != 0;
	return false;
}

/* ---- arguments ---- */

/*
 * Between scheme and host of an address stands who asks for it, and the password; behind it often a key, in a query or, as
 * chats' webhooks have it, in the path: only that there is one. shown: as many bytes matter. cut: the text is a sentence that
 * may quote a part of an address. One without an end of its host may be one without the end of its password.
 */
static void hide_logins(char *text, size_t shown, bool cut)
{
	static const char after[] = "\"'.,:;)"; /* of the sentence */

	for (char *at = text; at < text + shown && (at = strstr(at, "://"));) {
		at += 3;
		size_t word = strcspn(at, " "), host, kept;
		char *login = memrchr(at, '@', word);

		if (login) {
			word -= (size_t)(login - at);
			memmove(at, login, strlen(login) + 1);
		}
		while (cut && word && strchr(after, at[word - 1]))
			word--;
		host = strcspn(at, "/?#");
		kept = cut && !login && host >= word ? 0 : word;
		if (word > host + 1) {
			memcpy(at + host, "/?", 2);
			kept = host + 2;
		}
		memmove(at + kept, at + word, strlen(at + word) + 1);
	}
}

static void add_text(struct buf *b, const char *text)
{
	char *shown autofree = strdup(text), *c;

	if (!shown)
		return;
	hide_logins(shown, VALUE_SHOWN, false);
	size_t len = jtext_utf8(shown, strnlen(shown, VALUE_SHOWN));
	bool more = shown[len] != '\0';
	shown[len] = '\0';
	for (c = shown; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	buf_addf(b, "%s%s", shown, more ? "..." : "");
}

static void add_value(struct buf *b, const json_t *v);

/* names: of KEY=VALUE the key. */
static void add_list(struct buf *b, const json_t *list, size_t most, bool names)
{
	char key[VALUE_SHOWN + 2];
	json_t *v;
	size_t i;

	json_array_foreach ((json_t *)(uintptr_t)list, i, v) {
		if (i == most) {
			buf_adds(b, " ...");
			return;
		}
		buf_adds(b, i ? "," : "");
		if (!json_is_string(v))
			continue;
		snprintf(key, sizeof(key), "%.*s",
			(int)strcspn(json_string_value(v), "="), json_string_value(v));
		add_text(b, names ? key : json_string_value(v));
	}
}

/* Names; of numbers the value too: ps:scale. */
static void add_names(struct buf *b, const json_t *object)
{
	const char *name, *comma = "";
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)object, name, v) {
		buf_adds(b, comma);
		add_text(b, name);
		if (json_is_integer(v))
			buf_addf(b, ":%lld", (long long)json_integer_value(v));
		comma = ",";
	}
}

static void add_value(struct buf *b, const json_t *v)
{
	if (json_is_string(v))
		add_text(b, json_string_value(v));
	else if (json_is_integer(v))
		buf_addf(b, "%lld", (long long)json_integer_value(v));
	else if (json_is_boolean(v))
		buf_adds(b, json_is_true(v) ? "true" : "false");
	else if (json_is_array(v))
		add_list(b, v, SIZE_MAX, false);
	else if (json_is_object(v))
		add_names(b, v);
}

static void add_field(struct buf *b, const char *name, const json_t *v)
{
	if (json_is_array(v) && !json_array_size(v))
		return;
	if (json_is_object(v) && !json_object_size(v))
		return;
	buf_adds(b, b->len ? " " : "");
	add_text(b, name);
	if (audit_is_secret(name))
		return;
	buf_adds(b, "=");
	bool is_command = strcmp(name, "command") == 0 || strcmp(name, "cmd") == 0;
	bool is_env = strcmp(name, "env") == 0;
	if (json_is_array(v) && (is_command || is_env))
		add_list(b, v, is_command ? 1 : SIZE_MAX, is_env);
	else
		add_value(b, v);
}

/* What the path names beside the app: a volume, a topic. */
static void add_args(struct request *r, struct buf *b)
{
	size_t first = r->route->flags & ROUTE_APP ||
		       (r->args[0] && strcmp(r->args[0], r->app.name) == 0);

	for (size_t i = first; i < REQUEST_ARGS_MAX && r->args[i]; i++) {
		buf_adds(b, b->len ? " " : "");
		add_text(b, r->args[i]);
	}
}

static void add_query(struct request *r, struct buf *b)
{
	char word[40];

	for (const char *at = r->route->query; at && *at; at += *at == ' ') {
		size_t len = strcspn(at, " ");
		const char *value;

		snprintf(word, sizeof(word), "%.*s", (int)len, at);
		at += len;
		value = strcmp(word, "confirm") == 0 ? NULL : request_query(r, word);
		if (!value)
			continue;
		json_t *v = json_string(value);
		add_field(b, word, v);
		json_decref(v);
	}
}

void audit_keep_query(struct request *r)
{
	add_query(r, &r->query);
	r->connection = NULL;
}

void audit_detail(struct request *r, char out[AUDIT_DETAIL_MAX])
{
	autobuf b = BUF_INIT;
	const char *name;
	json_t *v;

	add_args(r, &b);
	if (r->connection)
		add_query(r, &b);
	else if (r->query.len) {
		buf_adds(&b, b.len ? " " : "");
		buf_add(&b, r->query.data, r->query.len);
	}
	json_object_foreach (r->body, name, v)
		add_field(&b, name, v);
	if (b.len >= AUDIT_DETAIL_MAX) {
		size_t len = jtext_utf8(b.data, AUDIT_DETAIL_MAX - 4);

		snprintf(out, AUDIT_DETAIL_MAX, "%.*s...", (int)len, b.data);
	} else {
		snprintf(out, AUDIT_DETAIL_MAX, "%s", b.data ? b.data : "");
	}
}

/* ---- the event ---- */

/* A path's app counts although there is none of that name: who asks for it is told so, and so is the trail. */
static const char *app_of(const struct request *r)
{
	if (r->app.name[0])
		return r->app.name;
	return r->route->flags & ROUTE_APP && r->args[0] && name_valid(r->args[0])
		       ? r->args[0]
		       : "";
}

void audit(struct request *r, enum audit_how how, const char *why)
{
	static const char *const words[] = {"ok", "refused: ", "failed: "};
	char outcome[ERR_TEXT_MAX + 16], detail[AUDIT_DETAIL_MAX + AUTH_FROM_MAX + 8];

	if (!r->route || !r->route->audit)
		return;
	snprintf(
		outcome, sizeof(outcome), "%s%s", words[how], how == AUDIT_OK ? "" : why);
	hide_logins(outcome, sizeof(outcome), true);
	audit_detail(r, detail);
	if (r->who.from[0])
		snprintf(detail + strlen(detail), sizeof(detail) - strlen(detail),
			"%sfrom=%s", detail[0] ? " " : "", r->who.from);
	const struct db_event e = {.actor = r->who.actor,
		.what = r->route->audit,
		.app = app_of(r),
		.detail = detail,
		.outcome = outcome};
	if (db_event_add(r->c->db, &e) < 0)
		log_error("the event %s could not be recorded", r->route->audit);
	/* who is told that it is done must not find it undone after a power cut */
	if (db_settle(r->c->db) < 0)
		log_error(
			"%s: what was done may not be on the disk yet", r->route->audit);
}

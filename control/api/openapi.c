/* Makes the OpenAPI description of the table that requests are checked by. */
#include "control/api/openapi.h"
#include "control/access/access.h"
#include "control/api/api.h"
#include "control/api/feed.h"
#include "control/api/request.h"
#include "control/stream.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define SHAPES "#/components/schemas/"
#define DEPTH_MAX 8 /* of a shape; those in answers.json have 4 */

__asm__(".pushsection .rodata\n"
	".global control_answers\ncontrol_answers: .incbin \"control/api/answers.json\"\n"
	".byte 0\n"
	".popsection\n");
extern const char control_answers[];

/* ---- shapes ---- */

static json_t *reference(const char *shape)
{
	return json_pack("{s:o}", "$ref", json_sprintf(SHAPES "%s", shape));
}

/* "App", "App|null" */
static json_t *named(const char *text)
{
	char name[64];

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(text, "|"), text);
	if (!strchr(text, '|'))
		return reference(name);
	return json_pack("{s:[o, {s:s}]}", "anyOf", reference(name), "type", "null");
}

/* "integer|null: seconds" */
static json_t *simple(const char *text)
{
	size_t len = strcspn(text, ":");
	const char *bar = memchr(text, '|', len);
	char type[32];

	if (isupper((unsigned char)*text))
		return named(text);
	snprintf(type, sizeof(type), "%.*s", (int)(bar ? bar - text : (ptrdiff_t)len),
		text);
	json_t *o = json_object();
	bool time = strcmp(type, "time") == 0;
	const char *name = time ? "string" : type;

	if (strcmp(type, "any") != 0)
		json_object_set_new(o, "type",
			bar ? json_pack("[s, s]", name, "null") : json_string(name));
	if (time)
		json_object_set_new(o, "format", json_string("date-time"));
	if (text[len])
		json_object_set_new(o, "description", json_string(text + len + 2));
	return o;
}

static json_t *schema(const json_t *shape, int depth);

static json_t *object_schema(const json_t *shape, int depth)
{
	json_t *members = json_object(), *needed = json_array(), *v;
	const char *key;

	json_object_foreach ((json_t *)(uintptr_t)shape, key, v) {
		size_t len = strlen(key);
		bool maybe = len && key[len - 1] == '?';

		json_object_setn_new(members, key, len - maybe, schema(v, depth));
		if (!maybe)
			json_array_append_new(needed, json_string(key));
	}
	return json_pack("{s:s, s:o, s:o}", "type", "object", "properties", members,
		"required", needed);
}

static json_t *schema(const json_t *shape, int depth)
{
	const json_t *every = json_object_get(shape, "*");

	if (json_is_string(shape))
		return simple(json_string_value(shape));
	if (depth == DEPTH_MAX)
		return NULL;
	if (json_is_array(shape))
		return json_pack("{s:s, s:o}", "type", "array", "items",
			schema(json_array_get(shape, 0), depth + 1));
	if (every)
		return json_pack("{s:s, s:o}", "type", "object", "additionalProperties",
			schema(every, depth + 1));
	return object_schema(shape, depth + 1);
}

static json_t *schemas(const json_t *shapes)
{
	json_t *o = json_object(), *v;
	const char *name;

	json_object_foreach ((json_t *)(uintptr_t)shapes, name, v)
		json_object_set_new(o, name, schema(v, 0));
	return o;
}

/* ---- what is asked ---- */

/* What the one letter of a path's part stands for. */
static const char *parameter_name(char letter)
{
	static const char *const names[26] = {['A' - 'A'] = "app",
		['M' - 'A'] = "member",
		['N' - 'A'] = "name",
		['T' - 'A'] = "topic",
		['V' - 'A'] = "volume"};
	const char *name = letter >= 'A' && letter <= 'Z' ? names[letter - 'A'] : NULL;

	return name ? name : "id";
}

static bool is_parameter(const char *part)
{
	return part[0] >= 'A' && part[0] <= 'Z' && (part[1] == '/' || !part[1]);
}

/* words: what those of queries mean. */
static void add_parameter(json_t *list, const char *name, size_t len, const json_t *words)
{
	const json_t *said = json_object_getn(words, name, len);
	const char *text = said ? json_string_value(said) : "string";

	json_array_append_new(list, json_pack("{s:s#, s:s, s:b, s:o}", "name", name,
					    (int)len, "in", words ? "query" : "path",
					    "required", !words, "schema", simple(text)));
}

/* /v1/apps/A/ps becomes /v1/apps/{app}/ps; its parameters and the query's words are added to the list. */
static void template(
	const struct route *row, const json_t *words, struct buf *path, json_t *list)
{
	for (const char *at = row->path; *at == '/'; at += strcspn(at, "/")) {
		size_t len = strcspn(++at, "/");
		const char *name = is_parameter(at) ? parameter_name(*at) : NULL;

		if (name)
			add_parameter(list, name, strlen(name), NULL);
		if (name)
			buf_addf(path, "/{%s}", name);
		else
			buf_addf(path, "/%.*s", (int)len, at);
	}
	for (const char *word = row->query; word && *word;) {
		size_t len = strcspn(word, " ");

		add_parameter(list, word, len, words);
		word += len + (word[len] == ' ');
	}
}

static json_t *field_schema(const struct field *f)
{
	static const char *const types[] = {[FIELD_STRING] = "string",
		[FIELD_BOOL] = "boolean",
		[FIELD_INT] = "integer",
		[FIELD_OBJECT] = "object",
		[FIELD_ARRAY] = "array"};

	return f->required ? json_pack("{s:s}", "type", types[f->type])
			   : json_pack("{s:[s, s]}", "type", types[f->type], "null");
}

/* NULL where a body is not looked at. */
static json_t *body_schema(const struct route *row)
{
	json_t *members = json_object(), *needed = json_array();

	for (const struct field *f = row->fields; f && f->name; f++) {
		json_object_set_new(members, f->name, field_schema(f));
		if (f->required)
			json_array_append_new(needed, json_string(f->name));
	}
	json_t *o = json_pack("{s:s, s:o, s:o}", "type", "object", "properties", members,
		"required", needed);
	json_object_set_new(o, "additionalProperties",
		row->flags & ROUTE_ANY_FIELD
			? json_pack("{s:[s, s]}", "type", "string", "null")
			: json_false());
	return o;
}

static json_t *body(const struct route *row)
{
	bool needed = false;

	for (const struct field *f = row->fields; f && f->name; f++)
		needed |= f->required;
	return json_pack("{s:b, s:{s:{s:o}}}", "required", needed, "content",
		"application/json", "schema", body_schema(row));
}

/* ---- what is answered ---- */

static void add_content(json_t *content, const char *type, json_t *schema_of)
{
	json_object_set_new(content, type, json_pack("{s:o}", "schema", schema_of));
}

static json_t *text_schema(const char *description)
{
	return json_pack("{s:s, s:s}", "type", "string", "description", description);
}

static json_t *content_of(const struct route *row, const json_t *said)
{
	const char *answer = json_string_value(json_object_get(said, "answer"));
	const char *line = json_string_value(json_object_get(said, "lines"));
	json_t *content = json_object();

	if (row->run)
		add_content(content, STREAM_TYPE,
			text_schema("lines of a letter, a space and a text: o output, p "
				    "progress, d a result, r a ref, x the exit status"));
	if (answer && strchr(answer, '/'))
		add_content(content, answer, text_schema("lines"));
	else if (answer)
		add_content(content, "application/json", reference(answer));
	if (line)
		add_content(content, "application/x-ndjson", reference(line));
	if (line || row->run)
		add_content(content, FEED_EVENTS_TYPE,
			text_schema(
				line ? "events with ids; Last-Event-ID goes on from there"
				     : "events output, progress, result, ref, and end "
				       "with "
				       "the exit status"));
	return content;
}

static json_t *responses(const struct route *row, const json_t *said)
{
	json_t *o = json_object(), *content = content_of(row, said);
	const json_t *status = json_object_get(said, "status");
	char code[8];

	snprintf(
		code, sizeof(code), "%d", status ? (int)json_integer_value(status) : 200);
	if (json_object_size(content))
		json_object_set_new(o, code,
			json_pack("{s:s, s:O}", "description",
				row->run ? "what is done, as it is done" : "done",
				"content", content));
	json_decref(content);
	if (json_is_true(json_object_get(said, "upgrade")))
		json_object_set_new(o, "101",
			json_pack("{s:s}", "description",
				"upgraded to berth-run: descriptors over the unix "
				"socket (docs/API.md)"));
	json_object_set_new(o, "default",
		json_pack("{s:s, s:{s:{s:o}}}", "description", "refused or failed",
			"content", "application/json", "schema", reference("Failure")));
	return o;
}

/* ---- the whole ---- */

static const char *where(const struct route *row)
{
	if (row->flags & ROUTE_ANYONE)
		return "anyone; what is not theirs is refused or left out";
	if (row->flags & ROUTE_ANYWHERE)
		return "any app; the answer holds what may be seen";
	if (row->flags & (ROUTE_APP | ROUTE_BODY_APP))
		return "the app";
	return strncmp(row->path, "/v1/volumes/V", 13) == 0 ? "the volume" : "the host";
}

/* get_apps_app_ps, of /v1/apps/{app}/ps. */
static json_t *operation_id(const char *method, const char *path)
{
	autobuf id = BUF_INIT;

	buf_adds(&id, method);
	for (const char *at = path + strlen("/v1"); *at; at++)
		if (isalnum((unsigned char)*at))
			buf_add(&id, at, 1);
		else if (*at != '}' && id.data[id.len - 1] != '_')
			buf_adds(&id, "_");
	return json_stringn(id.data ? id.data : "", id.len);
}

/* What it is about: ps of /v1/apps/{app}/ps, volumes of /v1/volumes/{volume}/mount. */
static json_t *tags(const char *path)
{
	const char *of_app = "/v1/apps/{app}/", *at = path + strlen("/v1/");

	if (strncmp(path, of_app, strlen(of_app)) == 0)
		at = path + strlen(of_app);
	return json_pack("[s#]", at, (int)strcspn(at, "/."));
}

static json_t *operation(const struct route *row, const json_t *said, json_t *parameters)
{
	const char *is = json_string_value(json_object_get(said, "is"));
	json_t *o = json_object();

	if (is)
		json_object_set_new(o, "summary", json_string(is));
	json_object_set_new(o, "parameters", parameters);
	if (row->fields || row->flags & ROUTE_ANY_FIELD)
		json_object_set_new(o, "requestBody", body(row));
	json_object_set_new(o, "responses", responses(row, said));
	json_object_set_new(o, "x-role",
		json_string(row->flags & ROUTE_ANYONE
				    ? "none"
				    : role_name(access_route_role(row))));
	json_object_set_new(o, "x-role-on", json_string(where(row)));
	if (row->audit)
		json_object_set_new(o, "x-event", json_string(row->audit));
	return o;
}

static void add_row(json_t *paths, const struct route *row, const json_t *known)
{
	autobuf path = BUF_INIT, name = BUF_INIT;
	json_t *parameters = json_array(), *item;
	char method[8];
	size_t i = 0;

	template(row, json_object_get(known, "words"), &path, parameters);
	buf_addf(&name, "%s %s", row->method, row->path);
	for (; row->method[i] && i < sizeof(method) - 1; i++)
		method[i] = (char)tolower((unsigned char)row->method[i]);
	method[i] = '\0';
	if (!path.data || !name.data) {
		json_decref(parameters);
		return;
	}
	item = json_object_get(paths, path.data);
	if (!item) {
		json_object_set_new(paths, path.data, json_object());
		item = json_object_get(paths, path.data);
	}
	json_t *o = operation(row,
		json_object_get(json_object_get(known, "requests"), name.data),
		parameters);
	json_object_set_new(o, "operationId", operation_id(method, path.data));
	json_object_set_new(o, "tags", tags(path.data));
	json_object_set_new(item, method, o);
}

static json_t *frame(void)
{
	return json_pack("{s:s, s:{s:s, s:s, s:s}, s:[{s:s, s:s}], s:[{}, {s:[]}]}",
		"openapi", "3.1.0", "info", "title", "berth", "version", API_VERSION,
		"description",
		"Deploys apps from git push on one host. docs/API.md says more.",
		"servers", "url", "/", "description",
		"HTTP on the unix socket /run/berth/api.sock", "security", "token");
}

json_t *openapi_make(void)
{
	json_t *said = json_loads(control_answers, JSON_REJECT_DUPLICATES, NULL);
	json_t *o = said ? frame() : NULL, *paths = json_object();

	for (size_t i = 0; i < api_table_len; i++)
		add_row(paths, &api_table[i], said);
	if (o) {
		json_object_set(o, "paths", paths);
		json_object_set_new(o, "components",
			json_pack("{s:o, s:{s:{s:s, s:s}}}", "schemas",
				schemas(json_object_get(said, "shapes")),
				"securitySchemes", "token", "type", "http", "scheme",
				"bearer"));
	}
	json_decref(paths);
	json_decref(said);
	return o;
}

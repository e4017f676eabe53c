/* The buildpacks that an app names itself. */
#include "control/builds/packs.h"
#include "lib/name.h"
#include <errno.h>
#include <string.h>

static bool begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

static bool plain(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || (unsigned char)*s > '~')
			return false;
	return true;
}

int packs_check(const char *s, struct err *e)
{
	if (!*s || strlen(s) > PACKS_ENTRY_MAX || !plain(s))
		return err_set(e, EINVAL,
			"a buildpack is 1 to %d characters without blanks",
			PACKS_ENTRY_MAX);
	if (begins(s, "git@") || begins(s, "ssh://"))
		return err_set(e, EINVAL,
			"\"%.80s\" would be fetched over ssh, for which a build has no "
			"key: "
			"name it by https",
			s);
	if (name_valid(s) || begins(s, "https://") || begins(s, "http://") ||
		begins(s, "git://") || (begins(s, "heroku/") && name_valid(s + 7)) ||
		(begins(s, "host:") && name_valid(s + 5)) ||
		(begins(s, "./") && !strstr(s, "..")))
		return 0;
	return err_set(e, EINVAL,
		"\"%.80s\" is neither a name of berth's (node), a folder of the "
		"repository (./NAME) or of the host (host:NAME), nor an address that "
		"begins with https://, http:// or git://",
		s);
}

int packs_read(struct control *c, uint32_t app, json_t **ret)
{
	char *text autofree = NULL;
	json_t *list = json_array();
	int r = db_setting_get(c->db, app, "buildpacks", "list", &text);

	if (r < 0 && r != -ENOENT) {
		json_decref(list);
		return r;
	}
	for (char *save, *s = text ? strtok_r(text, "\n", &save) : NULL; s;
		s = strtok_r(NULL, "\n", &save))
		json_array_append_new(list, json_string(s));
	*ret = list;
	return 0;
}

static void join(struct buf *out, const json_t *list, const char *member)
{
	const json_t *v;
	size_t i;

	json_array_foreach (list, i, v) {
		const char *s =
			json_string_value(member ? json_object_get(v, member) : v);
		if (s)
			buf_addf(out, "%s%s", i ? "\n" : "", s);
	}
}

int packs_write(struct control *c, uint32_t app, const json_t *list)
{
	autobuf text = BUF_INIT;

	join(&text, list, NULL);
	if (text.failed)
		return -ENOMEM;
	return db_setting_set(
		c->db, app, "buildpacks", "list", text.len ? text.data : NULL);
}

/* BUILDPACK_URL is text from anywhere: it may not become two. */
static int check_all(
	const json_t *list, const char *member, const char *where, struct err *e)
{
	const json_t *v;
	size_t i;

	if (json_array_size(list) > PACKS_LIST_MAX)
		return err_set(e, E2BIG, "%s names more than %d buildpacks", where,
			PACKS_LIST_MAX);
	json_array_foreach (list, i, v) {
		const char *s =
			json_string_value(member ? json_object_get(v, member) : v);
		struct err why = {0};
		if (!s)
			return err_set(
				e, EINVAL, "%s: buildpacks[%zu] has no url", where, i);
		if (packs_check(s, &why) < 0)
			return err_set(e, EINVAL, "%s: %s", where, why.text);
	}
	return 0;
}

int packs_env(struct control *c, uint32_t app, const json_t *config,
	const json_t *app_json, struct buf *ret_set, struct buf *ret_app, struct err *e)
{
	const json_t *url = json_object_get(config, "BUILDPACK_URL");
	const json_t *declared = json_object_get(app_json, "buildpacks");
	json_t *list = NULL;
	int r = packs_read(c, app, &list);

	if (r < 0)
		return err_sys(e, -r, "read the app's buildpacks");
	if (!json_array_size(list) && json_string_length(url)) {
		json_array_append(list, (json_t *)(uintptr_t)url);
		r = check_all(list, NULL, "BUILDPACK_URL", e);
	}
	if (r == 0)
		r = check_all(declared, "url", "app.json", e);
	if (r == 0 && json_array_size(list)) {
		buf_adds(ret_set, "BERTH_BUILDPACKS=");
		join(ret_set, list, NULL);
	}
	if (r == 0 && json_array_size(declared)) {
		buf_adds(ret_app, "BERTH_APP_BUILDPACKS=");
		join(ret_app, declared, "url");
	}
	json_decref(list);
	if (ret_set->failed || ret_app->failed)
		return err_set(e, ENOMEM, "out of memory");
	return r;
}

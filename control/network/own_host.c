/* The hostname of the API: whose it is not, and whose certificates it has. */
#include "control/network/own_host.h"
#include "control/api/view.h"
#include <ctype.h>
#include <string.h>

static char *text(struct control *c, const char *key)
{
	char *value = NULL;

	db_setting_get(c->db, 0, OWN_HOST_TOPIC, key, &value);
	return value;
}

char *own_host(struct control *c)
{
	return text(c, OWN_HOST_KEY);
}

bool own_host_is(struct control *c, const char *name)
{
	char *own autofree = own_host(c);

	return own && strcmp(own, name) == 0;
}

bool own_host_certs_of(struct control *c, const char *app)
{
	char *named autofree = text(c, OWN_HOST_CERTS_KEY);

	return named && strcmp(named, app) == 0;
}

json_t *own_host_with(struct control *c, const struct db_app *app)
{
	char *api autofree = own_host(c);
	json_t *names = view_hostnames(c, app);

	if (names && api && own_host_certs_of(c, app->name))
		json_array_append_new(names, json_string(api));
	return names;
}

static bool has(struct control *c, const struct db_app *app, const char *name)
{
	json_t *names = view_hostnames(c, app), *v;
	bool found = false;
	size_t i;

	json_array_foreach (names, i, v)
		found |= strcmp(json_string_value(v), name) == 0;
	json_decref(names);
	return found;
}

static int check_apps(struct request *r, const char *name)
{
	struct db_app *apps autofree = NULL;
	int n = db_app_list(r->c->db, &apps);

	if (n < 0)
		return request_fail_db(r, n, "apps");
	for (int i = 0; i < n; i++)
		if (has(r->c, &apps[i], name))
			return request_fail(r, FAIL_CONFLICT,
				"%s is a hostname of the app %s: the API needs one of "
				"its own",
				name, apps[i].name);
	return 0;
}

static bool valid(const char *name)
{
	for (const char *p = name; *p; p++)
		if (isupper((unsigned char)*p))
			return false;
	return strlen(name) <= HOST_MAX_LEN && name_host_valid(name) && name[0] != '*';
}

int own_host_check(struct request *r, const char *name)
{
	if (!valid(name))
		return request_fail(r, FAIL_USAGE,
			OWN_HOST_KEY
			" must be a hostname in lower case such as berth.example.com");
	return check_apps(r, name);
}

int own_host_check_certs(struct request *r, const char *app)
{
	struct db_app row;

	return request_app(r, app, &row);
}

/* Certificates: those that somebody brings, and the automatic ones. */
#include "cli/certs_input.h"
#include "cli/cli.h"
#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static int read_file(const char *path, struct buf *out)
{
	int r = path ? io_read_file(AT_FDCWD, path, out) : io_read_all(0, out);

	if (r < 0)
		say("cannot read %s: %s", path ? path : "stdin", strerror(-r));
	return r < 0 ? STATUS_FAILED : 0;
}

static int read_stdin(struct buf *chain, struct buf *key)
{
	autobuf in = {.max = CERTS_INPUT_MAX};
	struct err e = {0};
	int r;

	if (isatty(0)) {
		say("give the certificate: --cert FILE --key FILE, or an archive on "
		    "stdin: "
		    "tar c server.crt server.key | berth certs:add APP");
		return STATUS_USAGE;
	}
	if ((r = read_file(NULL, &in)))
		return r;
	if (certs_input(&in, chain, key, &e) < 0) {
		say("%s", e.text);
		return STATUS_FAILED;
	}
	return 0;
}

/* certs:add APP [NAME] with options or stdin, or as Dokku has it APP CRT KEY. */
static int read_pair(struct cli *c, struct buf *chain, struct buf *key)
{
	const char *cert_file = c->options[OPT_CERT], *key_file = c->options[OPT_KEY];
	int r;

	if (c->argc == 2) {
		if (cert_file || key_file)
			return say_usage(c, "two files and --cert or --key: which?");
		cert_file = c->argv[0];
		key_file = c->argv[1];
	}
	if (!cert_file && !key_file)
		return read_stdin(chain, key);
	if (!cert_file || !key_file)
		return say_usage(c, "--cert and --key belong together");
	if (c->over_ssh)
		return say_usage(c, "over ssh they come from stdin: tar c server.crt "
				    "server.key | ssh ... certs:add APP");
	r = read_file(cert_file, chain);
	return r ? r : read_file(key_file, key);
}

static json_t *pem(const struct buf *b, const char *what)
{
	json_t *v = b->len ? api_string(b) : NULL;

	if (!v)
		say("the %s is not PEM text", what);
	return v;
}

static void show_added(const char *name, const json_t *answer)
{
	const json_t *cert =
		json_object_get(json_object_get(answer, "certificates"), name);
	json_t *warning;
	size_t i;

	printf("-----> Added certificate %s for %s\n       issued by %s, expires %s\n",
		name, out_member(cert, "names"), out_member(cert, "issuer"),
		out_member(cert, "expires"));
	json_array_foreach (json_object_get(answer, "warnings"), i, warning)
		say("%s", json_string_value(warning));
}

int cmd_certs_add(struct cli *c)
{
	autobuf chain = {.max = CERTS_INPUT_MAX}, key = {.max = CERTS_INPUT_MAX};
	const char *name = c->argc == 1 ? c->argv[0] : "default";
	json_t *certificates, *secret, *answer;
	int r = read_pair(c, &chain, &key);

	if (r)
		return r;
	certificates = pem(&chain, "certificate");
	secret = certificates ? pem(&key, "key") : NULL;
	if (!secret)
		return STATUS_FAILED;
	r = api_json(c, "POST",
		json_pack("{s:s, s:o, s:o}", "name", name, "chain", certificates, "key",
			secret),
		&answer, "/v1/apps/%s/certs", c->app);
	if (r)
		return r;
	if (c->json)
		out_json(answer);
	else if (!c->quiet)
		show_added(name, answer);
	return 0;
}

int cmd_certs_remove(struct cli *c)
{
	const char *name = c->argc ? c->argv[0] : "default";
	int r = api_stream(
		c, "DELETE", NULL, "/v1/apps/%s/certs/%s", c->app, api_word(name));

	if (!r && !c->quiet && !c->json)
		printf("-----> Removed certificate %s\n", name);
	return r;
}

int cmd_certs_show(struct cli *c)
{
	json_t *answer;
	int r = api_json(c, "GET", NULL, &answer, "/v1/apps/%s/certs/%s", c->app,
		api_word(c->argc ? c->argv[0] : "default"));

	if (r)
		return r;
	if (c->json)
		out_json(answer);
	else
		fputs(out_member(answer, "chain"), stdout);
	return 0;
}

static int list_certs(struct cli *c)
{
	static const struct column columns[] = {{"APP", "app"}, {"NAME", "name"},
		{"STATE", "state"}, {"EXPIRES", "expires"}, {"FOR", "names"}};
	json_t *list;
	int r = api_json(c, "GET", NULL, &list, "/v1/certs");

	return r ? r : out_list(c, columns, ARRAY_LEN(columns), list);
}

int cmd_certs_report(struct cli *c)
{
	char title[128];
	json_t *answer;
	int r;

	if (!c->app)
		return list_certs(c);
	snprintf(title, sizeof(title), "%s certs information", c->app);
	r = api_json(c, "GET", NULL, &answer, "/v1/apps/%s/certs", c->app);
	return r ? r : out_answer(c, title, answer);
}

/* ---- automatic ones ---- */

int cmd_tls_enable(struct cli *c)
{
	return api_stream(c, "POST", NULL, "/v1/apps/%s/tls/enable", c->app);
}

int cmd_tls_renew(struct cli *c)
{
	return api_stream(c, "POST",
		json_pack("{s:b}", "new_account", c->options[OPT_NEW_ACCOUNT] != NULL),
		"/v1/apps/%s/tls/renew", c->app);
}

int cmd_tls_disable(struct cli *c)
{
	int r = api_stream(c, "POST", NULL, "/v1/apps/%s/tls/disable", c->app);

	if (!r && !c->quiet && !c->json)
		printf("-----> Disabled automatic certificates of %s\n", c->app);
	return r;
}

/* Without an app: the settings, then who has them. */
static int report_all(struct cli *c)
{
	static const struct column columns[] = {{"APP", "app"}, {"STATE", "state"},
		{"EXPIRES", "expires"}, {"NEXT TRY", "next_try"},
		{"LAST ERROR", "last_error"}};
	json_t *settings, *apps;
	int r = api_json(c, "GET", NULL, &settings, "/v1/settings/tls");

	if (r)
		return r;
	if (c->report_key)
		return out_report_key(c, settings);
	if ((r = api_json(c, "GET", NULL, &apps, "/v1/tls")))
		return r;
	if (c->json) {
		out_json(json_pack("{s:o, s:o}", "settings", settings, "apps", apps));
		return 0;
	}
	out_report(c, "global tls information", settings);
	return out_list(c, columns, ARRAY_LEN(columns), apps);
}

int cmd_tls_report(struct cli *c)
{
	char title[128];
	json_t *answer;
	int r;

	if (!c->app)
		return report_all(c);
	snprintf(title, sizeof(title), "%s tls information", c->app);
	r = api_json(c, "GET", NULL, &answer, "/v1/apps/%s/tls", c->app);
	return r ? r : out_answer(c, title, answer);
}

/* What is answered before an app is asked: ACME challenges, OPTIONS of us, redirects to https. */
#include "router/worker.h"
#include <stdio.h>
#include <string.h>

#define ACME_PATH "/.well-known/acme-challenge/"

/* RFC 8555 8.3. A token that we do not know may be the app's own. */
static bool answer_acme(struct exchange *x)
{
	static const char fields[] =
		"Content-Type: application/octet-stream\r\nCache-Control: no-store\r\n";
	const struct certs *certs = x->client->w->certs;
	const char *p = x->head + x->path, *text;
	size_t skip = sizeof(ACME_PATH) - 1;
	uint32_t len;

	if (!certs || !certs->n_acme || x->path_len <= skip ||
		memcmp(p, ACME_PATH, skip) || !exchange_gets(x))
		return false;
	text = certs_acme_text(certs, p + skip, x->path_len - skip, &len);
	if (!text)
		return false;
	exchange_say(x, "200 OK", fields, sizeof(fields) - 1, text, len);
	return true;
}

/* Methods that may have a body keep it: 308 (RFC 9110 15.4.9). */
static void redirect(struct exchange *x)
{
	struct worker *w = x->client->w;
	char fields[HTTP_TARGET_MAX + 512], port[8] = "";
	uint32_t path_len = x->path_len;
	int n, name_len = http_host_name(x->head + x->host, x->host_len);

	if (w->tls_port != 443)
		snprintf(port, sizeof(port), ":%u", w->tls_port);
	if (x->head[x->path] != '/') /* OPTIONS * */
		path_len = 0;
	n = snprintf(fields, sizeof(fields), "Location: https://%.*s%s%.*s\r\n", name_len,
		x->head + x->host, port, (int)path_len, x->head + x->path);
	exchange_say(x,
		exchange_gets(x) ? "301 Moved Permanently" : "308 Permanent Redirect",
		fields, (size_t)n, "", 0);
}

bool front_answers(struct exchange *x, const struct table_host *row)
{
	if (answer_acme(x))
		return true;
	if (x->ours) { /* RFC 9110 7.6.2; what an app allows, we do not know */
		exchange_say(x, "200 OK", "", 0, "", 0);
		return true;
	}
	if (!(row->flags & HOST_TLS) || x->https || !x->client->w->tls_port)
		return false;
	redirect(x);
	return true;
}

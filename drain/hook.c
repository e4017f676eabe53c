/* Webhooks: one POST each, and what the receiver answers. */
#include "drain/hook.h"
#include <errno.h>
#include <string.h>

#define HOOK_MS 10000 /* for the whole of it */
#define ANSWER_MAX (64u << 10)

struct hook {
	struct drain
		d; /* first: calls know drains; only what says where to is filled in */
	struct call *call;
	struct curl_slist *headers;
	char *body;
	uint64_t id;
	size_t answer; /* bytes of it, which are forgotten */
};

static void free_hook(struct hook *h)
{
	if (!h)
		return;
	call_free(h->d.outlet->net, h->call);
	curl_slist_free_all(h->headers);
	explicit_bzero(&h->d.url, sizeof(h->d.url));
	free(h->body);
	free(h);
}

static size_t on_body(char *data UNUSED, size_t one, size_t len, void *arg)
{
	struct hook *h = arg;

	h->answer += len * one;
	return h->answer > ANSWER_MAX ? 0 : len * one;
}

static void on_done(struct call *call, CURLcode code)
{
	struct hook *h = (struct hook *)call->drain;
	struct outlet *o = h->d.outlet;
	long status = 0;
	char text[256] = "";

	curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &status);
	if (code != CURLE_OK && !(code == CURLE_WRITE_ERROR && status))
		call_error(call, code, text);
	o->answer(o, h->id, text[0] ? 0 : status, text);
	free_hook(h);
}

static void set_up(struct hook *h)
{
	CURL *curl = h->call->curl;

	curl_easy_setopt(curl, CURLOPT_POST, 1L);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, h->headers);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "berth-webhook");
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)HOOK_MS);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, h);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, h->body);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(h->body));
	if (h->d.url.user[0]) {
		curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(curl, CURLOPT_USERNAME, h->d.url.user);
		curl_easy_setopt(curl, CURLOPT_PASSWORD, h->d.url.password);
	}
}

static int add_headers(struct hook *h, const json_t *list)
{
	json_t *line;
	size_t i;

	json_array_foreach ((json_t *)(uintptr_t)list, i, line) {
		struct curl_slist *longer =
			curl_slist_append(h->headers, json_string_value(line));

		if (!longer)
			return -ENOMEM;
		h->headers = longer;
	}
	return 0;
}

static int start(struct hook *h, const json_t *said)
{
	const char *url = json_string_value(json_object_get(said, "url"));
	const char *body = json_string_value(json_object_get(said, "body"));
	char text[NET_URL_MAX];

	if (!url || !body || drain_url_parse(url, &h->d.url, NULL) < 0)
		return -EINVAL;
	net_url(&h->d.url, text);
	h->d.local = json_is_true(json_object_get(said, "local"));
	h->body = strdup(body);
	h->call = h->body ? call_new(h->d.outlet->net, &h->d, text) : NULL;
	if (!h->call || add_headers(h, json_object_get(said, "headers")) < 0)
		return -ENOMEM;
	h->call->done = on_done;
	set_up(h);
	return call_start(h->d.outlet->net, h->call);
}

void hook_post(struct outlet *o, const json_t *said)
{
	const uint64_t id = (uint64_t)json_integer_value(json_object_get(said, "hook"));
	struct hook *h = calloc(1, sizeof(*h));

	if (h) {
		h->d.outlet = o;
		h->id = id;
	}
	if (h && start(h, said) == 0)
		return;
	free_hook(h);
	o->answer(o, id, 0, "out of memory");
}

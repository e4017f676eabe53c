/* Where a URL leads. */
#include "registry/origin.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static void url_free(CURLU **u)
{
	curl_url_cleanup(*u);
}

/* 0 or -EINVAL: absent, or longer than out. */
static int part(CURLU *u, CURLUPart what, unsigned int flags, char *out, size_t size)
{
	char *text = NULL;
	int r = curl_url_get(u, what, &text, flags) == CURLUE_OK && strlen(text) < size
			? 0
			: -EINVAL;

	if (r == 0)
		memcpy(out, text, strlen(text) + 1);
	curl_free(text);
	return r;
}

int origin_of(const char *url, struct origin *ret)
{
	CURLU *u __attribute__((cleanup(url_free))) = curl_url();

	if (!u || curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
		part(u, CURLUPART_SCHEME, 0, ret->scheme, sizeof(ret->scheme)) < 0 ||
		part(u, CURLUPART_HOST, 0, ret->host, sizeof(ret->host)) < 0 ||
		part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, ret->port,
			sizeof(ret->port)) < 0)
		return -EINVAL;
	if (strcmp(ret->scheme, "https") != 0 && strcmp(ret->scheme, "http") != 0)
		return -EINVAL;
	char *text = NULL;
	bool named = curl_url_get(u, CURLUPART_USER, &text, 0) == CURLUE_OK;
	curl_free(text);
	return named ? -EINVAL : 0;
}

bool origin_same(const struct origin *a, const struct origin *b)
{
	return strcmp(a->scheme, b->scheme) == 0 && strcasecmp(a->host, b->host) == 0 &&
	       strcmp(a->port, b->port) == 0;
}

bool origin_loopback(const struct origin *o)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, o->host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return strcasecmp(o->host, "localhost") == 0 || strcmp(o->host, "[::1]") == 0;
}

int origin_join(const char *base, const char *location, char out[URL_MAX_LEN])
{
	CURLU *u __attribute__((cleanup(url_free))) = curl_url();

	if (!u || curl_url_set(u, CURLUPART_URL, base, 0) != CURLUE_OK ||
		curl_url_set(u, CURLUPART_URL, location, 0) != CURLUE_OK)
		return -EINVAL;
	return part(u, CURLUPART_URL, 0, out, URL_MAX_LEN);
}

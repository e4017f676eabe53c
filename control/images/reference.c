/* The full name of an image in a registry. */
#include "control/images/reference.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz0123456789"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

static bool port_ok(const char *s)
{
	uint64_t port;

	return num_parse_u64(s, 1, 65535, &port) == 0;
}

bool reference_host_valid(const char *host)
{
	char name[DB_LOGIN_HOST_MAX];
	size_t n = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");

	if (strlen(host) >= sizeof(name) || n > strlen(host))
		return false;
	snprintf(name, sizeof(name), "%.*s", (int)n, host);
	if (host[n] && (host[n] != ':' || !port_ok(host + n + 1)))
		return false;
	if (*host == '[')
		return n > 3 && strspn(host + 1, "0123456789abcdef:.") == n - 2;
	return name_host_valid(name) && name[0] != '*';
}

bool reference_names_host(const char *text)
{
	size_t n = strcspn(text, "/");

	return text[n] == '/' && (memchr(text, '.', n) || memchr(text, ':', n) ||
					 (n == 9 && memcmp(text, "localhost", 9) == 0));
}

/* Words of a-z and 0-9, joined by one '.', one or two '_' or any number of '-'; '/' between words. */
static bool path_ok(const char *s)
{
	for (;;) {
		size_t word = strspn(s, LOWER), joint;

		if (word == 0)
			return false;
		s += word;
		if (!*s)
			return true;
		joint = *s == '-' ? strspn(s, "-") : strncmp(s, "__", 2) == 0 ? 2 : 1;
		if (!strchr("./_-", *s))
			return false;
		s += joint;
	}
}

static bool tag_ok(const char *s)
{
	return *s && strlen(s) <= REFERENCE_TAG_MAX && !strchr(".-", *s) &&
	       s[strspn(s, LOWER UPPER "_.-")] == '\0';
}

static bool digest_ok(const char *s)
{
	return strlen(s) == 71 && strncmp(s, "sha256:", 7) == 0 &&
	       strspn(s + 7, "0123456789abcdef") == 64;
}

/* Cuts what follows the last c off, when there is one. NULL: none. */
static char *cut(char *s, char c)
{
	char *at = strrchr(s, c);

	if (at)
		*at++ = '\0';
	return at;
}

static int parse_path(char *path, struct reference *ret)
{
	char *digest = cut(path, '@'), *tag = cut(path, ':');

	if (strlen(path) > REFERENCE_PATH_MAX || !path_ok(path) ||
		(tag && !tag_ok(tag)) || (digest && !digest_ok(digest)))
		return -EINVAL;
	snprintf(ret->path, sizeof(ret->path), "%s", path);
	snprintf(ret->tag, sizeof(ret->tag), "%s", tag ? tag : digest ? "" : "latest");
	snprintf(ret->digest, sizeof(ret->digest), "%s", digest ? digest : "");
	return 0;
}

int reference_parse(const char *text, struct reference *ret, struct err *e)
{
	char copy[1024];
	char *slash;

	*ret = (struct reference){0};
	if (strstr(text, "://"))
		return err_set(e, EINVAL,
			"\"%.200s\" is an address: leave out what "
			"stands before the host",
			text);
	if (!reference_names_host(text))
		return err_set(e, EINVAL,
			"\"%.200s\" does not say in which registry: write its host too, "
			"like registry.example.com/%.200s",
			text, text);
	snprintf(copy, sizeof(copy), "%s", text);
	slash = strchr(copy, '/');
	*slash = '\0';
	if (strlen(text) >= sizeof(copy) || !reference_host_valid(copy) ||
		parse_path(slash + 1, ret) < 0)
		return err_set(e, EINVAL,
			"\"%.200s\" is not the name of an image in a registry: "
			"HOST[:PORT]/PATH[:TAG] or HOST[:PORT]/PATH@sha256:HEX, all but "
			"the TAG in lower case",
			text);
	memcpy(ret->host, copy, strlen(copy) + 1); /* it fits: reference_host_valid */
	return 0;
}

/* Where log lines are sent: the URL of a drain. */
#include "lib/drain_url.h"
#include "lib/addr.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *prefix;
	enum drain_kind kind;
	uint16_t port;
} schemes[] = {
	{"syslog+tcp://", DRAIN_TCP, 514},
	{"syslog://", DRAIN_TCP, 514},
	{"syslog+tls://", DRAIN_TLS, 6514},
	{"syslog+udp://", DRAIN_UDP, 514},
	{"http://", DRAIN_HTTP, 80},
	{"https://", DRAIN_HTTPS, 443},
	{"file:", DRAIN_FILE, 0},
};

static bool is_http(enum drain_kind kind)
{
	return kind == DRAIN_HTTP || kind == DRAIN_HTTPS;
}

/* "%41" is A. False for what is no such number, or a control character. */
static bool decode(char *out, size_t size, const char *in, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned int c = (unsigned char)in[i];

		if (c == '%') {
			char digits[3] = {0};

			if (i + 2 >= len || !isxdigit((unsigned char)in[i + 1]) ||
				!isxdigit((unsigned char)in[i + 2]))
				return false;
			memcpy(digits, in + i + 1, 2);
			c = (unsigned int)strtoul(digits, NULL, 16);
			i += 2;
		}
		if (c < ' ' || c == 0x7f || n + 1 >= size)
			return false;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return true;
}

static int parse_login(struct drain_url *u, const char *s, size_t len, struct err *e)
{
	const char *colon = memchr(s, ':', len);
	size_t user = colon ? (size_t)(colon - s) : len;

	if (!is_http(u->kind))
		return err_set(e, EINVAL,
			"syslog has no login: leave out what stands before the @");
	if (user == 0 || !decode(u->user, sizeof(u->user), s, user) ||
		strchr(u->user, ':'))
		return err_set(e, EINVAL, "what stands before the @ is no USER:PASSWORD");
	if (colon && !decode(u->password, sizeof(u->password), colon + 1, len - user - 1))
		return err_set(e, EINVAL,
			"the password is longer than 1023 bytes or has a wrong %%XX");
	return 0;
}

static bool host_valid(const char *host)
{
	struct addr a;

	return addr_parse(host, &a) == 0 ? addr_is_single(&a) && !strchr(host, '/')
					 : host[0] != '*' && name_host_valid(host);
}

/* HOST[:PORT] */
static int parse_place(struct drain_url *u, const char *s, size_t len, struct err *e)
{
	bool brackets = len > 0 && s[0] == '[';
	const char *end = brackets ? memchr(s, ']', len) : memchr(s, ':', len);
	size_t host = end ? (size_t)(end - s) : len;
	char port[8] = "";
	uint64_t n;

	if (brackets) {
		s++;
		host = end ? host - 1 : 0;
	}
	if (host == 0 || host >= sizeof(u->host))
		return err_set(e, EINVAL, "there is no host in it");
	for (size_t i = 0; i < host; i++)
		u->host[i] = (char)tolower((unsigned char)s[i]);
	u->host[host] = '\0';
	if (!host_valid(u->host) || brackets != (strchr(u->host, ':') != NULL))
		return err_set(e, EINVAL, "\"%.100s\" is no host", u->host);
	const char *at = s + host + brackets, *all = s - brackets + len;
	if (at == all)
		return 0;
	if (*at != ':' || (size_t)(all - at) > sizeof(port))
		return err_set(e, EINVAL, "after the host comes :PORT");
	memcpy(port, at + 1, (size_t)(all - at) - 1);
	if (num_parse_u64(port, 1, 65535, &n) < 0)
		return err_set(e, EINVAL, "a port is a number from 1 to 65535");
	u->port = (uint16_t)n;
	return 0;
}

static int parse_rest(struct drain_url *u, const char *s, struct err *e)
{
	if (*s && !is_http(u->kind) && strcmp(s, "/") != 0)
		return err_set(
			e, EINVAL, "nothing comes after the port of a syslog receiver");
	if (!is_http(u->kind))
		return 0;
	if (strchr(s, '#'))
		return err_set(e, EINVAL, "a #fragment is never sent: leave it out");
	snprintf(u->rest, sizeof(u->rest), "%s%.2040s", *s == '/' ? "" : "/", s);
	return 0;
}

static int parse_file(struct drain_url *u, const char *name, struct err *e)
{
	size_t len = strlen(name);
	bool ok = len > 0 && len <= DRAIN_FILE_MAX && name[0] != '.';

	for (const char *c = name; *c; c++)
		ok = ok && (isalnum((unsigned char)*c) || strchr("._-", *c));
	/* what it is called when the next one is begun */
	ok = ok &&
	     !(len > 2 && name[len - 2] == '.' && isdigit((unsigned char)name[len - 1]));
	if (!ok)
		return err_set(e, EINVAL,
			"a file is a name of up to %d of A-Z a-z 0-9 . _ - "
			"(file:blog.log), in "
			"the folder drains of berth's state folder; it does not end in "
			".1 to .9",
			DRAIN_FILE_MAX);
	snprintf(u->rest, sizeof(u->rest), "%s", name);
	return 0;
}

static bool text_ok(const char *s)
{
	for (; *s; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

int drain_url_parse(const char *s, struct drain_url *ret, struct err *e)
{
	struct drain_url u = {0};
	const char *at = NULL, *end, *login;
	int r;

	if (strlen(s) >= DRAIN_URL_MAX || !text_ok(s))
		return err_set(e, EINVAL,
			"a drain's URL has up to %d characters, none of them blank or "
			"beyond "
			"ASCII",
			DRAIN_URL_MAX - 1);
	for (size_t i = 0; i < ARRAY_LEN(schemes) && !at; i++) {
		if (strncmp(s, schemes[i].prefix, strlen(schemes[i].prefix)) != 0)
			continue;
		at = s + strlen(schemes[i].prefix);
		u.kind = schemes[i].kind;
		u.port = schemes[i].port;
	}
	if (!at)
		return err_set(e, EINVAL,
			"a drain is syslog+tcp://HOST:PORT, syslog+tls://, "
			"syslog+udp://, "
			"http://, https:// or file:NAME");
	if (u.kind == DRAIN_FILE) {
		r = parse_file(&u, at, e);
	} else {
		end = at + strcspn(at, "/?#");
		login = memrchr(at, '@', (size_t)(end - at));
		r = login ? parse_login(&u, at, (size_t)(login - at), e) : 0;
		at = login ? login + 1 : at;
		if (r == 0)
			r = parse_place(&u, at, (size_t)(end - at), e);
		if (r == 0)
			r = parse_rest(&u, end, e);
	}
	if (r == 0)
		*ret = u;
	explicit_bzero(&u, sizeof(u));
	return r;
}

void drain_url_host(const struct drain_url *u, char out[HOST_MAX_LEN + 3])
{
	bool six = strchr(u->host, ':') != NULL;

	snprintf(
		out, HOST_MAX_LEN + 3, "%s%s%s", six ? "[" : "", u->host, six ? "]" : "");
}

void drain_url_show(const struct drain_url *u, char out[DRAIN_URL_MAX])
{
	const char *scheme = "", *query = strchr(u->rest, '?');
	int path = query ? (int)(query - u->rest) : (int)strlen(u->rest);
	char host[HOST_MAX_LEN + 3];

	for (size_t i = ARRAY_LEN(schemes); i-- > 0;)
		if (schemes[i].kind == u->kind)
			scheme = schemes[i].prefix;
	if (u->kind == DRAIN_FILE) {
		snprintf(out, DRAIN_URL_MAX, "%s%.*s", scheme, DRAIN_FILE_MAX, u->rest);
		return;
	}
	drain_url_host(u, host);
	snprintf(out, DRAIN_URL_MAX, "%s%s%s:%u%.*s%s", scheme, u->user[0] ? "***@" : "",
		host, u->port, path < 1500 ? path : 1500, u->rest, query ? "?***" : "");
}

bool drain_address_allowed(const struct sockaddr *sa, bool local)
{
	static const char *const own[] = {"127.0.0.0/8", "::1"};
	struct addr a = {.family = sa->sa_family}, range;
	union {
		const struct sockaddr *any;
		const struct sockaddr_in *four;
		const struct sockaddr_in6 *six;
	} at = {.any = sa};

	if (sa->sa_family == AF_INET) {
		a.prefix = 32;
		memcpy(a.bytes, &at.four->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		a.prefix = 128;
		memcpy(a.bytes, &at.six->sin6_addr, 16);
	} else {
		return false;
	}
	for (size_t i = 0; local && i < ARRAY_LEN(own); i++)
		if (addr_parse(own[i], &range) == 0 && addr_contains(&range, &a))
			return true;
	return !addr_is_never(&a);
}

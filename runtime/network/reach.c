/* Whom sandboxes may reach in private ranges, because the host's administrator named
 * them: resolvers, proxies, indexes. */
#include "runtime/inside.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#define DNS_PORT 53
#define APT_SOURCES "/etc/apt/sources.list"
#define APT_SOURCES_DIR "/etc/apt/sources.list.d"

static const char *const url_env[] = {"http_proxy", "https_proxy", "HTTP_PROXY",
	"HTTPS_PROXY", "NPM_CONFIG_REGISTRY", "npm_config_registry", "PIP_INDEX_URL"};

struct finder {
	host_addr_cb cb;
	void *arg;
	char last[256]; /* apt's files repeat one host on every line */
	unsigned int failed;
};

static void give_server(void *arg, char *line)
{
	const struct finder *f = arg;
	unsigned char addr[16];
	char server[64];

	if (sscanf(line, " nameserver %63s", server) != 1 || host_is_loopback(server))
		return;
	if (inet_pton(AF_INET, server, addr) == 1)
		f->cb(f->arg, AF_INET, addr, DNS_PORT);
	else if (inet_pton(AF_INET6, server, addr) == 1)
		f->cb(f->arg, AF_INET6, addr, DNS_PORT);
}

void reach_servers(host_addr_cb cb, void *arg)
{
	struct finder f = {.cb = cb, .arg = arg};

	host_each_line(HOST_RESOLV, give_server, &f);
	host_each_line(HOST_RESOLV_UPSTREAM, give_server, &f);
}

static void give_host(struct finder *f, const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	char this[256];

	snprintf(this, sizeof(this), "%.240s %.8s", host, port);
	if (strcmp(this, f->last) == 0)
		return;
	memcpy(f->last, this, sizeof(this));
	int r = getaddrinfo(host, port, &hints, &list);
	f->failed += r == EAI_AGAIN || r == EAI_SYSTEM;
	if (r != 0)
		return;
	for (struct addrinfo *a = list; a; a = a->ai_next)
		if (a->ai_family == AF_INET) {
			const struct sockaddr_in *s = (const void *)a->ai_addr;
			f->cb(f->arg, AF_INET, &s->sin_addr, ntohs(s->sin_port));
		} else if (a->ai_family == AF_INET6) {
			const struct sockaddr_in6 *s = (const void *)a->ai_addr;
			f->cb(f->arg, AF_INET6, &s->sin6_addr, ntohs(s->sin6_port));
		}
	freeaddrinfo(list);
}

/* "http://[user@]host[:port]/..." */
static void give_url(struct finder *f, const char *url)
{
	char host[256], port[8];
	const char *p, *at;
	size_t len;

	if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
		return;
	snprintf(port, sizeof(port), "%s", url[4] == 's' ? "443" : "80");
	p = strstr(url, "://") + 3;
	len = strcspn(p, "/\"; ");
	at = memrchr(p, '@', len);
	p = at ? at + 1 : p;
	if (sscanf(p, "[%255[^]]]:%7[0-9]", host, port) < 1 &&
		sscanf(p, "%255[^]:/\"; ]:%7[0-9]", host, port) < 1)
		return;
	give_host(f, host, port);
}

/* Every URL in a line that is no comment. */
static void give_urls(void *arg, char *line)
{
	if (line[strspn(line, " \t")] == '#')
		return;
	for (char *p = line; (p = strstr(p, "http")); p += 4)
		give_url(arg, p);
}

static void give_npm(void *arg, char *line)
{
	char key[128], value[512];

	if (sscanf(line, " %127[a-zA-Z@:/._-] = %511s", key, value) == 2 &&
		(strcmp(key, "proxy") == 0 || strcmp(key, "https-proxy") == 0 ||
			strstr(key, "registry")))
		give_url(arg, value);
}

static void give_apt(struct finder *f)
{
	DIR *d = opendir(APT_SOURCES_DIR);
	struct dirent *entry;
	autobuf conf = BUF_INIT;
	char path[300], *save = NULL;

	host_each_line(APT_SOURCES, give_urls, f);
	while (d && (entry = readdir(d))) {
		const char *dot = strrchr(entry->d_name, '.');
		if (!dot || (strcmp(dot, ".list") != 0 && strcmp(dot, ".sources") != 0))
			continue;
		snprintf(path, sizeof(path), APT_SOURCES_DIR "/%s", entry->d_name);
		host_each_line(path, give_urls, f);
	}
	if (d)
		closedir(d);
	if (host_apt_conf(&conf) < 0 || !conf.data)
		return;
	for (char *l = strtok_r(conf.data, "\n", &save); l;
		l = strtok_r(NULL, "\n", &save))
		if (strcasestr(l, "::Proxy"))
			give_urls(f, l);
}

unsigned int reach_named(host_addr_cb cb, void *arg)
{
	struct finder f = {.cb = cb, .arg = arg};

	for (size_t i = 0; i < ARRAY_LEN(url_env); i++) {
		const char *v = getenv(url_env[i]);
		if (v)
			give_url(&f, v);
	}
	for (size_t i = 0; host_npmrc_files[i]; i++)
		host_each_line(host_npmrc_files[i], give_npm, &f);
	give_apt(&f);
	return f.failed;
}

/* The host's settings that sandboxes share: name servers, apt and npm settings.
 * Files of the host's root only. */
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/command.h"
#include "runtime/inside.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

const char *const host_npmrc_files[] = {
	"/etc/npmrc", "/usr/etc/npmrc", "/usr/local/etc/npmrc", NULL};

/* Variables by which the host's administrator tells programs about proxies, certificates
 * and indexes. */
static const char *const shared_env[] = {"http_proxy", "https_proxy", "no_proxy",
	"ftp_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "PIP_CERT",
	"CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_INDEX_URL", "NPM_CONFIG_REGISTRY",
	"npm_config_registry"};

bool host_is_loopback(const char *server)
{
	return strncmp(server, "127.", 4) == 0 || strcmp(server, "::1") == 0 ||
	       strcmp(server, "0.0.0.0") == 0;
}

/* Calls cb(arg, line) for each line of the file, without the newline. */
void host_each_line(const char *path, void (*cb)(void *arg, char *line), void *arg)
{
	autobuf b = {.max = 1 << 20};
	char *save = NULL;

	if (io_read_file(AT_FDCWD, path, &b) < 0 || !b.data)
		return;
	for (char *l = strtok_r(b.data, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		cb(arg, l);
}

struct resolv {
	struct buf *out;
	unsigned int servers, loopback;
};

static void copy_resolv_line(void *arg, char *line)
{
	struct resolv *r = arg;
	char server[64];

	if (sscanf(line, " nameserver %63s", server) == 1) {
		if (host_is_loopback(server)) {
			r->loopback++;
			return;
		}
		r->servers++;
	} else if (strncmp(line, "search", 6) != 0 && strncmp(line, "options", 7) != 0 &&
		   strncmp(line, "domain", 6) != 0) {
		return;
	}
	buf_addf(r->out, "%s\n", line);
}

int host_resolv_conf(struct buf *out)
{
	struct resolv r = {.out = out};

	host_each_line(HOST_RESOLV, copy_resolv_line, &r);
	if (!r.servers && r.loopback)
		host_each_line(HOST_RESOLV_UPSTREAM, copy_resolv_line, &r);
	if (!r.servers)
		log_warn("apps will resolve no names: %s lists no server that a sandbox "
			 "can reach",
			HOST_RESOLV);
	return out->failed ? -ENOMEM : 0;
}

static int read_apt_config(struct buf *dump)
{
	static const char *const argv[] = {
		"apt-config", "dump", "--format", "%F \"%v\";%n", NULL};

	return command_run(argv, NULL, 0, dump);
}

/* One line of the dump that says how to reach an index, and would not be in the sandbox's
 * own defaults. */
static bool apt_line_shared(const char *line)
{
	static const char *const wanted[] = {"Acquire::http", "Acquire::https",
		"Acquire::Check-", "Acquire::Retries", "Acquire::By-Hash",
		"Acquire::ForceIPv"};

	if (strstr(line, " \"\";"))
		return false; /* a folder of options, or an empty one */
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		if (strncasecmp(line, wanted[i], strlen(wanted[i])) == 0)
			return true;
	return false;
}

int host_apt_conf(struct buf *out)
{
	autobuf dump = {.max = 1 << 20};
	char *save = NULL;

	if (read_apt_config(&dump) < 0 || !dump.data)
		return 0; /* not a Debian host: nothing to share */
	for (char *l = strtok_r(dump.data, "\n", &save); l;
		l = strtok_r(NULL, "\n", &save))
		if (apt_line_shared(l))
			buf_addf(out, "%s\n", l);
	return out->failed ? -ENOMEM : 0;
}

/* How to reach an index; everything else in the file is about the host's own Node. */
static bool npm_line_shared(const char *line)
{
	static const char *const wanted[] = {"registry", "proxy", "https-proxy",
		"noproxy", "cafile", "ca", "strict-ssl", "fetch-retries", "fetch-timeout",
		"maxsockets", "omit-lockfile-registry-resolved"};
	size_t n = strcspn(line, " =");

	if (line[0] == '@' || strncmp(line, "//", 2) == 0)
		return true; /* the registry of a scope; the token of a registry */
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		if (strlen(wanted[i]) == n && strncmp(line, wanted[i], n) == 0)
			return true;
	return false;
}

static void copy_npm_line(void *arg, char *line)
{
	if (npm_line_shared(line))
		buf_addf(arg, "%s\n", line);
}

int host_npmrc(struct buf *out)
{
	/* of repeated keys the last one counts, so repeating a file changes nothing */
	for (size_t i = 0; host_npmrc_files[i]; i++)
		host_each_line(host_npmrc_files[i], copy_npm_line, out);
	return out->failed ? -ENOMEM : 0;
}

/* A path that exists inside too: only the certificate store is shared. */
static bool value_holds_inside(const char *value)
{
	return value[0] != '/' || strncmp(value, "/etc/ssl/certs", 14) == 0;
}

int host_env(char **out, size_t max, struct err *e)
{
	static const char *const files[] = {"APT_CONFIG=/berth/host/apt.conf",
		"NPM_CONFIG_GLOBALCONFIG=/berth/host/npmrc"};
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (!(out[n++] = strdup(files[i])))
			return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < ARRAY_LEN(shared_env) && n + 1 < max; i++) {
		const char *v = getenv(shared_env[i]);
		if (!v || !*v || !value_holds_inside(v))
			continue;
		if (asprintf(&out[n], "%s=%s", shared_env[i], v) < 0)
			return err_set(e, ENOMEM, "out of memory");
		n++;
	}
	out[n] = NULL;
	return 0;
}

/* The host's IPv6, and how it keeps it while it forwards. */
#include "runtime/network/ipv6.h"
#include "lib/buf.h"
#include "lib/io.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define CONF "/proc/sys/net/ipv6/conf"
#define SAVED "accept_ra" /* one interface a line, whose value was 1 */
#define NAMES_MAX ((size_t)64 << 10)
#define SOMEWHERE "2000::1" /* the first address of the global range; nothing is sent */

bool ipv6_has_route(void)
{
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
	int fd autoclose = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && inet_pton(AF_INET6, SOMEWHERE, &to.sin6_addr) == 1 &&
	       connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;
}

static void conf_path(char out[96], const char *iface, const char *key)
{
	snprintf(out, 96, CONF "/%.16s/%s", iface, key);
}

int ipv6_set(const char *iface, const char *key, const char *value)
{
	char path[96];
	int fd autoclose = -1;

	conf_path(path, iface, key);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : io_write_all(fd, value, strlen(value));
}

static bool accepts(const char *iface, char value)
{
	autobuf now = {.max = 64};
	char path[96];

	conf_path(path, iface, "accept_ra");
	return io_read_file(AT_FDCWD, path, &now) == 0 && now.data &&
	       now.data[0] == value;
}

/* Whose advertisements count: every interface's and, for those to come, the default's. */
static void list_accepting(struct buf *out)
{
	DIR *d = opendir(CONF);
	struct dirent *entry;

	while (d && (entry = readdir(d)))
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, "all") != 0 &&
			strcmp(entry->d_name, "lo") != 0 &&
			strlen(entry->d_name) < IFNAMSIZ && accepts(entry->d_name, '1'))
			buf_addf(out, "%s\n", entry->d_name);
	if (d)
		closedir(d);
}

static int change_all(char *names, const char *from, const char *to)
{
	char *save = NULL;
	int r = 0;

	for (char *i = strtok_r(names, "\n", &save); r == 0 && i;
		i = strtok_r(NULL, "\n", &save))
		if (accepts(i, from[0]))
			r = ipv6_set(i, "accept_ra", to);
	return r == -ENOENT ? 0 : r; /* it went meanwhile */
}

int ipv6_keep_advertisements(int dir)
{
	autobuf names = {.max = NAMES_MAX};
	int r;

	(void)io_read_file(dir, SAVED, &names); /* of a try that was interrupted */
	list_accepting(&names);
	if (!names.len)
		return names.failed ? -ENOMEM : 0;
	r = io_replace_file(dir, SAVED, names.data, names.len, 0600);
	return r < 0 ? r : change_all(names.data, "1", "2");
}

void ipv6_restore_advertisements(int dir)
{
	autobuf names = {.max = NAMES_MAX};

	if (io_read_file(dir, SAVED, &names) == 0 && names.data)
		(void)change_all(names.data, "2", "1");
	unlinkat(dir, SAVED, 0);
}

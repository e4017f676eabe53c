/* Tables of sockets. */
#include "control/tcp_table.h"
#include "lib/proto.h"
#include <stdio.h>
#include <string.h>

#define ESTABLISHED 0x01
#define LISTEN 0x0a
#define PORTS_MAX 256

struct row {
	char remote[33]; /* hex digits: 8, or 32 of IPv6; each 4 bytes little-endian */
	unsigned int port, state;
};

/* "  sl  local_address rem_address   st ...": false for the heading and what is no row. */
static bool parse(const char *line, struct row *ret)
{
	return sscanf(line, " %*u: %*[0-9A-F]:%x %32[0-9A-F]:%*x %x", &ret->port,
		       ret->remote, &ret->state) == 3 &&
	       ret->port <= 0xffff;
}

static bool is_loopback(const char *remote)
{
	size_t len = strlen(remote);

	if (len == 32 && strncmp(remote, "0000000000000000FFFF0000", 24) != 0)
		return strcmp(remote, "00000000000000000000000001000000") == 0;
	return len >= 8 && strcmp(remote + len - 2, "7F") == 0;
}

static bool known(const uint16_t *ports, int n, unsigned int port)
{
	for (int i = 0; i < n; i++)
		if (ports[i] == port)
			return true;
	return false;
}

int tcp_table_ports(char *text, uint16_t *ports, int n, int max)
{
	struct row r;

	for (char *line = strsep(&text, "\n"); line; line = strsep(&text, "\n"))
		if (parse(line, &r) && r.state == LISTEN && r.port > 0 && n < max &&
			!known(ports, n, r.port))
			ports[n++] = (uint16_t)r.port;
	return n;
}

/* Listening sockets stand first in the table. */
int tcp_table_callers(char *text)
{
	uint16_t ports[PORTS_MAX];
	int n = 0, callers = 0;
	struct row r;

	for (char *line = strsep(&text, "\n"); line; line = strsep(&text, "\n")) {
		if (!parse(line, &r))
			continue;
		if (r.state == LISTEN && n < PORTS_MAX)
			ports[n++] = (uint16_t)r.port;
		else if (r.state == ESTABLISHED && known(ports, n, r.port) &&
			 !is_loopback(r.remote))
			callers++;
	}
	return callers;
}

/* "Num: RefCount Protocol Flags Type St Inode Path": until somebody accepts it, a connection
 * has no inode, and the path of its listener. */
int unix_table_waiting(char *text)
{
	unsigned long inode;
	char name[7];
	int n = 0;

	for (char *line = strsep(&text, "\n"); line; line = strsep(&text, "\n"))
		n += sscanf(line, "%*x: %*x %*x %*x %*x %*x %lu /proc/self/fd/%*u/%6s",
			     &inode, name) == 2 &&
		     inode == 0 && strcmp(name, LISTENER_NAME) == 0;
	return n;
}

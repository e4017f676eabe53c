/* What an instance's /proc/net/tcp, tcp6 and unix tell. Source: proc(5), and
 * Documentation/networking/proc_net_tcp.rst for the columns. */
#ifndef CONTROL_TCP_TABLE_H
#define CONTROL_TCP_TABLE_H

#include "lib/base.h"

/* Adds the ports that something listens on to the n of ports, each once, at most max in
 * all. The new count. Cuts text at its newlines. */
int tcp_table_ports(char *text, uint16_t *ports, int n, int max);
/* Connections that others made to a port listened on, not over loopback (as the router
 * does). Cuts text at its newlines. */
int tcp_table_callers(char *text);
/* Connections to the listener that berthd made (LISTENER_NAME) which nobody has accepted
 * yet. Cuts text at its newlines. */
int unix_table_waiting(char *text);

#endif

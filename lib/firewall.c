/* What the packet filter of the host does by default. */
#include "lib/firewall.h"

#include <stdio.h>
#include <string.h>

/* "table FAMILY NAME {" begins each table, a chain's hook and policy stand in one line. */
bool firewall_drops(const char *list, const char *hook, char table[64])
{
	char family[16], name[48], line[256], want[48];
	bool ip = false;

	snprintf(want, sizeof(want), "hook %s ", hook);
	for (const char *at = list; at && *at; at = strchr(at, '\n'), at += at ? 1 : 0) {
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "\n"), at);
		if (sscanf(line, "table %15s %47s", family, name) == 2)
			ip = strncmp(family, "ip", 2) == 0 || strcmp(family, "inet") == 0;
		else if (ip && strstr(line, want) && strstr(line, "policy drop")) {
			snprintf(table, 64, "%s %s", family, name);
			return true;
		}
	}
	return false;
}

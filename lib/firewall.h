/* What the packet filter of the host does by default. Pure functions, no state. */
#ifndef LIB_FIREWALL_H
#define LIB_FIREWALL_H

#include "lib/base.h"

/*
 * The table ("inet filter") with a chain for IP at this hook ("input", "forward") that drops by default; false when there is
 * none. list: as `nft list chains` or `nft list ruleset` print it, NULL: nothing.
 */
bool firewall_drops(const char *list, const char *hook, char table[64]);

#endif

/* One running instance of an app, as control knows it. */
#ifndef CONTROL_MEMBER_H
#define CONTROL_MEMBER_H

#include "lib/base.h"

enum member_state {
	MEMBER_STARTING, /* started, not ready yet */
	MEMBER_READY,	 /* serves (web) or runs (others) */
	MEMBER_RETIRING, /* out of the table: drains, then stops; its end is wanted */
};

struct member {
	uint64_t id;
	uint32_t app, version, number, restarts;
	char type[32];
	enum member_state state;
	uint16_t port; /* web only */
	uint64_t started_us;
};

#endif

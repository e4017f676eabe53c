/* berth-init that can be looked into, for the attack tests. */
#include "runtime/guards.h"

uint32_t guards_off = GUARD_DUMP;

/* Webhooks: one POST each, by the same rules as drains; whether it is tried again is control's to decide. */
#ifndef DRAIN_HOOK_H
#define DRAIN_HOOK_H

#include "drain/outlet.h"

/* said: {hook: ID, url, local, headers: [TEXT], body}. o->answer follows, perhaps at once. */
void hook_post(struct outlet *o, const json_t *said);

#endif

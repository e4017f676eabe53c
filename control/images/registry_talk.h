/* One berth-registry: started, told what to do, listened to, ended (lib/proto.h has the messages). */
#ifndef CONTROL_REGISTRY_TALK_H
#define CONTROL_REGISTRY_TALK_H

#include "control/control.h"

struct talk {
	struct sink *s;
	pid_t pid; /* 0: none */
	int sock;
	uint64_t until_ns;
};
/* archive: its standard output. order is taken over. 0 or -errno with e. talk_end in any case. */
int talk_start(struct talk *t, int archive, json_t *order, struct sink *s, struct err *e);
/* o is taken over. */
int talk_tell(struct talk *t, json_t *o, struct err *e);
/* Its next answer, the caller's; what is for people went to the sink. -ECANCELED, -ETIME, -EIO: it says why in e. */
int talk_hear(struct talk *t, json_t **ret, struct err *e);
/* Kills it where it has not ended. */
void talk_end(struct talk *t);

#endif

/* What git may reach while it serves; see jail.h. */
#include "receiver/jail.h"
#include "lib/confine.h"

int jail_enter(const char *repo, bool writable, const char *bin, struct err *e)
{
	const struct confine_place places[] = {
		{bin, CONFINE_READ}, {repo, writable ? CONFINE_WRITE : CONFINE_READ}};

	return confine("git", places, ARRAY_LEN(places), 0, e);
}

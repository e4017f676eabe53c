/*
 * The key with which berth-control encrypts what is secret in its database: BERTH_STATE/secret.key, random bytes, root's,
 * mode 0600. Control cannot reach that file: it gets it open, for reading (lib/proto.h, BERTH_SECRET_FD). berthd makes the
 * key where there is none, and never changes one.
 */
#ifndef RUNTIME_SECRET_H
#define RUNTIME_SECRET_H

#include "lib/err.h"
#include "runtime/settings.h"

#define SECRET_KEY_NAME "secret.key"

/*
 * The file, open for reading (CLOEXEC). One that is made is on disk under its name before this returns. -errno with the
 * sentence; -EBADMSG: what is there is no key.
 */
int secret_key_open(const struct settings *s, struct err *e);

#endif

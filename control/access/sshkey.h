/* One line of an OpenSSH public key, checked strictly: what is in it ends up in
 * authorized_keys. */
#ifndef CONTROL_SSHKEY_H
#define CONTROL_SSHKEY_H

#include "control/control.h"

#define SSHKEY_RSA_BITS_MIN 2048 /* what current guidance calls the least */

/*
 * "TYPE BASE64 [comment]", one line (a newline at the end is fine), no options in front.
 * Fills ret's type, blob and fingerprint ("SHA256:...", as ssh-keygen -l prints it). 0 or
 * -EINVAL with a sentence.
 */
int sshkey_parse(const char *text, struct db_key *ret, struct err *e);

#endif

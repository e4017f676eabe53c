/* Where certs:add finds the certificate chain and the key. */
#ifndef CLI_CERTS_INPUT_H
#define CLI_CERTS_INPUT_H

#include "lib/buf.h"
#include "lib/err.h"

#define CERTS_INPUT_MAX ((size_t)1 << 20)

/*
 * From a tar archive with one *.crt or *.pem and one *.key file (as Dokku's certs:add takes it), or from PEM text that
 * holds both. Appends to chain and key. 0, or -EINVAL with e.
 */
int certs_input(const struct buf *in, struct buf *chain, struct buf *key, struct err *e);

#endif

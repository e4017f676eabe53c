/*
 * The host's settings, berth.conf(5): lines "key = value", "#" begins a comment line. Root's file: berthd and the command line read
 * it. A key is a setting of the environment in other letters ("ssh-user" is BERTH_SSH_USER), so what was started with such a
 * variable, or a flag, has that instead.
 */
#ifndef LIB_CONF_H
#define LIB_CONF_H

#include "lib/err.h"

#define CONF_PATH "/etc/berth/berth.conf" /* BERTH_CONF names another; "" none */

/*
 * Sets the variables that the file sets and the environment does not have. An absent file is an empty one. 0, or -EINVAL or -errno
 * with the sentence, the line in it: unknown keys are errors.
 */
int conf_load(struct err *e);
/* The same for the text of a file, called path in errors. */
int conf_parse(char *text, const char *path, struct err *e);

#endif

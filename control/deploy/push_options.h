/* git push -o KEY[=VALUE]: the options of a push. */
#ifndef CONTROL_PUSH_OPTIONS_H
#define CONTROL_PUSH_OPTIONS_H

#include "control/control.h"

/* Object of strings, "" for one without a value. 0, or -EINVAL with a sentence that lists what there is. */
int push_options_check(const json_t *options, struct err *e);
/* NULL: not given. */
const char *push_option(const json_t *options, const char *key);
/* Of config.KEY=VALUE: KEY -> VALUE; NULL: none. The caller's. */
json_t *push_options_config(const json_t *options);

#endif

/* The OpenAPI description of the API: of the table's rows (table.c) and of what they answer (answers.json). */
#ifndef CONTROL_OPENAPI_H
#define CONTROL_OPENAPI_H

#include <jansson.h>

/*
 * OpenAPI 3.1, the caller's. A row that answers.json does not know stands there without summary and answer: the test of
 * this file refuses it. NULL: out of memory.
 */
json_t *openapi_make(void);

#endif

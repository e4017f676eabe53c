/* As much JSON as programs without a JSON library need: quoting a string, finding one
 * value in an answer. */
#ifndef LIB_JTEXT_H
#define LIB_JTEXT_H

#include "lib/base.h"
#include "lib/buf.h"

/* Appends s as a JSON string with its quotes. 0, -EILSEQ when it is not UTF-8 (out
 * unchanged), -EMSGSIZE. */
int jtext_quote(struct buf *out, const char *s);
/*
 * Finds the first "key": "string" (or "key": whole number) anywhere in the text and
 * appends the decoded string. Only object keys match, never the insides of strings. false
 * when there is none of that kind.
 */
bool jtext_string(const char *json, const char *key, struct buf *out);
bool jtext_int(const char *json, const char *key, int *ret);
/* How many bytes at s, of len, are valid UTF-8: no overlong forms, no surrogates, at most
 * U+10FFFF. */
size_t jtext_utf8(const char *s, size_t len);
/* Comments (line and block) become blanks, so that a parser's line and column stay right. */
void jtext_blank_comments(char *p);

#endif

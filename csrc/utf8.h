/* utf8.h -- UTF-8 as RFC 3629 §4 has it: no overlong forms, no surrogates, nothing over U+10FFFF.
 *
 * Two uses of one automaton: a whole text, and a text that arrives in parts. ASCII is skipped 16
 * bytes at a time, because that is what most text is. */
#ifndef SE_UTF8_H
#define SE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Where a text that arrives in parts stands; all zero before the first byte. */
typedef struct {
  uint8_t need;       /* continuation bytes still to come */
  uint8_t low, high;  /* the range that the next one must lie in */
} se_utf8;

/* Takes the next part. 1: valid so far; 0: it can never become valid. The text is whole when it
 * was valid so far and 'need' is 0. */
int se_utf8_feed(se_utf8 *state, const char *data, size_t len);

/* Number of leading bytes that are valid, whole UTF-8: equal to 'len' when all of it is. */
size_t se_utf8_valid(const char *data, size_t len);

#endif

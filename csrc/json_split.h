/* json_split.h -- takes an object apart: the values of some members, and the others as one text.
 *
 * For what is passed on: the others stay as they were written, so that no digit is lost. Nothing
 * is allocated. */
#ifndef SE_JSON_SPLIT_H
#define SE_JSON_SPLIT_H

#include "json.h"

#define SE_SPLIT_NAMES 32    /* at most so many names */
#define SE_SPLIT_MEMBERS 256 /* an object with more is refused */

/* The members that do not stay with the others. The values of the first 'taken' of them are wanted,
 * the rest is left out. */
typedef struct {
  struct {
    const char *bytes;
    size_t len;
  } names[SE_SPLIT_NAMES];
  size_t count, taken;
} se_split_names;

typedef struct {
  size_t members;                       /* of the object, all of them */
  size_t rest_len;                      /* bytes of the others, without braces */
  se_json_token taken[SE_SPLIT_NAMES];  /* their text, strings with their quotes; at NULL: none */
  const char *reason;                   /* of a failure: a constant text; NULL: a key comes twice */
  size_t position;                      /* likewise, from 0 */
} se_split;

/* Splits the object whose text this is; it must be the whole text, and UTF-8. 'rest' has room for
 * 'len' bytes, which is always enough. 1, or 0 with reason and position. */
int se_json_split(const char *text, size_t len, const se_split_names *names, char *rest,
                  se_split *out);

#endif

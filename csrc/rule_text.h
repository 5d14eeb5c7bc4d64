/* rule_text.h -- puts together the words of a decision: cut to the room there is, whole characters
 * only. */
#ifndef SE_RULE_TEXT_H
#define SE_RULE_TEXT_H

#include "rule_set_private.h"

typedef struct {
  char *at;    /* SE_RULE_TEXT bytes, always zero-terminated */
  size_t used;
} se_words;

static inline se_words se_words_in(char *text) {
  se_words words = {text, 0};
  text[0] = '\0';
  return words;
}
void se_words_add(se_words *words, const char *text);
void se_words_add_part(se_words *words, const char *text, size_t len);
void se_words_add_size(se_words *words, size_t number);
void se_words_add_number(se_words *words, const se_rule_number *number);

#endif

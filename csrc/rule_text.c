/* rule_text.c -- puts together the words of a decision. */
#include "rule_text.h"

#include <math.h>

#include "number.h"

void se_words_add_part(se_words *words, const char *text, size_t len) {
  size_t room = SE_RULE_TEXT - 1 - words->used;
  if (len > room) {
    len = room;
    while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80)
      len--; /* not in the middle of a character */
  }
  memcpy(words->at + words->used, text, len);
  words->used += len;
  words->at[words->used] = '\0';
}

void se_words_add(se_words *words, const char *text) {
  se_words_add_part(words, text, strlen(text));
}

void se_words_add_size(se_words *words, size_t number) {
  char digits[SE_NUMBER_SIZE] = "";
  se_words_add_part(words, digits, se_number_format_integer((int64_t)number, digits));
}

void se_words_add_number(se_words *words, const se_rule_number *number) {
  char digits[SE_NUMBER_SIZE] = "";
  double real = number->real;
  if (!number->is_integer && !isfinite(real)) {
    se_words_add(words, real > 0 ? "infinity" : "-infinity");
    return;
  }
  size_t len = number->is_integer ? se_number_format_integer(number->integer, digits)
                                  : se_number_format_float(real, digits);
  se_words_add_part(words, digits, len);
}

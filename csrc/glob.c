/* glob.c -- see glob.h. One loop: where the text stops fitting, the last '*' takes one more
 * character. Earlier ones never need to, as they stand for the shortest run that fits. */
#include "glob.h"

/* One past the character that begins at 'at'; in text that is no UTF-8, some place behind it. */
static size_t next_character(const char *text, size_t len, size_t at) {
  at++;
  while (at < len && ((unsigned char)text[at] & 0xc0) == 0x80)
    at++;
  return at;
}

int se_glob(const char *pattern, size_t pattern_len, const char *text, size_t text_len,
            size_t *steps) {
  size_t p = 0, t = 0, star = 0, resume = 0;
  int starred = 0;
  for (; t < text_len; --*steps) {
    if (*steps == 0)
      return -1;
    if (p < pattern_len && pattern[p] == '*') {
      starred = 1;
      star = ++p;
      resume = t;
      if (p == pattern_len)
        return 1;
    } else if (p < pattern_len && pattern[p] == '?') {
      p++;
      t = next_character(text, text_len, t);
    } else if (p < pattern_len && pattern[p] == text[t]) {
      p++;
      t++;
    } else if (starred) {
      p = star;
      t = resume = next_character(text, text_len, resume);
    } else {
      return 0;
    }
  }
  while (p < pattern_len && pattern[p] == '*')
    p++;
  return p == pattern_len;
}

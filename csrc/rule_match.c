/* rule_match.c -- how strings are compared in rules. */
#include "rule_match.h"

#include <string.h>

static int is_inside(char c) { /* a byte that continues a character */
  return ((unsigned char)c & 0xC0) == 0x80;
}

size_t se_match_length(const char *text, size_t len) {
  size_t count = 0;
  for (size_t i = 0; i < len; i++)
    count += !is_inside(text[i]);
  return count;
}

int se_match_starts(const char *text, size_t len, const char *start, size_t start_len) {
  return start_len <= len && memcmp(text, start, start_len) == 0;
}

int se_match_ends(const char *text, size_t len, const char *end, size_t end_len) {
  return end_len <= len && memcmp(text + len - end_len, end, end_len) == 0;
}

/* --- search -----------------------------------------------------------------------------------
 *
 * The two-way algorithm (Crochemore and Perrin, 1991): no table, no memory, and no more than some
 * comparisons for each byte. The part is cut where its greatest suffix begins, by either order of
 * the bytes; its right half is compared first, then its left one. */

/* Where the greatest suffix of 'part' begins, and its period. 'turned': by the reverse order. */
static size_t greatest_suffix(const unsigned char *part, size_t len, int turned, size_t *period) {
  size_t start = 0, at = 1, matched = 0; /* compares part[start + matched] and part[at + matched] */
  *period = 1;
  while (at + matched < len) {
    unsigned char have = part[start + matched], new = part[at + matched];
    if (have == new) {
      if (++matched == *period) {
        at += *period;
        matched = 0;
      }
    } else if (turned ? new > have : new < have) {
      at += matched + 1;
      matched = 0;
      *period = at - start;
    } else {
      start = at++;
      matched = 0;
      *period = 1;
    }
  }
  return start;
}

static const char *two_way(const unsigned char *text, size_t len, const unsigned char *part,
                           size_t part_len) {
  size_t period, other_period, known = 0;
  size_t cut = greatest_suffix(part, part_len, 0, &period);
  size_t other = greatest_suffix(part, part_len, 1, &other_period);
  if (other > cut) {
    cut = other;
    period = other_period;
  }
  int repeats = cut + period <= part_len && memcmp(part, part + period, cut) == 0;
  if (!repeats)
    period = (cut > part_len - cut ? cut : part_len - cut) + 1;
  for (size_t at = 0; at + part_len <= len;) {
    size_t i = cut > known ? cut : known;
    while (i < part_len && part[i] == text[at + i])
      i++;
    if (i < part_len) {
      at += i - cut + 1;
      known = 0;
      continue;
    }
    i = cut;
    while (i > known && part[i - 1] == text[at + i - 1])
      i--;
    if (i <= known)
      return (const char *)text + at;
    at += period;
    known = repeats ? part_len - period : 0;
  }
  return NULL;
}

const char *se_match_find(const char *text, size_t len, const char *part, size_t part_len) {
  if (part_len == 0)
    return text;
  if (part_len > len)
    return NULL;
  /* Most texts do not even hold the first byte. */
  const char *first = memchr(text, part[0], len - part_len + 1);
  if (first == NULL || part_len == 1)
    return first;
  return two_way((const unsigned char *)first, len - (size_t)(first - text),
                 (const unsigned char *)part, part_len);
}

/* json_read.h -- the readers that the tokenizer is made of, to be inlined into its two hot loops:
 * se_json_skip (json.c) and the envelope scan (scan.c). Nobody else includes this.
 *
 * Each takes the place where something begins and returns the place behind it; or NULL, with the
 * reason and the bad byte set in 'json'. */
#ifndef SE_JSON_READ_H
#define SE_JSON_READ_H

#include <string.h>

#include "json.h"

#if defined(__SSE2__) && !defined(SE_NO_SIMD)
#include <emmintrin.h>
#endif

#define SE_INLINE static inline __attribute__((always_inline))

/* Sets the failure and returns NULL. At the end of the text the reason is always that it ends. */
const char *se_read_fail(se_json *json, const char *at, const char *reason);

/* What is too rare to be inlined (json.c): white space that is there, a string with escapes or
 * over the end of its block, any number, a word that is not what it seemed. */
const char *se_read_spaces(const char *p, const char *end);
const char *se_read_long_string(se_json *json, const char *p, int *escaped);
const char *se_read_number(se_json *json, const char *p);
const char *se_read_bad_word(se_json *json, const char *p, const char *word);

/* ----------------------------------------------------------------------------------- strings
 *
 * A string ends at its first quote, and what else may not simply stand in it are backslashes and
 * control characters: the special bytes. They are looked for in blocks of 64 bytes, one bit each,
 * and the bits are kept: most strings are short, and the next one is found in the same bits
 * without waiting for any byte to be loaded again. */

#if defined(__SSE2__) && !defined(SE_NO_SIMD)
SE_INLINE uint64_t se_read_special16(const char *p) {
  __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
  __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
  __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
  __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes);
  __m128i special = _mm_or_si128(_mm_or_si128(quote, backslash), control);
  return (uint64_t)(unsigned)_mm_movemask_epi8(special);
}

SE_INLINE uint64_t se_read_special64(const char *p) {
  return se_read_special16(p) | se_read_special16(p + 16) << 16 | se_read_special16(p + 32) << 32 |
         se_read_special16(p + 48) << 48;
}
#else
/* The top bit of each byte that is zero. */
SE_INLINE uint64_t se_read_zeros(uint64_t bytes) {
  const uint64_t low = UINT64_C(0x7F7F7F7F7F7F7F7F);
  return ~(((bytes & low) + low) | bytes | low);
}

SE_INLINE uint64_t se_read_special64(const char *p) {
  const uint64_t ones = UINT64_C(0x0101010101010101);
  uint64_t special = 0;
  for (int i = 0; i < 64; i += 8) {
    uint64_t bytes = 0;
    for (int j = 0; j < 8; j++) /* the first byte lowest, whatever the machine's order */
      bytes |= (uint64_t)(unsigned char)p[i + j] << (8 * j);
    uint64_t hits = se_read_zeros(bytes ^ (ones * '"')) | se_read_zeros(bytes ^ (ones * '\\')) |
                    se_read_zeros(bytes & (ones * 0xE0));
    /* The multiplication moves bit 8 * k to bit 56 + k. */
    special |= ((hits >> 7) * UINT64_C(0x0102040810204080) >> 56) << i;
  }
  return special;
}
#endif

/* The special bytes among the 64 at 'p', or among those that are left; nothing beyond 'end' or
 * before 'start' is touched. */
SE_INLINE uint64_t se_read_special(const char *start, const char *p, const char *end) {
  size_t left = (size_t)(end - p);
  if (left >= 64)
    return se_read_special64(p);
  if (left == 0)
    return 0;
  if (end - start >= 64)
    return se_read_special64(end - 64) >> (64 - left);
  char copy[64];
  memset(copy, ' ', sizeof copy);
  memcpy(copy, p, left);
  return se_read_special64(copy);
}

/* The next special byte, or the end. */
SE_INLINE const char *se_read_plain(se_json *json, const char *p) {
  const char *end = json->end;
  uintptr_t offset = (uintptr_t)p - (uintptr_t)json->block;
  if (offset < 64) {
    uint64_t special = json->special >> offset;
    if (special != 0)
      return p + __builtin_ctzll(special);
    if (end - json->block <= 64)
      return end;
    p = json->block + 64;
  }
  while (p < end) {
    uint64_t special = se_read_special(json->start, p, end);
    if (special != 0) {
      json->block = p;
      json->special = special;
      return p + __builtin_ctzll(special);
    }
    if (end - p <= 64)
      break;
    p += 64;
  }
  return end;
}

/* 'p' is after the opening quote. Returns the closing quote. */
SE_INLINE const char *se_read_string(se_json *json, const char *p, int *escaped) {
  uintptr_t offset = (uintptr_t)p - (uintptr_t)json->block;
  *escaped = 0;
  if (offset < 64) {
    uint64_t special = json->special >> offset;
    if (special != 0) {
      const char *q = p + __builtin_ctzll(special); /* in the text: no bit lies behind its end */
      if (*q == '"')
        return q;
    }
  }
  return se_read_long_string(json, p, escaped);
}

/* ------------------------------------------------------------------------------- all the rest */

SE_INLINE const char *se_read_space(const char *p, const char *end) {
  if (p < end && (unsigned char)*p > ' ')
    return p;
  return se_read_spaces(p, end);
}

/* Past one scalar, which starts at 'p', before the end; *token gets its text. */
SE_INLINE const char *se_read_scalar(se_json *json, const char *p, int *kind,
                                     se_json_token *token) {
  const char *q;
  token->escaped = 0;
  if (*p == '"') {
    *kind = SE_JSON_STRING;
    token->at = p + 1;
    if ((q = se_read_string(json, p + 1, &token->escaped)) == NULL)
      return NULL;
    token->len = (size_t)(q - p - 1);
    return q + 1;
  }
  size_t left = (size_t)(json->end - p);
  if (*p == 't') {
    *kind = SE_JSON_TRUE;
    q = left >= 4 && memcmp(p, "true", 4) == 0 ? p + 4 : se_read_bad_word(json, p, "true");
  } else if (*p == 'f') {
    *kind = SE_JSON_FALSE;
    q = left >= 5 && memcmp(p + 1, "alse", 4) == 0 ? p + 5 : se_read_bad_word(json, p, "false");
  } else if (*p == 'n') {
    *kind = SE_JSON_NULL;
    q = left >= 4 && memcmp(p, "null", 4) == 0 ? p + 4 : se_read_bad_word(json, p, "null");
  } else {
    *kind = SE_JSON_NUMBER;
    q = se_read_number(json, p);
  }
  if (q == NULL)
    return NULL;
  token->at = p;
  token->len = (size_t)(q - p);
  return q;
}

/* What follows a member or an element. 1: another one, at *p; 0: the closing bracket, which *p is
 * behind; -1: neither. */
SE_INLINE int se_read_more(se_json *json, const char **p, char closing) {
  const char *at = se_read_space(*p, json->end);
  if (at < json->end && *at == ',') {
    *p = se_read_space(at + 1, json->end);
    return 1;
  }
  if (at < json->end && *at == closing) {
    *p = at + 1;
    return 0;
  }
  se_read_fail(json, at, closing == '}' ? "',' or '}' expected" : "',' or ']' expected");
  return -1;
}

/* 'p' is where a key must begin. Returns the first byte of its value, or the end. */
SE_INLINE const char *se_read_key(se_json *json, const char *p, se_json_token *key) {
  if (p == json->end || *p != '"')
    return se_read_fail(json, p, "a key is missing");
  key->at = p + 1;
  if ((p = se_read_string(json, p + 1, &key->escaped)) == NULL)
    return NULL;
  key->len = (size_t)(p - key->at);
  p = se_read_space(p + 1, json->end);
  if (p == json->end || *p != ':')
    return se_read_fail(json, p, "':' expected");
  return se_read_space(p + 1, json->end);
}

#endif

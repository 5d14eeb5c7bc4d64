/* utf8.c -- checks UTF-8 (RFC 3629 §4), whole or in parts.
 *
 * One table of lead bytes serves both uses. Most text is ASCII, which is skipped in blocks as wide
 * as the compiler may use: AVX2, SSE2, or eight bytes in a plain integer (SE_NO_SIMD asks for that
 * everywhere, so that it can be tested). */
#include "utf8.h"

#include <string.h>

/* load() reads BLOCK bytes; HIGH_BITS of one or of several JOINed blocks is 0 when all of them are
 * ASCII. */
#if !defined(SE_NO_SIMD) && defined(__AVX2__)
#include <immintrin.h>
#define BLOCK 32
typedef __m256i block;
static inline block load(const uint8_t *at) {
  return _mm256_loadu_si256((const __m256i *)(const void *)at);
}
#define JOIN(a, b) _mm256_or_si256(a, b)
#define HIGH_BITS(a) _mm256_movemask_epi8(a)
#elif !defined(SE_NO_SIMD) && defined(__SSE2__)
#include <emmintrin.h>
#define BLOCK 16
typedef __m128i block;
static inline block load(const uint8_t *at) {
  return _mm_loadu_si128((const __m128i *)(const void *)at);
}
#define JOIN(a, b) _mm_or_si128(a, b)
#define HIGH_BITS(a) _mm_movemask_epi8(a)
#else
#define BLOCK 8
typedef uint64_t block;
static inline block load(const uint8_t *at) {
  block bytes;
  memcpy(&bytes, at, sizeof bytes);
  return bytes;
}
#define JOIN(a, b) ((a) | (b))
#define HIGH_BITS(a) ((a) & UINT64_C(0x8080808080808080))
#endif

/* The first byte that is not ASCII, or 'end'. */
static const uint8_t *skip_ascii(const uint8_t *at, const uint8_t *end) {
  const uint8_t *start = at;
  for (; end - at >= 4 * BLOCK; at += 4 * BLOCK) {
    block low = JOIN(load(at), load(at + BLOCK));
    block high = JOIN(load(at + 2 * BLOCK), load(at + 3 * BLOCK));
    if (HIGH_BITS(JOIN(low, high)) != 0)
      break;
  }
  for (; end - at >= BLOCK; at += BLOCK)
    if (HIGH_BITS(load(at)) != 0)
      break;
  /* The rest is less than a block: look at the last one of all, which overlaps what was seen. */
  if (end - at < BLOCK && end - start >= BLOCK && HIGH_BITS(load(end - BLOCK)) == 0)
    return end;
  while (at < end && *at < 0x80)
    at++;
  return at;
}

/* What may follow a lead byte: 'state' is set for its first continuation byte. 0: no lead byte.
 * The ranges refuse overlong forms (E0, F0), surrogates (ED) and what is over U+10FFFF (F4). */
static inline int lead(uint8_t byte, se_utf8 *state) {
  state->low = 0x80;
  state->high = 0xBF;
  if (byte >= 0xC2 && byte <= 0xDF) {
    state->need = 1;
  } else if (byte >= 0xE0 && byte <= 0xEF) {
    state->need = 2;
    if (byte == 0xE0)
      state->low = 0xA0;
    else if (byte == 0xED)
      state->high = 0x9F;
  } else if (byte >= 0xF0 && byte <= 0xF4) {
    state->need = 3;
    if (byte == 0xF0)
      state->low = 0x90;
    else if (byte == 0xF4)
      state->high = 0x8F;
  } else {
    return 0;
  }
  return 1;
}

static int is_continuation(uint8_t byte) {
  return (byte & 0xC0) == 0x80;
}

size_t se_utf8_valid(const char *data, size_t len) {
  const uint8_t *start = (const uint8_t *)data, *end = start + len;
  const uint8_t *at = skip_ascii(start, end);
  while (at < end) {
    se_utf8 state;
    if (*at < 0x80) {
      at = skip_ascii(at, end);
    } else {
      if (!lead(*at, &state) || end - at <= state.need || at[1] < state.low || at[1] > state.high)
        break;
      if (state.need > 1 && !is_continuation(at[2]))
        break;
      if (state.need > 2 && !is_continuation(at[3]))
        break;
      at += state.need + 1;
    }
  }
  return (size_t)(at - start);
}

int se_utf8_feed(se_utf8 *state, const char *data, size_t len) {
  size_t i = 0;
  for (;;) {
    for (; state->need > 0 && i < len; i++) {
      uint8_t byte = (uint8_t)data[i];
      if (byte < state->low || byte > state->high)
        return 0;
      state->need--;
      state->low = 0x80;
      state->high = 0xBF;
    }
    i += se_utf8_valid(data + i, len - i);
    if (i == len)
      return 1;
    /* Either a character that the end of this part cuts, or an error that the loop above, or the
     * next turn of this one, comes upon. */
    if (!lead((uint8_t)data[i++], state))
      return 0;
  }
}

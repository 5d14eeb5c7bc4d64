/* sha1.c -- SHA-1 as FIPS 180-4 §6.1 has it, block by block. */
#include "sha1.h"

#include <string.h>

#define BLOCK 64
#define LENGTH_AT 56 /* in the last block: how many bits there were */

static uint32_t rotate(uint32_t word, int bits) {
  return word << bits | word >> (32 - bits);
}

static uint32_t mix(int round, uint32_t b, uint32_t c, uint32_t d) {
  static const uint32_t constants[] = {0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6};
  uint32_t value;
  if (round < 20)
    value = (b & c) | (~b & d);
  else if (round >= 40 && round < 60)
    value = (b & c) | (b & d) | (c & d);
  else
    value = b ^ c ^ d;
  return value + constants[round / 20];
}

static void take_block(uint32_t state[5], const uint8_t *block) {
  uint32_t words[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
  int i;
  for (i = 0; i < 16; i++, block += 4)
    words[i] = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 | (uint32_t)block[2] << 8 |
               (uint32_t)block[3];
  for (; i < 80; i++)
    words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
  for (i = 0; i < 80; i++) {
    uint32_t next = rotate(a, 5) + mix(i, b, c, d) + e + words[i];
    e = d;
    d = c;
    c = rotate(b, 30);
    b = a;
    a = next;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
}

void se_sha1_begin(se_sha1 *sha1) {
  static const uint32_t first[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
  memcpy(sha1->state, first, sizeof first);
  sha1->len = 0;
}

void se_sha1_add(se_sha1 *sha1, const void *data, size_t len) {
  const uint8_t *from = data;
  while (len > 0) {
    size_t at = sha1->len % BLOCK;
    size_t part = len < BLOCK - at ? len : BLOCK - at;
    memcpy(sha1->block + at, from, part);
    from += part;
    len -= part;
    sha1->len += part;
    if (at + part == BLOCK)
      take_block(sha1->state, sha1->block);
  }
}

void se_sha1_end(se_sha1 *sha1, uint8_t digest[SE_SHA1_SIZE]) {
  static const uint8_t padding[BLOCK] = {0x80};
  uint64_t bits = sha1->len * 8;
  size_t at = sha1->len % BLOCK;
  uint8_t length[8];
  int i;
  for (i = 0; i < 8; i++)
    length[i] = (uint8_t)(bits >> (56 - 8 * i));
  se_sha1_add(sha1, padding, (at < LENGTH_AT ? LENGTH_AT : BLOCK + LENGTH_AT) - at);
  se_sha1_add(sha1, length, sizeof length);
  for (i = 0; i < SE_SHA1_SIZE; i++)
    digest[i] = (uint8_t)(sha1->state[i / 4] >> (24 - 8 * (i % 4)));
}

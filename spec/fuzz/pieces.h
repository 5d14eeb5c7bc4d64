/* pieces.h -- the input of a fuzz target as a stream that comes in pieces: whole, byte by byte, or cut as
 * the input itself decides. */
#ifndef FUZZ_PIECES_H
#define FUZZ_PIECES_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"

enum { WHOLE, BYTEWISE, RANDOM };

typedef struct {
  int how;
  uint32_t state; /* of RANDOM; to begin with, a function of the input, so that each run cuts alike */
  const uint8_t *data;
  size_t left;
} pieces;

/* NULL: there is none left. To be freed: each is a block of its own size, so that a look beyond its end is
 * seen. */
static inline char *next_piece(pieces *from, size_t *len) {
  if (from->left == 0)
    return NULL;
  *len = from->left;
  if (from->how == BYTEWISE)
    *len = 1;
  if (from->how == RANDOM) {
    from->state = from->state * 1664525u + 1013904223u;
    *len = 1 + (from->state >> 24) % 64;
  }
  if (*len > from->left)
    *len = from->left;
  char *piece = malloc(*len);
  MUST(piece != NULL);
  memcpy(piece, from->data, *len);
  from->data += *len;
  from->left -= *len;
  return piece;
}

#endif

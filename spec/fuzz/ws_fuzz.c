/* ws_fuzz.c -- libFuzzer target: however a stream of frames is cut, the same must come out of it.
 *
 * clang -g -O1 -fsanitize=fuzzer,address,undefined -Icsrc spec/fuzz/ws_fuzz.c csrc/ws.c csrc/utf8.c
 *   csrc/buffer.c csrc/crypto.c -lcrypto
 *
 * The first byte of the input chooses the side and the size limit, the second how the stream is
 * cut. The rest is the stream, read whole, byte by byte, in pieces, and in pieces with an output
 * that is nearly always full. What we answer must be good in the eyes of the other side. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pieces.h"
#include "status.h"
#include "ws.h"

#define SMALL_OUTPUT 140 /* just holds the largest pong of a client */

typedef struct {
  uint64_t hash;  /* of all that was read */
  uint64_t reply; /* of all that was answered, unmasked */
  int result;     /* SE_WS_CLOSED, SE_WS_FAILED, or SE_WS_MORE */
  uint16_t code;
  const char *reason;
} outcome;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition, const char *what) {
  if (condition)
    return;
  fprintf(stderr, "violated: %s\n", what);
  abort();
}

static void mix(uint64_t *hash, const void *data, size_t len) {
  const uint8_t *bytes = data;
  while (len-- > 0)
    *hash = (*hash ^ *bytes++) * UINT64_C(0x100000001B3);
}

static void mix_item(uint64_t *hash, int result, const se_ws_item *item) {
  uint64_t fields[4] = {(uint64_t)result, (uint64_t)item->opcode, item->len,
                        result == SE_WS_CLOSED ? item->code : 0};
  mix(hash, fields, sizeof fields);
  mix(hash, item->data, item->len);
}

/* Takes all of 'out' and reads it as the other side does. */
static void take_output(se_ws *mirror, se_buffer *out, outcome *seen) {
  size_t len = se_buffer_length(out), at = 0, taken;
  se_buffer none;
  char *bytes;
  if (len == 0)
    return;
  bytes = malloc(len);
  memcpy(bytes, se_buffer_bytes(out), len);
  se_buffer_consume(out, len, 0);
  se_buffer_init(&none, 1 << 16);
  for (;;) {
    se_ws_item item;
    int result = se_ws_read(mirror, bytes + at, len - at, &taken, &item, &none);
    at += taken;
    require(result != SE_WS_FAILED && result != SE_WS_BLOCKED, "what is written is good");
    if (result == SE_WS_MORE)
      break;
    mix_item(&seen->reply, result, &item);
  }
  require(at == len, "all that is written is read");
  se_buffer_free(&none);
  free(bytes);
}

static outcome run(int side, size_t max_message, pieces stream, size_t output) {
  outcome seen = {0, 0, SE_WS_MORE, 0, NULL};
  se_ws ws, mirror;
  se_buffer out;
  size_t len, done = 0;
  char *piece;
  se_ws_init(&ws, side, max_message);
  se_ws_init(&mirror, side == SE_WS_CLIENT ? SE_WS_SERVER : SE_WS_CLIENT, 1 << 20);
  se_buffer_init(&out, output);
  while ((piece = next_piece(&stream, &len)) != NULL) {
    size_t at = 0, taken;
    int result;
    done += len;
    do {
      se_ws_item item;
      result = se_ws_read(&ws, piece + at, len - at, &taken, &item, &out);
      at += taken;
      require(at <= len, "no more is taken than there is");
      if (result == SE_WS_BLOCKED) {
        require(se_buffer_length(&out) > 0, "an empty output blocks nobody");
        take_output(&mirror, &out, &seen);
      } else if (result == SE_WS_FAILED) {
        require(seen.result == SE_WS_MORE, "nothing follows the end");
        seen.result = result;
        seen.code = ws.close_code;
        seen.reason = ws.reason;
      } else if (result != SE_WS_MORE) {
        require(seen.result == SE_WS_MORE, "nothing follows the end");
        require(item.opcode != SE_WS_TEXT || se_utf8_valid(item.data, item.len) == item.len,
                "a text is UTF-8");
        require(result != SE_WS_MESSAGE || item.len <= max_message, "a message is in its limit");
        mix_item(&seen.hash, result, &item);
        if (result == SE_WS_CLOSED)
          seen.result = result;
      }
    } while (result != SE_WS_MORE);
    require(at == len, "all is taken in the end");
    require(ws.gathered.capacity <= 2 * done + 128, "memory grows with what arrived");
    free(piece);
  }
  take_output(&mirror, &out, &seen);
  se_buffer_free(&out);
  se_ws_free(&ws);
  se_ws_free(&mirror);
  return seen;
}

static void compare(const outcome *a, const outcome *b) {
  require(a->hash == b->hash, "the same items");
  require(a->result == b->result && a->code == b->code && a->reason == b->reason, "the same end");
  require(a->reply == b->reply, "the same answers");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const size_t limits[] = {1 << 20, 1000, 16, 1};
  int side;
  size_t limit;
  uint32_t seed; /* of the cuts */
  outcome whole, other;
  if (size < 2)
    return 0;
  side = data[0] & 1 ? SE_WS_SERVER : SE_WS_CLIENT;
  limit = limits[data[0] >> 1 & 3];
  seed = data[1];
  data += 2;
  size -= 2;
  whole = run(side, limit, (pieces){WHOLE, 0, data, size}, 1 << 20);
  other = run(side, limit, (pieces){BYTEWISE, 0, data, size}, 1 << 20);
  compare(&whole, &other);
  other = run(side, limit, (pieces){RANDOM, seed, data, size}, 1 << 20);
  compare(&whole, &other);
  other = run(side, limit, (pieces){RANDOM, seed, data, size}, SMALL_OUTPUT);
  compare(&whole, &other);
  return 0;
}

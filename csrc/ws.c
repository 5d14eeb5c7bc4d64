/* ws.c -- WebSocket frames and messages (RFC 6455), client and server, without sockets.
 *
 * Almost every frame that a client receives is a whole, short text: se_ws_read looks for that
 * first. Everything else goes through the states below, which may stop at any byte. Sends no
 * fragments and knows no extensions. */
#include "ws.h"

#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "status.h"

#if !defined(SE_NO_SIMD) && defined(__SSE2__)
#include <emmintrin.h>
#define USE_SSE2 1
#else
#define USE_SSE2 0
#endif

#define FIN 0x80
#define RESERVED 0x70
#define OPCODE 0x0F
#define MASKED 0x80
#define LENGTH 0x7F
#define LENGTH_16 126 /* the length stands in the next 2 bytes */
#define LENGTH_64 127 /* ... in the next 8 */
#define MAX_CONTROL 125
/* Four bytes of randomness cost as much as a thousand: a client draws them ahead. */
#define MASK_POOL 4096

enum { /* se_ws.state */
  AT_HEADER,
  AT_PAYLOAD, /* with nothing left: a control frame whose answer had no room */
  FAILING,    /* the close frame that tells the peer had no room */
  DONE
};

enum { CODE_PROTOCOL = 1002, CODE_NONE = 1005, CODE_TEXT = 1007, CODE_SIZE = 1009,
       CODE_MEMORY = 1011 };

#define NEXT (-1) /* of the steps below: nothing to report, go on */

/* The bytes given to one se_ws_read. */
typedef struct {
  char *data;
  size_t len, at;
} input;

void se_ws_init(se_ws *ws, int side, size_t max_message) {
  memset(ws, 0, sizeof *ws);
  ws->side = (uint8_t)side;
  ws->state = AT_HEADER;
  ws->max_message = max_message;
  se_buffer_init(&ws->gathered, max_message);
}

void se_ws_free(se_ws *ws) {
  se_buffer_free(&ws->gathered);
  free(ws->masks);
  ws->masks = NULL;
  ws->masks_left = 0;
}

void se_ws_leave_text(se_ws *ws) {
  ws->leaves_text = 1;
}

static int is_control(int opcode) {
  return opcode >= SE_WS_CLOSE;
}

/* RFC 6455 §7.4 and the IANA registry: what may stand in a close frame. */
static int is_close_code(unsigned code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

/* 'to' may be 'from'. 'at' is the place of the first byte in the frame's payload. */
static void apply_mask(char *to, const char *from, size_t len, const uint8_t mask[4], size_t at) {
  uint8_t pattern[8];
  uint64_t wide;
  size_t i;
  for (i = 0; i < sizeof pattern; i++)
    pattern[i] = mask[(at + i) & 3];
  memcpy(&wide, pattern, sizeof wide);
  i = 0;
#if USE_SSE2
  __m128i wider = _mm_set1_epi64x((long long)wide);
  for (; len - i >= 16; i += 16) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(from + i));
    _mm_storeu_si128((__m128i *)(void *)(to + i), _mm_xor_si128(bytes, wider));
  }
#endif
  for (; len - i >= 8; i += 8) {
    uint64_t bytes;
    memcpy(&bytes, from + i, sizeof bytes);
    bytes ^= wide;
    memcpy(to + i, &bytes, sizeof bytes);
  }
  for (; i < len; i++)
    to[i] = (char)(from[i] ^ (char)pattern[i & 3]);
}

/* ------------------------------------------------------------------------------------- writing */

size_t se_ws_header(uint8_t header[10], int opcode, uint64_t len) {
  size_t i;
  header[0] = (uint8_t)(FIN | opcode);
  if (len < LENGTH_16) {
    header[1] = (uint8_t)len;
    return 2;
  }
  if (len <= 0xFFFF) {
    header[1] = LENGTH_16;
    header[2] = (uint8_t)(len >> 8);
    header[3] = (uint8_t)len;
    return 4;
  }
  header[1] = LENGTH_64;
  for (i = 0; i < 8; i++)
    header[2 + i] = (uint8_t)(len >> (56 - 8 * i));
  return 10;
}

/* RFC 6455 §5.3: a fresh mask that nobody can foresee. 0: no memory or no randomness. */
static int next_mask(se_ws *ws, uint8_t mask[4]) {
  if (ws->masks_left < 4) {
    if (ws->masks == NULL)
      ws->masks = malloc(MASK_POOL);
    if (ws->masks == NULL || se_random(ws->masks, MASK_POOL) != 0)
      return 0;
    ws->masks_left = MASK_POOL;
  }
  memcpy(mask, ws->masks + MASK_POOL - ws->masks_left, 4);
  ws->masks_left = (uint16_t)(ws->masks_left - 4);
  return 1;
}

/* One final frame. SE_OK, SE_ERR_FULL or SE_ERR_MEMORY; all of it or nothing. */
static int write_frame(se_ws *ws, int opcode, const char *data, size_t len, se_buffer *out) {
  uint8_t header[14];
  size_t size = se_ws_header(header, opcode, len);
  uint8_t *mask = NULL;
  char *to;
  if (ws->side == SE_WS_CLIENT) {
    header[1] |= MASKED;
    mask = header + size;
    size += 4;
  }
  if (len > SIZE_MAX - size || !se_buffer_fits(out, size + len))
    return SE_ERR_FULL;
  if (mask != NULL && !next_mask(ws, mask))
    return SE_ERR_MEMORY;
  to = se_buffer_reserve(out, size + len);
  if (to == NULL)
    return SE_ERR_MEMORY;
  memcpy(to, header, size);
  if (mask != NULL)
    apply_mask(to + size, data, len, mask, 0);
  else if (len > 0)
    memcpy(to + size, data, len);
  se_buffer_commit(out, size + len);
  return SE_OK;
}

/* The close frame, once. 'code' 0: without one. */
static int write_close(se_ws *ws, unsigned code, const char *reason, size_t len, se_buffer *out) {
  char payload[MAX_CONTROL];
  int status;
  if (ws->sent_close)
    return SE_OK;
  if (code != 0) {
    payload[0] = (char)(code >> 8);
    payload[1] = (char)code;
    if (len > 0)
      memcpy(payload + 2, reason, len);
    len += 2;
  }
  status = write_frame(ws, SE_WS_CLOSE, payload, len, out);
  if (status == SE_OK)
    ws->sent_close = 1;
  return status;
}

int se_ws_write(se_ws *ws, int opcode, const char *data, size_t len, se_buffer *out) {
  switch (opcode) {
    case SE_WS_TEXT:
      if (len > 0 && se_utf8_valid(data, len) != len)
        return SE_ERR_ARGUMENT;
      break;
    case SE_WS_BINARY:
      break;
    case SE_WS_PING:
    case SE_WS_PONG:
      if (len > MAX_CONTROL)
        return SE_ERR_ARGUMENT;
      break;
    default:
      return SE_ERR_ARGUMENT;
  }
  if (ws->sent_close || ws->got_close || ws->state >= FAILING)
    return SE_ERR_CLOSED;
  return write_frame(ws, opcode, data, len, out);
}

int se_ws_close(se_ws *ws, uint16_t code, const char *reason, size_t len, se_buffer *out) {
  if (code == 0 ? len > 0 : !is_close_code(code) || len > MAX_CONTROL - 2)
    return SE_ERR_ARGUMENT;
  if (len > 0 && se_utf8_valid(reason, len) != len)
    return SE_ERR_ARGUMENT;
  if (ws->got_close || ws->state >= FAILING)
    return SE_OK; /* the answer to the peer, and the only close frame, is said already */
  return write_close(ws, code, reason, len, out);
}

/* ------------------------------------------------------------------------------------- reading */

/* The end of reading, for good. What was gathered of a message nobody will get. */
static int finish(se_ws *ws, input *in, int result) {
  ws->state = DONE;
  ws->message = 0;
  se_buffer_free(&ws->gathered);
  in->at = in->len;
  return result;
}

/* Tells the peer, in a close frame, what fail() has noted. Without memory for it there is none. */
static int finish_failing(se_ws *ws, input *in, se_buffer *out) {
  if (write_close(ws, ws->close_code, NULL, 0, out) == SE_ERR_FULL)
    return SE_WS_BLOCKED;
  return finish(ws, in, SE_WS_FAILED);
}

static int fail(se_ws *ws, uint16_t code, const char *reason) {
  ws->close_code = code;
  ws->reason = reason;
  ws->state = FAILING;
  return NEXT;
}

/* RFC 6455 §5.2, 5.4, 5.5. Why a frame may not begin with this byte here, or NULL. */
static const char *refuse_first(const se_ws *ws, uint8_t byte) {
  int opcode = byte & OPCODE;
  if (byte & RESERVED)
    return "reserved bits are set";
  if (is_control(opcode)) {
    if (opcode > SE_WS_PONG)
      return "unknown opcode";
    return byte & FIN ? NULL : "a control frame is fragmented";
  }
  if (opcode > SE_WS_BINARY)
    return "unknown opcode";
  if (opcode == SE_WS_CONTINUATION)
    return ws->message != 0 ? NULL : "a continuation without a message";
  return ws->message == 0 ? NULL : "a new message inside a fragmented one";
}

static const char *refuse_second(const se_ws *ws, uint8_t first, uint8_t byte) {
  if (ws->side == SE_WS_CLIENT && (byte & MASKED))
    return "a frame from the server is masked";
  if (ws->side == SE_WS_SERVER && !(byte & MASKED))
    return "a frame from the client is not masked";
  if (is_control(first & OPCODE) && (byte & LENGTH) > MAX_CONTROL)
    return "a control frame is over 125 bytes";
  return NULL;
}

static uint64_t big_endian(const uint8_t *at, size_t len) {
  uint64_t value = 0;
  while (len-- > 0)
    value = value << 8 | *at++;
  return value;
}

/* Looks at the first 'have' bytes of a frame and refuses as early as they allow. Returns SE_WS_MORE
 * when the header is longer than that; NEXT with *size its length when the frame is under way; or
 * NEXT with the state FAILING. */
static int parse_header(se_ws *ws, const uint8_t *header, size_t have, size_t *size) {
  const char *reason = refuse_first(ws, header[0]);
  size_t need = 2;
  uint64_t len;
  int opcode = header[0] & OPCODE;
  if (reason == NULL && have >= 2)
    reason = refuse_second(ws, header[0], header[1]);
  if (reason != NULL)
    return fail(ws, CODE_PROTOCOL, reason);
  if (have < 2)
    return SE_WS_MORE;
  len = header[1] & LENGTH;
  if (len >= LENGTH_16) {
    uint64_t least = len == LENGTH_16 ? LENGTH_16 : 0x10000;
    need += len == LENGTH_16 ? 2 : 8;
    if (have < need)
      return SE_WS_MORE;
    len = big_endian(header + 2, need - 2);
    if (len < least)
      return fail(ws, CODE_PROTOCOL, "a length is not in its shortest form");
    if (len >> 63)
      return fail(ws, CODE_PROTOCOL, "a length has its top bit set");
  }
  /* Before a single byte of it is stored. */
  if (!is_control(opcode) && len > ws->max_message - se_buffer_length(&ws->gathered))
    return fail(ws, CODE_SIZE, "a message is too long");
  if (header[1] & MASKED) {
    need += 4;
    if (have < need)
      return SE_WS_MORE;
    memcpy(ws->mask, header + need - 4, 4);
  }
  ws->mask_at = 0;
  ws->opcode = (uint8_t)opcode;
  ws->left = len;
  ws->state = AT_PAYLOAD;
  if (is_control(opcode)) {
    ws->control_have = 0;
  } else {
    ws->fin = header[0] & FIN;
    if (opcode != SE_WS_CONTINUATION)
      ws->message = (uint8_t)opcode;
  }
  *size = need;
  return NEXT;
}

static int read_header(se_ws *ws, input *in) {
  size_t rest = in->len - in->at, size = 0, had = ws->header_have;
  int result;
  if (rest == 0)
    return SE_WS_MORE;
  if (had == 0) {
    result = parse_header(ws, (const uint8_t *)in->data + in->at, rest, &size);
    if (result == NEXT) {
      in->at += size;
      return NEXT;
    }
    /* Shorter than a header, hence it fits. */
    memcpy(ws->header, in->data + in->at, rest);
  } else {
    if (rest > sizeof ws->header - had)
      rest = sizeof ws->header - had;
    memcpy(ws->header + had, in->data + in->at, rest);
    result = parse_header(ws, ws->header, had + rest, &size);
    if (result == NEXT) {
      ws->header_have = 0;
      in->at += size > had ? size - had : 0; /* 0: it failed */
      return NEXT;
    }
  }
  ws->header_have = (uint8_t)(had + rest);
  in->at = in->len;
  return result;
}

/* RFC 6455 §5.5.1, 7.1.5. */
static int on_close(se_ws *ws, input *in, se_ws_item *item, se_buffer *out) {
  const uint8_t *payload = (const uint8_t *)ws->control;
  size_t len = ws->control_have;
  unsigned code = 0;
  if (len == 1)
    return fail(ws, CODE_PROTOCOL, "a close frame holds half a code");
  if (len > 0) {
    code = (unsigned)big_endian(payload, 2);
    if (!is_close_code(code))
      return fail(ws, CODE_PROTOCOL, "a close code that may not be sent");
    if (se_utf8_valid(ws->control + 2, len - 2) != len - 2)
      return fail(ws, CODE_TEXT, "a close reason is not UTF-8");
  }
  ws->got_close = 1;
  if (write_close(ws, code, NULL, 0, out) == SE_ERR_FULL)
    return SE_WS_BLOCKED;
  ws->close_code = (uint16_t)(len > 0 ? code : CODE_NONE);
  item->opcode = SE_WS_CLOSE;
  item->code = ws->close_code;
  item->data = len > 0 ? ws->control + 2 : ws->control;
  item->len = len > 0 ? len - 2 : 0;
  return finish(ws, in, SE_WS_CLOSED);
}

/* A whole control frame lies in ws->control. SE_WS_BLOCKED changes nothing: it is called again. */
static int on_control(se_ws *ws, input *in, se_ws_item *item, se_buffer *out) {
  if (ws->opcode == SE_WS_CLOSE)
    return on_close(ws, in, item, out);
  if (ws->opcode == SE_WS_PING && !ws->sent_close) {
    int status = write_frame(ws, SE_WS_PONG, ws->control, ws->control_have, out);
    if (status == SE_ERR_FULL)
      return SE_WS_BLOCKED;
    if (status != SE_OK)
      return fail(ws, CODE_MEMORY, "no memory");
  }
  ws->state = AT_HEADER;
  item->opcode = ws->opcode;
  item->data = ws->control;
  item->len = ws->control_have;
  return SE_WS_CONTROL;
}

static int read_control(se_ws *ws, input *in, se_ws_item *item, se_buffer *out) {
  size_t rest = in->len - in->at;
  size_t len = ws->left < rest ? (size_t)ws->left : rest;
  char *to = ws->control + ws->control_have;
  if (ws->side == SE_WS_SERVER)
    apply_mask(to, in->data + in->at, len, ws->mask, ws->control_have);
  else if (len > 0)
    memcpy(to, in->data + in->at, len);
  ws->control_have = (uint8_t)(ws->control_have + len);
  ws->left -= len;
  in->at += len;
  return ws->left > 0 ? SE_WS_MORE : on_control(ws, in, item, out);
}

static int hand_out(se_ws *ws, const char *data, size_t len, se_ws_item *item) {
  item->opcode = ws->message;
  item->unchecked = 0;
  item->data = data;
  item->len = len;
  ws->message = 0;
  ws->state = AT_HEADER;
  return SE_WS_MESSAGE;
}

static const char not_utf8[] = "a text is not UTF-8";

static int read_data(se_ws *ws, input *in, se_ws_item *item) {
  size_t rest = in->len - in->at;
  size_t len = ws->left < rest ? (size_t)ws->left : rest;
  char *data = in->data + in->at;
  if (ws->side == SE_WS_SERVER) {
    apply_mask(data, data, len, ws->mask, ws->mask_at);
    ws->mask_at = (uint8_t)((ws->mask_at + len) & 3);
  }
  in->at += len;
  ws->left -= len;
  /* Also inside a message that is not complete: what cannot become text is refused at once. */
  if (ws->message == SE_WS_TEXT && !se_utf8_feed(&ws->utf8, data, len))
    return fail(ws, CODE_TEXT, not_utf8);
  if (ws->left == 0 && ws->fin && ws->utf8.need > 0)
    return fail(ws, CODE_TEXT, not_utf8);
  if (ws->left == 0 && ws->fin && se_buffer_length(&ws->gathered) == 0)
    return hand_out(ws, data, len, item);
  if (se_buffer_append(&ws->gathered, data, len) != SE_OK)
    return fail(ws, CODE_MEMORY, "no memory");
  if (ws->left > 0)
    return SE_WS_MORE;
  if (ws->fin)
    return hand_out(ws, se_buffer_bytes(&ws->gathered), se_buffer_length(&ws->gathered), item);
  ws->state = AT_HEADER;
  return NEXT;
}

/* A short, whole, final text frame from a server, at a frame's beginning. 0: it is something else,
 * or is wrong, which the states find out. */
static size_t read_short_text(const se_ws *ws, char *data, size_t len, se_ws_item *item) {
  const uint8_t *header = (const uint8_t *)data;
  size_t size = 2, payload;
  if (len < 4 || header[0] != (FIN | SE_WS_TEXT))
    return 0;
  payload = header[1];
  if (payload == LENGTH_16) {
    payload = (size_t)header[2] << 8 | header[3];
    size = 4;
    if (payload < LENGTH_16)
      return 0;
  } else if (payload > LENGTH_16) {
    return 0;
  }
  if (payload > len - size || payload > ws->max_message)
    return 0;
  if (!ws->leaves_text && se_utf8_valid(data + size, payload) != payload)
    return 0;
  item->opcode = SE_WS_TEXT;
  item->unchecked = ws->leaves_text;
  item->data = data + size;
  item->len = payload;
  return size + payload;
}

void se_ws_refuse_text(se_ws *ws) {
  if (ws->state < FAILING)
    fail(ws, CODE_TEXT, not_utf8);
}

int se_ws_read(se_ws *ws, char *data, size_t len, size_t *taken, se_ws_item *item, se_buffer *out) {
  input in = {data, len, 0};
  int result = NEXT;
  if (ws->message == 0 && ws->gathered.data != NULL)
    se_buffer_free(&ws->gathered); /* handed out by the last call */
  if (ws->side == SE_WS_CLIENT && ws->state == AT_HEADER && ws->message == 0 &&
      ws->header_have == 0) {
    *taken = read_short_text(ws, data, len, item);
    if (*taken > 0)
      return SE_WS_MESSAGE;
  }
  if (len == 0)
    in.data = ws->control; /* the steps below may add 0 to it */
  while (result == NEXT) {
    switch (ws->state) {
      case AT_HEADER:
        result = read_header(ws, &in);
        break;
      case AT_PAYLOAD:
        result = is_control(ws->opcode) ? read_control(ws, &in, item, out)
                                        : read_data(ws, &in, item);
        break;
      case FAILING:
        result = finish_failing(ws, &in, out);
        break;
      default:
        result = finish(ws, &in, SE_WS_MORE);
    }
  }
  *taken = in.at;
  return result;
}

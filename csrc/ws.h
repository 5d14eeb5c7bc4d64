/* ws.h -- WebSocket frames and messages (RFC 6455), client and server, without sockets.
 *
 * Bytes in, messages out: se_ws_read finds the messages in a buffer that the caller owns and may
 * reuse at once. What arrives whole is handed out where it lies (unmasked in place); only a message
 * that was cut by the end of the buffer, or sent in fragments, is gathered in a block of its own,
 * which grows with what really arrived and never with what a header announces.
 * What has to be answered by the protocol itself (pong, close) is written to the caller's output
 * buffer; the caller sends it when it can. It may stop and go on at any byte, in both directions. */
#ifndef SE_WS_H
#define SE_WS_H

#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "utf8.h"

enum { SE_WS_CLIENT, SE_WS_SERVER }; /* which side we are */
enum { SE_WS_CONTINUATION = 0, SE_WS_TEXT = 1, SE_WS_BINARY = 2, SE_WS_CLOSE = 8, SE_WS_PING = 9,
       SE_WS_PONG = 10 };

/* One side of one connection. Embed it; the fields are ws.c's own. Small, because a server holds
 * one for every idle connection. */
typedef struct {
  uint8_t side;
  uint8_t state;        /* where in a frame the next byte lies */
  uint8_t opcode;       /* of the frame under way */
  uint8_t message;      /* opcode of the message under way, or 0 */
  uint8_t fin;
  uint8_t header_have;  /* bytes of a cut header */
  uint8_t control_have; /* payload bytes of a cut control frame */
  uint8_t sent_close, got_close;
  uint8_t leaves_text;  /* short texts are handed out unchecked */
  se_utf8 utf8;
  uint16_t close_code;  /* as received: 1005 when the frame had none; 1002 ... when we failed it */
  uint16_t masks_left;  /* bytes of 'masks' not yet used */
  uint8_t mask[4];
  uint8_t mask_at;      /* which byte of it comes next */
  uint8_t header[14];
  char control[125];
  uint64_t left;        /* payload bytes of this frame still to come */
  size_t max_message;
  se_buffer gathered;   /* a cut or fragmented message */
  uint8_t *masks;       /* random bytes drawn ahead; a client's, from its first frame on */
  const char *reason;   /* after SE_WS_FAILED: why, a constant text */
} se_ws;

enum {
  SE_WS_MORE,      /* all bytes are taken; nothing is complete */
  SE_WS_MESSAGE,   /* a whole text (valid UTF-8) or binary message */
  SE_WS_CONTROL,   /* a ping or pong came; the pong for a ping is in 'out' already */
  SE_WS_CLOSED,    /* the closing handshake: item.code, item.data is the reason; our half is in
                      'out' unless it was sent before. Nothing more will be read. */
  SE_WS_FAILED,    /* the peer broke the protocol: a close frame with close_code (1002, 1007, 1009,
                      1011 for no memory) is in 'out', 'reason' says why. Nothing more is read. */
  SE_WS_BLOCKED    /* 'out' has no room for an answer: send some of it, then read again */
};

typedef struct {
  int opcode;        /* SE_WS_TEXT, SE_WS_BINARY, SE_WS_PING, SE_WS_PONG, SE_WS_CLOSE */
  const char *data;  /* not zero-terminated; good until the next se_ws_read or se_ws_free */
  size_t len;
  uint16_t code;     /* SE_WS_CLOSED */
  uint8_t unchecked; /* a text that nobody has looked at: see se_ws_leave_text */
} se_ws_item;

/* Cannot fail; allocates nothing. A message over max_message bytes fails with 1009. */
void se_ws_init(se_ws *ws, int side, size_t max_message);
void se_ws_free(se_ws *ws);

/* For a client that can tell from the beginning of a text that it wants nothing of it: short texts
 * that arrive whole are from now on handed out without the UTF-8 check, marked 'unchecked'. What
 * is made of such a text has to be checked first; if it fails, se_ws_refuse_text. */
void se_ws_leave_text(se_ws *ws);
/* Says that the text handed out last is not UTF-8: the next se_ws_read, with 0 bytes or more,
 * fails with 1007 and takes them. */
void se_ws_refuse_text(se_ws *ws);

/* Reads from data[0..len), which is changed (unmasked) in place; *taken tells how many bytes are
 * done with. Call again with the rest, even if that is nothing, until it says SE_WS_MORE: only
 * then is the memory of a gathered message given back. After SE_WS_CLOSED or SE_WS_FAILED whatever
 * comes is dropped, and the answer is SE_WS_MORE for ever. */
int se_ws_read(se_ws *ws, char *data, size_t len, size_t *taken, se_ws_item *item, se_buffer *out);

/* Frames one message, or ping or pong, into 'out' (masked when we are the client).
 * SE_OK, SE_ERR_FULL, SE_ERR_MEMORY (also: no randomness); SE_ERR_CLOSED after a close frame was
 * sent or received, or the peer broke the protocol; SE_ERR_ARGUMENT for a text that is not UTF-8,
 * or over 125 bytes of ping or pong. */
int se_ws_write(se_ws *ws, int opcode, const char *data, size_t len, se_buffer *out);

/* Starts the closing handshake; a second call does nothing. 'code' 0 sends none. SE_ERR_ARGUMENT
 * for a code that may not be sent (allowed: 1000-1003, 1007-1014, 3000-4999), or a reason over 123
 * bytes or not UTF-8. */
int se_ws_close(se_ws *ws, uint16_t code, const char *reason, size_t len, se_buffer *out);

/* For fan-out: the header of an unmasked, final frame for 'len' payload bytes, 2 to 10 bytes, into
 * 'header'. Returns its length. */
size_t se_ws_header(uint8_t header[10], int opcode, uint64_t len);

#endif

/* connection_read.c -- what a connection receives, up to the last words of one that is over.
 *
 * Everything that arrives is read into one block, which a connection holds only while there are
 * unread bytes in it: an idle connection has none. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "clock.h"
#include "connection_parts.h"

static int is_over(const se_connection *c) {
  return c->phase >= PHASE_LAST;
}

void se_connection_free_block(se_connection *c) {
  c->at = c->have = 0;
  if (c->block == NULL)
    return;
  if (c->home != NULL && c->home->spare_block == NULL)
    c->home->spare_block = c->block;
  else
    free(c->block);
  c->block = NULL;
}

static int take_block(se_connection *c) {
  if (c->block != NULL)
    return 1;
  c->block = c->home->spare_block;
  c->home->spare_block = NULL;
  if (c->block == NULL)
    c->block = malloc(BLOCK);
  return c->block != NULL;
}

/* --- receiving -------------------------------------------------------------------------------- */

/* Reads into the block behind what it holds, within the budget. FILL_FAILED: c->message says why,
 * unless sending had failed before, which is then the reason. */
int se_connection_fill(se_connection *c) {
  size_t got = 0;
  if (!c->readable || c->budget == 0)
    return FILL_NOTHING;
  if (!take_block(c)) {
    if (c->end.kind == NULL)
      snprintf(c->message, sizeof c->message, "not enough memory");
    return FILL_FAILED;
  }
  size_t room = BLOCK - c->have;
  CURLcode result = curl_easy_recv(c->easy, c->block + c->have, room, &got);
  if (result == CURLE_AGAIN) {
    c->readable = 0;
    if (c->have == 0)
      se_connection_free_block(c);
    return FILL_NOTHING;
  }
  if (result != CURLE_OK) {
    if (!c->broken)
      se_connection_note_failure(c, result);
    return FILL_FAILED;
  }
  if (got == 0)
    return FILL_EOF;
  if (c->direct && got < room)
    c->readable = 0;
  c->have += got;
  c->budget -= got < c->budget ? got : c->budget;
  c->heard = se_now();
  c->received_at = se_date();
  return FILL_BYTES;
}

/* The peer, or the network, has ended the connection without a close frame. */
static void end_without_word(se_connection *c, int how) {
  if (c->end.kind != NULL) {
    se_connection_release(c);
    return;
  }
  if (how == FILL_FAILED)
    se_connection_end_now(c, "network", ABNORMAL, c->message);
  else
    se_connection_end_now(c, "network", ABNORMAL,
                          "the server ended the connection without a close frame");
}

/* --- the last words --------------------------------------------------------------------------- */

/* Sends what is left, then waits for the peer's end: closing a socket with unread bytes would reset
 * the connection, and the peer might never read our close frame. After a closing handshake it is
 * the server that ends the TCP connection (RFC 6455 §7.1.1), for some time at most. */
void se_connection_last_turn(se_connection *c) {
  se_connection_flush(c);
  if (c->broken) {
    se_connection_release(c);
    return;
  }
  if (!c->blocked && c->shut) {
    shutdown(c->fd, SHUT_WR);
    c->shut = 0;
  }
  for (;;) {
    int how = se_connection_fill(c);
    c->at = c->have = 0;
    if (how == FILL_NOTHING)
      return;
    if (how != FILL_BYTES) {
      se_connection_release(c);
      return;
    }
  }
}

static void begin_last(se_connection *c, int shut) {
  c->phase = PHASE_LAST;
  c->shut = shut;
  c->at = c->have = 0;
  double latest = se_now() + LAST_SECONDS;
  if (latest < c->deadline)
    c->deadline = latest;
  se_connection_last_turn(c);
}

/* --- messages --------------------------------------------------------------------------------- */

static void on_close_frame(se_connection *c, const se_ws_item *item) {
  if (item->len > 0)
    snprintf(c->message, sizeof c->message, "%.*s", (int)item->len, item->data);
  else
    snprintf(c->message, sizeof c->message, "closed by %s",
             c->phase == PHASE_CLOSING ? "this client" : "the server");
  se_connection_set_end(c, "closed", item->code, c->message);
  begin_last(c, 0);
}

static void on_protocol_error(se_connection *c) {
  snprintf(c->message, sizeof c->message, "the server broke the WebSocket protocol: %s",
           c->ws.reason);
  se_connection_set_end(c, c->ws.close_code == 1011 ? "memory" : "protocol", c->ws.close_code,
                        c->message);
  begin_last(c, 1);
}

/* se_scan asks this as soon as it knows the type. */
static int is_wanted(void *user, const char *type, size_t len) {
  se_connection *c = user;
  c->route = se_router_decide(c->router, type, len);
  return c->route != SE_ROUTE_UNWANTED && c->route != SE_ROUTE_REFUSED;
}

/* A text that is to be more than counted must be UTF-8; that nobody wants it shows before. */
static int is_text(se_connection *c, const se_ws_item *item) {
  if (!item->unchecked || se_utf8_valid(item->data, item->len) == item->len)
    return 1;
  se_ws_refuse_text(&c->ws);
  c->stuck = 1; /* the close frame is owed even if no byte is left */
  return 0;
}

/* What the scan found: SE_NEXT_NOTHING when nobody wants it, and when it is no event. */
static int scanned(se_connection *c, int found, se_received *out) {
  if (found != SE_SCAN_EVENT)
    return SE_NEXT_NOTHING;
  out->envelope = &c->home->envelope;
  out->route = c->route;
  return c->route == SE_ROUTE_DELIVER ? SE_NEXT_EVENT : SE_NEXT_JUDGE;
}

static int malformed(const se_envelope *envelope, se_received *out) {
  out->reason = envelope->reason;
  out->position = envelope->position;
  return SE_NEXT_MALFORMED;
}

/* What to make of a message: SE_NEXT_NOTHING when nobody wants it. */
static int on_message(se_connection *c, const se_ws_item *item, se_received *out) {
  se_envelope *envelope = &c->home->envelope;
  out->data = item->data;
  out->len = item->len;
  out->received_at = c->received_at;
  if (c->router == NULL) {
    out->is_binary = item->opcode == SE_WS_BINARY;
    return SE_NEXT_RAW;
  }
  if (item->opcode == SE_WS_BINARY) {
    out->reason = "a binary message";
    out->position = 0;
    return SE_NEXT_MALFORMED;
  }
  /* The scan checks the text itself when somebody wants it. */
  int found = se_scan(item->data, item->len, !item->unchecked, is_wanted, c, envelope);
  if (found != SE_SCAN_BAD)
    return scanned(c, found, out);
  return is_text(c, item) ? malformed(envelope, out) : SE_NEXT_NOTHING;
}

int se_connection_judge(se_connection *c, const char *text, size_t len, se_received *out) {
  if (c->home == NULL)
    return SE_NEXT_NOTHING;
  se_envelope *envelope = &c->home->envelope;
  c->home->serial++;
  out->data = text;
  out->len = len;
  out->received_at = se_date();
  int found = se_scan(text, len, 0, is_wanted, c, envelope);
  return found == SE_SCAN_BAD ? malformed(envelope, out) : scanned(c, found, out);
}

/* Goes through the bytes that are there. A result of SE_NEXT_*; SE_NEXT_NOTHING also when the
 * connection has come to its end, or is stuck. */
static int parse(se_connection *c, se_received *out) {
  while (c->at < c->have || c->stuck) {
    se_ws_item item;
    size_t taken = 0;
    char *bytes = c->block == NULL ? NULL : c->block + c->at;
    int result = se_ws_read(&c->ws, bytes, c->have - c->at, &taken, &item, &c->output);
    c->at += taken;
    c->stuck = 0;
    switch (result) {
      case SE_WS_MESSAGE: {
        int what = on_message(c, &item, out);
        if (what != SE_NEXT_NOTHING)
          return what;
        break;
      }
      case SE_WS_CLOSED:
        on_close_frame(c, &item);
        return SE_NEXT_NOTHING;
      case SE_WS_FAILED:
        on_protocol_error(c);
        return SE_NEXT_NOTHING;
      case SE_WS_BLOCKED:
        c->stuck = 1; /* also says that the answer is still owed when all bytes are taken */
        se_connection_flush(c);
        if (c->broken)
          se_buffer_free(&c->output); /* room for what nobody will read */
        if (c->blocked)
          return SE_NEXT_NOTHING;
        break;
      default: break; /* all bytes are taken, or a ping or pong came */
    }
  }
  return SE_NEXT_NOTHING;
}

/* Parses, and reads when all is parsed. */
int se_connection_pull(se_connection *c, se_received *out) {
  if (c->phase != PHASE_OPEN && c->phase != PHASE_CLOSING)
    return SE_NEXT_NOTHING;
  c->home->serial++;
  for (;;) {
    int what = parse(c, out);
    if (what != SE_NEXT_NOTHING || is_over(c) || c->stuck)
      return what;
    c->at = c->have = 0;
    if (c->paused)
      break;
    int how = se_connection_fill(c);
    if (how == FILL_BYTES)
      continue;
    if (how != FILL_NOTHING)
      end_without_word(c, how);
    break;
  }
  if (c->have == 0)
    se_connection_free_block(c);
  return SE_NEXT_NOTHING;
}

int se_connection_next(se_connection *c, se_received *out) {
  c->pulled = 1;
  int what = se_connection_pull(c, out);
  if (!is_over(c) && !c->blocked && se_buffer_length(&c->output) > 0)
    se_connection_flush(c); /* pongs */
  return what;
}

void se_connection_forget(se_connection *c) {
  if (c->home != NULL)
    c->home->serial++;
}

uint64_t se_connection_serial(const se_connection *c) {
  return c->home == NULL ? 0 : c->home->serial; /* which is past 0 once anything was handed out */
}

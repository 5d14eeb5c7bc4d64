/* ws_conn.c -- a connection after its handshake: frames in, control frames and the closing out. */
#include "conn.h"

#include <stdlib.h>
#include <string.h>

#include "status.h"
#include "upgrade.h"

/* Sends what ws.c has written into the scratch buffer. */
static int send_control(se_listener *listener, se_conn *conn) {
  se_buffer *control = &listener->scratch;
  int status = SE_OK;
  if (se_buffer_length(control) > 0)
    status = se_conn_write(conn, 1, se_buffer_bytes(control), se_buffer_length(control));
  se_buffer_consume(control, se_buffer_length(control), SE_INPUT_SIZE);
  return status;
}

/* Our close frame is out or queued; the peer has some time for its own. */
static void await_close(se_listener *listener, se_conn *conn) {
  conn->state = SE_CONN_CLOSING;
  se_conn_timer(listener, conn, SE_TIMER_LINGER);
  se_conn_watch(listener, conn);
}

/* It does not read. What is queued is given up, so that the close frame has a chance. */
static void too_slow(se_listener *listener, se_conn *conn) {
  static const char reason[] = "too slow";
  int status;
  if (conn->state != SE_CONN_WS) {
    se_conn_drop(listener, conn);
    return;
  }
  listener->counts.too_slow++;
  se_output_trim(&conn->out.output);
  se_conn_gone(listener, conn, 1013);
  se_ws_close(conn->ws, 1013, reason, sizeof reason - 1, &listener->scratch);
  status = send_control(listener, conn);
  if (status != SE_OK && status != SE_AGAIN) {
    se_conn_drop(listener, conn);
    return;
  }
  await_close(listener, conn);
  /* What lies in the system's buffers has to be read before it. */
  if (status == SE_AGAIN && conn->state == SE_CONN_CLOSING)
    se_conn_timer(listener, conn, SE_TIMER_SLOW);
}

void se_ws_conn_sent(se_listener *listener, se_conn *conn, int status) {
  if (status != SE_OK && status != SE_AGAIN)
    se_conn_drop(listener, conn);
  else if (se_output_cost(&conn->out.output) > listener->options.max_output)
    too_slow(listener, conn);
  else
    se_conn_watch(listener, conn);
}

void se_ws_conn_close(se_listener *listener, se_conn *conn, uint16_t code, const char *reason,
                      size_t len) {
  /* What was sent and broadcast before goes out before. */
  int status = se_fanout_flush_one(listener->fanout, &conn->out);
  if (status == SE_OK || status == SE_AGAIN) {
    se_ws_close(conn->ws, code, reason, len, &listener->scratch);
    status = send_control(listener, conn);
  }
  se_conn_gone(listener, conn, code);
  if (status == SE_OK || status == SE_AGAIN)
    await_close(listener, conn);
  else
    se_conn_drop(listener, conn);
}

/* Keeps a copy of a message for se_listener_next. 0: no memory. */
static int keep_message(se_conn *conn, const se_ws_item *item) {
  se_inbound *inbound = malloc(sizeof *inbound + item->len);
  if (inbound == NULL)
    return 0;
  inbound->next = NULL;
  inbound->opcode = item->opcode;
  inbound->len = item->len;
  if (item->len > 0)
    memcpy(inbound->data, item->data, item->len);
  *conn->inbound_end = inbound;
  conn->inbound_end = &inbound->next;
  return 1;
}

/* Whether this second has brought more than a client may send. */
static int is_flood(const se_listener *listener, se_conn *conn) {
  uint32_t second = (uint32_t)(int64_t)listener->now;
  if (listener->options.max_message_rate == 0)
    return 0;
  if (conn->second != second) {
    conn->second = second;
    conn->heard = 0;
  }
  return ++conn->heard > listener->options.max_message_rate;
}

static void on_message(se_listener *listener, se_conn *conn, const se_ws_item *item) {
  static const char reason[] = "too many messages";
  if (conn->state != SE_CONN_WS)
    return;
  if (is_flood(listener, conn)) {
    listener->counts.too_busy++;
    se_ws_conn_close(listener, conn, 1008, reason, sizeof reason - 1);
    return;
  }
  if (item->opcode == SE_WS_PONG)
    return;
  if (listener->options.messages && !keep_message(conn, item))
    se_ws_conn_close(listener, conn, 1011, "", 0);
  else
    se_conn_emit(listener, conn, SE_PENDING_MESSAGE);
}

static void finish(se_listener *listener, se_conn *conn, int status) {
  if (status == SE_OK || status == SE_AGAIN) {
    se_conn_timer(listener, conn, SE_TIMER_LINGER);
    se_conn_finish(listener, conn);
  } else {
    se_conn_drop(listener, conn);
  }
}

/* What the caller has not yet seen came before the end, and so do the answers to it: the close
 * frame waits for them. */
static void leave_later(se_listener *listener, se_conn *conn) {
  se_buffer *control = &listener->scratch;
  size_t len = se_buffer_length(control);
  int status = se_buffer_append(&conn->rest, se_buffer_bytes(control), len);
  se_buffer_consume(control, len, SE_INPUT_SIZE);
  if (status != SE_OK) {
    se_conn_drop(listener, conn);
    return;
  }
  conn->state = SE_CONN_LEAVING;
  se_conn_timer(listener, conn, SE_TIMER_LINGER);
  se_conn_watch(listener, conn);
}

void se_ws_conn_leave(se_listener *listener, se_conn *conn) {
  int status = se_fanout_flush_one(listener->fanout, &conn->out);
  if (status == SE_OK || status == SE_AGAIN)
    status = se_conn_write(conn, 1, se_buffer_bytes(&conn->rest), se_buffer_length(&conn->rest));
  se_buffer_free(&conn->rest);
  finish(listener, conn, status);
}

/* The peer's close frame came, or it broke the protocol: an answer is the last it gets. */
static void end(se_listener *listener, se_conn *conn, int code) {
  int answers = conn->state == SE_CONN_WS && (conn->pending & SE_PENDING_MESSAGE);
  se_conn_gone(listener, conn, code);
  if (answers)
    leave_later(listener, conn);
  else
    finish(listener, conn, send_control(listener, conn));
}

void se_ws_conn_input(se_listener *listener, se_conn *conn, char *data, size_t len) {
  se_ws_item item;
  size_t taken;
  if (conn->state == SE_CONN_WS)
    se_conn_timer(listener, conn, SE_TIMER_IDLE);
  while (conn->state == SE_CONN_WS || conn->state == SE_CONN_CLOSING) {
    int result = se_ws_read(conn->ws, data, len, &taken, &item, &listener->scratch);
    data += taken;
    len -= taken;
    if (result == SE_WS_MESSAGE || result == SE_WS_CONTROL) {
      on_message(listener, conn, &item);
    } else if (result == SE_WS_CLOSED) {
      end(listener, conn, item.code);
      return;
    } else if (result == SE_WS_FAILED) {
      end(listener, conn, conn->ws->close_code);
      return;
    } else {
      /* All is taken, or the answers must make room. */
      se_ws_conn_sent(listener, conn, send_control(listener, conn));
      if (result == SE_WS_MORE)
        return;
    }
  }
}

void se_ws_conn_begin(se_listener *listener, se_conn *conn) {
  char head[160] =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: ";
  char accept[SE_UPGRADE_ACCEPT + 1];
  size_t key_len, len = strlen(head), rest_len;
  const char *key = se_http_value(se_http_reader_request(conn->reader), "sec-websocket-key",
                                  &key_len);
  se_buffer rest = conn->rest;
  int status;
  if (se_upgrade_accept(key, key_len, accept) != 0) {
    se_http_conn_refuse(listener, conn, 500, "this server cannot make WebSockets");
    return;
  }
  memcpy(head + len, accept, SE_UPGRADE_ACCEPT);
  memcpy(head + len + SE_UPGRADE_ACCEPT, "\r\n\r\n", 4);
  len += SE_UPGRADE_ACCEPT + 4;
  se_http_reader_free(conn->reader);
  conn->reader = NULL;
  conn->stalled = 0;
  conn->ws = malloc(sizeof *conn->ws);
  status = conn->ws == NULL ? SE_ERR_MEMORY : se_conn_write(conn, 0, head, len);
  if (conn->ws != NULL)
    se_ws_init(conn->ws, SE_WS_SERVER, listener->options.max_message);
  conn->state = SE_CONN_WS;
  conn->counted = 1;
  listener->counts.websockets++;
  se_conn_timer(listener, conn, SE_TIMER_IDLE);
  /* What followed the handshake are frames. */
  se_buffer_init(&conn->rest, SE_INPUT_SIZE);
  se_ws_conn_sent(listener, conn, status);
  rest_len = se_buffer_length(&rest);
  if (rest_len > 0 && conn->state == SE_CONN_WS)
    se_ws_conn_input(listener, conn, rest.data + rest.start, rest_len);
  se_buffer_free(&rest);
}

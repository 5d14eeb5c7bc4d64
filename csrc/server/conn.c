/* conn.c -- what an HTTP connection and a WebSocket have in common: watching, sending, ending. */
#include "conn.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "status.h"

/* What a peer may still send after the last answer before it is cut off: so much that a client that
 * is in the middle of an upload gets to read why it was refused. */
#define MOST_DRAINED (4u << 20)

static int wanted_events(const se_conn *conn) {
  int write = se_output_empty(&conn->out.output) ? 0 : SE_POLL_WRITE;
  switch (conn->state) {
    case SE_CONN_HTTP:
      return SE_POLL_READ | write;
    case SE_CONN_BUSY:
    case SE_CONN_UPGRADE:
      /* Left as it is until something really comes: most clients wait for the answer. */
      return conn->stalled ? write : SE_POLL_READ | write;
    case SE_CONN_WS:
    case SE_CONN_CLOSING:
    case SE_CONN_FLUSHING:
      return conn->ended ? write : SE_POLL_READ | write;
    case SE_CONN_ANSWERING:
      return write;
    case SE_CONN_DRAIN:
      return SE_POLL_READ;
    default:
      return 0;
  }
}

void se_conn_watch(se_listener *listener, se_conn *conn) {
  int events = wanted_events(conn);
  if (conn->state == SE_CONN_DEAD || events == conn->watched)
    return;
  if (se_poller_set(listener->poller, conn->out.fd, conn->watched, events, conn) != 0) {
    se_conn_drop(listener, conn);
    return;
  }
  conn->watched = (uint8_t)events;
}

void se_conn_timer(se_listener *listener, se_conn *conn, int kind) {
  if (kind == SE_TIMER_NONE)
    se_timers_stop(&conn->timer);
  else
    se_timers_start(&listener->timers, &conn->timer, kind, listener->now);
}

void se_conn_emit(se_listener *listener, se_conn *conn, int pending) {
  conn->pending |= (uint8_t)pending;
  if (conn->listed)
    return;
  conn->listed = 1;
  conn->next = NULL;
  *listener->results_end = conn;
  listener->results_end = &conn->next;
}

void se_conn_gone(se_listener *listener, se_conn *conn, int code) {
  se_fanout_detach(listener->fanout, &conn->out);
  if (!conn->counted)
    return;
  conn->counted = 0;
  conn->close_code = (uint16_t)code;
  listener->counts.websockets--;
  se_conn_emit(listener, conn, SE_PENDING_CLOSED);
}

void se_conn_drop(se_listener *listener, se_conn *conn) {
  if (conn->state == SE_CONN_DEAD)
    return;
  se_conn_gone(listener, conn, 1006);
  if (conn->watched)
    se_poller_set(listener->poller, conn->out.fd, conn->watched, 0, NULL);
  close(conn->out.fd);
  se_timers_stop(&conn->timer);
  se_fanout_remove(listener->fanout, &conn->out);
  se_http_reader_free(conn->reader);
  conn->reader = NULL;
  se_buffer_free(&conn->rest);
  if (conn->ws != NULL)
    se_ws_free(conn->ws);
  free(conn->ws);
  conn->ws = NULL;
  conn->state = SE_CONN_DEAD;
  conn->pending &= SE_PENDING_MESSAGE | SE_PENDING_CLOSED;
  listener->free_slots[listener->free_count++] = (uint32_t)(conn->id & SE_SLOT_MASK);
  listener->slots[conn->id & SE_SLOT_MASK] = NULL;
  if (conn->shares)
    se_addresses_give(listener->addresses, &conn->address);
  listener->counts.connections--;
  if (!conn->listed) {
    conn->next = listener->dead;
    listener->dead = conn;
  }
}

int se_conn_write(se_conn *conn, int frames, const char *data, size_t len) {
  se_output *output = &conn->out.output;
  size_t sent = 0;
  se_block *block;
  int status;
  if (se_output_empty(output)) {
    ptrdiff_t taken = se_socket_send(conn->out.fd, data, len);
    if (taken < 0)
      return SE_ERR_NETWORK;
    sent = (size_t)taken;
    if (sent == len)
      return SE_OK;
  }
  block = se_block_new(frames);
  if (block == NULL)
    return SE_ERR_MEMORY;
  if (!frames) { /* else the block must show where its frames begin */
    data += sent;
    len -= sent;
    sent = 0;
  }
  status = se_block_append(block, data, len);
  if (status == SE_OK)
    status = se_output_add(output, block, sent, len);
  se_block_release(block);
  return status == SE_OK ? SE_AGAIN : status;
}

void se_conn_finish(se_listener *listener, se_conn *conn) {
  if (!se_output_empty(&conn->out.output)) {
    conn->state = SE_CONN_FLUSHING;
  } else if (conn->ended) {
    se_conn_drop(listener, conn);
    return;
  } else {
    /* Closing at once would, if there is unread input, make the system throw away what the peer
     * has not yet read. */
    shutdown(conn->out.fd, SHUT_WR);
    conn->state = SE_CONN_DRAIN;
    se_conn_timer(listener, conn, SE_TIMER_LINGER);
  }
  se_conn_watch(listener, conn);
}

void se_conn_writable(se_listener *listener, se_conn *conn) {
  int status = se_output_send(&conn->out.output, conn->out.fd);
  if (status == SE_ERR_NETWORK) {
    se_conn_drop(listener, conn);
    return;
  }
  if (status == SE_OK && conn->state == SE_CONN_FLUSHING)
    se_conn_finish(listener, conn);
  else if (status == SE_OK && conn->state == SE_CONN_ANSWERING)
    se_http_conn_next(listener, conn);
  else
    se_conn_watch(listener, conn);
}

void se_conn_discard(se_listener *listener, se_conn *conn, size_t len) {
  conn->drained += (uint32_t)len;
  if (conn->drained > MOST_DRAINED)
    se_conn_drop(listener, conn);
}

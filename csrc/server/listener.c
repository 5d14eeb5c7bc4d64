/* listener.c -- the listening socket, the turns, and the results. */
#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "conn.h"
#include "sockets.h"
#include "status.h"

#define READY_AT_ONCE 256 /* sockets asked of the poller at a time, ... */
#define READY_ROUNDS 4    /* ...and how often in one step */
#define ACCEPT_PAUSE 0.25 /* seconds, when the system has no descriptor or no memory for one */
#define LINGER 3.0        /* seconds that a peer gets to answer a close frame or to shut its side */
/* Frames that may wait for a flush before it is done unasked, so that a turn stays bounded. */
#define MOST_WAITING (8u << 20)

/* ---- opening ---- */

static void set_timers(se_listener *listener, const se_listen_options *options) {
  se_timers_set(&listener->timers, SE_TIMER_HEADER, options->header_timeout);
  se_timers_set(&listener->timers, SE_TIMER_BODY, options->body_timeout);
  se_timers_set(&listener->timers, SE_TIMER_KEEPALIVE, options->keepalive_timeout);
  se_timers_set(&listener->timers, SE_TIMER_IDLE, options->idle_timeout);
  se_timers_set(&listener->timers, SE_TIMER_SLOW, options->slow_timeout);
}

void se_listener_configure(se_listener *listener, const se_listen_options *options) {
  int messages = listener->options.messages;
  listener->options = *options;
  listener->options.host = NULL;
  listener->options.messages = messages;
  set_timers(listener, options);
}

se_listener *se_listener_open(const se_listen_options *options, int *status, char *message,
                              size_t message_size) {
  se_listener *listener = calloc(1, sizeof *listener);
  char reason[128] = "";
  *status = SE_ERR_MEMORY;
  snprintf(message, message_size, "not enough memory");
  if (listener == NULL)
    return NULL;
  listener->options = *options;
  listener->fd = listener->reserve_fd = -1;
  listener->results_end = &listener->results;
  listener->later_end = &listener->later;
  listener->now = se_now();
  se_timers_init(&listener->timers);
  set_timers(listener, options);
  se_timers_set(&listener->timers, SE_TIMER_LINGER, LINGER);
  se_timers_set(&listener->timers, SE_TIMER_ACCEPT, ACCEPT_PAUSE);
  se_buffer_init(&listener->scratch, 2 * SE_INPUT_SIZE);
  listener->fanout = se_fanout_new();
  listener->addresses = se_addresses_new();
  listener->input = malloc(SE_INPUT_SIZE);
  if (listener->fanout == NULL || listener->addresses == NULL || listener->input == NULL)
    goto fail;
  *status = SE_ERR_NETWORK;
  listener->poller = se_poller_new();
  if (listener->poller == NULL) {
    snprintf(message, message_size, "cannot listen: %s", strerror(errno));
    goto fail;
  }
  listener->fd = se_socket_listen(options->host, options->port, reason, sizeof reason);
  if (listener->fd < 0) {
    const char *format = strchr(options->host, ':') != NULL ? "cannot listen on [%s]:%d: %s"
                                                            : "cannot listen on %s:%d: %s";
    snprintf(message, message_size, format, options->host, options->port, reason);
    goto fail;
  }
  listener->reserve_fd = se_socket_reserve();
  if (se_poller_set(listener->poller, listener->fd, 0, SE_POLL_READ, listener) != 0) {
    snprintf(message, message_size, "cannot listen: %s", strerror(errno));
    goto fail;
  }
  listener->options.host = NULL;
  *status = SE_OK;
  return listener;
fail:
  se_listener_free(listener);
  return NULL;
}

/* ---- connections that are gone, and those that are there ---- */

static void free_inbound(se_conn *conn) {
  while (conn->inbound != NULL) {
    se_inbound *next = conn->inbound->next;
    free(conn->inbound);
    conn->inbound = next;
  }
}

/* Goes on with the requests that came behind others. Those that wait are in the order of their
 * turns, and dead ones are still there to be left out. */
static void read_later(se_listener *listener) {
  se_conn *conn = listener->later;
  listener->later = NULL;
  listener->later_end = &listener->later;
  while (conn != NULL) {
    se_conn *next = conn->next_later;
    conn->put_off = 0;
    if (conn->state == SE_CONN_HTTP)
      se_http_conn_go_on(listener, conn);
    conn = next;
  }
}

/* Frees the connections that ended during earlier calls. */
static void bury(se_listener *listener) {
  while (listener->dead != NULL) {
    se_conn *conn = listener->dead;
    listener->dead = conn->next;
    free_inbound(conn);
    free(conn);
  }
}

static se_conn *find(const se_listener *listener, int64_t id) {
  int64_t slot = id & SE_SLOT_MASK;
  se_conn *conn = slot < (int64_t)listener->slot_count ? listener->slots[slot] : NULL;
  return conn != NULL && conn->id == id ? conn : NULL;
}

static se_conn *find_ws(const se_listener *listener, int64_t id) {
  se_conn *conn = find(listener, id);
  return conn != NULL && conn->state == SE_CONN_WS ? conn : NULL;
}

int se_listener_exempt(se_listener *listener, const char *network) {
  if (network != NULL)
    return se_addresses_exempt(listener->addresses, network);
  se_addresses_exempt_none(listener->addresses);
  return SE_OK;
}

/* ---- a turn ---- */

static void at_end(se_listener *listener, se_conn *conn) {
  if (conn->state == SE_CONN_HTTP) {
    se_http_conn_eof(listener, conn);
  } else if (conn->state == SE_CONN_FLUSHING) {
    conn->ended = 1;
    se_conn_watch(listener, conn);
  } else {
    se_conn_drop(listener, conn);
  }
}

static void read_some(se_listener *listener, se_conn *conn) {
  ssize_t len = recv(conn->out.fd, listener->input, SE_INPUT_SIZE, 0);
  if (len == 0) {
    at_end(listener, conn);
  } else if (len < 0) {
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
      se_conn_drop(listener, conn);
  } else if (conn->state == SE_CONN_HTTP) {
    se_http_conn_input(listener, conn, listener->input, (size_t)len);
  } else if (conn->state == SE_CONN_WS || conn->state == SE_CONN_CLOSING) {
    se_ws_conn_input(listener, conn, listener->input, (size_t)len);
  } else {
    se_conn_discard(listener, conn, (size_t)len);
  }
}

static void on_ready(se_listener *listener, se_conn *conn, int events, int may_read) {
  if ((events & SE_POLL_WRITE) && !se_output_empty(&conn->out.output))
    se_conn_writable(listener, conn);
  if ((events & (SE_POLL_READ | SE_POLL_ERROR)) == 0)
    return;
  switch (conn->state) {
    case SE_CONN_BUSY:
    case SE_CONN_UPGRADE:
    case SE_CONN_ANSWERING:
      if (events & SE_POLL_ERROR) {
        se_conn_drop(listener, conn);
      } else {
        conn->stalled = 1;
        se_conn_watch(listener, conn);
      }
      break;
    case SE_CONN_LEAVING: /* what is wrong with the socket shows when it sends its last */
    case SE_CONN_DEAD:
      break;
    default:
      if (may_read && !conn->put_off)
        read_some(listener, conn);
  }
}

static void expire(se_listener *listener) {
  se_timer *timer;
  int kind;
  while ((timer = se_timers_expired(&listener->timers, listener->now, &kind)) != NULL) {
    se_conn *conn = (se_conn *)(void *)((char *)timer - offsetof(se_conn, timer));
    switch (kind) {
      case SE_TIMER_ACCEPT: /* not of a connection */
        se_accept_resume(listener);
        break;
      case SE_TIMER_HEADER:
      case SE_TIMER_BODY:
        listener->counts.timed_out++;
        se_http_conn_timeout(listener, conn);
        break;
      case SE_TIMER_IDLE:
        listener->counts.timed_out++;
        se_ws_conn_close(listener, conn, 1001, "idle", 4);
        break;
      default:
        se_conn_drop(listener, conn);
    }
  }
}

static void forget_handed_out(se_listener *listener) {
  free(listener->handed_out);
  listener->handed_out = NULL;
}

void se_listener_step(se_listener *listener) {
  se_poll_result ready[READY_AT_ONCE];
  int may_read = listener->results == NULL, round = 0, count, i;
  listener->now = se_now();
  forget_handed_out(listener);
  if (may_read) {
    read_later(listener);
    bury(listener);
  }
  do {
    count = se_poller_wait(listener->poller, 0, ready, READY_AT_ONCE);
    for (i = 0; i < count; i++) {
      if (ready[i].tag != listener)
        on_ready(listener, ready[i].tag, ready[i].events, may_read);
      else if (may_read)
        se_accept_some(listener);
    }
  } while (count == READY_AT_ONCE && may_read && ++round < READY_ROUNDS);
  expire(listener);
}

int se_listener_fd(const se_listener *listener) {
  return se_poller_fd(listener->poller);
}

double se_listener_timeout(const se_listener *listener) {
  return listener->later != NULL ? 0 : se_timers_next(&listener->timers, se_now());
}

int se_listener_address(const se_listener *listener, char *host) {
  struct sockaddr_storage address;
  socklen_t len = sizeof address;
  const void *ip;
  int port;
  host[0] = '\0';
  if (listener->fd < 0 || getsockname(listener->fd, (struct sockaddr *)&address, &len) != 0)
    return 0;
  if (address.ss_family == AF_INET6) {
    const struct sockaddr_in6 *six = (const void *)&address;
    ip = &six->sin6_addr;
    port = ntohs(six->sin6_port);
  } else {
    const struct sockaddr_in *four = (const void *)&address;
    ip = &four->sin_addr;
    port = ntohs(four->sin_port);
  }
  inet_ntop(address.ss_family, ip, host, SE_ADDRESS_SIZE);
  return port;
}

/* ---- results ---- */

static void unlist(se_listener *listener, se_conn *conn) {
  listener->results = conn->next;
  if (listener->results == NULL)
    listener->results_end = &listener->results;
  conn->listed = 0;
  if (conn->state == SE_CONN_DEAD) {
    conn->next = listener->dead;
    listener->dead = conn;
  }
}

/* A message whose bytes are wanted; the last one takes the mark with it. */
static void take_message(se_listener *listener, se_conn *conn, se_event *event) {
  se_inbound *inbound = conn->inbound;
  if (inbound == NULL) {
    conn->pending &= (uint8_t)~SE_PENDING_MESSAGE;
    return;
  }
  conn->inbound = inbound->next;
  if (conn->inbound == NULL) {
    conn->inbound_end = &conn->inbound;
    conn->pending &= (uint8_t)~SE_PENDING_MESSAGE;
  }
  listener->handed_out = inbound;
  event->opcode = inbound->opcode;
  event->data = inbound->data;
  event->len = inbound->len;
}

static const char *text_of(se_listener *listener, const se_address *address) {
  if (listener->printed_text[0] == '\0' ||
      memcmp(address, &listener->printed, sizeof *address) != 0) {
    inet_ntop(address->ipv6 ? AF_INET6 : AF_INET, address->bytes, listener->printed_text,
              SE_ADDRESS_SIZE);
    listener->printed = *address;
  }
  return listener->printed_text;
}

static int take(se_listener *listener, se_conn *conn, se_event *event) {
  event->connection = conn->id;
  if (conn->pending & (SE_PENDING_REQUEST | SE_PENDING_UPGRADE)) {
    int upgrade = (conn->pending & SE_PENDING_UPGRADE) != 0;
    conn->pending &= (uint8_t)~(SE_PENDING_REQUEST | SE_PENDING_UPGRADE);
    event->request = se_http_reader_request(conn->reader);
    event->peer = text_of(listener, &conn->address);
    return upgrade ? SE_EVENT_UPGRADE : SE_EVENT_REQUEST;
  }
  if (conn->pending & SE_PENDING_MESSAGE) {
    take_message(listener, conn, event);
    return SE_EVENT_MESSAGE;
  }
  if (conn->pending & SE_PENDING_CLOSED) {
    conn->pending &= (uint8_t)~SE_PENDING_CLOSED;
    event->code = conn->close_code;
    if (conn->state == SE_CONN_LEAVING) {
      listener->now = se_now();
      se_ws_conn_leave(listener, conn);
    }
    return SE_EVENT_CLOSED;
  }
  return SE_EVENT_NONE;
}

int se_listener_next(se_listener *listener, se_event *event) {
  forget_handed_out(listener);
  memset(event, 0, sizeof *event);
  while (listener->results != NULL) {
    se_conn *conn = listener->results;
    int kind = take(listener, conn, event);
    if (conn->pending == 0)
      unlist(listener, conn);
    if (kind != SE_EVENT_NONE)
      return kind;
  }
  return SE_EVENT_NONE;
}

/* ---- what the caller decides ---- */

/* The connection whose request or handshake was handed out and waits for an answer. */
static se_conn *find_owed(const se_listener *listener, int64_t id) {
  se_conn *conn = find(listener, id);
  if (conn == NULL || (conn->state != SE_CONN_BUSY && conn->state != SE_CONN_UPGRADE) ||
      (conn->pending & (SE_PENDING_REQUEST | SE_PENDING_UPGRADE)))
    return NULL;
  return conn;
}

int se_listener_respond(se_listener *listener, int64_t connection, int status, const char *body,
                        size_t len, const char *lines, size_t lines_len) {
  se_conn *conn = find_owed(listener, connection);
  if (conn == NULL)
    return 0;
  listener->now = se_now();
  se_http_conn_respond(listener, conn, status, body, len, lines, lines_len);
  return conn->state != SE_CONN_DEAD;
}

int se_listener_refuse(se_listener *listener, int64_t connection, int status, const char *reason) {
  se_conn *conn = find_owed(listener, connection);
  if (conn == NULL)
    return 0;
  listener->now = se_now();
  se_http_conn_refuse(listener, conn, status, reason);
  return 1;
}

int se_listener_accept(se_listener *listener, int64_t connection) {
  se_conn *conn = find_owed(listener, connection);
  if (conn == NULL || conn->state != SE_CONN_UPGRADE)
    return 0;
  listener->now = se_now();
  if (listener->stopping) {
    se_http_conn_refuse(listener, conn, 503, "the server is shutting down");
    return 0;
  }
  se_ws_conn_begin(listener, conn);
  return conn->ws != NULL;
}

int se_listener_may_close(unsigned code, const char *reason, size_t len) {
  se_buffer unused;
  se_ws ws;
  int status;
  if (code == 0 || code > 4999)
    return 0;
  se_buffer_init(&unused, 256);
  se_ws_init(&ws, SE_WS_SERVER, 0);
  status = se_ws_close(&ws, (uint16_t)code, reason, len, &unused);
  se_buffer_free(&unused);
  return status != SE_ERR_ARGUMENT;
}

int se_listener_close(se_listener *listener, int64_t connection, uint16_t code, const char *reason,
                      size_t len) {
  se_conn *conn = find_ws(listener, connection);
  if (conn == NULL)
    return 0;
  listener->now = se_now();
  se_ws_conn_close(listener, conn, code, reason, len);
  return 1;
}

static void flush_if_much(se_listener *listener) {
  if (se_fanout_waiting(listener->fanout) > MOST_WAITING)
    se_listener_flush(listener);
}

int se_listener_send(se_listener *listener, int64_t connection, int opcode, const char *data,
                     size_t len) {
  se_conn *conn = find(listener, connection);
  if (conn == NULL || (conn->state != SE_CONN_WS && conn->state != SE_CONN_LEAVING))
    return 0;
  if (se_fanout_send(listener->fanout, &conn->out, opcode, data, len) != SE_OK) {
    se_conn_drop(listener, conn); /* a gap in what it receives would be worse */
    return 0;
  }
  flush_if_much(listener);
  return 1;
}

int se_listener_join(se_listener *listener, int64_t group, int64_t connection) {
  se_conn *conn = find_ws(listener, connection);
  return conn == NULL ? 0 : se_fanout_join(listener->fanout, group, &conn->out);
}

int se_listener_leave(se_listener *listener, int64_t group, int64_t connection) {
  se_conn *conn = find_ws(listener, connection);
  return conn == NULL ? 0 : se_fanout_leave(listener->fanout, group, &conn->out);
}

size_t se_listener_group_size(const se_listener *listener, int64_t group) {
  return se_fanout_size(listener->fanout, group);
}

ptrdiff_t se_listener_broadcast(se_listener *listener, int64_t group, const char *data,
                                size_t len) {
  ptrdiff_t count = se_fanout_broadcast(listener->fanout, group, SE_WS_TEXT, data, len);
  flush_if_much(listener);
  return count;
}

static void on_sent(void *user, se_receiver *receiver, int status) {
  se_ws_conn_sent(user, (se_conn *)(void *)receiver, status);
}

void se_listener_flush(se_listener *listener) {
  listener->now = se_now();
  se_fanout_flush(listener->fanout, on_sent, listener);
}

void se_listener_shutdown(se_listener *listener, uint16_t code) {
  uint32_t i;
  listener->now = se_now();
  listener->stopping = 1;
  if (listener->fd >= 0) {
    se_timers_stop(&listener->accept_timer);
    se_poller_set(listener->poller, listener->fd, SE_POLL_READ, 0, listener);
    close(listener->fd);
    listener->fd = -1;
  }
  for (i = 0; i < listener->slot_count; i++) {
    se_conn *conn = listener->slots[i];
    if (conn == NULL)
      continue;
    if (conn->state == SE_CONN_WS)
      se_ws_conn_close(listener, conn, code, "", 0);
    else if (conn->state == SE_CONN_HTTP && conn->reader == NULL && !conn->put_off)
      se_conn_drop(listener, conn);
  }
}

void se_listener_stats(const se_listener *listener, se_listener_counts *counts) {
  uint32_t i;
  *counts = listener->counts;
  for (i = 0; i < listener->slot_count; i++) {
    if (listener->slots[i] != NULL)
      counts->queued_bytes += listener->slots[i]->out.output.bytes;
  }
}

void se_listener_free(se_listener *listener) {
  uint32_t i;
  if (listener == NULL)
    return;
  for (i = 0; i < listener->slot_count; i++) {
    if (listener->slots[i] != NULL)
      se_conn_drop(listener, listener->slots[i]);
  }
  while (listener->results != NULL) {
    listener->results->pending = 0;
    unlist(listener, listener->results);
  }
  bury(listener);
  forget_handed_out(listener);
  se_fanout_free(listener->fanout);
  se_addresses_free(listener->addresses);
  if (listener->fd >= 0)
    close(listener->fd);
  if (listener->reserve_fd >= 0)
    close(listener->reserve_fd);
  se_poller_free(listener->poller);
  se_buffer_free(&listener->scratch);
  free(listener->input);
  free(listener->slots);
  free(listener->free_slots);
  free(listener);
}

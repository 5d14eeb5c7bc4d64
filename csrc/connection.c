/* connection.c -- WebSocket connections of a client, over sockets that libcurl has connected: what
 * a program does with them, what they send, and how they end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "connection_parts.h"
#include "status.h"

#define SEND_AT_ONCE (1024 * 1024)
#define OUTPUT_KEPT 16384 /* a larger block for output is given back once it is sent */

/* --- the socket's interests ------------------------------------------------------------------- */

int se_connection_may_read(const se_connection *c) {
  if (c->phase == PHASE_LAST)
    return 1;
  return !c->paused && !(c->stuck && c->blocked);
}

static void update_watch(se_connection *c) {
  int events = 0;
  if (c->home == NULL || c->fd < 0)
    return;
  if (se_connection_may_read(c))
    events |= SE_POLL_READ;
  if (c->blocked)
    events |= SE_POLL_WRITE;
  if (events != c->watched &&
      se_poller_set(c->home->poller, c->fd, c->watched, events, &c->watch) == 0)
    c->watched = events;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Gives back all but the object itself. */
void se_connection_release(se_connection *c) {
  se_connections *home = c->home;
  c->phase = PHASE_CLOSED;
  if (home == NULL)
    return;
  if (c->watched != 0)
    se_poller_set(home->poller, c->fd, c->watched, 0, &c->watch);
  c->watched = 0;
  c->fd = -1;
  if (c->easy != NULL) {
    se_multi_remove(home->multi, c->easy); /* closes the socket */
    curl_easy_cleanup(c->easy);
    c->easy = NULL;
  }
  se_connection_free_block(c);
  se_ws_free(&c->ws);
  se_buffer_free(&c->output);
  se_buffer_free(&c->sending);
  se_connection_forget_upgrade(c);
  se_list_remove(&home->list, &c->link);
  c->home = NULL;
}

/* The first reason counts. 'message' may be c->message. */
void se_connection_set_end(se_connection *c, const char *kind, int code, const char *message) {
  if (c->end.kind != NULL)
    return;
  c->end.kind = kind;
  c->end.code = code;
  if (message != c->message)
    snprintf(c->message, sizeof c->message, "%s", message);
  c->end.message = c->message;
}

void se_connection_end_now(se_connection *c, const char *kind, int code, const char *message) {
  se_connection_set_end(c, kind, code, message);
  se_connection_release(c);
}

/* Not of a connection that is over: its message says why. */
void se_connection_note_failure(se_connection *c, CURLcode result) {
  if (c->end.kind == NULL)
    se_failure_clean(result, c->trace.error, c->message, sizeof c->message);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void break_off(se_connection *c) {
  c->broken = 1;
  c->blocked = 0;
  c->readable = 1; /* reading will meet the reason */
  se_buffer_free(&c->output);
  se_buffer_free(&c->sending);
  double latest = se_now() + LAST_SECONDS;
  if (latest < c->deadline)
    c->deadline = latest;
}

/* Sends what the socket takes. */
void se_connection_flush(se_connection *c) {
  while (!c->blocked && !c->broken) {
    if (se_buffer_length(&c->sending) == 0) {
      if (se_buffer_length(&c->output) == 0)
        break;
      se_buffer swapped = c->sending;
      c->sending = c->output;
      c->output = swapped;
    }
    size_t sent = 0, len = se_buffer_length(&c->sending);
    CURLcode result = curl_easy_send(c->easy, se_buffer_bytes(&c->sending),
                                     len < SEND_AT_ONCE ? len : SEND_AT_ONCE, &sent);
    if (result == CURLE_AGAIN || (result == CURLE_OK && sent == 0)) {
      c->blocked = 1;
    } else if (result == CURLE_OK) {
      se_buffer_consume(&c->sending, sent, OUTPUT_KEPT);
    } else {
      se_connection_note_failure(c, result);
      break_off(c);
    }
  }
  update_watch(c);
}

/* --- what a program does with one ------------------------------------------------------------- */

int se_connection_state(const se_connection *c) {
  switch (c->phase) {
    case PHASE_CONNECT:
    case PHASE_UPGRADE: return SE_CONNECTING;
    case PHASE_OPEN: return SE_OPEN;
    case PHASE_CLOSED: return SE_CLOSED;
    default: return SE_CLOSING;
  }
}

void se_connection_ended(const se_connection *c, se_connection_end *end) {
  *end = c->end;
}

double se_connection_heard(const se_connection *c) {
  return c->heard;
}

void se_connection_pause(se_connection *c, int yes) {
  c->paused = yes;
  update_watch(c);
}

int se_connection_send(se_connection *c, int opcode, const char *data, size_t len) {
  if (c->phase != PHASE_OPEN || c->broken)
    return SE_ERR_CLOSED;
  size_t waiting = se_buffer_length(&c->output) + se_buffer_length(&c->sending);
  if (waiting >= c->max_output || len > c->max_output - waiting)
    return SE_ERR_FULL;
  int status = se_ws_write(&c->ws, opcode, data, len, &c->output);
  if (status == SE_OK && !c->blocked)
    se_connection_flush(c);
  return status;
}

int se_connection_close(se_connection *c, uint16_t code, const char *reason, size_t len,
                        double seconds) {
  se_buffer scratch;
  se_ws check;
  /* The code and the reason are looked at in every state: a mistake is one in all of them. */
  se_buffer_init(&scratch, CONTROL_ROOM);
  se_ws_init(&check, SE_WS_SERVER, 0);
  int status = se_ws_close(&check, code, reason, len, &scratch);
  se_buffer_free(&scratch);
  se_ws_free(&check);
  if (status == SE_ERR_ARGUMENT)
    return status;
  if (c->phase < PHASE_OPEN) {
    se_connection_abort(c);
    return SE_OK;
  }
  if (c->phase != PHASE_OPEN)
    return SE_OK;
  if (se_ws_close(&c->ws, code, reason, len, &c->output) != SE_OK) {
    se_connection_end_now(c, "closed", ABNORMAL,
                          "closed by this client, with no room for a close frame");
    return SE_OK;
  }
  c->phase = PHASE_CLOSING;
  c->deadline = se_now() + seconds;
  c->pulled = 1;
  c->paused = 0; /* the answer has to be read */
  se_connection_flush(c);
  return SE_OK;
}

void se_connection_abort(se_connection *c) {
  if (c->phase != PHASE_CLOSED)
    se_connection_end_now(c, "closed", ABNORMAL, "ended by this client");
}

void se_connection_free(se_connection *c) {
  if (c == NULL)
    return;
  se_connection_release(c);
  free(c);
}

/* --- all of them ------------------------------------------------------------------------------ */

int se_connections_init(se_connections *all, se_poller *poller) {
  memset(all, 0, sizeof *all);
  all->poller = poller;
  all->multi = se_multi_new(poller, 0, se_connection_connected, NULL);
  return all->multi == NULL ? SE_ERR_MEMORY : SE_OK;
}

void se_connections_free(se_connections *all) {
  while (all->list.first != NULL) {
    se_connection *c = SE_ITEM(all->list.first, se_connection);
    se_connection_end_now(c, "closed", ABNORMAL, "the transport was closed");
  }
  se_multi_free(all->multi);
  all->multi = NULL;
  free(all->spare_block);
  all->spare_block = NULL;
}

static void end_late(se_connection *c) {
  if (c->end.kind != NULL) { /* it was over before */
    se_connection_release(c);
  } else if (c->broken) {
    se_connection_end_now(c, "network", ABNORMAL, c->message);
  } else if (c->phase == PHASE_CLOSING) {
    se_connection_end_now(c, "timeout", ABNORMAL, "the server did not answer the close frame");
  } else {
    snprintf(c->message, sizeof c->message, "not open within %g seconds: %s", c->started_for,
             c->phase == PHASE_CONNECT ? "no connection" : "no answer to the upgrade");
    se_connection_end_now(c, "timeout", ABNORMAL, c->message);
  }
}

/* A program that has closed a connection need not read on; then the peer's answer would never be
 * found behind the messages before it. */
static void discard(se_connection *c) {
  se_received ignored;
  while (se_connection_pull(c, &ignored) != SE_NEXT_NOTHING)
    continue;
}

void se_connections_run(se_connections *all, double now) {
  se_multi_run(all->multi, now);
  for (se_link *at = all->list.first, *next; at != NULL; at = next) {
    se_connection *c = SE_ITEM(at, se_connection);
    next = at->next; /* each call below ends at most 'c' */
    c->budget = BUDGET;
    if (c->deadline <= now)
      end_late(c);
    else if (c->phase == PHASE_CLOSING && !c->pulled)
      discard(c);
    else if (c->phase == PHASE_LAST && c->readable)
      se_connection_last_turn(c);
    else if (c->phase == PHASE_UPGRADE && c->readable)
      se_connection_upgrade_turn(c);
    c->pulled = 0;
  }
}

double se_connections_due(const se_connections *all) {
  double due = se_multi_due(all->multi);
  for (se_link *at = all->list.first; at != NULL; at = at->next) {
    const se_connection *c = SE_ITEM(at, se_connection);
    int has_bytes = c->readable || c->stuck || (c->at < c->have && c->phase != PHASE_UPGRADE);
    if (c->fd >= 0 && has_bytes && se_connection_may_read(c))
      return 0;
    if (c->deadline < due)
      due = c->deadline;
  }
  return due;
}

void se_connection_ready(se_watch *watch, int events) {
  se_connection *c = (se_connection *)watch;
  if (c->home == NULL)
    return;
  if (events & (SE_POLL_READ | SE_POLL_ERROR))
    c->readable = 1;
  if (events & (SE_POLL_WRITE | SE_POLL_ERROR)) {
    c->blocked = 0;
    if (c->phase == PHASE_OPEN || c->phase == PHASE_CLOSING)
      se_connection_flush(c);
  }
  if (c->phase == PHASE_UPGRADE)
    se_connection_upgrade_turn(c);
  else if (c->phase == PHASE_LAST)
    se_connection_last_turn(c);
}

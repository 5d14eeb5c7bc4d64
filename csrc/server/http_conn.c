/* http_conn.c -- a connection as long as it speaks HTTP: requests in, answers out, one at a time. */
#include "conn.h"

#include <string.h>
#include <sys/uio.h>

#include "http_answer.h"
#include "status.h"

/* What may wait of an answer, in max_output: it was asked for, and is the only one of its connection,
 * so it may be more than what piles up on a WebSocket. But all that are so large have a limit too. */
#define LARGE_ANSWER 16u
#define LARGE_ANSWERS 64u

void se_http_conn_begin(se_listener *listener, se_conn *conn) {
  conn->state = SE_CONN_HTTP;
  se_conn_timer(listener, conn, SE_TIMER_HEADER);
  se_conn_watch(listener, conn);
}

static void end_request(se_conn *conn) {
  se_http_reader_free(conn->reader);
  conn->reader = NULL;
}

void se_http_conn_refuse(se_listener *listener, se_conn *conn, int status, const char *reason) {
  se_buffer *head = &listener->scratch;
  int result = se_http_refusal(head, status, reason);
  end_request(conn);
  se_buffer_free(&conn->rest);
  listener->counts.refused++;
  if (result == SE_OK)
    result = se_conn_write(conn, 0, se_buffer_bytes(head), se_buffer_length(head));
  se_buffer_consume(head, se_buffer_length(head), SE_INPUT_SIZE);
  if (result != SE_OK && result != SE_AGAIN) {
    se_conn_drop(listener, conn);
    return;
  }
  se_conn_timer(listener, conn, SE_TIMER_BODY);
  se_conn_finish(listener, conn);
}

static void complete(se_listener *listener, se_conn *conn) {
  int upgrade = se_http_reader_request(conn->reader)->upgrade;
  conn->state = upgrade ? SE_CONN_UPGRADE : SE_CONN_BUSY;
  se_conn_timer(listener, conn, SE_TIMER_NONE);
  se_conn_emit(listener, conn, upgrade ? SE_PENDING_UPGRADE : SE_PENDING_REQUEST);
}

/* Reads at most to the end of one request. Returns how many bytes are done with. */
static size_t feed(se_listener *listener, se_conn *conn, const char *data, size_t len) {
  static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
  size_t taken;
  int status;
  if (conn->reader == NULL) {
    conn->reader = se_http_reader_new(listener->options.max_header, listener->options.max_body);
    if (conn->reader == NULL) {
      se_conn_drop(listener, conn);
      return len;
    }
    if (conn->timer.kind != SE_TIMER_HEADER) /* for the first request it runs since the accept */
      se_conn_timer(listener, conn, SE_TIMER_HEADER);
  }
  switch (se_http_reader_read(conn->reader, data, len, &taken)) {
    case SE_HTTP_COMPLETE:
      complete(listener, conn);
      return taken;
    case SE_HTTP_REFUSED:
      se_http_conn_refuse(listener, conn, se_http_reader_request(conn->reader)->status,
                          se_http_reader_request(conn->reader)->reason);
      return len;
    case SE_HTTP_CONTINUE:
      status = se_conn_write(conn, 0, go_on, sizeof go_on - 1);
      if (status != SE_OK && status != SE_AGAIN) {
        se_conn_drop(listener, conn);
        return len;
      }
      break;
    default:
      break;
  }
  if (se_http_reader_in_body(conn->reader) && conn->timer.kind != SE_TIMER_BODY)
    se_conn_timer(listener, conn, SE_TIMER_BODY);
  return taken;
}

void se_http_conn_input(se_listener *listener, se_conn *conn, const char *data, size_t len) {
  size_t taken = feed(listener, conn, data, len);
  if (taken < len && se_buffer_append(&conn->rest, data + taken, len - taken) != SE_OK)
    se_conn_drop(listener, conn);
  se_conn_watch(listener, conn);
}

void se_http_conn_next(se_listener *listener, se_conn *conn) {
  conn->state = SE_CONN_HTTP;
  conn->stalled = 0;
  se_conn_timer(listener, conn, SE_TIMER_KEEPALIVE);
  if (se_buffer_length(&conn->rest) > 0) {
    conn->put_off = 1;
    conn->next_later = NULL;
    *listener->later_end = conn;
    listener->later_end = &conn->next_later;
  } else if (listener->stopping) {
    se_conn_finish(listener, conn); /* this answer was begun as if more could follow */
    return;
  }
  se_conn_watch(listener, conn);
}

void se_http_conn_go_on(se_listener *listener, se_conn *conn) {
  size_t taken = feed(listener, conn, se_buffer_bytes(&conn->rest), se_buffer_length(&conn->rest));
  /* A refusal has freed the rest already. */
  if (taken > se_buffer_length(&conn->rest))
    taken = se_buffer_length(&conn->rest);
  se_buffer_consume(&conn->rest, taken, 0);
  se_conn_watch(listener, conn);
}

void se_http_conn_eof(se_listener *listener, se_conn *conn) {
  conn->ended = 1;
  if (conn->reader != NULL)
    se_http_conn_refuse(listener, conn, 400, "the request ends before it is complete");
  else
    se_conn_drop(listener, conn);
}

void se_http_conn_timeout(se_listener *listener, se_conn *conn) {
  if (conn->state == SE_CONN_HTTP && conn->reader != NULL)
    se_http_conn_refuse(listener, conn, 408, "the request took too long");
  else
    se_conn_drop(listener, conn);
}

/* Head and body in one system call; only what the socket does not take is copied. */
static int send_answer(se_conn *conn, const se_buffer *head, const char *body, size_t len) {
  size_t head_len = se_buffer_length(head), sent = 0;
  int status = SE_OK;
  if (se_output_empty(&conn->out.output)) {
    struct iovec parts[2];
    ptrdiff_t taken;
    /* sendmsg only reads; the type of iov_base cannot say so. */
    memcpy(&parts[0].iov_base, &head->data, sizeof parts[0].iov_base);
    parts[0].iov_base = (char *)parts[0].iov_base + head->start;
    parts[0].iov_len = head_len;
    memcpy(&parts[1].iov_base, &body, sizeof parts[1].iov_base);
    parts[1].iov_len = len;
    taken = se_socket_sendv(conn->out.fd, parts, len > 0 ? 2 : 1);
    if (taken < 0)
      return SE_ERR_NETWORK;
    sent = (size_t)taken;
  }
  if (sent < head_len)
    status = se_conn_write(conn, 0, se_buffer_bytes(head) + sent, head_len - sent);
  if (status != SE_OK && status != SE_AGAIN)
    return status;
  sent = sent < head_len ? 0 : sent - head_len;
  return sent < len ? se_conn_write(conn, 0, body + sent, len - sent) : status;
}

/* Whether what is queued for a connection may wait there. */
static int may_wait(const se_listener *listener, const se_conn *conn) {
  size_t most = listener->options.max_output, all = 0;
  if (se_output_cost(&conn->out.output) <= most)
    return 1;
  if (se_output_cost(&conn->out.output) / LARGE_ANSWER > most)
    return 0;
  for (uint32_t i = 0; i < listener->slot_count; i++) {
    const se_conn *each = listener->slots[i];
    if (each != NULL && each->ws == NULL && se_output_cost(&each->out.output) > most)
      all += se_output_cost(&each->out.output);
  }
  return all / LARGE_ANSWERS <= most;
}

void se_http_conn_respond(se_listener *listener, se_conn *conn, int status, const char *body,
                          size_t len, const char *lines, size_t lines_len) {
  const se_http_request *request = se_http_reader_request(conn->reader);
  se_buffer *head = &listener->scratch;
  int keep_alive = request->keep_alive && conn->state == SE_CONN_BUSY && !listener->stopping;
  int result = se_http_head(head, status, len, keep_alive, lines, lines_len);
  if (request->no_body || !se_http_has_body(status))
    len = 0;
  if (result == SE_OK)
    result = send_answer(conn, head, body, len);
  se_buffer_consume(head, se_buffer_length(head), SE_INPUT_SIZE);
  end_request(conn);
  conn->stalled = 0;
  if ((result != SE_OK && result != SE_AGAIN) || !may_wait(listener, conn)) {
    if (result == SE_AGAIN)
      listener->counts.too_slow++;
    se_conn_drop(listener, conn);
  } else if (!keep_alive) {
    se_conn_timer(listener, conn, SE_TIMER_BODY);
    se_conn_finish(listener, conn);
  } else if (result == SE_AGAIN) {
    conn->state = SE_CONN_ANSWERING;
    se_conn_timer(listener, conn, SE_TIMER_BODY);
    se_conn_watch(listener, conn);
  } else {
    se_http_conn_next(listener, conn);
  }
}

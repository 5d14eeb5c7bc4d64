/* post_connection.c -- one connection of a poster: libcurl makes it, and hands over the socket. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "output.h"
#include "poster_parts.h"
#include "status.h"

#define MAX_UNSENT (64 << 20) /* bytes of a request that wait for its socket */
#define UNSENT_KEPT 4096

/* What libcurl works with until there is a socket. */
typedef struct {
  CURL *easy;
  se_trace trace;
} opening;

struct se_post_connection {
  se_watch watch;
  se_post_target *target;
  se_link link; /* in the target's list of idle ones, or the poster's of dead ones */
  opening *opening; /* NULL once there is a socket */
  int fd, watched;  /* -1: none yet, or no longer */
  int is_broken;    /* sending has failed; an answer may be there nevertheless */
  double idle_since;
  se_post *carries; /* NULL: it is idle */
  se_buffer unsent;
  se_answer_reader *reader;
};

/* ---- its end ---- */

static void end_opening(se_post_connection *at) {
  if (at->opening == NULL)
    return;
  se_multi_remove(at->target->poster->multi, at->opening->easy);
  curl_easy_cleanup(at->opening->easy);
  free(at->opening);
  at->opening = NULL;
}

static void watch(se_post_connection *at, int events) {
  if (at->watched != events &&
      se_poller_set(at->target->poster->poller, at->fd, at->watched, events, &at->watch) == 0)
    at->watched = events;
}

void se_post_connection_close(se_post_connection *at) {
  se_post_target *target = at->target;
  se_poster *poster = target->poster;
  end_opening(at);
  if (at->fd >= 0) {
    watch(at, 0);
    close(at->fd);
    at->fd = -1;
  }
  se_buffer_free(&at->unsent);
  se_answer_reader_free(at->reader);
  se_list_append(&poster->dead, &at->link);
  target->connections--;
  if (target->connections == 0 && target->is_released)
    se_post_target_release(target);
}

void se_post_connections_bury(se_poster *poster) {
  while (poster->dead.first != NULL) {
    se_post_connection *gone = SE_ITEM(poster->dead.first, se_post_connection);
    se_list_remove(&poster->dead, &gone->link);
    free(gone);
  }
}

void se_post_connection_fail(se_post_connection *at, int failure, const char *message) {
  se_post_end(at->carries, failure, message);
  at->carries = NULL;
  se_post_connection_close(at);
}

static void fail_with_errno(se_post_connection *at, int error) {
  char message[128];
  snprintf(message, sizeof message, "the connection failed: %s", strerror(error));
  se_post_connection_fail(at, SE_ERR_NETWORK, message);
}

/* ---- idle ones ---- */

static void become_idle(se_post_connection *at) {
  at->idle_since = se_now();
  se_list_prepend(&at->target->idle, &at->link);
}

static void leave_idle(se_post_connection *at) {
  se_list_remove(&at->target->idle, &at->link);
}

/* Those of a burst of requests would be kept for ever: there is always one that was used more lately. */
static void close_old(se_post_target *target) {
  double limit =
      target->idle.first == NULL ? 0 : se_now() - target->poster->options.idle_timeout;
  while (target->idle.last != NULL) {
    se_post_connection *at = SE_ITEM(target->idle.last, se_post_connection);
    if (at->idle_since >= limit)
      return;
    leave_idle(at);
    se_post_connection_close(at);
  }
}

void se_post_connections_close_idle(se_post_target *target) {
  while (target->idle.first != NULL) {
    se_post_connection *at = SE_ITEM(target->idle.first, se_post_connection);
    leave_idle(at);
    se_post_connection_close(at);
  }
}

/* ---- sending ---- */

/* Whether the peer has neither ended it nor said what nobody asked for. */
static int is_fresh(const se_post_connection *at) {
  char byte;
  return recv(at->fd, &byte, 1, MSG_PEEK) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

se_post_connection *se_post_connection_reuse(se_post_target *target, struct iovec *parts, int count,
                                             size_t *sent) {
  close_old(target);
  while (target->idle.first != NULL) {
    se_post_connection *at = SE_ITEM(target->idle.first, se_post_connection);
    leave_idle(at);
    if (is_fresh(at)) {
      ptrdiff_t taken = se_socket_sendv(at->fd, parts, count);
      if (taken >= 0) {
        *sent = (size_t)taken;
        return at;
      }
    }
    se_post_connection_close(at);
  }
  return NULL;
}

int se_post_connection_keep(se_post_connection *at, const struct iovec *parts, int count, size_t sent) {
  int status = SE_OK;
  for (int i = 0; i < count && status == SE_OK; i++) {
    size_t skipped = sent < parts[i].iov_len ? sent : parts[i].iov_len;
    sent -= skipped;
    status = se_buffer_append(&at->unsent, (const char *)parts[i].iov_base + skipped,
                              parts[i].iov_len - skipped);
  }
  if (at->fd >= 0 && se_buffer_length(&at->unsent) > 0)
    watch(at, SE_POLL_READ | SE_POLL_WRITE);
  return status;
}

static void send_unsent(se_post_connection *at) {
  size_t len = se_buffer_length(&at->unsent);
  if (len == 0)
    return;
  ptrdiff_t sent = se_socket_send(at->fd, se_buffer_bytes(&at->unsent), len);
  if (sent < 0) { /* why, shows when its answer is read: there may be one */
    at->is_broken = 1;
    sent = (ptrdiff_t)len;
  }
  se_buffer_consume(&at->unsent, (size_t)sent, UNSENT_KEPT);
  watch(at, se_buffer_length(&at->unsent) > 0 ? SE_POLL_READ | SE_POLL_WRITE : SE_POLL_READ);
}

void se_post_connection_carry(se_post_connection *at, se_post *carried) {
  at->carries = carried;
  carried->through = at;
}

/* ---- receiving ---- */

static void take_answer(se_post_connection *at, int may_be_kept) {
  se_post *answered = at->carries;
  answered->answer = *se_answer_reader_answer(at->reader);
  at->carries = NULL;
  se_post_end(answered, SE_OK, NULL);
  if (may_be_kept && answered->answer.keep_alive && !at->is_broken && !at->target->is_released &&
      se_buffer_length(&at->unsent) == 0) {
    se_answer_reader_begin(at->reader);
    become_idle(at);
  } else {
    se_post_connection_close(at);
  }
}

/* The bytes that have come, or the end: 'len' 0. */
static void feed(se_post_connection *at, const char *data, size_t len) {
  size_t taken;
  if (at->carries == NULL) { /* the peer has ended it, or says what nobody asked for */
    leave_idle(at);
    se_post_connection_close(at);
    return;
  }
  int what = se_answer_reader_read(at->reader, data, len, &taken);
  const se_answer *answer = se_answer_reader_answer(at->reader);
  if (what == SE_ANSWER_COMPLETE)
    take_answer(at, len > 0 && taken == len);
  else if (what == SE_ANSWER_BROKEN)
    se_post_connection_fail(at, answer->failure, answer->reason);
}

static void on_ready(se_watch *watched, int events) {
  se_post_connection *at = (se_post_connection *)watched;
  if (at->fd < 0)
    return;
  if (events & SE_POLL_WRITE)
    send_unsent(at);
  if ((events & (SE_POLL_READ | SE_POLL_ERROR)) == 0)
    return;
  char *input = at->target->poster->input;
  ssize_t len = recv(at->fd, input, SE_POST_INPUT, 0);
  if (len >= 0)
    feed(at, input, (size_t)len);
  else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
    return;
  else if (at->carries != NULL)
    fail_with_errno(at, errno);
  else
    feed(at, input, 0);
}

/* ---- making one ---- */

/* Takes a socket of one's own for the connection that libcurl has made: its part ends here. */
static int take_socket(const opening *from) {
  curl_socket_t fd = CURL_SOCKET_BAD;
  curl_easy_getinfo(from->easy, CURLINFO_ACTIVESOCKET, &fd);
  if (fd != CURL_SOCKET_BAD)
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
  errno = ENOTCONN;
  return -1;
}

void se_post_connection_opened(void *user, CURL *easy, CURLcode result) {
  se_post_connection *at = NULL;
  char message[SE_FAILURE_TEXT];
  (void)user;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&at);
  if (result != CURLE_OK) {
    int status = se_failure_describe(easy, result, &at->opening->trace, message, sizeof message);
    se_post_connection_fail(at, status, message);
    return;
  }
  at->fd = take_socket(at->opening);
  int error = errno; /* of the socket that is not there */
  end_opening(at);
  if (at->fd < 0) {
    fail_with_errno(at, error);
    return;
  }
  send_unsent(at);
  watch(at, at->watched | SE_POLL_READ);
  if (at->watched == 0) /* nobody would hear of its answer */
    fail_with_errno(at, errno);
}

#define SET(option, value)                                  \
  do {                                                      \
    if (result == CURLE_OK)                                 \
      result = curl_easy_setopt(easy, option, value);       \
  } while (0)

static int start_opening(se_post_connection *at) {
  const se_post_target *target = at->target;
  se_poster *poster = target->poster;
  CURL *easy = at->opening->easy = curl_easy_init();
  if (easy == NULL)
    return SE_ERR_MEMORY;
  CURLcode result = CURLE_OK;
  if (se_multi_prepare(poster->multi, easy, &at->opening->trace, NULL, "",
                       poster->options.connect_timeout) != SE_OK)
    result = CURLE_OUT_OF_MEMORY;
  SET(CURLOPT_PRIVATE, at);
  SET(CURLOPT_URL, target->url);
  SET(CURLOPT_CONNECT_ONLY, 1L);
  if (result != CURLE_OK)
    return SE_ERR_MEMORY;
  return se_multi_add(poster->multi, easy, 0);
}

se_post_connection *se_post_connection_open(se_post_target *target) {
  se_post_connection *made = calloc(1, sizeof *made);
  if (made == NULL)
    return NULL;
  made->watch.ready = on_ready;
  made->target = target;
  made->fd = -1;
  se_buffer_init(&made->unsent, MAX_UNSENT);
  made->reader = se_answer_reader_new(target->poster->options.max_body);
  made->opening = calloc(1, sizeof *made->opening);
  if (made->reader == NULL || made->opening == NULL || start_opening(made) != SE_OK) {
    if (made->opening != NULL)
      curl_easy_cleanup(made->opening->easy);
    free(made->opening);
    se_answer_reader_free(made->reader);
    free(made);
    return NULL;
  }
  target->connections++;
  return made;
}

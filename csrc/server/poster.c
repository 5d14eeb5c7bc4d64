/* poster.c -- targets, and requests from their start to what came of them. */
#include "poster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "poster_parts.h"
#include "status.h"

#define BATCH 64    /* ready descriptors asked for at a time */
#define MAX_ASKED 8 /* so often per step at most; what is left comes with the next one */
#define MAX_LINES 65536 /* bytes of a request's own header lines */
#define LINES_KEPT 4096

/* ---- targets ---- */

/* Nobody has it any more. */
static void free_target(se_post_target *gone) {
  if (gone->poster != NULL)
    se_list_remove(&gone->poster->targets, &gone->link);
  free(gone->url);
  free(gone->head);
  free(gone);
}

void se_post_target_release(se_post_target *target) {
  if (target == NULL)
    return;
  target->is_released = 1;
  if (target->idle.first != NULL) {
    target->connections++; /* holds the target meanwhile */
    se_post_connections_close_idle(target);
    target->connections--;
  }
  if (target->connections == 0)
    free_target(target);
}

/* Of a URL, as far as requests need it; each is to be freed with curl_free. */
typedef struct {
  char *host, *port, *port_said, *path, *query;
} url_parts;

static void free_parts(url_parts *parts) {
  curl_free(parts->host);
  curl_free(parts->port);
  curl_free(parts->port_said);
  curl_free(parts->path);
  curl_free(parts->query);
}

/* libcurl's own HTTP knows how to write what is no plain ASCII, and where user names go. */
static int is_plain(const char *text) {
  for (; *text != '\0'; text++) {
    if (*text <= ' ' || *text > '~')
      return 0;
  }
  return 1;
}

/* SE_ERR_ARGUMENT when the URL has the part, whose absence is that result. */
static int lacks(CURLU *url, CURLUPart part, CURLUcode absence) {
  char *text = NULL;
  CURLUcode result = curl_url_get(url, part, &text, 0);
  curl_free(text);
  if (result == CURLUE_OUT_OF_MEMORY)
    return SE_ERR_MEMORY;
  return result == absence ? SE_OK : SE_ERR_ARGUMENT;
}

/* Does not take a lack of memory for the part's absence: the request would go elsewhere. */
static int get(CURLU *url, CURLUPart part, unsigned flags, CURLUcode absence, char **text) {
  CURLUcode result = curl_url_get(url, part, text, flags);
  if (result == CURLUE_OUT_OF_MEMORY)
    return SE_ERR_MEMORY;
  return result == CURLUE_OK || result == absence ? SE_OK : SE_ERR_ARGUMENT;
}

static int take_apart(const char *text, url_parts *parts) {
  if (strncasecmp(text, "http://", 7) != 0 || !is_plain(text))
    return SE_ERR_ARGUMENT;
  CURLU *url = curl_url();
  CURLUcode result = url == NULL ? CURLUE_OUT_OF_MEMORY : curl_url_set(url, CURLUPART_URL, text, 0);
  int status = SE_OK;
  if (result != CURLUE_OK)
    status = result == CURLUE_OUT_OF_MEMORY ? SE_ERR_MEMORY : SE_ERR_ARGUMENT;
#define DO(step)        \
  if (status == SE_OK)  \
    status = (step)
  DO(lacks(url, CURLUPART_USER, CURLUE_NO_USER));
  DO(lacks(url, CURLUPART_PASSWORD, CURLUE_NO_PASSWORD));
  DO(lacks(url, CURLUPART_OPTIONS, CURLUE_NO_OPTIONS));
  DO(lacks(url, CURLUPART_ZONEID, CURLUE_NO_ZONEID));
  DO(get(url, CURLUPART_HOST, 0, CURLUE_OK, &parts->host));
  DO(get(url, CURLUPART_PORT, CURLU_DEFAULT_PORT, CURLUE_OK, &parts->port));
  DO(get(url, CURLUPART_PATH, 0, CURLUE_OK, &parts->path));
  DO(get(url, CURLUPART_QUERY, 0, CURLUE_NO_QUERY, &parts->query));
  DO(get(url, CURLUPART_PORT, CURLU_NO_DEFAULT_PORT, CURLUE_NO_PORT, &parts->port_said));
  DO(is_plain(parts->host) ? SE_OK : SE_ERR_ARGUMENT); /* it stands there decoded */
#undef DO
  curl_url_cleanup(url);
  return status;
}

static int has_value(const char *line) {
  const char *colon = strchr(line, ':');
  return colon != NULL && colon[1 + strspn(colon + 1, " \t")] != '\0';
}

static int append_text(se_buffer *to, const char *text) {
  return se_buffer_append(to, text, strlen(text));
}

static int append_line(se_buffer *to, const char *line) {
  int status = append_text(to, line);
  return status == SE_OK ? se_buffer_append(to, "\r\n", 2) : status;
}

static int append_lines(se_buffer *to, const char *const *lines, size_t count) {
  int status = SE_OK;
  for (size_t i = 0; i < count && status == SE_OK; i++) {
    if (has_value(lines[i]))
      status = append_line(to, lines[i]);
  }
  return status;
}

static char *text_of(const char *const *words, size_t count) {
  se_buffer text;
  int status = SE_OK;
  se_buffer_init(&text, SIZE_MAX / 2);
  for (size_t i = 0; i < count && status == SE_OK; i++)
    status = append_text(&text, words[i] == NULL ? "" : words[i]);
  if (status == SE_OK)
    status = se_buffer_append(&text, "", 1);
  if (status == SE_OK)
    return text.data; /* from its beginning on: nothing was taken */
  se_buffer_free(&text);
  return NULL;
}

/* Fills in what requests say to the target. SE_OK or SE_ERR_MEMORY. */
static int write_target(se_post_target *target, const url_parts *parts, const char *const *lines,
                        size_t line_count) {
  const char *const url[] = {"http://", parts->host, ":", parts->port, "/"};
  const char *const first[] = {
      "POST ", parts->path, parts->query == NULL ? "" : "?", parts->query, " HTTP/1.1\r\nHost: ",
      parts->host, parts->port_said == NULL ? "" : ":", parts->port_said};
  char *start = text_of(first, sizeof first / sizeof *first);
  se_buffer head;
  se_buffer_init(&head, SIZE_MAX / 2);
  target->url = text_of(url, sizeof url / sizeof *url);
  int status = start == NULL || target->url == NULL ? SE_ERR_MEMORY : append_line(&head, start);
  free(start);
  if (status == SE_OK)
    status = append_lines(&head, lines, line_count);
  if (status != SE_OK) {
    se_buffer_free(&head);
    return SE_ERR_MEMORY;
  }
  target->head_len = se_buffer_length(&head);
  target->head = head.data;
  return SE_OK;
}

int se_poster_target(se_poster *poster, const char *url, const char *const *lines, size_t line_count,
                     se_post_target **out) {
  url_parts parts = {0};
  int status = poster->is_proxied ? SE_ERR_ARGUMENT : take_apart(url, &parts);
  se_post_target *made = status == SE_OK ? calloc(1, sizeof *made) : NULL;
  if (status == SE_OK)
    status = made == NULL ? SE_ERR_MEMORY : write_target(made, &parts, lines, line_count);
  free_parts(&parts);
  if (status != SE_OK) {
    if (made != NULL)
      free_target(made);
    return status;
  }
  made->poster = poster;
  se_list_prepend(&poster->targets, &made->link);
  *out = made;
  return SE_OK;
}

/* ---- requests ---- */

static void free_post(se_post *gone) {
  free(gone->message);
  free(gone);
}

void se_post_end(se_post *ended, int failure, const char *message) {
  se_poster *poster = ended->poster;
  ended->through = NULL;
  ended->failure = failure;
  if (failure != SE_OK) {
    ended->message = malloc(strlen(message) + 1);
    if (ended->message != NULL)
      memcpy(ended->message, message, strlen(message) + 1);
  }
  se_list_remove(&poster->under_way, &ended->link);
  se_list_append(&poster->ended, &ended->link);
}

/* The request's own lines and the end of its head. */
static int write_lines(se_buffer *out, const char *const *lines, size_t count, size_t body_len) {
  char length[64];
  se_buffer_consume(out, se_buffer_length(out), LINES_KEPT);
  int status = append_lines(out, lines, count);
  snprintf(length, sizeof length, "Content-Length: %zu\r\n", body_len);
  return status == SE_OK ? append_line(out, length) : status;
}

/* An iovec is for reading and writing; nothing writes here. */
static struct iovec part_of(const char *data, size_t len) {
  struct iovec part = {.iov_len = len};
  memcpy(&part.iov_base, &data, sizeof part.iov_base);
  return part;
}

/* The connection that the request is on, or waits in. */
static se_post_connection *begin(se_post_target *target, struct iovec *parts, int count, size_t len,
                                 int *status) {
  size_t sent = 0;
  se_post_connection *at = se_post_connection_reuse(target, parts, count, &sent);
  *status = SE_OK;
  if (at == NULL)
    at = se_post_connection_open(target);
  if (at == NULL)
    *status = SE_ERR_MEMORY;
  else if (sent < len)
    *status = se_post_connection_keep(at, parts, count, sent);
  if (*status == SE_OK)
    return at;
  if (at != NULL)
    se_post_connection_close(at);
  return NULL;
}

int se_poster_send(se_post_target *target, const char *const *lines, size_t line_count,
                   const char *body, size_t body_len, double timeout, int64_t *id) {
  se_poster *poster = target->poster;
  if (poster == NULL)
    return SE_ERR_CLOSED;
  if (poster->under_way.count >= poster->options.max_under_way)
    return SE_ERR_FULL;
  int status = write_lines(&poster->lines, lines, line_count, body_len);
  se_post *made = status == SE_OK ? calloc(1, sizeof *made) : NULL;
  if (made == NULL)
    return status == SE_OK ? SE_ERR_MEMORY : status;
  size_t lines_len = se_buffer_length(&poster->lines);
  struct iovec parts[] = {part_of(target->head, target->head_len),
                          part_of(se_buffer_bytes(&poster->lines), lines_len),
                          part_of(body, body_len)};
  se_post_connection *at =
      begin(target, parts, body_len > 0 ? 3 : 2, target->head_len + lines_len + body_len, &status);
  if (at == NULL) {
    free_post(made);
    return status;
  }
  made->poster = poster;
  made->id = *id = ++poster->last_id;
  made->timeout = timeout;
  made->deadline = se_now() + timeout;
  if (made->deadline < poster->earliest)
    poster->earliest = made->deadline;
  se_list_append(&poster->under_way, &made->link);
  se_post_connection_carry(at, made);
  return SE_OK;
}

int se_poster_next(const se_poster *poster, se_post_result *result) {
  if (poster->ended.first == NULL)
    return 0;
  const se_post *next = SE_ITEM(poster->ended.first, se_post);
  result->id = next->id;
  result->failure = next->failure;
  result->message = next->message == NULL ? "not enough memory" : next->message;
  result->answer = &next->answer;
  return 1;
}

size_t se_poster_ended(const se_poster *poster) {
  return poster->ended.count;
}

void se_poster_release(se_poster *poster) {
  se_post *gone = SE_ITEM(poster->ended.first, se_post);
  se_list_remove(&poster->ended, &gone->link);
  free_post(gone);
}

/* Ends what is too late, and finds the next deadline. */
static void expire(se_poster *poster, double now) {
  char message[64];
  poster->earliest = SE_NEVER;
  for (se_link *at = poster->under_way.first, *next; at != NULL; at = next) {
    const se_post *post = SE_ITEM(at, se_post);
    next = at->next;
    if (post->deadline <= now) {
      snprintf(message, sizeof message, "no answer within %g seconds", post->timeout);
      se_post_connection_fail(post->through, SE_ERR_TIMEOUT, message);
    } else if (post->deadline < poster->earliest) {
      poster->earliest = post->deadline;
    }
  }
}

/* ---- the poster ---- */

int se_poster_new(const se_poster_options *options, se_poster **out) {
  se_poster *poster = calloc(1, sizeof *poster);
  if (poster == NULL)
    return SE_ERR_MEMORY;
  poster->options = *options;
  poster->earliest = SE_NEVER;
  poster->is_proxied = se_multi_has_proxy(NULL);
  se_buffer_init(&poster->lines, MAX_LINES);
  poster->poller = se_poller_new();
  if (poster->poller == NULL || !se_multi_library()) {
    se_poster_free(poster);
    return SE_ERR_NETWORK;
  }
  poster->multi = se_multi_new(poster->poller, 0, se_post_connection_opened, poster);
  if (poster->multi == NULL) {
    se_poster_free(poster);
    return SE_ERR_MEMORY;
  }
  *out = poster;
  return SE_OK;
}

void se_poster_free(se_poster *poster) {
  if (poster == NULL)
    return;
  while (poster->under_way.first != NULL)
    se_post_connection_fail(SE_ITEM(poster->under_way.first, se_post)->through, SE_ERR_CLOSED, "");
  while (poster->ended.first != NULL)
    se_poster_release(poster);
  while (poster->targets.first != NULL) {
    se_post_target *target = SE_ITEM(poster->targets.first, se_post_target);
    se_post_connections_close_idle(target);
    se_list_remove(&poster->targets, &target->link);
    target->poster = NULL;
  }
  se_post_connections_bury(poster);
  se_multi_free(poster->multi);
  se_poller_free(poster->poller);
  se_buffer_free(&poster->lines);
  free(poster);
}

int se_poster_fd(const se_poster *poster) {
  return se_poller_fd(poster->poller);
}

void se_poster_step(se_poster *poster) {
  se_poll_result results[BATCH];
  int count = BATCH;
  se_post_connections_bury(poster);
  for (int asked = 0; asked < MAX_ASKED && count == BATCH; asked++) {
    count = se_poller_wait(poster->poller, 0, results, BATCH);
    for (int i = 0; i < count; i++) {
      se_watch *watch = results[i].tag;
      watch->ready(watch, results[i].events);
    }
  }
  double now = se_now();
  se_multi_run(poster->multi, now);
  if (poster->earliest <= now)
    expire(poster, now);
}

double se_poster_timeout(const se_poster *poster) {
  if (poster->ended.first != NULL)
    return 0;
  double due = se_multi_due(poster->multi);
  if (poster->earliest < due)
    due = poster->earliest;
  if (due >= SE_NEVER)
    return -1;
  double now = se_now();
  return due > now ? due - now : 0;
}

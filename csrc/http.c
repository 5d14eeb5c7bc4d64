/* http.c -- HTTP requests over one libcurl multi handle, from start to release.
 *
 * A request costs little more than libcurl itself: what waits to be read lies in the handle that it came
 * through, and is bounded by the number of handles. */
#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "http_parts.h"
#include "status.h"

/* --- requests --------------------------------------------------------------------------------- */

/* Copies so many bytes to *place, and a zero behind them, which *place then is behind. */
static char *put_text(char **place, const char *text, size_t len) {
  char *put = *place;
  memcpy(put, text, len);
  put[len] = '\0';
  *place += len + 1;
  return put;
}

static size_t size_of_lines(const se_http_request *from) {
  size_t size = 0;
  for (size_t i = 0; i < from->line_count; i++)
    size += strlen(from->lines[i]) + 2;
  return size;
}

/* All lines as one: libcurl passes on what it is given, and looks through the list of lines once for
 * each header that it knows itself. NULL: there are none. */
static char *put_lines(char **place, const se_http_request *from) {
  if (from->line_count == 0)
    return NULL;
  char *put = *place;
  for (size_t i = 0; i < from->line_count; i++) {
    put_text(place, from->lines[i], strlen(from->lines[i]));
    if (i + 1 < from->line_count) {
      memcpy(*place - 1, "\r\n", 2); /* over the zero */
      *place += 1;
    }
  }
  return put;
}

static se_request *request_new(const se_http_request *from) {
  size_t method = strlen(from->method), url = strlen(from->url);
  size_t body = from->body == NULL ? 0 : from->body_len;
  se_request *made = malloc(sizeof *made + size_of_lines(from) + method + url + body + 3);
  if (made == NULL)
    return NULL;
  char *place = (char *)(made + 1);
  made->method = put_text(&place, from->method, method);
  made->url = put_text(&place, from->url, url);
  made->url_len = url;
  made->own.data = put_lines(&place, from);
  made->body = from->body == NULL ? NULL : put_text(&place, from->body, body);
  made->body_len = body;
  made->slot = NULL;
  made->failure = SE_OK;
  made->headers = from->headers;
  if (made->headers != NULL)
    made->headers->references++;
  return made;
}

static void request_free(se_request *gone) {
  se_headers_release(gone->headers);
  free(gone);
}

/* --- the way of a request: waiting, active, finished ------------------------------------------ */

/* Whether libcurl had come as far as to begin with the request itself. */
static int has_begun(const se_request *done) {
  curl_off_t begun = 0;
  if (done->slot != NULL)
    curl_easy_getinfo(done->slot->easy, CURLINFO_PRETRANSFER_TIME_T, &begun);
  return begun > 0;
}

static void finish(se_http *http, se_request *done, int failure) {
  done->failure = failure;
  done->unsent = failure != SE_OK && !has_begun(done);
  se_list_append(&http->finished, &done->link);
}

/* Gives a request its handle and starts it. */
static void activate(se_http *http, se_request *begun, se_slot *at) {
  begun->slot = at;
  at->request = begun;
  CURLcode result = se_slot_set(at, begun);
  int trusts_system = at->is_https && http->ca_file == NULL;
  int status = result == CURLE_OK ? se_multi_add(http->multi, at->easy, trusts_system)
                                  : se_failure_status(result);
  if (status == SE_OK) {
    se_list_append(&http->active, &begun->link);
  } else {
    finish(http, begun, status);
    begun->unsent = 1; /* what libcurl knows is of the handle's request before */
  }
}

static void activate_waiting(se_http *http) {
  while (http->waiting.first != NULL) {
    se_slot *at = se_slot_take(http);
    if (at == NULL)
      return;
    se_request *begun = SE_ITEM(http->waiting.first, se_request);
    se_list_remove(&http->waiting, &begun->link);
    activate(http, begun, at);
  }
}

static void on_done(void *user, CURL *easy, CURLcode result) {
  se_http *http = user;
  se_slot *at = NULL;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&at);
  se_request *done = at->request;
  se_multi_remove(http->multi, easy);
  se_list_remove(&http->active, &done->link);
  if (result == CURLE_OK) {
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &at->status);
    /* libcurl takes half a head for a whole one when the connection ends there. */
    if (!at->has_head)
      snprintf(at->reason, sizeof at->reason, "the server ended the connection within its answer");
    finish(http, done, at->has_head && at->status > 0 ? SE_OK : SE_ERR_NETWORK);
  } else if (result == CURLE_WRITE_ERROR) {
    finish(http, done, at->over_limit ? SE_ERR_FULL : SE_ERR_MEMORY);
  } else if (at->is_repeated) {
    snprintf(at->reason, sizeof at->reason, "the server ended the connection without an answer");
    finish(http, done, SE_ERR_NETWORK);
  } else {
    finish(http, done, se_failure_describe(easy, result, &at->trace, at->reason, sizeof at->reason));
  }
}

/* Ends what is too late, and finds the next deadline. */
static void expire(se_http *http, double now) {
  se_list *lists[] = {&http->active, &http->waiting};
  http->earliest = SE_NEVER;
  for (int i = 0; i < 2; i++) {
    for (se_link *at = lists[i]->first, *next; at != NULL; at = next) {
      se_request *request = SE_ITEM(at, se_request);
      next = at->next;
      if (request->deadline <= now) {
        se_list_remove(lists[i], at);
        if (request->slot != NULL)
          se_multi_remove(http->multi, request->slot->easy);
        finish(http, request, SE_ERR_TIMEOUT);
      } else if (request->deadline < http->earliest) {
        http->earliest = request->deadline;
      }
    }
  }
}

/* The end of a request in any list; its handle is free for the next one. */
static void let_go(se_request *gone) {
  if (gone->slot != NULL)
    se_slot_release(gone->slot);
  request_free(gone);
}

/* --- what the header offers ------------------------------------------------------------------- */

static char *copy(const char *text, int *failed) {
  if (text == NULL)
    return NULL;
  size_t size = strlen(text) + 1;
  char *made = malloc(size);
  if (made == NULL)
    *failed = 1;
  else
    memcpy(made, text, size);
  return made;
}

se_http *se_http_new(se_poller *poller, const se_http_options *options) {
  int failed = 0;
  se_http *http = calloc(1, sizeof *http);
  if (http == NULL)
    return NULL;
  http->max_in_flight = options->max_in_flight;
  http->max_waiting = options->max_waiting;
  http->max_body = options->max_body;
  http->read_size = options->read_size;
  http->connect_timeout = options->connect_timeout;
  http->has_proxy = se_multi_has_proxy(options->proxy);
  http->keeps_date = options->keeps_date;
  http->keeps_content_type = options->keeps_content_type;
  http->keeps_body = options->keeps_body;
  http->earliest = SE_NEVER;
  http->user_agent = copy(options->user_agent, &failed);
  http->ca_file = copy(options->ca_file, &failed);
  http->proxy = copy(options->proxy, &failed);
  http->no_headers = se_headers_new();
  http->slots = calloc(options->max_in_flight, sizeof *http->slots);
  http->multi = se_multi_new(poller, 1, on_done, http);
  if (failed || http->no_headers == NULL || http->slots == NULL || http->multi == NULL) {
    se_http_free(http);
    return NULL;
  }
  return http;
}

void se_http_free(se_http *http) {
  if (http == NULL)
    return;
  se_list *lists[] = {&http->active, &http->waiting, &http->finished};
  for (int i = 0; i < 3; i++) {
    for (se_link *at = lists[i]->first, *next; at != NULL; at = next) {
      se_request *gone = SE_ITEM(at, se_request);
      next = at->next;
      if (i == 0)
        se_multi_remove(http->multi, gone->slot->easy);
      request_free(gone);
    }
  }
  for (size_t i = 0; i < http->slots_used; i++)
    se_slot_free(http->slots[i]);
  se_multi_free(http->multi);
  se_headers_release(http->no_headers);
  free(http->slots);
  free(http->user_agent);
  free(http->ca_file);
  free(http->proxy);
  free(http);
}

/* In capitals. */
static int is_word(const char *text) {
  const char *at = text;
  while (*at >= 'A' && *at <= 'Z')
    at++;
  return at != text && *at == '\0';
}

int se_http_start(se_http *http, const se_http_request *from, int64_t *id) {
  if (!is_word(from->method))
    return SE_ERR_ARGUMENT;
  if (strncasecmp(from->url, "http://", 7) != 0 && strncasecmp(from->url, "https://", 8) != 0)
    return SE_ERR_ARGUMENT;
  int has_slot = http->free_slots != NULL || http->slots_used < http->max_in_flight;
  if (!has_slot && http->waiting.count >= http->max_waiting)
    return SE_ERR_FULL;
  se_request *made = request_new(from);
  if (made == NULL)
    return SE_ERR_MEMORY;
  made->id = *id = ++http->last_id;
  made->timeout = from->timeout;
  made->deadline = se_now() + from->timeout;
  if (made->deadline < http->earliest)
    http->earliest = made->deadline;
  se_list_append(&http->waiting, &made->link);
  activate_waiting(http);
  return SE_OK;
}

void se_http_cancel(se_http *http, int64_t id) {
  se_list *lists[] = {&http->active, &http->waiting, &http->finished};
  for (int i = 0; i < 3; i++) {
    for (se_link *at = lists[i]->first; at != NULL; at = at->next) {
      se_request *request = SE_ITEM(at, se_request);
      if (request->id != id)
        continue;
      se_list_remove(lists[i], at);
      if (i == 0)
        se_multi_remove(http->multi, request->slot->easy);
      let_go(request);
      activate_waiting(http);
      return;
    }
  }
}

void se_http_end_idle(se_http *http) {
  se_multi_end_idle(http->multi);
}

const se_certificate *se_http_certificate(const se_http *http) {
  for (size_t i = 0; i < http->slots_used; i++) {
    if (http->slots[i]->trace.certificate.is_known)
      return &http->slots[i]->trace.certificate;
  }
  return NULL;
}

static const char *failure_message(se_http *http, const se_request *done) {
  switch (done->failure) {
    case SE_ERR_TIMEOUT:
      if (done->slot != NULL && done->slot->reason[0] != '\0')
        break;
      snprintf(http->message, sizeof http->message, "no answer within %g seconds", done->timeout);
      return http->message;
    case SE_ERR_FULL:
      if (done->slot != NULL && done->slot->head_bytes > SE_HTTP_MAX_HEAD)
        return "the head of the answer is over 256 KiB";
      snprintf(http->message, sizeof http->message, "the answer is longer than %zu bytes",
               http->max_body);
      return http->message;
    case SE_ERR_MEMORY: return "not enough memory";
    default: break;
  }
  if (done->slot == NULL || done->slot->reason[0] == '\0')
    return done->failure == SE_ERR_PROTOCOL ? "the answer is no HTTP" : "the request failed";
  return done->slot->reason;
}

int se_http_next(se_http *http, se_http_answer *answer) {
  if (http->finished.first == NULL)
    return 0;
  const se_request *done = SE_ITEM(http->finished.first, se_request);
  memset(answer, 0, sizeof *answer);
  answer->id = done->id;
  answer->failure = done->failure;
  if (done->failure != SE_OK) {
    answer->message = failure_message(http, done);
    answer->unsent = done->unsent;
    return 1;
  }
  answer->status = (int)done->slot->status;
  answer->body = se_buffer_bytes(&done->slot->body);
  answer->body_len = se_buffer_length(&done->slot->body);
  answer->headers = se_buffer_bytes(&done->slot->header_lines);
  answer->headers_len = se_buffer_length(&done->slot->header_lines);
  return 1;
}

void se_http_release(se_http *http) {
  se_request *done = SE_ITEM(http->finished.first, se_request);
  se_list_remove(&http->finished, &done->link);
  let_go(done);
  activate_waiting(http);
}

void se_http_run(se_http *http, double now) {
  se_multi_run(http->multi, now);
  if (http->earliest <= now)
    expire(http, now);
}

double se_http_due(const se_http *http) {
  if (http->finished.first != NULL)
    return 0;
  double due = se_multi_due(http->multi);
  if (http->active.first == NULL && http->waiting.first == NULL)
    return due;
  return due < http->earliest ? due : http->earliest;
}

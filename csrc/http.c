/* http.c -- HTTP requests over one libcurl multi handle.
 *
 * A request costs little more than libcurl itself: easy handles are prepared once and used again
 * and again, and only what differs from a handle's last request is set. A handle holds its answer
 * until the program has taken it, so what waits to be read is bounded by the number of handles. */
#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "buffer.h"
#include "clock.h"
#include "multi.h"
#include "status.h"

#define HEADER_BYTES 4096   /* kept of the headers of interest: they are few and short */
#define MAX_HEAD 262144     /* bytes of all heads of one answer: more is no server but an attack */
#define BODY_KEPT 65536     /* a larger block for an answer is given back after it */

struct se_headers {
  int references;
  struct curl_slist *lines;
};

typedef struct slot slot;

/* A request from start to release. Behind it lie the texts that its pointers lead to: the method, the
 * URL, its own lines and the body. */
typedef struct request {
  struct request *previous, *next;
  int64_t id;
  double deadline, timeout;
  slot *slot; /* while it has a handle */
  se_headers *headers;
  const char *method, *url, *body;
  size_t url_len, body_len;
  int failure; /* once finished without an answer */
  int unsent;  /* likewise: no byte of it has gone out */
  struct curl_slist own; /* its own lines, with line ends between them; data: NULL when there are none */
} request;

typedef struct {
  request *first, *last;
  size_t count;
} list;

/* How a handle is set up, beyond what all have. */
enum { METHOD_NONE, METHOD_GET, METHOD_POST, METHOD_HEAD, METHOD_OTHER, METHOD_OTHER_BODY };

/* A prepared easy handle, and the answer that comes through it. */
struct slot {
  slot *next_free;
  se_http *http;
  CURL *easy;
  request *request;
  char *url; /* the last one set */
  size_t url_len, url_room;
  CURLU *parts; /* the same, taken apart; NULL until needed */
  int is_https;
  int method;
  se_headers *headers; /* the last ones set */
  long status;
  int attempts;
  int is_repeated; /* given up: it would have been sent a second time */
  int over_limit;  /* the body is; or, with head_bytes over MAX_HEAD, the head */
  size_t head_bytes, body_bytes;
  int has_head; /* the empty line after the headers has come */
  int is_refusal; /* no 2xx: what its Retry-After means may need its Date */
  se_buffer body;
  se_buffer header_lines;
  se_trace trace;
  char reason[SE_FAILURE_TEXT]; /* why there was no answer; "": it says nothing of its own */
};

struct se_http {
  se_multi *multi;
  char *user_agent, *ca_file, *proxy;
  se_headers *no_headers; /* for requests that bring none */
  size_t max_in_flight, max_waiting, max_body, read_size;
  double connect_timeout;
  int has_proxy, keeps_date, keeps_content_type, keeps_body;
  slot **slots;
  size_t slots_used;
  slot *free_slots;
  list waiting, active, finished;
  double earliest; /* no deadline lies before this moment */
  int64_t last_id;
  char message[CURL_ERROR_SIZE + 64];
};

/* --- header lines ----------------------------------------------------------------------------- */

static int append_line(se_headers *headers, const char *line) {
  struct curl_slist *grown = curl_slist_append(headers->lines, line);
  if (grown == NULL)
    return SE_ERR_MEMORY;
  headers->lines = grown;
  return SE_OK;
}

se_headers *se_headers_new(void) {
  se_headers *headers = calloc(1, sizeof *headers);
  if (headers == NULL)
    return NULL;
  headers->references = 1;
  /* Never ask for permission to send a body: that costs a round trip, or a second of waiting. Nor for
   * compression: answers are short. */
  if (append_line(headers, "Expect:") != SE_OK || append_line(headers, "Accept-Encoding:") != SE_OK) {
    se_headers_release(headers);
    return NULL;
  }
  return headers;
}

/* How many bytes are in the words at the beginning, of eight bytes each, that hold no control
 * character at all. */
static size_t plain_words(const char *text, size_t len) {
  const uint64_t ones = UINT64_C(0x0101010101010101), high = ones * 0x80;
  size_t done = 0;
  for (uint64_t word; len - done >= sizeof word; done += sizeof word) {
    memcpy(&word, text + done, sizeof word);
    uint64_t deleted = word ^ (ones * 127);
    if ((((word - ones * ' ') & ~word) | ((deleted - ones) & ~deleted)) & high)
      break;
  }
  return done;
}

int se_header_is_line(const char *line) {
  size_t len = strlen(line);
  const char *colon = memchr(line, ':', len);
  if (colon == NULL || colon == line)
    return 0;
  for (const char *at = line; at < colon; at++) {
    if (*at == ' ' || *at == '\t')
      return 0;
  }
  for (size_t i = 0; i < len; i++) {
    i += plain_words(line + i, len - i);
    if (i < len && (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == 127))
      return 0;
  }
  return 1;
}

int se_headers_add(se_headers *headers, const char *line) {
  return se_header_is_line(line) ? append_line(headers, line) : SE_ERR_ARGUMENT;
}

void se_headers_release(se_headers *headers) {
  if (headers == NULL || --headers->references > 0)
    return;
  curl_slist_free_all(headers->lines);
  free(headers);
}

/* --- requests --------------------------------------------------------------------------------- */

static void list_append(list *to, request *added) {
  added->previous = to->last;
  added->next = NULL;
  if (to->last != NULL)
    to->last->next = added;
  else
    to->first = added;
  to->last = added;
  to->count++;
}

static void list_remove(list *from, request *gone) {
  if (gone->previous != NULL)
    gone->previous->next = gone->next;
  else
    from->first = gone->next;
  if (gone->next != NULL)
    gone->next->previous = gone->previous;
  else
    from->last = gone->previous;
  from->count--;
}

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

static request *request_new(const se_http_request *from) {
  size_t method = strlen(from->method), url = strlen(from->url);
  size_t body = from->body == NULL ? 0 : from->body_len;
  request *made = malloc(sizeof *made + size_of_lines(from) + method + url + body + 3);
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

static void request_free(request *gone) {
  se_headers_release(gone->headers);
  free(gone);
}

/* --- handles ---------------------------------------------------------------------------------- */

static size_t on_body(char *data, size_t size, size_t count, void *user) {
  slot *at = user;
  size_t len = size * count;
  if (len > at->http->max_body - at->body_bytes) {
    at->over_limit = 1;
    return 0;
  }
  at->body_bytes += len;
  return !at->http->keeps_body || se_buffer_append(&at->body, data, len) == SE_OK ? len : 0;
}

static int begins(const char *line, size_t len, const char *name) {
  size_t name_len = strlen(name);
  return len >= name_len && strncasecmp(line, name, name_len) == 0;
}

static size_t on_header(char *line, size_t size, size_t count, void *user) {
  slot *at = user;
  size_t len = size * count, all = len;
  at->head_bytes += len;
  if (at->head_bytes > MAX_HEAD) {
    at->over_limit = 1;
    return 0;
  }
  if (len < 5) {
    at->has_head |= line[0] == '\r' || line[0] == '\n';
    return all;
  }
  switch (line[0] | 0x20) { /* most lines are of no interest: one comparison tells */
    case 'h': /* a status line: an earlier one was of a 1xx answer */
      if (memcmp(line, "HTTP/", 5) == 0) {
        se_buffer_consume(&at->header_lines, se_buffer_length(&at->header_lines), HEADER_BYTES);
        at->has_head = 0;
        const char *status = memchr(line, ' ', len);
        at->is_refusal = status != NULL && status + 1 < line + len && status[1] != '2';
      }
      return all;
    case 'r':
      if (!begins(line, len, "retry-after:"))
        return all;
      break;
    case 'x':
      if (!begins(line, len, "x-ratelimit-"))
        return all;
      break;
    case 'c':
      if (!at->http->keeps_content_type || !begins(line, len, "content-type:"))
        return all;
      break;
    case 'd':
      if (!(at->http->keeps_date || at->is_refusal) || !begins(line, len, "date:"))
        return all;
      break;
    default:
      return all;
  }
  const char *colon = memchr(line, ':', len);
  if (colon == NULL)
    return all;
  const char *value = colon + 1;
  while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n' || line[len - 1] == ' '))
    len--;
  while (value < line + len && (*value == ' ' || *value == '\t'))
    value++;
  size_t name_len = (size_t)(colon - line);
  size_t value_len = value < line + len ? (size_t)(line + len - value) : 0;
  char *to = se_buffer_reserve(&at->header_lines, name_len + value_len + 3);
  if (to == NULL)
    return all; /* more than anyone needs: without the rest */
  for (size_t i = 0; i < name_len; i++)
    to[i] = line[i] >= 'A' && line[i] <= 'Z' ? (char)(line[i] | 0x20) : line[i];
  memcpy(to + name_len, ": ", 2);
  memcpy(to + name_len + 2, value, value_len);
  to[name_len + 2 + value_len] = '\n';
  se_buffer_commit(&at->header_lines, name_len + value_len + 3);
  return all;
}

#if LIBCURL_VERSION_NUM >= 0x075000
/* libcurl is about to send. On a connection that ended without a byte of an answer it would try
 * again by itself; but the server may have done what it was asked. It cannot when not a byte could
 * be written: a kept connection that had been reset shows that only then. */
static int on_attempt(void *user, char *local, char *remote, int local_port, int remote_port) {
  slot *at = user;
  (void)local, (void)remote, (void)local_port, (void)remote_port;
  const char *method = at->request->method;
  long written = 0; /* by the attempts before, of this request */
  curl_easy_getinfo(at->easy, CURLINFO_REQUEST_SIZE, &written);
  if (++at->attempts == 1 || written == 0 ||
      (strcmp(method, "POST") != 0 && strcmp(method, "PATCH") != 0))
    return CURL_PREREQFUNC_OK;
  at->is_repeated = 1;
  return CURL_PREREQFUNC_ABORT;
}
#endif

static void slot_free(slot *gone) {
  if (gone == NULL)
    return;
  if (gone->easy != NULL)
    curl_easy_cleanup(gone->easy);
  curl_url_cleanup(gone->parts);
  se_buffer_free(&gone->body);
  se_buffer_free(&gone->header_lines);
  se_headers_release(gone->headers);
  free(gone->url);
  free(gone);
}

#define SET(option, value)                                  \
  do {                                                      \
    if (result == CURLE_OK)                                 \
      result = curl_easy_setopt(easy, option, value);       \
  } while (0)

/* NULL: no memory (or a ca_file or proxy that libcurl does not take). */
static slot *slot_new(se_http *http) {
  slot *made = calloc(1, sizeof *made);
  if (made == NULL)
    return NULL;
  made->http = http;
  se_buffer_init(&made->body, http->max_body);
  se_buffer_init(&made->header_lines, HEADER_BYTES);
  CURL *easy = made->easy = curl_easy_init();
  CURLcode result = CURLE_OK;
  const char *proxy = http->has_proxy ? http->proxy : ""; /* what the environment said then, holds */
  if (easy == NULL || se_multi_prepare(http->multi, easy, &made->trace, http->ca_file, proxy,
                                       http->connect_timeout) != SE_OK) {
    slot_free(made);
    return NULL;
  }
  SET(CURLOPT_PRIVATE, made);
  SET(CURLOPT_WRITEFUNCTION, on_body);
  SET(CURLOPT_WRITEDATA, made);
  SET(CURLOPT_HEADERFUNCTION, on_header);
  SET(CURLOPT_HEADERDATA, made);
#if LIBCURL_VERSION_NUM >= 0x075000
  SET(CURLOPT_PREREQFUNCTION, on_attempt);
  SET(CURLOPT_PREREQDATA, made);
#endif
  SET(CURLOPT_ACCEPT_ENCODING, ""); /* who does not ask for any may be given any: it is undone */
  SET(CURLOPT_BUFFERSIZE, (long)http->read_size);
  /* HTTP/2 by ALPN; never in the clear. A libcurl that was built without it refuses, and has nothing
   * to choose from. */
  (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
  if (http->user_agent != NULL)
    SET(CURLOPT_USERAGENT, http->user_agent);
  if (result != CURLE_OK) {
    slot_free(made);
    return NULL;
  }
  return made;
}

/* A handle for the next request; NULL when all are taken, or there is no memory for one more. */
static slot *slot_take(se_http *http) {
  slot *taken = http->free_slots;
  if (taken != NULL) {
    http->free_slots = taken->next_free;
    return taken;
  }
  if (http->slots_used == http->max_in_flight)
    return NULL;
  taken = slot_new(http);
  if (taken != NULL)
    http->slots[http->slots_used++] = taken;
  return taken;
}

/* Takes the query out of the parts and gives path and query as the target of the request: libcurl
 * copies a target as it is, but formats a query byte by byte. */
static CURLcode set_target(slot *at) {
  char *path = NULL, *query = NULL, *target = NULL;
  CURLcode result = CURLE_OK;
  if (curl_url_get(at->parts, CURLUPART_PATH, &path, CURLU_URLENCODE) == CURLUE_OK &&
      curl_url_get(at->parts, CURLUPART_QUERY, &query, 0) == CURLUE_OK) {
    size_t size = strlen(path) + strlen(query) + 2;
    target = malloc(size);
    if (target == NULL || curl_url_set(at->parts, CURLUPART_QUERY, NULL, 0) != CURLUE_OK)
      result = CURLE_OUT_OF_MEMORY;
    else
      snprintf(target, size, "%s?%s", path, query);
  }
  if (result == CURLE_OK)
    result = curl_easy_setopt(at->easy, CURLOPT_REQUEST_TARGET, target);
  curl_free(path);
  curl_free(query);
  free(target);
  return result;
}

/* Takes the URL apart, so that libcurl need not do it for every request that goes there. One that
 * cannot be taken apart is left to the request, whose failure then says why. */
static CURLcode set_parts(slot *at) {
  CURL *easy = at->easy;
  CURLcode result = CURLE_OK;
  if (at->parts == NULL)
    at->parts = curl_url();
  if (at->parts == NULL)
    return CURLE_OUT_OF_MEMORY;
  if (curl_url_set(at->parts, CURLUPART_URL, at->url, 0) != CURLUE_OK) {
    SET(CURLOPT_CURLU, NULL);
    SET(CURLOPT_REQUEST_TARGET, NULL);
    return result;
  }
  SET(CURLOPT_CURLU, at->parts);
  /* A proxy is to see the whole URL in the place of the target. */
  return result != CURLE_OK || at->http->has_proxy ? result : set_target(at);
}

static CURLcode set_url(slot *at, const request *from) {
  CURL *easy = at->easy;
  CURLcode result = CURLE_OK;
  if (at->url_len == from->url_len && at->url != NULL &&
      memcmp(at->url, from->url, from->url_len) == 0)
    return CURLE_OK;
  if (at->url_room <= from->url_len) {
    char *grown = realloc(at->url, from->url_len + 1);
    if (grown == NULL)
      return CURLE_OUT_OF_MEMORY;
    at->url = grown;
    at->url_room = from->url_len + 1;
  }
  memcpy(at->url, from->url, from->url_len + 1);
  at->url_len = from->url_len;
  SET(CURLOPT_URL, at->url);
  if (result == CURLE_OK)
    result = set_parts(at);
  int is_https = strncasecmp(from->url, "https:", 6) == 0;
  /* One connection for a burst of requests where the server may speak HTTP/2. In the clear there is
   * nothing to wait for. */
  if (is_https != at->is_https)
    SET(CURLOPT_PIPEWAIT, (long)is_https);
  at->is_https = is_https;
  if (result != CURLE_OK)
    at->url_len = 0;
  return result;
}

static CURLcode set_method(slot *at, const request *from) {
  CURL *easy = at->easy;
  CURLcode result = CURLE_OK;
  int method = from->body == NULL ? METHOD_OTHER : METHOD_OTHER_BODY;
  if (strcmp(from->method, "POST") == 0)
    method = METHOD_POST;
  else if (strcmp(from->method, "HEAD") == 0)
    method = METHOD_HEAD;
  else if (strcmp(from->method, "GET") == 0 && from->body == NULL)
    method = METHOD_GET;
  if (method != at->method || method == METHOD_OTHER || method == METHOD_OTHER_BODY) {
    at->method = METHOD_NONE;
    SET(CURLOPT_CUSTOMREQUEST, NULL);
    if (method == METHOD_POST || method == METHOD_OTHER_BODY) {
      SET(CURLOPT_NOBODY, 0L);
      SET(CURLOPT_POST, 1L);
    } else {
      SET(CURLOPT_HTTPGET, 1L);
    }
    if (method == METHOD_HEAD)
      SET(CURLOPT_NOBODY, 1L);
    if (method == METHOD_OTHER || method == METHOD_OTHER_BODY)
      SET(CURLOPT_CUSTOMREQUEST, from->method);
    if (result == CURLE_OK)
      at->method = method;
  }
  if (method == METHOD_POST || method == METHOD_OTHER_BODY) {
    /* The body lies in the request, which lives until the answer is released. */
    SET(CURLOPT_POSTFIELDS, from->body == NULL ? "" : from->body);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)from->body_len);
  }
  return result;
}

static CURLcode set_headers(slot *at, request *from) {
  se_headers *headers = from->headers != NULL ? from->headers : at->http->no_headers;
  struct curl_slist *lines = headers->lines;
  if (from->own.data != NULL) { /* its own come first, the others follow */
    from->own.next = lines;
    lines = &from->own;
    headers = NULL; /* never the right ones for the next request */
  } else if (at->headers == headers) {
    return CURLE_OK;
  }
  CURLcode result = curl_easy_setopt(at->easy, CURLOPT_HTTPHEADER, lines);
  if (result == CURLE_OK) {
    if (headers != NULL)
      headers->references++;
    se_headers_release(at->headers);
    at->headers = headers;
  }
  return result;
}

/* --- the way of a request: waiting, active, finished ------------------------------------------ */

/* Whether libcurl had come as far as to begin with the request itself. */
static int has_begun(const request *done) {
  curl_off_t begun = 0;
  if (done->slot != NULL)
    curl_easy_getinfo(done->slot->easy, CURLINFO_PRETRANSFER_TIME_T, &begun);
  return begun > 0;
}

static void finish(se_http *http, request *done, int failure) {
  done->failure = failure;
  done->unsent = failure != SE_OK && !has_begun(done);
  list_append(&http->finished, done);
}

/* Gives a request its handle and starts it. */
static void activate(se_http *http, request *begun, slot *at) {
  begun->slot = at;
  at->request = begun;
  at->status = 0;
  at->over_limit = 0;
  at->head_bytes = at->body_bytes = 0;
  at->attempts = at->is_repeated = 0;
  at->has_head = 0;
  at->reason[0] = '\0';
  se_failure_forget(&at->trace);
  CURLcode result = set_url(at, begun);
  if (result == CURLE_OK)
    result = set_method(at, begun);
  if (result == CURLE_OK)
    result = set_headers(at, begun);
  int status = result == CURLE_OK ? se_multi_add(http->multi, at->easy, at->is_https && http->ca_file == NULL)
                                  : se_failure_status(result);
  if (status == SE_OK) {
    list_append(&http->active, begun);
  } else {
    finish(http, begun, status);
    begun->unsent = 1; /* what libcurl knows is of the handle's request before */
  }
}

static void activate_waiting(se_http *http) {
  while (http->waiting.first != NULL) {
    slot *at = slot_take(http);
    if (at == NULL)
      return;
    request *begun = http->waiting.first;
    list_remove(&http->waiting, begun);
    activate(http, begun, at);
  }
}

static void on_done(void *user, CURL *easy, CURLcode result) {
  se_http *http = user;
  slot *at = NULL;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&at);
  request *done = at->request;
  se_multi_remove(http->multi, easy);
  list_remove(&http->active, done);
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
  list *lists[] = {&http->active, &http->waiting};
  http->earliest = SE_NEVER;
  for (int i = 0; i < 2; i++) {
    for (request *at = lists[i]->first, *next; at != NULL; at = next) {
      next = at->next;
      if (at->deadline <= now) {
        list_remove(lists[i], at);
        if (at->slot != NULL)
          se_multi_remove(http->multi, at->slot->easy);
        finish(http, at, SE_ERR_TIMEOUT);
      } else if (at->deadline < http->earliest) {
        http->earliest = at->deadline;
      }
    }
  }
}

/* The end of a request in any list; its handle is free for the next one. */
static void let_go(se_http *http, request *gone) {
  slot *at = gone->slot;
  if (at != NULL) {
    se_buffer_consume(&at->body, se_buffer_length(&at->body), BODY_KEPT);
    se_buffer_consume(&at->header_lines, se_buffer_length(&at->header_lines), HEADER_BYTES);
    at->request = NULL;
    at->next_free = http->free_slots;
    http->free_slots = at;
  }
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
  list *lists[] = {&http->active, &http->waiting, &http->finished};
  for (int i = 0; i < 3; i++) {
    for (request *at = lists[i]->first, *next; at != NULL; at = next) {
      next = at->next;
      if (i == 0)
        se_multi_remove(http->multi, at->slot->easy);
      request_free(at);
    }
  }
  for (size_t i = 0; i < http->slots_used; i++)
    slot_free(http->slots[i]);
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
  request *made = request_new(from);
  if (made == NULL)
    return SE_ERR_MEMORY;
  made->id = *id = ++http->last_id;
  made->timeout = from->timeout;
  made->deadline = se_now() + from->timeout;
  if (made->deadline < http->earliest)
    http->earliest = made->deadline;
  list_append(&http->waiting, made);
  activate_waiting(http);
  return SE_OK;
}

void se_http_cancel(se_http *http, int64_t id) {
  list *lists[] = {&http->active, &http->waiting, &http->finished};
  for (int i = 0; i < 3; i++) {
    for (request *at = lists[i]->first; at != NULL; at = at->next) {
      if (at->id != id)
        continue;
      list_remove(lists[i], at);
      if (i == 0)
        se_multi_remove(http->multi, at->slot->easy);
      let_go(http, at);
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

static const char *failure_message(se_http *http, const request *done) {
  switch (done->failure) {
    case SE_ERR_TIMEOUT:
      if (done->slot != NULL && done->slot->reason[0] != '\0')
        break;
      snprintf(http->message, sizeof http->message, "no answer within %g seconds", done->timeout);
      return http->message;
    case SE_ERR_FULL:
      if (done->slot != NULL && done->slot->head_bytes > MAX_HEAD)
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
  request *done = http->finished.first;
  if (done == NULL)
    return 0;
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
  request *done = http->finished.first;
  list_remove(&http->finished, done);
  let_go(http, done);
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

/* http_handle.c -- easy handles of libcurl: prepared once, used again and again. Only what differs
 * from a handle's last request is set. A handle holds its answer until the program has taken it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http_parts.h"
#include "status.h"

#define BODY_KEPT 65536 /* a larger block for an answer is given back after it */

/* How a handle is set up, beyond what all have. */
enum { METHOD_NONE, METHOD_GET, METHOD_POST, METHOD_HEAD, METHOD_OTHER, METHOD_OTHER_BODY };

/* --- the answer ------------------------------------------------------------------------------- */

static size_t on_body(char *data, size_t size, size_t count, void *user) {
  se_slot *at = user;
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
  se_slot *at = user;
  size_t len = size * count, all = len;
  at->head_bytes += len;
  if (at->head_bytes > SE_HTTP_MAX_HEAD) {
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
        se_buffer_consume(&at->header_lines, se_buffer_length(&at->header_lines), SE_HTTP_HEADER_BYTES);
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
  se_slot *at = user;
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

/* --- handles ---------------------------------------------------------------------------------- */

void se_slot_free(se_slot *gone) {
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
static se_slot *slot_new(se_http *http) {
  se_slot *made = calloc(1, sizeof *made);
  if (made == NULL)
    return NULL;
  made->http = http;
  se_buffer_init(&made->body, http->max_body);
  se_buffer_init(&made->header_lines, SE_HTTP_HEADER_BYTES);
  CURL *easy = made->easy = curl_easy_init();
  CURLcode result = CURLE_OK;
  const char *proxy = http->has_proxy ? http->proxy : ""; /* what the environment said then, holds */
  if (easy == NULL || se_multi_prepare(http->multi, easy, &made->trace, http->ca_file, proxy,
                                       http->connect_timeout) != SE_OK) {
    se_slot_free(made);
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
    se_slot_free(made);
    return NULL;
  }
  return made;
}

se_slot *se_slot_take(se_http *http) {
  se_slot *taken = http->free_slots;
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

/* --- what a request sets ---------------------------------------------------------------------- */

/* Takes the query out of the parts and gives path and query as the target of the request: libcurl
 * copies a target as it is, but formats a query byte by byte. */
static CURLcode set_target(se_slot *at) {
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
static CURLcode set_parts(se_slot *at) {
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

static CURLcode set_url(se_slot *at, const se_request *from) {
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

static CURLcode set_method(se_slot *at, const se_request *from) {
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

static CURLcode set_headers(se_slot *at, se_request *from) {
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

CURLcode se_slot_set(se_slot *at, se_request *next) {
  at->status = 0;
  at->over_limit = 0;
  at->head_bytes = at->body_bytes = 0;
  at->attempts = at->is_repeated = 0;
  at->has_head = 0;
  at->reason[0] = '\0';
  se_failure_forget(&at->trace);
  CURLcode result = set_url(at, next);
  if (result == CURLE_OK)
    result = set_method(at, next);
  if (result == CURLE_OK)
    result = set_headers(at, next);
  return result;
}

void se_slot_release(se_slot *at) {
  se_buffer_consume(&at->body, se_buffer_length(&at->body), BODY_KEPT);
  se_buffer_consume(&at->header_lines, se_buffer_length(&at->header_lines), SE_HTTP_HEADER_BYTES);
  at->request = NULL;
  at->next_free = at->http->free_slots;
  at->http->free_slots = at;
}

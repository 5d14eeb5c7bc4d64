/* http.h -- HTTP requests: a bounded number under way, the rest waiting in order, the answers in
 * the order in which they are complete.
 *
 * An answer with any status is an answer. Redirects are not followed, nothing is retried; except
 * that libcurl sends what is neither POST nor PATCH once more, on a new connection, when a kept one
 * ended before a byte of the answer had come (before libcurl 7.80: those two as well). */
#ifndef SE_HTTP_H
#define SE_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "certificate.h"
#include "poller.h"

typedef struct {
  const char *user_agent, *ca_file, *proxy; /* each may be NULL; copied */
  size_t max_in_flight, max_waiting, max_body;
  size_t read_size;       /* bytes of an answer that are read at a time */
  double connect_timeout; /* seconds */
  int keeps_date;         /* the header Date is of interest, too */
  int keeps_content_type; /* and so is Content-Type */
  int keeps_body;         /* else the answers' bodies are forgotten, and only counted */
} se_http_options;

typedef struct se_http se_http;

/* NULL: no memory. The poller must outlive it. */
se_http *se_http_new(se_poller *poller, const se_http_options *options);
/* Ends everything unanswered. */
void se_http_free(se_http *http); /* accepts NULL */

/* Header lines in libcurl's form: made once, used by any number of requests, counted references. */
typedef struct se_headers se_headers;
se_headers *se_headers_new(void); /* NULL: no memory; else with one reference */
/* One line "Name: value", zero-terminated. SE_OK; SE_ERR_MEMORY; SE_ERR_ARGUMENT for what is no
 * such line. */
int se_headers_add(se_headers *headers, const char *line);
/* Whether it is one: it has a name, and no control character. */
int se_header_is_line(const char *line);
void se_headers_release(se_headers *headers); /* accepts NULL */

typedef struct {
  const char *method, *url; /* zero-terminated; copied */
  se_headers *headers;      /* or NULL; a reference is taken */
  /* More of them, for this request alone; copied, and not checked. libcurl is to know nothing of their
   * names: "X-...". */
  const char *const *lines;
  size_t line_count;
  const char *body;         /* copied; NULL: none */
  size_t body_len;
  double timeout;           /* seconds for the whole request, waiting included */
} se_http_request;

/* SE_OK and *id; SE_ERR_FULL when as many wait as may; SE_ERR_MEMORY; SE_ERR_ARGUMENT for a method
 * that is no word in capitals, or a URL of another scheme. What else is wrong with a URL shows in
 * the answer. */
int se_http_start(se_http *http, const se_http_request *request, int64_t *id);
/* Forgets a request, whatever its state; unknown ids are ignored. */
void se_http_cancel(se_http *http, int64_t id);

typedef struct {
  int64_t id;
  int status;          /* of the HTTP answer; 0 when there was none */
  int failure;         /* when there was none: SE_ERR_NETWORK, SE_ERR_TLS, SE_ERR_CERTIFICATE,
                          SE_ERR_TRUST, SE_ERR_PROXY, SE_ERR_TIMEOUT, SE_ERR_FULL (body or head over
                          the limit), SE_ERR_PROTOCOL, SE_ERR_ARGUMENT, SE_ERR_MEMORY */
  const char *message; /* when there was none: why, for people */
  int unsent;          /* when there was none: the server has seen nothing of the request */
  const char *body;
  size_t body_len;
  const char *headers; /* of interest (retry-after, x-ratelimit-*; date, of what is no 2xx; and as
                          the options say): lines "name: value" ended by '\n', the names in lower
                          case */
  size_t headers_len;
} se_http_answer;

/* Ends the connections that no request is using: the network they belong to may be gone. */
void se_http_end_idle(se_http *http);

/* The next finished request: 1, or 0 when there is none. What the answer points to is good until
 * se_http_release, which must follow, and makes room for the next request. */
int se_http_next(se_http *http, se_http_answer *answer);
void se_http_release(se_http *http);

/* What one of the handshakes so far has met: that of the first handle which had any. NULL: there was
 * none, or nothing is known of it. */
const se_certificate *se_http_certificate(const se_http *http);

/* Does what is due at 'now'; what sockets are ready has been told by the poller's watches. */
void se_http_run(se_http *http, double now);
/* When se_http_run must be called next; SE_NEVER (multi.h), or 0: now. */
double se_http_due(const se_http *http);

#endif

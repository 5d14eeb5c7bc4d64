/* http_parts.h -- what the parts of the HTTP client share: a request on its way, and the handle of
 * libcurl that it has meanwhile. */
#ifndef SE_HTTP_PARTS_H
#define SE_HTTP_PARTS_H

#include "buffer.h"
#include "http.h"
#include "list.h"
#include "multi.h"

#define SE_HTTP_HEADER_BYTES 4096 /* kept of the headers of interest: they are few and short */
#define SE_HTTP_MAX_HEAD 262144 /* bytes of all heads of one answer: more is no server but an attack */

struct se_headers {
  int references;
  struct curl_slist *lines;
};

typedef struct se_slot se_slot;

/* A request from start to release. Behind it lie the texts that its pointers lead to: the method, the
 * URL, its own lines and the body. */
typedef struct se_request {
  se_link link; /* in the list of those that wait, are active, or have finished */
  int64_t id;
  double deadline, timeout;
  se_slot *slot; /* while it has a handle */
  se_headers *headers;
  const char *method, *url, *body;
  size_t url_len, body_len;
  int failure; /* once finished without an answer */
  int unsent;  /* likewise: no byte of it has gone out */
  struct curl_slist own; /* its own lines, with line ends between them; data: NULL when there are none */
} se_request;

/* A prepared easy handle, and the answer that comes through it. */
struct se_slot {
  se_slot *next_free;
  se_http *http;
  CURL *easy;
  se_request *request;
  char *url; /* the last one set */
  size_t url_len, url_room;
  CURLU *parts; /* the same, taken apart; NULL until needed */
  int is_https;
  int method; /* the kind of the last one set */
  se_headers *headers; /* the last ones set */
  long status;
  int attempts;
  int is_repeated; /* given up: it would have been sent a second time */
  int over_limit;  /* the body is; or, with head_bytes over SE_HTTP_MAX_HEAD, the head */
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
  se_slot **slots;
  size_t slots_used;
  se_slot *free_slots;
  se_list waiting, active, finished; /* requests */
  double earliest; /* no deadline lies before this moment */
  int64_t last_id;
  char message[CURL_ERROR_SIZE + 64];
};

/* A handle for the next request; NULL when all are taken, or there is no memory for one more. */
se_slot *se_slot_take(se_http *http);
/* Sets what differs from the last request that the handle had, and forgets the answer to that. */
CURLcode se_slot_set(se_slot *at, se_request *next);
/* Gives it back: its answer was taken. */
void se_slot_release(se_slot *at);
void se_slot_free(se_slot *gone); /* accepts NULL */

#endif

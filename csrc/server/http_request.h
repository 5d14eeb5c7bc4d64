/* http_request.h -- reads HTTP/1 requests out of a stream of bytes, one after another.
 *
 * The one place that knows which HTTP parser is used (http-parser 2.9); everybody else sees only
 * what is declared here. Adds what that parser leaves open: limits, and the refusal of everything
 * that two readers of one stream could understand differently (bare line feeds, folded lines,
 * doubled or contradicting lengths). */
#ifndef SE_HTTP_REQUEST_H
#define SE_HTTP_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "buffer.h"

#define SE_HTTP_MAX_FIELDS 100       /* header lines of one request: enough for any browser */
#define SE_HTTP_MAX_HEADER 65535     /* the largest limit that can be chosen: offsets are 16 bits */

/* A name in lower case and its value, as offsets into the request's text. */
typedef struct {
  uint16_t name, name_len, value, value_len;
} se_http_field;

typedef struct {
  const char *method; /* constant text, "GET" */
  uint16_t path, path_len, query, query_len; /* offsets into text; as sent, still encoded */
  unsigned field_count;
  se_http_field *fields;
  se_buffer text;     /* the bytes that the offsets mean */
  se_buffer body;
  int keep_alive;     /* the client lets the connection be used again */
  int no_body;        /* HEAD: the answer must end with its head */
  int upgrade;        /* a well-formed WebSocket handshake */
  int status;         /* SE_HTTP_REFUSED: what to answer, and why (a constant text) */
  const char *reason;
} se_http_request;

typedef struct se_http_reader se_http_reader;

/* NULL: no memory. Good for one request; max_header is at most SE_HTTP_MAX_HEADER. */
se_http_reader *se_http_reader_new(size_t max_header, size_t max_body);
void se_http_reader_free(se_http_reader *reader); /* accepts NULL */
/* The request, good as long as the reader; filled when the reader says it is complete. */
const se_http_request *se_http_reader_request(const se_http_reader *reader);

enum {
  SE_HTTP_MORE,     /* all bytes are taken, the request is not complete */
  SE_HTTP_CONTINUE, /* the same, and the client waits for "100 Continue" (said once) */
  SE_HTTP_COMPLETE, /* bytes after *taken belong to the next request, or to the WebSocket */
  SE_HTTP_REFUSED   /* see status and reason; nothing more can be read from this client */
};
int se_http_reader_read(se_http_reader *reader, const char *data, size_t len, size_t *taken);
/* Whether the head is complete and the body is under way. */
int se_http_reader_in_body(const se_http_reader *reader);

/* The text after the number in a status line; "Unknown" for numbers without one. */
const char *se_http_phrase(int status);
/* The value of a field by its lower-case name, or NULL. */
const char *se_http_value(const se_http_request *request, const char *name, size_t *len);

#endif

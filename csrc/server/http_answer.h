/* http_answer.h -- heads of HTTP answers, and the answers that are given before any route is asked. */
#ifndef SE_HTTP_ANSWER_H
#define SE_HTTP_ANSWER_H

#include <stddef.h>

#include "buffer.h"

enum { SE_HTTP_LINE_BAD, SE_HTTP_LINE_GOOD, SE_HTTP_LINE_TYPE /* it is the Content-Type */ };
/* Whether "Name: value" can be a header line of an answer: no control characters, and none of the
 * names that se_http_head writes itself (Content-Length, Connection, Date, Transfer-Encoding). */
int se_http_check_line(const char *line, size_t len);

/* Whether an answer with this status has a body at all (RFC 9110 §6.4.1). */
int se_http_has_body(int status);

/* Status line, Date, Content-Length, Connection; then 'lines', each ended by CRLF; then the empty
 * line. SE_OK, SE_ERR_FULL or SE_ERR_MEMORY. */
int se_http_head(se_buffer *out, int status, size_t body_len, int keep_alive, const char *lines,
                 size_t lines_len);

/* A whole answer that refuses a request, with the error envelope; the connection ends after it.
 * 'reason' is a constant text without quotes. SE_OK, SE_ERR_FULL or SE_ERR_MEMORY. */
int se_http_refusal(se_buffer *out, int status, const char *reason);

#endif

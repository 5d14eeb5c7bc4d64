/* http_answer.c -- heads of HTTP answers, and refusals. */
#include "http_answer.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "http_request.h"
#include "status.h"

int se_http_check_line(const char *line, size_t len) {
  static const char *const own[] = {"content-length", "connection", "date", "transfer-encoding"};
  const char *colon = len == 0 ? NULL : memchr(line, ':', len);
  size_t i, name_len;
  if (colon == NULL || colon == line)
    return SE_HTTP_LINE_BAD;
  name_len = (size_t)(colon - line);
  for (i = 0; i < len; i++) {
    unsigned char c = (unsigned char)line[i];
    if ((c < ' ' && c != '\t') || c == 127 || (i < name_len && (c <= ' ' || c > 127)))
      return SE_HTTP_LINE_BAD;
  }
  for (i = 0; i < sizeof own / sizeof own[0]; i++) {
    if (strlen(own[i]) == name_len && strncasecmp(line, own[i], name_len) == 0)
      return SE_HTTP_LINE_BAD;
  }
  return name_len == 12 && strncasecmp(line, "content-type", 12) == 0 ? SE_HTTP_LINE_TYPE
                                                                      : SE_HTTP_LINE_GOOD;
}

int se_http_has_body(int status) {
  return status >= 200 && status != 204 && status != 304;
}

static char *write_two(char *out, int number) {
  out[0] = (char)('0' + number / 10 % 10);
  out[1] = (char)('0' + number % 10);
  return out + 2;
}

static char *write_text(char *out, const char *text, size_t len) {
  memcpy(out, text, len);
  return out + len;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", 29 bytes. By hand: strftime would use the words of the user's
 * language, and every answer has one. */
static char *write_date(char *out) {
  static const char days[] = "SunMonTueWedThuFriSat";
  static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  time_t now = time(NULL);
  struct tm utc;
  if (gmtime_r(&now, &utc) == NULL)
    memset(&utc, 0, sizeof utc);
  out = write_text(out, days + 3 * utc.tm_wday, 3);
  out = write_text(out, ", ", 2);
  out = write_two(out, utc.tm_mday);
  *out++ = ' ';
  out = write_text(out, months + 3 * utc.tm_mon, 3);
  *out++ = ' ';
  out = write_two(out, (utc.tm_year + 1900) / 100);
  out = write_two(out, utc.tm_year + 1900);
  *out++ = ' ';
  out = write_two(out, utc.tm_hour);
  *out++ = ':';
  out = write_two(out, utc.tm_min);
  *out++ = ':';
  out = write_two(out, utc.tm_sec);
  return write_text(out, " GMT", 4);
}

static char *write_number(char *out, size_t number) {
  char digits[24], *p = digits + sizeof digits;
  do {
    *--p = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  return write_text(out, p, (size_t)(digits + sizeof digits - p));
}

#define WRITE(out, text) write_text(out, text, sizeof text - 1)

int se_http_head(se_buffer *out, int status, size_t body_len, int keep_alive, const char *lines,
                 size_t lines_len) {
  char head[256], *p = head;
  const char *phrase = se_http_phrase(status);
  int result;
  p = WRITE(p, "HTTP/1.1 ");
  p = write_number(p, (size_t)status);
  *p++ = ' ';
  p = write_text(p, phrase, strlen(phrase));
  p = WRITE(p, "\r\nDate: ");
  p = write_date(p);
  if (se_http_has_body(status)) {
    p = WRITE(p, "\r\nContent-Length: ");
    p = write_number(p, body_len);
  }
  p = keep_alive ? WRITE(p, "\r\nConnection: keep-alive\r\n")
                 : WRITE(p, "\r\nConnection: close\r\n");
  result = se_buffer_append(out, head, (size_t)(p - head));
  if (result == SE_OK)
    result = se_buffer_append(out, lines, lines_len);
  return result == SE_OK ? se_buffer_append(out, "\r\n", 2) : result;
}

/* The service's code for what a listener refuses. */
static int code_of(int status) {
  switch (status) {
    case 408: return 23; /* RequestTimeoutError */
    case 413: return 22; /* PayloadTooBigError */
    case 431: return 24; /* MaxHeaderSizeExceededError */
    case 503: return 71; /* ErrTooManyConnections */
    default: return status < 500 || status == 505 ? 4 : -1; /* InputError, InternalSystemError */
  }
}

int se_http_refusal(se_buffer *out, int status, const char *reason) {
  char body[512];
  const char *lines = status == 426
      ? "Content-Type: application/json\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
      : "Content-Type: application/json\r\n";
  int len = snprintf(body, sizeof body,
                     "{\"code\":%d,\"message\":\"Request failed with error: \\\"%.200s\\\"\","
                     "\"StatusCode\":%d,\"duration\":\"0.00ms\",\"more_info\":"
                     "\"https://getstream.io/chat/docs/api_errors_response\",\"details\":[]}",
                     code_of(status), reason, status);
  int result = se_http_head(out, status, (size_t)len, 0, lines, strlen(lines));
  return result == SE_OK ? se_buffer_append(out, body, (size_t)len) : result;
}

/* http_headers.c -- header lines that many requests have in common. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http_parts.h"
#include "status.h"

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

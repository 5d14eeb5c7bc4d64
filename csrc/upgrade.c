/* upgrade.c -- the opening handshake of a WebSocket (RFC 6455 §4), without sockets.
 *
 * The answer's head is read strictly: what two HTTP readers might understand differently (folded
 * lines, bare line feeds, spaces before a colon) is refused, not guessed. */
#include "upgrade.h"

#include <openssl/evp.h>
#include <string.h>

#include "crypto.h"
#include "status.h"

#define MAX_HEAD 16384 /* bytes of status line and headers */

int se_upgrade_key(char key[SE_UPGRADE_KEY + 1]) {
  uint8_t random[16];
  if (se_random(random, sizeof random) != 0)
    return -1;
  se_base64_encode(SE_BASE64, random, sizeof random, key);
  key[SE_UPGRADE_KEY] = '\0';
  return 0;
}

int se_upgrade_accept(const char *key, size_t len, char accept[SE_UPGRADE_ACCEPT + 1]) {
  static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  uint8_t digest[SE_SHA1_SIZE];
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  int done = context != NULL && EVP_DigestInit_ex(context, EVP_sha1(), NULL) == 1 &&
             EVP_DigestUpdate(context, key, len) == 1 &&
             EVP_DigestUpdate(context, guid, sizeof guid - 1) == 1 &&
             EVP_DigestFinal_ex(context, digest, NULL) == 1;
  EVP_MD_CTX_free(context);
  accept[0] = '\0';
  if (!done)
    return -1;
  se_base64_encode(SE_BASE64, digest, sizeof digest, accept);
  accept[SE_UPGRADE_ACCEPT] = '\0';
  return 0;
}

/* ------------------------------------------------------------------------------- header lines */

/* RFC 9110 §5.6.2. */
static int is_token_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static int is_control_char(char c) {
  return (unsigned char)c < 0x20 || c == 0x7F;
}

static int is_blank(char c) {
  return c == ' ' || c == '\t';
}

typedef struct {
  const char *at;
  size_t len;
} text;

static text trimmed(const char *at, size_t len) {
  text result;
  while (len > 0 && is_blank(*at)) {
    at++;
    len--;
  }
  while (len > 0 && is_blank(at[len - 1]))
    len--;
  result.at = at;
  result.len = len;
  return result;
}

/* Compares with 'word' (in lower case) as HTTP compares names: in ASCII, whatever the locale. */
static int is_word(text value, const char *word) {
  size_t i;
  for (i = 0; i < value.len; i++) {
    char c = value.at[i];
    if (word[i] != (c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c))
      return 0;
  }
  return word[i] == '\0';
}

/* Is 'word' one of the elements of a comma-separated list? */
static int lists_word(text list, const char *word) {
  const char *end = list.at + list.len;
  while (list.at <= end) {
    const char *comma = memchr(list.at, ',', (size_t)(end - list.at));
    const char *stop = comma != NULL ? comma : end;
    if (is_word(trimmed(list.at, (size_t)(stop - list.at)), word))
      return 1;
    list.at = stop + 1;
  }
  return 0;
}

/* "Name: value" without its line end. NULL, or what is wrong with it. */
static const char *split_header(text line, text *name, text *value) {
  size_t i, colon = 0;
  while (colon < line.len && is_token_char(line.at[colon]))
    colon++;
  if (colon == 0 || colon == line.len || line.at[colon] != ':')
    return "a header line is malformed";
  for (i = colon + 1; i < line.len; i++)
    if (is_control_char(line.at[i]) && line.at[i] != '\t')
      return "a header line holds a control character";
  name->at = line.at;
  name->len = colon;
  *value = trimmed(line.at + colon + 1, line.len - colon - 1);
  return NULL;
}

/* The next line, without CRLF, of data[*at..len); *at moves behind it. 1: there is one; 0: it is not
 * complete; -1: its line feed stands alone. */
static int next_line(const char *data, size_t len, size_t *at, text *line) {
  const char *start = data + *at;
  const char *feed = memchr(start, '\n', len - *at);
  if (feed == NULL)
    return 0;
  if (feed == start || feed[-1] != '\r')
    return -1;
  line->at = start;
  line->len = (size_t)(feed - 1 - start);
  *at += line->len + 2;
  return 1;
}

/* ------------------------------------------------------------------------------------- request */

static int is_request_word(const char *word) {
  const char *at = word;
  while (*at != '\0' && *at != ' ' && !is_control_char(*at))
    at++;
  return at > word && *at == '\0';
}

static int are_header_lines(const char *headers) {
  size_t len = strlen(headers), at = 0;
  text line, name, value;
  while (at < len)
    if (next_line(headers, len, &at, &line) != 1 || split_header(line, &name, &value) != NULL)
      return 0;
  return 1;
}

int se_upgrade_request(se_buffer *out, const char *host, const char *target, const char *key,
                       const char *headers) {
  const char *const parts[] = {
      "GET ", target, " HTTP/1.1\r\nHost: ", host,
      "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: ", key, "\r\n", headers, "\r\n"};
  const size_t count = sizeof parts / sizeof parts[0];
  size_t i, len = 0;
  char *to;
  if (!is_request_word(host) || !is_request_word(target) || !are_header_lines(headers))
    return SE_ERR_ARGUMENT;
  for (i = 0; i < count; i++)
    len += strlen(parts[i]);
  to = se_buffer_reserve(out, len);
  if (to == NULL)
    return se_buffer_fits(out, len) ? SE_ERR_MEMORY : SE_ERR_FULL;
  for (i = 0; i < count; i++) {
    size_t part = strlen(parts[i]);
    memcpy(to, parts[i], part);
    to += part;
  }
  se_buffer_commit(out, len);
  return SE_OK;
}

/* ------------------------------------------------------------------------------------ response */

static int refuse(se_upgrade_result *result, const char *reason) {
  result->reason = reason;
  return SE_ERR_PROTOCOL;
}

/* Can this become "HTTP/1.x 101 ..."? Looked at before the line is complete: a peer that speaks
 * something else may never end a line. */
static int begins_status_line(const char *data, size_t len) {
  static const char shape[] = "HTTP/1.x ddd"; /* d: a digit; x: 0 or 1 */
  size_t i;
  for (i = 0; i < len && i < sizeof shape - 1; i++) {
    char c = data[i];
    if (shape[i] == 'd' ? c < '0' || c > '9' : shape[i] == 'x' ? c != '0' && c != '1'
                                                               : c != shape[i])
      return 0;
  }
  return i == len || data[i] == ' ' || data[i] == '\r';
}

/* 'line' begins as begins_status_line wants it. */
static int check_status_line(text line, se_upgrade_result *result) {
  size_t i;
  for (i = 12; i < line.len; i++)
    if (is_control_char(line.at[i]) && line.at[i] != '\t')
      return refuse(result, "the status line holds a control character");
  result->status = (line.at[9] - '0') * 100 + (line.at[10] - '0') * 10 + (line.at[11] - '0');
  if (result->status != 101)
    return refuse(result, "the server refused to upgrade");
  if (line.at[7] != '1')
    return refuse(result, "the answer is not HTTP/1.1");
  return SE_OK;
}

typedef struct {
  int upgrade, connection, accept; /* seen, and good */
} findings;

/* NULL, or why the connection must not be used (RFC 6455 §4.1). */
static const char *check_header(text name, text value, const char *accept, findings *found) {
  if (is_word(name, "upgrade")) {
    if (!is_word(value, "websocket"))
      return "Upgrade is not websocket";
    found->upgrade = 1;
  } else if (is_word(name, "connection")) {
    if (lists_word(value, "upgrade"))
      found->connection = 1;
  } else if (is_word(name, "sec-websocket-accept")) {
    if (found->accept)
      return "Sec-WebSocket-Accept is given twice";
    if (value.len != SE_UPGRADE_ACCEPT || memcmp(value.at, accept, value.len) != 0)
      return "Sec-WebSocket-Accept is wrong";
    found->accept = 1;
  } else if (is_word(name, "sec-websocket-extensions")) {
    if (value.len > 0)
      return "an extension that was not asked for";
  } else if (is_word(name, "sec-websocket-protocol")) {
    return "a sub-protocol that was not asked for";
  }
  return NULL;
}

static void keep_text(text value, char room[SE_UPGRADE_WAIT]) {
  room[0] = '\0';
  if (value.len >= SE_UPGRADE_WAIT)
    return;
  memcpy(room, value.at, value.len);
  room[value.len] = '\0';
}

/* Of a refusal whose header lines begin at 'at'. What comes later is not waited for. */
static void find_wait(const char *data, size_t len, size_t at, se_upgrade_result *result) {
  text line, name, value;
  while (next_line(data, len, &at, &line) == 1 && split_header(line, &name, &value) == NULL) {
    if (is_word(name, "retry-after"))
      keep_text(value, result->retry_after);
    else if (is_word(name, "date"))
      keep_text(value, result->date);
  }
}

/* The header lines from 'at' on, as far as they have arrived. */
static int check_headers(const char *data, size_t len, size_t at, const char *key, size_t *used,
                         se_upgrade_result *result) {
  char accept[SE_UPGRADE_ACCEPT + 1];
  findings found = {0, 0, 0};
  text line, name, value;
  if (se_upgrade_accept(key, strlen(key), accept) != 0)
    return refuse(result, "libcrypto offers no SHA-1");
  for (;;) {
    const char *reason;
    int status = next_line(data, len, &at, &line);
    if (status == 0)
      return SE_AGAIN;
    if (status < 0)
      return refuse(result, "a line does not end in CRLF");
    if (line.len == 0)
      break;
    reason = split_header(line, &name, &value);
    if (reason == NULL)
      reason = check_header(name, value, accept, &found);
    if (reason != NULL)
      return refuse(result, reason);
  }
  if (!found.upgrade)
    return refuse(result, "Upgrade is missing");
  if (!found.connection)
    return refuse(result, "Connection does not say upgrade");
  if (!found.accept)
    return refuse(result, "Sec-WebSocket-Accept is missing");
  *used = at;
  return SE_OK;
}

int se_upgrade_response(const char *data, size_t len, const char *key, size_t *used,
                        se_upgrade_result *result) {
  size_t seen = len < MAX_HEAD ? len : MAX_HEAD, at = 0;
  text line;
  int status;
  result->status = 0;
  result->reason = NULL;
  result->retry_after[0] = result->date[0] = '\0';
  *used = 0;
  if (!begins_status_line(data, seen))
    return refuse(result, "the answer is not HTTP/1.1");
  status = next_line(data, seen, &at, &line);
  if (status < 0)
    return refuse(result, "a line does not end in CRLF");
  if (status > 0) {
    status = check_status_line(line, result);
    if (status != SE_OK) {
      find_wait(data, seen, at, result);
      return status;
    }
    status = check_headers(data, seen, at, key, used, result);
    if (status != SE_AGAIN)
      return status;
  }
  if (len >= MAX_HEAD)
    return refuse(result, "the answer's head is over 16 KiB");
  return SE_AGAIN;
}

/* http_request.c -- HTTP/1 requests through http-parser, with limits and without ambiguity.
 *
 * The parser is stopped at the end of the head and at the end of the request; decisions are made
 * there, outside its callbacks, so that the outcome does not depend on how the bytes were cut.
 * Distributions build http-parser without its strict checks. Hence the line check below: it sees
 * every byte that is not body, and knows only carriage returns, line feeds and what follows. */
#include "http_request.h"

#include <http_parser.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "crypto.h"
#include "status.h"
#include "upgrade.h"

#define SHORT_HEAD 512u /* bytes */
/* Fields that a reader has room for in itself. With all of them, it would be one of the blocks for which
 * malloc looks through everything that is free. */
#define FEW_FIELDS 16u

struct se_http_reader {
  se_http_request request;
  se_http_field few[FEW_FIELDS];
  http_parser parser;
  size_t max_header, max_body;
  size_t head_bytes;       /* of this head so far, empty lines before it included */
  uint16_t target_len;     /* the target lies at the start of the text */
  char last;               /* the last byte outside the body */
  uint8_t head_done, complete, in_value, too_many, wants_continue;
  const char *unchecked;   /* during a read: first byte that the line check has not seen */
  uint8_t broken_line;
};

static int refuse(se_http_reader *reader, int status, const char *reason) {
  reader->request.status = status;
  reader->request.reason = reason;
  return SE_HTTP_REFUSED;
}

/* The next carriage return or line feed, or 'end'. */
static const char *find_break(const char *at, const char *end) {
  const char *feed = memchr(at, '\n', (size_t)(end - at));
  const char *stop = feed != NULL ? feed : end;
  const char *back = memchr(at, '\r', (size_t)(stop - at));
  return back != NULL ? back : stop;
}

/* Lines end with CR LF and nothing else, and no line of the head begins with white space. At the
 * first that does not the request is lost; going on would mean to look for line feeds that are not
 * there, behind each carriage return anew. */
static void check_lines(se_http_reader *reader, const char *end) {
  char last = reader->last;
  const char *at = reader->unchecked;
  while (at < end && !reader->broken_line) {
    if ((last == '\r') != (*at == '\n') || (last == '\n' && (*at == ' ' || *at == '\t')))
      reader->broken_line = 1;
    last = *at++;
    if (last == '\r' || last == '\n' || at == end)
      continue;
    const char *next = find_break(at, end);
    if (next > at) { /* in the middle of a line anything may stand behind anything */
      last = next[-1];
      at = next;
    }
  }
  reader->last = last;
  if (end > reader->unchecked)
    reader->unchecked = end;
}

/* ---- callbacks: they store and nothing else ---- */

static int store(se_http_reader *reader, const char *at, size_t len) {
  if (se_buffer_append(&reader->request.text, at, len) == SE_OK)
    return 0;
  refuse(reader, 503, "out of memory");
  return 1;
}

static int on_url(http_parser *parser, const char *at, size_t len) {
  se_http_reader *reader = parser->data;
  reader->target_len = (uint16_t)(reader->target_len + len);
  return store(reader, at, len);
}

/* Makes room for the most there may be. 0: no memory. */
static int move_fields(se_http_reader *reader) {
  se_http_field *fields = malloc(SE_HTTP_MAX_FIELDS * sizeof *fields);
  if (fields == NULL) {
    refuse(reader, 503, "out of memory");
    return 0;
  }
  memcpy(fields, reader->few, sizeof reader->few);
  reader->request.fields = fields;
  return 1;
}

static int on_field(http_parser *parser, const char *at, size_t len) {
  se_http_reader *reader = parser->data;
  se_http_request *request = &reader->request;
  size_t i, begin = se_buffer_length(&request->text);
  char *name;
  if (reader->head_done)
    return 0; /* trailers are read and forgotten */
  if (reader->in_value || request->field_count == 0) {
    if (request->field_count == SE_HTTP_MAX_FIELDS) {
      reader->too_many = 1;
      return 0;
    }
    if (request->field_count == FEW_FIELDS && !move_fields(reader))
      return 1;
    request->fields[request->field_count] = (se_http_field){(uint16_t)begin, 0, 0, 0};
    request->field_count++;
    reader->in_value = 0;
  }
  if (reader->too_many)
    return 0;
  if (store(reader, at, len) != 0)
    return 1;
  name = request->text.data + request->text.start + begin;
  for (i = 0; i < len; i++) {
    if (name[i] >= 'A' && name[i] <= 'Z')
      name[i] = (char)(name[i] + ('a' - 'A'));
  }
  request->fields[request->field_count - 1].name_len =
      (uint16_t)(request->fields[request->field_count - 1].name_len + len);
  return 0;
}

static int on_value(http_parser *parser, const char *at, size_t len) {
  se_http_reader *reader = parser->data;
  se_http_request *request = &reader->request;
  se_http_field *field;
  if (reader->head_done || reader->too_many || request->field_count == 0)
    return 0;
  field = &request->fields[request->field_count - 1];
  if (!reader->in_value) {
    field->value = (uint16_t)se_buffer_length(&request->text);
    reader->in_value = 1;
  }
  field->value_len = (uint16_t)(field->value_len + len);
  return store(reader, at, len);
}

static int on_head(http_parser *parser) {
  ((se_http_reader *)parser->data)->head_done = 1;
  http_parser_pause(parser, 1);
  return 0;
}

static int on_body(http_parser *parser, const char *at, size_t len) {
  se_http_reader *reader = parser->data;
  int status;
  check_lines(reader, at);
  reader->unchecked = at + len;
  status = se_buffer_append(&reader->request.body, at, len);
  if (status == SE_ERR_FULL)
    refuse(reader, 413, "the body is too long");
  else if (status != SE_OK)
    refuse(reader, 503, "out of memory");
  return status != SE_OK;
}

static int on_chunk(http_parser *parser) {
  se_http_reader *reader = parser->data;
  if (parser->content_length <= reader->max_body - se_buffer_length(&reader->request.body))
    return 0;
  refuse(reader, 413, "the body is too long");
  return 1;
}

static int on_complete(http_parser *parser) {
  ((se_http_reader *)parser->data)->complete = 1;
  http_parser_pause(parser, 1);
  return 0;
}

static const http_parser_settings settings = {
  .on_url = on_url, .on_header_field = on_field, .on_header_value = on_value,
  .on_headers_complete = on_head, .on_body = on_body, .on_chunk_header = on_chunk,
  .on_message_complete = on_complete,
};

/* ---- the head ---- */

static const char *text_at(const se_http_request *request, uint16_t at) {
  return se_buffer_bytes(&request->text) + at;
}

/* Of a name, which is in lower case by now (RFC 9110 §5.6.2). */
static int is_token(const char *text, size_t len) {
  size_t i;
  for (i = 0; i < len; i++) {
    char c = text[i];
    if (!((c >= 'a' && c <= 'z') || c == '-' || (c >= '0' && c <= '9') ||
          (c != '\0' && strchr("!#$%&'*+.^_`|~", c) != NULL)))
      return 0;
  }
  return len > 0;
}

/* The parser lets control characters pass at the start of a value. */
static int is_value(const char *text, size_t len) {
  size_t i;
  for (i = 0; i < len; i++) {
    unsigned char c = (unsigned char)text[i];
    if ((c < ' ' && c != '\t') || c == 127)
      return 0;
  }
  return 1;
}

static int is_word(const char *text, size_t len, const char *word) {
  return strlen(word) == len && strncasecmp(text, word, len) == 0;
}

/* Whether one of the comma-separated values of a field is 'word'. */
static int has_word(const se_http_request *request, const se_http_field *field, const char *word) {
  const char *at = text_at(request, field->value), *end = at + field->value_len;
  while (at < end) {
    const char *comma = memchr(at, ',', (size_t)(end - at));
    const char *stop = comma == NULL ? end : comma;
    while (at < stop && (*at == ' ' || *at == '\t')) at++;
    while (stop > at && (stop[-1] == ' ' || stop[-1] == '\t')) stop--;
    if (is_word(at, (size_t)(stop - at), word))
      return 1;
    at = comma == NULL ? end : comma + 1;
  }
  return 0;
}

/* Those fields that decide what a request is and where it ends. */
typedef struct {
  unsigned hosts, lengths, encodings, keys;
  const se_http_field *length, *encoding, *expect; /* the first of each, or NULL */
  int to_websocket, upgrades;
} framing;

static void note_first(const se_http_field **place, unsigned *count, const se_http_field *field) {
  if (*place == NULL)
    *place = field;
  if (count != NULL)
    ++*count;
}

/* Told apart by their lengths first: most fields are none of these. */
static void note_field(framing *found, const se_http_request *request, const se_http_field *field) {
  const char *name = text_at(request, field->name);
  switch (field->name_len) {
    case 4:
      found->hosts += memcmp(name, "host", 4) == 0;
      break;
    case 6:
      if (memcmp(name, "expect", 6) == 0)
        note_first(&found->expect, NULL, field);
      break;
    case 7:
      if (memcmp(name, "upgrade", 7) == 0)
        found->to_websocket |= has_word(request, field, "websocket");
      break;
    case 10:
      if (memcmp(name, "connection", 10) == 0)
        found->upgrades |= has_word(request, field, "upgrade");
      break;
    case 14:
      if (memcmp(name, "content-length", 14) == 0)
        note_first(&found->length, &found->lengths, field);
      break;
    case 17:
      if (memcmp(name, "transfer-encoding", 17) == 0)
        note_first(&found->encoding, &found->encodings, field);
      else
        found->keys += memcmp(name, "sec-websocket-key", 17) == 0;
      break;
    default:
      break;
  }
}

const char *se_http_value(const se_http_request *request, const char *name, size_t *len) {
  unsigned i;
  for (i = 0; i < request->field_count; i++) {
    const se_http_field *field = &request->fields[i];
    if (is_word(text_at(request, field->name), field->name_len, name)) {
      *len = field->value_len;
      return text_at(request, field->value);
    }
  }
  *len = 0;
  return NULL;
}

/* Finds path and query in a target of any form but that of CONNECT (RFC 9112 §3.2). */
static int split_target(se_http_reader *reader) {
  se_http_request *request = &reader->request;
  const char *target = se_buffer_bytes(&request->text), *question;
  size_t i, at = 0, len = reader->target_len;
  for (i = 0; i < len; i++) {
    if (target[i] <= ' ' || target[i] >= 127 || target[i] == '#')
      return 0;
  }
  if (len == 0)
    return 0;
  if (target[0] != '/' && !(len == 1 && target[0] == '*')) {
    struct http_parser_url url;
    http_parser_url_init(&url);
    if (http_parser_parse_url(target, len, 0, &url) != 0 ||
        (url.field_set & (1 << UF_HOST)) == 0)
      return 0;
    if (url.field_set & (1 << UF_PATH)) {
      at = url.field_data[UF_PATH].off;
    } else { /* "http://host" and "http://host?a=b" ask for "/" */
      at = url.field_set & (1 << UF_QUERY) ? url.field_data[UF_QUERY].off - 1u : len;
      request->path = (uint16_t)se_buffer_length(&request->text);
      if (store(reader, "/", 1) != 0)
        return 0;
      request->path_len = 1;
      target = se_buffer_bytes(&request->text);
    }
  }
  question = memchr(target + at, '?', len - at);
  if (request->path_len == 0) {
    request->path = (uint16_t)at;
    request->path_len = (uint16_t)(question == NULL ? len - at : (size_t)(question - target) - at);
  }
  if (question != NULL) {
    request->query = (uint16_t)(question - target + 1);
    request->query_len = (uint16_t)(len - request->query);
  }
  return request->path_len > 0;
}

static int is_number(const char *text, size_t len) {
  size_t i;
  for (i = 0; i < len; i++) {
    if (text[i] < '0' || text[i] > '9')
      return 0;
  }
  return len > 0 && len <= 18;
}

static int has_value(const se_http_request *request, const se_http_field *field, const char *word) {
  return is_word(text_at(request, field->value), field->value_len, word);
}

/* The body's length must be said once and in one way (RFC 9112 §6). */
static const char *check_framing(const se_http_reader *reader, const framing *found) {
  const se_http_request *request = &reader->request;
  if (found->lengths > 1)
    return "more than one Content-Length";
  if (found->lengths > 0 && found->encodings > 0)
    return "both Content-Length and Transfer-Encoding";
  if (found->length != NULL &&
      !is_number(text_at(request, found->length->value), found->length->value_len))
    return "Content-Length is not a number";
  if (found->encodings > 1 ||
      (found->encodings == 1 && !has_value(request, found->encoding, "chunked")))
    return "Transfer-Encoding other than chunked";
  if (found->encodings == 1 && reader->parser.http_minor == 0)
    return "Transfer-Encoding with HTTP/1.0";
  return NULL;
}

/* RFC 6455 §4.2.1. Only asked when the client wants a WebSocket. */
static int check_upgrade(se_http_reader *reader, const framing *found, int has_body) {
  const se_http_request *request = &reader->request;
  size_t len;
  uint8_t raw[SE_UPGRADE_KEY];
  const char *value = se_http_value(request, "sec-websocket-version", &len);
  if (strcmp(request->method, "GET") != 0 || reader->parser.http_minor == 0)
    return refuse(reader, 400, "a WebSocket begins with GET and HTTP/1.1");
  if (value == NULL || !is_word(value, len, "13"))
    return refuse(reader, 426, "only version 13 of the WebSocket protocol is spoken here");
  value = se_http_value(request, "sec-websocket-key", &len);
  if (found->keys != 1 || len != SE_UPGRADE_KEY ||
      se_base64_decode(SE_BASE64, value, len, raw) != 16)
    return refuse(reader, 400, "Sec-WebSocket-Key is not 16 bytes in base64");
  if (has_body)
    return refuse(reader, 400, "a WebSocket handshake has no body");
  return SE_HTTP_MORE;
}

/* Trims the fields and sees what they are. SE_HTTP_MORE or SE_HTTP_REFUSED. */
static int check_fields(se_http_reader *reader, framing *found) {
  se_http_request *request = &reader->request;
  unsigned i;
  memset(found, 0, sizeof *found);
  for (i = 0; i < request->field_count; i++) {
    se_http_field *field = &request->fields[i];
    const char *value = text_at(request, field->value);
    if (!is_token(text_at(request, field->name), field->name_len))
      return refuse(reader, 400, "a header name is no token");
    if (!is_value(value, field->value_len))
      return refuse(reader, 400, "a control character in a header");
    while (field->value_len > 0 && (value[field->value_len - 1] == ' ' ||
                                    value[field->value_len - 1] == '\t'))
      field->value_len--;
    note_field(found, request, field);
  }
  if (found->hosts > 1 || (found->hosts == 0 && reader->parser.http_minor > 0))
    return refuse(reader, 400, "there must be one Host header");
  return SE_HTTP_MORE;
}

/* Everything that is decided once the head is known. SE_HTTP_MORE or SE_HTTP_REFUSED. */
static int finish_head(se_http_reader *reader) {
  se_http_request *request = &reader->request;
  http_parser *parser = &reader->parser;
  int has_body = (parser->flags & F_CHUNKED) != 0;
  const char *wrong;
  framing found;
  if (reader->too_many)
    return refuse(reader, 431, "too many headers");
  if (parser->http_major != 1)
    return refuse(reader, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
  if (check_fields(reader, &found) == SE_HTTP_REFUSED)
    return SE_HTTP_REFUSED;
  request->method = http_method_str((enum http_method)parser->method);
  if (parser->method == HTTP_CONNECT || !split_target(reader))
    return refuse(reader, 400, "the request target is not a path");
  wrong = check_framing(reader, &found);
  if (wrong != NULL)
    return refuse(reader, 400, wrong);
  if (found.length != NULL && parser->content_length > 0) {
    if (parser->content_length > reader->max_body)
      return refuse(reader, 413, "the body is too long");
    has_body = 1;
  }
  if (found.expect != NULL && !has_value(request, found.expect, "100-continue"))
    return refuse(reader, 417, "an Expect header that is not understood");
  reader->wants_continue = found.expect != NULL && has_body && parser->http_minor > 0;
  request->no_body = parser->method == HTTP_HEAD;
  request->keep_alive = http_should_keep_alive(parser) != 0;
  request->upgrade = found.to_websocket && found.upgrades;
  /* An offer of another protocol is ignored; the request is served as it is. */
  parser->upgrade = request->upgrade ? 1 : 0;
  return request->upgrade ? check_upgrade(reader, &found, has_body) : SE_HTTP_MORE;
}

static int refuse_error(se_http_reader *reader, enum http_errno error) {
  if (reader->broken_line)
    return refuse(reader, 400, "a line that does not end as HTTP lines do");
  if (reader->request.status != 0) /* said by a callback */
    return SE_HTTP_REFUSED;
  if (error == HPE_HEADER_OVERFLOW)
    return refuse(reader, 431, "the headers are too long");
  return refuse(reader, 400, http_errno_description(error));
}

/* ---- the reader ---- */

se_http_reader *se_http_reader_new(size_t max_header, size_t max_body) {
  se_http_reader *reader = calloc(1, sizeof *reader);
  if (reader == NULL)
    return NULL;
  reader->max_header = max_header < SE_HTTP_MAX_HEADER ? max_header : SE_HTTP_MAX_HEADER;
  reader->max_body = max_body;
  http_parser_init(&reader->parser, HTTP_REQUEST);
  reader->parser.data = reader;
  /* One byte more than the head can have: see the "/" in split_target. */
  se_buffer_init(&reader->request.text, reader->max_header + 1);
  se_buffer_init(&reader->request.body, max_body);
  reader->request.method = "";
  reader->request.fields = reader->few;
  return reader;
}

void se_http_reader_free(se_http_reader *reader) {
  if (reader == NULL)
    return;
  if (reader->request.fields != reader->few)
    free(reader->request.fields);
  se_buffer_free(&reader->request.text);
  se_buffer_free(&reader->request.body);
  free(reader);
}

const se_http_request *se_http_reader_request(const se_http_reader *reader) {
  return &reader->request;
}

int se_http_reader_in_body(const se_http_reader *reader) {
  return reader->head_done;
}

int se_http_reader_read(se_http_reader *reader, const char *data, size_t len, size_t *taken) {
  http_parser *parser = &reader->parser;
  size_t used = 0;
  *taken = 0;
  if (reader->request.status != 0)
    return SE_HTTP_REFUSED;
  reader->unchecked = data;
  while (used < len) {
    int in_head = !reader->head_done;
    size_t part = len - used, done;
    enum http_errno error;
    if (in_head && part > reader->max_header - reader->head_bytes)
      part = reader->max_header - reader->head_bytes;
    if (part == 0)
      return refuse(reader, 431, "the headers are too long");
    /* Most heads come in one piece and are short: then their text need not grow. */
    if (in_head && se_buffer_reserve(&reader->request.text, part < SHORT_HEAD ? part : SHORT_HEAD) ==
                       NULL)
      return refuse(reader, 503, "out of memory");
    done = http_parser_execute(parser, &settings, data + used, part);
    error = HTTP_PARSER_ERRNO(parser);
    /* The parser stops in front of the line feed that ends a head, but has seen it. */
    check_lines(reader, data + used + done + (error == HPE_PAUSED && in_head && !reader->complete));
    if ((error != HPE_OK && error != HPE_PAUSED) || reader->broken_line)
      return refuse_error(reader, error);
    used += done;
    if (in_head)
      reader->head_bytes += done;
    if (error == HPE_PAUSED)
      http_parser_pause(parser, 0);
    if (in_head && reader->head_done && finish_head(reader) == SE_HTTP_REFUSED)
      return SE_HTTP_REFUSED;
    if (reader->complete) {
      *taken = used;
      return SE_HTTP_COMPLETE;
    }
  }
  *taken = used;
  if (reader->wants_continue) {
    reader->wants_continue = 0;
    return SE_HTTP_CONTINUE;
  }
  return SE_HTTP_MORE;
}

const char *se_http_phrase(int status) {
  switch (status) {
#define PHRASE(number, name, text) case number: return #text;
    HTTP_STATUS_MAP(PHRASE)
#undef PHRASE
    default: return "Unknown";
  }
}

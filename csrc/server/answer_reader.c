/* answer_reader.c -- HTTP/1 answers through http-parser. */
#include "answer_reader.h"

#include <http_parser.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "status.h"

/* Bytes of an answer that are no body, about: http-parser allows any number of 1xx before it, and of
 * extensions to its chunks, which would keep us busy until time is up. */
#define MAX_BESIDE (512 << 10)
#define NAME 16 /* one more than the longest name of interest has, and a zero */

struct se_answer_reader {
  se_answer answer;
  http_parser parser;
  size_t max_body, body;
  size_t read; /* bytes of the answer and of what came before it */
  int begun, complete, head_done, in_value;
  char name[NAME]; /* of the header at hand; "": it is of no interest, or the name is not complete */
  size_t name_len;
  char *value; /* where its value goes, or NULL */
  size_t value_len;
};

static int refuse(se_answer_reader *reader, int failure, const char *reason) {
  reader->answer.failure = failure;
  reader->answer.reason = reason;
  return 1;
}

/* ---- callbacks: they store and nothing else ---- */

static void begin_head(se_answer_reader *reader) {
  memset(&reader->answer, 0, sizeof reader->answer);
  reader->body = reader->name_len = 0;
  reader->complete = reader->head_done = reader->in_value = 0;
  reader->value = NULL;
}

static int on_begin(http_parser *parser) {
  begin_head(parser->data);
  return 0;
}

static int on_field(http_parser *parser, const char *at, size_t len) {
  se_answer_reader *reader = parser->data;
  if (reader->in_value)
    reader->name_len = 0;
  reader->in_value = 0;
  for (size_t i = 0; i < len && reader->name_len < NAME; i++)
    reader->name[reader->name_len++] = at[i];
  return 0;
}

static int is_name(const se_answer_reader *reader, const char *name) {
  return reader->name_len == strlen(name) && strncasecmp(reader->name, name, reader->name_len) == 0;
}

/* The last of several headers of the same name counts. */
static void begin_value(se_answer_reader *reader) {
  reader->in_value = 1;
  reader->value_len = 0;
  reader->value = NULL;
  if (is_name(reader, "retry-after"))
    reader->value = reader->answer.retry_after;
  else if (is_name(reader, "date"))
    reader->value = reader->answer.date;
  if (reader->value != NULL)
    reader->value[0] = '\0';
}

static int on_value(http_parser *parser, const char *at, size_t len) {
  se_answer_reader *reader = parser->data;
  if (reader->head_done || parser->status_code / 100 == 2)
    return 0; /* trailers are of no interest, nor is when to come back after a yes */
  if (!reader->in_value)
    begin_value(reader);
  if (reader->value == NULL)
    return 0;
  if (len >= SE_ANSWER_VALUE - reader->value_len) {
    reader->value[0] = '\0';
    reader->value = NULL;
    return 0;
  }
  memcpy(reader->value + reader->value_len, at, len);
  reader->value_len += len;
  reader->value[reader->value_len] = '\0';
  return 0;
}

/* Takes the white space behind it away. The parser lets control characters pass; with one it is none. */
static void clean(char *value) {
  size_t len = strlen(value);
  while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
    value[--len] = '\0';
  for (size_t i = 0; i < len; i++) {
    if (((unsigned char)value[i] < ' ' && value[i] != '\t') || value[i] == 127)
      value[0] = '\0';
  }
}

static int on_head(http_parser *parser) {
  se_answer_reader *reader = parser->data;
  reader->head_done = 1;
  clean(reader->answer.retry_after);
  clean(reader->answer.date);
  /* Nobody has asked for another protocol. Whatever follows is none that we speak. */
  return parser->status_code == 101 ? 2 : 0;
}

static int on_body(http_parser *parser, const char *at, size_t len) {
  se_answer_reader *reader = parser->data;
  (void)at;
  if (len > reader->max_body - reader->body)
    return refuse(reader, SE_ERR_FULL, "the answer is too long");
  reader->body += len;
  return 0;
}

static int on_complete(http_parser *parser) {
  se_answer_reader *reader = parser->data;
  if (parser->status_code / 100 == 1 && parser->status_code != 101)
    return 0; /* the answer is still to come */
  reader->complete = 1;
  reader->answer.status = (int)parser->status_code;
  reader->answer.keep_alive = http_should_keep_alive(parser) && parser->status_code != 101;
  http_parser_pause(parser, 1);
  return 0;
}

static const http_parser_settings settings = {
    .on_message_begin = on_begin, .on_header_field = on_field, .on_header_value = on_value,
    .on_headers_complete = on_head, .on_body = on_body, .on_message_complete = on_complete,
};

/* ---- the reader ---- */

se_answer_reader *se_answer_reader_new(size_t max_body) {
  se_answer_reader *reader = calloc(1, sizeof *reader);
  if (reader == NULL)
    return NULL;
  reader->max_body = max_body;
  se_answer_reader_begin(reader);
  return reader;
}

void se_answer_reader_free(se_answer_reader *reader) {
  free(reader);
}

void se_answer_reader_begin(se_answer_reader *reader) {
  http_parser_init(&reader->parser, HTTP_RESPONSE);
  reader->parser.data = reader;
  reader->begun = 0;
  reader->read = 0;
  begin_head(reader);
}

static int broken(se_answer_reader *reader, enum http_errno error, int at_end) {
  if (reader->answer.failure == SE_OK && at_end)
    refuse(reader, SE_ERR_NETWORK, reader->begun
                                       ? "the server ended the connection within its answer"
                                       : "the server ended the connection without an answer");
  else if (reader->answer.failure == SE_OK && error == HPE_HEADER_OVERFLOW)
    refuse(reader, SE_ERR_FULL, "the head of the answer is too long");
  else if (reader->answer.failure == SE_OK)
    refuse(reader, SE_ERR_PROTOCOL, "the answer is no HTTP");
  return SE_ANSWER_BROKEN;
}

int se_answer_reader_read(se_answer_reader *reader, const char *data, size_t len, size_t *taken) {
  http_parser *parser = &reader->parser;
  *taken = http_parser_execute(parser, &settings, data, len);
  enum http_errno error = HTTP_PARSER_ERRNO(parser);
  if (reader->complete)
    return SE_ANSWER_COMPLETE;
  if (len == 0 || error != HPE_OK)
    return broken(reader, error, len == 0);
  reader->begun = 1;
  reader->read += len;
  if (reader->read - reader->body > MAX_BESIDE) {
    refuse(reader, SE_ERR_FULL, "the answer is too long");
    return SE_ANSWER_BROKEN;
  }
  return SE_ANSWER_MORE;
}

const se_answer *se_answer_reader_answer(const se_answer_reader *reader) {
  return &reader->answer;
}

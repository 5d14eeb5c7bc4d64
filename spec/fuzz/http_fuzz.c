/* http_fuzz.c -- a request must read the same, however its bytes are cut: whole, byte by byte, and in
 * pieces that the input itself decides. Needs no Lua:
 *   clang -fsanitize=fuzzer,address,undefined -D_POSIX_C_SOURCE=200809L -Icsrc \
 *         spec/fuzz/http_fuzz.c csrc/server/http_request.c csrc/buffer.c csrc/crypto.c \
 *         -lhttp_parser -lcrypto */
#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "pieces.h"
#include "server/http_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Small, so that the limits are reached. */
#define MAX_HEADER 2048
#define MAX_BODY 512

/* Reads one request; *used tells how many bytes it took. */
static int read_request(se_http_reader *reader, int how, const uint8_t *data, size_t size,
                        size_t *used) {
  pieces stream = {how, (uint32_t)size, data, size};
  size_t len, taken;
  char *piece;
  int result = SE_HTTP_MORE;
  *used = 0;
  while (result <= SE_HTTP_CONTINUE && (piece = next_piece(&stream, &len)) != NULL) {
    result = se_http_reader_read(reader, piece, len, &taken);
    free(piece);
    MUST(taken <= len);
    MUST(result > SE_HTTP_CONTINUE || taken == len);
    *used += taken;
  }
  return result <= SE_HTTP_CONTINUE ? SE_HTTP_MORE : result;
}

static void must_equal(const se_buffer *a, const se_buffer *b) {
  MUST(se_buffer_length(a) == se_buffer_length(b));
  MUST(memcmp(se_buffer_bytes(a), se_buffer_bytes(b), se_buffer_length(a)) == 0);
}

/* What every complete request promises. */
static void check_complete(const se_http_request *request) {
  const char *text = se_buffer_bytes(&request->text);
  size_t len = se_buffer_length(&request->text);
  unsigned i;
  MUST(se_buffer_length(&request->body) <= MAX_BODY && len <= MAX_HEADER + 1);
  MUST(request->path_len > 0 && (size_t)request->path + request->path_len <= len);
  MUST(text[request->path] == '/' || text[request->path] == '*');
  MUST((size_t)request->query + request->query_len <= len);
  MUST(request->field_count <= SE_HTTP_MAX_FIELDS);
  for (i = 0; i < request->field_count; i++) {
    const se_http_field *field = &request->fields[i];
    MUST(field->name_len > 0 && (size_t)field->name + field->name_len <= len);
    MUST((size_t)field->value + field->value_len <= len);
    MUST(memchr(text + field->value, '\n', field->value_len) == NULL);
    MUST(memchr(text + field->value, '\r', field->value_len) == NULL);
    MUST(memchr(text + field->value, '\0', field->value_len) == NULL);
    MUST(memchr(text + field->name, ' ', field->name_len) == NULL);
  }
}

static void must_agree(const se_http_request *a, const se_http_request *b) {
  must_equal(&a->text, &b->text);
  must_equal(&a->body, &b->body);
  MUST(strcmp(a->method, b->method) == 0);
  MUST(a->path == b->path && a->path_len == b->path_len);
  MUST(a->query == b->query && a->query_len == b->query_len);
  MUST(a->keep_alive == b->keep_alive && a->no_body == b->no_body && a->upgrade == b->upgrade);
  MUST(a->field_count == b->field_count);
  MUST(memcmp(a->fields, b->fields, a->field_count * sizeof a->fields[0]) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  size_t start = 0;
  int requests;
  /* Pipelined requests, as long as there are any. */
  for (requests = 0; requests < 8 && start < size; requests++) {
    se_http_reader *readers[3];
    size_t used[3];
    int results[3], how;
    for (how = WHOLE; how <= RANDOM; how++) {
      readers[how] = se_http_reader_new(MAX_HEADER, MAX_BODY);
      MUST(readers[how] != NULL);
      results[how] = read_request(readers[how], how, data + start, size - start, &used[how]);
    }
    for (how = BYTEWISE; how <= RANDOM; how++) {
      const se_http_request *a = se_http_reader_request(readers[WHOLE]);
      const se_http_request *b = se_http_reader_request(readers[how]);
      MUST(results[how] == results[WHOLE]);
      MUST(a->status == b->status);
      if (results[how] == SE_HTTP_COMPLETE) {
        MUST(used[how] == used[WHOLE]);
        must_agree(a, b);
        check_complete(a);
      }
    }
    for (how = WHOLE; how <= RANDOM; how++)
      se_http_reader_free(readers[how]);
    if (results[WHOLE] != SE_HTTP_COMPLETE)
      break;
    start += used[WHOLE];
  }
  return 0;
}

/* answer_fuzz.c -- an answer must read the same, however its bytes are cut: whole, byte by byte, and in
 * pieces that the input itself decides. Needs no Lua:
 *   clang -fsanitize=fuzzer,address,undefined -D_POSIX_C_SOURCE=200809L -Icsrc \
 *         spec/fuzz/answer_fuzz.c csrc/server/answer_reader.c -lhttp_parser */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "pieces.h"
#include "server/answer_reader.h"
#include "status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BODY 512 /* small, so that it is reached */

/* Reads one answer, and the end of the stream behind it where it is not complete before; *used tells how
 * many bytes it took. */
static int read_answer(se_answer_reader *reader, int how, const uint8_t *data, size_t size,
                       size_t *used) {
  pieces stream = {how, (uint32_t)size, data, size};
  size_t len, taken;
  char *piece;
  int result = SE_ANSWER_MORE;
  *used = 0;
  while (result == SE_ANSWER_MORE && (piece = next_piece(&stream, &len)) != NULL) {
    result = se_answer_reader_read(reader, piece, len, &taken);
    free(piece);
    MUST(taken <= len);
    MUST(result != SE_ANSWER_MORE || taken == len);
    *used += taken;
  }
  if (result == SE_ANSWER_MORE)
    result = se_answer_reader_read(reader, "", 0, &taken);
  MUST(result != SE_ANSWER_MORE);
  return result;
}

static void check_value(const char *value) {
  size_t len = strlen(value);
  MUST(len < SE_ANSWER_VALUE);
  MUST(strpbrk(value, "\r\n") == NULL);
  MUST(len == 0 || (value[len - 1] != ' ' && value[len - 1] != '\t'));
}

static void check(int result, const se_answer *answer) {
  if (result == SE_ANSWER_BROKEN) {
    MUST(answer->failure != SE_OK && answer->reason != NULL);
    return;
  }
  MUST(answer->failure == SE_OK);
  MUST(answer->status / 100 != 1 || answer->status == 101);
  check_value(answer->retry_after);
  check_value(answer->date);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  size_t start = 0;
  se_answer_reader *readers[3];
  for (int how = WHOLE; how <= RANDOM; how++) {
    readers[how] = se_answer_reader_new(MAX_BODY);
    MUST(readers[how] != NULL);
  }
  /* Answers one behind the other, as long as there are any; the readers are used again for each. */
  for (int answers = 0; answers < 8 && start < size; answers++) {
    size_t used[3];
    int results[3];
    for (int how = WHOLE; how <= RANDOM; how++) {
      se_answer_reader_begin(readers[how]);
      results[how] = read_answer(readers[how], how, data + start, size - start, &used[how]);
    }
    const se_answer *a = se_answer_reader_answer(readers[WHOLE]);
    check(results[WHOLE], a);
    for (int how = BYTEWISE; how <= RANDOM; how++) {
      const se_answer *b = se_answer_reader_answer(readers[how]);
      MUST(results[how] == results[WHOLE]);
      check(results[how], b);
      if (results[how] != SE_ANSWER_COMPLETE)
        continue;
      MUST(used[how] == used[WHOLE]);
      MUST(a->status == b->status && a->keep_alive == b->keep_alive);
      MUST(strcmp(a->retry_after, b->retry_after) == 0 && strcmp(a->date, b->date) == 0);
    }
    if (results[WHOLE] != SE_ANSWER_COMPLETE || used[WHOLE] == 0)
      break;
    start += used[WHOLE];
  }
  for (int how = WHOLE; how <= RANDOM; how++)
    se_answer_reader_free(readers[how]);
  return 0;
}

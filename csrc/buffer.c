/* buffer.c -- a growable run of bytes with a limit.
 *
 * Every byte is moved a bounded number of times on average, whatever the sizes and the order of
 * appending and taking: a block grows by half, and what is left in it is moved to its front only
 * when at least half as many bytes were taken before it. */
#include "buffer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "status.h"

#define SMALLEST 64 /* bytes of the first block: most control frames fit */

void se_buffer_init(se_buffer *buffer, size_t limit) {
  buffer->data = NULL;
  buffer->start = buffer->end = buffer->capacity = 0;
  buffer->limit = limit;
}

void se_buffer_free(se_buffer *buffer) {
  free(buffer->data);
  se_buffer_init(buffer, buffer->limit);
}

int se_buffer_fits(const se_buffer *buffer, size_t len) {
  return len <= buffer->limit - se_buffer_length(buffer);
}

/* Makes the block hold 'length' bytes from 'start' on, which it does not yet. 0: no memory. */
static int grow(se_buffer *buffer, size_t length) {
  size_t have = se_buffer_length(buffer);
  size_t capacity = length < SMALLEST ? SMALLEST : length;
  char *data;
  if (buffer->capacity > 0 && capacity <= SIZE_MAX - capacity / 2)
    capacity += capacity / 2;
  if (buffer->start == 0) {
    data = realloc(buffer->data, capacity); /* may get by without copying */
    if (data == NULL)
      return 0;
  } else {
    data = malloc(capacity);
    if (data == NULL)
      return 0;
    memcpy(data, buffer->data + buffer->start, have);
    free(buffer->data);
  }
  buffer->data = data;
  buffer->capacity = capacity;
  buffer->start = 0;
  buffer->end = have;
  return 1;
}

char *se_buffer_reserve(se_buffer *buffer, size_t len) {
  size_t have = se_buffer_length(buffer);
  if (!se_buffer_fits(buffer, len))
    return NULL;
  if (buffer->data == NULL || len > buffer->capacity - buffer->end) {
    if (buffer->data != NULL && buffer->start >= have / 2 && have + len <= buffer->capacity) {
      memmove(buffer->data, buffer->data + buffer->start, have);
      buffer->start = 0;
      buffer->end = have;
    } else if (!grow(buffer, have + len)) {
      return NULL;
    }
  }
  return buffer->data + buffer->end;
}

void se_buffer_commit(se_buffer *buffer, size_t len) {
  buffer->end += len;
}

int se_buffer_append(se_buffer *buffer, const char *data, size_t len) {
  char *to;
  if (len == 0)
    return SE_OK;
  to = se_buffer_reserve(buffer, len);
  if (to == NULL)
    return se_buffer_fits(buffer, len) ? SE_ERR_MEMORY : SE_ERR_FULL;
  memcpy(to, data, len);
  buffer->end += len;
  return SE_OK;
}

void se_buffer_consume(se_buffer *buffer, size_t len, size_t keep) {
  buffer->start += len;
  if (buffer->start < buffer->end)
    return;
  buffer->start = buffer->end = 0;
  if (buffer->capacity > keep)
    se_buffer_free(buffer);
}

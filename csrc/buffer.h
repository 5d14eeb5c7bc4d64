/* buffer.h -- a growable run of bytes with a limit: append at the end, take from the front.
 *
 * It never grows past its limit, so a peer that does not read shows up as SE_ERR_FULL and not as
 * memory. An empty buffer owns nothing. */
#ifndef SE_BUFFER_H
#define SE_BUFFER_H

#include <stddef.h>

typedef struct {
  char *data;    /* the block, or NULL */
  size_t start;  /* the first byte not yet taken */
  size_t end;    /* one past the last byte */
  size_t capacity;
  size_t limit;  /* most bytes between start and end */
} se_buffer;

/* Owns nothing yet; cannot fail. */
void se_buffer_init(se_buffer *buffer, size_t limit);
/* Frees the block; the buffer is empty and usable afterwards. */
void se_buffer_free(se_buffer *buffer);

/* Room for 'len' more bytes at the end, to be filled by the caller and then counted with
 * se_buffer_commit. The pointer is good until the next call. NULL: over the limit or no memory
 * (se_buffer_fits tells which). */
char *se_buffer_reserve(se_buffer *buffer, size_t len);
void se_buffer_commit(se_buffer *buffer, size_t len);
int se_buffer_fits(const se_buffer *buffer, size_t len);

/* SE_OK, SE_ERR_FULL or SE_ERR_MEMORY; all of the bytes or none. */
int se_buffer_append(se_buffer *buffer, const char *data, size_t len);
/* Takes 'len' (at most se_buffer_length) bytes from the front. Frees the block when nothing is
 * left and it is larger than 'keep' bytes. */
void se_buffer_consume(se_buffer *buffer, size_t len, size_t keep);

static inline size_t se_buffer_length(const se_buffer *buffer) {
  return buffer->end - buffer->start;
}
static inline const char *se_buffer_bytes(const se_buffer *buffer) {
  return buffer->data == NULL ? "" : buffer->data + buffer->start;
}

#endif

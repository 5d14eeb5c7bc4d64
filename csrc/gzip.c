/* gzip.c -- whole texts in the form of RFC 1952, by zlib. */
#include "gzip.h"

#include <limits.h>
#include <string.h>
#include <zlib.h>

#include "status.h"

#define PIECE 8192           /* bytes made at a time; the buffer doubles by itself */
#define WINDOW (15 + 16)     /* zlib's largest window, and the gzip form instead of its own */
#define MEMORY_LEVEL 8       /* zlib's default */

typedef int work(z_stream *stream, int flush);

/* What a return value of zlib's means once it is an end. */
static int status_of(int result) {
  switch (result) {
    case Z_STREAM_END: return SE_OK;
    case Z_MEM_ERROR: return SE_ERR_MEMORY;
    default: return SE_ERR_PROTOCOL;
  }
}

/* Room for the next piece, or for the last bytes below the limit. NULL, and *status, when there is
 * none. */
static char *room(se_buffer *out, size_t *size, int *status) {
  size_t left = out->limit - se_buffer_length(out);
  *size = left < PIECE ? left : PIECE;
  char *at = *size == 0 ? NULL : se_buffer_reserve(out, *size);
  if (at == NULL)
    *status = *size == 0 ? SE_ERR_FULL : SE_ERR_MEMORY;
  return at;
}

/* Runs 'step' until it is done with all of the input. One byte more than may come out is asked for,
 * aside, so that what ends just at the limit is told from what goes on. */
static int run(z_stream *stream, work *step, int flush, se_buffer *out) {
  int status = SE_OK, result = Z_OK;
  while (result == Z_OK) {
    size_t size;
    char beyond = 0;
    char *at = room(out, &size, &status);
    if (at == NULL && status != SE_ERR_FULL)
      return status;
    stream->next_out = (Bytef *)(at == NULL ? &beyond : at);
    stream->avail_out = at == NULL ? 1 : (uInt)size;
    result = step(stream, flush);
    if (at == NULL && stream->avail_out == 0)
      return SE_ERR_FULL;
    if (at != NULL)
      se_buffer_commit(out, size - stream->avail_out);
  }
  return status_of(result);
}

int se_gzip(const char *data, size_t len, se_buffer *out) {
  z_stream stream;
  if (len > UINT_MAX)
    return SE_ERR_FULL;
  memset(&stream, 0, sizeof stream);
  int result = deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW, MEMORY_LEVEL,
                            Z_DEFAULT_STRATEGY);
  if (result != Z_OK)
    return status_of(result);
  stream.next_in = (Bytef *)data; /* zlib only reads it */
  stream.avail_in = (uInt)len;
  int status = run(&stream, deflate, Z_FINISH, out);
  deflateEnd(&stream);
  return status;
}

int se_gunzip(const char *data, size_t len, se_buffer *out) {
  z_stream stream;
  if (len > UINT_MAX)
    return SE_ERR_FULL;
  memset(&stream, 0, sizeof stream);
  stream.next_in = (Bytef *)data;
  stream.avail_in = (uInt)len;
  int result = inflateInit2(&stream, WINDOW);
  if (result != Z_OK)
    return status_of(result);
  int status = run(&stream, inflate, Z_NO_FLUSH, out);
  if (status == SE_OK && stream.avail_in > 0)
    status = SE_ERR_PROTOCOL;
  inflateEnd(&stream);
  return status;
}

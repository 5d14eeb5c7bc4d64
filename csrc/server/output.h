/* output.h -- what still has to go out on one socket: pieces of blocks that may be shared.
 *
 * A block is a run of bytes that any number of queues refer to; a piece is a part of one. An empty
 * queue owns nothing. Nothing here closes sockets or decides what is too much. */
#ifndef SE_OUTPUT_H
#define SE_OUTPUT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct {
  uint32_t refs;
  int frames;      /* nothing but whole WebSocket frames: see se_output_trim */
  size_t len, capacity;
  char *data;      /* moves when the block grows */
} se_block;

/* One reference is the caller's. NULL: no memory. */
se_block *se_block_new(int frames);
void se_block_release(se_block *block); /* accepts NULL */
/* SE_OK or SE_ERR_MEMORY; the block is unchanged then. */
int se_block_append(se_block *block, const void *data, size_t len);
/* Gives back what was reserved for growing. */
void se_block_shrink(se_block *block);

typedef struct {
  se_block *block;
  size_t from, to;
} se_piece;

typedef struct {
  se_piece *pieces;
  uint32_t first, count, capacity;
  size_t bytes;
} se_output;

static inline int se_output_empty(const se_output *output) { return output->count == 0; }
/* The bytes, and what keeping them takes: tiny messages count too. */
static inline size_t se_output_cost(const se_output *output) {
  return output->bytes + 64u * (size_t)output->count;
}
/* Queues a piece and takes a reference of its own. SE_OK or SE_ERR_MEMORY. */
int se_output_add(se_output *output, se_block *block, size_t from, size_t to);
/* Sends what the socket takes. SE_OK: all is out; SE_AGAIN; SE_ERR_NETWORK: the socket is dead. */
int se_output_send(se_output *output, int fd);
/* Forgets everything but the rest of a WebSocket frame that is partly out, so that a close frame
 * can follow. */
void se_output_trim(se_output *output);
void se_output_clear(se_output *output);

/* One system call. The number of bytes taken, 0 when it would block, -1: the socket is dead. */
ptrdiff_t se_socket_send(int fd, const char *data, size_t len);
ptrdiff_t se_socket_sendv(int fd, struct iovec *parts, int count);

#endif

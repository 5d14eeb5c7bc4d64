/* output.c -- blocks, and queues of pieces of them. */
#include "output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "status.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* such systems have SO_NOSIGPIPE, set when a connection is accepted */
#endif

#define SEND_PARTS 64 /* pieces handed over in one system call */

se_block *se_block_new(int frames) {
  se_block *block = calloc(1, sizeof *block);
  if (block != NULL) {
    block->refs = 1;
    block->frames = frames;
  }
  return block;
}

void se_block_release(se_block *block) {
  if (block == NULL || --block->refs > 0)
    return;
  free(block->data);
  free(block);
}

int se_block_append(se_block *block, const void *data, size_t len) {
  if (len > block->capacity - block->len) {
    size_t capacity = block->capacity == 0 ? 512 : block->capacity;
    char *grown;
    while (capacity - block->len < len) {
      if (capacity > SIZE_MAX / 2)
        return SE_ERR_MEMORY;
      capacity *= 2;
    }
    grown = realloc(block->data, capacity);
    if (grown == NULL)
      return SE_ERR_MEMORY;
    block->data = grown;
    block->capacity = capacity;
  }
  if (len > 0)
    memcpy(block->data + block->len, data, len);
  block->len += len;
  return SE_OK;
}

void se_block_shrink(se_block *block) {
  char *smaller;
  if (block->len == 0 || block->capacity - block->len < block->len / 8)
    return;
  smaller = realloc(block->data, block->len);
  if (smaller != NULL) {
    block->data = smaller;
    block->capacity = block->len;
  }
}

int se_output_add(se_output *output, se_block *block, size_t from, size_t to) {
  se_piece *last;
  if (from == to)
    return SE_OK;
  if (output->count > 0) {
    last = &output->pieces[output->first + output->count - 1];
    if (last->block == block && last->to == from) {
      last->to = to;
      output->bytes += to - from;
      return SE_OK;
    }
  }
  if (output->first + output->count == output->capacity) {
    if (output->first > output->count) { /* more than half is free: move to the front */
      memmove(output->pieces, output->pieces + output->first,
              output->count * sizeof *output->pieces);
      output->first = 0;
    } else {
      uint32_t capacity = output->capacity == 0 ? 4 : output->capacity * 2;
      se_piece *grown = realloc(output->pieces, capacity * sizeof *grown);
      if (grown == NULL)
        return SE_ERR_MEMORY;
      output->pieces = grown;
      output->capacity = capacity;
    }
  }
  output->pieces[output->first + output->count++] = (se_piece){block, from, to};
  output->bytes += to - from;
  block->refs++;
  return SE_OK;
}

void se_output_clear(se_output *output) {
  uint32_t i;
  for (i = 0; i < output->count; i++)
    se_block_release(output->pieces[output->first + i].block);
  free(output->pieces);
  *output = (se_output){0};
}

/* Takes bytes that are out from the front. */
static void taken(se_output *output, size_t len) {
  output->bytes -= len;
  while (output->count > 0) {
    se_piece *piece = &output->pieces[output->first];
    size_t part = piece->to - piece->from;
    if (len < part) {
      piece->from += len;
      return;
    }
    len -= part;
    se_block_release(piece->block);
    output->first++;
    output->count--;
  }
  se_output_clear(output);
}

int se_output_send(se_output *output, int fd) {
  while (output->count > 0) {
    struct iovec parts[SEND_PARTS];
    uint32_t i, count = output->count < SEND_PARTS ? output->count : SEND_PARTS;
    size_t all = 0;
    ptrdiff_t sent;
    for (i = 0; i < count; i++) {
      se_piece *piece = &output->pieces[output->first + i];
      parts[i].iov_base = piece->block->data + piece->from;
      parts[i].iov_len = piece->to - piece->from;
      all += parts[i].iov_len;
    }
    sent = se_socket_sendv(fd, parts, (int)count);
    if (sent < 0)
      return SE_ERR_NETWORK;
    taken(output, (size_t)sent);
    if ((size_t)sent < all)
      return SE_AGAIN;
  }
  return SE_OK;
}

/* Length of the unmasked frame at 'data' (RFC 6455 §5.2). */
static size_t frame_length(const char *data) {
  const unsigned char *byte = (const unsigned char *)data;
  size_t len = byte[1] & 127u, i;
  if (len == 126)
    return 4 + ((size_t)byte[2] << 8 | byte[3]);
  if (len < 126)
    return 2 + len;
  for (len = 0, i = 2; i < 10; i++)
    len = len << 8 | byte[i];
  return 10 + len;
}

void se_output_trim(se_output *output) {
  se_piece front;
  size_t end = 0;
  if (output->count == 0)
    return;
  front = output->pieces[output->first];
  if (front.block->frames) {
    while (end < front.from)
      end += frame_length(front.block->data + end);
  } else {
    end = front.to;
  }
  front.block->refs++; /* outlives the queue */
  se_output_clear(output);
  /* Without memory the frame stays cut, and the client sees a connection that breaks. */
  (void)se_output_add(output, front.block, front.from, end);
  se_block_release(front.block);
}

ptrdiff_t se_socket_send(int fd, const char *data, size_t len) {
  ssize_t sent;
  do {
    sent = send(fd, data, len, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0)
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? 0 : -1;
  return sent;
}

ptrdiff_t se_socket_sendv(int fd, struct iovec *parts, int count) {
  struct msghdr message = {0};
  ssize_t sent;
  message.msg_iov = parts;
  message.msg_iovlen = (size_t)count;
  do {
    sent = sendmsg(fd, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0)
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? 0 : -1;
  return sent;
}

/* accept.c -- connections come: each gets a slot, or is turned away. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn.h"
#include "http_answer.h"
#include "sockets.h"
#include "status.h"

#define ACCEPTS 128       /* new connections in one round */
#define DRAINED_ROUNDS 16 /* how much is read of who is turned away */

static int reserve_slot(se_listener *listener) {
  uint32_t count = listener->slot_count, wanted = count == 0 ? 64 : count * 2, i;
  se_conn **slots;
  uint32_t *numbers;
  if (listener->free_count > 0)
    return SE_OK;
  slots = realloc(listener->slots, wanted * sizeof *slots);
  if (slots == NULL)
    return SE_ERR_MEMORY;
  listener->slots = slots;
  numbers = realloc(listener->free_slots, wanted * sizeof *numbers);
  if (numbers == NULL)
    return SE_ERR_MEMORY;
  listener->free_slots = numbers;
  for (i = wanted; i > count; i--) {
    slots[i - 1] = NULL;
    numbers[listener->free_count++] = i - 1;
  }
  listener->slot_count = wanted;
  return SE_OK;
}

/* Owns 'fd' when it succeeds; and the part that its address has in the limit, if it 'shares' that. */
static int add_connection(se_listener *listener, int fd, const se_address *address, int shares) {
  se_conn *conn;
  uint32_t slot;
  int on = 1;
  if (reserve_slot(listener) != SE_OK)
    return SE_ERR_MEMORY;
  conn = calloc(1, sizeof *conn);
  if (conn == NULL || se_fanout_add(listener->fanout, &conn->out, fd) != SE_OK) {
    free(conn);
    return SE_ERR_MEMORY;
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  slot = listener->free_slots[--listener->free_count];
  listener->slots[slot] = conn;
  conn->id = ++listener->serial << SE_SLOT_BITS | slot;
  conn->inbound_end = &conn->inbound;
  se_buffer_init(&conn->rest, SE_INPUT_SIZE);
  conn->address = *address;
  conn->shares = (uint8_t)shares;
  listener->counts.connections++;
  listener->counts.accepted++;
  se_http_conn_begin(listener, conn);
  return SE_OK;
}

/* Answers 503 as far as that is possible without waiting. */
static void turn_away(se_listener *listener, int fd, const char *reason) {
  se_buffer *answer = &listener->scratch;
  if (se_http_refusal(answer, 503, reason) == SE_OK) {
    se_socket_send(fd, se_buffer_bytes(answer), se_buffer_length(answer));
    shutdown(fd, SHUT_WR);
    /* Unread input would take the answer with it. */
    for (int i = 0; i < DRAINED_ROUNDS; i++) {
      if (recv(fd, listener->input, SE_INPUT_SIZE, 0) <= 0)
        break;
    }
  }
  se_buffer_consume(answer, se_buffer_length(answer), SE_INPUT_SIZE);
  close(fd);
  listener->counts.refused++;
}

/* A new connection, within the limit of all and that of its address. */
static void admit(se_listener *listener, int fd, const struct sockaddr_storage *peer) {
  uint32_t most = listener->options.max_per_address;
  se_address address;
  int shares, status = SE_OK;
  if (listener->counts.connections >= listener->options.max_connections) {
    turn_away(listener, fd, "too many connections");
    return;
  }
  se_address_from(&address, peer);
  shares = most > 0 && !se_addresses_is_exempt(listener->addresses, &address);
  if (shares)
    status = se_addresses_take(listener->addresses, &address, most);
  if (status == SE_ERR_FULL) {
    listener->counts.refused_by_address++;
    turn_away(listener, fd, "too many connections from this address");
    return;
  }
  if (status == SE_OK && add_connection(listener, fd, &address, shares) == SE_OK)
    return;
  if (status == SE_OK && shares)
    se_addresses_give(listener->addresses, &address);
  turn_away(listener, fd, "out of memory");
}

/* Without a descriptor of its own a connection can only be told so with the reserve. 0: there is
 * none, or somebody else was faster. */
static int turn_away_with_reserve(se_listener *listener) {
  struct sockaddr_storage peer;
  int fd, reason;
  if (listener->reserve_fd < 0)
    return 0;
  close(listener->reserve_fd);
  fd = se_socket_accept(listener->fd, &peer);
  reason = errno;
  if (fd >= 0)
    turn_away(listener, fd, "too many connections");
  listener->reserve_fd = se_socket_reserve();
  return fd >= 0 || reason == EAGAIN || reason == EWOULDBLOCK;
}

/* What cannot be accepted stays in the queue, and the poller would report it for ever. */
static void pause_accepting(se_listener *listener) {
  se_poller_set(listener->poller, listener->fd, SE_POLL_READ, 0, listener);
  se_timers_start(&listener->timers, &listener->accept_timer, SE_TIMER_ACCEPT, listener->now);
}

void se_accept_resume(se_listener *listener) {
  if (listener->fd >= 0 &&
      se_poller_set(listener->poller, listener->fd, 0, SE_POLL_READ, listener) != 0)
    se_timers_start(&listener->timers, &listener->accept_timer, SE_TIMER_ACCEPT, listener->now);
}

void se_accept_some(se_listener *listener) {
  int i;
  if (listener->reserve_fd < 0)
    listener->reserve_fd = se_socket_reserve();
  for (i = 0; i < ACCEPTS && listener->fd >= 0; i++) {
    struct sockaddr_storage peer;
    int fd = se_socket_accept(listener->fd, &peer);
    if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      return;
    if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
      continue;
    if (fd < 0) {
      if ((errno == EMFILE || errno == ENFILE) && turn_away_with_reserve(listener))
        continue;
      pause_accepting(listener);
      return;
    }
    admit(listener, fd, &peer);
  }
}

/* listener.h -- a listening socket and all its connections: HTTP requests and WebSockets.
 *
 * Owns every descriptor and one poller. se_listener_step does what is possible now and records what
 * happened; se_listener_next hands that out. No callbacks, no thread, no waiting, no decisions:
 * whether a handshake is accepted and what a request is answered is the caller's matter.
 * Connections are known by numbers that are never used again. */
#ifndef SE_LISTENER_H
#define SE_LISTENER_H

#include <stddef.h>
#include <stdint.h>

#include "http_request.h"

typedef struct {
  const char *host;        /* read only while it is opened */
  int port;                /* 0: a free one */
  uint32_t max_connections; /* at most SE_MAX_CONNECTIONS */
  uint32_t max_per_address; /* of those; 0: any number */
  size_t max_header, max_body, max_message, max_output;
  uint32_t max_message_rate; /* inbound messages, pings and pongs a second; 0: any number */
  double header_timeout, body_timeout, keepalive_timeout, idle_timeout, slow_timeout;
  int messages;            /* hand out inbound messages with their bytes */
} se_listen_options;

#define SE_MAX_CONNECTIONS 1000000
#define SE_ADDRESS_SIZE 64 /* a printed address, with its zero */

typedef struct se_listener se_listener;

/* NULL: SE_ERR_MEMORY, or SE_ERR_NETWORK with the reason in 'message'. */
se_listener *se_listener_open(const se_listen_options *options, int *status, char *message,
                              size_t message_size);
/* Leaves one more network out of max_per_address, see se_addresses_exempt; NULL: none any more. */
int se_listener_exempt(se_listener *listener, const char *network);
/* Closes everything, with nothing said to anybody. Accepts NULL. */
void se_listener_free(se_listener *listener);

/* Other limits from now on; WebSockets that are open keep their max_message. The address and
 * 'messages' stay as they are. */
void se_listener_configure(se_listener *listener, const se_listen_options *options);

int se_listener_fd(const se_listener *listener); /* the poller's */
/* Seconds until the next deadline, negative: none. */
double se_listener_timeout(const se_listener *listener);
/* 'host' has SE_ADDRESS_SIZE bytes. Returns the port. */
int se_listener_address(const se_listener *listener, char *host);

/* One turn. Reads nothing while results wait to be fetched, so that they cannot pile up. Of a
 * connection that sends many requests at once each turn hands out one: the others' come between. */
void se_listener_step(se_listener *listener);

enum { SE_EVENT_NONE, SE_EVENT_REQUEST, SE_EVENT_UPGRADE, SE_EVENT_MESSAGE, SE_EVENT_CLOSED };
typedef struct {
  int64_t connection;
  const se_http_request *request; /* REQUEST, UPGRADE: good until it is answered */
  const char *peer;               /* likewise set: its address; good until the next result */
  int opcode;                     /* MESSAGE, when messages are wanted; else 0 */
  const char *data;               /* good until the next call of any function here */
  size_t len;
  int code;                       /* CLOSED */
} se_event;
/* Fills *event with the next result and returns its kind. */
int se_listener_next(se_listener *listener, se_event *event);

/* All return 1, or 0 when there is no such connection in that state. What is sent in answer to a
 * message goes out even when the peer's close frame, or its violation of the protocol, came right
 * behind it: until SE_EVENT_CLOSED is fetched, which then sends the close frame. */
int se_listener_respond(se_listener *listener, int64_t connection, int status, const char *body,
                        size_t len, const char *lines, size_t lines_len);
/* With an envelope that holds the reason, a constant text; and the connection ends. */
int se_listener_refuse(se_listener *listener, int64_t connection, int status, const char *reason);
int se_listener_accept(se_listener *listener, int64_t connection);
int se_listener_send(se_listener *listener, int64_t connection, int opcode, const char *data,
                     size_t len);
int se_listener_close(se_listener *listener, int64_t connection, uint16_t code, const char *reason,
                      size_t len);
int se_listener_join(se_listener *listener, int64_t group, int64_t connection);
int se_listener_leave(se_listener *listener, int64_t group, int64_t connection);

/* Whether a close frame may carry this. */
int se_listener_may_close(unsigned code, const char *reason, size_t len);
size_t se_listener_group_size(const se_listener *listener, int64_t group);
/* How many will get it; -1: no memory. */
ptrdiff_t se_listener_broadcast(se_listener *listener, int64_t group, const char *data, size_t len);
void se_listener_flush(se_listener *listener);
/* No new connections; WebSockets are closed with 'code', HTTP ones after their answer. */
void se_listener_shutdown(se_listener *listener, uint16_t code);

typedef struct {
  uint32_t connections, websockets;
  size_t queued_bytes;
  uint64_t accepted, refused, timed_out, too_slow;
  uint64_t refused_by_address; /* of the refused: see max_per_address */
  uint64_t too_busy;       /* closed for max_message_rate */
} se_listener_counts;
void se_listener_stats(const se_listener *listener, se_listener_counts *counts);

#endif

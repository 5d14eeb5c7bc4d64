/* connection.h -- WebSocket connections of a client: libcurl makes the way to the server (DNS,
 * proxies, TCP, TLS), the upgrade and the frames are our own.
 *
 * Received messages are pulled: se_connection_next reads the socket when what it has is used up.
 * What is not pulled stays in the kernel and slows the sender down; nothing is queued here. Events
 * that the router does not want, or that it refuses, are passed over inside that call. */
#ifndef SE_CONNECTION_H
#define SE_CONNECTION_H

#include <stddef.h>
#include <stdint.h>

#include "list.h"
#include "multi.h"
#include "router.h"
#include "scan.h"

typedef struct se_connection se_connection;

/* All connections of one transport. Fields are the own ones of connection*.c. */
typedef struct {
  se_poller *poller;
  se_multi *multi;
  se_list list;
  char *spare_block;
  se_envelope envelope; /* of the event handed out last */
  uint64_t serial;      /* of what was handed out last */
} se_connections;

/* SE_OK or SE_ERR_MEMORY. The poller must outlive it. */
int se_connections_init(se_connections *all, se_poller *poller);
/* Ends every connection without a close frame; their objects stay valid, and closed. */
void se_connections_free(se_connections *all);
/* Does what is due at 'now' and grants each connection a new budget for reading. */
void se_connections_run(se_connections *all, double now);
/* When se_connections_run, or se_connection_next of one of them, has something to do: SE_NEVER, or
 * 0 for now. */
double se_connections_due(const se_connections *all);

typedef struct {
  const char *url;          /* ws:// or wss:// */
  const char *headers;      /* further lines of the upgrade, each ended by CRLF, or "" */
  se_router *router;        /* NULL: raw messages. Must outlive the connection */
  size_t max_message, max_output;
  double timeout;           /* seconds until it must be open */
  const char *ca_file, *proxy; /* may be NULL */
} se_connection_options;

/* Begins to connect. SE_OK and *out; SE_ERR_MEMORY; SE_ERR_ARGUMENT for a URL or header lines that
 * cannot be used, with *reason a constant text. */
int se_connection_new(se_connections *all, const se_connection_options *options,
                      se_connection **out, const char **reason);
/* In any state. */
void se_connection_free(se_connection *connection); /* accepts NULL */

enum { SE_CONNECTING, SE_OPEN, SE_CLOSING, SE_CLOSED };
int se_connection_state(const se_connection *connection);
/* How a closed one ended. */
typedef struct {
  const char *kind;    /* "closed" "network" "tls" "certificate" "trust" "proxy" "timeout" "protocol"
                          "auth" "memory" */
  const char *message;
  int code;            /* close code, or HTTP status of a refused upgrade; 1006: no word was said */
  const char *retry_after, *date; /* of a refused upgrade: as in upgrade.h; else "" */
} se_connection_end;
void se_connection_ended(const se_connection *connection, se_connection_end *end);

typedef struct {
  const char *data;             /* the text or the message; good until the next call for
                                   any connection of the transport */
  size_t len;
  const se_envelope *envelope;  /* SE_NEXT_EVENT, SE_NEXT_JUDGE; likewise */
  int is_binary;                /* SE_NEXT_RAW */
  const char *reason;           /* SE_NEXT_MALFORMED: a constant text */
  size_t position;              /* ... and where, from 0 */
  double received_at;           /* seconds since 1970 */
  int route;                    /* SE_NEXT_JUDGE: what the router said of it */
} se_received;
enum {
  SE_NEXT_NOTHING,
  SE_NEXT_EVENT,
  SE_NEXT_JUDGE, /* an event that the rules have yet to allow; tell the router what they say */
  SE_NEXT_RAW,
  SE_NEXT_MALFORMED
};
int se_connection_next(se_connection *connection, se_received *out);
/* Makes of a text what se_connection_next would make of it as the next message. Nothing is read, and
 * *out points into the text. SE_NEXT_NOTHING: nobody wants it, or the connection is closed. */
int se_connection_judge(se_connection *connection, const char *text, size_t len, se_received *out);
/* What se_connection_judge gave counts as gone, although nothing else is asked for. */
void se_connection_forget(se_connection *connection);
/* A number that is another one as soon as what se_connection_next gave is gone. */
uint64_t se_connection_serial(const se_connection *connection);

/* Monotonic seconds at which bytes last came; the start of connecting before the first. */
double se_connection_heard(const se_connection *connection);
/* Stops or goes on reading the socket. */
void se_connection_pause(se_connection *connection, int yes);
/* Queues a message (opcode of ws.h) and sends what the socket takes. SE_OK; SE_ERR_FULL;
 * SE_ERR_CLOSED when it is not open; SE_ERR_ARGUMENT (a text that is not UTF-8, an overlong ping);
 * SE_ERR_MEMORY. */
int se_connection_send(se_connection *connection, int opcode, const char *data, size_t len);
/* Starts the closing handshake and waits at most 'seconds' for the answer. While it is closing,
 * messages still come through se_connection_next; without calls of it they are thrown away.
 * Not open yet: ends it at once. SE_OK, or SE_ERR_ARGUMENT for a code or reason that may not be
 * sent. */
int se_connection_close(se_connection *connection, uint16_t code, const char *reason, size_t len,
                        double seconds);
/* Ends it now; does nothing when it is closed. */
void se_connection_abort(se_connection *connection);

#endif

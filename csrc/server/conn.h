/* conn.h -- one connection of a listener, and what the parts of the listener do with it.
 *
 * Only listener.c, accept.c, conn.c, http_conn.c and ws_conn.c include this. A connection is made by
 * accept.c, begins in http_conn.c, and may go on in ws_conn.c; conn.c is what both need. A dropped
 * connection stays allocated until the current call is over and its last result was fetched. */
#ifndef SE_CONN_H
#define SE_CONN_H

#include "addresses.h"
#include "buffer.h"
#include "fanout.h"
#include "http_request.h"
#include "listener.h"
#include "poller.h"
#include "timers.h"
#include "ws.h"

/* Bytes asked of a socket at a time, into one buffer for all connections. */
#define SE_INPUT_SIZE 65536

/* The low bits of a connection's number are its slot; SE_MAX_CONNECTIONS fit. */
#define SE_SLOT_BITS 20
#define SE_SLOT_MASK ((INT64_C(1) << SE_SLOT_BITS) - 1)

enum { /* se_conn.state */
  SE_CONN_HTTP,      /* reading a request, or waiting for one */
  SE_CONN_BUSY,      /* an answer is owed; nothing is read */
  SE_CONN_UPGRADE,   /* the same for a WebSocket handshake */
  SE_CONN_ANSWERING, /* the answer is not quite out; then comes the next request */
  SE_CONN_WS,
  SE_CONN_LEAVING,   /* the peer is done; our close frame waits for what the caller answers to the
                        messages before, that is until "closed" is fetched; nothing is read */
  SE_CONN_CLOSING,   /* our close frame is under way, the peer's is awaited */
  SE_CONN_FLUSHING,  /* the last bytes go out; what comes in is thrown away */
  SE_CONN_DRAIN,     /* our side is shut; waits for the peer to shut its own */
  SE_CONN_DEAD       /* no socket any more */
};

enum { SE_PENDING_REQUEST = 1, SE_PENDING_UPGRADE = 2, SE_PENDING_MESSAGE = 4,
       SE_PENDING_CLOSED = 8 };

/* A message whose bytes are wanted. */
typedef struct se_inbound {
  struct se_inbound *next;
  int opcode;
  size_t len;
  char data[];
} se_inbound;

typedef struct se_conn {
  se_receiver out;         /* the first member: a receiver is its connection */
  se_timer timer;
  int64_t id;
  uint8_t state, watched;  /* what the poller was told */
  uint8_t pending;         /* results not yet fetched */
  uint8_t stalled;         /* there is something to read, and nobody to read it */
  uint8_t ended;           /* the peer has shut its side */
  uint8_t counted;         /* it is a WebSocket that the caller has not seen closed */
  uint8_t listed;          /* in the list of results */
  uint8_t shares;          /* counts against the limit of its address */
  uint8_t put_off;         /* its next request is read in the next turn */
  uint16_t close_code;
  se_address address;
  uint32_t drained;        /* bytes thrown away */
  uint32_t heard, second;  /* what came over the WebSocket, within this second */
  se_http_reader *reader;  /* of the request under way */
  se_buffer rest;          /* read, but behind the request that is being answered; leaving: the
                              last frames to be sent */
  se_ws *ws;
  se_inbound *inbound, **inbound_end;
  struct se_conn *next;    /* in the list of results, or of the dead */
  struct se_conn *next_later;
} se_conn;

struct se_listener {
  se_listen_options options;
  int fd;                  /* -1 after a shutdown */
  int reserve_fd;          /* given up for a moment when the system has no other left; -1: none */
  se_timer accept_timer;   /* runs while nothing is accepted because the system refuses to */
  int stopping;
  se_poller *poller;
  se_timers timers;
  double now;              /* as of the current call */
  se_fanout *fanout;
  se_addresses *addresses;
  se_address printed;      /* the address that was printed last: many requests have the same */
  char printed_text[SE_ADDRESS_SIZE];
  se_conn **slots;         /* by the low bits of their numbers */
  uint32_t *free_slots;
  uint32_t slot_count, free_count;
  int64_t serial;
  se_conn *results, **results_end;
  se_conn *dead;
  se_conn *later, **later_end; /* those put off */
  se_inbound *handed_out;  /* the message that se_listener_next gave last */
  char *input;
  se_buffer scratch;       /* heads and control frames on their way; empty between calls */
  se_listener_counts counts;
};

/* ---- accept.c ---- */

/* Takes what waits at the listening socket, within a budget. */
void se_accept_some(se_listener *listener);
/* After a pause that the system's limits made necessary. */
void se_accept_resume(se_listener *listener);

/* ---- conn.c ---- */

/* Tells the poller what the state asks for. Drops the connection when it cannot. */
void se_conn_watch(se_listener *listener, se_conn *conn);
void se_conn_timer(se_listener *listener, se_conn *conn, int kind);
/* Adds to the results. */
void se_conn_emit(se_listener *listener, se_conn *conn, int pending);
/* A WebSocket is over as far as the caller is concerned: leaves its groups, "closed" follows. */
void se_conn_gone(se_listener *listener, se_conn *conn, int code);
/* Ends it here and now. */
void se_conn_drop(se_listener *listener, se_conn *conn);
/* Sends bytes now, behind what is queued already. 'frames': they are whole WebSocket frames.
 * SE_OK; SE_AGAIN: some are queued; SE_ERR_NETWORK or SE_ERR_MEMORY: to be dropped. */
int se_conn_write(se_conn *conn, int frames, const char *data, size_t len);
/* What is queued is the last that goes out; ends in an orderly way. */
void se_conn_finish(se_listener *listener, se_conn *conn);
/* The socket can take more. */
void se_conn_writable(se_listener *listener, se_conn *conn);
/* Throws away what came in, within limits. */
void se_conn_discard(se_listener *listener, se_conn *conn, size_t len);

/* ---- http_conn.c ---- */

void se_http_conn_begin(se_listener *listener, se_conn *conn);
void se_http_conn_input(se_listener *listener, se_conn *conn, const char *data, size_t len);
void se_http_conn_eof(se_listener *listener, se_conn *conn);
void se_http_conn_timeout(se_listener *listener, se_conn *conn);
/* The answer is out: on to the next request; one that came behind it has to wait for the next turn,
 * so that who sends thousands at once gets no larger share than others. */
void se_http_conn_next(se_listener *listener, se_conn *conn);
void se_http_conn_go_on(se_listener *listener, se_conn *conn);
void se_http_conn_respond(se_listener *listener, se_conn *conn, int status, const char *body,
                          size_t len, const char *lines, size_t lines_len);
void se_http_conn_refuse(se_listener *listener, se_conn *conn, int status, const char *reason);

/* ---- ws_conn.c ---- */

void se_ws_conn_begin(se_listener *listener, se_conn *conn);
void se_ws_conn_input(se_listener *listener, se_conn *conn, char *data, size_t len);
void se_ws_conn_close(se_listener *listener, se_conn *conn, uint16_t code, const char *reason,
                      size_t len);
/* Leaving: the caller has answered what there was to answer. */
void se_ws_conn_leave(se_listener *listener, se_conn *conn);
/* After something was sent with this status: too much queued, or dead. */
void se_ws_conn_sent(se_listener *listener, se_conn *conn, int status);

#endif

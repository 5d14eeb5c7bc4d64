/* connection_parts.h -- what connection.c, connection_open.c and connection_read.c share, and
 * nobody else.
 *
 * A connection goes through the phases below and never back. Output is framed into 'output' and
 * sent from 'sending', because TLS wants a send that was refused to be tried again from the same
 * address with the same bytes. */
#ifndef SE_CONNECTION_PARTS_H
#define SE_CONNECTION_PARTS_H

#include "connection.h"

#include "buffer.h"
#include "upgrade.h"
#include "ws.h"

#define BLOCK 262144         /* read at once: one system call, and one wake-up of the sender */
#define BUDGET (1024 * 1024) /* bytes read per turn, so that one busy connection stops no other */
#define CONTROL_ROOM 1024    /* beyond max_output, for pongs and the close frame */
#define LAST_SECONDS 1.0     /* for the last words of a connection that is over */
#define ABNORMAL 1006        /* RFC 6455 §7.1.5: no close frame was received */

enum {
  PHASE_CONNECT, /* libcurl is at work */
  PHASE_UPGRADE, /* the request is sent, or on its way; the answer is not complete */
  PHASE_OPEN,
  PHASE_CLOSING, /* our close frame is written; the peer may still send */
  PHASE_LAST,    /* it is over: what is written has yet to be sent, and the peer's end to be seen */
  PHASE_CLOSED
};

struct se_connection {
  se_watch watch;
  se_connections *home; /* NULL once closed */
  se_link link; /* in the list of its home */
  int phase;
  CURL *easy;
  int fd, watched;
  int direct;   /* nothing between socket and frames: a short read has emptied the socket */
  int readable; /* the socket, or TLS, may hold bytes */
  int blocked;  /* the socket takes no more bytes for now */
  int stuck;    /* an answer (pong, close) had no room: no reading until something is sent */
  int broken;   /* sending has failed; what the peer said before can still be read */
  int paused;
  int pulled;   /* se_connection_next was called in this turn */
  int shut;     /* PHASE_LAST: end our side once all is sent, before the peer has ended its own */
  size_t budget;
  double heard, received_at, deadline, started_for;
  char *block;  /* holds bytes [at, have), or NULL */
  size_t at, have;
  se_ws ws;
  se_buffer output, sending;
  size_t max_output;
  se_router *router;
  int route; /* what it said about the event at hand */
  char *host, *target, *headers; /* of the upgrade; NULL once it is sent */
  char key[SE_UPGRADE_KEY + 1];
  se_connection_end end; /* from PHASE_LAST on */
  char message[SE_FAILURE_TEXT];
  char retry_after[SE_UPGRADE_WAIT], date[SE_UPGRADE_WAIT]; /* of a refused upgrade */
  se_trace trace;
};

/* connection.c */
void se_connection_ready(se_watch *watch, int events);
int se_connection_may_read(const se_connection *c);
/* Sends what the socket takes. */
void se_connection_flush(se_connection *c);
/* Not of a connection that is over: its message says why. */
void se_connection_note_failure(se_connection *c, CURLcode result);
/* The first reason counts. 'message' may be c->message. */
void se_connection_set_end(se_connection *c, const char *kind, int code, const char *message);
/* Gives back all but the object itself. */
void se_connection_release(se_connection *c);
/* set_end and release. */
void se_connection_end_now(se_connection *c, const char *kind, int code, const char *message);

/* connection_open.c */
void se_connection_connected(void *user, CURL *easy, CURLcode result); /* as se_multi calls it */
void se_connection_upgrade_turn(se_connection *c);
void se_connection_forget_upgrade(se_connection *c);

/* connection_read.c */
enum { FILL_NOTHING, FILL_BYTES, FILL_EOF, FILL_FAILED };
int se_connection_fill(se_connection *c);
void se_connection_free_block(se_connection *c);
/* A turn in PHASE_LAST. */
void se_connection_last_turn(se_connection *c);
/* The work of se_connection_next. */
int se_connection_pull(se_connection *c, se_received *out);

#endif

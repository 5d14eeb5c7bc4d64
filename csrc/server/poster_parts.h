/* poster_parts.h -- what poster.c and post_connection.c share, and nobody else. */
#ifndef SE_POSTER_PARTS_H
#define SE_POSTER_PARTS_H

#include <sys/uio.h>

#include "buffer.h"
#include "list.h"
#include "multi.h"
#include "poster.h"

#define SE_POST_INPUT 16384 /* bytes of answers that are read at a time */

typedef struct se_post_connection se_post_connection;

/* A request, from its start until the program has taken what came of it. */
typedef struct se_post {
  se_poster *poster;
  se_link link; /* in the list of those under way, or of those that ended */
  int64_t id;
  double deadline, timeout;
  se_post_connection *through; /* NULL once it ended */
  int failure;
  char *message; /* of a failure; NULL: there was no memory for it */
  se_answer answer;
} se_post;

struct se_post_target {
  se_poster *poster; /* NULL: it is gone */
  se_link link; /* among those of the same poster */
  unsigned connections;
  int is_released;
  se_list idle; /* connections; the one used last comes first */
  char *url;  /* scheme, host and port: where to connect to */
  char *head; /* up to the lines that each request has for itself */
  size_t head_len;
};

struct se_poster {
  se_poster_options options;
  se_poller *poller;
  se_multi *multi; /* for connecting, and nothing else */
  se_list targets;
  se_list under_way, ended; /* requests */
  se_list dead; /* connections; the poller may still hold news of them, until the next step */
  double earliest; /* no deadline lies before this moment */
  int64_t last_id;
  int is_proxied;
  se_buffer lines; /* of the request that is being sent */
  char input[SE_POST_INPUT];
};

/* ---- poster.c ---- */

/* The request that a connection carries has ended; the connection then carries none. 'message' is
 * copied. */
void se_post_end(se_post *ended, int failure, const char *message);

/* ---- post_connection.c ---- */

/* Sends over a connection that is idle and still there. NULL: there is none, or none has taken a byte. */
se_post_connection *se_post_connection_reuse(se_post_target *target, struct iovec *parts, int count,
                                             size_t *sent);
/* Begins to make another one. NULL: no memory. */
se_post_connection *se_post_connection_open(se_post_target *target);
/* What of the parts is not sent waits in the connection. SE_OK, SE_ERR_FULL, SE_ERR_MEMORY. */
int se_post_connection_keep(se_post_connection *at, const struct iovec *parts, int count, size_t sent);
/* From now on, until the request ends. */
void se_post_connection_carry(se_post_connection *at, se_post *carried);
/* Ends its request so, and the connection. */
void se_post_connection_fail(se_post_connection *at, int failure, const char *message);
/* It carries nothing. May free its target, when that is released. */
void se_post_connection_close(se_post_connection *at);
void se_post_connections_close_idle(se_post_target *target);
/* What se_multi calls when libcurl has connected, or has not. */
void se_post_connection_opened(void *user, CURL *easy, CURLcode result);
/* Frees those that were closed before. */
void se_post_connections_bury(se_poster *poster);

#endif

/* poster.h -- POST requests to http:// URLs, each over a connection of its own meanwhile, that is kept
 * for the next one: a copy of every event for a webhook, at little more than what the sockets cost.
 *
 * libcurl looks up names and connects; from then on a request is one system call, and its answer
 * another. Where something stands between (TLS, a proxy, a user name) it is libcurl's HTTP that is to be
 * used: se_poster_target says so. Nothing is sent twice, except to a kept connection that took no byte
 * of the request. */
#ifndef SE_POSTER_H
#define SE_POSTER_H

#include <stddef.h>
#include <stdint.h>

#include "answer_reader.h"

typedef struct se_poster se_poster;
typedef struct se_post_target se_post_target;

typedef struct {
  size_t max_under_way;
  size_t max_body;        /* bytes of an answer's body */
  double connect_timeout; /* seconds */
  double idle_timeout;    /* seconds a connection may be unused: what lies between may have forgotten it then,
                             and tells nobody. Looked at when one is wanted */
} se_poster_options;

/* SE_OK; SE_ERR_MEMORY; SE_ERR_NETWORK when no descriptor is left or libcurl does not start. */
int se_poster_new(const se_poster_options *options, se_poster **out);
/* Ends everything unanswered. Targets stay valid, and of no use. */
void se_poster_free(se_poster *poster); /* accepts NULL */

/* Where requests go, and the head that they share: 'lines' are header lines "Name: value", not checked;
 * one without a value is left out. SE_OK and *out, to be released; SE_ERR_ARGUMENT: not a URL that this
 * can send to; SE_ERR_MEMORY. */
int se_poster_target(se_poster *poster, const char *url, const char *const *lines, size_t line_count,
                     se_post_target **out);
/* Its connections end with the requests that are under way. */
void se_post_target_release(se_post_target *target); /* accepts NULL */

/* Begins a request with header lines of its own, not checked either; nothing of it is used later. The
 * time-out is in seconds and holds for all of it. SE_OK and *id; SE_ERR_FULL: as many as may are under
 * way; SE_ERR_CLOSED: the poster of the target is gone; SE_ERR_MEMORY. */
int se_poster_send(se_post_target *target, const char *const *lines, size_t line_count,
                   const char *body, size_t body_len, double timeout, int64_t *id);

typedef struct {
  int64_t id;
  int failure;         /* when there was no answer: SE_ERR_NETWORK, SE_ERR_TIMEOUT, SE_ERR_FULL,
                          SE_ERR_PROTOCOL, SE_ERR_MEMORY */
  const char *message; /* then: why, for people */
  const se_answer *answer;
} se_post_result;

/* The first that has ended: 1, or 0 when there is none. What the result points to is good until
 * se_poster_release, which must follow. */
int se_poster_next(const se_poster *poster, se_post_result *result);
/* How many there are that have ended. */
size_t se_poster_ended(const se_poster *poster);
void se_poster_release(se_poster *poster);

int se_poster_fd(const se_poster *poster);
/* Does what is possible now. */
void se_poster_step(se_poster *poster);
/* Seconds until se_poster_step must be called; 0: now; negative: only when the descriptor is readable. */
double se_poster_timeout(const se_poster *poster);

#endif

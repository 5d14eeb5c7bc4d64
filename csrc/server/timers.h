/* timers.h -- deadlines of many connections, a few kinds of them, each kind with one length.
 *
 * Since all timers of a kind run equally long, a list in the order of starting is sorted: starting,
 * stopping and finding the next one take a constant time. */
#ifndef SE_TIMERS_H
#define SE_TIMERS_H

enum {
  SE_TIMER_NONE,
  SE_TIMER_HEADER,    /* a head must be complete */
  SE_TIMER_BODY,      /* a body must be complete, or an answer read */
  SE_TIMER_KEEPALIVE, /* a next request must begin */
  SE_TIMER_IDLE,      /* a WebSocket must show a sign of life */
  SE_TIMER_LINGER,    /* the peer must have closed its side */
  SE_TIMER_SLOW,      /* a peer that was too slow must have read that it was */
  SE_TIMER_ACCEPT,    /* of the listener itself: to accept connections again */
  SE_TIMER_KINDS
};

/* Embed it; all zero at first. */
typedef struct se_timer {
  struct se_timer *before, *after;
  double deadline;
  int kind;
} se_timer;

typedef struct {
  se_timer lists[SE_TIMER_KINDS]; /* rings through these heads */
  double seconds[SE_TIMER_KINDS];
} se_timers;

void se_timers_init(se_timers *timers); /* then set the lengths */
/* The length of a kind; timers that run already end as if they had been started with it. */
void se_timers_set(se_timers *timers, int kind, double seconds);
void se_timers_start(se_timers *timers, se_timer *timer, int kind, double now); /* stops it first */
void se_timers_stop(se_timer *timer);
/* Seconds until the next deadline, at least 0; negative: there is none. */
double se_timers_next(const se_timers *timers, double now);
/* A timer that is over, stopped, with its kind in *kind; NULL: none. */
se_timer *se_timers_expired(se_timers *timers, double now, int *kind);

#endif

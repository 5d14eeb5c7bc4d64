/* poller.h -- waiting for many descriptors through one: epoll, or kqueue where that is what the
 * system has. The one descriptor can be watched by any foreign loop. Level-triggered. */
#ifndef SE_POLLER_H
#define SE_POLLER_H

typedef struct se_poller se_poller;

enum { SE_POLL_READ = 1, SE_POLL_WRITE = 2, SE_POLL_ERROR = 4 /* reported, never asked for */ };

typedef struct {
  void *tag;
  int events;
} se_poll_result;

/* NULL: no memory or no descriptor left (errno tells). */
se_poller *se_poller_new(void);
void se_poller_free(se_poller *poller); /* accepts NULL; watched descriptors stay open */
/* The descriptor that is readable when se_poller_wait would return something. */
int se_poller_fd(const se_poller *poller);

/* Says what to watch 'fd' for from now on; 'before' is what it was watched for until now (0: it
 * was not), 'events' 0 ends it. Remove a descriptor before closing it. 0, or -1 with errno. */
int se_poller_set(se_poller *poller, int fd, int before, int events, void *tag);

/* Up to 'max' ready descriptors; sleeps at most 'seconds' (0: not at all; negative: until
 * something is ready). Returns how many; 0 also when a signal came; -1 with errno. */
int se_poller_wait(se_poller *poller, double seconds, se_poll_result *results, int max);

/* Sleeps as se_poller_wait does, but keeps what is ready for the next se_poller_wait, which then
 * need not ask the system again. What is no longer watched by then, said with the same tag, is not
 * handed out. */
void se_poller_sleep(se_poller *poller, double seconds);

/* Makes the poller's descriptor readable in so many seconds, until this is called again; negative:
 * it is not. For loops that have no timers; such a poller is never waited on. 0, or -1 with errno. */
int se_poller_alarm(se_poller *poller, double seconds);

#endif

/* multi.h -- a libcurl multi handle whose sockets are watched by our poller.
 *
 * libcurl says which descriptors and which moment it waits for; this remembers both, so that a turn
 * in which nothing happened makes no call into libcurl. */
#ifndef SE_MULTI_H
#define SE_MULTI_H

#include <curl/curl.h>
#include <stddef.h>

#include "failure.h"
#include "poller.h"

/* What the poller's tags point to, here and in connection.h: who to tell. */
typedef struct se_watch {
  void (*ready)(struct se_watch *watch, int events);
} se_watch;

typedef struct se_multi se_multi;

/* Told, from se_multi_run only, that a transfer ended. The handle is still in the multi. */
typedef void (*se_multi_done)(void *user, CURL *easy, CURLcode result);

/* NULL: no memory. 'keep': go on watching the sockets of connections that wait to be used again;
 * saves two system calls a request. */
se_multi *se_multi_new(se_poller *poller, int keep, se_multi_done done, void *user);
/* All handles must have left it. May wait for a resolver's thread (libcurl 8.22 and newer). */
void se_multi_free(se_multi *multi); /* accepts NULL */

/* 1 when libcurl's global part is up; safe to ask from several threads. */
int se_multi_library(void);

/* Whether anything may go through a proxy: the one that is given or, with NULL, one that the
 * environment names. */
int se_multi_has_proxy(const char *proxy);

/* What every handle must have, so that nothing ever blocks, leaves http, or goes unchecked.
 * 'trace' is as of se_failure_trace; 'ca_file' and 'proxy' may be NULL. SE_OK, SE_ERR_MEMORY, or SE_ERR_ARGUMENT. */
int se_multi_prepare(se_multi *multi, CURL *easy, se_trace *trace, const char *ca_file,
                     const char *proxy, double connect_timeout);

/* Ends the connections that wait to be used again ('keep' only): libcurl sees that when it wants to
 * use one, and makes a new one. */
void se_multi_end_idle(se_multi *multi);

/* SE_OK or SE_ERR_MEMORY. The transfer begins with the next se_multi_run, or, where it is one that
 * trusts the system's certificates, with the first one after these were read. */
int se_multi_add(se_multi *multi, CURL *easy, int trusts_system);
void se_multi_remove(se_multi *multi, CURL *easy);

/* Does what is due at 'now' (monotonic seconds) and reports the transfers that ended. */
void se_multi_run(se_multi *multi, double now);
/* The moment from which on se_multi_run has something to do; SE_NEVER: no such moment. */
double se_multi_due(const se_multi *multi);

#endif

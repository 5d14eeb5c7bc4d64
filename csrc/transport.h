/* transport.h -- everything of one client that needs a descriptor: HTTP requests and WebSocket
 * connections, behind one descriptor, one deadline and one non-blocking step. */
#ifndef SE_TRANSPORT_H
#define SE_TRANSPORT_H

#include "connection.h"
#include "http.h"

typedef struct se_transport se_transport;

/* SE_OK; SE_ERR_MEMORY; SE_ERR_NETWORK when no descriptor is left or libcurl does not start. */
int se_transport_new(const se_http_options *options, se_transport **out);
/* Ends all requests and connections at once; connection objects stay valid, and closed. */
void se_transport_free(se_transport *transport); /* accepts NULL */

se_http *se_transport_http(se_transport *transport);
se_connections *se_transport_connections(se_transport *transport);

/* Has the descriptor become readable in 'seconds' (over 0) by a clock that goes on while the machine
 * sleeps; takes the place of an earlier alarm. 0: the system has no such clock. */
int se_transport_alarm(se_transport *transport, double seconds);

int se_transport_fd(const se_transport *transport);
/* Seconds until se_transport_step must be called; 0: now; negative: only when the descriptor is
 * readable. */
double se_transport_timeout(const se_transport *transport);
/* Does what is possible now or, when that brings nothing to look at, what first becomes possible
 * within 'seconds'; with 0 it never waits. A signal ends the wait. */
void se_transport_step(se_transport *transport, double seconds);
/* Sleeps until there is something to do, a signal has come, or 'seconds' have passed. */
void se_transport_wait(const se_transport *transport, double seconds);

#endif

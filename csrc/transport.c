/* transport.c -- joins the poller, the HTTP requests and the WebSocket connections.
 *
 * They have a multi handle each, since libcurl 7.88 mixes up its connections when one multi has
 * both kinds to the same host. */
#include "transport.h"

#include <stdlib.h>

#include "alarm.h"
#include "clock.h"
#include "status.h"

#define BATCH 64    /* ready descriptors asked for at a time */
#define MAX_ASKED 8 /* so often per step at most; what is left comes with the next one */

struct se_transport {
  se_poller *poller;
  se_http *http;
  se_connections connections;
  se_alarm alarm;
};

int se_transport_new(const se_http_options *options, se_transport **out) {
  int status = SE_ERR_MEMORY;
  se_transport *transport = calloc(1, sizeof *transport);
  if (transport == NULL)
    return SE_ERR_MEMORY;
  transport->poller = se_poller_new();
  se_alarm_init(&transport->alarm, transport->poller);
  if (transport->poller == NULL || !se_multi_library()) {
    status = SE_ERR_NETWORK;
    goto fail;
  }
  if (se_connections_init(&transport->connections, transport->poller) != SE_OK)
    goto fail;
  transport->http = se_http_new(transport->poller, options);
  if (transport->http == NULL)
    goto fail;
  *out = transport;
  return SE_OK;
fail:
  se_transport_free(transport);
  return status;
}

void se_transport_free(se_transport *transport) {
  if (transport == NULL)
    return;
  se_connections_free(&transport->connections);
  se_http_free(transport->http);
  se_alarm_free(&transport->alarm);
  se_poller_free(transport->poller);
  free(transport);
}

se_http *se_transport_http(se_transport *transport) {
  return transport->http;
}

se_connections *se_transport_connections(se_transport *transport) {
  return &transport->connections;
}

int se_transport_alarm(se_transport *transport, double seconds) {
  return se_alarm_set(&transport->alarm, seconds);
}

int se_transport_fd(const se_transport *transport) {
  return se_poller_fd(transport->poller);
}

double se_transport_timeout(const se_transport *transport) {
  double due = se_http_due(transport->http);
  double other = due > 0 ? se_connections_due(&transport->connections) : 0;
  if (other < due)
    due = other;
  if (due >= SE_NEVER)
    return -1;
  double now = due > 0 ? se_now() : 0;
  return due > now ? due - now : 0;
}

/* No longer than until something is due. */
static double shorten(const se_transport *transport, double seconds) {
  double timeout = se_transport_timeout(transport);
  return timeout >= 0 && timeout < seconds ? timeout : seconds;
}

void se_transport_step(se_transport *transport, double seconds) {
  se_poll_result results[BATCH];
  if (seconds > 0) {
    se_http_run(transport->http, se_now()); /* what we wait for has to be asked first */
    seconds = shorten(transport, seconds);
  }
  for (int asked = 0; asked < MAX_ASKED; asked++) {
    int count = se_poller_wait(transport->poller, asked == 0 ? seconds : 0, results, BATCH);
    for (int i = 0; i < count; i++) {
      se_watch *watch = results[i].tag;
      watch->ready(watch, results[i].events);
    }
    if (count < BATCH)
      break;
  }
  double now = se_now();
  se_http_run(transport->http, now);
  se_connections_run(&transport->connections, now);
}

void se_transport_wait(const se_transport *transport, double seconds) {
  seconds = shorten(transport, seconds);
  if (seconds > 0)
    se_poller_sleep(transport->poller, seconds);
}

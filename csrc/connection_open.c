/* connection_open.c -- how a connection comes to be: its URL, libcurl's part, and the upgrade. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "connection_parts.h"
#include "status.h"
#include "upgrade.h"

#define MAX_HEAD 65536 /* of our upgrade request: it holds a token and user data */

/* --- the upgrade ------------------------------------------------------------------------------ */

void se_connection_forget_upgrade(se_connection *c) {
  free(c->host);
  free(c->target);
  free(c->headers);
  c->host = c->target = c->headers = NULL;
}

static void refuse_upgrade(se_connection *c, const se_upgrade_result *result) {
  int is_auth = result->status == 401 || result->status == 403;
  int has_status = result->status != 0 && result->status != 101;
  if (has_status)
    snprintf(c->message, sizeof c->message, "the server refused the WebSocket with HTTP status %d",
             result->status);
  else
    snprintf(c->message, sizeof c->message, "the server did not answer as a WebSocket server: %s",
             result->reason);
  memcpy(c->retry_after, result->retry_after, sizeof c->retry_after);
  memcpy(c->date, result->date, sizeof c->date);
  se_connection_end_now(c, is_auth ? "auth" : "protocol", has_status ? result->status : ABNORMAL,
                        c->message);
}

void se_connection_upgrade_turn(se_connection *c) {
  se_connection_flush(c);
  while (c->phase == PHASE_UPGRADE) {
    int how = se_connection_fill(c);
    if (how == FILL_NOTHING)
      return;
    if (how == FILL_EOF && c->have > 0) {
      se_connection_end_now(c, "protocol", ABNORMAL,
                            "the server ended the connection within its answer");
    } else if (how == FILL_EOF) {
      se_connection_end_now(c, "network", ABNORMAL,
                            "the server ended the connection without an answer");
    } else if (how == FILL_FAILED) {
      se_connection_end_now(c, "network", ABNORMAL, c->message);
    } else {
      se_upgrade_result result;
      int status = se_upgrade_response(c->block, c->have, c->key, &c->at, &result);
      if (status == SE_OK) {
        c->phase = PHASE_OPEN;
        c->deadline = SE_NEVER;
        if (c->at == c->have)
          c->at = c->have = 0;
      } else if (status != SE_AGAIN) {
        refuse_upgrade(c, &result);
      } else {
        c->at = 0;
      }
    }
  }
}

static void end_with_curl(se_connection *c, CURLcode result) {
  int status =
      se_failure_describe(c->easy, result, &c->trace, c->message, sizeof c->message);
  se_connection_end_now(c, status == SE_ERR_ARGUMENT ? "network" : se_status_kind(status), ABNORMAL,
                        c->message);
}

void se_connection_connected(void *user, CURL *easy, CURLcode result) {
  se_connection *c = NULL;
  curl_socket_t fd = CURL_SOCKET_BAD;
  (void)user;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&c);
  if (result == CURLE_OK)
    result = curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd);
  if (result != CURLE_OK) {
    end_with_curl(c, result);
    return;
  }
  if (fd == CURL_SOCKET_BAD) {
    se_connection_end_now(c, "network", ABNORMAL, "the connection was lost at once");
    return;
  }
  int status = se_upgrade_request(&c->output, c->host, c->target, c->key, c->headers);
  if (status != SE_OK) { /* all parts were checked at the start */
    se_connection_end_now(c, se_status_kind(status), ABNORMAL,
                          "the upgrade request cannot be made");
    return;
  }
  se_connection_forget_upgrade(c);
  c->fd = fd;
  c->phase = PHASE_UPGRADE;
  c->readable = 1;
  se_connection_upgrade_turn(c);
}

/* --- making one ------------------------------------------------------------------------------- */

static int starts_with(const char *text, const char *word) {
  return strncasecmp(text, word, strlen(word)) == 0;
}

static char *joined(const char *a, const char *b, const char *c, const char *d) {
  const char *parts[] = {a, b, c, d};
  size_t len = 0;
  for (int i = 0; i < 4; i++)
    len += strlen(parts[i]);
  char *all = malloc(len + 1);
  if (all == NULL)
    return NULL;
  all[0] = '\0';
  for (int i = 0, at = 0; i < 4; i++) {
    memcpy(all + at, parts[i], strlen(parts[i]) + 1);
    at += (int)strlen(parts[i]);
  }
  return all;
}

/* Takes a URL apart: sets c->host and c->target, and *base to what libcurl shall connect to, which
 * has no query: a token in one can then show in none of its messages. */
static int take_apart(se_connection *c, const char *text, int is_tls, char **base,
                      const char **reason) {
  char *host = NULL, *port = NULL, *path = NULL, *query = NULL, *user = NULL;
  const char *scheme = is_tls ? "https://" : "http://";
  int status = SE_ERR_ARGUMENT;
  char *as_http = joined(scheme, strstr(text, "://") + 3, "", "");
  CURLU *url = curl_url();
  if (as_http == NULL || url == NULL) {
    status = SE_ERR_MEMORY;
    goto done;
  }
  *reason = "the URL is malformed";
  if (curl_url_set(url, CURLUPART_URL, as_http, 0) != CURLUE_OK ||
      curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
      curl_url_get(url, CURLUPART_PATH, &path, 0) != CURLUE_OK)
    goto done;
  if (curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_OK) {
    *reason = "the URL holds a user name";
    goto done;
  }
  curl_url_get(url, CURLUPART_QUERY, &query, 0);
  curl_url_get(url, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT);
  c->host = joined(host, port == NULL ? "" : ":", port == NULL ? "" : port, "");
  c->target = joined(path, query == NULL ? "" : "?", query == NULL ? "" : query, "");
  if (c->host != NULL)
    *base = joined(scheme, c->host, "/", "");
  status = c->host == NULL || c->target == NULL || *base == NULL ? SE_ERR_MEMORY : SE_OK;
done:
  free(as_http);
  curl_free(host);
  curl_free(port);
  curl_free(path);
  curl_free(query);
  curl_free(user);
  curl_url_cleanup(url);
  return status;
}

#define SET(option, value)                            \
  do {                                                \
    if (result == CURLE_OK)                           \
      result = curl_easy_setopt(easy, option, value); \
  } while (0)

static int prepare(se_connection *c, const se_connection_options *options, const char *base) {
  CURL *easy = c->easy = curl_easy_init();
  CURLcode result = CURLE_OK;
  if (easy == NULL)
    return SE_ERR_MEMORY;
  int status = se_multi_prepare(c->home->multi, easy, &c->trace, options->ca_file, options->proxy,
                                options->timeout);
  if (status != SE_OK)
    return status;
  SET(CURLOPT_PRIVATE, c);
  SET(CURLOPT_URL, base);
  SET(CURLOPT_CONNECT_ONLY, 1L);
  SET(CURLOPT_BUFFERSIZE, (long)BLOCK); /* curl_easy_recv reads no more than this at once */
  SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1); /* over HTTP/2 there is no upgrade */
  SET(CURLOPT_HTTPPROXYTUNNEL, 1L); /* or a proxy would take our frames for requests */
  SET(CURLOPT_FRESH_CONNECT, 1L);
  return result == CURLE_OK ? SE_OK : SE_ERR_MEMORY;
}

static int start(se_connection *c, const se_connection_options *options, const char **reason) {
  char *base = NULL;
  int is_tls = starts_with(options->url, "wss://");
  *reason = "the URL must begin with ws:// or wss://";
  if (!is_tls && !starts_with(options->url, "ws://"))
    return SE_ERR_ARGUMENT;
  int status = take_apart(c, options->url, is_tls, &base, reason);
  if (status == SE_OK) {
    c->direct = !is_tls && !se_multi_has_proxy(options->proxy);
    c->headers = joined(options->headers, "", "", "");
    status = c->headers == NULL || se_upgrade_key(c->key) != 0 ? SE_ERR_MEMORY : SE_OK;
  }
  if (status == SE_OK) {
    /* Made twice: here for the sake of the check, and once more when it can be sent. */
    *reason = "the request of the upgrade cannot be made of this URL and these headers";
    status = se_upgrade_request(&c->output, c->host, c->target, c->key, c->headers);
    se_buffer_free(&c->output);
    if (status == SE_ERR_FULL)
      status = SE_ERR_ARGUMENT;
  }
  if (status == SE_OK)
    status = prepare(c, options, base);
  free(base);
  if (status == SE_OK)
    status = se_multi_add(c->home->multi, c->easy, is_tls && options->ca_file == NULL);
  return status;
}

int se_connection_new(se_connections *all, const se_connection_options *options,
                      se_connection **out, const char **reason) {
  se_connection *c = calloc(1, sizeof *c);
  if (c == NULL)
    return SE_ERR_MEMORY;
  size_t output = options->max_output > MAX_HEAD ? options->max_output : MAX_HEAD;
  c->watch.ready = se_connection_ready;
  c->home = all;
  se_list_prepend(&all->list, &c->link);
  c->phase = PHASE_CONNECT;
  c->fd = -1;
  c->end.retry_after = c->retry_after;
  c->end.date = c->date;
  c->budget = BUDGET;
  c->router = options->router;
  c->max_output = options->max_output;
  c->started_for = options->timeout;
  c->heard = se_now();
  c->deadline = c->heard + options->timeout;
  se_ws_init(&c->ws, SE_WS_CLIENT, options->max_message);
  if (options->router != NULL)
    se_ws_leave_text(&c->ws);
  se_buffer_init(&c->output, output + CONTROL_ROOM);
  se_buffer_init(&c->sending, output + CONTROL_ROOM);
  int status = start(c, options, reason);
  if (status != SE_OK) {
    se_connection_free(c);
    return status;
  }
  *out = c;
  return SE_OK;
}

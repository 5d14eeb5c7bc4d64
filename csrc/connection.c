/* connection.c -- WebSocket connections of a client, over sockets that libcurl has connected.
 *
 * A connection goes through the phases below and never back. Everything that arrives is read into
 * one block, which a connection holds only while there are unread bytes in it: an idle connection
 * has none. Output is framed into 'output' and sent from 'sending', because TLS wants a send that
 * was refused to be tried again from the same address with the same bytes. */
#include "connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "buffer.h"
#include "status.h"
#include "upgrade.h"
#include "ws.h"

#define BLOCK 262144         /* read at once: one system call, and one wake-up of the sender */
#define BUDGET (1024 * 1024) /* bytes read per turn, so that one busy connection stops no other */
#define SEND_AT_ONCE (1024 * 1024)
#define OUTPUT_KEPT 16384    /* a larger block for output is given back once it is sent */
#define CONTROL_ROOM 1024    /* beyond max_output, for pongs and the close frame */
#define LAST_SECONDS 1.0     /* for the last words of a connection that is over */
#define MAX_HEAD 65536       /* of our upgrade request: it holds a token and user data */
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
  se_connection *previous, *next;
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
  char *host, *target, *headers; /* of the upgrade; NULL once it is sent */
  char key[SE_UPGRADE_KEY + 1];
  se_connection_end end; /* from PHASE_LAST on */
  char message[CURL_ERROR_SIZE + 64];
  char error[CURL_ERROR_SIZE];
};

static int is_over(const se_connection *c) {
  return c->phase >= PHASE_LAST;
}

/* --- the socket's interests ------------------------------------------------------------------- */

static int may_read(const se_connection *c) {
  if (c->phase == PHASE_LAST)
    return 1;
  return !c->paused && !(c->stuck && c->blocked);
}

static void update_watch(se_connection *c) {
  int events = 0;
  if (c->home == NULL || c->fd < 0)
    return;
  if (may_read(c))
    events |= SE_POLL_READ;
  if (c->blocked)
    events |= SE_POLL_WRITE;
  if (events != c->watched &&
      se_poller_set(c->home->poller, c->fd, c->watched, events, &c->watch) == 0)
    c->watched = events;
}

static void free_block(se_connection *c) {
  c->at = c->have = 0;
  if (c->block == NULL)
    return;
  if (c->home != NULL && c->home->spare_block == NULL)
    c->home->spare_block = c->block;
  else
    free(c->block);
  c->block = NULL;
}

static int take_block(se_connection *c) {
  if (c->block != NULL)
    return 1;
  c->block = c->home->spare_block;
  c->home->spare_block = NULL;
  if (c->block == NULL)
    c->block = malloc(BLOCK);
  return c->block != NULL;
}

static void forget_upgrade(se_connection *c) {
  free(c->host);
  free(c->target);
  free(c->headers);
  c->host = c->target = c->headers = NULL;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Gives back all but the object itself. */
static void release(se_connection *c) {
  se_connections *home = c->home;
  c->phase = PHASE_CLOSED;
  if (home == NULL)
    return;
  home->serial++;
  if (c->watched != 0)
    se_poller_set(home->poller, c->fd, c->watched, 0, &c->watch);
  c->watched = 0;
  c->fd = -1;
  if (c->easy != NULL) {
    se_multi_remove(home->multi, c->easy); /* closes the socket */
    curl_easy_cleanup(c->easy);
    c->easy = NULL;
  }
  free_block(c);
  se_ws_free(&c->ws);
  se_buffer_free(&c->output);
  se_buffer_free(&c->sending);
  forget_upgrade(c);
  if (c->previous != NULL)
    c->previous->next = c->next;
  else
    home->first = c->next;
  if (c->next != NULL)
    c->next->previous = c->previous;
  c->home = NULL;
}

/* The first reason counts. 'message' may be c->message. */
static void set_end(se_connection *c, const char *kind, int code, const char *message) {
  if (c->end.kind != NULL)
    return;
  c->end.kind = kind;
  c->end.code = code;
  if (message != c->message)
    snprintf(c->message, sizeof c->message, "%s", message);
  c->end.message = c->message;
}

static void end_now(se_connection *c, const char *kind, int code, const char *message) {
  set_end(c, kind, code, message);
  release(c);
}

static void end_with_curl(se_connection *c, CURLcode result) {
  int status = se_multi_status(result);
  se_multi_message(result, c->error, c->message, sizeof c->message);
  end_now(c, status == SE_ERR_ARGUMENT ? "network" : se_status_kind(status), ABNORMAL, c->message);
}

/* Not of a connection that is over: its message says why. */
static void note_failure(se_connection *c, CURLcode result) {
  if (c->end.kind == NULL)
    se_multi_message(result, c->error, c->message, sizeof c->message);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void break_off(se_connection *c) {
  c->broken = 1;
  c->blocked = 0;
  c->readable = 1; /* reading will meet the reason */
  se_buffer_free(&c->output);
  se_buffer_free(&c->sending);
  double latest = se_now() + LAST_SECONDS;
  if (latest < c->deadline)
    c->deadline = latest;
}

/* Sends what the socket takes. */
static void flush(se_connection *c) {
  while (!c->blocked && !c->broken) {
    if (se_buffer_length(&c->sending) == 0) {
      if (se_buffer_length(&c->output) == 0)
        break;
      se_buffer swapped = c->sending;
      c->sending = c->output;
      c->output = swapped;
    }
    size_t sent = 0, len = se_buffer_length(&c->sending);
    CURLcode result = curl_easy_send(c->easy, se_buffer_bytes(&c->sending),
                                     len < SEND_AT_ONCE ? len : SEND_AT_ONCE, &sent);
    if (result == CURLE_AGAIN || (result == CURLE_OK && sent == 0)) {
      c->blocked = 1;
    } else if (result == CURLE_OK) {
      se_buffer_consume(&c->sending, sent, OUTPUT_KEPT);
    } else {
      note_failure(c, result);
      break_off(c);
    }
  }
  update_watch(c);
}

/* --- receiving -------------------------------------------------------------------------------- */

static double wall_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

enum { FILL_NOTHING, FILL_BYTES, FILL_EOF, FILL_FAILED };

/* Reads into the block behind what it holds, within the budget. FILL_FAILED: c->message says why,
 * unless sending had failed before, which is then the reason. */
static int fill(se_connection *c) {
  size_t got = 0;
  if (!c->readable || c->budget == 0)
    return FILL_NOTHING;
  if (!take_block(c)) {
    if (c->end.kind == NULL)
      snprintf(c->message, sizeof c->message, "not enough memory");
    return FILL_FAILED;
  }
  size_t room = BLOCK - c->have;
  CURLcode result = curl_easy_recv(c->easy, c->block + c->have, room, &got);
  if (result == CURLE_AGAIN) {
    c->readable = 0;
    if (c->have == 0)
      free_block(c);
    return FILL_NOTHING;
  }
  if (result != CURLE_OK) {
    if (!c->broken)
      note_failure(c, result);
    return FILL_FAILED;
  }
  if (got == 0)
    return FILL_EOF;
  if (c->direct && got < room)
    c->readable = 0;
  c->have += got;
  c->budget -= got < c->budget ? got : c->budget;
  c->heard = se_now();
  c->received_at = wall_clock();
  return FILL_BYTES;
}

/* The peer, or the network, has ended the connection without a close frame. */
static void end_without_word(se_connection *c, int how) {
  if (c->end.kind != NULL) {
    release(c);
    return;
  }
  if (how == FILL_FAILED)
    end_now(c, "network", ABNORMAL, c->message);
  else
    end_now(c, "network", ABNORMAL, "the server ended the connection without a close frame");
}

/* --- the last words --------------------------------------------------------------------------- */

/* Sends what is left, then waits for the peer's end: closing a socket with unread bytes would reset
 * the connection, and the peer might never read our close frame. After a closing handshake it is
 * the server that ends the TCP connection (RFC 6455 §7.1.1), for some time at most. */
static void last_turn(se_connection *c) {
  flush(c);
  if (c->broken) {
    release(c);
    return;
  }
  if (!c->blocked && c->shut) {
    shutdown(c->fd, SHUT_WR);
    c->shut = 0;
  }
  for (;;) {
    int how = fill(c);
    c->at = c->have = 0;
    if (how == FILL_NOTHING)
      return;
    if (how != FILL_BYTES) {
      release(c);
      return;
    }
  }
}

static void begin_last(se_connection *c, int shut) {
  c->phase = PHASE_LAST;
  c->shut = shut;
  c->at = c->have = 0;
  double latest = se_now() + LAST_SECONDS;
  if (latest < c->deadline)
    c->deadline = latest;
  last_turn(c);
}

/* --- messages --------------------------------------------------------------------------------- */

static void on_close_frame(se_connection *c, const se_ws_item *item) {
  if (item->len > 0)
    snprintf(c->message, sizeof c->message, "%.*s", (int)item->len, item->data);
  else
    snprintf(c->message, sizeof c->message, "closed by %s",
             c->phase == PHASE_CLOSING ? "this client" : "the server");
  set_end(c, "closed", item->code, c->message);
  begin_last(c, 0);
}

static void on_protocol_error(se_connection *c) {
  snprintf(c->message, sizeof c->message, "the server broke the WebSocket protocol: %s",
           c->ws.reason);
  set_end(c, c->ws.close_code == 1011 ? "memory" : "protocol", c->ws.close_code, c->message);
  begin_last(c, 1);
}

/* se_scan asks this as soon as it knows the type. */
static int is_wanted(void *user, const char *type, size_t len) {
  return se_router_decide(user, type, len) == SE_ROUTE_DELIVER;
}

/* A text that is to be more than counted must be UTF-8; that nobody wants it shows before. */
static int is_text(se_connection *c, const se_ws_item *item) {
  if (!item->unchecked || se_utf8_valid(item->data, item->len) == item->len)
    return 1;
  se_ws_refuse_text(&c->ws);
  c->stuck = 1; /* the close frame is owed even if no byte is left */
  return 0;
}

/* What to make of a message: SE_NEXT_NOTHING when nobody wants it. */
static int on_message(se_connection *c, const se_ws_item *item, se_received *out) {
  se_envelope *envelope = &c->home->envelope;
  out->data = item->data;
  out->len = item->len;
  out->received_at = c->received_at;
  if (c->router == NULL) {
    out->is_binary = item->opcode == SE_WS_BINARY;
    return SE_NEXT_RAW;
  }
  if (item->opcode == SE_WS_BINARY) {
    out->reason = "a binary message";
    out->position = 0;
    return SE_NEXT_MALFORMED;
  }
  switch (se_scan(item->data, item->len, !item->unchecked, is_wanted, c->router, envelope)) {
    case SE_SCAN_EVENT: /* it has checked the text itself */
      out->envelope = envelope;
      return SE_NEXT_EVENT;
    case SE_SCAN_UNWANTED:
      return SE_NEXT_NOTHING;
    default:
      if (!is_text(c, item))
        return SE_NEXT_NOTHING;
      out->reason = envelope->reason;
      out->position = envelope->position;
      return SE_NEXT_MALFORMED;
  }
}

/* Goes through the bytes that are there. A result of SE_NEXT_*; SE_NEXT_NOTHING also when the
 * connection has come to its end, or is stuck. */
static int parse(se_connection *c, se_received *out) {
  while (c->at < c->have || c->stuck) {
    se_ws_item item;
    size_t taken = 0;
    char *bytes = c->block == NULL ? NULL : c->block + c->at;
    int result = se_ws_read(&c->ws, bytes, c->have - c->at, &taken, &item, &c->output);
    c->at += taken;
    c->stuck = 0;
    switch (result) {
      case SE_WS_MESSAGE: {
        int what = on_message(c, &item, out);
        if (what != SE_NEXT_NOTHING)
          return what;
        break;
      }
      case SE_WS_CLOSED:
        on_close_frame(c, &item);
        return SE_NEXT_NOTHING;
      case SE_WS_FAILED:
        on_protocol_error(c);
        return SE_NEXT_NOTHING;
      case SE_WS_BLOCKED:
        c->stuck = 1; /* also says that the answer is still owed when all bytes are taken */
        flush(c);
        if (c->broken)
          se_buffer_free(&c->output); /* room for what nobody will read */
        if (c->blocked)
          return SE_NEXT_NOTHING;
        break;
      default: break; /* all bytes are taken, or a ping or pong came */
    }
  }
  return SE_NEXT_NOTHING;
}

/* Parses, and reads when all is parsed. */
static int pull(se_connection *c, se_received *out) {
  if (c->phase != PHASE_OPEN && c->phase != PHASE_CLOSING)
    return SE_NEXT_NOTHING;
  c->home->serial++;
  for (;;) {
    int what = parse(c, out);
    if (what != SE_NEXT_NOTHING || is_over(c) || c->stuck)
      return what;
    c->at = c->have = 0;
    if (c->paused)
      break;
    int how = fill(c);
    if (how == FILL_BYTES)
      continue;
    if (how != FILL_NOTHING)
      end_without_word(c, how);
    break;
  }
  if (c->have == 0)
    free_block(c);
  return SE_NEXT_NOTHING;
}

int se_connection_next(se_connection *c, se_received *out) {
  c->pulled = 1;
  int what = pull(c, out);
  if (!is_over(c) && !c->blocked && se_buffer_length(&c->output) > 0)
    flush(c); /* pongs */
  return what;
}

uint64_t se_connection_serial(const se_connection *c) {
  return c->home == NULL ? 0 : c->home->serial; /* which is past 0 once anything was handed out */
}

/* --- the upgrade ------------------------------------------------------------------------------ */

static void refuse_upgrade(se_connection *c, const se_upgrade_result *result) {
  int is_auth = result->status == 401 || result->status == 403;
  int has_status = result->status != 0 && result->status != 101;
  if (has_status)
    snprintf(c->message, sizeof c->message, "the server refused the WebSocket with HTTP status %d",
             result->status);
  else
    snprintf(c->message, sizeof c->message, "the server did not answer as a WebSocket server: %s",
             result->reason);
  end_now(c, is_auth ? "auth" : "protocol", has_status ? result->status : ABNORMAL, c->message);
}

static void upgrade_turn(se_connection *c) {
  flush(c);
  while (c->phase == PHASE_UPGRADE) {
    int how = fill(c);
    if (how == FILL_NOTHING)
      return;
    if (how == FILL_EOF && c->have > 0) {
      end_now(c, "protocol", ABNORMAL, "the server ended the connection within its answer");
    } else if (how == FILL_EOF) {
      end_now(c, "network", ABNORMAL, "the server ended the connection without an answer");
    } else if (how == FILL_FAILED) {
      end_now(c, "network", ABNORMAL, c->message);
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

static void on_connected(void *user, CURL *easy, CURLcode result) {
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
    end_now(c, "network", ABNORMAL, "the connection was lost at once");
    return;
  }
  int status = se_upgrade_request(&c->output, c->host, c->target, c->key, c->headers);
  if (status != SE_OK) { /* all parts were checked at the start */
    end_now(c, se_status_kind(status), ABNORMAL, "the upgrade request cannot be made");
    return;
  }
  forget_upgrade(c);
  c->fd = fd;
  c->phase = PHASE_UPGRADE;
  c->readable = 1;
  upgrade_turn(c);
}

static void socket_ready(se_watch *watch, int events) {
  se_connection *c = (se_connection *)watch;
  if (c->home == NULL)
    return;
  if (events & (SE_POLL_READ | SE_POLL_ERROR))
    c->readable = 1;
  if (events & (SE_POLL_WRITE | SE_POLL_ERROR)) {
    c->blocked = 0;
    if (c->phase == PHASE_OPEN || c->phase == PHASE_CLOSING)
      flush(c);
  }
  if (c->phase == PHASE_UPGRADE)
    upgrade_turn(c);
  else if (c->phase == PHASE_LAST)
    last_turn(c);
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
  int status = se_multi_prepare(c->home->multi, easy, c->error, options->ca_file, options->proxy,
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
    status = se_multi_add(c->home->multi, c->easy);
  return status;
}

int se_connection_new(se_connections *all, const se_connection_options *options,
                      se_connection **out, const char **reason) {
  se_connection *c = calloc(1, sizeof *c);
  if (c == NULL)
    return SE_ERR_MEMORY;
  size_t output = options->max_output > MAX_HEAD ? options->max_output : MAX_HEAD;
  c->watch.ready = socket_ready;
  c->home = all;
  c->next = all->first;
  if (c->next != NULL)
    c->next->previous = c;
  all->first = c;
  c->phase = PHASE_CONNECT;
  c->fd = -1;
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

void se_connection_free(se_connection *c) {
  if (c == NULL)
    return;
  release(c);
  free(c);
}

/* --- what a program does with one ------------------------------------------------------------- */

int se_connection_state(const se_connection *c) {
  switch (c->phase) {
    case PHASE_CONNECT:
    case PHASE_UPGRADE: return SE_CONNECTING;
    case PHASE_OPEN: return SE_OPEN;
    case PHASE_CLOSED: return SE_CLOSED;
    default: return SE_CLOSING;
  }
}

void se_connection_ended(const se_connection *c, se_connection_end *end) {
  *end = c->end;
}

double se_connection_heard(const se_connection *c) {
  return c->heard;
}

void se_connection_pause(se_connection *c, int yes) {
  c->paused = yes;
  update_watch(c);
}

int se_connection_send(se_connection *c, int opcode, const char *data, size_t len) {
  if (c->phase != PHASE_OPEN || c->broken)
    return SE_ERR_CLOSED;
  size_t waiting = se_buffer_length(&c->output) + se_buffer_length(&c->sending);
  if (waiting >= c->max_output || len > c->max_output - waiting)
    return SE_ERR_FULL;
  int status = se_ws_write(&c->ws, opcode, data, len, &c->output);
  if (status == SE_OK && !c->blocked)
    flush(c);
  return status;
}

int se_connection_close(se_connection *c, uint16_t code, const char *reason, size_t len,
                        double seconds) {
  se_buffer scratch;
  se_ws check;
  /* The code and the reason are looked at in every state: a mistake is one in all of them. */
  se_buffer_init(&scratch, CONTROL_ROOM);
  se_ws_init(&check, SE_WS_SERVER, 0);
  int status = se_ws_close(&check, code, reason, len, &scratch);
  se_buffer_free(&scratch);
  se_ws_free(&check);
  if (status == SE_ERR_ARGUMENT)
    return status;
  if (c->phase < PHASE_OPEN) {
    se_connection_abort(c);
    return SE_OK;
  }
  if (c->phase != PHASE_OPEN)
    return SE_OK;
  if (se_ws_close(&c->ws, code, reason, len, &c->output) != SE_OK) {
    end_now(c, "closed", ABNORMAL, "closed by this client, with no room for a close frame");
    return SE_OK;
  }
  c->phase = PHASE_CLOSING;
  c->deadline = se_now() + seconds;
  c->pulled = 1;
  c->paused = 0; /* the answer has to be read */
  flush(c);
  return SE_OK;
}

void se_connection_abort(se_connection *c) {
  if (c->phase != PHASE_CLOSED)
    end_now(c, "closed", ABNORMAL, "ended by this client");
}

/* --- all of them ------------------------------------------------------------------------------ */

int se_connections_init(se_connections *all, se_poller *poller) {
  memset(all, 0, sizeof *all);
  all->poller = poller;
  all->multi = se_multi_new(poller, 0, on_connected, NULL);
  return all->multi == NULL ? SE_ERR_MEMORY : SE_OK;
}

void se_connections_free(se_connections *all) {
  while (all->first != NULL)
    end_now(all->first, "closed", ABNORMAL, "the transport was closed");
  se_multi_free(all->multi);
  all->multi = NULL;
  free(all->spare_block);
  all->spare_block = NULL;
}

static void end_late(se_connection *c) {
  if (c->end.kind != NULL) { /* it was over before */
    release(c);
  } else if (c->broken) {
    end_now(c, "network", ABNORMAL, c->message);
  } else if (c->phase == PHASE_CLOSING) {
    end_now(c, "timeout", ABNORMAL, "the server did not answer the close frame");
  } else {
    snprintf(c->message, sizeof c->message, "not open within %g seconds: %s", c->started_for,
             c->phase == PHASE_CONNECT ? "no connection" : "no answer to the upgrade");
    end_now(c, "timeout", ABNORMAL, c->message);
  }
}

/* A program that has closed a connection need not read on; then the peer's answer would never be
 * found behind the messages before it. */
static void discard(se_connection *c) {
  se_received ignored;
  while (pull(c, &ignored) != SE_NEXT_NOTHING)
    continue;
}

void se_connections_run(se_connections *all, double now) {
  se_connection *next;
  se_multi_run(all->multi, now);
  for (se_connection *c = all->first; c != NULL; c = next) {
    next = c->next; /* each call below ends at most 'c' */
    c->budget = BUDGET;
    if (c->deadline <= now)
      end_late(c);
    else if (c->phase == PHASE_CLOSING && !c->pulled)
      discard(c);
    else if (c->phase == PHASE_LAST && c->readable)
      last_turn(c);
    else if (c->phase == PHASE_UPGRADE && c->readable)
      upgrade_turn(c);
    c->pulled = 0;
  }
}

double se_connections_due(const se_connections *all) {
  double due = se_multi_due(all->multi);
  for (const se_connection *c = all->first; c != NULL; c = c->next) {
    int has_bytes = c->readable || c->stuck || (c->at < c->have && c->phase != PHASE_UPGRADE);
    if (c->fd >= 0 && has_bytes && may_read(c))
      return 0;
    if (c->deadline < due)
      due = c->deadline;
  }
  return due;
}

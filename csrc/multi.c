/* multi.c -- a libcurl multi handle whose sockets are watched by our poller.
 *
 * libcurl's callbacks only write down what it wants; nothing is called from inside them. */
#include "multi.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "status.h"
#include "trust.h"

#define LOOK_AGAIN 0.004 /* seconds until it is seen whether certificates were read meanwhile */

/* One descriptor as far as libcurl is concerned. Records are kept until the multi goes, since the
 * poller may still hold a result for a descriptor that was closed in the same turn. */
typedef struct {
  se_watch watch;
  se_multi *multi;
  int fd;
  int wanted;  /* by libcurl */
  int watched; /* by the poller */
  int opened;  /* by us, so that we also hear of it being closed */
} record;

struct se_multi {
  se_poller *poller;
  CURLM *handle;
  se_multi_done done;
  void *user;
  record **records; /* by descriptor; NULL where there is none */
  size_t room;
  double due;
  int keep;
  int moved; /* libcurl ran: there may be news */
  CURL **waiting; /* handles that begin when the system's certificates were read */
  size_t waiting_count, waiting_room;
  double look_at; /* when to see whether they were */
};

static CURLcode library_status = CURLE_FAILED_INIT;

static void library_begin(void) {
  library_status = curl_global_init(CURL_GLOBAL_DEFAULT);
}

int se_multi_library(void) {
  /* Never taken down again: a thread of the resolver may outlive all of our objects. */
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, library_begin);
  return library_status == CURLE_OK;
}

/* --- descriptors ------------------------------------------------------------------------------ */

static void watch_record(record *fd, int events) {
  if (fd->watched != events &&
      se_poller_set(fd->multi->poller, fd->fd, fd->watched, events, &fd->watch) == 0)
    fd->watched = events;
}

static void socket_ready(se_watch *watch, int events) {
  record *fd = (record *)watch;
  int running, what = 0;
  if (fd->wanted == 0) {
    /* An idle connection: the server has closed it. libcurl sees that when it wants to use it. */
    watch_record(fd, 0);
    return;
  }
  if (events & SE_POLL_READ)
    what |= CURL_CSELECT_IN;
  if (events & SE_POLL_WRITE)
    what |= CURL_CSELECT_OUT;
  if (events & SE_POLL_ERROR)
    what |= CURL_CSELECT_ERR;
  fd->multi->moved = 1;
  curl_multi_socket_action(fd->multi->handle, fd->fd, what, &running);
}

/* NULL: no memory. */
static record *find_record(se_multi *multi, int fd) {
  size_t at = (size_t)fd;
  if (at >= multi->room) {
    size_t room = at + 32;
    record **grown = realloc(multi->records, room * sizeof *grown);
    if (grown == NULL)
      return NULL;
    memset(grown + multi->room, 0, (room - multi->room) * sizeof *grown);
    multi->records = grown;
    multi->room = room;
  }
  if (multi->records[at] == NULL) {
    record *made = calloc(1, sizeof *made);
    if (made == NULL)
      return NULL;
    made->watch.ready = socket_ready;
    made->multi = multi;
    made->fd = fd;
    multi->records[at] = made;
  }
  return multi->records[at];
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *of_socket) {
  se_multi *multi = user;
  (void)easy;
  (void)of_socket;
  record *found = find_record(multi, fd);
  if (found == NULL)
    return 0; /* this one will be too late; a -1 would end the multi for good */
  found->wanted = 0;
  if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
    found->wanted |= SE_POLL_READ;
  if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
    found->wanted |= SE_POLL_WRITE;
  /* A connection that has done its request is usually wanted again soon, for the same. It must not
   * be kept for writing, which it is always ready for. */
  if (what != CURL_POLL_REMOVE || !multi->keep || !found->opened)
    watch_record(found, found->wanted);
  else if (found->watched & SE_POLL_WRITE)
    watch_record(found, SE_POLL_READ);
  return 0;
}

static curl_socket_t on_open(void *user, curlsocktype purpose, struct curl_sockaddr *address) {
  (void)purpose;
  int type = address->socktype;
#ifdef SOCK_CLOEXEC
  type |= SOCK_CLOEXEC;
#endif
  int fd = socket(address->family, type, address->protocol);
  if (fd < 0)
    return CURL_SOCKET_BAD;
  record *made = find_record(user, fd);
  if (made == NULL) {
    close(fd);
    return CURL_SOCKET_BAD;
  }
  made->opened = 1;
  made->watched = 0;
  return fd;
}

static int on_close(void *user, curl_socket_t fd) {
  se_multi *multi = user;
  record *found = (size_t)fd < multi->room ? multi->records[fd] : NULL;
  if (found != NULL) {
    watch_record(found, 0);
    found->watched = found->wanted = found->opened = 0;
  }
  return close(fd);
}

static int on_timer(CURLM *handle, long milliseconds, void *user) {
  se_multi *multi = user;
  (void)handle;
  if (milliseconds < 0)
    multi->due = SE_NEVER;
  else if (milliseconds == 0)
    multi->due = 0;
  else
    multi->due = se_now() + (double)milliseconds / 1000;
  return 0;
}

/* --- the multi handle ------------------------------------------------------------------------- */

se_multi *se_multi_new(se_poller *poller, int keep, se_multi_done done, void *user) {
  se_multi *multi = calloc(1, sizeof *multi);
  if (multi == NULL)
    return NULL;
  multi->handle = curl_multi_init();
  if (multi->handle == NULL) {
    free(multi);
    return NULL;
  }
  multi->poller = poller;
  multi->keep = keep;
  multi->done = done;
  multi->user = user;
  multi->due = SE_NEVER;
  curl_multi_setopt(multi->handle, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(multi->handle, CURLMOPT_SOCKETDATA, multi);
  curl_multi_setopt(multi->handle, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(multi->handle, CURLMOPT_TIMERDATA, multi);
  return multi;
}

void se_multi_free(se_multi *multi) {
  if (multi == NULL)
    return;
  curl_multi_cleanup(multi->handle); /* closes connections, through on_close */
  for (size_t i = 0; i < multi->room; i++)
    free(multi->records[i]);
  free(multi->records);
  free(multi->waiting);
  free(multi);
}

static int hold(se_multi *multi, CURL *easy) {
  if (multi->waiting_count == multi->waiting_room) {
    size_t room = multi->waiting_room + 8;
    CURL **grown = realloc(multi->waiting, room * sizeof *grown);
    if (grown == NULL)
      return SE_ERR_MEMORY;
    multi->waiting = grown;
    multi->waiting_room = room;
  }
  multi->waiting[multi->waiting_count++] = easy;
  multi->look_at = 0;
  return SE_OK;
}

int se_multi_add(se_multi *multi, CURL *easy, int trusts_system) {
  if (trusts_system) {
    if (multi->waiting_count > 0 || !se_trust_is_there())
      return hold(multi, easy);
    se_trust_prepare(easy);
  }
  return curl_multi_add_handle(multi->handle, easy) == CURLM_OK ? SE_OK : SE_ERR_MEMORY;
}

void se_multi_remove(se_multi *multi, CURL *easy) {
  for (size_t i = 0; i < multi->waiting_count; i++) {
    if (multi->waiting[i] != easy)
      continue;
    size_t after = --multi->waiting_count - i;
    memmove(multi->waiting + i, multi->waiting + i + 1, after * sizeof *multi->waiting);
    return;
  }
  curl_multi_remove_handle(multi->handle, easy);
}

/* Begins what has waited, once it may. */
static void release_waiting(se_multi *multi, double now) {
  if (!se_trust_is_there()) {
    multi->look_at = now + LOOK_AGAIN;
    return;
  }
  while (multi->waiting_count > 0) {
    CURL *easy = multi->waiting[0];
    se_multi_remove(multi, easy);
    se_trust_prepare(easy);
    if (curl_multi_add_handle(multi->handle, easy) != CURLM_OK)
      multi->done(multi->user, easy, CURLE_OUT_OF_MEMORY);
  }
}

void se_multi_end_idle(se_multi *multi) {
  for (size_t i = 0; i < multi->room; i++) {
    record *at = multi->records[i];
    if (at == NULL || !at->opened || at->wanted != 0)
      continue;
    watch_record(at, 0);
    shutdown(at->fd, SHUT_RDWR);
  }
}

double se_multi_due(const se_multi *multi) {
  if (multi->moved)
    return 0;
  return multi->waiting_count > 0 && multi->look_at < multi->due ? multi->look_at : multi->due;
}

void se_multi_run(se_multi *multi, double now) {
  int running, left;
  if (multi->waiting_count > 0 && multi->look_at <= now)
    release_waiting(multi, now);
  if (multi->due <= now) {
    multi->due = SE_NEVER; /* libcurl sets the next one from inside the call */
    multi->moved = 1;
    curl_multi_socket_action(multi->handle, CURL_SOCKET_TIMEOUT, 0, &running);
  }
  if (!multi->moved)
    return;
  multi->moved = 0;
  for (CURLMsg *news; (news = curl_multi_info_read(multi->handle, &left)) != NULL;) {
    if (news->msg == CURLMSG_DONE)
      multi->done(multi->user, news->easy_handle, news->data.result);
  }
}

/* --- handles ---------------------------------------------------------------------------------- */

/* Remembers the first failure of a row of curl_easy_setopt calls. */
#define SET(option, value)                                       \
  do {                                                           \
    if (result == CURLE_OK)                                      \
      result = curl_easy_setopt(easy, option, value);            \
  } while (0)

int se_multi_has_proxy(const char *proxy) {
  static const char *const names[] = {"http_proxy",  "https_proxy", "HTTPS_PROXY",
                                      "all_proxy", "ALL_PROXY"};
  for (size_t i = 0; proxy == NULL && i < sizeof names / sizeof *names; i++)
    proxy = getenv(names[i]);
  return proxy != NULL && proxy[0] != '\0';
}

int se_multi_prepare(se_multi *multi, CURL *easy, se_trace *trace, const char *ca_file,
                     const char *proxy, double connect_timeout) {
  CURLcode result = se_failure_trace(easy, trace, se_multi_has_proxy(proxy));
  /* With signals allowed, libcurl changes the host's SIGPIPE handler around every call. From 7.87
   * on it needs none, since all of its writing goes through send() with MSG_NOSIGNAL. */
  SET(CURLOPT_NOSIGNAL, curl_version_info(CURLVERSION_NOW)->version_num >= 0x075700 ? 1L : 0L);
#if LIBCURL_VERSION_NUM >= 0x075700
  SET(CURLOPT_QUICK_EXIT, 1L); /* never wait for a resolver's thread */
#endif
#if LIBCURL_VERSION_NUM >= 0x075500
  SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
  SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  SET(CURLOPT_FOLLOWLOCATION, 0L);
  SET(CURLOPT_TCP_NODELAY, 1L);
  SET(CURLOPT_SSL_VERIFYPEER, 1L);
  SET(CURLOPT_SSL_VERIFYHOST, 2L);
  SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2); /* the least, for the server */
  SET(CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(connect_timeout * 1000) + 1);
  if (multi->keep) {
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
    SET(CURLOPT_OPENSOCKETDATA, multi);
    SET(CURLOPT_CLOSESOCKETFUNCTION, on_close);
    SET(CURLOPT_CLOSESOCKETDATA, multi);
  }
  trace->certificate.trusts_system = ca_file == NULL;
  if (ca_file != NULL) {
    SET(CURLOPT_CAINFO, ca_file);
    SET(CURLOPT_PROXY_CAINFO, ca_file);
  }
  if (!se_multi_has_proxy(proxy)) {
    SET(CURLOPT_PROXY, ""); /* or libcurl looks through the environment for every request */
    SET(CURLOPT_NOPROXY, ""); /* and for what needs none */
  } else if (proxy != NULL) {
    SET(CURLOPT_PROXY, proxy);
  }
  if (result == CURLE_OK)
    return SE_OK;
  return result == CURLE_OUT_OF_MEMORY ? SE_ERR_MEMORY : SE_ERR_ARGUMENT;
}

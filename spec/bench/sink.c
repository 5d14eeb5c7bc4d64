/* sink.c -- an HTTP server that does nothing: every request gets the same 201 at once, and
 * GET /connect becomes a WebSocket that says one health check and then nothing.
 *
 * usage: sink. Prints its port; runs until it is killed. */
#define _GNU_SOURCE /* strcasestr */
#include <sys/epoll.h>

#include "net.h"

enum { MAX_CONNECTIONS = 1024, ROOM = 1 << 16 };

static struct {
  size_t have;
  int quiet; /* a WebSocket: what comes is read and forgotten */
  char data[ROOM];
} connections[MAX_CONNECTIONS];

static const char body[] =
    "{\"event\":{\"type\":\"position\",\"cid\":\"messaging:lobby\",\"channel_id\":\"lobby\","
    "\"channel_type\":\"messaging\",\"user\":" BENCH_USER("alice")
    ",\"created_at\":\"2026-01-01T00:00:05.25Z\",\"x\":12,\"y\":40},\"duration\":\"0.10ms\"}";

/* Answers every complete request in the buffer. */
static void serve(int fd) {
  char answer[1024];
  char *data = connections[fd].data;
  size_t *have = &connections[fd].have;
  for (;;) {
    data[*have] = '\0';
    char *end = strstr(data, "\r\n\r\n");
    if (end == NULL)
      return;
    size_t total = (size_t)(end + 4 - data);
    if (strncmp(data, "GET /connect", 12) == 0) {
      connections[fd].quiet = 1;
      answer_upgrade(fd, data);
      send_text(fd, BENCH_HEALTH);
      return;
    }
    char *length = strcasestr(data, "content-length:");
    if (length != NULL && length < end)
      total += (size_t)atol(length + 15);
    if (*have < total)
      return;
    int n = snprintf(answer, sizeof answer,
                     "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     sizeof body - 1, body);
    send_all(fd, answer, (size_t)n);
    memmove(data, data + total, *have - total);
    *have -= total;
  }
}

int main(void) {
  struct epoll_event events[64], watch = {.events = EPOLLIN};
  int listener = listen_and_tell();
  int poller = epoll_create1(0);
  watch.data.fd = listener;
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &watch);
  for (;;) {
    int ready = epoll_wait(poller, events, 64, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        fd = accept_one(listener);
        if (fd >= MAX_CONNECTIONS)
          die("too many connections");
        connections[fd].have = 0;
        connections[fd].quiet = 0;
        watch.data.fd = fd;
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &watch);
        continue;
      }
      size_t at = connections[fd].quiet ? 0 : connections[fd].have;
      ssize_t n = recv(fd, connections[fd].data + at, ROOM - 1 - at, 0);
      if (n <= 0) {
        close(fd);
        continue;
      }
      connections[fd].have = at + (size_t)n;
      if (!connections[fd].quiet)
        serve(fd);
    }
  }
}

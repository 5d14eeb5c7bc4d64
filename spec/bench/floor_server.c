/* floor_server.c -- the least a server can do: for every POST a ready frame goes to every
 * WebSocket, all frames of a turn in one send each. Nothing is parsed, nobody is checked.
 *
 * usage: floor_server. Prints its port; runs until it is killed. */
#include <poll.h>
#include <sys/epoll.h>

#include "net.h"

enum { MAX_FD = 16384, ROOM = 1 << 14, MAX_TURN = 64 };

static int watchers[MAX_FD], watcher_count;
static struct {
  size_t have;
  int watcher;
  char data[ROOM];
} connections[MAX_FD];

static const char event[] =
    "{\"type\":\"bench\",\"cid\":\"livestream:bench\",\"channel_id\":\"bench\","
    "\"channel_type\":\"livestream\",\"user\":" BENCH_USER("bench-sender")
    ",\"created_at\":\"2026-01-01T00:00:05.25Z\",\"x\":12,\"y\":40}";
static const char created[] = "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}";

/* Returns how many POSTs were complete; they are answered. */
static int serve(int fd) {
  char *data = connections[fd].data;
  size_t *have = &connections[fd].have;
  int posts = 0;
  for (;;) {
    data[*have] = '\0';
    char *end = strstr(data, "\r\n\r\n");
    if (end == NULL)
      return posts;
    size_t total = (size_t)(end + 4 - data);
    if (strncmp(data, "GET", 3) == 0) {
      connections[fd].watcher = 1;
      watchers[watcher_count++] = fd;
      answer_upgrade(fd, data);
      return posts;
    }
    char *length = strstr(data, "Content-Length:");
    if (length != NULL)
      total += (size_t)atol(length + 15);
    if (*have < total)
      return posts;
    posts++;
    send_all(fd, created, sizeof created - 1);
    memmove(data, data + total, *have - total);
    *have -= total;
  }
}

static void broadcast(const char *frames, size_t len) {
  for (int i = 0; i < watcher_count; i++) {
    size_t at = 0;
    while (at < len) {
      ssize_t n = send(watchers[i], frames + at, len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n >= 0) {
        at += (size_t)n;
      } else if (errno == EAGAIN) {
        struct pollfd wait = {.fd = watchers[i], .events = POLLOUT};
        poll(&wait, 1, 1000);
      } else {
        break;
      }
    }
  }
}

int main(void) {
  static char frames[MAX_TURN * 1024];
  struct epoll_event events[MAX_TURN], watch = {.events = EPOLLIN};
  size_t frame = se_ws_header((uint8_t *)frames, SE_WS_TEXT, sizeof event - 1) + sizeof event - 1;
  for (int i = 0; i < MAX_TURN; i++) {
    size_t header = se_ws_header((uint8_t *)frames + frame * (size_t)i, SE_WS_TEXT, sizeof event - 1);
    memcpy(frames + frame * (size_t)i + header, event, sizeof event - 1);
  }
  int listener = listen_and_tell();
  int poller = epoll_create1(0);
  watch.data.fd = listener;
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &watch);
  for (;;) {
    int ready = epoll_wait(poller, events, MAX_TURN, -1), posts = 0;
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        fd = accept_one(listener);
        if (fd >= MAX_FD)
          die("too many connections");
        connections[fd].have = 0;
        connections[fd].watcher = 0;
        watch.data.fd = fd;
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &watch);
        continue;
      }
      size_t at = connections[fd].watcher ? 0 : connections[fd].have;
      ssize_t n = recv(fd, connections[fd].data + at, ROOM - 1 - at, 0);
      if (n <= 0) {
        close(fd);
        for (int w = 0; w < watcher_count; w++)
          if (watchers[w] == fd)
            watchers[w] = watchers[--watcher_count];
        continue;
      }
      connections[fd].have = at + (size_t)n;
      if (!connections[fd].watcher)
        posts += serve(fd);
    }
    if (posts > 0)
      broadcast(frames, frame * (size_t)posts);
  }
}

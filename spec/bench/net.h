/* net.h -- the few socket calls that the bench programs share. Errors end the program: a bench that
 * cannot run must not print a number. */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "upgrade.h"
#include "ws.h"

static inline void die(const char *what) {
  perror(what);
  exit(1);
}

/* Listens on a free loopback port and prints it, alone on a line, for the driver. */
static inline int listen_and_tell(void) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t size = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
      listen(fd, 4096) != 0 || getsockname(fd, (struct sockaddr *)&address, &size) != 0)
    die("listen");
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  return fd;
}

static inline int connect_to(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  int one = 1;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
    die("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

static inline int accept_one(int listener) {
  int one = 1;
  int fd = accept(listener, NULL, NULL);
  if (fd < 0)
    die("accept");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

static inline void set_nonblocking(int fd) {
  if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
    die("fcntl");
}

static inline void send_all(int fd, const char *data, size_t len) {
  while (len > 0) {
    ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      die("send");
    data += n;
    len -= (size_t)n;
  }
}

/* Reads up to and including an empty line; the text is zero-terminated. */
static inline size_t read_head(int fd, char *head, size_t room) {
  size_t have = 0;
  while (have < room - 1) {
    ssize_t n = recv(fd, head + have, 1, 0); /* a byte at a time: nothing behind it may be lost */
    if (n <= 0)
      die("read_head");
    have += (size_t)n;
    head[have] = '\0';
    if (have >= 4 && memcmp(head + have - 4, "\r\n\r\n", 4) == 0)
      return have;
  }
  die("head too long");
  return 0;
}

static inline void send_text(int fd, const char *text) {
  uint8_t header[10];
  size_t n = se_ws_header(header, SE_WS_TEXT, strlen(text));
  send_all(fd, (const char *)header, n);
  send_all(fd, text, strlen(text));
}

/* The server's half of a WebSocket handshake whose request head is 'head'. */
static inline void answer_upgrade(int fd, const char *head) {
  char accept_value[SE_UPGRADE_ACCEPT + 1];
  char answer[256];
  const char *key = strstr(head, "Sec-WebSocket-Key: ");
  if (key == NULL)
    key = strstr(head, "sec-websocket-key: ");
  if (key == NULL)
    die("no Sec-WebSocket-Key");
  se_upgrade_accept(key + 19, 24, accept_value);
  snprintf(answer, sizeof answer,
           "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Accept: %s\r\n\r\n",
           accept_value);
  send_all(fd, answer, strlen(answer));
}

#define BENCH_USER(id)                                                                            \
  "{\"id\":\"" id "\",\"name\":\"Alice\",\"language\":\"\",\"role\":\"user\",\"teams\":[],"      \
  "\"created_at\":\"2026-01-01T00:00:00Z\",\"updated_at\":\"2026-01-01T00:00:00Z\","             \
  "\"banned\":false,\"online\":true,\"blocked_user_ids\":[]}"

#define BENCH_HEALTH                                                                             \
  "{\"type\":\"health.check\",\"connection_id\":\"7b1d0c52-0a15-4c22-8200-00000000048f\","       \
  "\"cid\":\"*\",\"created_at\":\"2026-01-01T00:00:00.2Z\",\"me\":" BENCH_USER("alice") "}"

static inline double cpu_now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#endif

/* sockets.c -- making sockets: the one that listens, and those that it accepts. */
#if defined(__linux__)
#define _GNU_SOURCE /* accept4 */
#else
#undef _POSIX_C_SOURCE /* SO_NOSIGPIPE */
#endif

#include "sockets.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int prepare_socket(int fd) {
#if !defined(__linux__)
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
      fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
    return -1;
#endif
#if defined(SO_NOSIGPIPE)
  {
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
  }
#endif
  return fd;
}

static int listen_on(const struct addrinfo *address) {
#if defined(__linux__)
  int type = address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC;
#else
  int type = address->ai_socktype;
#endif
  int on = 1, off = 0, reason, fd = socket(address->ai_family, type, address->ai_protocol);
  if (fd < 0)
    return -1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address->ai_family == AF_INET6)
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (prepare_socket(fd) >= 0 && bind(fd, address->ai_addr, address->ai_addrlen) == 0 &&
      listen(fd, SOMAXCONN) == 0)
    return fd;
  reason = errno;
  close(fd);
  errno = reason;
  return -1;
}

int se_socket_listen(const char *host, int port, char *reason, size_t size) {
  struct addrinfo hints = {0}, *found = NULL, *at;
  char service[16];
  int fd = -1, result;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  snprintf(service, sizeof service, "%d", port);
  result = getaddrinfo(host, service, &hints, &found);
  if (result != 0) {
    snprintf(reason, size, "%s", gai_strerror(result));
  } else {
    for (at = found; at != NULL && fd < 0; at = at->ai_next)
      fd = listen_on(at);
    if (fd < 0)
      snprintf(reason, size, "%s", strerror(errno));
    freeaddrinfo(found);
  }
  if (fd < 0)
    reason[0] = (char)tolower((unsigned char)reason[0]);
  return fd;
}

int se_socket_accept(int listening, struct sockaddr_storage *peer) {
  socklen_t len = sizeof *peer;
  memset(peer, 0, sizeof *peer);
#if defined(__linux__)
  return accept4(listening, (struct sockaddr *)peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
  int fd = accept(listening, (struct sockaddr *)peer, &len);
  if (fd >= 0 && prepare_socket(fd) < 0) {
    close(fd);
    errno = ECONNABORTED;
    return -1;
  }
  return fd;
#endif
}

int se_socket_reserve(void) {
  return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int se_socket_room(int wanted) {
  struct rlimit limit, raised;
  rlim_t most = (rlim_t)wanted;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return wanted; /* nothing is known against it */
  if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < most) {
    raised = limit;
    raised.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > most ? most : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
      limit = raised;
  }
  return limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > most ? wanted : (int)limit.rlim_cur;
}

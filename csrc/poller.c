/* poller.c -- waiting for many descriptors through one: epoll on Linux, kqueue elsewhere.
 *
 * Both are themselves descriptors that become readable when something under them is ready; that is
 * all a foreign loop needs. Nothing is kept here about the watched descriptors: the owner of one
 * knows what it asked for. */
#if defined(__linux__) && !defined(SE_KQUEUE)
#define _GNU_SOURCE /* ppoll */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#else
#undef _POSIX_C_SOURCE /* kqueue is no POSIX: with the macro set its header is not complete */
#define SE_KQUEUE 1
#include <sys/types.h>
#include <sys/event.h>
#include <sys/time.h>
#endif

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "poller.h"

/* Asked of the system at a time; more of what is ready comes with the next call. */
#define BATCH 256

/* Kept from one sleep for the wait after it; when there is more, that wait asks again. */
#define KEPT 16

struct se_poller {
  int fd;
  int alarm; /* a descriptor, or -1 (epoll); whether it is set (kqueue) */
  int kept_count;
  se_poll_result kept[KEPT];
};

static int poller_open(se_poller *poller);
static void close_alarm(se_poller *poller);
static int watch(se_poller *poller, int fd, int before, int events, void *tag);
static int ask(se_poller *poller, double seconds, se_poll_result *results, int max);

se_poller *se_poller_new(void) {
  se_poller *poller = malloc(sizeof *poller);
  if (poller == NULL)
    return NULL;
  poller->kept_count = 0;
  poller->fd = poller_open(poller);
  if (poller->fd < 0) {
    int reason = errno;
    free(poller);
    errno = reason;
    return NULL;
  }
  return poller;
}

void se_poller_free(se_poller *poller) {
  if (poller == NULL)
    return;
  close_alarm(poller);
  close(poller->fd);
  free(poller);
}

int se_poller_fd(const se_poller *poller) {
  return poller->fd;
}

int se_poller_set(se_poller *poller, int fd, int before, int events, void *tag) {
  for (int i = 0; i < poller->kept_count; i++) {
    if (poller->kept[i].tag != tag)
      continue;
    poller->kept[i].events &= events == 0 ? 0 : events | SE_POLL_ERROR;
    if (poller->kept[i].events == 0)
      poller->kept[i--] = poller->kept[--poller->kept_count];
  }
  return watch(poller, fd, before, events, tag);
}

int se_poller_wait(se_poller *poller, double seconds, se_poll_result *results, int max) {
  int count = poller->kept_count;
  if (max < 1) {
    errno = EINVAL;
    return -1;
  }
  if (count == 0 || count > max) {
    poller->kept_count = 0; /* level-triggered: it is told again */
    return ask(poller, seconds, results, max);
  }
  memcpy(results, poller->kept, (size_t)count * sizeof *results);
  poller->kept_count = 0;
  return count;
}

void se_poller_sleep(se_poller *poller, double seconds) {
  poller->kept_count = 0; /* what was ready before may be over: only the newest news count */
  int count = ask(poller, seconds, poller->kept, KEPT);
  /* A full house: others may be ready as well, so the next wait has to look for itself. */
  poller->kept_count = count > 0 && count < KEPT ? count : 0;
}

#ifndef SE_KQUEUE

static int poller_open(se_poller *poller) {
  poller->alarm = -1;
  return epoll_create1(EPOLL_CLOEXEC);
}

static void close_alarm(se_poller *poller) {
  if (poller->alarm >= 0)
    close(poller->alarm);
}

static struct timespec time_of(double seconds) {
  struct timespec time;
  double most = seconds < 1e9 ? seconds : 1e9;
  time.tv_sec = (time_t)most;
  time.tv_nsec = (long)((most - (double)time.tv_sec) * 1e9);
  return time;
}

int se_poller_alarm(se_poller *poller, double seconds) {
  struct itimerspec when = {0};
  if (poller->alarm < 0) {
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd < 0 || watch(poller, fd, 0, SE_POLL_READ, NULL) != 0) {
      if (fd >= 0)
        close(fd);
      return -1;
    }
    poller->alarm = fd;
  }
  if (seconds >= 0) {
    when.it_value = time_of(seconds);
    if (when.it_value.tv_sec == 0 && when.it_value.tv_nsec == 0)
      when.it_value.tv_nsec = 1; /* nothing would mean never */
  }
  return timerfd_settime(poller->alarm, 0, &when, NULL); /* which also forgets the last one */
}

static int watch(se_poller *poller, int fd, int before, int events, void *tag) {
  struct epoll_event event = {0};
  event.data.ptr = tag;
  if (events & SE_POLL_READ)
    event.events |= EPOLLIN;
  if (events & SE_POLL_WRITE)
    event.events |= EPOLLOUT;
  if (events == 0) {
    /* A descriptor that was closed first has left by itself: that is no failure. */
    if (before != 0 && epoll_ctl(poller->fd, EPOLL_CTL_DEL, fd, &event) != 0 && errno != ENOENT &&
        errno != EBADF)
      return -1;
    return 0;
  }
  if (epoll_ctl(poller->fd, before == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) == 0)
    return 0;
  /* A library may close a descriptor and get its number again before it tells us: then what we
   * remember is wrong, and the other call is the right one. */
  if (before == 0 && errno == EEXIST)
    return epoll_ctl(poller->fd, EPOLL_CTL_MOD, fd, &event);
  if (before != 0 && errno == ENOENT)
    return epoll_ctl(poller->fd, EPOLL_CTL_ADD, fd, &event);
  return -1;
}

/* Below this, a wait is as exact as the system makes it; a longer one ends so much earlier at most,
 * and whoever waits for a deadline comes back for the rest: nobody waits longer than he said. */
#define EXACT 0.002

/* Whole milliseconds, rounded down. */
static int milliseconds(double seconds) {
  if (seconds < 0)
    return -1;
  return seconds >= (double)(INT_MAX / 1000) ? INT_MAX : (int)(seconds * 1000);
}

static int ask(se_poller *poller, double seconds, se_poll_result *results, int max) {
  struct epoll_event events[BATCH];
  if (seconds > 0 && seconds < EXACT) {
    struct pollfd one = {poller->fd, POLLIN, 0};
    struct timespec limit = time_of(seconds);
    if (ppoll(&one, 1, &limit, NULL) <= 0)
      return 0;
    seconds = 0;
  }
  int count = epoll_wait(poller->fd, events, max < BATCH ? max : BATCH, milliseconds(seconds));
  if (count < 0)
    return errno == EINTR ? 0 : -1;
  for (int i = 0; i < count; i++) {
    int ready = 0;
    if (events[i].events & EPOLLIN)
      ready |= SE_POLL_READ;
    if (events[i].events & EPOLLOUT)
      ready |= SE_POLL_WRITE;
    if (events[i].events & (EPOLLERR | EPOLLHUP))
      ready |= SE_POLL_ERROR;
    results[i].tag = events[i].data.ptr;
    results[i].events = ready;
  }
  return count;
}

#else /* kqueue */

static int poller_open(se_poller *poller) {
  poller->alarm = 0;
  return kqueue();
}

static void close_alarm(se_poller *poller) {
  (void)poller;
}

int se_poller_alarm(se_poller *poller, double seconds) {
  struct kevent event;
  if (seconds < 0 && !poller->alarm)
    return 0;
  double milliseconds = seconds < 1e9 ? seconds * 1000 : 1e12;
  /* Rounded down: whoever is called too early comes back for the rest. */
  EV_SET(&event, 0, EVFILT_TIMER, seconds < 0 ? EV_DELETE : EV_ADD | EV_ONESHOT, 0,
         seconds < 0 ? 0 : (intptr_t)milliseconds, NULL);
  if (kevent(poller->fd, &event, 1, NULL, 0, NULL) < 0 && errno != ENOENT)
    return -1;
  poller->alarm = seconds >= 0;
  return 0;
}

static int change(se_poller *poller, int fd, short filter, int wanted, void *tag) {
  struct kevent event;
  EV_SET(&event, (uintptr_t)fd, filter, wanted ? EV_ADD : EV_DELETE, 0, 0, tag);
  if (kevent(poller->fd, &event, 1, NULL, 0, NULL) >= 0)
    return 0;
  /* A descriptor that was closed first has left by itself: that is no failure. */
  return !wanted && (errno == ENOENT || errno == EBADF) ? 0 : -1;
}

static int watch(se_poller *poller, int fd, int before, int events, void *tag) {
  static const struct {
    int event;
    short filter;
  } filters[] = {{SE_POLL_READ, EVFILT_READ}, {SE_POLL_WRITE, EVFILT_WRITE}};
  for (int i = 0; i < 2; i++) {
    int wanted = events & filters[i].event;
    if (!wanted && !(before & filters[i].event))
      continue;
    if (change(poller, fd, filters[i].filter, wanted, tag) != 0)
      return -1;
  }
  return 0;
}

static int ask(se_poller *poller, double seconds, se_poll_result *results, int max) {
  struct kevent events[BATCH];
  struct timespec limit = {0, 0};
  if (seconds > 0) {
    double most = seconds < 1e9 ? seconds : 1e9;
    limit.tv_sec = (time_t)most;
    limit.tv_nsec = (long)((most - (double)limit.tv_sec) * 1e9);
  }
  int count = kevent(poller->fd, NULL, 0, events, max < BATCH ? max : BATCH,
                     seconds < 0 ? NULL : &limit);
  if (count < 0)
    return errno == EINTR ? 0 : -1;
  int used = 0;
  for (int i = 0; i < count; i++) {
    int ready = events[i].filter == EVFILT_WRITE ? SE_POLL_WRITE : SE_POLL_READ;
    if (events[i].flags & (EV_EOF | EV_ERROR))
      ready |= SE_POLL_ERROR;
    /* Reading and writing are reported apart. They belong into one result: whoever frees the
     * object behind a tag must not meet the tag again. */
    int at = 0;
    while (at < used && results[at].tag != (void *)events[i].udata)
      at++;
    if (at == used) {
      results[used].tag = (void *)events[i].udata;
      results[used++].events = 0;
    }
    results[at].events |= ready;
  }
  return used;
}

#endif

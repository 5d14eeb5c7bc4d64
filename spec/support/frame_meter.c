/* frame_meter.c -- what one call costs, and whether it sleeps. Preloaded into an interpreter, and
 * required in it as "frame_meter":
 *
 *     meter.begin()           from here on this thread may not sleep
 *     meter.finish(name) -> times, what    until here; how often it tried to, and how
 *     meter.hang(yes)         lookups of names that end in ".hang" get no answer, or get one
 *
 * Under callgrind the log holds the instructions of this thread so far, as "events-1: COUNT", for each
 * begin(), and then, after a line "frame NAME", for the finish(). A sleep that is not allowed takes no
 * time. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

static __thread int watched;
static __thread int sleeps;
static __thread const char *last;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Whether this thread may sleep; if not, it is written down. */
static int may_sleep(const char *what) {
  if (!watched)
    return 1;
  sleeps++;
  last = what;
  return 0;
}

static int is_zero(const struct timespec *t) { return t != NULL && t->tv_sec == 0 && t->tv_nsec == 0; }

/* --- waiting for descriptors ------------------------------------------------------------------ */

int epoll_wait(int fd, struct epoll_event *events, int max, int timeout) {
  if (timeout != 0 && !may_sleep("epoll_wait"))
    timeout = 0;
  return REAL(epoll_wait)(fd, events, max, timeout);
}

int epoll_pwait(int fd, struct epoll_event *events, int max, int timeout, const sigset_t *mask) {
  if (timeout != 0 && !may_sleep("epoll_pwait"))
    timeout = 0;
  return REAL(epoll_pwait)(fd, events, max, timeout, mask);
}

int poll(struct pollfd *fds, nfds_t count, int timeout) {
  if (timeout != 0 && !may_sleep("poll"))
    timeout = 0;
  return REAL(poll)(fds, count, timeout);
}

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size) {
  (void)size;
  return poll(fds, count, timeout);
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask) {
  static const struct timespec none;
  if (!is_zero(timeout) && !may_sleep("ppoll"))
    timeout = &none;
  return REAL(ppoll)(fds, count, timeout, mask);
}

int select(int count, fd_set *in, fd_set *out, fd_set *odd, struct timeval *timeout) {
  struct timeval none = {0, 0};
  int is_none = timeout != NULL && timeout->tv_sec == 0 && timeout->tv_usec == 0;
  if (!is_none && !may_sleep("select"))
    timeout = &none;
  return REAL(select)(count, in, out, odd, timeout);
}

/* --- waiting for time and for others ---------------------------------------------------------- */

int nanosleep(const struct timespec *time, struct timespec *left) {
  if (!is_zero(time) && !may_sleep("nanosleep"))
    return 0;
  return REAL(nanosleep)(time, left);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left) {
  if (!is_zero(time) && !may_sleep("clock_nanosleep"))
    return 0;
  return REAL(clock_nanosleep)(clock, flags, time, left);
}

int usleep(useconds_t time) {
  if (time > 0 && !may_sleep("usleep"))
    return 0;
  return REAL(usleep)(time);
}

unsigned sleep(unsigned time) {
  if (time > 0 && !may_sleep("sleep"))
    return 0;
  return REAL(sleep)(time);
}

int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex) {
  may_sleep("pthread_cond_wait");
  return REAL(pthread_cond_wait)(condition, mutex);
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           const struct timespec *until) {
  may_sleep("pthread_cond_timedwait");
  return REAL(pthread_cond_timedwait)(condition, mutex, until);
}

/* A thread that has said its last word is as good as gone. */
int pthread_join(pthread_t thread, void **result) {
  struct timespec until;
  if (!watched)
    return REAL(pthread_join)(thread, result);
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 2;
  int status = REAL(pthread_timedjoin_np)(thread, result, &until);
  if (status != ETIMEDOUT)
    return status;
  may_sleep("pthread_join");
  return 0;
}

/* --- sockets that block, and names ------------------------------------------------------------ */

static void check_socket(int fd, int flags, const char *what) {
  if (watched && !(flags & MSG_DONTWAIT) && !(fcntl(fd, F_GETFL) & O_NONBLOCK))
    may_sleep(what);
}

ssize_t recv(int fd, void *into, size_t size, int flags) {
  check_socket(fd, flags, "recv");
  return REAL(recv)(fd, into, size, flags);
}

ssize_t send(int fd, const void *from, size_t size, int flags) {
  check_socket(fd, flags, "send");
  return REAL(send)(fd, from, size, flags);
}

int connect(int fd, const struct sockaddr *address, socklen_t size) {
  check_socket(fd, 0, "connect");
  return REAL(connect)(fd, address, size);
}

static pthread_mutex_t hanging = PTHREAD_MUTEX_INITIALIZER;

static int ends_with(const char *text, const char *end) {
  size_t len = strlen(text), end_len = strlen(end);
  return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
  may_sleep("getaddrinfo");
  if (name != NULL && ends_with(name, ".hang")) {
    pthread_mutex_lock(&hanging);
    pthread_mutex_unlock(&hanging);
    return EAI_AGAIN;
  }
  if (name != NULL && ends_with(name, ".invalid"))
    return EAI_NONAME; /* whatever the machine's own resolver says, and when */
  return REAL(getaddrinfo)(name, service, hints, found);
}

/* --- for the script --------------------------------------------------------------------------- */

static int meter_begin(lua_State *L) {
  (void)L;
  sleeps = 0;
  last = NULL;
  VALGRIND_MONITOR_COMMAND("status internal");
  watched = 1;
  return 0;
}

static int meter_finish(lua_State *L) {
  watched = 0;
  VALGRIND_PRINTF("frame %s\n", luaL_checkstring(L, 1));
  VALGRIND_MONITOR_COMMAND("status internal");
  lua_pushinteger(L, sleeps);
  lua_pushstring(L, last);
  return 2;
}

static int meter_hang(lua_State *L) {
  if (lua_toboolean(L, 1))
    pthread_mutex_lock(&hanging);
  else
    pthread_mutex_unlock(&hanging);
  return 0;
}

int luaopen_frame_meter(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"begin", meter_begin}, {"finish", meter_finish}, {"hang", meter_hang}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}

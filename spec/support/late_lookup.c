/* late_lookup.c -- preloaded: looking up "late.test" takes until somebody opens the pipe named by
 * LATE_LOOKUP for writing, and then gives this machine. The end of the thread that did it is told on
 * standard error: by then it has been through all the code that was waiting for it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static void say(const char *text) {
  if (write(STDERR_FILENO, text, strlen(text)) < 0)
    abort();
}

static void over(void *value) {
  (void)value;
  say("the lookup is over\n");
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
  lookup *real = (lookup *)dlsym(RTLD_NEXT, "getaddrinfo");
  pthread_key_t key;
  if (node == NULL || strcmp(node, "late.test") != 0)
    return real(node, service, hints, found);
  pthread_key_create(&key, over);
  pthread_setspecific(key, "");
  say("the lookup has begun\n");
  close(open(getenv("LATE_LOOKUP"), O_RDONLY));
  return real("127.0.0.1", service, hints, found);
}

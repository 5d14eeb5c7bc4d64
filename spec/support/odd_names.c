/* odd_names.c -- preloaded: names as no name server of a spec's could give them. Looking up one that
 * begins with "hangs." never comes to an end, as with a name server that does not answer; "both.test" is
 * this machine, by IPv6 first and then by IPv4. All others are looked up as ever. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
  lookup *real = (lookup *)dlsym(RTLD_NEXT, "getaddrinfo");
  while (node != NULL && strncmp(node, "hangs.", 6) == 0)
    pause();
  if (node == NULL || strcmp(node, "both.test") != 0)
    return real(node, service, hints, found);
  struct addrinfo **end = found;
  *found = NULL;
  if (hints == NULL || hints->ai_family != AF_INET)
    real("::1", service, hints, end);
  while (*end != NULL)
    end = &(*end)->ai_next;
  if (hints == NULL || hints->ai_family != AF_INET6)
    real("127.0.0.1", service, hints, end);
  return *found == NULL ? EAI_NONAME : 0;
}

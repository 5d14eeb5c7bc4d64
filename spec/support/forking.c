/* forking.c -- a program that forks while a thread reads the certificates that the system trusts. Of the
 * child it is said whether they are there in it at once: a thread that was forked away would never have
 * read them, and have left behind locks that nobody unlocks. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "multi.h"
#include "trust.h"

int main(void) {
  int status = -1;
  if (!se_multi_library())
    return 2;
  se_trust_is_there();
  pid_t child = fork();
  if (child == 0) {
    alarm(20);
    _exit(se_trust_is_there() ? 0 : 1);
  }
  if (child < 0 || waitpid(child, &status, 0) != child)
    return 2;
  puts(WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "there" : "not there");
  return 0;
}

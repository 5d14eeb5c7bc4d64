/* cpu.c -- runs a command and writes what it cost: "USER SYS MAXRSS_KB STATUS" to a file.
 *
 * usage: cpu FILE COMMAND [ARGUMENT...] */
#define _GNU_SOURCE /* wait4 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
  struct rusage used;
  int status;
  if (argc < 3)
    return 2;
  pid_t child = fork();
  if (child == 0) {
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    _exit(127);
  }
  if (child < 0 || wait4(child, &status, 0, &used) < 0)
    return 1;
  FILE *out = fopen(argv[1], "w");
  if (out == NULL)
    return 1;
  fprintf(out, "%.6f %.6f %ld %d\n",
          (double)used.ru_utime.tv_sec + (double)used.ru_utime.tv_usec * 1e-6,
          (double)used.ru_stime.tv_sec + (double)used.ru_stime.tv_usec * 1e-6, used.ru_maxrss,
          WIFEXITED(status) ? WEXITSTATUS(status) : 128);
  fclose(out);
  return 0;
}

/* floor_client.c -- the least a client can do: reads, finds the frames, does nothing with them.
 *
 * usage: floor_client PORT. Ends at the frame that holds "bench.done". */
#include "net.h"

int main(int argc, char **argv) {
  static char buffer[1 << 18];
  char head[4096];
  size_t have = 0;
  long frames = 0;
  if (argc != 2)
    return 2;
  int fd = connect_to(atoi(argv[1]));
  const char *request = "GET /connect HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  send_all(fd, request, strlen(request));
  read_head(fd, head, sizeof head);
  for (;;) {
    ssize_t n = recv(fd, buffer + have, sizeof buffer - have, 0);
    if (n <= 0)
      die("recv");
    have += (size_t)n;
    size_t at = 0;
    while (have - at >= 2) {
      const uint8_t *p = (const uint8_t *)buffer + at;
      size_t header = 2, len = p[1] & 127;
      if (len == 126) {
        if (have - at < 4)
          break;
        len = (size_t)p[2] << 8 | p[3];
        header = 4;
      }
      if (have - at < header + len)
        break;
      frames++;
      if (len > 20 && memcmp(buffer + at + header, "{\"type\":\"bench.done", 19) == 0) {
        fprintf(stderr, "%ld\n", frames);
        return 0;
      }
      at += header + len;
    }
    memmove(buffer, buffer + at, have - at);
    have -= at;
  }
}

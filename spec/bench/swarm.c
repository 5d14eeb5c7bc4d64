/* swarm.c -- many watchers and one sender: loads a server in bursts and says what they cost it.
 *
 * usage: swarm PORT PID WATCHERS EVENTS IN_FLIGHT TOKENS CHANNEL
 *   EVENTS  of one burst
 *   TOKENS  a file of lines "USER TOKEN", one for each watcher, who all connect and watch the
 *           channel by the protocol, and one more; the first also sends. "-": a plain server
 *           where connecting is enough
 *   CHANNEL type/id
 * Prints the BYTES_PER_CONNECTION when all watch: the growth of the anonymous pages of the process
 * PID over the watchers. Then every line of the input is answered by a burst and a line of its
 * CPU_SECONDS in all bursts so far, but for one that comes before the first: what is done once, such as
 * connecting, is no part of it. What a burst leaves to be done has a moment's time. */
#include <dirent.h>
#include <poll.h>
#include <sys/epoll.h>

#include "net.h"

enum { ROOM = 1 << 16, LEAST = 250 /* bytes of an event: health checks are shorter */,
       MOMENT = 10 /* milliseconds */ };

typedef struct {
  char user[64], token[256];
} identity;

typedef struct {
  int fd;
  uint64_t skip;     /* payload bytes of the frame under way still to come */
  size_t have;       /* bytes of a cut header */
  uint8_t header[4];
} watcher;

/* CPU seconds of all threads of a process. */
static double cpu_of(int pid) {
  char path[300];
  double total = 0;
  struct dirent *entry;
  snprintf(path, sizeof path, "/proc/%d/task", pid);
  DIR *tasks = opendir(path);
  if (tasks == NULL)
    die(path);
  while ((entry = readdir(tasks)) != NULL) {
    unsigned long long ns;
    if (entry->d_name[0] == '.')
      continue;
    snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid, entry->d_name);
    FILE *file = fopen(path, "r");
    if (file != NULL && fscanf(file, "%llu", &ns) == 1)
      total += (double)ns * 1e-9;
    if (file != NULL)
      fclose(file);
  }
  closedir(tasks);
  return total;
}

static double anonymous_kb(int pid) {
  char path[64], line[256];
  long kb = 0;
  snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
  FILE *file = fopen(path, "r");
  if (file == NULL)
    die(path);
  while (fgets(line, sizeof line, file) != NULL)
    if (sscanf(line, "Anonymous: %ld", &kb) == 1)
      break;
  fclose(file);
  return (double)kb;
}

/* Reads one frame from a blocking socket into 'out', zero-terminated. */
static void read_frame(int fd, char *out, size_t room) {
  uint8_t header[10];
  size_t len, have = 0;
  if (recv(fd, header, 2, MSG_WAITALL) != 2)
    die("first frame");
  len = header[1] & 127;
  if (len == 126) {
    if (recv(fd, header, 2, MSG_WAITALL) != 2)
      die("first frame");
    len = (size_t)header[0] << 8 | header[1];
  }
  if (len >= room)
    die("first frame too long");
  while (have < len) {
    ssize_t n = recv(fd, out + have, len - have, 0);
    if (n <= 0)
      die("first frame");
    have += (size_t)n;
  }
  out[len] = '\0';
}

static int read_identity(FILE *file, identity *who) {
  return fscanf(file, "%63s %255s", who->user, who->token) == 2;
}

static int open_websocket(int port, const identity *who, char *connection_id) {
  char request[2048], head[4096], frame[8192];
  int fd = connect_to(port);
  int n = snprintf(request, sizeof request,
                   "GET /connect?json=%%7B%%22user_id%%22%%3A%%22%s%%22%%2C%%22user_details"
                   "%%22%%3A%%7B%%22id%%22%%3A%%22%s%%22%%7D%%7D&api_key=devkey"
                   "&authorization=%s&stream-auth-type=jwt HTTP/1.1\r\nHost: localhost\r\n"
                   "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                   who->user, who->user, who->token);
  send_all(fd, request, (size_t)n);
  read_head(fd, head, sizeof head);
  connection_id[0] = '\0';
  if (who->token[0] != '\0') {
    read_frame(fd, frame, sizeof frame);
    const char *id = strstr(frame, "\"connection_id\":\"");
    if (id == NULL || sscanf(id + 17, "%36[^\"]", connection_id) != 1)
      die(frame);
  }
  return fd;
}

static int make_post(char *out, size_t room, const char *path, const char *query, const char *token,
                     const char *body) {
  return snprintf(out, room,
                  "POST %s?api_key=devkey%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\n"
                  "stream-auth-type: jwt\r\nContent-Type: application/json\r\n"
                  "Content-Length: %zu\r\n\r\n%s",
                  path, query, token, strlen(body), body);
}

/* Sends a request on a blocking keep-alive connection and reads the whole answer. */
static void call(int fd, const char *request, size_t len) {
  static char answer[1 << 20];
  size_t have = 0;
  send_all(fd, request, len);
  for (;;) {
    ssize_t n = recv(fd, answer + have, sizeof answer - 1 - have, 0);
    if (n <= 0)
      die("answer");
    have += (size_t)n;
    answer[have] = '\0';
    char *end = strstr(answer, "\r\n\r\n");
    char *length = strstr(answer, "Content-Length:");
    if (length == NULL)
      length = strstr(answer, "content-length:");
    if (end == NULL || length == NULL)
      continue;
    if (have >= (size_t)(end + 4 - answer) + (size_t)atol(length + 15)) {
      if (strncmp(answer, "HTTP/1.1 20", 11) != 0)
        die(answer);
      return;
    }
  }
}

/* Counts the events that end in these bytes. */
static long count_frames(watcher *w, const uint8_t *data, size_t len) {
  long events = 0;
  while (len > 0) {
    if (w->skip > 0) {
      size_t n = w->skip < len ? (size_t)w->skip : len;
      w->skip -= n;
      data += n;
      len -= n;
      continue;
    }
    w->header[w->have++] = *data++;
    len--;
    size_t need = w->have >= 2 && (w->header[1] & 127) == 126 ? 4 : 2;
    if (w->have < need)
      continue;
    w->skip = need == 4 ? (uint64_t)w->header[2] << 8 | w->header[3] : w->header[1] & 127;
    if ((w->header[1] & 127) == 127)
      die("a frame of over 64 KiB");
    w->have = 0;
    if (w->skip >= LEAST)
      events++;
  }
  return events;
}

/* What is loaded, and by whom. */
static watcher *watchers, *senders;
static int watcher_count, poller;
static long in_flight;
static char post[4096];
static int post_length;

static void poll_for(watcher *w) {
  struct epoll_event watch = {.events = EPOLLIN, .data.ptr = w};
  set_nonblocking(w->fd);
  epoll_ctl(poller, EPOLL_CTL_ADD, w->fd, &watch);
}

/* All connect and watch; returns the bytes of memory that each has cost. */
static double join(int port, int pid, const char *tokens_path, const char *channel,
                   identity *sender) {
  char connection_id[64], query[192], path[256];
  int real = strcmp(tokens_path, "-") != 0;
  FILE *tokens = real ? fopen(tokens_path, "r") : NULL;
  identity who = {"", ""};
  double memory = 0;
  int control = connect_to(port);
  for (int i = 0; i <= watcher_count; i++) {
    if (real && (tokens == NULL || !read_identity(tokens, &who)))
      die("tokens");
    if (i == 0)
      *sender = who;
    int fd = open_websocket(port, &who, connection_id);
    if (real) {
      snprintf(query, sizeof query, "&user_id=%s&connection_id=%s", who.user, connection_id);
      snprintf(path, sizeof path, "/channels/%s/query", channel);
      int n = make_post(post, sizeof post, path, query, who.token,
                        "{\"watch\":true,\"state\":false}");
      call(control, post, (size_t)n);
    }
    if (i == watcher_count) { /* one more, to let the first count start from a warm server */
      close(fd);
      break;
    }
    watchers[i].fd = fd;
    poll_for(&watchers[i]);
    if (i == watcher_count / 10)
      memory = anonymous_kb(pid);
  }
  close(control);
  if (tokens != NULL)
    fclose(tokens);
  int counted = watcher_count - watcher_count / 10 - 1;
  return counted > 0 ? (anonymous_kb(pid) - memory) * 1024 / counted : 0;
}

/* Reads what a watcher has got; returns how many events ended in it. */
static long read_events(watcher *w) {
  static uint8_t buffer[ROOM];
  ssize_t n = recv(w->fd, buffer, sizeof buffer, 0);
  if (n <= 0)
    die("closed by the server");
  return count_frames(w, buffer, (size_t)n);
}

/* Whatever joining has caused (watching events) is read before the count starts. */
static void read_rest(void) {
  struct epoll_event events[256];
  for (int ready; (ready = epoll_wait(poller, events, 256, 200)) > 0;)
    for (int i = 0; i < ready; i++)
      read_events(events[i].data.ptr);
}

static int is_sender(const watcher *w) {
  return w >= senders && w < senders + in_flight;
}

/* One answer at a time and small: it comes in one piece. */
static void read_answer(watcher *w) {
  char answer[ROOM];
  ssize_t n = recv(w->fd, answer, sizeof answer - 1, 0);
  answer[n < 0 ? 0 : n] = '\0';
  if (strncmp(answer, "HTTP/1.1 20", 11) != 0) {
    fprintf(stderr, "swarm: the event was refused: %s\n", answer);
    exit(1);
  }
}

static void send_event(const watcher *w) {
  send_all(w->fd, post, (size_t)post_length);
}

/* So many events, until each is answered and everybody has them. With one in flight, the next waits
 * until everybody has the last one. */
static void burst(long count) {
  struct epoll_event events[256];
  long sent = 0, answered = 0, delivered = 0;
  for (; sent < in_flight && sent < count; sent++)
    send_event(&senders[sent]);
  while (answered < count || delivered < count * watcher_count) {
    int ready = epoll_wait(poller, events, 256, 10000);
    if (ready <= 0) {
      fprintf(stderr, "swarm: stalled at %ld of %ld deliveries\n", delivered,
              count * watcher_count);
      exit(1);
    }
    for (int i = 0; i < ready; i++) {
      watcher *w = events[i].data.ptr;
      if (!is_sender(w)) {
        delivered += read_events(w);
      } else {
        read_answer(w);
        answered++;
        if (in_flight > 1 && sent < count) {
          send_event(w);
          sent++;
        }
      }
    }
    if (in_flight == 1 && sent < count && answered == sent && delivered == sent * watcher_count) {
      send_event(&senders[0]);
      sent++;
    }
  }
}

static void burst_with_rest(long count) {
  burst(count);
  poll(NULL, 0, MOMENT);
}

/* Not before the first burst: a server waits only so long for the first request of a connection. */
static void connect_senders(int port) {
  for (long i = 0; i < in_flight; i++) {
    senders[i].fd = connect_to(port);
    poll_for(&senders[i]);
  }
}

int main(int argc, char **argv) {
  char path[256], line[16];
  identity sender = {"", ""};
  if (argc != 8)
    return 2;
  int port = atoi(argv[1]), pid = atoi(argv[2]);
  watcher_count = atoi(argv[3]);
  in_flight = atol(argv[5]);
  watchers = calloc((size_t)watcher_count, sizeof *watchers);
  senders = calloc((size_t)in_flight, sizeof *senders);
  poller = epoll_create1(0);

  double memory = join(port, pid, argv[6], argv[7], &sender);
  read_rest();
  snprintf(path, sizeof path, "/channels/%s/event", argv[7]);
  post_length = make_post(post, sizeof post, path, "", sender.token,
                          "{\"event\":{\"type\":\"bench\",\"x\":12,\"y\":40}}");
  printf("%.0f\n", memory);
  fflush(stdout);
  double before = -1;
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (before < 0) {
      connect_senders(port);
      burst_with_rest(atol(argv[4]));
      before = cpu_of(pid);
    }
    burst_with_rest(atol(argv[4]));
    printf("%.6f\n", cpu_of(pid) - before);
    fflush(stdout);
  }
  return 0;
}

/* blast.c -- sends ready-made event frames to one client as fast as it takes them.
 *
 * usage: blast MIX COUNT PLACE
 *   MIX    all: 400-byte custom events; tenth: one of those in ten, the others messages and typing
 *          events of 0.3 to 3 KB
 *   PLACE  first or last: where the key "type" stands in every event
 * Prints its port, serves one connection: upgrade, health check, the events, then one event of the
 * type "bench.done"; ends when the client does. */
#include "net.h"

enum { BLOCK_EVENTS = 1000, MAX_EVENT = 4096 };

#define WHERE \
  "\"cid\":\"messaging:lobby\",\"channel_id\":\"lobby\",\"channel_type\":\"messaging\"," \
  "\"user\":" BENCH_USER("alice") ",\"created_at\":\"2026-01-01T00:00:05.25Z\""

static void fill(char *out, size_t n) {
  static const char words[] = "meet me at the old mill before the rain starts, bring the lantern ";
  for (size_t i = 0; i < n; i++)
    out[i] = words[i % (sizeof words - 1)];
  out[n] = '\0';
}

/* One event with its type first or last. */
static int event(char *out, const char *type, const char *rest, int last) {
  return last ? snprintf(out, MAX_EVENT, "{%s,\"type\":\"%s\"}", rest, type)
              : snprintf(out, MAX_EVENT, "{\"type\":\"%s\",%s}", type, rest);
}

static int build(char *out, int number, int tenth, int last) {
  char rest[MAX_EVENT];
  char text[3000];
  if (!tenth || number % 10 == 0) {
    fill(text, 37);
    snprintf(rest, sizeof rest, WHERE ",\"x\":%d,\"y\":%d,\"text\":\"%s\"", number % 640 + 100,
             number % 480 + 100, text);
    return event(out, "position", rest, last);
  }
  if (number % 10 <= 3) {
    snprintf(rest, sizeof rest, WHERE);
    return event(out, number % 2 ? "typing.start" : "typing.stop", rest, last);
  }
  fill(text, (size_t)(50 + number * 37 % 1900));
  snprintf(rest, sizeof rest,
           WHERE ",\"message\":{\"id\":\"alice-%d\",\"text\":\"%s\",\"html\":\"<p>hello</p>\\n\","
           "\"type\":\"regular\",\"user\":" BENCH_USER("alice") ",\"attachments\":[],"
           "\"latest_reactions\":[],\"own_reactions\":[],\"reaction_counts\":{},"
           "\"reaction_scores\":{},\"reply_count\":0,\"deleted_reply_count\":0,"
           "\"mentioned_users\":[],\"silent\":false,\"pinned\":false,\"shadowed\":false,"
           "\"created_at\":\"2026-01-01T00:00:05.25Z\"},\"watcher_count\":%d",
           number, text, number % 90);
  return event(out, "message.new", rest, last);
}

int main(int argc, char **argv) {
  static char block[BLOCK_EVENTS * (MAX_EVENT + 10)];
  char text[MAX_EVENT], head[8192];
  size_t used = 0;
  if (argc != 4)
    return 2;
  int tenth = strcmp(argv[1], "tenth") == 0, last = strcmp(argv[3], "last") == 0;
  long count = atol(argv[2]);
  for (int i = 0; i < BLOCK_EVENTS; i++) {
    int len = build(text, i, tenth, last);
    used += se_ws_header((uint8_t *)block + used, SE_WS_TEXT, (uint64_t)len);
    memcpy(block + used, text, (size_t)len);
    used += (size_t)len;
  }
  int listener = listen_and_tell();
  int fd = accept_one(listener);
  read_head(fd, head, sizeof head);
  answer_upgrade(fd, head);
  send_text(fd, BENCH_HEALTH);
  for (long sent = 0; sent < count; sent += BLOCK_EVENTS)
    send_all(fd, block, used);
  event(text, "bench.done", WHERE, 0);
  send_text(fd, text);
  while (recv(fd, text, sizeof text, 0) > 0)
    ;
  return 0;
}

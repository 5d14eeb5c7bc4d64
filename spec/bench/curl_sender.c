/* curl_sender.c -- the requests of send_event by libcurl alone: the floor for sending.
 *
 * usage: curl_sender PORT COUNT IN_FLIGHT. One at a time goes through curl_easy_perform, more
 * through one multi handle; handles, headers and URL are made once. */
#include <curl/curl.h>

#include "net.h"

static const char event[] = "{\"event\":{\"type\":\"position\",\"x\":12,\"y\":40}}";

/* To the byte what the plugin sends. */
static const char *const lines[] = {
    "stream-auth-type: jwt",
    "X-Stream-Client: stream-events-lua-0.1.0",
    "User-Agent: stream-events-lua-0.1.0",
    "Content-Type: application/json",
    "Authorization: eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjoiYWxpY2UifQ==.devtoken",
};

static size_t forget(char *data, size_t size, size_t count, void *user) {
  (void)data;
  (void)user;
  return size * count;
}

static CURL *prepare(int port, struct curl_slist *headers) {
  char url[512];
  CURL *easy = curl_easy_init();
  snprintf(url, sizeof url,
           "http://127.0.0.1:%d/channels/messaging/lobby/event?api_key=devkey&user_id=alice", port);
  curl_easy_setopt(easy, CURLOPT_URL, url);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, event);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)(sizeof event - 1));
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, forget);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  return easy;
}

int main(int argc, char **argv) {
  if (argc != 4)
    return 2;
  int port = atoi(argv[1]);
  long count = atol(argv[2]), in_flight = atol(argv[3]), started = 0, finished = 0;
  struct curl_slist *headers = NULL;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
    headers = curl_slist_append(headers, lines[i]);
  if (in_flight == 1) {
    CURL *easy = prepare(port, headers);
    for (; finished < count; finished++)
      if (curl_easy_perform(easy) != CURLE_OK)
        return 1;
    return 0;
  }
  CURLM *multi = curl_multi_init();
  for (; started < in_flight; started++)
    curl_multi_add_handle(multi, prepare(port, headers));
  while (finished < count) {
    int running, left;
    CURLMsg *message;
    curl_multi_perform(multi, &running);
    while ((message = curl_multi_info_read(multi, &left)) != NULL) {
      CURL *easy = message->easy_handle;
      if (message->data.result != CURLE_OK)
        return 1;
      finished++;
      curl_multi_remove_handle(multi, easy);
      if (started < count) {
        started++;
        curl_multi_add_handle(multi, easy);
      }
    }
    if (finished < count)
      curl_multi_poll(multi, NULL, 0, 1000, NULL);
  }
  return 0;
}

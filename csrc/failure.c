/* failure.c -- puts into words what libcurl reports in numbers and in words of its own. */
#include "failure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "status.h"

CURLcode se_failure_trace(CURL *easy, se_trace *trace, int may_be_proxied) {
  trace->error[0] = '\0';
  trace->may_be_proxied = may_be_proxied;
  CURLcode result = curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, trace->error);
  return result == CURLE_OK ? se_certificate_watch(easy, &trace->certificate) : result;
}

void se_failure_forget(se_trace *trace) {
  trace->error[0] = '\0';
  trace->certificate.is_known = 0;
}

int se_failure_status(CURLcode result) {
  switch (result) {
    case CURLE_OK: return SE_OK;
    case CURLE_OUT_OF_MEMORY: return SE_ERR_MEMORY;
    case CURLE_OPERATION_TIMEDOUT: return SE_ERR_TIMEOUT;
    case CURLE_URL_MALFORMAT: return SE_ERR_ARGUMENT;
    case CURLE_UNSUPPORTED_PROTOCOL: /* an answer without a status line */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return SE_ERR_PROTOCOL;
    default: return SE_ERR_NETWORK;
  }
}

void se_failure_clean(CURLcode result, const char *error, char *out, size_t size) {
  const char *text = error[0] != '\0' ? error : curl_easy_strerror(result);
  size_t used = 0;
  while (*text != '\0' && used + 4 < size) {
    /* A query goes up to the next space or quote; what stands before an '@', from its "//" on. */
    if (strncmp(text, "://", 3) == 0) {
      size_t host = strcspn(text + 3, "/ '\"?@");
      memcpy(out + used, "://", 3);
      used += 3;
      text += text[3 + host] == '@' ? host + 4 : 3;
    } else if (*text == '?' && text[1] != '\0' && strchr(" '\"", text[1]) == NULL) {
      text += strcspn(text, " '\"");
    } else {
      out[used++] = *text++;
    }
  }
  out[used] = '\0';
}

/* --- whom it was to reach --------------------------------------------------------------------- */

/* Host and port of the handle's URL; "" where they cannot be told. */
static void find_target(CURL *easy, char *host, size_t size, char port[8]) {
  char *url = NULL, *part = NULL;
  CURLU *parts = curl_url();
  host[0] = port[0] = '\0';
  curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url);
  if (parts != NULL && url != NULL && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK) {
    if (curl_url_get(parts, CURLUPART_HOST, &part, 0) == CURLUE_OK)
      snprintf(host, size, "%s", part);
    curl_free(part);
    part = NULL;
    if (curl_url_get(parts, CURLUPART_PORT, &part, CURLU_DEFAULT_PORT) == CURLUE_OK)
      snprintf(port, 8, "%s", part);
    curl_free(part);
  }
  curl_url_cleanup(parts);
}

/* --- proxies ---------------------------------------------------------------------------------- */

#define NO_CREDENTIALS "the proxy asks for a user name and a password, or refuses those it was given"

#if LIBCURL_VERSION_NUM >= 0x074900
static const char *socks_reason(long reason) {
  switch (reason) {
    case CURLPX_USER_REJECTED:
    case CURLPX_NO_AUTH:
    case CURLPX_RECV_AUTH:
    case CURLPX_IDENTD:
    case CURLPX_IDENTD_DIFFER: return NO_CREDENTIALS;
    case CURLPX_BAD_VERSION:
    case CURLPX_UNKNOWN_MODE:
    case CURLPX_UNKNOWN_FAIL:
    case CURLPX_BAD_ADDRESS_TYPE:
      return "the proxy does not speak the kind of SOCKS that its URL names";
    case CURLPX_REPLY_CONNECTION_REFUSED: return "the proxy was refused by the server";
    case CURLPX_REPLY_HOST_UNREACHABLE: return "the proxy cannot reach the server";
    case CURLPX_REPLY_NETWORK_UNREACHABLE: return "the proxy has no network to the server";
    case CURLPX_REPLY_TTL_EXPIRED: return "the proxy got no answer from the server";
    case CURLPX_REPLY_NOT_ALLOWED:
    case CURLPX_REQUEST_FAILED: return "the proxy does not allow connections to the server";
    case CURLPX_REPLY_GENERAL_SERVER_FAILURE: return "the proxy failed to connect to the server";
    case CURLPX_RESOLVE_HOST: return "the server's name cannot be resolved";
    case CURLPX_CLOSED:
    case CURLPX_RECV_ADDRESS:
    case CURLPX_RECV_CONNECT:
    case CURLPX_RECV_REQACK:
    case CURLPX_SEND_AUTH:
    case CURLPX_SEND_CONNECT:
    case CURLPX_SEND_REQUEST: return "the proxy ended the connection: does it speak SOCKS?";
    case CURLPX_LONG_USER:
    case CURLPX_LONG_PASSWD:
    case CURLPX_LONG_HOSTNAME: return "a name or password is too long for SOCKS";
    default: return NULL;
  }
}
#endif

static const char *tunnel_reason(long status, char *room, size_t size) {
  if (status == 407)
    snprintf(room, size, "%s (HTTP status 407)", NO_CREDENTIALS);
  else
    snprintf(room, size, "the proxy did not connect to the server (HTTP status %ld)", status);
  return room;
}

static int begins(const char *text, const char *with) {
  return strncmp(text, with, strlen(with)) == 0;
}

/* What is said about a connection that nobody took has its host and port in it. */
static int is_about_target(CURL *easy, const char *error) {
  char host[256], port[8], looked_for[300];
  find_target(easy, host, sizeof host, port);
  size_t len = strlen(host);
  if (host[0] == '[' && host[len - 1] == ']') {
    memmove(host, host + 1, len);
    host[len - 2] = '\0';
  }
  snprintf(looked_for, sizeof looked_for, "to %s port %s ", host, port);
  return strstr(error, looked_for) != NULL;
}

/* Before the request itself, nobody but a proxy has anything to say or to hear in the clear. */
static int has_broken_off(CURL *easy, CURLcode result) {
  curl_off_t begun = 0;
  curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &begun);
  return begun == 0 && (result == CURLE_RECV_ERROR || result == CURLE_SEND_ERROR ||
                        result == CURLE_GOT_NOTHING);
}

/* What a proxy has to do with it; NULL: nothing that is known. */
static const char *proxy_reason(CURL *easy, CURLcode result, const se_trace *trace, char *room,
                                size_t size) {
  long status = 0;
  if (!trace->may_be_proxied)
    return NULL;
  /* libcurl shows the whole URL then, password and all. */
  if (begins(trace->error, "Unsupported proxy"))
    return "the proxy's URL cannot be used: it must begin with http://, https://, socks4://, "
           "socks4a://, socks5:// or socks5h://, and name a host";
  if (result == CURLE_COULDNT_RESOLVE_PROXY)
    return "the proxy's name cannot be resolved";
#if LIBCURL_VERSION_NUM >= 0x074900
  long reason = CURLPX_OK;
  curl_easy_getinfo(easy, CURLINFO_PROXY_ERROR, &reason);
  if (result == CURLE_PROXY && socks_reason(reason) != NULL)
    return socks_reason(reason);
#endif
  curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &status);
  if (status >= 300 && result != CURLE_OPERATION_TIMEDOUT)
    return tunnel_reason(status, room, size);
  if (begins(trace->error, "Proxy CONNECT") || has_broken_off(easy, result))
    return "the proxy ended the connection: is it one for HTTP?";
  if (result == CURLE_COULDNT_CONNECT && !is_about_target(easy, trace->error)) {
    snprintf(room, size, "the proxy cannot be reached: %s",
             trace->error[0] != '\0' ? trace->error : curl_easy_strerror(result));
    return room;
  }
  return NULL;
}

/* --- TLS -------------------------------------------------------------------------------------- */

static int has(const char *text, const char *word) {
  return strstr(text, word) != NULL;
}

/* Of a handshake that came to no certificate. */
static const char *handshake_reason(const char *error) {
  if (has(error, "wrong version number") || has(error, "http request") ||
      has(error, "packet length too long") || has(error, "record layer failure"))
    return "the server does not speak TLS at this port";
  if (has(error, "protocol version") || has(error, "unsupported protocol") ||
      has(error, "no protocols available"))
    return "the server offers no version of TLS that is taken here: 1.2 and newer are";
  if (has(error, "SSL_ERROR_SYSCALL") || has(error, "unexpected eof") || has(error, "reset"))
    return "the server ended the connection within the TLS handshake";
  return "the TLS handshake failed";
}

static int describe_tls(CURL *easy, CURLcode result, const se_trace *trace, char *out,
                        size_t size) {
  char host[256], port[8], words[CURL_ERROR_SIZE];
  se_failure_clean(result, trace->error, words, sizeof words);
  if (result == CURLE_SSL_CACERT_BADFILE) {
    snprintf(out, size, "the file of authorities cannot be used: %s", words);
    return SE_ERR_TRUST;
  }
  if (result == CURLE_PEER_FAILED_VERIFICATION) {
    long of_proxy = 0;
    curl_easy_getinfo(easy, CURLINFO_PROXY_SSL_VERIFYRESULT, &of_proxy);
    find_target(easy, host, sizeof host, port);
    int status = se_certificate_describe(&trace->certificate, of_proxy != 0 ? "the proxy" : host,
                                         out, size);
    if (status == SE_OK)
      snprintf(out, size, "%s", words);
    return status == SE_OK ? SE_ERR_CERTIFICATE : status;
  }
  snprintf(out, size, "%s: %s", handshake_reason(trace->error), words);
  return SE_ERR_TLS;
}

static int is_of_tls(CURLcode result) {
  return result == CURLE_SSL_CONNECT_ERROR || result == CURLE_PEER_FAILED_VERIFICATION ||
         result == CURLE_SSL_CACERT_BADFILE || result == CURLE_SSL_CIPHER ||
         result == CURLE_SSL_ISSUER_ERROR || result == CURLE_SSL_CERTPROBLEM;
}

/* --- all of it -------------------------------------------------------------------------------- */

int se_failure_describe(CURL *easy, CURLcode result, const se_trace *trace, char *out,
                        size_t size) {
  char room[CURL_ERROR_SIZE + 64];
  const char *reason = proxy_reason(easy, result, trace, room, sizeof room);
  if (reason != NULL) {
    se_failure_clean(result, reason, out, size);
    return SE_ERR_PROXY;
  }
  if (is_of_tls(result))
    return describe_tls(easy, result, trace, out, size);
  se_failure_clean(result, trace->error, out, size);
  return se_failure_status(result);
}

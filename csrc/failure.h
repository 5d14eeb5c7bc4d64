/* failure.h -- why a transfer of libcurl's has failed: a status for programs, and a sentence for
 * people, without tokens, passwords and what else is nobody's business. */
#ifndef SE_FAILURE_H
#define SE_FAILURE_H

#include <curl/curl.h>
#include <stddef.h>

#include "certificate.h"

#define SE_FAILURE_TEXT 640

/* What is noted while a handle works. */
typedef struct {
  char error[CURL_ERROR_SIZE]; /* libcurl's own words; "" */
  se_certificate certificate;
  int may_be_proxied;
} se_trace;

/* Lets a handle write into 'trace', which must live as long as the handle. */
CURLcode se_failure_trace(CURL *easy, se_trace *trace, int may_be_proxied);
/* Forgets what was noted of the transfer before. */
void se_failure_forget(se_trace *trace);

/* The shared status for a result: SE_ERR_NETWORK, SE_ERR_TIMEOUT, SE_ERR_PROTOCOL, SE_ERR_ARGUMENT,
 * SE_ERR_MEMORY, SE_OK. */
int se_failure_status(CURLcode result);
/* The same in more detail, SE_ERR_TLS, SE_ERR_CERTIFICATE, SE_ERR_TRUST and SE_ERR_PROXY as well, for
 * a transfer that has just ended; writes the sentence. */
int se_failure_describe(CURL *easy, CURLcode result, const se_trace *trace, char *out, size_t size);
/* The sentence for a connection that was made and then failed: libcurl's words, cleaned. */
void se_failure_clean(CURLcode result, const char *error, char *out, size_t size);

#endif

/* certificate.h -- what a TLS handshake found in the peer's certificates, for the message about one
 * that failed: libcurl says that something is wrong, but not with which certificate.
 *
 * Works where libcurl stands on the same OpenSSL as this module; elsewhere nothing is known, and
 * libcurl's own words have to do. The check of the certificates is OpenSSL's, unchanged. */
#ifndef SE_CERTIFICATE_H
#define SE_CERTIFICATE_H

#include <curl/curl.h>
#include <stddef.h>

#define SE_CERTIFICATE_NAME 128

/* Of the certificate that is wrong, or of the server's own when the chain is good. The texts are
 * printable ASCII: what is in a certificate is for anybody to choose. */
typedef struct {
  int trusts_system; /* set by whoever prepares the handle: it has no certificates of its own */
  int is_known; /* a certificate came */
  int problem;  /* X509_V_ERR_*; 0: none */
  int depth;    /* 0: it is the server's own */
  char subject[SE_CERTIFICATE_NAME], issuer[SE_CERTIFICATE_NAME], names[SE_CERTIFICATE_NAME];
  char from[24], until[24];
} se_certificate;

/* Whether that is so. */
int se_certificate_is_watched(void);

/* Has the handshakes of this handle note what they meet; 'note' must live as long as the handle. */
CURLcode se_certificate_watch(CURL *easy, se_certificate *note);

/* What is wrong, as a sentence about a transfer that failed since its certificate was refused. The
 * status for it: SE_ERR_TRUST, nobody who is trusted vouches for it; SE_ERR_CERTIFICATE; SE_OK,
 * nothing is known. */
int se_certificate_describe(const se_certificate *note, const char *host, char *out, size_t size);

#endif

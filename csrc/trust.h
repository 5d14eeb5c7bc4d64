/* trust.h -- the certificates that the system trusts. Reading them takes longer than a frame may: it is
 * done once for the process, in a thread of its own, and all handshakes share the result.
 *
 * Where libcurl does not stand on the OpenSSL of this module, or knows no file of the system's, nothing
 * is done here, and libcurl reads them for each transport. */
#ifndef SE_TRUST_H
#define SE_TRUST_H

#include <curl/curl.h>

/* Whether a handle that trusts the system may begin now. The first call begins the reading. */
int se_trust_is_there(void);
/* For a handle that is about to begin: libcurl need not read anything. Where reading has failed
 * nothing is changed, and libcurl says why. */
void se_trust_prepare(CURL *easy);
/* Lets the SSL_CTX of such a handle use them. */
void se_trust_use(void *context);

#endif

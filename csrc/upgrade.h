/* upgrade.h -- the opening handshake of a WebSocket (RFC 6455 §4): what a client says and checks,
 * and the one value a server has to compute. No sockets; the answer may come in any pieces. */
#ifndef SE_UPGRADE_H
#define SE_UPGRADE_H

#include <stddef.h>

#include "buffer.h"

#define SE_UPGRADE_KEY 24    /* characters of a Sec-WebSocket-Key */
#define SE_UPGRADE_ACCEPT 28 /* characters of a Sec-WebSocket-Accept */

/* 16 random bytes in base64, zero-terminated. 0, or -1 when there is no randomness. */
int se_upgrade_key(char key[SE_UPGRADE_KEY + 1]);
/* The accept value for a key (any length), zero-terminated: RFC 6455 §4.2.2, 5.4. 0, or -1 when
 * libcrypto failed; then it is "". */
int se_upgrade_accept(const char *key, size_t len, char accept[SE_UPGRADE_ACCEPT + 1]);

/* Writes the request. 'target' is path and query; 'headers' further lines, each ended by CRLF, or
 * "". SE_OK, SE_ERR_FULL, SE_ERR_MEMORY; SE_ERR_ARGUMENT when host or target are empty or hold a
 * control character or space, or 'headers' is not a run of whole header lines. */
int se_upgrade_request(se_buffer *out, const char *host, const char *target, const char *key,
                       const char *headers);

#define SE_UPGRADE_WAIT 48 /* bytes for the text of a date, or of a number */

typedef struct {
  int status;          /* of the answer, when one was read; else 0 */
  const char *reason;  /* SE_ERR_PROTOCOL: what is wrong, a constant text */
  /* Of a refusal, as far as its head has come: when to come back (Retry-After), and what time it was
   * then (Date). "": not said, or longer than such a text is. */
  char retry_after[SE_UPGRADE_WAIT], date[SE_UPGRADE_WAIT];
} se_upgrade_result;

/* Looks at the bytes received so far. SE_AGAIN: the head is not complete (and may still become
 * one). SE_OK: accepted; *used bytes were the head, what follows are frames. SE_ERR_PROTOCOL, as
 * early as the bytes show it: refused (any status but 101), no HTTP at all, malformed, over 16 KiB,
 * a wrong or missing Sec-WebSocket-Accept, Upgrade or Connection, an extension or sub-protocol
 * (none was asked for). */
int se_upgrade_response(const char *data, size_t len, const char *key, size_t *used,
                        se_upgrade_result *result);

#endif

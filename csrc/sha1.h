/* sha1.h -- SHA-1 (FIPS 180-4), which the WebSocket's handshake asks for, and nothing else here.
 *
 * It protects nothing there, it only shows that the request was read. So it is our own: libcrypto
 * takes longer to find its SHA-1 for the first time than a client takes for the whole handshake. */
#ifndef SE_SHA1_H
#define SE_SHA1_H

#include <stddef.h>
#include <stdint.h>

#define SE_SHA1_SIZE 20

typedef struct {
  uint32_t state[5];
  uint64_t len; /* bytes so far */
  uint8_t block[64];
} se_sha1;

void se_sha1_begin(se_sha1 *sha1);
void se_sha1_add(se_sha1 *sha1, const void *data, size_t len);
void se_sha1_end(se_sha1 *sha1, uint8_t digest[SE_SHA1_SIZE]);

#endif

/* crypto.h -- the few primitives this project needs, from libcrypto, and base64 (RFC 4648).
 *
 * No own cryptography: what is here is calling conventions, and encodings. */
#ifndef SE_CRYPTO_H
#define SE_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

#define SE_SHA1_SIZE 20
#define SE_SHA256_SIZE 32
#define SE_UUID_SIZE 36

/* Each returns 0, or -1 when libcrypto failed; then the output is undefined. */
int se_sha1(const void *data, size_t len, uint8_t digest[SE_SHA1_SIZE]);
int se_sha256(const void *data, size_t len, uint8_t digest[SE_SHA256_SIZE]);
int se_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                   uint8_t digest[SE_SHA256_SIZE]);

/* HMAC-SHA-256 of many texts with one key: a third of what each costs alone. */
typedef struct se_signer se_signer;
se_signer *se_signer_new(const void *key, size_t key_len); /* NULL: libcrypto failed */
int se_signer_sign(se_signer *signer, const void *data, size_t len,
                   uint8_t digest[SE_SHA256_SIZE]);
void se_signer_free(se_signer *signer); /* accepts NULL */

/* That nobody can foresee: fit for keys. */
int se_random(void *out, size_t len);
/* A random (version 4) UUID, lower case, zero-terminated. */
int se_uuid(char out[SE_UUID_SIZE + 1]);

/* 1 when both hold the same bytes; takes as long for the first differing byte as for the last. */
int se_equals(const void *a, size_t a_len, const void *b, size_t b_len);

enum { SE_BASE64, SE_BASE64URL }; /* '+/' with padding; '-_' without */
/* Characters that encoding 'len' bytes takes (no terminator). */
size_t se_base64_size(int alphabet, size_t len);
/* Writes exactly se_base64_size characters. */
void se_base64_encode(int alphabet, const void *data, size_t len, char *out);
/* Decodes into 'out' (room for len / 4 * 3 + 3 bytes). Returns the number of bytes, or -1 for a
 * character outside the alphabet, wrong padding (base64 needs it, base64url refuses it), or bits
 * left over that are not zero. */
ptrdiff_t se_base64_decode(int alphabet, const char *text, size_t len, uint8_t *out);

#endif

/* crypto.c -- libcrypto's primitives behind plain calls, and base64 (RFC 4648). */
#include "crypto.h"

#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#ifdef __linux__
#include <sys/random.h>
#endif

int se_sha1(const void *data, size_t len, uint8_t digest[SE_SHA1_SIZE]) {
  return EVP_Digest(data, len, digest, NULL, EVP_sha1(), NULL) == 1 ? 0 : -1;
}

int se_sha256(const void *data, size_t len, uint8_t digest[SE_SHA256_SIZE]) {
  return EVP_Digest(data, len, digest, NULL, EVP_sha256(), NULL) == 1 ? 0 : -1;
}

int se_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                   uint8_t digest[SE_SHA256_SIZE]) {
  if (key_len > INT_MAX)
    return -1;
  return HMAC(EVP_sha256(), key, (int)key_len, data, len, digest, NULL) != NULL ? 0 : -1;
}

/* se_signer is libcrypto's own object, under a name that says what it is for. */
static EVP_MAC_CTX *context_of(se_signer *signer) {
  return (EVP_MAC_CTX *)signer;
}

se_signer *se_signer_new(const void *key, size_t key_len) {
  char digest[] = "SHA256";
  OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                             OSSL_PARAM_construct_end()};
  EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
  EVP_MAC_CTX *made = hmac == NULL ? NULL : EVP_MAC_CTX_new(hmac);
  EVP_MAC_free(hmac); /* the context has a reference of its own */
  if (made == NULL || EVP_MAC_init(made, key, key_len, parameters) != 1) {
    EVP_MAC_CTX_free(made);
    return NULL;
  }
  return (se_signer *)made;
}

int se_signer_sign(se_signer *signer, const void *data, size_t len,
                   uint8_t digest[SE_SHA256_SIZE]) {
  EVP_MAC_CTX *context = context_of(signer);
  size_t size;
  /* Without a key it begins anew with the one it has. */
  return EVP_MAC_init(context, NULL, 0, NULL) == 1 && EVP_MAC_update(context, data, len) == 1 &&
                 EVP_MAC_final(context, digest, &size, SE_SHA256_SIZE) == 1
             ? 0
             : -1;
}

void se_signer_free(se_signer *signer) {
  EVP_MAC_CTX_free(context_of(signer));
}

/* The kernel's own: to set up libcrypto's generator takes longer than all else that a client does
 * to connect. 0: it gives none. */
static int system_random(void *out, size_t len) {
#ifdef __linux__
  while (len > 0) {
    ssize_t got = getrandom(out, len, 0);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return 0;
    out = (uint8_t *)out + got;
    len -= (size_t)got;
  }
  return 1;
#else
  (void)out;
  (void)len;
  return 0;
#endif
}

int se_random(void *out, size_t len) {
  if (len > INT_MAX)
    return -1;
  if (system_random(out, len))
    return 0;
  return RAND_bytes(out, (int)len) == 1 ? 0 : -1;
}

int se_uuid(char out[SE_UUID_SIZE + 1]) {
  static const char hex[] = "0123456789abcdef";
  uint8_t bytes[16];
  size_t i;
  if (se_random(bytes, sizeof bytes) != 0)
    return -1;
  bytes[6] = (uint8_t)((bytes[6] & 0x0F) | 0x40); /* version 4, RFC 9562 §5.4 */
  bytes[8] = (uint8_t)((bytes[8] & 0x3F) | 0x80); /* variant */
  for (i = 0; i < sizeof bytes; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10)
      *out++ = '-';
    *out++ = hex[bytes[i] >> 4];
    *out++ = hex[bytes[i] & 15];
  }
  *out = '\0';
  return 0;
}

int se_equals(const void *a, size_t a_len, const void *b, size_t b_len) {
  return a_len == b_len && CRYPTO_memcmp(a, b, a_len) == 0;
}

/* -------------------------------------------------------------------------------------- base64 */

static char encode_digit(int alphabet, unsigned value) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  if (value < 62)
    return digits[value];
  if (value == 62)
    return alphabet == SE_BASE64 ? '+' : '-';
  return alphabet == SE_BASE64 ? '/' : '_';
}

/* 0 to 63, or -1. */
static int decode_digit(int alphabet, char c) {
  if (c >= 'A' && c <= 'Z')
    return c - 'A';
  if (c >= 'a' && c <= 'z')
    return c - 'a' + 26;
  if (c >= '0' && c <= '9')
    return c - '0' + 52;
  if (c == (alphabet == SE_BASE64 ? '+' : '-'))
    return 62;
  if (c == (alphabet == SE_BASE64 ? '/' : '_'))
    return 63;
  return -1;
}

size_t se_base64_size(int alphabet, size_t len) {
  size_t rest = len % 3;
  size_t tail = rest == 0 ? 0 : alphabet == SE_BASE64 ? 4 : rest + 1;
  return len / 3 * 4 + tail;
}

void se_base64_encode(int alphabet, const void *data, size_t len, char *out) {
  const uint8_t *in = data;
  for (; len >= 3; len -= 3, in += 3) {
    unsigned bits = (unsigned)in[0] << 16 | (unsigned)in[1] << 8 | in[2];
    *out++ = encode_digit(alphabet, bits >> 18);
    *out++ = encode_digit(alphabet, bits >> 12 & 63);
    *out++ = encode_digit(alphabet, bits >> 6 & 63);
    *out++ = encode_digit(alphabet, bits & 63);
  }
  if (len > 0) {
    unsigned bits = (unsigned)in[0] << 16 | (len == 2 ? (unsigned)in[1] << 8 : 0);
    *out++ = encode_digit(alphabet, bits >> 18);
    *out++ = encode_digit(alphabet, bits >> 12 & 63);
    if (len == 2)
      *out++ = encode_digit(alphabet, bits >> 6 & 63);
    if (alphabet == SE_BASE64) {
      *out++ = '=';
      if (len == 1)
        *out = '=';
    }
  }
}

ptrdiff_t se_base64_decode(int alphabet, const char *text, size_t len, uint8_t *out) {
  uint8_t *start = out;
  unsigned bits = 0, held = 0; /* bits read that make no whole byte yet, and how many */
  size_t i;
  if (alphabet == SE_BASE64) {
    if (len % 4 != 0)
      return -1;
    if (len > 0 && text[len - 1] == '=')
      len -= text[len - 2] == '=' ? 2 : 1;
  }
  if (len % 4 == 1)
    return -1;
  for (i = 0; i < len; i++) {
    int value = decode_digit(alphabet, text[i]);
    if (value < 0)
      return -1;
    bits = bits << 6 | (unsigned)value;
    held += 6;
    if (held >= 8) {
      held -= 8;
      *out++ = (uint8_t)(bits >> held);
      bits &= (1u << held) - 1;
    }
  }
  return bits == 0 ? out - start : -1;
}

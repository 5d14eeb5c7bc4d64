/* lcrypto.c -- Lua binding of the crypto primitives and the encodings. */
#include "crypto.h"
#include "lcore.h"
#include "status.h"

#define SIGNER_MT "stream_events.signer"
#define MAX_RANDOM 65536 /* bytes at a time: more is a mistake of the caller */

static int push_bytes(lua_State *L, int status, const void *bytes, size_t size) {
  if (status != 0)
    return luaL_error(L, "libcrypto failed");
  lua_pushlstring(L, bytes, size);
  return 1;
}

/* hmac_sha256(key, data) -> digest */
static int crypto_hmac_sha256(lua_State *L) {
  uint8_t digest[SE_SHA256_SIZE];
  size_t key_len, len;
  const char *key = luaL_checklstring(L, 1, &key_len);
  const char *data = luaL_checklstring(L, 2, &len);
  return push_bytes(L, se_hmac_sha256(key, key_len, data, len, digest), digest, sizeof digest);
}

/* sha256(data) -> digest */
static int crypto_sha256(lua_State *L) {
  uint8_t digest[SE_SHA256_SIZE];
  size_t len;
  const char *data = luaL_checklstring(L, 1, &len);
  return push_bytes(L, se_sha256(data, len, digest), digest, sizeof digest);
}

/* sha1(data) -> digest */
static int crypto_sha1(lua_State *L) {
  uint8_t digest[SE_SHA1_SIZE];
  size_t len;
  const char *data = luaL_checklstring(L, 1, &len);
  return push_bytes(L, se_sha1(data, len, digest), digest, sizeof digest);
}

static const char HEX[] = "0123456789abcdef";

/* hex(data) -> text in lower case */
static int crypto_hex(lua_State *L) {
  size_t len, i;
  const char *data = luaL_checklstring(L, 1, &len);
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  for (i = 0; i < len; i++) {
    unsigned char byte = (unsigned char)data[i];
    luaL_addchar(&buffer, HEX[byte >> 4]);
    luaL_addchar(&buffer, HEX[byte & 15]);
  }
  luaL_pushresult(&buffer);
  return 1;
}

/* signer(key) -> signer */
static int crypto_signer(lua_State *L) {
  size_t key_len;
  const char *key = luaL_checklstring(L, 1, &key_len);
  se_signer **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, SIGNER_MT);
  *box = se_signer_new(key, key_len);
  return *box != NULL ? 1 : luaL_error(L, "libcrypto failed");
}

/* signer:sign(data) -> digest in hex */
static int signer_sign(lua_State *L) {
  se_signer **box = se_check_self(L, SIGNER_MT);
  uint8_t digest[SE_SHA256_SIZE];
  char text[2 * SE_SHA256_SIZE];
  size_t len;
  const char *data = luaL_checklstring(L, 2, &len);
  if (*box == NULL || se_signer_sign(*box, data, len, digest) != 0)
    return luaL_error(L, "libcrypto failed");
  for (size_t i = 0; i < SE_SHA256_SIZE; i++) {
    text[2 * i] = HEX[digest[i] >> 4];
    text[2 * i + 1] = HEX[digest[i] & 15];
  }
  lua_pushlstring(L, text, sizeof text);
  return 1;
}

static int signer_gc(lua_State *L) {
  se_signer **box = luaL_checkudata(L, 1, SIGNER_MT);
  se_signer_free(*box);
  *box = NULL;
  return 0;
}

static int encode(lua_State *L, int alphabet) {
  size_t len;
  const char *data = luaL_checklstring(L, 1, &len);
  size_t size = se_base64_size(alphabet, len);
  char *out = lua_newuserdatauv(L, size + 1, 0);
  se_base64_encode(alphabet, data, len, out);
  lua_pushlstring(L, out, size);
  return 1;
}

static int decode(lua_State *L, int alphabet, const char *name) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  uint8_t *out = lua_newuserdatauv(L, len / 4 * 3 + 3, 0);
  ptrdiff_t size = se_base64_decode(alphabet, text, len, out);
  if (size < 0)
    return se_fail(L, SE_ERR_PROTOCOL, "not valid %s", name);
  lua_pushlstring(L, (const char *)out, (size_t)size);
  return 1;
}

/* base64_encode(data) -> text */
static int crypto_base64_encode(lua_State *L) {
  return encode(L, SE_BASE64);
}

/* base64_decode(text) -> data | nil, kind, message */
static int crypto_base64_decode(lua_State *L) {
  return decode(L, SE_BASE64, "base64");
}

/* base64url_encode(data) -> text without padding */
static int crypto_base64url_encode(lua_State *L) {
  return encode(L, SE_BASE64URL);
}

/* base64url_decode(text) -> data | nil, kind, message */
static int crypto_base64url_decode(lua_State *L) {
  return decode(L, SE_BASE64URL, "base64url without padding");
}

/* random(count) -> bytes */
static int crypto_random(lua_State *L) {
  lua_Integer count = luaL_checkinteger(L, 1);
  void *out;
  luaL_argcheck(L, count >= 0 && count <= MAX_RANDOM, 1, "must be 0 to 65536");
  out = lua_newuserdatauv(L, (size_t)count + 1, 0);
  return push_bytes(L, se_random(out, (size_t)count), out, (size_t)count);
}

/* uuid() -> text */
static int crypto_uuid(lua_State *L) {
  char out[SE_UUID_SIZE + 1];
  if (se_uuid(out) != 0)
    return luaL_error(L, "libcrypto failed");
  lua_pushlstring(L, out, SE_UUID_SIZE);
  return 1;
}

/* equals(a, b) -> boolean */
static int crypto_equals(lua_State *L) {
  size_t a_len, b_len;
  const char *a = luaL_checklstring(L, 1, &a_len);
  const char *b = luaL_checklstring(L, 2, &b_len);
  lua_pushboolean(L, se_equals(a, a_len, b, b_len));
  return 1;
}

static const luaL_Reg signer_methods[] = {{"sign", signer_sign}, {NULL, NULL}};
static const luaL_Reg signer_meta[] = {{"__gc", signer_gc}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"hmac_sha256", crypto_hmac_sha256},
                                     {"signer", crypto_signer},
                                     {"sha256", crypto_sha256},
                                     {"sha1", crypto_sha1},
                                     {"hex", crypto_hex},
                                     {"base64_encode", crypto_base64_encode},
                                     {"base64_decode", crypto_base64_decode},
                                     {"base64url_encode", crypto_base64url_encode},
                                     {"base64url_decode", crypto_base64url_decode},
                                     {"random", crypto_random},
                                     {"uuid", crypto_uuid},
                                     {"equals", crypto_equals},
                                     {NULL, NULL}};

void se_open_crypto(lua_State *L) {
  se_define_class(L, SIGNER_MT, signer_meta, signer_methods);
  luaL_newlib(L, functions);
}

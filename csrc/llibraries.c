/* llibraries.c -- Lua binding: which libraries this module runs with, and whom they trust. */
#include <curl/curl.h>
#include <openssl/crypto.h>

#include "certificate.h"
#include "lcore.h"

static void set_text(lua_State *L, const char *name, const char *text) {
  if (text == NULL)
    return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

/* libraries() -> table */
static int core_libraries(lua_State *L) {
  const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
  lua_createtable(L, 0, 8);
  set_text(L, "curl", info->version);
  set_text(L, "curl_built_with", LIBCURL_VERSION);
  set_text(L, "curl_tls", info->ssl_version);
  set_text(L, "zlib", info->libz_version);
  set_text(L, "openssl", OpenSSL_version(OPENSSL_VERSION));
  lua_pushboolean(L, se_certificate_is_watched());
  lua_setfield(L, -2, "same_openssl");
  if (info->age >= CURLVERSION_SEVENTH) {
    set_text(L, "ca_file", info->cainfo);
    set_text(L, "ca_path", info->capath);
  }
  return 1;
}

static const luaL_Reg functions[] = {{"libraries", core_libraries}, {NULL, NULL}};

void se_open_libraries(lua_State *L) {
  luaL_setfuncs(L, functions, 0);
}

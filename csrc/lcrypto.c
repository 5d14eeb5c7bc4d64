/* lcrypto.c -- stub */
#include "lcore.h"
void se_open_crypto(lua_State *L) { lua_newtable(L); }

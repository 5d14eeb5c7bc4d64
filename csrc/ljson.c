/* ljson.c -- stub */
#include "lcore.h"
void se_open_json(lua_State *L) { lua_newtable(L); }

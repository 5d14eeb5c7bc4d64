/* lws.c -- stub */
#include "lcore.h"
void se_open_ws(lua_State *L) { (void)L; }

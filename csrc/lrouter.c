/* lrouter.c -- stub */
#include "lcore.h"
void se_open_router(lua_State *L) { (void)L; }

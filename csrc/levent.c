/* levent.c -- stub */
#include "lcore.h"
void se_open_event(lua_State *L) { lua_newtable(L); }

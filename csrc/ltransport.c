/* ltransport.c -- stub */
#include "lcore.h"
void se_open_transport(lua_State *L) { (void)L; }

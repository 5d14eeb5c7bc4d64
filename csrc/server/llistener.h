/* llistener.h -- the binding of the listener. */
#ifndef SE_LLISTENER_H
#define SE_LLISTENER_H

#include <lua.h>

/* Adds listen() to the table on top of the stack, which stays there. */
void se_open_listener(lua_State *L);

#endif

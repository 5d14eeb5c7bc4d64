/* lposter.h -- the binding of the poster. */
#ifndef SE_LPOSTER_H
#define SE_LPOSTER_H

#include <lua.h>

/* Adds poster() to the table on top of the stack, which stays there. */
void se_open_poster(lua_State *L);

#endif

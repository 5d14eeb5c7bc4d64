/* lfrozen.h -- decoded JSON that nobody can write to: what is in an event that a rule looks at. */
#ifndef SE_LFROZEN_H
#define SE_LFROZEN_H

#include "compat.h"

/* Makes frozen values possible in this state; any number of times. */
void se_open_frozen(lua_State *L);
/* Replaces the table on top of the stack by a frozen value of it. Nobody else may hold the table:
 * the tables in it are replaced by frozen values as they are looked at. */
void se_frozen_wrap(lua_State *L);
/* Pushes the table behind the frozen value at 'index' and returns 1; or pushes nothing and returns 0:
 * it is no frozen value. The table is for looking only. */
int se_frozen_table(lua_State *L, int index);
/* Replaces the key on top of the stack by what stands under it in the table at 'table', which is one
 * of se_frozen_table. */
void se_frozen_get(lua_State *L, int table);

#endif

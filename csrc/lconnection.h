/* lconnection.h -- what the binding of the transport needs of the binding of its connections. */
#ifndef SE_LCONNECTION_H
#define SE_LCONNECTION_H

#include "compat.h"
#include "transport.h"

/* Makes the metatable; pushes nothing. */
void se_open_connection(lua_State *L);

/* The rest of transport:connect(options): the options at 2, defaults for ca_file and proxy in the
 * table at 'defaults'. *transport is looked at last: reading the options may run code that closes
 * it, and makes it NULL. Pushes the connection, or nil, kind, message; returns how many. */
int se_push_connection(lua_State *L, se_transport *const *transport, int defaults);

/* The number in field 'name' of the table at 'index', or 'otherwise' when it is nil. Raises unless
 * it lies between the two limits. */
double se_number_field(lua_State *L, int index, const char *name, double otherwise, double least,
                       double most);
/* Pushes the string in field 'name' of the table at 'index', which stays on the stack, and returns
 * it; NULL (nil on the stack) when it is nil. Raises for another type, or a string with a zero
 * byte. */
const char *se_string_field(lua_State *L, int index, const char *name);

#endif

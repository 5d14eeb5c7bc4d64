/* lrule_copy.h -- values of rules on their way out of their state.
 *
 * Two states must never be in one call that may raise: what one raises would jump across the other.
 * So values are first written down, which raises in the sandbox only, and then read, which raises in
 * the program's state only. */
#ifndef SE_LRULE_COPY_H
#define SE_LRULE_COPY_H

#include "buffer.h"
#include "compat.h"

#define SE_COPY_MAX (16u << 20) /* bytes of one file's statements, written down */
#define SE_COPY_DEPTH 32

/* In a sandbox: writes down the value at 'index'. 'file' and 'line' stand for what has no place of its
 * own, and in errors. Raises for what cannot be taken out. */
void se_copy_write(lua_State *L, int index, se_buffer *out, const char *file, int line);
/* Forgets which functions were written before: call it first. */
void se_copy_begin(lua_State *L);

/* In the program's state: pushes the next value of the text at *at. 'functions' and 'fields' are the
 * stack indices of the metatables of such values. Raises for lack of memory. */
void se_copy_read(lua_State *L, const char **at, int functions, int fields);

#endif

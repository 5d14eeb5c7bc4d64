/* lrule_copy.c -- see lrule_copy.h. What is written is read in the same process at once: a letter for
 * the kind, then numbers as they lie in memory and texts behind their length. */
#include "lrule_copy.h"

#include "lcore.h"
#include "lfrozen.h"
#include "lrule_verdict.h"
#include "lrule_words.h"
#include "lsandbox_state.h"
#include "status.h"

enum { NOTHING = 'n', YES = 't', NO = 'f', INTEGER = 'i', FLOAT = 'd', TEXT = 's',
       TABLE = '{', END = '}', FUNCTION = 'F', FIELD = 'C' };

/* Registry key (by address): the references of functions that were written, by function. */
static const char references_key = 0;

typedef struct {
  se_buffer *out;
  const char *file;
  int line;
} writer;

/* ------------------------------------------------------------------------------------- writing */

static void put(lua_State *L, writer *w, const void *bytes, size_t len) {
  int status = se_buffer_append(w->out, bytes, len);
  if (status == SE_ERR_FULL)
    luaL_error(L, "%s:%d: the rules hold too much", w->file, w->line);
  if (status != SE_OK)
    se_sandbox_no_memory(L);
}

static void put_kind(lua_State *L, writer *w, char kind) {
  put(L, w, &kind, 1);
}

static void put_text(lua_State *L, writer *w, const char *text, size_t len) {
  put_kind(L, w, TEXT);
  put(L, w, &len, sizeof len);
  put(L, w, text, len);
}

static void put_integer(lua_State *L, writer *w, int64_t value) {
  put_kind(L, w, INTEGER);
  put(L, w, &value, sizeof value);
}

static void put_number(lua_State *L, writer *w) {
  double value;
  if (lua_isinteger(L, -1)) {
    put_integer(L, w, se_to_int64(L, -1));
    return;
  }
  value = (double)lua_tonumber(L, -1);
  put_kind(L, w, FLOAT);
  put(L, w, &value, sizeof value);
}

static void write_value(lua_State *L, writer *w, int depth);

/* The reference by which the function on top of the stack is called later: one for each function. */
static int reference_of(lua_State *L) {
  int reference;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &references_key);
  lua_pushvalue(L, -2);
  lua_rawget(L, -2);
  reference = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  if (reference == 0) {
    lua_pushvalue(L, -2);
    se_sandbox_push_functions(L);
    lua_pushvalue(L, -2);
    reference = luaL_ref(L, -2);
    lua_pop(L, 1);
    lua_pushinteger(L, reference);
    lua_rawset(L, -3);
  }
  lua_pop(L, 1);
  return reference;
}

static void write_function(lua_State *L, writer *w) {
  lua_Debug ar;
  if (lua_iscfunction(L, -1))
    luaL_error(L, "%s:%d: a function of the library cannot stand here: function(...) ... end",
               w->file, w->line);
  lua_pushvalue(L, -1);
  lua_getinfo(L, ">S", &ar);
  put_kind(L, w, FUNCTION);
  put_integer(L, w, reference_of(L));
  put_text(L, w, ar.source + 1, strlen(ar.source + 1));
  put_integer(L, w, ar.linedefined);
}

/* The userdata on top of the stack. */
static void write_userdata(lua_State *L, writer *w, int depth) {
  int value = lua_gettop(L), line;
  const char *kind = se_word_field(L, value, &line), *file;
  size_t len;
  if (kind == NULL) {
    const se_verdict_word *verdict = se_verdict_at(L, value);
    luaL_error(L, "%s:%d: %s cannot stand here", w->file, w->line,
               verdict != NULL ? se_verdict_name(verdict->verdict) : "this value");
  }
  se_word_push_field(L, value);
  file = lua_tolstring(L, -1, &len);
  put_kind(L, w, FIELD);
  put_text(L, w, kind, strlen(kind));
  put_text(L, w, file != NULL ? file : w->file, file != NULL ? len : strlen(w->file));
  put_integer(L, w, line != 0 ? line : w->line);
  lua_pop(L, 1);
  write_value(L, w, depth);
  lua_settop(L, value);
}

static void write_table(lua_State *L, writer *w, int depth) {
  put_kind(L, w, TABLE);
  lua_pushnil(L);
  while (lua_next(L, -2) != 0) {
    int type = lua_type(L, -2);
    if (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TBOOLEAN)
      luaL_error(L, "%s:%d: a %s cannot be the key of a table", w->file, w->line,
                 lua_typename(L, type));
    lua_pushvalue(L, -2);
    write_value(L, w, depth);
    lua_pop(L, 1);
    write_value(L, w, depth);
    lua_pop(L, 1);
  }
  put_kind(L, w, END);
}

/* Writes the value on top of the stack, which stays there. */
static void write_value(lua_State *L, writer *w, int depth) {
  size_t len;
  const char *text;
  luaL_checkstack(L, 10, "rules");
  se_sandbox_spend(L, 4);
  if (depth == SE_COPY_DEPTH)
    luaL_error(L, "%s:%d: a table that contains itself, or tables nested deeper than %d", w->file,
               w->line, SE_COPY_DEPTH);
  switch (lua_type(L, -1)) {
  case LUA_TNIL:
    put_kind(L, w, NOTHING);
    break;
  case LUA_TBOOLEAN:
    put_kind(L, w, lua_toboolean(L, -1) ? YES : NO);
    break;
  case LUA_TNUMBER:
    put_number(L, w);
    break;
  case LUA_TSTRING:
    text = lua_tolstring(L, -1, &len);
    put_text(L, w, text, len);
    break;
  case LUA_TTABLE:
    write_table(L, w, depth + 1);
    break;
  case LUA_TFUNCTION:
    write_function(L, w);
    break;
  case LUA_TUSERDATA:
    write_userdata(L, w, depth + 1);
    break;
  default:
    luaL_error(L, "%s:%d: this value cannot stand here", w->file, w->line);
  }
}

void se_copy_begin(lua_State *L) {
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &references_key);
}

void se_copy_write(lua_State *L, int index, se_buffer *out, const char *file, int line) {
  writer w = {out, file, line};
  lua_pushvalue(L, index);
  write_value(L, &w, 0);
  lua_pop(L, 1);
}

/* ------------------------------------------------------------------------------------- reading */

static void take(const char **at, void *out, size_t len) {
  memcpy(out, *at, len);
  *at += len;
}

/* Reads the next values into the named fields of the table on top of the stack. */
static void read_fields(lua_State *L, const char **at, const char *const *names, int functions,
                        int fields) {
  for (; *names != NULL; names++) {
    se_copy_read(L, at, functions, fields);
    lua_setfield(L, -2, *names);
  }
}

static void read_table(lua_State *L, const char **at, int functions, int fields) {
  lua_newtable(L);
  while (**at != END) {
    se_copy_read(L, at, functions, fields);
    se_copy_read(L, at, functions, fields);
    lua_rawset(L, -3);
  }
  (*at)++;
}

void se_copy_read(lua_State *L, const char **at, int functions, int fields) {
  static const char *const of_function[] = {"reference", "file", "line", NULL};
  static const char *const of_field[] = {"kind", "file", "line", "options", NULL};
  int64_t integer;
  double real;
  size_t len;
  luaL_checkstack(L, 8, "rules");
  switch (*(*at)++) {
  case YES:
    lua_pushboolean(L, 1);
    break;
  case NO:
    lua_pushboolean(L, 0);
    break;
  case INTEGER:
    take(at, &integer, sizeof integer);
    se_push_int64(L, integer);
    break;
  case FLOAT:
    take(at, &real, sizeof real);
    lua_pushnumber(L, (lua_Number)real);
    break;
  case TEXT:
    take(at, &len, sizeof len);
    lua_pushlstring(L, *at, len);
    *at += len;
    break;
  case TABLE:
    read_table(L, at, functions, fields);
    break;
  case FUNCTION:
    lua_createtable(L, 0, 3);
    read_fields(L, at, of_function, functions, fields);
    lua_pushvalue(L, functions);
    lua_setmetatable(L, -2);
    break;
  case FIELD:
    lua_createtable(L, 0, 4);
    read_fields(L, at, of_field, functions, fields);
    lua_pushvalue(L, fields);
    lua_setmetatable(L, -2);
    break;
  default:
    lua_pushnil(L);
  }
}

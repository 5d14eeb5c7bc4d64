/* lrule_words.c -- the words of a rule file: event, refuse, honeypot, default, mode, include, and the
 * constructors of fields. */
#include "lrule_words.h"

#include <stdlib.h>

#include "lcore.h"
#include "lsandbox_state.h"

#define PIECE 512       /* bytes compiled between two looks at the clock */
#define INCLUDES 16     /* files within one another */
#define NAME 255        /* bytes of the name of a file */

/* Registry keys (by address): the metatable of fields; the file's compiled text; the list of
 * statements; what each included file returned, by name. */
static const char field_key = 0, chunk_key = 0, statements_key = 0, included_key = 0;

typedef struct {
  const char *kind; /* a constant text */
  int line;
} field;

/* ------------------------------------------------------------------------------------- fields */

static se_load *check_load(lua_State *L, const char *word) {
  se_load *load = se_sandbox_of(L)->load;
  if (load == NULL)
    luaL_error(L, "'%s' means something only while the file is loaded", word);
  return load;
}

/* Fills *ar with the line of the rules that is at work. */
static int find_line(lua_State *L, lua_Debug *ar) {
  for (int level = 1; level < 6 && lua_getstack(L, level, ar); level++) {
    lua_getinfo(L, "Sl", ar);
    if (ar->currentline > 0)
      return ar->currentline;
  }
  ar->source = "=";
  return 0;
}

static field *push_field(lua_State *L, const char *kind, int line) {
  field *made = lua_newuserdatauv(L, sizeof *made, 1);
  made->kind = kind;
  made->line = line;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &field_key);
  lua_setmetatable(L, -2);
  return made;
}

/* Makes the field KIND { ... } out of argument 2, whatever that is: optional takes a field. */
static int construct(lua_State *L, const char *kind) {
  lua_Debug ar;
  int line = find_line(L, &ar);
  check_load(L, kind);
  lua_settop(L, 2);
  push_field(L, kind, line);
  lua_createtable(L, 2, 0);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, 1);
  lua_pushstring(L, ar.source + 1);
  lua_rawseti(L, -2, 2);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

static const field *field_at(lua_State *L, int index) {
  int same;
  if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
    return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &field_key);
  same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same ? lua_touserdata(L, index) : NULL;
}

int se_word_string(lua_State *L) {
  return construct(L, "string");
}

static int field_call(lua_State *L) {
  const field *word = field_at(L, 1);
  if (word == NULL)
    return luaL_argerror(L, 1, "field expected");
  if (word->line != 0)
    return luaL_error(L, "'%s' is called twice", word->kind);
  return construct(L, word->kind);
}

static int field_newindex(lua_State *L) {
  return luaL_error(L, "fields are read-only");
}

const char *se_word_field(lua_State *L, int index, int *line) {
  const field *found = field_at(L, index);
  *line = 0;
  if (found != NULL) {
    *line = found->line;
    return found->kind;
  }
  return lua_touserdata(L, index) != NULL &&
                 lua_touserdata(L, index) == se_sandbox_of(L)->string_word
             ? "string"
             : NULL;
}

void se_word_push_field(lua_State *L, int index) {
  int top = lua_gettop(L);
  if (field_at(L, index) != NULL)
    lua_getiuservalue(L, index, 1);
  if (lua_gettop(L) > top && lua_istable(L, -1)) {
    lua_rawgeti(L, -1, 1);
    lua_rawgeti(L, -2, 2);
    lua_remove(L, -3);
  } else {
    lua_settop(L, top + 2);
  }
}

/* ------------------------------------------------------------------------------------- statements */

/* Adds the statement of 'kind' whose name is argument 1; leaves it on top of the stack. */
static void add_statement(lua_State *L, const char *kind) {
  lua_Debug ar;
  int line = find_line(L, &ar);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &statements_key);
  lua_createtable(L, SE_STATEMENT_LINE, 0);
  lua_pushstring(L, kind);
  lua_rawseti(L, -2, SE_STATEMENT_KIND);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, SE_STATEMENT_NAME);
  lua_pushboolean(L, 0); /* so that the list has no gap */
  lua_rawseti(L, -2, SE_STATEMENT_VALUE);
  lua_pushstring(L, ar.source + 1);
  lua_rawseti(L, -2, SE_STATEMENT_FILE);
  lua_pushinteger(L, line);
  lua_rawseti(L, -2, SE_STATEMENT_LINE);
  lua_pushvalue(L, -1);
  lua_rawseti(L, -3, (lua_Integer)lua_rawlen(L, -3) + 1);
  lua_remove(L, -2);
}

/* The table behind event "x" or honeypot "x". Upvalue: the statement. */
static int statement_value(lua_State *L) {
  if (!lua_istable(L, 1)) {
    lua_rawgeti(L, lua_upvalueindex(1), SE_STATEMENT_KIND);
    return luaL_error(L, "%s takes a table: %s \"NAME\" { ... }", lua_tostring(L, -1),
                      lua_tostring(L, -1));
  }
  lua_rawgeti(L, lua_upvalueindex(1), SE_STATEMENT_VALUE);
  if (lua_istable(L, -1))
    return luaL_error(L, "a second table for one name");
  lua_pushvalue(L, 1);
  lua_rawseti(L, lua_upvalueindex(1), SE_STATEMENT_VALUE);
  return 0;
}

/* event "NAME" { ... }, honeypot "NAME", honeypot "NAME" { ... } */
static int name_and_table(lua_State *L, const char *kind) {
  check_load(L, kind);
  if (lua_type(L, 1) != LUA_TSTRING)
    return luaL_error(L, "%s takes a name: %s \"NAME\"", kind, kind);
  lua_settop(L, 1);
  add_statement(L, kind);
  lua_pushcclosure(L, statement_value, 1);
  return 1;
}

static int word_event(lua_State *L) {
  return name_and_table(L, "event");
}

static int word_honeypot(lua_State *L) {
  return name_and_table(L, "honeypot");
}

/* What stands behind a word that takes nothing but a name. Upvalue: the word. */
static int nothing_follows(lua_State *L) {
  return luaL_error(L, "%s takes a name and nothing more: what has conditions is an 'event'",
                    lua_tostring(L, lua_upvalueindex(1)));
}

/* refuse "NAME", refuse { "A", "B" }, default "drop", mode "audit" */
static int name_alone(lua_State *L, const char *kind) {
  check_load(L, kind);
  lua_settop(L, 1);
  if (lua_isnil(L, 1))
    return luaL_error(L, "%s takes a name: %s \"NAME\"", kind, kind);
  add_statement(L, kind);
  lua_pushstring(L, kind);
  lua_pushcclosure(L, nothing_follows, 1);
  return 1;
}

static int word_refuse(lua_State *L) {
  return name_alone(L, "refuse");
}

static int word_default(lua_State *L) {
  return name_alone(L, "default");
}

static int word_mode(lua_State *L) {
  return name_alone(L, "mode");
}

/* ------------------------------------------------------------------------------------- files */

typedef struct {
  const char *text;
  size_t len;
} source;

static const char *read_piece(lua_State *L, void *user, size_t *len) {
  source *from = user;
  const char *piece = from->text;
  se_sandbox_tick(L); /* compiling can be made slow, too */
  *len = from->len < PIECE ? from->len : PIECE;
  from->text += *len;
  from->len -= *len;
  return *len == 0 ? NULL : piece;
}

/* Pushes the compiled text. The place of the name on the stack is above everything else. */
static void compile(lua_State *L, const char *name, const char *text, size_t len) {
  source from = {text, len};
  const char *chunk = lua_pushfstring(L, "@%s", name);
  int status;
  if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
    from.text += 3; /* the mark that some editors begin a file with */
    from.len -= 3;
  }
  if (from.len > 0 && from.text[0] == LUA_SIGNATURE[0])
    luaL_error(L, "%s: this is bytecode; rules are text", name);
  if (from.len > SE_LOAD_TEXT)
    luaL_error(L, "%s: longer than %d bytes", name, (int)SE_LOAD_TEXT);
#if LUA_VERSION_NUM == 501
  status = lua_load(L, read_piece, &from, chunk);
#else
  status = lua_load(L, read_piece, &from, chunk, "t");
#endif
  if (status == LUA_ERRMEM)
    se_sandbox_too_much(L);
  if (status != LUA_OK)
    lua_error(L);
  se_sandbox_push_globals(L);
#if LUA_VERSION_NUM == 501
  lua_setfenv(L, -2);
#else
  lua_setupvalue(L, -2, 1);
#endif
  lua_remove(L, -2);
}

/* A name beside the file, and nothing that leads elsewhere. */
static int is_beside(const char *name, size_t len) {
  if (len == 0 || len > NAME || strstr(name, "..") != NULL)
    return 0;
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f || strchr("/\\:", name[i]) != NULL)
      return 0;
  return 1;
}

/* Reads and runs the file whose name is argument 1. Pushes what it returns. */
static void run_included(lua_State *L, se_load *load) {
  se_sandbox *sandbox = se_sandbox_of(L);
  se_include include = {.name = lua_tostring(L, 1)};
  const char *end = strrchr(load->name, '/'), *name;
  uint64_t started = se_sandbox_clock();
  if (load->depth == INCLUDES)
    luaL_error(L, "more than %d files that include one another", INCLUDES);
  lua_pushlstring(L, load->name, end == NULL ? 0 : (size_t)(end - load->name) + 1);
  lua_pushvalue(L, 1);
  lua_concat(L, 2);
  name = lua_tostring(L, -1);
  if (!se_include_read(load->host, load, &include) && include.no_memory)
    se_sandbox_no_memory(L);
  if (include.text == NULL)
    luaL_error(L, "'%s' cannot be included: %s", include.name, include.reason);
  se_sandbox_pause(sandbox, started);
  load->included = include.text;
  load->included_len = include.len;
  compile(L, name, load->included, load->included_len);
  free(load->included);
  load->included = NULL;
  load->depth++;
  se_sandbox_callback(L, 0, LUA_MULTRET);
  load->depth--;
}

/* include "NAME" -> what the file returned; each file runs once */
static int word_include(lua_State *L) {
  se_load *load = check_load(L, "include");
  size_t len;
  int first, count;
  if (lua_type(L, 1) != LUA_TSTRING)
    return luaL_error(L, "include takes the name of a file: include \"NAME.lua\"");
  lua_settop(L, 1);
  const char *name = lua_tolstring(L, 1, &len);
  if (!is_beside(name, len))
    return luaL_error(L, "include takes the name of a file beside this one, without a folder");
  if (load->reader == 0)
    return luaL_error(L, "files cannot be included here");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &included_key); /* 2 */
  lua_pushvalue(L, 1);
  lua_rawget(L, 2); /* 3 */
  if (lua_isboolean(L, 3))
    return luaL_error(L, "'%s' includes itself, directly or through others", name);
  if (lua_isnil(L, 3)) {
    lua_pushvalue(L, 1);
    lua_pushboolean(L, 0); /* while it runs */
    lua_rawset(L, 2);
    first = lua_gettop(L) + 2; /* above the name that run_included leaves */
    run_included(L, load);
    luaL_checkstack(L, 10, "include");
    count = lua_gettop(L) - first + 1;
    if (count > NAME)
      return luaL_error(L, "'%s' returns too many values", name);
    lua_createtable(L, count, 1);
    lua_insert(L, first);
    lua_pushinteger(L, count);
    lua_setfield(L, first, "n");
    for (; count > 0; count--)
      lua_rawseti(L, first, count);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, first);
    lua_rawset(L, 2);
    lua_replace(L, 3);
  }
  lua_settop(L, 3);
  lua_getfield(L, 3, "n");
  count = (int)lua_tointeger(L, -1);
  luaL_checkstack(L, count, "include");
  for (int i = 1; i <= count; i++)
    lua_rawgeti(L, 3, i);
  return count;
}

/* An event "x" without its table is surely not what was meant. */
static void check_complete(lua_State *L, int list) {
  lua_Integer count = (lua_Integer)lua_rawlen(L, list);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, list, i);
    lua_rawgeti(L, -1, SE_STATEMENT_VALUE);
    lua_rawgeti(L, -2, SE_STATEMENT_KIND);
    if (!lua_istable(L, -2) && strcmp(lua_tostring(L, -1), "event") == 0) {
      lua_rawgeti(L, -3, SE_STATEMENT_FILE);
      lua_rawgeti(L, -4, SE_STATEMENT_LINE);
      lua_rawgeti(L, -5, SE_STATEMENT_NAME);
      luaL_error(L, "%s:%d: the table is missing: event \"%s\" { ... }", lua_tostring(L, -3),
                 (int)lua_tointeger(L, -2), lua_tostring(L, -1));
    }
    lua_pop(L, 3);
  }
}

void se_rule_words_compile(lua_State *L) {
  const se_load *load = se_sandbox_of(L)->load;
  compile(L, load->name, load->text, load->len);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &chunk_key);
}

void se_rule_words_run(lua_State *L) {
  const se_load *load = se_sandbox_of(L)->load;
  const char *slash = strrchr(load->name, '/');
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &statements_key);
  lua_newtable(L);
  lua_pushboolean(L, 0); /* the file itself runs already */
  lua_setfield(L, -2, slash == NULL ? load->name : slash + 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &included_key);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &chunk_key);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &chunk_key);
  lua_call(L, 0, 0);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &statements_key);
  check_complete(L, lua_gettop(L));
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &statements_key);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &included_key);
}

static const luaL_Reg meta[] = {
    {"__call", field_call}, {"__newindex", field_newindex}, {NULL, NULL}};
static const luaL_Reg statements[] = {
    {"event", word_event}, {"refuse", word_refuse}, {"honeypot", word_honeypot},
    {"default", word_default}, {"mode", word_mode}, {"include", word_include}, {NULL, NULL}};
static const char *const kinds[] = {"integer", "number", "boolean", "array",   "object",
                                    "one_of",  "optional", "any",   "none_of", NULL};

void se_rule_words_add(lua_State *L) {
  lua_newtable(L);
  luaL_setfuncs(L, meta, 0);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &field_key);
  luaL_setfuncs(L, statements, 0);
  for (int i = 0; kinds[i] != NULL; i++) {
    push_field(L, kinds[i], 0);
    lua_setfield(L, -2, kinds[i]);
  }
}

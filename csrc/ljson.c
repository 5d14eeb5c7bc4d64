/* ljson.c -- JSON to Lua values and back: decode, encode, extend, members, array, null, array_mt.
 *
 * Reads through the tokenizer (json.h) and nothing else. Nothing here holds memory of its own while
 * a Lua function that may raise is called: what grows is a userdata on the Lua stack. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "lcore.h"
#include "lfrozen.h"
#include "number.h"
#include "status.h"
#include "utf8.h"

/* Members or elements that wait on the Lua stack, so that their table can be made in the right
 * size. Larger tables grow as they are filled. */
#define BATCH 16

/* Registry key (by address) of the metatable that marks arrays. */
static const char array_key = 0;

static void push_array_mt(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
}

/* ------------------------------------------------------------------------------------- decode */

static void push_string(lua_State *L, const se_json_token *token) {
  if (!token->escaped) {
    lua_pushlstring(L, token->at, token->len);
  } else if (token->len <= 512) {
    char text[512];
    lua_pushlstring(L, text, se_json_unescape(token, text));
  } else {
    char *text = lua_newuserdatauv(L, token->len, 0);
    lua_pushlstring(L, text, se_json_unescape(token, text));
    lua_remove(L, -2);
  }
}

static void push_number(lua_State *L, const se_json_token *token) {
  int64_t integer;
  double real;
  if (se_number_parse(token->at, token->len, &integer, &real) == SE_NUMBER_INTEGER)
    se_push_int64(L, integer);
  else
    lua_pushnumber(L, (lua_Number)real);
}

static int push_value(lua_State *L, se_json *json, int unique);

/* Empties the batch: 'count' pairs lie on the stack above 'table', whose slot may still be nil.
 * 'unique': a key that is already there is a failure at its 'place', with no reason set. */
static int store_members(lua_State *L, se_json *json, int table, int count, int more, int unique,
                         const char *const *place) {
  if (lua_isnil(L, table)) {
    lua_createtable(L, 0, more ? 4 * count : count);
    lua_replace(L, table);
  }
  for (int i = 0; i < count; i++) {
    if (unique) {
      lua_pushvalue(L, table + 1 + 2 * i);
      lua_rawget(L, table);
      if (!lua_isnil(L, -1)) {
        json->at = place[i];
        return 0;
      }
      lua_pop(L, 1);
    }
    lua_pushvalue(L, table + 1 + 2 * i);
    lua_pushvalue(L, table + 2 + 2 * i);
    lua_rawset(L, table);
  }
  lua_settop(L, table);
  return 1;
}

static int push_object(lua_State *L, se_json *json, int unique) {
  const char *place[BATCH];
  se_json_token key;
  int kind, count = 0, table;
  lua_pushnil(L);
  table = lua_gettop(L);
  for (int first = 1; (kind = se_json_key(json, first, &key)) == SE_JSON_STRING; first = 0) {
    if (count == BATCH) {
      if (!store_members(L, json, table, count, 1, unique, place))
        return 0;
      count = 0;
    }
    place[count++] = key.at - 1;
    push_string(L, &key);
    if (!push_value(L, json, 0))
      return 0;
  }
  return kind == SE_JSON_END && store_members(L, json, table, count, 0, unique, place);
}

static void store_elements(lua_State *L, int table, int count, lua_Integer stored, int more) {
  if (lua_isnil(L, table)) {
    lua_createtable(L, more ? 4 * count : count, 0);
    push_array_mt(L);
    lua_setmetatable(L, -2);
    lua_replace(L, table);
  }
  for (; count > 0; count--)
    lua_rawseti(L, table, stored + count);
}

static int push_array(lua_State *L, se_json *json) {
  lua_Integer stored = 0;
  int kind, count = 0, table;
  lua_pushnil(L);
  table = lua_gettop(L);
  for (int first = 1; (kind = se_json_element(json, first)) == SE_JSON_ARRAY; first = 0) {
    if (count == BATCH) {
      store_elements(L, table, count, stored, 1);
      stored += count;
      count = 0;
    }
    if (!push_value(L, json, 0))
      return 0;
    count++;
  }
  if (kind != SE_JSON_END)
    return 0;
  store_elements(L, table, count, stored, 0);
  return 1;
}

/* Pushes the value at json->at. On failure anything may be left on the stack. 'unique': an object
 * (this one, not those within) may not repeat a key; otherwise the last one counts. */
static int push_value(lua_State *L, se_json *json, int unique) {
  se_json_token token;
  switch (se_json_value(json, &token)) {
  case SE_JSON_STRING:
    push_string(L, &token);
    return 1;
  case SE_JSON_NUMBER:
    push_number(L, &token);
    return 1;
  case SE_JSON_TRUE:
    lua_pushboolean(L, 1);
    return 1;
  case SE_JSON_FALSE:
    lua_pushboolean(L, 0);
    return 1;
  case SE_JSON_NULL:
    lua_pushlightuserdata(L, NULL);
    return 1;
  case SE_JSON_OBJECT:
    luaL_checkstack(L, 2 * BATCH + 8, "JSON");
    return push_object(L, json, unique);
  case SE_JSON_ARRAY:
    luaL_checkstack(L, BATCH + 8, "JSON");
    return push_array(L, json);
  default:
    return 0;
  }
}

int se_json_push(lua_State *L, const char *text, size_t len, const char **reason,
                 size_t *position) {
  int top = lua_gettop(L);
  se_json json;
  se_json_init(&json, text, len);
  luaL_checkstack(L, 8, "JSON");
  if (push_value(L, &json, 0) && se_json_finish(&json))
    return 1;
  lua_settop(L, top);
  *reason = json.reason;
  *position = (size_t)(json.at - json.start);
  return 0;
}

/* nil, "protocol", "REASON at byte N", N */
static int fail_json(lua_State *L, se_json *json) {
  int byte = se_small((size_t)(json->at - json->start) + 1);
  se_json_token key;
  if (json->reason != NULL) {
    lua_pushstring(L, json->reason);
  } else if (se_json_key(json, 1, &key) == SE_JSON_STRING && key.len <= 64) {
    lua_pushlstring(L, key.at, key.len); /* as it is written: nothing unprintable in it */
    lua_pushfstring(L, "duplicate key '%s'", lua_tostring(L, -1));
  } else {
    lua_pushliteral(L, "duplicate key");
  }
  se_fail(L, SE_ERR_PROTOCOL, "%s at byte %d", lua_tostring(L, -1), byte);
  lua_pushinteger(L, byte);
  return 4;
}

/* decode(text) -> value | nil, kind, message, position */
static int json_decode(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  se_json json;
  lua_settop(L, 1);
  se_json_init(&json, text, len);
  if (se_json_check_utf8(&json) && push_value(L, &json, 1) && se_json_finish(&json))
    return 1;
  return fail_json(L, &json);
}

/* members(text) -> {{key, raw value}, ...} | nil, kind, message, position */
static int json_members(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  se_json json;
  se_json_token key, value;
  int kind;
  lua_Integer count = 0;
  lua_settop(L, 1);
  se_json_init(&json, text, len);
  lua_newtable(L); /* 2: the members */
  lua_newtable(L); /* 3: the keys seen */
  if (!se_json_check_utf8(&json))
    return fail_json(L, &json);
  kind = se_json_value(&json, &value);
  if (kind != SE_JSON_OBJECT) {
    if (kind != SE_JSON_BAD) {
      json.reason = "an object is expected";
      json.at = json.start;
    }
    return fail_json(L, &json);
  }
  for (int first = 1; (kind = se_json_key(&json, first, &key)) == SE_JSON_STRING; first = 0) {
    const char *place = key.at - 1;
    kind = se_json_skip(&json, &value);
    if (kind == SE_JSON_BAD)
      return fail_json(L, &json);
    size_t quote = kind == SE_JSON_STRING;
    push_string(L, &key);
    lua_pushvalue(L, -1);
    lua_rawget(L, 3);
    if (!lua_isnil(L, -1)) {
      json.at = place;
      return fail_json(L, &json);
    }
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_pushboolean(L, 1);
    lua_rawset(L, 3);
    lua_createtable(L, 2, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, 1);
    lua_pushlstring(L, value.at - quote, value.len + 2 * quote);
    lua_rawseti(L, -2, 2);
    lua_rawseti(L, 2, ++count);
  }
  if (kind == SE_JSON_BAD || !se_json_finish(&json))
    return fail_json(L, &json);
  lua_settop(L, 2);
  return 1;
}

/* ------------------------------------------------------------------------------------- encode */

/* What is being written. The text lies in 'first' or, once that is too small, in a userdata in
 * the stack slot 'box', so that an error raised on the way frees it. */
typedef struct {
  lua_State *L;
  char *text;
  size_t used, size;
  int box;
  int depth;
  const char *reason; /* of a failure */
  /* The way to the value: 'steps' of them count, which is 'depth' or one more. */
  struct {
    const char *key; /* NULL: an index. It stays on the Lua stack while it is in use. */
    size_t len;
    lua_Integer index;
    const void *table; /* the table this step leads into from */
  } path[SE_JSON_DEPTH];
  int steps;
  void (*tick)(lua_State *L); /* called now and then, or NULL: see se_json_encode */
  int taken;                  /* index of a table of names that no member of the outermost object may
                                 have, or 0 */
  size_t limit;               /* bytes; what is longer is refused soon after */
  char first[1024];
} encoder;

/* Room for 'more' bytes. */
static char *reserve(encoder *e, size_t more) {
  if (e->size - e->used < more) {
    if (more > SIZE_MAX / 4 - e->size)
      luaL_error(e->L, "not enough memory");
    size_t size = 2 * e->size + more;
    char *text = lua_newuserdatauv(e->L, size, 0);
    memcpy(text, e->text, e->used);
    lua_replace(e->L, e->box);
    e->text = text;
    e->size = size;
  }
  return e->text + e->used;
}

static void put(encoder *e, const char *text, size_t len) {
  memcpy(reserve(e, len), text, len);
  e->used += len;
}

static void put_byte(encoder *e, char byte) {
  *reserve(e, 1) = byte;
  e->used++;
}

static int refuse(encoder *e, const char *reason) {
  e->reason = reason;
  return 0;
}

/* Bytes that are written one by one at a time, and those that are looked at to find out whether to. */
enum { MIXED = 64, ROW = 16 };

static void put_escape(encoder *e, char c) {
  static const char controls[] = "\b\f\n\r\t", letters[] = "bfnrt", hex[] = "0123456789abcdef";
  char *out = reserve(e, 6);
  out[0] = '\\';
  if (c == '"' || c == '\\') {
    out[1] = c;
    e->used += 2;
    return;
  }
  const char *control = c == '\0' ? NULL : strchr(controls, c);
  if (control != NULL) {
    out[1] = letters[control - controls];
    e->used += 2;
  } else {
    memcpy(out + 1, "u00", 3);
    out[4] = hex[(unsigned char)c >> 4];
    out[5] = hex[c & 15];
    e->used += 6;
  }
}

static int is_plain(char c) {
  return (unsigned char)c >= ' ' && c != '"' && c != '\\';
}

/* Writes some of the text, byte by byte, up to what needs an escape of its own; how many it took. */
static size_t put_mixed(encoder *e, const char *text, size_t len) {
  char *out = reserve(e, 2 * MIXED), *at = out;
  size_t i = 0;
  for (; i < len && i < MIXED; i++) {
    if (text[i] == '"' || text[i] == '\\')
      *at++ = '\\';
    else if (!is_plain(text[i]))
      break;
    *at++ = text[i];
  }
  e->used += (size_t)(at - out);
  return i;
}

/* Whether the bytes are UTF-8. In a JSON text that is encoded once more, as an event in a document
 * is, plain bytes are few at a time: looking at many at once pays only behind a row of them. */
static int put_string(encoder *e, const char *text, size_t len) {
  if (se_utf8_valid(text, len) != len)
    return 0;
  put_byte(e, '"');
  while (len > 0) {
    size_t done = 0;
    while (done < len && done < ROW && is_plain(text[done]))
      done++;
    if (done == ROW) {
      done = se_json_plain(text, len);
      put(e, text, done);
    } else {
      done = put_mixed(e, text, len);
    }
    if (done == 0) {
      put_escape(e, *text);
      done = 1;
    }
    text += done;
    len -= done;
  }
  put_byte(e, '"');
  return 1;
}

static int encode_value(encoder *e);

static int encode_number(encoder *e) {
  if (lua_isinteger(e->L, -1)) {
    e->used += se_number_format_integer(se_to_int64(e->L, -1), reserve(e, SE_NUMBER_SIZE));
    return 1;
  }
  double value = (double)lua_tonumber(e->L, -1);
  if (isnan(value))
    return refuse(e, "NaN cannot be encoded");
  if (isinf(value))
    return refuse(e, "infinity cannot be encoded");
  e->used += se_number_format_float(value, reserve(e, SE_NUMBER_SIZE));
  return 1;
}

/* The table on top has exactly the keys 1 to rawlen. */
static int is_sequence(lua_State *L) {
  lua_Integer count = 0, len = (lua_Integer)lua_rawlen(L, -1);
  lua_pushnil(L);
  while (lua_next(L, -2) != 0) {
    lua_pop(L, 1);
    if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1 || lua_tointeger(L, -1) > len) {
      lua_pop(L, 1);
      return 0;
    }
    count++;
  }
  return count == len;
}

static int encode_array(encoder *e) {
  lua_Integer len = (lua_Integer)lua_rawlen(e->L, -1);
  put_byte(e, '[');
  e->path[e->steps].key = NULL;
  e->steps++;
  for (lua_Integer i = 1; i <= len; i++) {
    e->path[e->steps - 1].index = i;
    if (i > 1)
      put_byte(e, ',');
    lua_rawgeti(e->L, -1, i);
    if (!encode_value(e))
      return 0;
    lua_pop(e->L, 1);
  }
  e->steps--;
  put_byte(e, ']');
  return 1;
}

/* Whether the key below the value on top is one that the outermost object may not have. */
static int is_taken(const encoder *e) {
  lua_pushvalue(e->L, -2);
  lua_rawget(e->L, e->taken);
  int taken = lua_toboolean(e->L, -1);
  lua_pop(e->L, 1);
  return taken;
}

static int encode_object(encoder *e) {
  lua_State *L = e->L;
  int first = 1;
  put_byte(e, '{');
  lua_pushnil(L);
  while (lua_next(L, -2) != 0) {
    if (lua_type(L, -2) != LUA_TSTRING)
      return refuse(e, "a table with keys that are neither 1 to n nor all strings "
                       "cannot be encoded");
    size_t len;
    const char *key = lua_tolstring(L, -2, &len);
    if (e->taken != 0 && e->depth == 1 && is_taken(e))
      return refuse(e, "a member has a name that is taken");
    if (!first)
      put_byte(e, ',');
    first = 0;
    if (!put_string(e, key, len))
      return refuse(e, "a key that is not UTF-8 cannot be encoded");
    put_byte(e, ':');
    e->path[e->steps].key = key;
    e->path[e->steps].len = len;
    e->steps++;
    if (!encode_value(e))
      return 0;
    e->steps--;
    lua_pop(L, 1);
  }
  put_byte(e, '}');
  return 1;
}

static int encode_table(encoder *e) {
  lua_State *L = e->L;
  const void *self = lua_topointer(L, -1);
  int is_array = 0, done;
  for (int i = 0; i < e->depth; i++)
    if (e->path[i].table == self)
      return refuse(e, "a table that contains itself cannot be encoded");
  if (e->depth == SE_JSON_DEPTH)
    return refuse(e, "tables nested deeper than 32 cannot be encoded");
  luaL_checkstack(L, 8, "JSON");
  if (e->tick != NULL)
    e->tick(L);
  if (lua_getmetatable(L, -1)) {
    push_array_mt(L);
    is_array = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
  }
  if (is_array && !is_sequence(L))
    return refuse(e, "an array with keys other than 1 to n cannot be encoded");
  if (!is_array && lua_rawlen(L, -1) > 0)
    is_array = is_sequence(L);
  e->path[e->depth++].table = self;
  done = is_array ? encode_array(e) : encode_object(e);
  e->depth--;
  return done;
}

/* An event stands for its own text, and part of a frozen one for what it was decoded from. */
static int encode_userdata(encoder *e) {
  size_t len;
  luaL_checkstack(e->L, 4, "JSON");
  if (se_frozen_table(e->L, -1)) {
    if (!encode_table(e))
      return 0;
    lua_pop(e->L, 1);
    return 1;
  }
  const char *text = se_event_text(e->L, -1, &len);
  se_json json;
  if (text == NULL)
    return refuse(e, "a userdata cannot be encoded");
  se_json_init(&json, text, len);
  json.depth = e->depth;
  if (se_json_skip(&json, NULL) == SE_JSON_BAD)
    return refuse(e, "an event nested deeper than 32 cannot be encoded");
  put(e, text, len);
  return 1;
}

/* Writes the value on top of the stack, which stays there. On failure anything may lie above. */
static int encode_value(encoder *e) {
  size_t len;
  const char *text;
  if (e->used > e->limit)
    return refuse(e, "it is too long");
  switch (lua_type(e->L, -1)) {
  case LUA_TSTRING:
    text = lua_tolstring(e->L, -1, &len);
    return put_string(e, text, len) || refuse(e, "a string that is not UTF-8 cannot be encoded");
  case LUA_TNUMBER:
    return encode_number(e);
  case LUA_TBOOLEAN:
    if (lua_toboolean(e->L, -1))
      put(e, "true", 4);
    else
      put(e, "false", 5);
    return 1;
  case LUA_TTABLE:
    return encode_table(e);
  case LUA_TLIGHTUSERDATA:
    if (lua_touserdata(e->L, -1) != NULL)
      return refuse(e, "a light userdata cannot be encoded");
    put(e, "null", 4);
    return 1;
  case LUA_TUSERDATA:
    return encode_userdata(e);
  case LUA_TFUNCTION:
    return refuse(e, "a function cannot be encoded");
  case LUA_TTHREAD:
    return refuse(e, "a coroutine cannot be encoded");
  default:
    return refuse(e, "nil cannot be encoded");
  }
}

/* Pushes "at data.list[2].x: REASON". */
static void push_failure(lua_State *L, const encoder *e) {
  luaL_Buffer message;
  luaL_checkstack(L, LUA_MINSTACK, "JSON");
  luaL_buffinit(L, &message);
  for (int i = 0; i < e->steps; i++) {
    luaL_addstring(&message, i == 0 ? "at " : "");
    if (e->path[i].key != NULL) {
      luaL_addstring(&message, i == 0 ? "" : ".");
      luaL_addlstring(&message, e->path[i].key, e->path[i].len);
    } else {
      char index[SE_NUMBER_SIZE];
      luaL_addchar(&message, '[');
      luaL_addlstring(&message, index,
                      se_number_format_integer((int64_t)e->path[i].index, index));
      luaL_addchar(&message, ']');
    }
  }
  luaL_addstring(&message, e->steps > 0 ? ": " : "");
  luaL_addstring(&message, e->reason);
  luaL_pushresult(&message);
}

/* nil, "argument", "at data.list[2].x: REASON" */
static int fail_encode(lua_State *L, const encoder *e) {
  lua_pushnil(L);
  lua_pushstring(L, se_status_kind(SE_ERR_ARGUMENT));
  push_failure(L, e);
  return 3;
}

/* The encoder's own value will be at 'box', from where things move up. */
static void begin(encoder *e, lua_State *L, int box) {
  lua_pushnil(L);
  lua_insert(L, box);
  e->L = L;
  e->box = box;
  e->tick = NULL;
  e->taken = 0;
  e->limit = SIZE_MAX;
  e->text = e->first;
  e->size = sizeof e->first;
  e->used = 0;
  e->depth = e->steps = 0;
  e->reason = NULL;
}

/* encode(value) -> text | nil, kind, message */
static int json_encode(lua_State *L) {
  encoder e;
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  begin(&e, L, 1);
  if (!encode_value(&e))
    return fail_encode(L, &e);
  lua_pushlstring(L, e.text, e.used);
  return 1;
}

int se_json_encode(lua_State *L, void (*tick)(lua_State *L), se_buffer *out) {
  encoder e;
  int value = lua_gettop(L), status;
  begin(&e, L, value);
  e.tick = tick;
  e.limit = out->limit;
  if (!encode_value(&e)) {
    if (e.used > e.limit) {
      lua_settop(L, value - 1);
      return SE_ERR_FULL;
    }
    push_failure(L, &e);
    lua_replace(L, value);
    lua_settop(L, value);
    return SE_ERR_ARGUMENT;
  }
  status = se_buffer_append(out, e.text, e.used);
  lua_settop(L, value - 1);
  return status;
}

/* extend(before, object, after [, taken]) -> text | nil, kind, message */
static int json_extend(lua_State *L) {
  encoder e;
  size_t before_len, after_len;
  const char *before = luaL_checklstring(L, 1, &before_len);
  const char *after = luaL_checklstring(L, 3, &after_len);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 4);
  begin(&e, L, 1);
  if (!lua_isnil(L, 5)) {
    luaL_argcheck(L, lua_istable(L, 5), 4, "table expected");
    e.taken = 5;
  }
  put(&e, before, before_len);
  lua_pushvalue(L, 3);
  if (!encode_value(&e))
    return fail_encode(L, &e);
  if (e.text[before_len] == '[')
    return se_fail(L, SE_ERR_ARGUMENT, "an object must have names, a list has none");
  e.used--; /* without the last brace; the first one becomes the comma, where one is needed */
  if (e.used == before_len + 1)
    e.used--;
  else
    e.text[before_len] = ',';
  put(&e, after, after_len);
  lua_pushlstring(L, e.text, e.used);
  return 1;
}

/* array(list) -> the same table */
static int json_array(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  push_array_mt(L);
  lua_setmetatable(L, 1);
  return 1;
}

static const luaL_Reg functions[] = {{"decode", json_decode},
                                     {"encode", json_encode},
                                     {"extend", json_extend},
                                     {"members", json_members},
                                     {"array", json_array},
                                     {NULL, NULL}};

void se_open_json(lua_State *L) {
  luaL_newlib(L, functions);
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
  push_array_mt(L);
  if (lua_isnil(L, -1)) { /* the first time in this state */
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushliteral(L, "stream_events.array");
    lua_setfield(L, -2, "__name");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &array_key);
  }
  lua_setfield(L, -2, "array_mt");
}

/* ljson_list.c -- Lua binding: the elements of a list that an answer holds, as they were written.
 *
 * Each may be nested as deep as a text of its own: what is an event alone is one in a list, too. */
#include "json.h"
#include "lcore.h"
#include "status.h"

static int fail(lua_State *L, const se_json *json, const char *text) {
  return se_fail(L, SE_ERR_PROTOCOL, "%s at byte %d",
                 json->reason == NULL || *json->reason == '\0' ? "it ends too early" : json->reason,
                 se_small((size_t)(json->at - text) + 1));
}

/* Reads the elements of the list that json stands before into the table on top of the stack. 0: bad. */
static int read_elements(lua_State *L, se_json *json) {
  se_json_token element;
  lua_Integer count = 0;
  int kind, more, depth = json->depth;
  kind = se_json_value(json, &element);
  if (kind != SE_JSON_ARRAY) {
    if (kind != SE_JSON_BAD)
      json->reason = "a list is expected";
    return 0;
  }
  json->depth = 0;
  for (int first = 1; (more = se_json_element(json, first)) == SE_JSON_ARRAY; first = 0) {
    kind = se_json_skip(json, &element);
    if (kind == SE_JSON_BAD)
      return 0;
    size_t quote = kind == SE_JSON_STRING;
    lua_pushlstring(L, element.at - quote, element.len + 2 * quote);
    lua_rawseti(L, -2, ++count);
  }
  json->depth = depth;
  return more == SE_JSON_END;
}

/* list(text, member) -> {raw element, ...}, rest | nil, kind, message
 * rest: the object's text with an empty list in that place. */
static int json_list(lua_State *L) {
  size_t len, name_len;
  const char *text = luaL_checklstring(L, 1, &len), *name = luaL_checklstring(L, 2, &name_len);
  const char *list = NULL, *behind = NULL;
  se_json json;
  se_json_token key;
  int kind;
  lua_settop(L, 2);
  lua_newtable(L);
  se_json_init(&json, text, len);
  if (!se_json_check_utf8(&json))
    return fail(L, &json, text);
  kind = se_json_value(&json, &key);
  if (kind != SE_JSON_OBJECT) {
    if (kind != SE_JSON_BAD)
      json.reason = "an object is expected";
    return fail(L, &json, text);
  }
  for (int first = 1; (kind = se_json_key(&json, first, &key)) == SE_JSON_STRING; first = 0) {
    const char *value = json.at;
    if (!se_json_is(&key, name, name_len)) {
      if (se_json_skip(&json, NULL) == SE_JSON_BAD)
        return fail(L, &json, text);
      continue;
    }
    if (list != NULL) {
      json.reason = "duplicate key";
      return fail(L, &json, text);
    }
    list = value;
    if (!read_elements(L, &json))
      return fail(L, &json, text);
    behind = json.at;
  }
  if (kind == SE_JSON_BAD || !se_json_finish(&json))
    return fail(L, &json, text);
  if (list == NULL)
    return se_fail(L, SE_ERR_PROTOCOL, "there is no member '%s'", name);
  lua_pushlstring(L, text, (size_t)(list - text));
  lua_pushliteral(L, "[]");
  lua_pushlstring(L, behind, (size_t)(text + len - behind));
  lua_concat(L, 3);
  return 2;
}

void se_open_json_list(lua_State *L) {
  lua_pushcfunction(L, json_list);
  lua_setfield(L, -2, "list");
}

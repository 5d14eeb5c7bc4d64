/* levent.c -- the event object: a read-only userdata that decodes itself only as far as it is
 * looked at.
 *
 * It holds a copy of the text and of what the scan found: the envelope and where each top-level
 * member lies. The names of the envelope are answered from there and nowhere else, so nothing that
 * a sender wrote can stand in for them. Any other key decodes just that member.
 *
 * Tables must stay the same from one look to the next. The user value is therefore a table, made
 * when the first one is decoded: what is decoded only once by its key, raw_data at [1], and at [2]
 * what se_event_set_verdict was given.
 *
 * An event that a rule judges is frozen: the tables in it cannot be written to either. */
#include <stdint.h>
#include <string.h>

#include "clock.h"
#include "json.h"
#include "lcore.h"
#include "lfrozen.h"
#include "rule_verdict.h"
#include "scan.h"
#include "status.h"

/* Registry key (by address) of the metatable. */
static const char event_key = 0;

/* The names of the envelope, in the order of pairs(). */
enum {
  TYPE, CID, CHANNEL_TYPE, CHANNEL_ID, CREATED_AT, /* strings: see levent.string */
  USER, RECEIVED_AT, TRUST, VERDICT, RAW_DATA,
  NAMES, OTHER = NAMES
};
#define STRINGS USER

static const char *const names[NAMES] = {
    [TYPE] = "type",
    [CID] = "cid",
    [CHANNEL_TYPE] = "channel_type",
    [CHANNEL_ID] = "channel_id",
    [CREATED_AT] = "created_at",
    [USER] = "user",
    [RECEIVED_AT] = "received_at",
    [TRUST] = "trust",
    [VERDICT] = "verdict",
    [RAW_DATA] = "raw_data",
};

typedef struct {
  uint32_t at, len; /* in levent.bytes; ABSENT: there is none */
} span;
#define ABSENT UINT32_MAX

typedef struct {
  double received_at;
  const char *trust;
  int frozen;
  size_t len, member_count;
  span string[STRINGS], user;
  span sender, role; /* where the text does not say who sent it; frozen events only */
  const char *bytes; /* the text, then what the scan had to unescape; behind 'members' */
  se_scan_member members[];
} levent;

static int name_of(const char *key, size_t len) {
  int name;
  switch (len) {
  case 3:
    name = CID;
    break;
  case 4:
    name = key[0] == 't' ? TYPE : USER;
    break;
  case 5:
    name = TRUST;
    break;
  case 7:
    name = VERDICT;
    break;
  case 8:
    name = RAW_DATA;
    break;
  case 10:
    name = key[1] == 'h' ? CHANNEL_ID : CREATED_AT;
    break;
  case 11:
    name = RECEIVED_AT;
    break;
  case 12:
    name = CHANNEL_TYPE;
    break;
  default:
    return OTHER;
  }
  return memcmp(key, names[name], len) == 0 ? name : OTHER;
}

/* ------------------------------------------------------------------------------------- making */

static span span_of(const se_slice *slice, const char *text, size_t len, const se_envelope *e) {
  span s = {ABSENT, 0};
  if (slice->at != NULL) {
    int in_scratch = slice->at >= e->scratch && slice->at < e->scratch + sizeof e->scratch;
    s.at = (uint32_t)(in_scratch ? len + (size_t)(slice->at - e->scratch)
                                 : (size_t)(slice->at - text));
    s.len = (uint32_t)slice->len;
  }
  return s;
}

/* A cid of two halves names the channel, whether or not the service repeats it. */
static void derive_channel(levent *event) {
  const span cid = event->string[CID];
  const char *text, *colon;
  if (cid.at == ABSENT)
    return;
  text = event->bytes + cid.at;
  colon = memchr(text, ':', cid.len);
  if (colon == NULL)
    return;
  uint32_t before = (uint32_t)(colon - text);
  span type = {cid.at, before}, id = {cid.at + before + 1, cid.len - before - 1};
  if (event->string[CHANNEL_TYPE].at == ABSENT)
    event->string[CHANNEL_TYPE] = type;
  if (event->string[CHANNEL_ID].at == ABSENT)
    event->string[CHANNEL_ID] = id;
}

static size_t members_size(const se_envelope *envelope) {
  return sizeof(levent) + envelope->member_count * sizeof(se_scan_member);
}

void *se_event_reserve(lua_State *L, size_t len, const se_envelope *envelope) {
  return lua_newuserdatauv(L, members_size(envelope) + len + envelope->scratch_used, 1);
}

/* All of the event that comes out of its text. */
static void fill(levent *event, const char *text, size_t len, const se_envelope *envelope) {
  static const span absent = {ABSENT, 0};
  const se_slice *const slices[STRINGS] = {&envelope->type, &envelope->cid,
                                           &envelope->channel_type, &envelope->channel_id,
                                           &envelope->created_at};
  char *bytes = (char *)event + members_size(envelope);
  event->len = len;
  event->member_count = envelope->member_count;
  event->bytes = bytes;
  memcpy(event->members, envelope->members, envelope->member_count * sizeof(se_scan_member));
  memcpy(bytes, text, len);
  memcpy(bytes + len, envelope->scratch, envelope->scratch_used);
  for (int i = 0; i < STRINGS; i++)
    event->string[i] = span_of(slices[i], text, len, envelope);
  event->user = span_of(&envelope->user, text, len, envelope);
  event->sender = event->role = absent;
  event->frozen = 0;
}

static void set_metatable(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &event_key);
  lua_setmetatable(L, -2);
}

void se_event_fill(lua_State *L, void *reserved, const char *text, size_t len,
                   const se_envelope *envelope, const char *self, size_t self_len,
                   double received_at) {
  levent *event = reserved;
  fill(event, text, len, envelope);
  event->received_at = received_at;
  event->trust = se_trust_name(se_trust_of(envelope, self, self_len));
  derive_channel(event);
  set_metatable(L);
}

/* What is known from elsewhere goes behind the bytes of the text, at 'at'. */
static span keep(levent *event, size_t *at, const se_slice *slice) {
  span kept = {ABSENT, 0};
  if (slice->at == NULL)
    return kept;
  memcpy((char *)(uintptr_t)event->bytes + *at, slice->at, slice->len);
  kept.at = (uint32_t)*at;
  kept.len = (uint32_t)slice->len;
  *at += slice->len;
  return kept;
}

/* Whether the transport knows something else than the event says by itself. */
static int differs(const levent *event, const se_slice *known, span told) {
  return known->at != NULL && (told.at == ABSENT || known->len != told.len ||
                               memcmp(known->at, event->bytes + told.at, known->len) != 0);
}

void se_event_push_judged(lua_State *L, const se_rule_event *judged) {
  const se_envelope *envelope = judged->envelope;
  size_t at = judged->len + envelope->scratch_used;
  size_t more = judged->cid.len + judged->channel_type.len + judged->sender.len + judged->role.len;
  levent *event = lua_newuserdatauv(L, members_size(envelope) + at + more, 1);
  fill(event, judged->text, judged->len, envelope);
  if (differs(event, &judged->cid, event->string[CID])) {
    event->string[CID] = keep(event, &at, &judged->cid);
    event->string[CHANNEL_TYPE].at = event->string[CHANNEL_ID].at = ABSENT;
  }
  derive_channel(event);
  if (differs(event, &judged->channel_type, event->string[CHANNEL_TYPE]))
    event->string[CHANNEL_TYPE] = keep(event, &at, &judged->channel_type);
  if (differs(event, &judged->sender,
              span_of(&envelope->user_id, judged->text, judged->len, envelope))) {
    event->user.at = ABSENT;
    event->sender = keep(event, &at, &judged->sender);
    event->role = keep(event, &at, &judged->role);
  }
  event->received_at = judged->now;
  event->trust = se_trust_name(judged->trust);
  event->frozen = 1;
  set_metatable(L);
}

/* ------------------------------------------------------------------------------------- reading */

static void push_kept(lua_State *L, const levent *event, const span *kept) {
  if (kept->at == ABSENT)
    lua_pushnil(L);
  else
    lua_pushlstring(L, event->bytes + kept->at, kept->len);
}

static void push_span(lua_State *L, const levent *event, int name) {
  push_kept(L, event, &event->string[name]);
}

void se_event_push_names(lua_State *L, const void *event) {
  push_span(L, event, TYPE);
  push_span(L, event, CID);
}

/* The event at index 1 of a metamethod, whose first upvalue is the metatable. */
static levent *check_event(lua_State *L) {
  levent *event = lua_touserdata(L, 1);
  if (event == NULL || !lua_getmetatable(L, 1))
    luaL_argerror(L, 1, "event expected");
  if (!lua_rawequal(L, -1, lua_upvalueindex(1)))
    luaL_argerror(L, 1, "event expected");
  lua_pop(L, 1);
  return event;
}

const char *se_event_text(lua_State *L, int index, size_t *len) {
  const levent *event = lua_touserdata(L, index);
  int same;
  if (event == NULL || !lua_getmetatable(L, index))
    return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &event_key);
  same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  if (!same)
    return NULL;
  *len = event->len;
  return event->bytes;
}

/* Pushes what a part of the text stands for; the scan has found it good. */
static void push_json(lua_State *L, const levent *event, uint32_t at, uint32_t len) {
  const char *reason;
  size_t position;
  if (!se_json_push(L, event->bytes + at, len, &reason, &position))
    luaL_error(L, "%s", reason);
}

/* Pushes the table of what was decoded before; the event is at 'index', counted from the bottom. */
static void push_cache_of(lua_State *L, int index) {
  lua_getiuservalue(L, index, 1);
  if (lua_istable(L, -1))
    return;
  lua_pop(L, 1);
  lua_createtable(L, 0, 1); /* mostly for the user alone */
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, index, 1);
}

static void push_cache(lua_State *L) {
  push_cache_of(L, 1);
}

void se_event_set_verdict(lua_State *L, int index) {
  index = lua_absindex(L, index);
  push_cache_of(L, index);
  lua_insert(L, -2);
  lua_rawseti(L, -2, 2);
  lua_pop(L, 1);
}

/* Whether a value is decoded only once: tables; and for rules, whose time is short, whatever takes
 * long to be read. */
#define LONG 256
static int is_kept(const levent *event, uint32_t at, uint32_t len) {
  char opening = event->bytes[at];
  return opening == '{' || opening == '[' || (event->frozen && len > LONG);
}

/* Pushes the value of the top-level key that is on top of the stack (and stays there). What is kept
 * comes out of the cache, at 'cache', where there is one. */
static void push_cached(lua_State *L, const levent *event, int cache, uint32_t at, uint32_t len) {
  if (!is_kept(event, at, len)) {
    push_json(L, event, at, len);
    return;
  }
  lua_pushvalue(L, -1);
  lua_rawget(L, cache);
  if (!lua_isnil(L, -1))
    return;
  lua_pop(L, 1);
  push_json(L, event, at, len);
  if (event->frozen && lua_istable(L, -1))
    se_frozen_wrap(L);
  lua_pushvalue(L, -2);
  lua_pushvalue(L, -2);
  lua_rawset(L, cache);
}

static se_json_token key_token(const levent *event, const se_scan_member *member) {
  se_json_token key = {event->bytes + member->key, member->key_len, (int)member->key_escaped};
  return key;
}

/* Pushes everything as it came. It is put together once. */
static void push_raw_data(lua_State *L, const levent *event) {
  int cache, raw;
  luaL_checkstack(L, 10, "event");
  push_cache(L);
  cache = lua_gettop(L);
  lua_rawgeti(L, cache, 1);
  if (!lua_isnil(L, -1))
    return;
  lua_createtable(L, 0, (int)event->member_count);
  raw = lua_gettop(L);
  for (size_t i = 0; i < event->member_count; i++) {
    const se_scan_member *member = &event->members[i];
    if (member->key_escaped)
      push_json(L, event, member->key - 1, member->key_len + 2);
    else
      lua_pushlstring(L, event->bytes + member->key, member->key_len);
    push_cached(L, event, cache, member->value, member->value_len);
    lua_rawset(L, raw);
  }
  lua_pushvalue(L, raw);
  if (event->frozen)
    se_frozen_wrap(L);
  lua_pushvalue(L, -1);
  lua_rawseti(L, cache, 1);
}

/* Pushes the user of an event: as it came, or what is known of it from elsewhere. */
static void push_user(lua_State *L, const levent *event) {
  int cache;
  if (event->user.at == ABSENT && event->sender.at == ABSENT) {
    lua_pushnil(L);
    return;
  }
  push_cache(L);
  cache = lua_gettop(L);
  lua_pushliteral(L, "user");
  if (event->user.at != ABSENT) {
    push_cached(L, event, cache, event->user.at, event->user.len);
    return;
  }
  lua_rawget(L, cache);
  if (!lua_isnil(L, -1))
    return;
  lua_createtable(L, 0, 2);
  push_kept(L, event, &event->sender);
  lua_setfield(L, -2, "id");
  push_kept(L, event, &event->role);
  lua_setfield(L, -2, "role");
  se_frozen_wrap(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, cache, "user");
}

/* Pushes what se_event_set_verdict was given, or nil. */
static void push_verdict(lua_State *L) {
  lua_getiuservalue(L, 1, 1);
  if (lua_istable(L, -1))
    lua_rawgeti(L, -1, 2);
  else
    lua_pushnil(L);
}

/* Pushes the value of a key that is no name of the envelope; the key is on top of the stack. */
static void push_member(lua_State *L, const levent *event, const char *key, size_t len) {
  int cache = 0;
  lua_getiuservalue(L, 1, 1);
  if (lua_istable(L, -1)) {
    cache = lua_gettop(L);
    lua_rawgeti(L, cache, 1);
    if (lua_istable(L, -1)) { /* raw_data is there, and what the program did to it counts */
      lua_pushvalue(L, cache - 1);
      lua_rawget(L, -2);
      return;
    }
    lua_pop(L, 1);
  }
  for (size_t i = 0; i < event->member_count; i++) {
    const se_scan_member *member = &event->members[i];
    if (!member->key_escaped) {
      if (member->key_len != len || memcmp(event->bytes + member->key, key, len) != 0)
        continue;
    } else {
      se_json_token token = key_token(event, member);
      if (!se_json_is(&token, key, len))
        continue;
    }
    if (cache == 0 && is_kept(event, member->value, member->value_len)) {
      push_cache(L);
      cache = lua_gettop(L);
    }
    lua_pushvalue(L, 2);
    push_cached(L, event, cache, member->value, member->value_len);
    return;
  }
  lua_pushnil(L);
}

/* Pushes what event[key] is; the event is at index 1, the key at 2 and on top of the stack. */
static void push_field(lua_State *L, const levent *event) {
  size_t len;
  const char *key = lua_tolstring(L, 2, &len);
  int name = name_of(key, len);
  switch (name) {
  case OTHER:
    push_member(L, event, key, len);
    return;
  case USER:
    push_user(L, event);
    return;
  case RECEIVED_AT:
    lua_pushnumber(L, event->received_at);
    return;
  case TRUST:
    lua_pushstring(L, event->trust);
    return;
  case VERDICT:
    push_verdict(L);
    return;
  case RAW_DATA:
    push_raw_data(L, event);
    return;
  default:
    push_span(L, event, name);
  }
}

/* event[key] */
static int event_index(lua_State *L) {
  const levent *event = check_event(L);
  lua_settop(L, 2);
  if (lua_type(L, 2) == LUA_TSTRING)
    push_field(L, event);
  else
    lua_pushnil(L);
  return 1;
}

static int event_newindex(lua_State *L) {
  return luaL_error(L, "events are read-only");
}

static int event_tostring(lua_State *L) {
  const levent *event = check_event(L);
  const span type = event->string[TYPE], cid = event->string[CID];
  lua_pushlstring(L, event->bytes + type.at, type.len);
  if (cid.at == ABSENT) {
    lua_pushfstring(L, "event %s", lua_tostring(L, -1));
  } else {
    lua_pushlstring(L, event->bytes + cid.at, cid.len);
    lua_pushfstring(L, "event %s in %s", lua_tostring(L, -2), lua_tostring(L, -1));
  }
  return 1;
}

/* Steps through the names of the envelope, then the members they do not hide. The second upvalue
 * says how far it has come. */
static int event_next(lua_State *L) {
  const levent *event = check_event(L);
  size_t at = (size_t)lua_tointeger(L, lua_upvalueindex(2));
  for (; at < NAMES + event->member_count; at++) {
    lua_settop(L, 1);
    if (at < NAMES) {
      lua_pushstring(L, names[at]);
    } else {
      const se_scan_member *member = &event->members[at - NAMES];
      size_t len;
      push_json(L, event, member->key - 1, member->key_len + 2);
      const char *key = lua_tolstring(L, 2, &len);
      if (name_of(key, len) != OTHER)
        continue;
    }
    push_field(L, event);
    if (lua_isnil(L, -1))
      continue;
    lua_pushinteger(L, (lua_Integer)at + 1);
    lua_replace(L, lua_upvalueindex(2));
    lua_pushvalue(L, 2);
    lua_insert(L, -2);
    return 2;
  }
  return 0;
}

static int event_pairs(lua_State *L) {
  check_event(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, event_next, 2);
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  return 3;
}

/* ------------------------------------------------------------------------------------- module */

/* Finds the member's value in an object that is checked as a whole. 1, or 0 with nil, kind and
 * message pushed. */
static int find_member(lua_State *L, const char *name, size_t name_len, const char **text,
                       size_t *len) {
  const char *reason;
  size_t position;
  int found = se_json_member(name, name_len, text, len, &reason, &position);
  if (found < 0)
    se_fail(L, SE_ERR_PROTOCOL, "%s at byte %d", reason, se_small(position + 1));
  else if (!found)
    se_fail(L, SE_ERR_PROTOCOL, "there is no member '%s'", name);
  return found > 0;
}

/* new(text, options?) -> event | nil, kind, message */
static int event_new(lua_State *L) {
  size_t len, self_len = 0, member_len = 0;
  const char *text = luaL_checklstring(L, 1, &len), *whole = text;
  const char *self = NULL, *member = NULL;
  double received_at = -1;
  lua_settop(L, 2);
  if (!lua_isnoneornil(L, 2)) {
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_getfield(L, 2, "self");
    self = luaL_optlstring(L, 3, NULL, &self_len);
    lua_getfield(L, 2, "member");
    member = luaL_optlstring(L, 4, NULL, &member_len);
    lua_getfield(L, 2, "received_at");
    received_at = (double)luaL_optnumber(L, 5, -1);
  }
  se_envelope envelope; /* some KiB: on the stack it costs nothing, as a Lua value it is garbage */
  if (member == NULL || !se_scan_within(member, member_len, &text, &len, &envelope)) {
    if (member != NULL && !find_member(L, member, member_len, &text, &len))
      return 3;
    if (se_scan(text, len, 0, NULL, NULL, &envelope) != SE_SCAN_EVENT)
      return se_fail(L, SE_ERR_PROTOCOL, "%s at byte %d", envelope.reason,
                     se_small((size_t)(text - whole) + envelope.position + 1));
  }
  se_event_fill(L, se_event_reserve(L, len, &envelope), text, len, &envelope, self, self_len,
                received_at < 0 ? se_date() : received_at);
  return 1;
}

/* text(event) -> text */
static int event_text(lua_State *L) {
  size_t len = 0;
  const char *text = se_event_text(L, 1, &len);
  luaL_argcheck(L, text != NULL, 1, "event expected");
  lua_pushlstring(L, text, len);
  return 1;
}

static const luaL_Reg meta[] = {{"__index", event_index},       {"__newindex", event_newindex},
                                {"__tostring", event_tostring}, {"__pairs", event_pairs},
                                {NULL, NULL}};
static const luaL_Reg functions[] = {{"new", event_new}, {"text", event_text}, {NULL, NULL}};

void se_open_event(lua_State *L) {
  se_open_frozen(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &event_key);
  if (lua_isnil(L, -1)) { /* the first time in this state */
    lua_newtable(L);
    lua_pushvalue(L, -1);
    luaL_setfuncs(L, meta, 1);
    lua_pushliteral(L, "stream_events.Event");
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__name");
    lua_setfield(L, -2, "__metatable"); /* getmetatable() gives only the name */
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &event_key);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  luaL_newlib(L, functions);
}

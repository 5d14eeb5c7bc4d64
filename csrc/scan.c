/* scan.c -- the envelope of an event, read out of its JSON text without allocating anything.
 *
 * The hot path of the whole client: the readers are inlined, and until the type is known nothing
 * is done that an unwanted event would not need (repeated keys are looked for afterwards). */
#include "scan.h"

#include <string.h>

#include "json.h"
#include "json_read.h"
#include "utf8.h"

#define TYPE_MAX 255
#define TEXT_MAX (UINT32_MAX / 2) /* offsets have 32 bits */

/* The names of the envelope. */
enum { TYPE, CID, CHANNEL_TYPE, CHANNEL_ID, CREATED_AT, USER, NAMES, NONE = NAMES, DISGUISED };

static const struct {
  const char *text;
  size_t len;
  const char *reason; /* for a value of another type */
} names[NAMES] = {
    [TYPE] = {"type", 4, "type is no string"},
    [CID] = {"cid", 3, "cid is no string"},
    [CHANNEL_TYPE] = {"channel_type", 12, "channel_type is no string"},
    [CHANNEL_ID] = {"channel_id", 10, "channel_id is no string"},
    [CREATED_AT] = {"created_at", 10, "created_at is no string"},
    [USER] = {"user", 4, "user is no object"},
};

static int refuse(const se_json *json, const char *at, const char *reason, se_envelope *out) {
  out->reason = reason;
  out->position = (size_t)(at - json->start);
  return SE_SCAN_BAD;
}

static int refuse_json(const se_json *json, se_envelope *out) {
  return refuse(json, json->at, json->reason, out);
}

/* Which name of the envelope a key is. */
static int name_of(const se_json_token *key) {
  if (key->escaped) {
    for (int i = 0; i < NAMES; i++)
      if (se_json_is(key, names[i].text, names[i].len))
        return DISGUISED;
    return NONE;
  }
  switch (key->len) {
  case 3:
    return memcmp(key->at, "cid", 3) == 0 ? CID : NONE;
  case 4:
    if (memcmp(key->at, "type", 4) == 0)
      return TYPE;
    return memcmp(key->at, "user", 4) == 0 ? USER : NONE;
  case 10:
    if (memcmp(key->at, "channel_id", 10) == 0)
      return CHANNEL_ID;
    return memcmp(key->at, "created_at", 10) == 0 ? CREATED_AT : NONE;
  case 12:
    return memcmp(key->at, "channel_type", 12) == 0 ? CHANNEL_TYPE : NONE;
  default:
    return NONE;
  }
}

/* What a string stands for. 0: it has escapes, and no room is left to undo them. */
static int take_string(const se_json_token *token, se_envelope *out, se_slice *slice) {
  slice->at = token->at;
  slice->len = token->len;
  if (token->escaped) {
    if (token->len > sizeof out->scratch - out->scratch_used)
      return 0;
    slice->at = out->scratch + out->scratch_used;
    slice->len = se_json_unescape(token, out->scratch + out->scratch_used);
    out->scratch_used += slice->len;
  }
  return 1;
}

/* Past the value that starts at 'p'. NULL: refused. */
SE_INLINE const char *read_value(se_json *json, const char *p, int *kind,
                                 se_json_token *value) {
  if (p == json->end)
    return se_read_fail(json, p, "");
  if (*p != '{' && *p != '[')
    return se_read_scalar(json, p, kind, value);
  json->at = p;
  *kind = se_json_skip(json, value);
  return *kind == SE_JSON_BAD ? NULL : json->at;
}

/* Takes the id of the user, if that is what this member is. NULL, or what is wrong with it. */
SE_INLINE const char *take_id(const se_json_token *key, const se_json_token *value, int kind,
                              int *seen, se_envelope *out) {
  if (key->escaped)
    return se_json_is(key, "id", 2) ? "user.id in disguise" : NULL;
  if (key->len != 2 || memcmp(key->at, "id", 2) != 0)
    return NULL;
  if ((*seen)++)
    return "user.id comes twice";
  if (kind == SE_JSON_NULL)
    return NULL;
  if (kind != SE_JSON_STRING)
    return "user.id is no string";
  return take_string(value, out, &out->user_id) ? NULL : "user.id with escapes is too long";
}

/* Reads the object "user", whose brace is at 'p'. Returns the place behind it, or NULL. */
static const char *read_user(se_json *json, const char *p, se_envelope *out) {
  se_json_token key, value;
  const char *reason;
  int kind = SE_JSON_BAD, more, seen = 0;
  json->depth++;
  p = se_read_space(p + 1, json->end);
  more = p == json->end || *p != '}';
  p += !more;
  while (more) {
    if ((p = se_read_key(json, p, &key)) == NULL ||
        (p = read_value(json, p, &kind, &value)) == NULL)
      return NULL;
    if ((reason = take_id(&key, &value, kind, &seen, out)) != NULL)
      return se_read_fail(json, key.at - 1, reason);
    if ((more = se_read_more(json, &p, '}')) < 0)
      return NULL;
  }
  json->depth--;
  return p;
}

static int check_type(const se_json *json, const se_json_token *token, int utf8_checked,
                      se_envelope *out) {
  const se_slice *type = &out->type;
  if (type->len == 0)
    return refuse(json, token->at, "type is empty", out);
  if (type->len > TYPE_MAX)
    return refuse(json, token->at, "type is too long", out);
  int control = memchr(type->at, 0x7F, type->len) != NULL;
  for (size_t i = 0; token->escaped && i < type->len; i++) /* unescaped ones were never let in */
    control |= (unsigned char)type->at[i] < 0x20;
  if (control)
    return refuse(json, token->at, "control character in type", out);
  if (!utf8_checked && se_utf8_valid(type->at, type->len) != type->len)
    return refuse(json, token->at, "invalid UTF-8", out);
  return SE_SCAN_EVENT;
}

/* Remembers where a member lies. 0: refused. */
SE_INLINE int note_member(const se_json *json, const se_json_token *key,
                          const se_json_token *value, int is_string, se_envelope *out) {
  se_scan_member *member = &out->members[out->member_count];
  size_t quote = (size_t)is_string; /* the token is what lies between them */
  if (out->member_count == SE_SCAN_MEMBERS) {
    refuse(json, key->at - 1, "too many keys", out);
    return 0;
  }
  out->member_count++;
  member->key = (uint32_t)(key->at - json->start);
  member->key_len = (uint32_t)key->len;
  member->key_escaped = (uint32_t)key->escaped;
  member->value = (uint32_t)((size_t)(value->at - json->start) - quote);
  member->value_len = (uint32_t)(value->len + 2 * quote);
  return 1;
}

static se_json_token key_token(const se_json *json, const se_scan_member *member) {
  se_json_token key = {json->start + member->key, member->key_len, (int)member->key_escaped};
  return key;
}

/* Looks for a key that comes twice, with a hash table of positions in 'members'. Whole keys are only
 * compared where their hashes are the same, or long ones could be made to take long. */
static int find_repeated(const se_json *json, se_envelope *out) {
  uint16_t table[4 * SE_SCAN_MEMBERS];
  uint64_t hashes[SE_SCAN_MEMBERS];
  uint64_t seed = (uint64_t)(uintptr_t)json->start ^ (uint64_t)(uintptr_t)out;
  size_t size = 64; /* never more than a quarter full */
  while (size < 4 * out->member_count)
    size *= 2;
  memset(table, 0, size * sizeof *table);
  for (size_t i = 0; i < out->member_count; i++) {
    se_json_token key = key_token(json, &out->members[i]);
    hashes[i] = se_json_hash(&key, seed);
    size_t slot = (size_t)(hashes[i] >> 32) & (size - 1);
    for (; table[slot] != 0; slot = (slot + 1) & (size - 1)) {
      size_t at = table[slot] - 1u;
      se_json_token other = key_token(json, &out->members[at]);
      if (hashes[at] == hashes[i] && se_json_same(&key, &other))
        return refuse(json, key.at - 1, "duplicate key", out);
    }
    table[slot] = (uint16_t)(i + 1);
  }
  return SE_SCAN_EVENT;
}

/* The same, but most events need no more than a few bits of each key to see that all differ. */
static int check_repeated(const se_json *json, se_envelope *out) {
  uint64_t seen[16] = {0};
  for (size_t i = 0; i < out->member_count; i++) {
    const se_scan_member *member = &out->members[i];
    if (member->key_escaped || member->key_len == 0)
      return find_repeated(json, out);
    const unsigned char *key = (const unsigned char *)json->start + member->key;
    uint32_t hash = member->key_len * 0x9E3779B1u ^ key[0] * 0x85EBCA6Bu ^
                    key[member->key_len - 1] * 0xC2B2AE35u;
    uint64_t bit = UINT64_C(1) << (hash >> 26), *word = &seen[(hash >> 22) & 15];
    if ((*word & bit) != 0)
      return find_repeated(json, out);
    *word |= bit;
  }
  return SE_SCAN_EVENT;
}

/* The cid is "channel_type:channel_id", and the two halves must say the same. */
static int cid_agrees(const se_envelope *e) {
  const se_slice *cid = &e->cid, *type = &e->channel_type, *id = &e->channel_id;
  if (cid->at == NULL)
    return 1;
  if (type->at != NULL && (cid->len <= type->len || cid->at[type->len] != ':' ||
                           memcmp(cid->at, type->at, type->len) != 0))
    return 0;
  if (id->at != NULL && (cid->len <= id->len || cid->at[cid->len - id->len - 1] != ':' ||
                         memcmp(cid->at + cid->len - id->len, id->at, id->len) != 0))
    return 0;
  return type->at == NULL || id->at == NULL || cid->len == type->len + 1 + id->len;
}

/* What can only be said of the whole text. */
static int check_whole(se_json *json, int utf8_checked, se_envelope *out) {
  if (!se_json_finish(json))
    return refuse_json(json, out);
  if (!utf8_checked && !se_json_check_utf8(json))
    return refuse_json(json, out);
  if (out->type.at == NULL)
    return refuse(json, json->end, "type is missing", out);
  if (!cid_agrees(out))
    return refuse(json, json->end, "channel_type and channel_id are not those of the cid", out);
  return check_repeated(json, out);
}

static int is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static int begins_with_type(const char *text, size_t len) {
  static const char first[] = "{\"type\"";
  return len >= sizeof first && memcmp(text, first, sizeof first - 1) == 0;
}

/* The type of an event that ends in it: many servers write their keys in the order of the alphabet,
 * or append the type to what they were given. Reads backwards from the last brace: in well-formed
 * JSON the quote before it ends a string, which begins at the nearest quote without a backslash
 * before it, and so on. What it says of other texts does not matter: they are dropped, unwanted or
 * refused. 0: the type stands elsewhere, or is nothing that can be told from here. */
static int type_at_end(const char *text, size_t len, int utf8_checked, se_slice *type) {
  static const char key[] = "\"type\"";
  const char *end = text + len, *at;
  while (end > text && is_space(end[-1]))
    end--;
  if (end == text || *--end != '}')
    return 0;
  while (end > text && is_space(end[-1]))
    end--;
  if (end == text || *--end != '"')
    return 0;
  for (at = end; at > text && at[-1] != '"'; at--)
    if (at[-1] == '\\' || (unsigned char)at[-1] < 0x20 || at[-1] == 0x7F || end - at >= TYPE_MAX)
      return 0;
  if (at == text || at == end)
    return 0;
  type->at = at--;
  type->len = (size_t)(end - type->at);
  while (at > text && is_space(at[-1]))
    at--;
  if (at == text || *--at != ':')
    return 0;
  while (at > text && is_space(at[-1]))
    at--;
  if ((size_t)(at - text) < sizeof key || memcmp(at - (sizeof key - 1), key, sizeof key - 1) != 0)
    return 0;
  at -= sizeof key - 1;
  while (at > text && is_space(at[-1]))
    at--;
  return at > text && (at[-1] == ',' || at[-1] == '{') &&
         (utf8_checked || se_utf8_valid(type->at, type->len) == type->len);
}

static void clear(se_envelope *out) {
  const se_slice absent = {NULL, 0};
  out->type = out->cid = out->channel_type = out->channel_id = absent;
  out->user_id = out->created_at = out->user = absent;
  out->member_count = out->scratch_used = 0;
  out->reason = NULL;
  out->position = 0;
}

/* Reads the event that begins at json->at, to behind its last brace. Inlined: one of its two users is
 * the hot path. */
SE_INLINE int scan_event(se_json *json, int utf8_checked, se_scan_wanted wanted, void *user,
                         se_envelope *out) {
  se_slice *const slices[NAMES] = {&out->type,       &out->cid,        &out->channel_type,
                                   &out->channel_id, &out->created_at, &out->user};
  se_json_token key, value;
  const char *p;
  int status, more, kind = se_json_value(json, &value);
  if (kind == SE_JSON_BAD)
    return refuse_json(json, out);
  if (kind != SE_JSON_OBJECT)
    return refuse(json, json->start, "an event is an object", out);

  p = se_read_space(json->at, json->end);
  more = p == json->end || *p != '}';
  p += !more;
  while (more) {
    if ((p = se_read_key(json, p, &key)) == NULL)
      return refuse_json(json, out);
    int name = name_of(&key);
    if (name == DISGUISED)
      return refuse(json, key.at - 1, "envelope key in disguise", out);
    if (name == USER && p < json->end && *p == '{') {
      value.at = p;
      if ((p = read_user(json, p, out)) == NULL)
        return refuse_json(json, out);
      kind = SE_JSON_OBJECT;
      value.len = (size_t)(p - value.at);
      value.escaped = 0;
    } else if ((p = read_value(json, p, &kind, &value)) == NULL) {
      return refuse_json(json, out);
    }
    if (!note_member(json, &key, &value, kind == SE_JSON_STRING, out))
      return SE_SCAN_BAD;
    if (name != NONE && (kind != SE_JSON_NULL || name == TYPE)) {
      if (kind != (name == USER ? SE_JSON_OBJECT : SE_JSON_STRING))
        return refuse(json, value.at, names[name].reason, out);
      if (slices[name]->at != NULL)
        return refuse(json, key.at - 1, "duplicate key", out);
      if (!take_string(&value, out, slices[name]))
        return refuse(json, value.at, "envelope value with escapes is too long", out);
    }
    if (name == TYPE) {
      status = check_type(json, &value, utf8_checked, out);
      if (status != SE_SCAN_EVENT)
        return status;
      if (wanted != NULL && !wanted(user, out->type.at, out->type.len))
        return SE_SCAN_UNWANTED;
    }
    more = se_read_more(json, &p, '}');
    if (more < 0)
      return refuse_json(json, out);
  }
  json->at = p;
  json->depth--;
  return SE_SCAN_EVENT;
}

int se_scan(const char *text, size_t len, int utf8_checked, se_scan_wanted wanted, void *user,
            se_envelope *out) {
  se_json json;
  clear(out);
  se_json_init(&json, text, len);
  if (len > TEXT_MAX)
    return refuse(&json, text, "the text is too long", out);
  if (wanted != NULL && !begins_with_type(text, len)) {
    se_slice type;
    if (type_at_end(text, len, utf8_checked, &type)) {
      if (!wanted(user, type.at, type.len)) {
        out->type = type;
        return SE_SCAN_UNWANTED;
      }
      wanted = NULL; /* it has answered; a second type would be refused as a duplicate */
    }
  }
  int status = scan_event(&json, utf8_checked, wanted, user, out);
  return status == SE_SCAN_EVENT ? check_whole(&json, utf8_checked, out) : status;
}

int se_scan_within(const char *name, size_t name_len, const char **text, size_t *len,
                   se_envelope *out) {
  se_json json, event;
  se_json_token key;
  int kind, first = 1, found = 0;
  clear(out);
  se_json_init(&json, *text, *len);
  if (*len > TEXT_MAX || se_json_value(&json, &key) != SE_JSON_OBJECT)
    return 0;
  while ((kind = se_json_key(&json, first, &key)) == SE_JSON_STRING) {
    first = 0;
    if (!se_json_is(&key, name, name_len)) {
      if (se_json_skip(&json, NULL) == SE_JSON_BAD)
        return 0;
      continue;
    }
    event = json;
    event.start = json.at; /* what the envelope says is counted from here */
    if (found || scan_event(&event, 0, NULL, NULL, out) != SE_SCAN_EVENT)
      return 0;
    found = 1;
    json.at = event.end = event.at;
  }
  if (kind != SE_JSON_END || !found || !se_json_finish(&json) ||
      check_whole(&event, 0, out) != SE_SCAN_EVENT)
    return 0;
  *text = event.start;
  *len = (size_t)(event.end - event.start);
  return 1;
}

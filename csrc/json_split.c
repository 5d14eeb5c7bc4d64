/* json_split.c -- one walk over the members of an object, each key compared with all before it. */
#include "json_split.h"

#include <string.h>

/* The keys so far: whole ones are compared only where their hashes are the same. */
typedef struct {
  uint64_t hashes[SE_SPLIT_MEMBERS];
  se_json_token keys[SE_SPLIT_MEMBERS];
  uint64_t seed;
} seen_keys;

static int is_repeated(const seen_keys *seen, size_t count, const se_json_token *key,
                       uint64_t hash) {
  for (size_t i = 0; i < count; i++) {
    if (seen->hashes[i] == hash && se_json_same(&seen->keys[i], key))
      return 1;
  }
  return 0;
}

/* Its number among the names, or their count. */
static size_t find_name(const se_split_names *names, const se_json_token *key) {
  size_t i;
  for (i = 0; i < names->count; i++) {
    if ((key->escaped || key->len == names->names[i].len) &&
        se_json_is(key, names->names[i].bytes, names->names[i].len))
      break;
  }
  return i;
}

static int fail(const se_json *json, const char *at, const char *reason, se_split *out) {
  out->reason = reason;
  out->position = (size_t)(at - json->start);
  return 0;
}

/* Adds a member to the others, as it is written. */
static void keep(const se_json_token *key, const se_json_token *value, char *rest, se_split *out) {
  char *p = rest + out->rest_len;
  if (out->rest_len > 0)
    *p++ = ',';
  *p++ = '"';
  memcpy(p, key->at, key->len);
  p += key->len;
  *p++ = '"';
  *p++ = ':';
  memcpy(p, value->at, value->len);
  out->rest_len = (size_t)(p + value->len - rest);
}

int se_json_split(const char *text, size_t len, const se_split_names *names, char *rest,
                  se_split *out) {
  seen_keys seen;
  se_json json;
  se_json_token key, value;
  int kind;
  seen.seed = (uint64_t)(uintptr_t)text ^ (uint64_t)(uintptr_t)out;
  memset(out, 0, sizeof *out);
  se_json_init(&json, text, len);
  kind = se_json_value(&json, &value);
  if (kind != SE_JSON_OBJECT)
    return kind == SE_JSON_BAD ? fail(&json, json.at, json.reason, out)
                               : fail(&json, json.start, "an object is expected", out);
  while ((kind = se_json_key(&json, out->members == 0, &key)) == SE_JSON_STRING) {
    uint64_t hash = se_json_hash(&key, seen.seed);
    if (out->members == SE_SPLIT_MEMBERS)
      return fail(&json, key.at - 1, "too many members", out);
    if (is_repeated(&seen, out->members, &key, hash))
      return fail(&json, key.at - 1, NULL, out);
    seen.keys[out->members] = key;
    seen.hashes[out->members++] = hash;
    kind = se_json_skip(&json, &value);
    if (kind == SE_JSON_BAD)
      break;
    if (kind == SE_JSON_STRING) { /* the token is what lies between the quotes */
      value.at--;
      value.len += 2;
    }
    size_t name = find_name(names, &key);
    if (name == names->count)
      keep(&key, &value, rest, out);
    else if (name < names->taken)
      out->taken[name] = value;
  }
  if (kind == SE_JSON_BAD || !se_json_finish(&json))
    return fail(&json, json.at, json.reason, out);
  return 1;
}

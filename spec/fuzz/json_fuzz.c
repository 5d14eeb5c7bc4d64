/* json_fuzz.c -- the tokenizer against a second, naive reading of RFC 8259, and the envelope scan and
 * the taking apart of objects against the tokenizer. Needs no Lua:
 *   clang -fsanitize=fuzzer,address,undefined -Icsrc spec/fuzz/json_fuzz.c \
 *         csrc/json.c csrc/json_split.c csrc/scan.c csrc/utf8.c csrc/number.c */
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "json_split.h"
#include "must.h"
#include "number.h"
#include "scan.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ------------------------------------------------- RFC 8259, byte by byte, by recursive descent */

typedef struct {
  const char *p, *end;
  int depth;
} reader;

static int peek(const reader *r) { return r->p < r->end ? (unsigned char)*r->p : -1; }

static void space(reader *r) {
  while (peek(r) == ' ' || peek(r) == '\t' || peek(r) == '\r' || peek(r) == '\n')
    r->p++;
}

static int take(reader *r, int c) {
  if (peek(r) != c)
    return 0;
  r->p++;
  return 1;
}

static int word(reader *r, const char *text) {
  for (; *text != '\0'; text++)
    if (!take(r, *text))
      return 0;
  return 1;
}

static int digits(reader *r) {
  int count = 0;
  for (; peek(r) >= '0' && peek(r) <= '9'; count++)
    r->p++;
  return count;
}

static int number(reader *r) {
  const char *start = r->p;
  char *text;
  double value;
  take(r, '-');
  if (!take(r, '0') && digits(r) == 0)
    return 0;
  if (take(r, '.') && digits(r) == 0)
    return 0;
  if (take(r, 'e') || take(r, 'E')) {
    if (!take(r, '+'))
      take(r, '-');
    if (digits(r) == 0)
      return 0;
  }
  size_t len = (size_t)(r->p - start);
  text = malloc(len + 1);
  MUST(text != NULL);
  memcpy(text, start, len);
  text[len] = '\0';
  value = strtod(text, NULL); /* the program never sets a locale */
  free(text);
  return value - value == 0;
}

static int hex4(reader *r) {
  int value = 0;
  for (int i = 0; i < 4; i++) {
    int c = peek(r), digit;
    if (c >= '0' && c <= '9')
      digit = c - '0';
    else if ((c | 32) >= 'a' && (c | 32) <= 'f')
      digit = (c | 32) - 'a' + 10;
    else
      return -1;
    value = value * 16 + digit;
    r->p++;
  }
  return value;
}

static int string(reader *r) {
  if (!take(r, '"'))
    return 0;
  for (;;) {
    int c = peek(r);
    if (c < 0x20)
      return 0;
    r->p++;
    if (c == '"')
      return 1;
    if (c != '\\')
      continue;
    c = peek(r);
    if (c < 0)
      return 0;
    r->p++;
    if (c == 'u') {
      int unit = hex4(r);
      if (unit < 0 || (unit >= 0xDC00 && unit <= 0xDFFF))
        return 0;
      if (unit >= 0xD800 && unit <= 0xDBFF) {
        if (!word(r, "\\u"))
          return 0;
        unit = hex4(r);
        if (unit < 0xDC00 || unit > 0xDFFF)
          return 0;
      }
    } else if (c == '\0' || strchr("\"\\/bfnrt", c) == NULL) {
      return 0;
    }
  }
}

static int value(reader *r) {
  int c, object;
  space(r);
  c = peek(r);
  if (c == '"')
    return string(r);
  if (c == 't')
    return word(r, "true");
  if (c == 'f')
    return word(r, "false");
  if (c == 'n')
    return word(r, "null");
  if (c != '{' && c != '[')
    return number(r);
  if (++r->depth > SE_JSON_DEPTH)
    return 0;
  object = c == '{';
  r->p++;
  space(r);
  if (!take(r, object ? '}' : ']')) {
    do {
      space(r);
      if (object) {
        if (!string(r))
          return 0;
        space(r);
        if (!take(r, ':'))
          return 0;
      }
      if (!value(r))
        return 0;
      space(r);
    } while (take(r, ','));
    if (!take(r, object ? '}' : ']'))
      return 0;
  }
  r->depth--;
  return 1;
}

static int is_json(const char *text, size_t len) {
  reader r = {text, text + len, 0};
  if (se_utf8_valid(text, len) != len || !value(&r))
    return 0;
  space(&r);
  return r.p == r.end;
}

/* ------------------------------------------- the same text, token by token as the decoder does */

static void check_string(const se_json_token *token) {
  char *out = malloc(token->len + 1);
  MUST(out != NULL);
  size_t len = se_json_unescape(token, out);
  MUST(len <= token->len);
  MUST(se_json_is(token, out, len));
  se_json_token plain = {out, len, 0};
  if (memchr(out, '\\', len) == NULL) {
    MUST(se_json_same(token, &plain));
    MUST(se_json_hash(token, 7) == se_json_hash(&plain, 7));
  }
  free(out);
}

static void check_number(const se_json_token *token) {
  char text[SE_NUMBER_SIZE + 1];
  int64_t integer, again = 0;
  double real, back = 0;
  int kind = se_number_parse(token->at, token->len, &integer, &real);
  MUST(kind != SE_NUMBER_TOO_LARGE);
  if (kind == SE_NUMBER_INTEGER) {
    size_t len = se_number_format_integer(integer, text);
    MUST(len == token->len && memcmp(text, token->at, len) == 0);
    MUST(se_number_parse(text, len, &again, &back) == kind && again == integer);
  } else {
    char *copy = malloc(token->len + 1);
    MUST(copy != NULL);
    memcpy(copy, token->at, token->len);
    copy[token->len] = '\0';
    back = strtod(copy, NULL);
    free(copy);
    MUST(memcmp(&back, &real, sizeof real) == 0);
    size_t len = se_number_format_float(real, text);
    MUST(len <= SE_NUMBER_SIZE);
    MUST(se_number_parse(text, len, &again, &back) == kind);
    MUST(memcmp(&back, &real, sizeof real) == 0);
  }
}

static int walk(se_json *json) {
  se_json_token token, key;
  int kind = se_json_value(json, &token), next = kind;
  if (kind == SE_JSON_STRING)
    check_string(&token);
  else if (kind == SE_JSON_NUMBER)
    check_number(&token);
  if (kind != SE_JSON_OBJECT && kind != SE_JSON_ARRAY)
    return kind != SE_JSON_BAD;
  for (int first = 1;; first = 0) {
    next = kind == SE_JSON_OBJECT ? se_json_key(json, first, &key) : se_json_element(json, first);
    if (next == SE_JSON_END)
      return 1;
    if (next == SE_JSON_BAD || !walk(json))
      return 0;
    if (kind == SE_JSON_OBJECT)
      check_string(&key);
  }
}

static int decodes(const char *text, size_t len) {
  se_json walked, skipped;
  se_json_token whole;
  se_json_init(&walked, text, len);
  se_json_init(&skipped, text, len);
  int good = walk(&walked) && se_json_finish(&walked) && se_json_check_utf8(&walked);
  int same = se_json_skip(&skipped, &whole) != SE_JSON_BAD && se_json_finish(&skipped) &&
             se_json_check_utf8(&skipped);
  MUST(good == same);
  MUST(walked.at == skipped.at && walked.at <= text + len);
  MUST(good == (walked.reason == NULL) && walked.reason == skipped.reason);
  MUST(!good || (walked.depth == 0 && skipped.depth == 0));
  return good;
}

/* ------------------------------------------------------------------------------------ the scan */

static int refuse_all(void *asked, const char *type, size_t len) {
  ++*(int *)asked;
  MUST(len >= 1 && len <= 255 && se_utf8_valid(type, len) == len);
  return 0;
}

static void check_members(const char *text, size_t len, const se_envelope *e) {
  se_json json;
  se_json_token key, token;
  size_t count = 0, types = 0;
  se_json_init(&json, text, len);
  MUST(se_json_value(&json, &token) == SE_JSON_OBJECT);
  for (int first = 1; se_json_key(&json, first, &key) == SE_JSON_STRING; first = 0) {
    int kind = se_json_skip(&json, &token);
    const se_scan_member *member = &e->members[count++];
    MUST(count <= e->member_count);
    MUST(text + member->key == key.at && member->key_len == key.len);
    MUST(text + member->value == token.at - (kind == SE_JSON_STRING));
    MUST(decodes(text + member->value, member->value_len));
    if (se_json_is(&key, "type", 4)) {
      types++;
      MUST(kind == SE_JSON_STRING && se_json_is(&token, e->type.at, e->type.len));
    }
  }
  MUST(count == e->member_count && types == 1);
}

static void check_scan(const char *text, size_t len, int good) {
  static se_envelope e, unwanted;
  int asked = 0;
  int status = se_scan(text, len, 0, NULL, NULL, &e);
  int early = se_scan(text, len, 0, refuse_all, &asked, &unwanted);
  MUST(status == SE_SCAN_EVENT || status == SE_SCAN_BAD);
  if (status == SE_SCAN_BAD) {
    MUST(e.reason != NULL && e.position <= len);
  } else {
    MUST(good);
    MUST(early == SE_SCAN_UNWANTED && asked == 1);
    MUST(unwanted.type.len == e.type.len);
    MUST(memcmp(unwanted.type.at, e.type.at, e.type.len) == 0);
    check_members(text, len, &e);
    MUST(se_scan(text, len, 1, NULL, NULL, &e) == SE_SCAN_EVENT);
  }
  MUST((early == SE_SCAN_UNWANTED) == (asked == 1));
}

/* ------------------------------------------------------------------------------ taking apart */

static const se_split_names NAMES = {
    {{"type", 4}, {"", 0}, {"\xc3\xa4", 2}, {"cid", 3}, {"\n", 1}}, 5, 3};

/* What the members of an object are: how many, and whether one comes twice; how many have a name. */
typedef struct {
  size_t members, named;
  int repeats;
} member_list;

static int is_named(const se_json_token *key) {
  size_t i;
  for (i = 0; i < NAMES.count && !se_json_is(key, NAMES.names[i].bytes, NAMES.names[i].len); i++)
    continue;
  return i < NAMES.count;
}

static member_list list_members(const char *text, size_t len) {
  static se_json_token keys[SE_SPLIT_MEMBERS + 1];
  member_list list = {0, 0, 0};
  se_json json;
  se_json_token key, token;
  se_json_init(&json, text, len);
  MUST(se_json_value(&json, &token) == SE_JSON_OBJECT);
  for (int first = 1; se_json_key(&json, first, &key) == SE_JSON_STRING; first = 0) {
    for (size_t i = 0; i < list.members && !list.repeats; i++)
      list.repeats = se_json_same(&keys[i], &key);
    if (list.members <= SE_SPLIT_MEMBERS)
      keys[list.members++] = key;
    list.named += (size_t)is_named(&key);
    MUST(se_json_skip(&json, NULL) != SE_JSON_BAD);
  }
  return list;
}

/* The others, put in braces, are the object without what was taken out. */
static void check_rest(const char *rest, size_t len, const member_list *all) {
  char *object = malloc(len + 2);
  MUST(object != NULL);
  object[0] = '{';
  memcpy(object + 1, rest, len);
  object[len + 1] = '}';
  MUST(decodes(object, len + 2));
  member_list others = list_members(object, len + 2);
  MUST(others.members == all->members - all->named && others.named == 0 && !others.repeats);
  free(object);
}

static void check_split(const char *text, size_t len, int good) {
  char *copy = malloc(len), *rest = malloc(len); /* a look beyond their ends is seen */
  se_split split;
  MUST(copy != NULL && rest != NULL);
  memcpy(copy, text, len);
  int done = se_json_split(copy, len, &NAMES, rest, &split);
  const char *begin = copy;
  while (begin < copy + len && strchr(" \t\r\n", *begin) != NULL)
    begin++;
  if (!good || begin == copy + len || *begin != '{') {
    MUST(!done && split.position <= len);
  } else {
    member_list all = list_members(copy, len);
    MUST(done == (!all.repeats && all.members <= SE_SPLIT_MEMBERS));
    if (done) {
      MUST(split.members == all.members && split.rest_len <= len);
      check_rest(rest, split.rest_len, &all);
      for (size_t i = 0; i < NAMES.taken; i++)
        MUST(split.taken[i].at == NULL || decodes(split.taken[i].at, split.taken[i].len));
    }
  }
  free(copy);
  free(rest);
}

static void check_member(const char *text, size_t len, int good) {
  const char *found = text, *reason = NULL;
  size_t found_len = len, position = 0;
  int result = se_json_member("event", 5, &found, &found_len, &reason, &position);
  MUST(good || result < 0);
  if (result > 0)
    MUST(decodes(found, found_len));
  else
    MUST(found == text && found_len == len && (result == 0 || (reason != NULL && position <= len)));
}

/* ------------------------------------------------------------- an event that is a member of another */

static void check_same_within(const char *text, size_t len) {
  static se_envelope e, other;
  const char *at = text, *apart_at = text, *reason;
  size_t at_len = len, apart_len = len, position;
  int found = se_scan_within("e", 1, &at, &at_len, &e);
  int apart = se_json_member("e", 1, &apart_at, &apart_len, &reason, &position) == 1 &&
              se_scan(apart_at, apart_len, 0, NULL, NULL, &other) == SE_SCAN_EVENT;
  MUST(found == apart);
  if (!found)
    return;
  MUST(at == apart_at && at_len == apart_len && e.member_count == other.member_count);
  MUST(memcmp(e.members, other.members, e.member_count * sizeof *e.members) == 0);
  MUST(e.type.len == other.type.len && memcmp(e.type.at, other.type.at, e.type.len) == 0);
  MUST(e.user.at == other.user.at && e.user.len == other.user.len);
}

/* As it is, and with an object around it. */
static void check_within(const char *text, size_t len) {
  static const char before[] = "{\"x\":[1], \"e\": ", after[] = ",\"y\":2}";
  size_t room = sizeof before - 1 + len + sizeof after - 1;
  char *whole = malloc(room);
  MUST(whole != NULL);
  memcpy(whole, before, sizeof before - 1);
  memcpy(whole + sizeof before - 1, text, len);
  memcpy(whole + sizeof before - 1 + len, after, sizeof after - 1);
  check_same_within(whole, room);
  free(whole);
  check_same_within(text, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *text = (const char *)data;
  int good = decodes(text, size);
  MUST(good == is_json(text, size));
  check_scan(text, size, good);
  check_within(text, size);
  if (size > 0 && se_utf8_valid(text, size) == size) { /* which their callers have looked at */
    check_split(text, size, good);
    check_member(text, size, good);
  }
  return 0;
}

/* json.c -- the tokenizer: JSON exactly as RFC 8259 has it.
 *
 * Everything is built from the inline readers of json_read.h. se_json_skip runs them in one loop
 * without recursion, which is what most of the bytes of most events see; the other functions hand
 * out single tokens. */
#include "json.h"

#include <string.h>

#include "json_read.h"
#include "number.h"
#include "utf8.h"

void se_json_init(se_json *json, const char *text, size_t len) {
  json->start = json->at = text;
  json->end = text + len;
  json->reason = NULL;
  json->depth = 0;
  json->block = NULL; /* none yet */
  json->special = 0;
}

const char *se_read_fail(se_json *json, const char *at, const char *reason) {
  json->at = at;
  json->reason = at < json->end ? reason : "the text ends too early";
  return NULL;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

/* The four digits after \u; 'p' is at the u. Returns past them. */
static const char *hex_end(se_json *json, const char *p, unsigned *unit) {
  *unit = 0;
  for (int i = 0; i < 4; i++) {
    if (++p == json->end || hex_digit(*p) < 0)
      return se_read_fail(json, p, "bad \\u escape");
    *unit = *unit << 4 | (unsigned)hex_digit(*p);
  }
  return p + 1;
}

/* 'p' is at a backslash. */
static const char *read_escape(se_json *json, const char *p) {
  const char *start = p++;
  unsigned unit;
  if (p == json->end)
    return se_read_fail(json, p, "");
  if (*p != 'u') {
    if (*p == '\0' || strchr("\"\\/bfnrt", *p) == NULL)
      return se_read_fail(json, p, "bad escape");
    return p + 1;
  }
  if ((p = hex_end(json, p, &unit)) == NULL)
    return NULL;
  if (unit < 0xD800 || unit > 0xDFFF)
    return p;
  if (unit > 0xDBFF)
    return se_read_fail(json, start, "lone surrogate");
  for (int i = 0; i < 2; i++, p++)
    if (p == json->end || *p != "\\u"[i])
      return se_read_fail(json, p == json->end ? p : start, "lone surrogate");
  p--;
  if ((p = hex_end(json, p, &unit)) == NULL)
    return NULL;
  if (unit < 0xDC00 || unit > 0xDFFF)
    return se_read_fail(json, start, "lone surrogate");
  return p;
}

const char *se_read_spaces(const char *p, const char *end) {
  while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
    p++;
  return p;
}

const char *se_read_long_string(se_json *json, const char *p, int *escaped) {
  for (;;) {
    p = se_read_plain(json, p);
    if (p < json->end && *p == '"')
      return p;
    if (p == json->end || *p != '\\')
      return se_read_fail(json, p, "control character in a string");
    *escaped = 1;
    if ((p = read_escape(json, p)) == NULL)
      return NULL;
  }
}

static inline const char *read_digits(const char *p, const char *end) {
  while (p < end && (unsigned)(*p - '0') <= 9)
    p++;
  return p;
}

/* 'start' to 'p' is a number that may be too large for a double. */
static const char *check_huge(se_json *json, const char *start, const char *p) {
  int64_t integer;
  double real;
  if (se_number_parse(start, (size_t)(p - start), &integer, &real) == SE_NUMBER_TOO_LARGE)
    return se_read_fail(json, start, "number too large");
  return p;
}

const char *se_read_number(se_json *json, const char *p) {
  const char *start = p, *part, *end = json->end;
  int huge = 0; /* it may be more than a double can hold: worth a look */
  p += *p == '-';
  part = p;
  p = read_digits(p, end);
  if (p == part)
    return se_read_fail(json, p, p == start ? "a value is missing" : "a digit is missing");
  if (*part == '0' && p - part > 1)
    return se_read_fail(json, part, "leading zero");
  if (p < end && *p == '.') {
    part = ++p;
    p = read_digits(p, end);
    if (p == part)
      return se_read_fail(json, p, "a digit is missing");
  }
  if (p < end && (*p == 'e' || *p == 'E')) {
    p++;
    if (p < end && (*p == '+' || *p == '-'))
      p++;
    part = p;
    p = read_digits(p, end);
    if (p == part)
      return se_read_fail(json, p, "a digit is missing");
    huge = p - part > 2;
  }
  return huge || p - start > 200 ? check_huge(json, start, p) : p;
}

const char *se_read_bad_word(se_json *json, const char *p, const char *word) {
  const char *at = p;
  while (at < json->end && *at == *word) {
    at++;
    word++;
  }
  return se_read_fail(json, at == json->end ? at : p, "unknown word");
}

static int is_open(const se_json *json, const char *p) {
  return p < json->end && (*p == '{' || *p == '[');
}

int se_json_value(se_json *json, se_json_token *token) {
  const char *p = se_read_space(json->at, json->end);
  int kind = SE_JSON_BAD;
  if (is_open(json, p)) {
    if (json->depth == SE_JSON_DEPTH) {
      se_read_fail(json, p, "nested too deep");
      return SE_JSON_BAD;
    }
    json->depth++;
    json->at = p + 1;
    return *p == '{' ? SE_JSON_OBJECT : SE_JSON_ARRAY;
  }
  if (p == json->end) {
    se_read_fail(json, p, "");
    return SE_JSON_BAD;
  }
  if ((p = se_read_scalar(json, p, &kind, token)) == NULL)
    return SE_JSON_BAD;
  json->at = p;
  return kind;
}

/* Moves to the next member or element. SE_JSON_END: read the closing bracket instead. */
static inline int advance(se_json *json, int first, char closing) {
  const char *p = json->at;
  int more = 1;
  if (first) {
    p = se_read_space(p, json->end);
    if (p < json->end && *p == closing) {
      more = 0;
      p++;
    }
  } else {
    more = se_read_more(json, &p, closing);
    if (more < 0)
      return SE_JSON_BAD;
  }
  json->at = p;
  json->depth -= !more;
  return more ? SE_JSON_ARRAY : SE_JSON_END;
}

int se_json_key(se_json *json, int first, se_json_token *key) {
  int next = advance(json, first, '}');
  const char *p;
  if (next != SE_JSON_ARRAY)
    return next;
  if ((p = se_read_key(json, json->at, key)) == NULL)
    return SE_JSON_BAD;
  json->at = p;
  return SE_JSON_STRING;
}

int se_json_element(se_json *json, int first) {
  return advance(json, first, ']');
}

/* Reads a container, from its bracket at 'p' to behind the one that closes it. */
static const char *skip_container(se_json *json, const char *p) {
  const char *const end = json->end;
  int depth = json->depth, kind, more;
  uint32_t objects = 0; /* one bit for each container opened here, the innermost lowest */
  char closing;
  se_json_token token;
open:
  if (depth == SE_JSON_DEPTH)
    return se_read_fail(json, p, "nested too deep");
  depth++;
  objects = objects << 1 | (*p == '{');
  closing = (objects & 1) ? '}' : ']';
  p = se_read_space(p + 1, end);
  if (p < end && *p == closing) {
    p++;
    goto close;
  }
  for (;;) {
    if ((objects & 1) && (p = se_read_key(json, p, &token)) == NULL)
      return NULL;
    if (p == end)
      return se_read_fail(json, p, "");
    if (*p == '{' || *p == '[')
      goto open;
    if ((p = se_read_scalar(json, p, &kind, &token)) == NULL)
      return NULL;
    for (;;) {
      more = se_read_more(json, &p, closing);
      if (more != 0)
        break;
close:
      objects >>= 1;
      closing = (objects & 1) ? '}' : ']';
      if (--depth == json->depth)
        return p;
    }
    if (more < 0)
      return NULL;
  }
}

int se_json_skip(se_json *json, se_json_token *value) {
  const char *p = se_read_space(json->at, json->end), *start = p;
  se_json_token token;
  int kind;
  if (!is_open(json, p)) {
    kind = se_json_value(json, &token);
  } else {
    if ((p = skip_container(json, p)) == NULL)
      return SE_JSON_BAD;
    kind = *start == '{' ? SE_JSON_OBJECT : SE_JSON_ARRAY;
    token.at = start;
    token.len = (size_t)(p - start);
    token.escaped = 0;
    json->at = p;
  }
  if (value != NULL && kind != SE_JSON_BAD)
    *value = token;
  return kind;
}

int se_json_finish(se_json *json) {
  json->at = se_read_space(json->at, json->end);
  if (json->at == json->end)
    return 1;
  se_read_fail(json, json->at, "text after the value");
  return 0;
}

static int bad_member(const se_json *json, const char *at, const char *why, const char **reason,
                      size_t *position) {
  *reason = why;
  *position = (size_t)(at - json->start);
  return -1;
}

int se_json_member(const char *name, size_t name_len, const char **text, size_t *len,
                   const char **reason, size_t *position) {
  se_json json;
  se_json_token key, value, found = {NULL, 0, 0};
  int kind, first = 1;
  se_json_init(&json, *text, *len);
  kind = se_json_value(&json, &value);
  if (kind != SE_JSON_OBJECT && kind != SE_JSON_BAD)
    return bad_member(&json, json.start, "an object is expected", reason, position);
  while (kind != SE_JSON_BAD && (kind = se_json_key(&json, first, &key)) == SE_JSON_STRING) {
    first = 0;
    kind = se_json_skip(&json, &value);
    if (kind == SE_JSON_BAD || !se_json_is(&key, name, name_len))
      continue;
    if (found.at != NULL)
      return bad_member(&json, key.at - 1, "duplicate key", reason, position);
    size_t quote = kind == SE_JSON_STRING;
    found.at = value.at - quote;
    found.len = value.len + 2 * quote;
  }
  if (kind == SE_JSON_BAD || !se_json_finish(&json))
    return bad_member(&json, json.at, json.reason, reason, position);
  if (found.at == NULL)
    return 0;
  *text = found.at;
  *len = found.len;
  return 1;
}

int se_json_check_utf8(se_json *json) {
  size_t len = (size_t)(json->end - json->start);
  size_t valid = se_utf8_valid(json->start, len);
  if (valid == len)
    return 1;
  se_read_fail(json, json->start + valid, "invalid UTF-8");
  return 0;
}

/* Reads the escape at *p, which was checked, and moves behind it. Returns how many bytes it
 * stands for. */
static size_t unescape_one(const char **p, char *out) {
  static const char letters[] = "bfnrt", controls[] = "\b\f\n\r\t";
  const char *s = *p + 1;
  uint32_t code = 0;
  if (*s != 'u') {
    const char *letter = strchr(letters, *s);
    *out = letter == NULL ? *s : controls[letter - letters];
    *p = s + 1;
    return 1;
  }
  for (int i = 1; i <= 4; i++)
    code = code << 4 | (uint32_t)hex_digit(s[i]);
  s += 5;
  if (code >= 0xD800 && code <= 0xDBFF) {
    uint32_t low = 0;
    for (int i = 2; i <= 5; i++)
      low = low << 4 | (uint32_t)hex_digit(s[i]);
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    s += 6;
  }
  *p = s;
  if (code < 0x80) {
    out[0] = (char)code;
    return 1;
  }
  size_t count = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = count - 1; i > 0; i--) {
    out[i] = (char)(0x80 | (code & 0x3F));
    code >>= 6;
  }
  out[0] = (char)((0xF0u << (4 - count)) | code);
  return count;
}

size_t se_json_unescape(const se_json_token *token, char *out) {
  const char *p = token->at, *end = p + token->len;
  char *to = out;
  if (!token->escaped) {
    memcpy(out, p, token->len);
    return token->len;
  }
  while (p < end) {
    const char *backslash = memchr(p, '\\', (size_t)(end - p));
    size_t run = (size_t)((backslash == NULL ? end : backslash) - p);
    memcpy(to, p, run);
    to += run;
    p += run;
    if (p < end)
      to += unescape_one(&p, to);
  }
  return (size_t)(to - out);
}

/* Goes through the bytes that a string token stands for, one by one. */
typedef struct {
  const char *at, *end;
  char left[4]; /* of an escape */
  size_t used, count;
} walker;

static walker walk(const se_json_token *token) {
  walker w = {token->at, token->at + token->len, {0}, 0, 0};
  return w;
}

/* -1 at the end. */
static int next_byte(walker *w) {
  if (w->used < w->count)
    return (unsigned char)w->left[w->used++];
  if (w->at == w->end)
    return -1;
  if (*w->at != '\\')
    return (unsigned char)*w->at++;
  w->count = unescape_one(&w->at, w->left);
  w->used = 1;
  return (unsigned char)w->left[0];
}

int se_json_same(const se_json_token *a, const se_json_token *b) {
  if (!a->escaped && !b->escaped)
    return a->len == b->len && memcmp(a->at, b->at, a->len) == 0;
  walker left = walk(a), right = walk(b);
  int byte;
  do {
    byte = next_byte(&left);
    if (byte != next_byte(&right))
      return 0;
  } while (byte >= 0);
  return 1;
}

int se_json_is(const se_json_token *token, const char *bytes, size_t len) {
  if (!token->escaped)
    return token->len == len && memcmp(token->at, bytes, len) == 0;
  walker w = walk(token);
  for (size_t i = 0; i < len; i++)
    if (next_byte(&w) != (unsigned char)bytes[i])
      return 0;
  return next_byte(&w) < 0;
}

uint64_t se_json_hash(const se_json_token *token, uint64_t seed) {
  uint64_t hash = seed;
  walker w = walk(token);
  for (int byte; (byte = next_byte(&w)) >= 0;) {
    hash = (hash ^ (uint64_t)byte) * UINT64_C(0x9E3779B97F4A7C15);
    hash ^= hash >> 29;
  }
  return hash;
}

size_t se_json_plain(const char *text, size_t len) {
  se_json json;
  se_json_init(&json, text, len);
  return (size_t)(se_read_plain(&json, text) - text);
}

/* json.c -- the tokenizer: JSON exactly as RFC 8259 has it.
 *
 * Everything is built from four inline readers (white space, string, number, word) on a bare
 * pointer. se_json_skip runs them in one loop without recursion, which is what most of the bytes
 * of most events see; the other functions hand out single tokens. */
#include "json.h"

#include <string.h>

#if defined(__SSE2__) && !defined(SE_NO_SIMD)
#include <emmintrin.h>
#endif

#include "number.h"
#include "utf8.h"

void se_json_init(se_json *json, const char *text, size_t len) {
  json->start = json->at = text;
  json->end = text + len;
  json->reason = NULL;
  json->depth = 0;
}

static const char *fail(se_json *json, const char *at, const char *reason) {
  json->at = at;
  json->reason = at < json->end ? reason : "the text ends too early";
  return NULL;
}

static inline const char *space_end(const char *p, const char *end) {
  while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
    p++;
  return p;
}

/* The first byte that may not simply stand in a string: quote, backslash, control; or 'end'. */
static inline const char *plain_end(const char *p, const char *end) {
#if defined(__SSE2__) && !defined(SE_NO_SIMD)
  const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
  const __m128i control = _mm_set1_epi8(0x1F);
  for (; end - p >= 16; p += 16) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash));
    hit = _mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes));
    unsigned mask = (unsigned)_mm_movemask_epi8(hit);
    if (mask != 0)
      return p + __builtin_ctz(mask);
  }
#else
  /* Eight at a time: a byte of 'hit' gets its top bit when it is below 0x20, or becomes zero (and
   * so below 1) by the exclusive or with a quote or a backslash. */
  const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
  for (; end - p >= 8; p += 8) {
    uint64_t bytes, quote, backslash;
    memcpy(&bytes, p, 8);
    quote = bytes ^ (ones * '"');
    backslash = bytes ^ (ones * '\\');
    uint64_t hit = ((bytes - ones * 0x20) & ~bytes) | ((quote - ones) & ~quote) |
                   ((backslash - ones) & ~backslash);
    if ((hit & tops) != 0)
      break; /* which one it was is found below, in either byte order */
  }
#endif
  while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
    p++;
  return p;
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
      return fail(json, p, "bad \\u escape");
    *unit = *unit << 4 | (unsigned)hex_digit(*p);
  }
  return p + 1;
}

/* 'p' is at a backslash. */
static const char *escape_end(se_json *json, const char *p) {
  const char *start = p++;
  unsigned unit;
  if (p == json->end)
    return fail(json, p, "");
  if (*p != 'u') {
    if (*p == '\0' || strchr("\"\\/bfnrt", *p) == NULL)
      return fail(json, p, "bad escape");
    return p + 1;
  }
  if ((p = hex_end(json, p, &unit)) == NULL)
    return NULL;
  if (unit < 0xD800 || unit > 0xDFFF)
    return p;
  if (unit > 0xDBFF)
    return fail(json, start, "lone surrogate");
  for (int i = 0; i < 2; i++, p++)
    if (p == json->end || *p != "\\u"[i])
      return fail(json, p == json->end ? p : start, "lone surrogate");
  p--;
  if ((p = hex_end(json, p, &unit)) == NULL)
    return NULL;
  if (unit < 0xDC00 || unit > 0xDFFF)
    return fail(json, start, "lone surrogate");
  return p;
}

/* 'p' is after the opening quote. Returns the closing quote. */
static inline const char *string_end(se_json *json, const char *p, int *escaped) {
  for (;;) {
    p = plain_end(p, json->end);
    if (p < json->end && *p == '"')
      return p;
    if (p == json->end || *p != '\\')
      return fail(json, p, "control character in a string");
    *escaped = 1;
    if ((p = escape_end(json, p)) == NULL)
      return NULL;
  }
}

static inline const char *digits_end(const char *p, const char *end) {
  while (p < end && (unsigned)(*p - '0') <= 9)
    p++;
  return p;
}

/* 'p' is at a minus sign or a digit. */
static inline const char *number_end(se_json *json, const char *p) {
  const char *start = p, *part, *end = json->end;
  int huge = 0; /* it may be more than a double can hold: worth a look */
  p += *p == '-';
  part = p;
  p = digits_end(p, end);
  if (p == part)
    return fail(json, p, "a digit is missing");
  if (*part == '0' && p - part > 1)
    return fail(json, part, "leading zero");
  if (p < end && *p == '.') {
    part = ++p;
    p = digits_end(p, end);
    if (p == part)
      return fail(json, p, "a digit is missing");
  }
  if (p < end && (*p == 'e' || *p == 'E')) {
    p++;
    if (p < end && (*p == '+' || *p == '-'))
      p++;
    part = p;
    p = digits_end(p, end);
    if (p == part)
      return fail(json, p, "a digit is missing");
    huge = p - part > 2;
  }
  if (huge || p - start > 200) {
    int64_t integer;
    double real;
    if (se_number_parse(start, (size_t)(p - start), &integer, &real) == SE_NUMBER_TOO_LARGE)
      return fail(json, start, "number too large");
  }
  return p;
}

/* 'p' is at the first letter, which was already compared. */
static inline const char *word_end(se_json *json, const char *p, const char *word, int len) {
  for (int i = 1; i < len; i++)
    if (p + i == json->end || p[i] != word[i])
      return fail(json, p + i < json->end ? p : json->end, "unknown word");
  return p + len;
}

/* Past one scalar, which starts at 'p'; *token gets strings and numbers. */
static inline const char *scalar_end(se_json *json, const char *p, int *kind,
                                     se_json_token *token) {
  const char *q;
  token->escaped = 0;
  token->at = p;
  switch (*p) {
  case '"':
    *kind = SE_JSON_STRING;
    q = string_end(json, p + 1, &token->escaped);
    if (q == NULL)
      return NULL;
    token->at = p + 1;
    token->len = (size_t)(q - p - 1);
    return q + 1;
  case 't':
    *kind = SE_JSON_TRUE;
    q = word_end(json, p, "true", 4);
    break;
  case 'f':
    *kind = SE_JSON_FALSE;
    q = word_end(json, p, "false", 5);
    break;
  case 'n':
    *kind = SE_JSON_NULL;
    q = word_end(json, p, "null", 4);
    break;
  default:
    if (*p != '-' && (*p < '0' || *p > '9'))
      return fail(json, p, "a value is missing");
    *kind = SE_JSON_NUMBER;
    q = number_end(json, p);
  }
  token->len = q == NULL ? 0 : (size_t)(q - p);
  return q;
}

int se_json_value(se_json *json, se_json_token *token) {
  const char *p = space_end(json->at, json->end);
  int kind = SE_JSON_BAD;
  if (p < json->end && (*p == '{' || *p == '[')) {
    if (json->depth == SE_JSON_DEPTH) {
      fail(json, p, "nested too deep");
      return SE_JSON_BAD;
    }
    json->depth++;
    json->at = p + 1;
    return *p == '{' ? SE_JSON_OBJECT : SE_JSON_ARRAY;
  }
  if (p == json->end) {
    fail(json, p, "");
    return SE_JSON_BAD;
  }
  if ((p = scalar_end(json, p, &kind, token)) == NULL)
    return SE_JSON_BAD;
  json->at = p;
  return kind;
}

/* What may come between members or elements: returns the first byte of the next one, or the
 * closing bracket. */
static inline const char *separator_end(se_json *json, const char *p, int first, char closing) {
  p = space_end(p, json->end);
  if (p == json->end)
    return fail(json, p, "");
  if (first || *p == closing)
    return p;
  if (*p != ',')
    return fail(json, p, closing == '}' ? "',' or '}' expected" : "',' or ']' expected");
  p = space_end(p + 1, json->end);
  if (p == json->end || *p == closing)
    return fail(json, p, "nothing after the comma");
  return p;
}

/* 'p' is where a key must begin. Returns the first byte after the colon. */
static inline const char *key_end(se_json *json, const char *p, se_json_token *key) {
  if (*p != '"')
    return fail(json, p, "a key is missing");
  key->at = p + 1;
  key->escaped = 0;
  if ((p = string_end(json, p + 1, &key->escaped)) == NULL)
    return NULL;
  key->len = (size_t)(p - key->at);
  p = space_end(p + 1, json->end);
  if (p == json->end || *p != ':')
    return fail(json, p, "':' expected");
  return p + 1;
}

int se_json_key(se_json *json, int first, se_json_token *key) {
  const char *p = separator_end(json, json->at, first, '}');
  if (p == NULL)
    return SE_JSON_BAD;
  if (*p == '}') {
    json->depth--;
    json->at = p + 1;
    return SE_JSON_END;
  }
  if ((p = key_end(json, p, key)) == NULL)
    return SE_JSON_BAD;
  json->at = p;
  return SE_JSON_STRING;
}

int se_json_element(se_json *json, int first) {
  const char *p = separator_end(json, json->at, first, ']');
  if (p == NULL)
    return SE_JSON_BAD;
  if (*p == ']') {
    json->depth--;
    json->at = p + 1;
    return SE_JSON_END;
  }
  json->at = p;
  return SE_JSON_ARRAY;
}

int se_json_skip(se_json *json, se_json_token *value) {
  const char *p = json->at, *end = json->end;
  const int outer = json->depth;
  int depth = outer, kind = SE_JSON_BAD, first;
  uint32_t objects = 0; /* one bit for each container opened here, the innermost lowest */
  se_json_token token;

  p = space_end(p, end);
  const char *const start = p;
  for (;;) {
    /* A value begins at p. */
    if (p == end) {
      fail(json, p, "");
      return SE_JSON_BAD;
    }
    if (*p == '{' || *p == '[') {
      if (depth == SE_JSON_DEPTH) {
        fail(json, p, "nested too deep");
        return SE_JSON_BAD;
      }
      depth++;
      objects = objects << 1 | (*p == '{');
      p++;
      first = 1;
    } else {
      if ((p = scalar_end(json, p, &kind, &token)) == NULL)
        return SE_JSON_BAD;
      first = 0;
    }
    /* Close what ends here; then on to the next value, if there is one. */
    for (;; first = 0) {
      if (depth == outer)
        goto done;
      char closing = (objects & 1) ? '}' : ']';
      if ((p = separator_end(json, p, first, closing)) == NULL)
        return SE_JSON_BAD;
      if (*p != closing)
        break;
      p++;
      depth--;
      objects >>= 1;
    }
    if (objects & 1) {
      if ((p = key_end(json, p, &token)) == NULL)
        return SE_JSON_BAD;
      p = space_end(p, end);
    }
  }
done:
  json->at = p;
  if (*start == '{' || *start == '[') {
    kind = *start == '{' ? SE_JSON_OBJECT : SE_JSON_ARRAY;
    token.escaped = 0;
    token.at = start;
    token.len = (size_t)(p - start);
  }
  if (value != NULL)
    *value = token;
  return kind;
}

int se_json_finish(se_json *json) {
  json->at = space_end(json->at, json->end);
  if (json->at == json->end)
    return 1;
  fail(json, json->at, "text after the value");
  return 0;
}

int se_json_check_utf8(se_json *json) {
  size_t len = (size_t)(json->end - json->start);
  size_t valid = se_utf8_valid(json->start, len);
  if (valid == len)
    return 1;
  fail(json, json->start + valid, "invalid UTF-8");
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

uint32_t se_json_hash(const se_json_token *token) {
  uint32_t first, last, len;
  if (!token->escaped) {
    len = (uint32_t)token->len;
    first = len == 0 ? 0 : (unsigned char)token->at[0];
    last = len == 0 ? 0 : (unsigned char)token->at[len - 1];
  } else {
    walker w = walk(token);
    int byte = next_byte(&w);
    first = last = byte < 0 ? 0 : (uint32_t)byte;
    for (len = 0; byte >= 0; len++) {
      last = (uint32_t)byte;
      byte = next_byte(&w);
    }
  }
  return (len * 0x9E3779B1u) ^ (first * 0x85EBCA6Bu) ^ (last * 0xC2B2AE35u);
}

size_t se_json_plain(const char *text, size_t len) {
  return (size_t)(plain_end(text, text + len) - text);
}

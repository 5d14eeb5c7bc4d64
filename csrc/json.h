/* json.h -- the tokenizer: JSON exactly as RFC 8259 has it.
 *
 * The envelope scan (scan.h) and the decoder (ljson.c) both read through these functions and
 * through nothing else, so a text means the same to both. It allocates nothing, reads each byte
 * once and looks at strings 64 bytes at a time.
 *
 * Refused on top of the grammar: containers nested deeper than SE_JSON_DEPTH, \u escapes that are
 * half of a surrogate pair, and numbers too large for a double. UTF-8 is not looked at here: see
 * se_json_check_utf8. What a repeated key means is the caller's business. */
#ifndef SE_JSON_H
#define SE_JSON_H

#include <stddef.h>
#include <stdint.h>

/* Deeper than any real event, and shallow enough for plain recursion in whoever walks along. */
#define SE_JSON_DEPTH 32

/* A place in a text; it need not end in a zero byte. */
typedef struct {
  const char *start, *at, *end; /* 'at': the next byte to read; after a failure, the bad one */
  const char *reason;           /* of a failure: a constant text */
  int depth;                    /* containers open around 'at' */
  /* The tokenizer's own: which of the 64 bytes at 'block' are special in a string. */
  const char *block;
  uint64_t special;
} se_json;

enum {
  SE_JSON_BAD, /* see reason and at; nothing more may be read */
  SE_JSON_END, /* the closing bracket, which has been read */
  SE_JSON_STRING,
  SE_JSON_NUMBER,
  SE_JSON_TRUE,
  SE_JSON_FALSE,
  SE_JSON_NULL,
  SE_JSON_OBJECT,
  SE_JSON_ARRAY
};

typedef struct {
  const char *at; /* a string's first byte after the quote, or a number's first */
  size_t len;     /* of a string without its quotes, as it is written */
  int escaped;    /* the string holds a backslash */
} se_json_token;

void se_json_init(se_json *json, const char *text, size_t len);

/* Reads a value: a scalar whole (strings and numbers into *token), of a container only the opening
 * bracket. Returns its kind, never SE_JSON_END. */
int se_json_value(se_json *json, se_json_token *token);

/* In an object: reads the next key and its colon (SE_JSON_STRING), or the closing brace
 * (SE_JSON_END). 'first': right after the opening brace, where no comma may stand. */
int se_json_key(se_json *json, int first, se_json_token *key);

/* In an array: SE_JSON_ARRAY when another element follows, to be read with se_json_value or
 * se_json_skip; SE_JSON_END when the closing bracket has been read. */
int se_json_element(se_json *json, int first);

/* Reads a whole value, checked to its last byte, and puts its text into *value (when not NULL).
 * Returns its kind. */
int se_json_skip(se_json *json, se_json_token *value);

/* Only white space may be left. 1, or 0 with reason and at. */
int se_json_finish(se_json *json);

/* Finds the value of a member in an object: *text and *len become its text. The object is checked to
 * its last byte, and may not repeat that member. 1; 0: it has none; -1: it is bad, with a constant
 * *reason and the *position (from 0). */
int se_json_member(const char *name, size_t name_len, const char **text, size_t *len,
                   const char **reason, size_t *position);

/* The whole text must be valid UTF-8. 1, or 0 with reason and at. */
int se_json_check_utf8(se_json *json);

/* Writes what a string token stands for; 'out' has room for token->len bytes, which is always
 * enough. Returns the number of bytes written. */
size_t se_json_unescape(const se_json_token *token, char *out);

/* Whether a string token stands for these bytes, or two of them for the same. */
int se_json_is(const se_json_token *token, const char *bytes, size_t len);
int se_json_same(const se_json_token *a, const se_json_token *b);

/* A number that is equal for tokens that stand for the same bytes, and hardly for others: whoever
 * writes them does not know the seed. */
uint64_t se_json_hash(const se_json_token *token, uint64_t seed);

/* How many leading bytes can stand in a string as they are: no quote, backslash or control. */
size_t se_json_plain(const char *text, size_t len);

#endif

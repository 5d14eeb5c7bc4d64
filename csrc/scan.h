/* scan.h -- the envelope of an event, read out of its JSON text without allocating anything.
 *
 * One of the two users of the tokenizer in json.h (the decoder is the other): since both walk the
 * text with the same code they can never disagree about which event this is. */
#ifndef SE_SCAN_H
#define SE_SCAN_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  const char *at; /* NULL: absent (or null) */
  size_t len;
} se_slice;

/* More top-level keys than this are refused: no event has them, and looking for repeated ones must
 * stay cheap. */
#define SE_SCAN_MEMBERS 256

/* One top-level member, as offsets into the text. */
typedef struct {
  uint32_t key, key_len;     /* as it is written, without the quotes */
  uint32_t key_escaped;      /* it holds a backslash */
  uint32_t value, value_len; /* the raw text of the value */
} se_scan_member;

/* The envelope. A slice points into the text, or into 'scratch' where the text had escapes: it is
 * good as long as both are, and the struct must not be moved while it is used. */
typedef struct {
  se_slice type, cid, channel_type, channel_id, user_id, created_at;
  se_slice user;         /* raw text of the whole "user" value, '{' to '}' */
  const char *reason;    /* SE_SCAN_BAD: what is wrong, a constant text */
  size_t position;       /* SE_SCAN_BAD: offset of the byte where it showed, from 0 */
  size_t member_count;   /* SE_SCAN_EVENT: all of them, in their order */
  size_t scratch_used;
  char scratch[1536];
  se_scan_member members[SE_SCAN_MEMBERS];
} se_envelope;

enum {
  SE_SCAN_EVENT,     /* well-formed to its last byte; the envelope is filled */
  SE_SCAN_UNWANTED,  /* 'wanted' said no; only 'type' is filled, and the rest of the text may be
                        anything */
  SE_SCAN_BAD        /* refused: see reason and position */
};

/* Asked once, as soon as the top-level "type" is known (its bytes are unescaped, valid UTF-8, 1 to
 * 255 bytes, no control characters): where the text does not begin with it, its end is looked at
 * before all that lies between is walked through. Nonzero: go on. */
typedef int (*se_scan_wanted)(void *user, const char *type, size_t len);

/* 'text' need not be zero-terminated. 'wanted' may be NULL: everything is. UTF-8 is checked here
 * unless 'utf8_checked' says that the WebSocket layer has done it.
 * Refuses: what RFC 8259 refuses; a top level that is no object; a missing, empty, overlong or
 * non-string type; other envelope values of a wrong type (null is as good as absent); a top-level
 * key, or an "id" in "user", that comes twice; an envelope name written with escapes
 * ("ty\u0070e"); more than SE_SCAN_MEMBERS top-level keys; depth over 32; lone surrogates; text
 * after the object; a channel_type or channel_id that contradicts the cid. */
int se_scan(const char *text, size_t len, int utf8_checked, se_scan_wanted wanted, void *user,
            se_envelope *out);

/* The same, everything being wanted, for an event that is a member of an object: in one pass over
 * the text. 1: *text and *len are its own now; 0: something is wrong, which se_json_member and
 * se_scan can tell. */
int se_scan_within(const char *name, size_t name_len, const char **text, size_t *len,
                   se_envelope *out);

#endif

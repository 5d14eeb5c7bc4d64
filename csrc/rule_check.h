/* rule_check.h -- compares the text of an event with what its rule declares, as it stands: nothing
 * is decoded, and as long as nothing is written in an unusual way nothing is allocated. */
#ifndef SE_RULE_CHECK_H
#define SE_RULE_CHECK_H

#include "buffer.h"
#include "rule_set_private.h"

/* Working memory, kept from one event to the next. */
typedef struct {
  uint64_t seed;
  uint64_t work;   /* that matchers took in this event */
  se_buffer plain; /* a string without its escapes */
  se_buffer cuts;  /* what 'strip' takes out of the text, from front to back */
  se_buffer keys;  /* hashes of the keys of an object that must not be counted twice */
  char *rewritten; /* the text that is looked at, while it is one that a rewrite made; else NULL */
} se_check_space;
void se_check_space_init(se_check_space *space);
void se_check_space_free(se_check_space *space);
/* Lets go of what only an unusual event needed. */
void se_check_space_trim(se_check_space *space);

/* Each gives SE_REASON_NONE, or what is wrong with the event and, in 'text' (of SE_RULE_TEXT
 * bytes), words for it. The words name what the rule declares; of what the sender wrote at most a
 * short key of plain letters is shown. */
int se_check_trust(const se_rule *rule, const se_rule_event *event, char *text);
int se_check_from(se_check_space *space, const se_rule *rule, const se_rule_event *event,
                  char *text);
int se_check_size(const se_rule *rule, size_t len, char *text);
/* 'event' says text, envelope and sender. What is to be stripped is in space->cuts afterwards. */
int se_check_data(se_check_space *space, const se_rule *rule, const se_rule_event *event,
                  char *text);

/* Whether se_check_data found something to strip. */
int se_check_has_cuts(const se_check_space *space);
/* Writes the text without that to the end of 'out'. SE_OK, SE_ERR_MEMORY, SE_ERR_FULL. */
int se_check_strip(const se_check_space *space, const char *text, size_t len, se_buffer *out);

/* Whether a top-level member, whose scan this is, belongs to the envelope and not to the data.
 * Names are compared by what they stand for. */
int se_check_is_envelope(const char *text, const se_scan_member *member, se_slice sender);
/* Whether data must not have a key of this name at all. */
int se_check_is_reserved(const char *name, size_t len);

#endif

/* rule_match.h -- how strings are compared in rules (wildcards: glob.h). All work is linear,
 * whatever a sender wrote. */
#ifndef SE_RULE_MATCH_H
#define SE_RULE_MATCH_H

#include <stddef.h>

/* Characters (code points) of valid UTF-8. */
size_t se_match_length(const char *text, size_t len);

int se_match_starts(const char *text, size_t len, const char *start, size_t start_len);
int se_match_ends(const char *text, size_t len, const char *end, size_t end_len);

/* Where 'part' is first found, or NULL. Takes time linear in 'len', however alike the two are. */
const char *se_match_find(const char *text, size_t len, const char *part, size_t part_len);

#endif

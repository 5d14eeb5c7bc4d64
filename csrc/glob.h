/* glob.h -- wildcards: '*' stands for any run of characters, '?' for one, everything else for
 * itself, and the pattern for the whole text.
 *
 * Characters are code points of UTF-8. There are no classes and nothing nests, so the work is at
 * most the product of both lengths; 'steps' bounds even that. */
#ifndef SE_GLOB_H
#define SE_GLOB_H

#include <stddef.h>

/* Enough for any pattern that is written by hand and any text of a chat. */
#define SE_GLOB_STEPS 1000000

/* 1: it fits; 0: it does not; -1: not known after so many steps, to be taken as "does not". Takes
 * the steps that were needed off *steps. */
int se_glob(const char *pattern, size_t pattern_len, const char *text, size_t text_len,
            size_t *steps);

#endif

/* lrule_words.h -- the statements of a rule file and the constructors of fields, as they are written.
 *
 * They only record. What may stand where is looked at by whoever asked for the file. */
#ifndef SE_LRULE_WORDS_H
#define SE_LRULE_WORDS_H

#include "compat.h"

/* A file that is being loaded. */
typedef struct se_load {
  lua_State *host;     /* who asked for it */
  int reader;          /* stack index there of the function that calls 'read', which lies above it;
                          0: there is none */
  const char *name;    /* of the file, zero-terminated */
  const char *text;
  size_t len;
  char *included;      /* the text of a file that was read, malloc'ed; or NULL */
  size_t included_len;
  int depth;           /* of includes */
} se_load;

/* Adds the words to the table on top of the stack. */
void se_rule_words_add(lua_State *L);
/* string { ... } */
int se_word_string(lua_State *L);

/* Compile the file of the sandbox's load, then run it; both raise for what is wrong in it. The second
 * pushes the list of its statements, each a list of kind, name, value (or nil), file, line: see
 * SE_STATEMENT_*. */
enum { SE_STATEMENT_KIND = 1, SE_STATEMENT_NAME, SE_STATEMENT_VALUE, SE_STATEMENT_FILE,
       SE_STATEMENT_LINE };
void se_rule_words_compile(lua_State *L);
void se_rule_words_run(lua_State *L);

/* The field constructor at 'index': its word, and *line (0: a bare word). NULL: it is none. */
const char *se_word_field(lua_State *L, int index, int *line);
/* Pushes what it was called with (nil: it was not) and the name of its file (or nil). */
void se_word_push_field(lua_State *L, int index);

/* In the host: calls 'read' for the name of an included file. Upvalues: none; see lrule_state.c. */
typedef struct {
  const char *name;
  char *text; /* malloc'ed, or NULL with a reason */
  size_t len;
  int no_memory; /* the reason is that there is none in the process */
  char reason[200];
} se_include;
int se_include_read(lua_State *host, const se_load *load, se_include *include);

#endif

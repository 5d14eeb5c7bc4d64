/* lsandbox_state.h -- the inside of a sandbox, for the parts of it. */
#ifndef SE_LSANDBOX_STATE_H
#define SE_LSANDBOX_STATE_H

#include "lsandbox.h"

/* Loading runs the whole file once, and compiles it: it may take more than one call. */
#define SE_LOAD_INSTRUCTIONS 100 /* times */
#define SE_LOAD_SECONDS 2.0
#define SE_LOAD_TEXT (1u << 20)  /* bytes of one file */

struct se_load; /* lrule_words.h */

struct se_sandbox {
  lua_State *L;
  size_t references;
  se_sandbox_limits limits;
  int own_memory; /* the state takes its memory through us; see lsandbox.c for where it cannot */
  /* Memory */
  size_t used, peak;
  size_t block;      /* no single block may be larger */
  size_t settled;    /* what was in use after garbage was last collected by us */
  size_t fresh;      /* bytes given out since the clock was last looked at */
  int refused;       /* memory was refused in this run */
  int system_full;   /* the system had none; not just the cap */
  long fail_after;   /* for specs: so many allocations, then none until the run ends; -1: off */
  int failing;
  int lenient;       /* nothing is refused now */
  /* The run that is on. */
  int running, exact;
  int broken;        /* the budget that is used up, SE_REASON_BUDGET_*; stays until the run ends */
  int callbacks;     /* of C functions into Lua, that are on */
  uint64_t spent, allowed; /* instructions */
  uint64_t unclocked;      /* work since the clock was last looked at */
  uint64_t started, looked;   /* monotonic nanoseconds: when it began, when we last looked */
  uint64_t counted, allowed_time; /* nanoseconds */
  size_t before;           /* memory in use when it began */
  double seconds;          /* what it took */
  char place[128];         /* "FILE:LINE: " of where a budget ran out, or "" */
  char message[1024];      /* what went wrong; "" when nothing did */
  struct se_load *load;    /* while a file is loaded */
  const void *string_word; /* the value of the name 'string' */
  const void *globals;     /* the address of their table */
};

/* The same as se_sandbox_new; 'fail_after' as above. */
se_sandbox *se_sandbox_make(const se_sandbox_limits *limits, long fail_after);

/* The sandbox that this state belongs to. */
se_sandbox *se_sandbox_of(lua_State *L);

/* Makes the garbage collector fit to what is in use now. */
void se_sandbox_settle(se_sandbox *sandbox);

/* Calls f with 'user' as a light userdata, within budgets. 0, or the SE_REASON_* of what went wrong
 * (SE_REASON_CHECK_ERROR: an error was raised) with sandbox->message set. Never raises. */
int se_sandbox_run(se_sandbox *sandbox, lua_CFunction f, void *user, uint64_t instructions,
                   double seconds);

/* What C functions do is work, too: about one unit for as much as an instruction does, or for 16
 * bytes that are looked at. Raises when a budget is used up. Call it before doing the work. */
void se_sandbox_spend(lua_State *L, size_t work);
/* Raises when so many bytes could never be had: where the state's memory is not ours, the only bound
 * of what a C function puts together. */
void se_sandbox_room(lua_State *L, size_t bytes);
/* Calls the function below its arguments, as lua_call; only so often within one another. */
void se_sandbox_callback(lua_State *L, int arguments, int results);
/* Collects garbage where little room is left, but not again and again. To be called in a run. */
void se_sandbox_relieve(se_sandbox *sandbox, lua_State *L);
/* Takes the memory for used up; raises. */
int se_sandbox_too_much(lua_State *L);
/* The same, where it is the system that has none. */
int se_sandbox_no_memory(lua_State *L);
/* A look at the clock. */
void se_sandbox_tick(lua_State *L);
uint64_t se_sandbox_clock(void); /* monotonic nanoseconds */
/* What has passed since then was the host's time, and does not count. */
void se_sandbox_pause(se_sandbox *sandbox, uint64_t since);

/* Each pushes one new table of functions. */
void se_sandbox_push_base(lua_State *L);   /* lsandbox_base.c */
void se_sandbox_push_string(lua_State *L); /* lsandbox_string.c */
void se_sandbox_add_arithmetic(lua_State *L); /* to the metatable of strings on top */
void se_sandbox_push_table(lua_State *L);  /* lsandbox_table.c */
void se_sandbox_push_math(lua_State *L);   /* lsandbox_math.c */
void se_sandbox_push_utf8(lua_State *L);   /* lsandbox_utf8.c */
/* Makes the table of globals out of them, frozen, and keeps it. (lsandbox_library.c) */
int se_sandbox_open_library(lua_State *L);
void se_sandbox_push_globals(lua_State *L);
/* Pushes the table that keeps functions by their reference, for luaL_ref. Neither stands under a
 * number in the registry: before 5.4, where memory runs out while a table grows, it may lose what
 * stands under numbers. (lsandbox_library.c) */
void se_sandbox_push_functions(lua_State *L);

/* Pushes the text that stands for the value at 'index': never an address, never of a metamethod.
 * (lsandbox_base.c) */
const char *se_sandbox_text(lua_State *L, int index, size_t *len);

/* A table of the rules' own, or part of an event. */
typedef struct {
  int table;  /* stack index */
  int frozen;
} se_view;
/* Pushes the table to look into; 0: the value at 'index' is neither, and nothing is pushed. */
int se_view_open(lua_State *L, int index, se_view *view);
/* Replaces the key on top by its value. */
void se_view_get(lua_State *L, const se_view *view);
void se_view_geti(lua_State *L, const se_view *view, lua_Integer index);

/* Sorts the elements 1 to count of the table at 'list'. 'less' tells whether the value at the first
 * index comes before the one at the second; it may raise, and whatever it answers, the sort ends.
 * (lsandbox_table.c) */
typedef int (*se_less)(lua_State *L, int a, int b, void *user);
void se_sandbox_sort(lua_State *L, int list, lua_Integer count, se_less less, void *user);
/* Numbers before strings (byte by byte) before false before true before all else. */
int se_key_less(lua_State *L, int a, int b, void *user);

#endif

/* lsandbox.c -- a Lua state of its own for the text of rules: its memory, its budgets, and the only
 * way into it.
 *
 * Memory: the state takes all of it through an allocator that counts and refuses, first allocations
 * as well as growth. It looks at the clock, too, since one instruction can make a string of
 * megabytes.
 *
 * Instructions and time: a hook counts. Once a budget is used up, the run is broken until its
 * outermost call has ended: the hook raises at every further instruction and the allocator gives
 * nothing, so that nothing a rule might have around itself can go on. (It has nothing: no pcall, no
 * coroutines, no finalizers, no metatables.)
 *
 * LuaJIT without GC64 takes no allocator. There the hook looks every 4 instructions at what the
 * collector says is in use. One concatenation can then pass the cap by some times its size before it
 * shows; LuaJIT's own limit of 2 GB is the last bound, and ends in the same answer. */
#include "lsandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lcore.h"
#include "lsandbox_state.h"
#include "printable.h"

#define STEP 100         /* instructions from one look at the budgets to the next */
#define STEP_BLIND 4     /* where memory can only be looked at then */
#define PAUSES 5         /* so many long pauses use up the time */
#define WALL 10          /* times the time that may pass by the clock on the wall */
#define FRESH 65536      /* bytes given out between two looks at the clock */
#define UNCLOCKED 2000   /* work between two looks at the clock */
#define CALLBACKS 50     /* calls from C into Lua, within one another */
#define COLLECTIONS 8
#define BLOCK_SHARE 4    /* a single block takes at most this part of the cap */

#if LUA_VERSION_NUM == 501 && defined(__GNUC__)
/* Of LuaJIT alone: NULL in a program that runs the Lua of 5.1. */
extern int luaJIT_setmode(lua_State *L, int index, int mode) __attribute__((weak));
#endif

/* Registry key (by address) of the sandbox, for a state that has not our allocator. */
static const char sandbox_key = 0;

uint64_t se_sandbox_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Looks at the clock. A machine with much to do may stop us between two looks for longer than a rule
 * is given at all, and that is not the rule's doing: so of each pause only a part counts, and the
 * clock on the wall decides alone when it is far beyond the limit. */
static int is_late(se_sandbox *sandbox) {
  uint64_t now = se_sandbox_clock(), pause = now - sandbox->looked;
  sandbox->looked = now;
  sandbox->counted += pause < sandbox->allowed_time / PAUSES ? pause : sandbox->allowed_time / PAUSES;
  return sandbox->counted > sandbox->allowed_time ||
         now - sandbox->started > sandbox->allowed_time * WALL;
}

void se_sandbox_pause(se_sandbox *sandbox, uint64_t since) {
  uint64_t now = se_sandbox_clock();
  sandbox->started += now - since;
  sandbox->looked = now;
}

/* ------------------------------------------------------------------------------------- memory */

static int fits(const se_sandbox *sandbox, size_t size, size_t more) {
  return size <= sandbox->block && sandbox->used <= sandbox->limits.memory &&
         more <= sandbox->limits.memory - sandbox->used;
}

/* Whether so many more bytes may be had, in a block of 'size'. */
static int may_grow(se_sandbox *sandbox, size_t size, size_t more) {
  if (sandbox->lenient)
    return 1;
  if (sandbox->fail_after >= 0 && --sandbox->fail_after < 0)
    sandbox->failing = 1;
  if (sandbox->failing || sandbox->broken != 0)
    return 0;
  sandbox->fresh += more;
  if (sandbox->fresh > FRESH || !fits(sandbox, size, more)) {
    sandbox->fresh = 0;
    if (sandbox->running && is_late(sandbox)) {
      sandbox->broken = SE_REASON_BUDGET_TIME;
      return 0;
    }
  }
  return fits(sandbox, size, more);
}

static void *allocate(void *user, void *block, size_t old, size_t size) {
  se_sandbox *sandbox = user;
  if (block == NULL)
    old = 0; /* it tells a type instead */
  if (size == 0) {
    free(block);
    sandbox->used -= old;
    return NULL;
  }
  if (size > old && !may_grow(sandbox, size, size - old)) {
    sandbox->refused = 1;
    return NULL;
  }
  void *moved = realloc(block, size);
  if (moved == NULL) {
    if (size > old) {
      sandbox->system_full = 1;
      return NULL;
    }
    moved = block; /* Lua takes for granted that a block can shrink */
  }
  sandbox->used += size - old;
  if (sandbox->used > sandbox->peak)
    sandbox->peak = sandbox->used;
  return moved;
}

/* What is in use, where the state does not tell us. */
static void measure(se_sandbox *sandbox) {
  if (!sandbox->own_memory) {
    sandbox->used = (size_t)lua_gc(sandbox->L, LUA_GCCOUNT, 0) * 1024;
    if (sandbox->used > sandbox->peak)
      sandbox->peak = sandbox->used;
  }
}

se_sandbox *se_sandbox_of(lua_State *L) {
  void *user;
  if (lua_getallocf(L, &user) == allocate)
    return user;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &sandbox_key);
  user = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return user;
}

/* ------------------------------------------------------------------------------------- budgets */

static void arm(lua_State *L, int step);

/* Remembers which line of the rules is at work. */
static void note_place(se_sandbox *sandbox, lua_State *L) {
  lua_Debug ar;
  for (int level = 0; level < 8 && lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline > 0) {
      snprintf(sandbox->place, sizeof sandbox->place, "%s:%d: ", ar.short_src, ar.currentline);
      return;
    }
  }
}

/* Raises what is only a mark: there may be no memory for a text. */
static int raise_broken(se_sandbox *sandbox, lua_State *L) {
  if (sandbox->place[0] == '\0')
    note_place(sandbox, L);
  arm(L, 1);
  lua_pushlightuserdata(L, NULL);
  return lua_error(L);
}

/* Where the allocator cannot: breaks the run when too much is in use. */
static void check_memory(se_sandbox *sandbox) {
  if (sandbox->own_memory)
    return;
  measure(sandbox);
  /* Each time LuaJIT gives back half of the buffer that its texts are put together in. */
  for (int i = 0; i < COLLECTIONS && sandbox->used > sandbox->limits.memory; i++) {
    lua_gc(sandbox->L, LUA_GCCOLLECT, 0);
    measure(sandbox);
  }
  if (sandbox->used > sandbox->limits.memory)
    sandbox->broken = SE_REASON_BUDGET_MEMORY;
}

static void on_count(lua_State *L, lua_Debug *ar) {
  se_sandbox *sandbox = se_sandbox_of(L);
  (void)ar;
  sandbox->spent += (uint64_t)lua_gethookcount(L);
  if (sandbox->broken == 0) {
    if (sandbox->spent >= sandbox->allowed)
      sandbox->broken = SE_REASON_BUDGET_INSTRUCTIONS;
    else if (is_late(sandbox))
      sandbox->broken = SE_REASON_BUDGET_TIME;
  }
  if (sandbox->broken == 0)
    check_memory(sandbox);
  if (sandbox->broken != 0)
    raise_broken(sandbox, L);
  se_sandbox_relieve(sandbox, L);
}

static void arm(lua_State *L, int step) {
  lua_sethook(L, on_count, LUA_MASKCOUNT, step);
}

void se_sandbox_tick(lua_State *L) {
  se_sandbox *sandbox = se_sandbox_of(L);
  sandbox->unclocked = 0;
  if (sandbox->running && sandbox->broken == 0 && is_late(sandbox))
    sandbox->broken = SE_REASON_BUDGET_TIME;
  if (sandbox->broken == 0)
    check_memory(sandbox);
  if (sandbox->broken != 0)
    raise_broken(sandbox, L);
}

void se_sandbox_spend(lua_State *L, size_t work) {
  se_sandbox *sandbox = se_sandbox_of(L);
  if (sandbox->spent >= sandbox->allowed || work >= sandbox->allowed - sandbox->spent) {
    work = 0; /* it is not going to be done */
    sandbox->spent = sandbox->allowed;
    if (sandbox->broken == 0)
      sandbox->broken = SE_REASON_BUDGET_INSTRUCTIONS;
  }
  sandbox->spent += work;
  sandbox->unclocked += work;
  if (sandbox->broken != 0)
    raise_broken(sandbox, L);
  if (sandbox->unclocked > UNCLOCKED)
    se_sandbox_tick(L);
}

void se_sandbox_room(lua_State *L, size_t bytes) {
  if (bytes > se_sandbox_of(L)->limits.memory)
    se_sandbox_too_much(L);
}

void se_sandbox_callback(lua_State *L, int arguments, int results) {
  se_sandbox *sandbox = se_sandbox_of(L);
  if (sandbox->callbacks == CALLBACKS)
    luaL_error(L, "functions call one another too deeply");
  sandbox->callbacks++;
  lua_call(L, arguments, results);
  sandbox->callbacks--;
}

/* From 5.2 on Lua itself collects before it gives up, but not before it is refused. */
void se_sandbox_relieve(se_sandbox *sandbox, lua_State *L) {
  size_t cap = sandbox->limits.memory;
  measure(sandbox);
  if (sandbox->used < cap / 2 || sandbox->used < sandbox->settled + cap / 8)
    return;
  lua_gc(L, LUA_GCCOLLECT, 0);
  measure(sandbox);
  sandbox->settled = sandbox->used;
}

int se_sandbox_too_much(lua_State *L) {
  se_sandbox *sandbox = se_sandbox_of(L);
  if (sandbox->broken == 0)
    sandbox->broken = SE_REASON_BUDGET_MEMORY;
  return raise_broken(sandbox, L);
}

int se_sandbox_no_memory(lua_State *L) {
  se_sandbox_of(L)->system_full = 1;
  return se_sandbox_too_much(L);
}

/* ------------------------------------------------------------------------------------- a run */

typedef struct {
  se_sandbox *sandbox;
  lua_CFunction f;
  void *user;
} entry;

/* From here on errors are caught. */
static int enter(lua_State *L) {
  entry *e = lua_touserdata(L, 1);
  e->sandbox->lenient = 0;
  se_sandbox_relieve(e->sandbox, L);
  lua_settop(L, 0);
  lua_pushlightuserdata(L, e->user);
  return e->f(L);
}

static int protect(se_sandbox *sandbox, lua_CFunction f, void *user) {
  entry e = {sandbox, f, user};
  int status;
#if LUA_VERSION_NUM == 501
  sandbox->lenient = 1; /* it needs some bytes itself, and all may be taken by garbage */
  status = lua_cpcall(sandbox->L, enter, &e);
#else
  lua_pushcfunction(sandbox->L, enter); /* takes no memory */
  lua_pushlightuserdata(sandbox->L, &e);
  status = lua_pcall(sandbox->L, 1, 0, 0);
#endif
  sandbox->lenient = 0;
  return status;
}

static int budget_message(se_sandbox *sandbox, int reason) {
  char *out = sandbox->message;
  size_t size = sizeof sandbox->message;
  const char *place = sandbox->place;
  if (reason == SE_REASON_BUDGET_INSTRUCTIONS)
    snprintf(out, size, "%smore than %.0f instructions", place, (double)sandbox->allowed);
  else if (reason == SE_REASON_BUDGET_TIME)
    snprintf(out, size, "%slonger than %.6g seconds", place, (double)sandbox->allowed_time * 1e-9);
  else if (sandbox->system_full)
    snprintf(out, size, "%sthe system has no more memory", place);
  else
    snprintf(out, size, "%smore than %.0f bytes of memory, or %.0f in one value", place,
             (double)sandbox->limits.memory, (double)sandbox->block);
  return reason;
}

/* What went wrong, by the status of the protected call, whose error is on top of the stack. */
static int conclude(se_sandbox *sandbox, int status) {
  const char *text;
  size_t len;
  sandbox->message[0] = '\0';
  if (status == LUA_OK)
    return 0;
  if (sandbox->broken != 0)
    return budget_message(sandbox, sandbox->broken);
  if (status == LUA_ERRMEM)
    return budget_message(sandbox, SE_REASON_BUDGET_MEMORY);
  if (lua_type(sandbox->L, -1) == LUA_TSTRING) {
    text = lua_tolstring(sandbox->L, -1, &len);
    /* As luaL_Buffer puts it, and luaL_checkstack. */
    if (sandbox->refused && (strstr(text, "not enough memory") != NULL ||
                             strstr(text, "stack overflow (") != NULL))
      return budget_message(sandbox, SE_REASON_BUDGET_MEMORY);
    se_printable(text, len, sandbox->message, sizeof sandbox->message);
  } else {
    snprintf(sandbox->message, sizeof sandbox->message, "an error without a text");
  }
  return SE_REASON_CHECK_ERROR;
}

int se_sandbox_run(se_sandbox *sandbox, lua_CFunction f, void *user, uint64_t instructions,
                   double seconds) {
  lua_State *L = sandbox->L;
  int status, reason;
  measure(sandbox);
  sandbox->broken = sandbox->refused = sandbox->system_full = 0;
  sandbox->place[0] = '\0';
  sandbox->spent = sandbox->unclocked = 0;
  sandbox->allowed = instructions;
  sandbox->before = sandbox->peak = sandbox->used;
  sandbox->started = sandbox->looked = se_sandbox_clock();
  sandbox->counted = 0;
  sandbox->callbacks = 0;
  sandbox->allowed_time = (uint64_t)(seconds * 1e9);
  sandbox->running = 1;
  arm(L, sandbox->exact ? 1 : sandbox->own_memory ? STEP : STEP_BLIND);
  status = protect(sandbox, f, user);
  measure(sandbox);
  sandbox->seconds = (double)(se_sandbox_clock() - sandbox->started) * 1e-9;
  reason = conclude(sandbox, status);
  sandbox->running = sandbox->broken = 0;
  sandbox->failing = 0;
  if (reason != 0)
    sandbox->settled = 0; /* what it has left behind is garbage now */
  lua_settop(L, 0);
  return reason;
}

/* ------------------------------------------------------------------------------------- the state */

/* Nothing in it may raise before it is in a protected call. */
static void make_state(se_sandbox *sandbox) {
#if LUA_VERSION_NUM == 501 && defined(__GNUC__)
  if (luaJIT_setmode != NULL && sizeof(void *) == 8) {
    /* Where all objects lie below 4 GB, that is what pointers have room for, and lua_newstate
     * refuses (not without printing something). */
    sandbox->L = luaL_newstate();
    if (sandbox->L == NULL || (uintptr_t)sandbox->L >> 32 == 0)
      return;
    lua_close(sandbox->L);
  }
#endif
  sandbox->own_memory = 1;
#if LUA_VERSION_NUM == 501 && defined(__GNUC__)
  sandbox->lenient = luaJIT_setmode != NULL; /* its lua_newstate crashes when it is refused */
#endif
  sandbox->L = lua_newstate(allocate, sandbox);
  sandbox->lenient = 0;
}

static int open_state(lua_State *L) {
  se_sandbox *sandbox = lua_touserdata(L, 1);
  if (!sandbox->own_memory) {
    lua_pushlightuserdata(L, sandbox);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &sandbox_key);
  }
  return se_sandbox_open_library(L);
}

se_sandbox *se_sandbox_make(const se_sandbox_limits *limits, long fail_after) {
  se_sandbox *sandbox = calloc(1, sizeof *sandbox);
  if (sandbox == NULL)
    return NULL;
  sandbox->references = 1;
  sandbox->limits = *limits;
  sandbox->block = limits->memory / BLOCK_SHARE;
  if (sandbox->block < FRESH)
    sandbox->block = FRESH;
  sandbox->fail_after = fail_after;
  make_state(sandbox);
  if (sandbox->L == NULL) {
    free(sandbox);
    return NULL;
  }
#if LUA_VERSION_NUM == 501 && defined(__GNUC__)
  if (luaJIT_setmode != NULL)
    luaJIT_setmode(sandbox->L, 0, 0); /* compiled code calls no hook */
#endif
  if (se_sandbox_run(sandbox, open_state, sandbox, UINT64_MAX, SE_LOAD_SECONDS) != 0) {
    se_sandbox_free(sandbox);
    return NULL;
  }
  return sandbox;
}

se_sandbox *se_sandbox_new(const se_sandbox_limits *limits) {
  return se_sandbox_make(limits, -1);
}

void se_sandbox_keep(se_sandbox *sandbox) {
  sandbox->references++;
}

void se_sandbox_free(se_sandbox *sandbox) {
  if (sandbox == NULL || --sandbox->references > 0)
    return;
  lua_sethook(sandbox->L, NULL, 0, 0);
  lua_close(sandbox->L);
  free(sandbox);
}

void se_sandbox_exact(se_sandbox *sandbox, int yes) {
  sandbox->exact = yes;
}

size_t se_sandbox_memory(const se_sandbox *sandbox) {
  if (!sandbox->own_memory)
    return (size_t)lua_gc(sandbox->L, LUA_GCCOUNT, 0) * 1024;
  return sandbox->used;
}

/* The collector runs so seldom that a small rule hardly pays for it, and so often that what it
 * leaves lying around never takes more than half of the cap. */
static int settle(lua_State *L) {
  se_sandbox *sandbox = lua_touserdata(L, 1);
  lua_gc(L, LUA_GCCOLLECT, 0);
  measure(sandbox);
  sandbox->settled = sandbox->used;
  size_t percent = sandbox->limits.memory / 2 * 100 / (sandbox->used + 1);
  lua_gc(L, LUA_GCSETPAUSE, percent > 1000 ? 1000 : percent < 150 ? 150 : (int)percent);
  lua_gc(L, LUA_GCSETSTEPMUL, 400);
  return 0;
}

void se_sandbox_settle(se_sandbox *sandbox) {
  se_sandbox_run(sandbox, settle, sandbox, UINT64_MAX, SE_LOAD_SECONDS);
}

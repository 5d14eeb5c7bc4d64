/* lsandbox_math.c -- the math library of rules: without random numbers, so that the same event always
 * gets the same answer. */
#include <math.h>

#include "lcore.h"
#include "lsandbox_state.h"

#define ONE(name, expression)                                                                      \
  static int math_##name(lua_State *L) {                                                           \
    double x = (double)luaL_checknumber(L, 1);                                                     \
    lua_pushnumber(L, (lua_Number)(expression));                                                   \
    return 1;                                                                                      \
  }
ONE(acos, acos(x))
ONE(asin, asin(x))
ONE(cos, cos(x))
ONE(deg, x * (180.0 / 3.14159265358979323846))
ONE(exp, exp(x))
ONE(rad, x * (3.14159265358979323846 / 180.0))
ONE(sin, sin(x))
ONE(sqrt, sqrt(x))
ONE(tan, tan(x))

/* A whole number as an integer, where Lua has them and it is one. */
static void push_whole(lua_State *L, double x) {
  if (x >= -9223372036854775808.0 && x < 9223372036854775808.0)
    se_push_int64(L, (int64_t)x);
  else
    lua_pushnumber(L, (lua_Number)x);
}

static int round_with(lua_State *L, double (*round_off)(double)) {
  luaL_checknumber(L, 1);
  lua_settop(L, 1);
  if (!lua_isinteger(L, 1))
    push_whole(L, round_off((double)lua_tonumber(L, 1)));
  return 1;
}

static int math_ceil(lua_State *L) {
  return round_with(L, ceil);
}

static int math_floor(lua_State *L) {
  return round_with(L, floor);
}

static int math_abs(lua_State *L) {
  luaL_checknumber(L, 1);
  if (lua_isinteger(L, 1)) {
    int64_t x = se_to_int64(L, 1);
    se_push_int64(L, x < 0 ? (int64_t)(0u - (uint64_t)x) : x);
  } else {
    lua_pushnumber(L, (lua_Number)fabs((double)lua_tonumber(L, 1)));
  }
  return 1;
}

/* atan(y, x = 1) */
static int math_atan(lua_State *L) {
  double y = (double)luaL_checknumber(L, 1), x = (double)luaL_optnumber(L, 2, 1);
  lua_pushnumber(L, (lua_Number)atan2(y, x));
  return 1;
}

/* log(x, base = e) */
static int math_log(lua_State *L) {
  double x = (double)luaL_checknumber(L, 1), base;
  if (lua_isnoneornil(L, 2)) {
    lua_pushnumber(L, (lua_Number)log(x));
    return 1;
  }
  base = (double)luaL_checknumber(L, 2);
  lua_pushnumber(L, (lua_Number)(base == 2 ? log2(x) : base == 10 ? log10(x) : log(x) / log(base)));
  return 1;
}

static int math_fmod(lua_State *L) {
  double x = (double)luaL_checknumber(L, 1), y = (double)luaL_checknumber(L, 2);
  if (lua_isinteger(L, 1) && lua_isinteger(L, 2)) {
    int64_t a = se_to_int64(L, 1), b = se_to_int64(L, 2);
    luaL_argcheck(L, b != 0, 2, "zero");
    se_push_int64(L, b == -1 ? 0 : a % b); /* the smallest integer by -1 would trap */
  } else {
    lua_pushnumber(L, (lua_Number)fmod(x, y));
  }
  return 1;
}

static int math_modf(lua_State *L) {
  double x = (double)luaL_checknumber(L, 1), whole = x < 0 ? ceil(x) : floor(x);
  lua_pushnumber(L, (lua_Number)whole);
  lua_pushnumber(L, (lua_Number)(isinf(x) ? 0.0 : x - whole));
  return 2;
}

/* The greatest argument, or the least. */
static int extreme(lua_State *L, int greatest) {
  int count = lua_gettop(L), best = 1;
  luaL_checknumber(L, 1);
  se_sandbox_spend(L, (size_t)count);
  for (int i = 2; i <= count; i++) {
    int a = greatest ? best : i, b = greatest ? i : best;
    luaL_checknumber(L, i);
#if LUA_VERSION_NUM == 501
    if (lua_lessthan(L, a, b))
#else
    if (lua_compare(L, a, b, LUA_OPLT))
#endif
      best = i;
  }
  lua_pushvalue(L, best);
  return 1;
}

static int math_max(lua_State *L) {
  return extreme(L, 1);
}

static int math_min(lua_State *L) {
  return extreme(L, 0);
}

static int math_tointeger(lua_State *L) {
  double x;
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  if (lua_type(L, 1) != LUA_TNUMBER) {
    lua_pushnil(L);
  } else if (!lua_isinteger(L, 1)) {
    x = (double)lua_tonumber(L, 1);
    if (floor(x) == x && x >= -9223372036854775808.0 && x < 9223372036854775808.0)
      push_whole(L, x);
    else
      lua_pushnil(L);
  }
  return 1;
}

static int math_type(lua_State *L) {
  luaL_checkany(L, 1);
  if (lua_type(L, 1) != LUA_TNUMBER)
    lua_pushnil(L);
  else
    lua_pushstring(L, lua_isinteger(L, 1) ? "integer" : "float");
  return 1;
}

static const luaL_Reg functions[] = {
    {"abs", math_abs},   {"acos", math_acos}, {"asin", math_asin}, {"atan", math_atan},
    {"ceil", math_ceil}, {"cos", math_cos},   {"deg", math_deg},   {"exp", math_exp},
    {"floor", math_floor}, {"fmod", math_fmod}, {"log", math_log}, {"max", math_max},
    {"min", math_min},   {"modf", math_modf}, {"rad", math_rad},   {"sin", math_sin},
    {"sqrt", math_sqrt}, {"tan", math_tan},   {"tointeger", math_tointeger}, {"type", math_type},
    {NULL, NULL}};

void se_sandbox_push_math(lua_State *L) {
  luaL_newlib(L, functions);
  lua_pushnumber(L, (lua_Number)3.14159265358979323846);
  lua_setfield(L, -2, "pi");
  lua_pushnumber(L, (lua_Number)HUGE_VAL);
  lua_setfield(L, -2, "huge");
#if LUA_VERSION_NUM == 501
  se_push_int64(L, INT64_C(9007199254740992));
  lua_setfield(L, -2, "maxinteger");
  se_push_int64(L, -INT64_C(9007199254740992));
#else
  se_push_int64(L, INT64_MAX);
  lua_setfield(L, -2, "maxinteger");
  se_push_int64(L, INT64_MIN);
#endif
  lua_setfield(L, -2, "mininteger");
}

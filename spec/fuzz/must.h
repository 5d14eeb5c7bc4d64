/* must.h -- what a fuzz target claims: where it does not hold, libFuzzer keeps the input. */
#ifndef FUZZ_MUST_H
#define FUZZ_MUST_H

#include <stdlib.h>

#define MUST(condition) \
  do { \
    if (!(condition)) \
      abort(); \
  } while (0)

#endif

/* fuzz.h - what the harnesses share. */
#ifndef OCIGC_FUZZ_FUZZ_H
#define OCIGC_FUZZ_FUZZ_H

#include "base/base.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif

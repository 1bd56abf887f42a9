/* The scanner on any bytes: it must end, and agree with itself on what it took. */

#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ocigc_error error;
    int32_t code = ocigc_json_check((const char *)data, size, &error);
    if (code == OCIGC_OK) {
        /* What is JSON stays so with white space around it, and as a member and an element. */
        char *wrapped = malloc(size + 16);
        REQUIRE(wrapped != NULL);
        memcpy(wrapped, "{\"a\":[ ", 7);
        memcpy(wrapped + 7, data, size);
        memcpy(wrapped + 7 + size, " ]}", 3);
        code = ocigc_json_check(wrapped, size + 10, &error);
        REQUIRE(code == OCIGC_OK || strstr(error.message, "deep") != NULL);
        free(wrapped);
    } else {
        REQUIRE(code == OCIGC_MALFORMED && error.offset <= size);
    }
    return 0;
}

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int32_t ocigc_exchange(int32_t first_directory, const char *first, int32_t second_directory, const char *second,
                       struct ocigc_error *error)
{
    if (renameat2(first_directory, first, second_directory, second, RENAME_EXCHANGE) == 0)
        return OCIGC_OK;
    return ocigc_fail_system(error, errno, "cannot exchange %s and %s", first, second);
}

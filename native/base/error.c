#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Copies `text` escaped; stops before a piece that does not fit. */
static void escape(char *out, size_t capacity, const char *text)
{
    size_t used = 0;
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        int plain = *c >= 0x20 && *c < 0x7f;
        if (used + (plain ? 1 : 4) >= capacity)
            break;
        if (plain)
            out[used++] = (char)*c;
        else
            used += (size_t)snprintf(out + used, capacity - used, "\\x%02x", *c);
    }
    out[used] = '\0';
}

static void fill(struct ocigc_error *error, int32_t code, int os_errno, const char *format, va_list arguments)
{
    char raw[sizeof error->message];
    int written = vsnprintf(raw, sizeof raw, format, arguments);
    if (written < 0)
        raw[0] = '\0';
    if (os_errno != 0) {
        size_t used = strlen(raw);
        char text[128];
        snprintf(raw + used, sizeof raw - used, ": %s", strerror_r(os_errno, text, sizeof text));
    }
    error->code = code;
    error->os_errno = os_errno;
    error->offset = 0;
    escape(error->message, sizeof error->message, raw);
}

int32_t ocigc_fail(struct ocigc_error *error, int32_t code, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        fill(error, code, 0, format, arguments);
        va_end(arguments);
    }
    return code;
}

int32_t ocigc_fail_system(struct ocigc_error *error, int os_errno, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        fill(error, OCIGC_SYSTEM, os_errno, format, arguments);
        va_end(arguments);
    }
    return OCIGC_SYSTEM;
}

int32_t ocigc_fail_memory(struct ocigc_error *error)
{
    return ocigc_fail(error, OCIGC_NO_MEMORY, "out of memory");
}

#include "base/base.h"

#include <string.h>

static const char CONTENT_LABEL[] = "containerd.io/gc.ref.content";

bool ocigc_is_content_label(const char *key, size_t length)
{
    size_t stem = sizeof CONTENT_LABEL - 1;
    return length >= stem && memcmp(key, CONTENT_LABEL, stem) == 0 &&
           (length == stem || key[stem] == '.' || key[stem] == '/');
}

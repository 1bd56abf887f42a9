/* label.c - the labels of containerd's garbage collector, by their keys.
 * Source: containerd core/metadata/gc.go. */

#include "base/base.h"

#include <string.h>

static const char PREFIX[] = "containerd.io/gc.";

/* A part of a key ends at '.', at '/' or at the end of the key. */
static size_t part_length(const char *part, size_t length)
{
    size_t end = 0;
    while (end < length && part[end] != '.' && part[end] != '/')
        end++;
    return end;
}

static bool is_part(const char *part, size_t length, const char *expected)
{
    size_t end = part_length(part, length);
    return end == strlen(expected) && memcmp(part, expected, end) == 0;
}

enum ocigc_label_meaning ocigc_label_meaning(const char *key, size_t length)
{
    size_t prefix = sizeof PREFIX - 1;
    if (length < prefix || memcmp(key, PREFIX, prefix) != 0)
        return OCIGC_LABEL_MEANS_NOTHING;
    const char *family = key + prefix;
    size_t left = length - prefix, end = part_length(family, left);
    const char *kind = end < left ? family + end + 1 : "";
    size_t kind_left = end < left ? left - end - 1 : 0;
    if (is_part(family, left, "root"))
        return OCIGC_LABEL_MEANS_ROOT;
    if (is_part(family, left, "ref")) /* gc.ref.snapshot, for example, keeps nothing in a layout */
        return is_part(kind, kind_left, "content") ? OCIGC_LABEL_MEANS_CONTENT
               : is_part(kind, kind_left, "image") ? OCIGC_LABEL_MEANS_IMAGE
                                                   : OCIGC_LABEL_MEANS_NOTHING;
    if (is_part(family, left, "bref")) /* whether a container or a snapshot still exists is unknown here */
        return is_part(kind, kind_left, "content") ? OCIGC_LABEL_MEANS_CONTENT_BACK
               : is_part(kind, kind_left, "image") ? OCIGC_LABEL_MEANS_IMAGE_BACK
                                                   : OCIGC_LABEL_MEANS_UNKNOWN;
    if (is_part(family, left, "expire") || is_part(family, left, "flat"))
        return OCIGC_LABEL_MEANS_NOTHING; /* both belong to leases */
    return OCIGC_LABEL_MEANS_UNKNOWN;
}

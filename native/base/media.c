/* media.c - the media types that mean something. */
#include "base/base.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    int32_t media;
} KNOWN[] = {
    {"application/vnd.oci.image.manifest.v1+json", OCIGC_MEDIA_MANIFEST},
    {"application/vnd.docker.distribution.manifest.v2+json", OCIGC_MEDIA_MANIFEST},
    {"application/vnd.oci.image.index.v1+json", OCIGC_MEDIA_INDEX},
    {"application/vnd.docker.distribution.manifest.list.v2+json", OCIGC_MEDIA_INDEX},
    {"application/vnd.oci.image.config.v1+json", OCIGC_MEDIA_CONFIG},
    {"application/vnd.docker.container.image.v1+json", OCIGC_MEDIA_CONFIG},
    /* Schema 1 has blobSums, not descriptors; only a lenient scan finds them. */
    {"application/vnd.docker.distribution.manifest.v1+json", OCIGC_MEDIA_JSON},
    {"application/vnd.docker.distribution.manifest.v1+prettyjws", OCIGC_MEDIA_JSON},
};

int32_t ocigc_media_of(const char *media_type, size_t length)
{
    if (length == 0)
        return OCIGC_MEDIA_NONE;
    const char *parameters = memchr(media_type, ';', length);
    if (parameters != NULL)
        length = (size_t)(parameters - media_type);
    while (length > 0 && (media_type[length - 1] == ' ' || media_type[length - 1] == '\t'))
        length--;
    for (size_t i = 0; i < sizeof KNOWN / sizeof KNOWN[0]; i++)
        if (strlen(KNOWN[i].name) == length && memcmp(KNOWN[i].name, media_type, length) == 0)
            return KNOWN[i].media;
    static const char suffix[] = "+json";
    size_t tail = sizeof suffix - 1;
    /* Media types are case-insensitive, but a known one in another case is treated as any other JSON. */
    if (length >= tail && strncasecmp(media_type + length - tail, suffix, tail) == 0)
        return OCIGC_MEDIA_JSON;
    return OCIGC_MEDIA_UNKNOWN;
}

bool ocigc_media_is_foreign(const char *media_type, size_t length)
{
    static const char *const stems[] = {
        "application/vnd.oci.image.layer.nondistributable.",
        "application/vnd.docker.image.rootfs.foreign.",
    };
    for (size_t i = 0; i < sizeof stems / sizeof stems[0]; i++)
        if (length >= strlen(stems[i]) && memcmp(media_type, stems[i], strlen(stems[i])) == 0)
            return true;
    return false;
}

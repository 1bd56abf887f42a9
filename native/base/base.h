/* base.h - what every part of the core shares: errors, the grammar of digests, labels, progress. */
#ifndef OCIGC_BASE_H
#define OCIGC_BASE_H

#include "ocigc.h"

#include <stdbool.h>

#define OCIGC_MANIFEST_LIMIT  (16u << 20) /* bytes; the largest manifest, index or other document that is read */
#define OCIGC_DIGEST_TEXT_MAX 255u        /* bytes of the longest "alg:encoded": NAME_MAX bounds the encoded part */

/* Fills `error` (NULL is allowed) and returns `code`, so that callers can `return ocigc_fail(...)`. Bytes of the
 * formatted message outside printable ASCII come out as \xNN, so that no name can reach a terminal raw. */
int32_t ocigc_fail(struct ocigc_error *error, int32_t code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* OCIGC_NO_MEMORY. */
int32_t ocigc_fail_memory(struct ocigc_error *error);

/* The same for a failed system call: records `os_errno` and appends ": " and its text. */
int32_t ocigc_fail_system(struct ocigc_error *error, int os_errno, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Digest sizes in bytes; 0 for OCIGC_ALGORITHM_OTHER. */
uint32_t ocigc_algorithm_width(int32_t algorithm);
/* "sha256", ...; NULL for OCIGC_ALGORITHM_OTHER. */
const char *ocigc_algorithm_name(int32_t algorithm);
/* The algorithm of a directory name below blobs/. */
int32_t ocigc_algorithm_of(const char *name, size_t length);

/* A digest in the form in which it is compared: in binary if its algorithm is registered, else by its text alone. */
struct ocigc_digest {
    int32_t algorithm; /* enum ocigc_algorithm */
    uint8_t bytes[64];
};

/* Parses "alg:encoded"; false if it is not a digest by the grammar. */
bool ocigc_digest_read(const char *text, size_t length, struct ocigc_digest *digest);
/* Decodes lowercase hex of exactly `width` bytes; -1 if it is anything else. */
int ocigc_hex_decode(const char *hex, size_t length, uint8_t *out, uint32_t width);
void ocigc_hex_encode(const uint8_t *bytes, uint32_t width, char *out); /* no NUL */

/* Whether a media type is that of a layer that need not be distributed with its image. */
bool ocigc_media_is_foreign(const char *media_type, size_t length);

/* What a label means to garbage collection. */
enum ocigc_label_meaning {
    OCIGC_LABEL_MEANS_NOTHING,
    OCIGC_LABEL_MEANS_ROOT,         /* gc.root: the blob is a root */
    OCIGC_LABEL_MEANS_CONTENT,      /* gc.ref.content: the blob keeps the content whose digest is the value */
    OCIGC_LABEL_MEANS_CONTENT_BACK, /* gc.bref.content: that content keeps the blob */
    OCIGC_LABEL_MEANS_IMAGE,        /* gc.ref.image: the blob keeps the image whose name is the value */
    OCIGC_LABEL_MEANS_IMAGE_BACK,   /* gc.bref.image: that image keeps the blob */
    OCIGC_LABEL_MEANS_UNKNOWN,      /* another gc label: the blob stays */
};
enum ocigc_label_meaning ocigc_label_meaning(const char *key, size_t length);

/* Progress from many threads. */
static inline void ocigc_progress_add(struct ocigc_progress *progress, uint64_t items, uint64_t bytes)
{
    if (progress == NULL)
        return;
    if (items != 0)
        __atomic_fetch_add(&progress->items, items, __ATOMIC_RELAXED);
    if (bytes != 0)
        __atomic_fetch_add(&progress->bytes, bytes, __ATOMIC_RELAXED);
}

static inline int ocigc_cancelled(const struct ocigc_progress *progress)
{
    return progress != NULL && __atomic_load_n(&progress->cancel, __ATOMIC_RELAXED) != 0;
}

#endif

/* embedded.h - content that a descriptor embeds as its `data`. */
#ifndef OCIGC_JSON_EMBEDDED_H
#define OCIGC_JSON_EMBEDDED_H

#include "json/document.h"

/* Decodes and verifies the `data` of a descriptor, and passes the descriptors in it to the sink; then does the same for
 * their own `data`, except that of subjects. OCIGC_CORRUPT if a content does not match its descriptor, or is a manifest
 * or an index that cannot be parsed; OCIGC_NO_MEMORY. A digest that this core cannot compute is not checked. */
int32_t ocigc_embedded_scan(const struct ocigc_found_descriptor *found, ocigc_descriptor_sink sink, void *context);

/* The media that says how to read the target of such a descriptor: OCIGC_MEDIA_LAYER if it is not read,
 * OCIGC_MEDIA_NONE if its content tells. */
int32_t ocigc_embedded_media(int32_t role, int32_t media);

#endif

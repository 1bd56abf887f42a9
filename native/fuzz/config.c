/* Configs on any bytes: labels come out once each, and all text lies in the pool. */

#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ocigc_error error;
    ocigc_config *config = ocigc_config_parse((const char *)data, size, &error);
    if (config == NULL) {
        REQUIRE(error.code == OCIGC_MALFORMED && error.offset <= size);
        return 0;
    }
    const struct ocigc_config_label *labels = ocigc_config_labels(config);
    const char *text = ocigc_config_text(config);
    size_t bytes = ocigc_config_created(config).length;
    for (size_t i = 0; i < ocigc_config_label_count(config); i++) {
        bytes += (size_t)labels[i].key.length + labels[i].value.length;
        for (size_t j = 0; j < i && i < 100; j++)
            REQUIRE(labels[i].key.length != labels[j].key.length ||
                    memcmp(text + labels[i].key.start, text + labels[j].key.start, labels[i].key.length) != 0);
    }
    REQUIRE(bytes <= size);
    ocigc_config_free(config);
    return 0;
}

/* Configs on any bytes: labels come out once each, and all text lies in the pool. */

#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ocigc_error error;
    struct ocigc_config *config;
    if (ocigc_config_parse((const char *)data, size, &config, &error) != OCIGC_OK) {
        REQUIRE(error.code == OCIGC_MALFORMED && error.offset <= size);
        return 0;
    }
    const struct ocigc_config_label *labels = config->labels;
    const char *text = config->text;
    size_t bytes = config->created.length;
    for (size_t i = 0; i < config->label_count; i++) {
        bytes += (size_t)labels[i].key.length + labels[i].value.length;
        for (size_t j = 0; j < i && i < 100; j++)
            REQUIRE(labels[i].key.length != labels[j].key.length ||
                    memcmp(text + labels[i].key.start, text + labels[j].key.start, labels[i].key.length) != 0);
    }
    REQUIRE(bytes <= size);
    ocigc_config_free(config);
    return 0;
}

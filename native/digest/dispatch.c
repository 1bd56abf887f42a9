/* dispatch.c - chooses the kernel for this machine, and runs messages in memory through it. */

#include "digest/digest.h"

#include <stdlib.h>
#include <string.h>

/* Best first. If there are fewer messages, the first kernel with fewer lanes takes over. */
/* clang-format off */
static const struct ocigc_kernel *const KERNELS[] = {
#if defined(__x86_64__)
    &ocigc_sha256_avx512,
    &ocigc_sha256_shani_x4,
    &ocigc_sha256_shani,
    &ocigc_sha256_avx2,
    &ocigc_sha512_avx512,
#elif defined(__aarch64__)
    &ocigc_sha256_armv8_x2,
    &ocigc_sha256_armv8,
#endif
    &ocigc_sha256_portable,
    &ocigc_sha512_portable,
};
/* clang-format on */
enum { KERNEL_COUNT = sizeof KERNELS / sizeof KERNELS[0] };

/* Asked only once per kernel, because in a virtual machine every cpuid traps to the host. */
static bool is_supported(size_t index)
{
    static int8_t known[KERNEL_COUNT]; /* 0: not asked yet */
    int8_t support = __atomic_load_n(&known[index], __ATOMIC_RELAXED);
    if (support == 0) {
        support = KERNELS[index]->supported() ? 1 : -1;
        __atomic_store_n(&known[index], support, __ATOMIC_RELAXED);
    }
    return support > 0;
}

static bool fits(size_t index, int32_t algorithm, const char *name)
{
    const struct ocigc_kernel *kernel = KERNELS[index];
    return kernel->algorithm == algorithm && (name == NULL || strcmp(kernel->name, name) == 0) && is_supported(index);
}

static const struct ocigc_kernel *find(int32_t algorithm, const char *name, uint32_t index)
{
    for (size_t i = 0; i < KERNEL_COUNT; i++)
        if (fits(i, algorithm, name) && index-- == 0)
            return KERNELS[i];
    return NULL;
}

static const struct ocigc_kernel *wanted(int32_t algorithm)
{
    const char *name = getenv(algorithm == OCIGC_SHA512 ? "OCIGC_SHA512" : "OCIGC_SHA256");
    const struct ocigc_kernel *kernel = name == NULL ? NULL : find(algorithm, name, 0);
    return kernel == NULL ? find(algorithm, NULL, 0) : kernel;
}

/* The best kernel with at most `lanes` lanes, else `fallback`. */
static const struct ocigc_kernel *narrower(const struct ocigc_kernel *fallback, uint32_t lanes)
{
    for (size_t i = 0; i < KERNEL_COUNT; i++)
        if (fits(i, fallback->algorithm, NULL) && KERNELS[i]->lanes <= lanes)
            return KERNELS[i];
    return fallback;
}

struct ocigc_kernels ocigc_kernels_of(int32_t algorithm, const char *name)
{
    struct ocigc_kernels kernels = {NULL, NULL, NULL};
    kernels.many = name == NULL ? wanted(algorithm) : find(algorithm, name, 0);
    if (kernels.many == NULL)
        return kernels;
    bool narrow = kernels.many->lanes == 1;
    kernels.few = narrow ? kernels.many : narrower(kernels.many, kernels.many->lanes / 2);
    kernels.single = narrow ? kernels.many : narrower(kernels.many, 1);
    return kernels;
}

const char *ocigc_digest_implementation(int32_t algorithm, uint32_t index)
{
    const struct ocigc_kernel *first = wanted(algorithm);
    if (first == NULL || index == 0)
        return first == NULL ? NULL : first->name;
    for (uint32_t i = 0;; i++) {
        const struct ocigc_kernel *kernel = find(algorithm, NULL, i);
        if (kernel == NULL)
            return NULL;
        if (kernel != first && --index == 0)
            return kernel->name;
    }
}

static void compress(const struct ocigc_kernel *kernel, struct ocigc_lane *const *active, uint32_t count, size_t blocks)
{
    union ocigc_state states[OCIGC_LANES_MAX];
    const uint8_t *data[OCIGC_LANES_MAX] = {active[0]->data};
    for (uint32_t i = 0; i < kernel->lanes; i++) {
        /* Lanes without a message of their own hash another's; the result is dropped. */
        const struct ocigc_lane *lane = active[i < count ? i : 0];
        states[i] = lane->state;
        data[i] = lane->data;
    }
    kernel->compress(states, data, blocks);
    for (uint32_t i = 0; i < count; i++) {
        active[i]->state = states[i];
        active[i]->data += blocks * ocigc_block_size(kernel->algorithm);
        active[i]->blocks -= blocks;
    }
}

void ocigc_lanes_advance(const struct ocigc_kernels *kernels, struct ocigc_lane *const *active, uint32_t count)
{
    size_t blocks = active[0]->blocks;
    for (uint32_t i = 1; i < count; i++)
        if (active[i]->blocks < blocks)
            blocks = active[i]->blocks;
    while (count > 0) {
        const struct ocigc_kernel *kernel = count > kernels->many->sparse  ? kernels->many
                                            : count > kernels->few->sparse ? kernels->few
                                                                           : kernels->single;
        uint32_t taken = count < kernel->lanes ? count : kernel->lanes;
        compress(kernel, active, taken, blocks);
        active += taken;
        count -= taken;
    }
}

/* A message in memory: its whole blocks first, then its padded tail. */
struct message {
    struct ocigc_lane lane;
    size_t index;
    bool in_tail;
    uint8_t tail[OCIGC_BLOCK_MAX + OCIGC_PADDING_MAX];
};

static void start(struct message *message, int32_t algorithm, size_t index, const uint8_t *bytes, size_t length)
{
    message->index = index;
    message->in_tail = false;
    message->lane.data = bytes;
    message->lane.blocks = length / ocigc_block_size(algorithm);
    ocigc_state_start(algorithm, &message->lane.state);
}

static void enter_tail(struct message *message, int32_t algorithm, size_t length)
{
    size_t block = ocigc_block_size(algorithm);
    size_t rest = length % block;
    if (rest > 0)
        memcpy(message->tail, message->lane.data, rest);
    message->in_tail = true;
    message->lane.data = message->tail;
    message->lane.blocks = (rest + ocigc_pad(algorithm, length, message->tail + rest)) / block;
}

static int32_t fail_unknown(struct ocigc_error *error)
{
    return ocigc_fail(error, OCIGC_UNVERIFIABLE, "no implementation of this digest algorithm");
}

int32_t ocigc_digest_many(int32_t algorithm, const char *implementation, size_t count, const uint8_t *const *messages,
                          const size_t *lengths, uint8_t *out, struct ocigc_error *error)
{
    struct ocigc_kernels kernels = ocigc_kernels_of(algorithm, implementation);
    if (kernels.many == NULL)
        return fail_unknown(error);
    uint32_t width = ocigc_algorithm_width(algorithm);
    struct message slots[OCIGC_LANES_MAX];
    struct ocigc_lane *active[OCIGC_LANES_MAX];
    uint32_t used = 0;
    size_t next = 0;
    while (next < count || used > 0) {
        for (; used < kernels.many->lanes && next < count; used++, next++) {
            start(&slots[used], algorithm, next, messages[next], lengths[next]);
            if (slots[used].lane.blocks == 0)
                enter_tail(&slots[used], algorithm, lengths[next]);
        }
        for (uint32_t i = 0; i < used; i++)
            active[i] = &slots[i].lane;
        ocigc_lanes_advance(&kernels, active, used);
        for (uint32_t i = 0; i < used;) {
            struct message *message = &slots[i];
            if (message->lane.blocks == 0 && !message->in_tail)
                enter_tail(message, algorithm, lengths[message->index]);
            if (message->lane.blocks > 0) {
                i++;
                continue;
            }
            ocigc_state_finish(algorithm, &message->lane.state, out + message->index * width);
            used--;
            if (i != used) {
                *message = slots[used];
                if (message->in_tail) /* its tail has moved along */
                    message->lane.data = message->tail + (slots[used].lane.data - slots[used].tail);
            }
        }
    }
    return OCIGC_OK;
}

int32_t ocigc_digest_pieces(int32_t algorithm, const char *implementation, const uint8_t *message,
                            const size_t *piece_lengths, size_t pieces, uint8_t *out, struct ocigc_error *error)
{
    struct ocigc_kernels kernels = ocigc_kernels_of(algorithm, implementation);
    if (kernels.many == NULL)
        return fail_unknown(error);
    size_t block = ocigc_block_size(algorithm);
    uint8_t buffer[OCIGC_BLOCK_MAX + OCIGC_PADDING_MAX];
    size_t filled = 0;
    uint64_t total = 0;
    struct ocigc_lane lane;
    struct ocigc_lane *active[] = {&lane};
    ocigc_state_start(algorithm, &lane.state);
    for (size_t piece = 0; piece < pieces; piece++) {
        for (size_t i = 0; i < piece_lengths[piece]; i++) {
            buffer[filled++] = message[total++];
            if (filled == block) {
                lane.data = buffer;
                lane.blocks = 1;
                ocigc_lanes_advance(&kernels, active, 1);
                filled = 0;
            }
        }
    }
    lane.data = buffer;
    lane.blocks = (filled + ocigc_pad(algorithm, total, buffer + filled)) / block;
    while (lane.blocks > 0)
        ocigc_lanes_advance(&kernels, active, 1);
    ocigc_state_finish(algorithm, &lane.state, out);
    return OCIGC_OK;
}

/* A ledger's file: a header, then the records of each algorithm in the order of their digests, in buckets of BUCKET (the
 * last may be smaller), each with the XXH3-128 of its records behind it. All in the machine's byte order, which the header
 * tells. A record is the binary digest and a struct facts. */
#include "digest/xxh3.h"
#include "store/files.h"
#include "store/ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUCKET = 4096, VERSION = 1, BYTE_ORDER_MARK = 0x01020304 };

static const char MAGIC[8] = {'o', 'c', 'i', 'g', 'c', 'l', 'd', 'g'};
static const int32_t ALGORITHMS[] = {OCIGC_SHA256, OCIGC_SHA512};
enum { ALGORITHM_COUNT = 2 };

struct header {
    char magic[8];
    uint32_t version;
    uint32_t byte_order;
    uint64_t counts[ALGORITHM_COUNT]; /* of records, by algorithm */
    struct ocigc_check check;         /* of all before it */
};

struct facts {
    struct ocigc_identity identity; /* all 0: no longer what was verified, but its check is right */
    uint64_t size;
    int64_t verified;
    struct ocigc_check check;
};

/* The records of one algorithm, and the entries of the store that they are of. */
struct section {
    const struct ocigc_segment *segment; /* NULL: the store has none */
    uint32_t width;
    size_t stride;
    uint8_t *records; /* BUCKET of them, and a check */
};

static bool is_same(struct ocigc_check a, struct ocigc_check b)
{
    return a.low == b.low && a.high == b.high;
}

static bool open_section(struct section *section, const ocigc_store *store, int32_t algorithm)
{
    const char *name = ocigc_algorithm_name(algorithm);
    section->segment = ocigc_store_segment(store, name, strlen(name));
    section->width = ocigc_algorithm_width(algorithm);
    section->stride = section->width + sizeof(struct facts);
    section->records = malloc(BUCKET * section->stride + sizeof(struct ocigc_check));
    return section->records != NULL;
}

static uint8_t *record_at(const struct section *section, uint64_t position)
{
    return section->records + position * section->stride;
}

static struct facts facts_of(const struct section *section, const uint8_t *record)
{
    struct facts facts;
    memcpy(&facts, record + section->width, sizeof facts);
    return facts;
}

/* The entry with the digest, or the one before which it would stand. */
static uint32_t lower_bound(const struct ocigc_segment *segment, const uint8_t *digest)
{
    uint32_t low = 0, high = segment->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (memcmp(ocigc_segment_key(segment, middle), digest, segment->width) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_plausible(const struct section *section, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *record = record_at(section, i);
        if (i > 0 && memcmp(record_at(section, i - 1), record, section->width) >= 0)
            return false;
        if (facts_of(section, record).verified <= 0)
            return false;
    }
    return true;
}

/* What the store is now, of a record that is right of what it was then. */
static bool take_record(ocigc_ledger *ledger, const struct section *section, uint32_t position,
                        const struct facts *facts, int64_t now)
{
    uint32_t node = section->segment->first + position;
    const struct ocigc_identity *identity = ocigc_segment_identity(section->segment, position);
    if (facts->verified > now)
        return false;
    bool same = identity->inode != 0 && facts->size == ocigc_store_size(ledger->store, node) &&
                memcmp(&facts->identity, identity, sizeof *identity) == 0;
    ledger->known[node] = (struct ocigc_known){same ? facts->verified : -facts->verified, facts->check};
    return true;
}

static void take_bucket(ocigc_ledger *ledger, const struct section *section, uint64_t count, int64_t now)
{
    const struct ocigc_segment *segment = section->segment;
    uint32_t position = segment != NULL ? lower_bound(segment, section->records) : 0;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *record = record_at(section, i);
        int order = -1;
        while (segment != NULL && position < segment->count &&
               (order = memcmp(ocigc_segment_key(segment, position), record, segment->width)) < 0)
            position++;
        if (segment == NULL || position == segment->count || order != 0) {
            ledger->differs = true; /* that blob is gone */
            continue;
        }
        struct facts facts = facts_of(section, record);
        if (!take_record(ledger, section, position, &facts, now))
            ledger->differs = true;
    }
}

static int32_t fail_reading(struct ocigc_error *error)
{
    return ocigc_fail_system(error, errno, "cannot read the ledger");
}

static int32_t read_section(ocigc_ledger *ledger, const struct section *section, int file, uint64_t count, int64_t now,
                            struct ocigc_error *error)
{
    for (uint64_t first = 0; first < count; first += BUCKET) {
        uint64_t held = count - first < BUCKET ? count - first : BUCKET;
        size_t length = held * section->stride;
        struct ocigc_check check;
        ssize_t got = ocigc_read_up_to(file, (char *)section->records, length + sizeof check);
        if (got < 0)
            return fail_reading(error);
        if ((size_t)got < length + sizeof check) { /* it was cut off */
            ledger->damaged += (count - first - 1) / BUCKET + 1;
            break;
        }
        memcpy(&check, section->records + length, sizeof check);
        if (is_same(check, ocigc_xxh3(section->records, length)) && is_plausible(section, held))
            take_bucket(ledger, section, held, now);
        else
            ledger->damaged++;
    }
    ledger->differs = ledger->differs || ledger->damaged > 0;
    return OCIGC_OK;
}

static struct ocigc_check check_of(const struct header *header)
{
    return ocigc_xxh3(header, offsetof(struct header, check));
}

static int32_t read_header(struct header *header, int file, struct ocigc_error *error)
{
    ssize_t got = ocigc_read_up_to(file, (char *)header, sizeof *header);
    if (got < 0)
        return fail_reading(error);
    if (got < (ssize_t)sizeof *header || memcmp(header->magic, MAGIC, sizeof MAGIC) != 0)
        return ocigc_fail(error, OCIGC_MALFORMED, "is no ledger");
    if (header->byte_order != BYTE_ORDER_MARK || header->version != VERSION)
        return ocigc_fail(error, OCIGC_MALFORMED, "is a ledger of another version or machine");
    if (!is_same(header->check, check_of(header)))
        return ocigc_fail(error, OCIGC_MALFORMED, "is damaged at its beginning");
    return OCIGC_OK;
}

int32_t ocigc_ledger_read(ocigc_ledger *ledger, int32_t file, int64_t now, struct ocigc_error *error)
{
    struct header header;
    int32_t code = read_header(&header, file, error);
    ledger->differs = code != OCIGC_OK;
    for (int i = 0; i < ALGORITHM_COUNT && code == OCIGC_OK; i++) {
        struct section section;
        if (!open_section(&section, ledger->store, ALGORITHMS[i]))
            return ocigc_fail(error, OCIGC_NO_MEMORY, "out of memory");
        code = read_section(ledger, &section, file, header.counts[i], now, error);
        free(section.records);
    }
    return code;
}

static int32_t write_all(int file, const void *bytes, size_t length, struct ocigc_error *error)
{
    const char *from = bytes;
    while (length > 0) {
        ssize_t written = write(file, from, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return ocigc_fail_system(error, errno, "cannot write the ledger");
        from += written;
        length -= (size_t)written;
    }
    return OCIGC_OK;
}

static uint64_t count_of(const ocigc_ledger *ledger, const struct ocigc_segment *segment)
{
    uint64_t count = 0;
    for (uint32_t i = 0; segment != NULL && i < segment->count; i++)
        count += ledger->known[segment->first + i].verified != 0;
    return count;
}

static void put_record(const ocigc_ledger *ledger, const struct section *section, uint32_t position, uint64_t at)
{
    uint32_t node = section->segment->first + position;
    const struct ocigc_known *known = &ledger->known[node];
    bool touched = known->verified < 0;
    struct facts facts = {
        .size = touched ? 0 : ocigc_store_size(ledger->store, node),
        .verified = touched ? -known->verified : known->verified,
        .check = known->check,
    };
    if (!touched)
        facts.identity = *ocigc_segment_identity(section->segment, position);
    uint8_t *record = record_at(section, at);
    memcpy(record, ocigc_segment_key(section->segment, position), section->width);
    memcpy(record + section->width, &facts, sizeof facts);
}

static int32_t write_bucket(const struct section *section, uint64_t held, int file, struct ocigc_error *error)
{
    size_t length = held * section->stride;
    struct ocigc_check check = ocigc_xxh3(section->records, length);
    memcpy(section->records + length, &check, sizeof check);
    return held > 0 ? write_all(file, section->records, length + sizeof check, error) : OCIGC_OK;
}

static int32_t write_section(const ocigc_ledger *ledger, const struct section *section, int file,
                             struct ocigc_error *error)
{
    int32_t code = OCIGC_OK;
    uint64_t held = 0;
    for (uint32_t i = 0; section->segment != NULL && i < section->segment->count && code == OCIGC_OK; i++) {
        if (ledger->known[section->segment->first + i].verified == 0)
            continue;
        put_record(ledger, section, i, held++);
        if (held == BUCKET) {
            code = write_bucket(section, held, file, error);
            held = 0;
        }
    }
    return code == OCIGC_OK ? write_bucket(section, held, file, error) : code;
}

int32_t ocigc_ledger_write(const ocigc_ledger *ledger, int32_t file, struct ocigc_error *error)
{
    struct header header = {.version = VERSION, .byte_order = BYTE_ORDER_MARK};
    memcpy(header.magic, MAGIC, sizeof MAGIC);
    for (int i = 0; i < ALGORITHM_COUNT; i++) {
        const char *name = ocigc_algorithm_name(ALGORITHMS[i]);
        header.counts[i] = count_of(ledger, ocigc_store_segment(ledger->store, name, strlen(name)));
    }
    header.check = check_of(&header);
    int32_t code = write_all(file, &header, sizeof header, error);
    for (int i = 0; i < ALGORITHM_COUNT && code == OCIGC_OK; i++) {
        struct section section;
        if (!open_section(&section, ledger->store, ALGORITHMS[i]))
            return ocigc_fail(error, OCIGC_NO_MEMORY, "out of memory");
        code = write_section(ledger, &section, file, error);
        free(section.records);
    }
    return code;
}

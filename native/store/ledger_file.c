/* ledger_file.c - the file of a ledger: a header, then the records of each algorithm in the order of their digests, in
 * buckets of BUCKET (the last may be smaller), each followed by the XXH3-128 of its records. All is in the machine's
 * byte order, which the header tells. A record is the binary digest and a struct details. */
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
    struct ocigc_checksum checksum;   /* of all before it */
};

struct details {
    struct ocigc_identity
        identity; /* all 0: the file was touched since, but its checksum is still that of the content verified */
    uint64_t size;
    int64_t verified;
    struct ocigc_checksum checksum;
};

/* The records of one algorithm, and the table of the store that they belong to. */
struct section {
    const struct ocigc_digest_table *table; /* NULL: the store has none */
    uint32_t width;
    size_t stride;
    uint8_t *records; /* BUCKET of them, and a checksum */
};

static bool is_same(struct ocigc_checksum a, struct ocigc_checksum b)
{
    return a.low == b.low && a.high == b.high;
}

static bool open_section(struct section *section, const ocigc_store *store, int32_t algorithm)
{
    const char *name = ocigc_algorithm_name(algorithm);
    section->table = ocigc_store_table(store, name, strlen(name));
    section->width = ocigc_algorithm_width(algorithm);
    section->stride = section->width + sizeof(struct details);
    section->records = malloc(BUCKET * section->stride + sizeof(struct ocigc_checksum));
    return section->records != NULL;
}

static uint8_t *record_at(const struct section *section, uint64_t position)
{
    return section->records + position * section->stride;
}

static struct details details_of(const struct section *section, const uint8_t *record)
{
    struct details details;
    memcpy(&details, record + section->width, sizeof details);
    return details;
}

/* The entry with the digest, or the one before which it belongs. */
static uint32_t lower_bound(const struct ocigc_digest_table *table, const uint8_t *digest)
{
    uint32_t low = 0, high = table->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (memcmp(ocigc_table_key(table, middle), digest, table->width) < 0)
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
        if (details_of(section, record).verified <= 0)
            return false;
    }
    return true;
}

/* Takes a record; if the file has changed since, as that of a touched blob. */
static bool take_record(ocigc_ledger *ledger, const struct section *section, uint32_t position,
                        const struct details *details, int64_t now)
{
    uint32_t node = section->table->first + position;
    const struct ocigc_identity *identity = ocigc_table_identity(section->table, position);
    if (details->verified > now)
        return false;
    bool same = identity->inode != 0 && details->size == ocigc_store_size(ledger->store, node) &&
                memcmp(&details->identity, identity, sizeof *identity) == 0;
    ledger->known[node] = (struct ocigc_known){same ? details->verified : -details->verified, details->checksum};
    return true;
}

static void take_bucket(ocigc_ledger *ledger, const struct section *section, uint64_t count, int64_t now)
{
    const struct ocigc_digest_table *table = section->table;
    uint32_t position = table != NULL ? lower_bound(table, section->records) : 0;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *record = record_at(section, i);
        int order = -1;
        while (table != NULL && position < table->count &&
               (order = memcmp(ocigc_table_key(table, position), record, table->width)) < 0)
            position++;
        if (table == NULL || position == table->count || order != 0) {
            ledger->differs = true; /* the blob is gone */
            continue;
        }
        struct details details = details_of(section, record);
        if (!take_record(ledger, section, position, &details, now))
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
        uint64_t filled = count - first < BUCKET ? count - first : BUCKET;
        size_t length = filled * section->stride;
        struct ocigc_checksum checksum;
        ssize_t got = ocigc_read_up_to(file, (char *)section->records, length + sizeof checksum);
        if (got < 0)
            return fail_reading(error);
        if ((size_t)got < length + sizeof checksum) { /* it was cut off */
            ledger->damaged += (count - first - 1) / BUCKET + 1;
            break;
        }
        memcpy(&checksum, section->records + length, sizeof checksum);
        if (is_same(checksum, ocigc_xxh3(section->records, length)) && is_plausible(section, filled))
            take_bucket(ledger, section, filled, now);
        else
            ledger->damaged++;
    }
    ledger->differs = ledger->differs || ledger->damaged > 0;
    return OCIGC_OK;
}

static struct ocigc_checksum checksum_of(const struct header *header)
{
    return ocigc_xxh3(header, offsetof(struct header, checksum));
}

static int32_t read_header(struct header *header, int file, struct ocigc_error *error)
{
    ssize_t got = ocigc_read_up_to(file, (char *)header, sizeof *header);
    if (got < 0)
        return fail_reading(error);
    if (got < (ssize_t)sizeof *header || memcmp(header->magic, MAGIC, sizeof MAGIC) != 0)
        return ocigc_fail(error, OCIGC_MALFORMED, "is not a ledger");
    if (header->byte_order != BYTE_ORDER_MARK || header->version != VERSION)
        return ocigc_fail(error, OCIGC_MALFORMED, "is a ledger of another version or machine");
    if (!is_same(header->checksum, checksum_of(header)))
        return ocigc_fail(error, OCIGC_MALFORMED, "is damaged at its beginning");
    return OCIGC_OK;
}

int32_t ocigc_ledger_read(ocigc_ledger *ledger, int32_t file, int64_t now, uint64_t *damaged, struct ocigc_error *error)
{
    struct header header;
    int32_t code = read_header(&header, file, error);
    ledger->differs = code != OCIGC_OK;
    for (int i = 0; i < ALGORITHM_COUNT && code == OCIGC_OK; i++) {
        struct section section;
        if (!open_section(&section, ledger->store, ALGORITHMS[i]))
            return ocigc_fail_memory(error);
        code = read_section(ledger, &section, file, header.counts[i], now, error);
        free(section.records);
    }
    *damaged = ledger->damaged;
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

static uint64_t count_of(const ocigc_ledger *ledger, const struct ocigc_digest_table *table)
{
    uint64_t count = 0;
    for (uint32_t i = 0; table != NULL && i < table->count; i++)
        count += ledger->known[table->first + i].verified != 0;
    return count;
}

static void put_record(const ocigc_ledger *ledger, const struct section *section, uint32_t position, uint64_t at)
{
    uint32_t node = section->table->first + position;
    const struct ocigc_known *known = &ledger->known[node];
    bool touched = known->verified < 0;
    struct details details = {
        .size = touched ? 0 : ocigc_store_size(ledger->store, node),
        .verified = touched ? -known->verified : known->verified,
        .checksum = known->checksum,
    };
    if (!touched)
        details.identity = *ocigc_table_identity(section->table, position);
    uint8_t *record = record_at(section, at);
    memcpy(record, ocigc_table_key(section->table, position), section->width);
    memcpy(record + section->width, &details, sizeof details);
}

static int32_t write_bucket(const struct section *section, uint64_t filled, int file, struct ocigc_error *error)
{
    size_t length = filled * section->stride;
    struct ocigc_checksum checksum = ocigc_xxh3(section->records, length);
    memcpy(section->records + length, &checksum, sizeof checksum);
    return filled > 0 ? write_all(file, section->records, length + sizeof checksum, error) : OCIGC_OK;
}

static int32_t write_section(const ocigc_ledger *ledger, const struct section *section, int file,
                             struct ocigc_error *error)
{
    int32_t code = OCIGC_OK;
    uint64_t filled = 0;
    for (uint32_t i = 0; section->table != NULL && i < section->table->count && code == OCIGC_OK; i++) {
        if (ledger->known[section->table->first + i].verified == 0)
            continue;
        put_record(ledger, section, i, filled++);
        if (filled == BUCKET) {
            code = write_bucket(section, filled, file, error);
            filled = 0;
        }
    }
    return code == OCIGC_OK ? write_bucket(section, filled, file, error) : code;
}

int32_t ocigc_ledger_write(const ocigc_ledger *ledger, int32_t file, struct ocigc_error *error)
{
    struct header header = {.version = VERSION, .byte_order = BYTE_ORDER_MARK};
    memcpy(header.magic, MAGIC, sizeof MAGIC);
    for (int i = 0; i < ALGORITHM_COUNT; i++) {
        const char *name = ocigc_algorithm_name(ALGORITHMS[i]);
        header.counts[i] = count_of(ledger, ocigc_store_table(ledger->store, name, strlen(name)));
    }
    header.checksum = checksum_of(&header);
    int32_t code = write_all(file, &header, sizeof header, error);
    for (int i = 0; i < ALGORITHM_COUNT && code == OCIGC_OK; i++) {
        struct section section;
        if (!open_section(&section, ledger->store, ALGORITHMS[i]))
            return ocigc_fail_memory(error);
        code = write_section(ledger, &section, file, error);
        free(section.records);
    }
    return code;
}

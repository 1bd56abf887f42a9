/* ocigc.h - the native core's one public header.
 *
 * All that Python may call is declared here and nowhere else. The binding reads this very file, so it holds plain
 * declarations only: no macros, no static inline, no function pointers.
 *
 * Conventions
 *   - A function that can fail returns an enum ocigc_code (0 is success) or a pointer (NULL is failure), and fills the
 *     caller's struct ocigc_error.
 *   - Handles are opaque. Who made one frees it, once, with the function named after it; freeing NULL is allowed.
 *   - Paths never cross this boundary: directories come in as descriptors, blobs are named by digest.
 *   - Long calls report through a struct ocigc_progress that another thread may read, and stop soon after its `cancel`
 *     is set, with OCIGC_CANCELLED.
 *   - A node is the number of a present blob in the table that ocigc_store_scan made: 0 .. count-1.
 */
#ifndef OCIGC_H
#define OCIGC_H

#include <stddef.h>
#include <stdint.h>

/* ------------------------------------------------------------------ errors */

enum ocigc_code {
    OCIGC_OK = 0,
    OCIGC_NO_MEMORY = 1,
    OCIGC_SYSTEM = 2,    /* a system call failed: os_errno tells how */
    OCIGC_MALFORMED = 3, /* bytes that are not what they have to be: JSON, descriptor, digest, label */
    OCIGC_CORRUPT = 4,   /* content that is not what its digest says */
    OCIGC_LAYOUT = 5,    /* something among the blobs that is no plain file or directory */
    OCIGC_CANCELLED = 6,
    OCIGC_CHANGED = 7,   /* a file changed while it was read */
    OCIGC_UNVERIFIABLE = 8 /* a digest of an algorithm that this core cannot compute */
};

struct ocigc_error {
    int32_t code;
    int32_t os_errno;   /* 0 where no system call was at fault */
    uint64_t offset;    /* byte offset of a JSON error in its document, else 0 */
    char message[512];  /* one line, NUL-terminated, printable: control bytes and non-ASCII are escaped */
};

struct ocigc_progress {
    uint64_t items;       /* done so far */
    uint64_t bytes;
    uint64_t total_items; /* 0 until it is known */
    uint64_t total_bytes;
    int32_t cancel;       /* set by the caller: stop soon */
};

/* ----------------------------------------------------------------- digests */

enum ocigc_algorithm {
    OCIGC_ALGORITHM_OTHER = 0, /* unregistered: kept, never verified */
    OCIGC_SHA256 = 1,
    OCIGC_SHA512 = 2,
    OCIGC_BLAKE3 = 3 /* registered, but computed outside this core */
};

/* The implementations of an algorithm that this machine can run, best first: index 0 is the one in use unless the
 * environment variable OCIGC_SHA256 (or OCIGC_SHA512) names another. NULL past the last. */
const char *ocigc_digest_implementation(int32_t algorithm, uint32_t index);

/* Digests of `count` messages, as many at once as the implementation has lanes. `implementation` NULL means the one in
 * use; out receives count * (32 or 64) bytes. OCIGC_UNVERIFIABLE for an algorithm or a name that is not to be had. */
int32_t ocigc_digest_many(int32_t algorithm, const char *implementation, size_t count, const uint8_t *const *messages,
                          const size_t *lengths, uint8_t *out);

/* One digest fed in pieces: piece_lengths add up to the message. For tests of every way to split a message. */
int32_t ocigc_digest_pieces(int32_t algorithm, const char *implementation, const uint8_t *message,
                            const size_t *piece_lengths, size_t pieces, uint8_t *out);

/* -------------------------------------------------------------------- JSON */

enum ocigc_media {
    OCIGC_MEDIA_UNKNOWN = 0,  /* a leaf: a layer, or a type that says nothing of its form */
    OCIGC_MEDIA_MANIFEST = 1, /* OCI image manifest, Docker schema 2 manifest */
    OCIGC_MEDIA_INDEX = 2,    /* OCI image index, Docker manifest list */
    OCIGC_MEDIA_CONFIG = 3,   /* OCI image config, Docker container image config */
    OCIGC_MEDIA_JSON = 4,     /* unknown, but ends in +json (or is a Docker schema 1 manifest): looked into, leniently */
    OCIGC_MEDIA_NONE = 5      /* no media type is known: named by digest alone, as in a label or a lease */
};

enum ocigc_role {
    OCIGC_ROLE_CONFIG = 0,
    OCIGC_ROLE_LAYER = 1,
    OCIGC_ROLE_BLOB = 2,
    OCIGC_ROLE_MANIFEST = 3,
    OCIGC_ROLE_SUBJECT = 4,
    OCIGC_ROLE_FOUND = 5, /* a descriptor met somewhere in a document that is looked into leniently */
    OCIGC_ROLE_LABEL = 6  /* a containerd.io/gc.ref.content label */
};

enum ocigc_shape {
    OCIGC_SHAPE_NONE = 0, /* an object with neither config, layers, blobs nor manifests */
    OCIGC_SHAPE_MANIFEST = 1,
    OCIGC_SHAPE_INDEX = 2
};

struct ocigc_span {
    uint32_t start;
    uint32_t length;
};

struct ocigc_descriptor {
    int32_t role;                 /* enum ocigc_role */
    int32_t media;                /* enum ocigc_media of its mediaType; OCIGC_MEDIA_NONE where it has none */
    int64_t size;                 /* -1 where it has none (allowed only in lenient documents) */
    struct ocigc_span object;     /* where the descriptor's { ... } stands in the document's bytes */
    struct ocigc_span media_type; /* in the document's text pool, decoded */
    struct ocigc_span digest;     /* in the text pool */
};

typedef struct ocigc_document ocigc_document;

/* enum ocigc_media of a media type. Parameters (";...") are ignored, case is not. */
int32_t ocigc_media_of(const char *media_type, size_t length);

/* Whether `text` is a digest in the image-spec's grammar, with the encoded form that its algorithm demands where the
 * algorithm is registered. Returns the enum ocigc_algorithm, or -1. */
int32_t ocigc_digest_grammar(const char *text, size_t length);

/* RFC 8259, strictly: OCIGC_OK or OCIGC_MALFORMED with the offset. Nesting deeper than 512 is malformed. */
int32_t ocigc_json_check(const char *bytes, size_t length, struct ocigc_error *error);

/* The descriptors of a manifest or index, in document order of their roles: config, layers, blobs, manifests, subject.
 * `media` says what it is held to be: MANIFEST and INDEX are strict (form, duplicate keys, and never both at once),
 * JSON and NONE lenient (valid JSON; every object with a "digest" that is one, and every "blobSum").
 * The document keeps no reference to `bytes`. */
ocigc_document *ocigc_document_parse(const char *bytes, size_t length, int32_t media, struct ocigc_error *error);
void ocigc_document_free(ocigc_document *document);
int32_t ocigc_document_shape(const ocigc_document *document);
size_t ocigc_document_count(const ocigc_document *document);
const struct ocigc_descriptor *ocigc_document_descriptors(const ocigc_document *document);
const char *ocigc_document_text(const ocigc_document *document);
size_t ocigc_document_text_length(const ocigc_document *document);

typedef struct ocigc_index ocigc_index;

/* An entry of `manifests` in an index.json. Its digest, its name (empty: none) and when it says that its image was made
 * (empty: nowhere) stand one behind the other in the index's text, decoded to UTF-8. A digest of a registered algorithm
 * is there as a byte, the enum ocigc_algorithm, and the binary digest. */
struct ocigc_entry {
    int64_t size;
    struct ocigc_span object; /* where its { ... } stands in the file */
    uint32_t text;
    uint32_t name_length;
    uint32_t created_length;
    uint32_t media_type; /* number of its media type */
    uint16_t digest_length;
    uint8_t media;
};

/* A `gc.ref.content` annotation of an entry; its value in the index's text. */
struct ocigc_reference {
    uint32_t entry;
    struct ocigc_span digest;
};

/* An index.json, read as strictly as any index; annotations must be strings. OCIGC_MALFORMED as for a document. It keeps no
 * reference to `bytes`. */
ocigc_index *ocigc_index_parse(const char *bytes, size_t length, struct ocigc_error *error);
void ocigc_index_free(ocigc_index *index);
uint32_t ocigc_index_count(const ocigc_index *index);
const struct ocigc_entry *ocigc_index_entries(const ocigc_index *index);
uint32_t ocigc_index_reference_count(const ocigc_index *index);
const struct ocigc_reference *ocigc_index_references(const ocigc_index *index); /* in the order of entries */
uint32_t ocigc_index_media_type_count(const ocigc_index *index);
const struct ocigc_span *ocigc_index_media_types(const ocigc_index *index); /* of the text; some may stand there twice */
const char *ocigc_index_text(const ocigc_index *index);
size_t ocigc_index_text_length(const ocigc_index *index);

/* How entries name their images: those without a name by `nameless` and their digest, those that are `owned` (a flag an
 * entry; NULL: none is) by `owner` and their name, all others by their name. */
struct ocigc_naming {
    const char *nameless;
    const char *owner;
    const uint8_t *owned;
};

/* Sorts positions of entries by those names, then by digests, both as text, bytewise. */
void ocigc_index_sort(const ocigc_index *index, uint32_t *positions, size_t count, const struct ocigc_naming *naming);

typedef struct ocigc_config ocigc_config;

struct ocigc_config_label {
    struct ocigc_span key; /* both in the text pool, decoded to UTF-8 */
    struct ocigc_span value;
};

/* Of an image config what the rules need: `created`, `config.Labels`, `rootfs.diff_ids`. Keys match as Go's encoding/json
 * matches them (ASCII case-insensitively, the last of duplicates wins, maps merge, null is absent). */
ocigc_config *ocigc_config_parse(const char *bytes, size_t length, struct ocigc_error *error);
void ocigc_config_free(ocigc_config *config);
const char *ocigc_config_text(const ocigc_config *config);
struct ocigc_span ocigc_config_created(const ocigc_config *config); /* length 0: none */
size_t ocigc_config_label_count(const ocigc_config *config);
const struct ocigc_config_label *ocigc_config_labels(const ocigc_config *config);
size_t ocigc_config_diff_id_count(const ocigc_config *config);
const struct ocigc_span *ocigc_config_diff_ids(const ocigc_config *config);

/* ------------------------------------------------------------------- store */

typedef struct ocigc_store ocigc_store;

/* How much a scan asks of each blob. Over a network, every status is a journey. */
enum ocigc_depth {
    OCIGC_NAMES = 0,
    OCIGC_FILES = 1,     /* all that the survey finds out too, while the names are listed */
    OCIGC_IDENTITIES = 2 /* that, and what a ledger compares: device, inode, mtime and ctime, 32 bytes a blob */
};

/* Scans the names in blobs/ below the open directory `layout` into a table sorted by algorithm and digest. A name that is a blob of a
 * registered algorithm becomes a node; a plain file under an unregistered algorithm does too, but is never verified or
 * swept; other plain files and directories are foreign. OCIGC_LAYOUT for anything that is neither plain file nor
 * directory, and for a directory or symlink where a blob must be. A missing blobs/ is an empty store.
 * The descriptor is duplicated; threads 0 means one a core. */
ocigc_store *ocigc_store_scan(int32_t layout, int32_t depth, uint32_t threads, struct ocigc_progress *progress,
                              struct ocigc_error *error);
void ocigc_store_free(ocigc_store *store);

uint32_t ocigc_store_count(const ocigc_store *store);
/* The node of a digest, or UINT32_MAX. */
uint32_t ocigc_store_find(const ocigc_store *store, const char *digest, size_t length);
/* The same for the target of every entry of an index. */
void ocigc_store_find_targets(const ocigc_store *store, const ocigc_index *index, uint32_t *nodes);
int32_t ocigc_store_algorithm(const ocigc_store *store, uint32_t node);
/* Those of `count` nodes that are not of OCIGC_ALGORITHM_OTHER; returns how many. */
size_t ocigc_store_sweepable(const ocigc_store *store, const uint32_t *nodes, size_t count, uint32_t *out);
/* Writes "alg:encoded" and returns its length; 0 where `capacity` is too small. 256 always suffices. */
size_t ocigc_store_digest(const ocigc_store *store, uint32_t node, char *out, size_t capacity);
/* The same of `count` nodes, each with a '\n' behind it; `out` has room for 256 bytes a node. */
size_t ocigc_store_digests(const ocigc_store *store, const uint32_t *nodes, size_t count, char *out);

/* Finds out what the files of `nodes` (NULL: of all) are, where that is not known yet: size, times, further names. Nodes
 * must have been surveyed before anything below, verification, the sweep or an expansion that records asks for it. What is
 * gone has no bytes and was never touched; OCIGC_LAYOUT for what is no plain file any more. */
int32_t ocigc_store_survey(ocigc_store *store, const uint32_t *nodes, size_t count, uint32_t threads,
                           struct ocigc_progress *progress, struct ocigc_error *error);
int32_t ocigc_store_surveyed(const ocigc_store *store, uint32_t node);

uint64_t ocigc_store_size(const ocigc_store *store, uint32_t node);
int64_t ocigc_store_stamp(const ocigc_store *store, uint32_t node); /* newest of mtime and ctime, ns since 1970 */
/* Those of `count` surveyed nodes whose stamp lies behind an instant; returns how many. */
size_t ocigc_store_newer(const ocigc_store *store, const uint32_t *nodes, size_t count, int64_t instant, uint32_t *out);
/* Foreign files: "alg/name" as bytes; NULL past the last. At most 1000 are kept by name; the count is of all. */
uint64_t ocigc_store_foreign_count(const ocigc_store *store);
const char *ocigc_store_foreign(const ocigc_store *store, uint32_t index);
/* Bytes that go when `nodes` go: an inode with further links outside of them frees nothing; no inode counts twice. */
uint64_t ocigc_store_freed(const ocigc_store *store, const uint32_t *nodes, size_t count);

/* One name of a file that had `names` of them at the survey. */
struct ocigc_name {
    uint64_t device, inode, names, size;
    int64_t stamp, modified; /* the newest of mtime and ctime, and mtime alone; ns since 1970 */
};
/* What the file behind a node is at this moment, however many names it has. */
int32_t ocigc_store_name(const ocigc_store *store, uint32_t node, struct ocigc_name *out, struct ocigc_error *error);
/* The files among `nodes` that have further names; returns how many there are, writes at most `capacity`. */
size_t ocigc_store_linked(const ocigc_store *store, const uint32_t *nodes, size_t count, struct ocigc_name *out,
                          size_t capacity);

/* Reads one blob of at most `limit` bytes whole, into malloc'ed memory that ocigc_bytes_free frees, and verifies it if
 * `verify` is not 0 and the algorithm allows. */
int32_t ocigc_store_read(const ocigc_store *store, uint32_t node, uint64_t limit, int32_t verify, char **bytes,
                         size_t *length, struct ocigc_error *error);
void ocigc_bytes_free(char *bytes);

/* ------------------------------------------------------------------- graph */

/* Reads every sidecar under labels/: keeps gc.root nodes and gc.ref.content edges of present blobs. OCIGC_MALFORMED for a
 * sidecar that is no JSON object from string to string; OCIGC_LAYOUT for one that is no plain file. */
int32_t ocigc_graph_labels(ocigc_store *store, struct ocigc_progress *progress, struct ocigc_error *error);
size_t ocigc_graph_label_root_count(const ocigc_store *store);
const uint32_t *ocigc_graph_label_roots(const ocigc_store *store);

/* Expands everything reachable from `nodes` (UINT32_MAX: none), which are claimed to be of the given media (parallel
 * arrays): manifests and indexes are read, verified and parsed, level by level on `threads` threads. May be called again
 * with further roots. Stops at the first manifest or index that cannot be read, parsed or verified, naming its digest. */
int32_t ocigc_graph_expand(ocigc_store *store, const uint32_t *nodes, const uint8_t *media, size_t count,
                           uint32_t threads, struct ocigc_progress *progress, struct ocigc_error *error);

/* A blob that only a caller can verify (OCIGC_BLAKE3): expand stops with OCIGC_UNVERIFIABLE unless its node was vouched
 * for before. `pending` lists manifests and indexes that wait for that after a failed expand. */
size_t ocigc_graph_pending(const ocigc_store *store, uint32_t *out, size_t capacity);
void ocigc_graph_vouch(ocigc_store *store, uint32_t node);

/* Frees what the graph takes: as before anything was read, nothing refers to anything. */
void ocigc_graph_clear(ocigc_store *store);

/* What verify wants of the same walk. After this call ocigc_graph_expand no longer stops at a bad manifest or index but
 * records it as a fault, and it records every descriptor whose blob is absent (each digest once) or has another size. */
void ocigc_graph_record(ocigc_store *store);
size_t ocigc_graph_fault_count(const ocigc_store *store);
uint32_t ocigc_graph_fault(const ocigc_store *store, size_t index, struct ocigc_error *out); /* its node */
size_t ocigc_graph_missing_count(const ocigc_store *store);
const char *ocigc_graph_missing(const ocigc_store *store, size_t index);
size_t ocigc_graph_wrong_size_count(const ocigc_store *store);
const uint32_t *ocigc_graph_wrong_sizes(const ocigc_store *store); /* ascending, each once */

/* Looks into every blob that no expansion has claimed (JSON of at most 16 MiB) for a `subject` that is present, and
 * expands those whose subject is reached, until nothing new is. What is no valid JSON object stays a leaf. JSON newer than
 * `young_after` (ns since 1970) is expanded too, leniently: somebody may be about to name it. */
int32_t ocigc_graph_sniff(ocigc_store *store, int64_t young_after, uint32_t threads, struct ocigc_progress *progress,
                          struct ocigc_error *error);

/* Adds the edge "whoever holds `subject` holds `referrer`" (a fallback tag). */
int32_t ocigc_graph_refer(ocigc_store *store, uint32_t subject, uint32_t referrer);
/* Takes such an edge away, also one that the referrer's own `subject` made. */
void ocigc_graph_unrefer(ocigc_store *store, uint32_t subject, uint32_t referrer);
/* The present subject of an expanded manifest, or UINT32_MAX. */
uint32_t ocigc_graph_subject(const ocigc_store *store, uint32_t node);

/* Lets `groups` of roots hold, one after the other, all that they reach and nobody holds yet (edges forward, subjects
 * backward): group i has the roots up to roots[ends[i]], from where the one before it ended, and is the holder `first` + i
 * (`first` is not 0). Where flat[i], only the roots themselves and their referrers: they stay open to later holders' walks,
 * but count as held. ocigc_graph_release forgets all holders. */
int32_t ocigc_graph_hold(ocigc_store *store, const uint32_t *roots, const uint32_t *ends, const uint8_t *flat,
                         size_t groups, uint32_t first);
void ocigc_graph_release(ocigc_store *store);
/* Of every node its holder; 0: nobody. */
const uint32_t *ocigc_graph_holders(const ocigc_store *store);
/* The nodes whose holder lies in low..high (0..0: held by nobody), ascending; returns how many there are, writes at most
 * `capacity`. */
size_t ocigc_graph_held(const ocigc_store *store, uint32_t low, uint32_t high, uint32_t *out, size_t capacity);

/* The walk of moby's walkPresentChildren from a descriptor: preorder over present blobs (config, layers; manifests),
 * following what each descriptor's own media type says, every node once. Writes node and media; returns how many there
 * are, writes at most `capacity`; SIZE_MAX where memory ran out. */
size_t ocigc_graph_walk(const ocigc_store *store, uint32_t node, int32_t media, uint32_t *nodes, int32_t *medias,
                        size_t capacity);

/* Edges of an expanded node, in document order: targets (UINT32_MAX: not present) and roles. Same counting rule. */
size_t ocigc_graph_edges(const ocigc_store *store, uint32_t node, uint32_t *targets, int32_t *roles, size_t capacity);

/* The way from every node that holds `node` down to it: next[n] is the next node on it, roles[n] the enum ocigc_role by
 * which that is held (SUBJECT: it is n's referrer); UINT32_MAX where n does not hold it. next[node] is `node`. Both arrays
 * have room for all nodes. */
void ocigc_graph_ascend(const ocigc_store *store, uint32_t node, uint32_t *next, uint8_t *roles);
/* The known referrers of a node; some may be told twice. Same counting rule. */
size_t ocigc_graph_referrers(const ocigc_store *store, uint32_t node, uint32_t *out, size_t capacity);
/* The nodes with an edge to what is absent, ascending. Same counting rule. */
size_t ocigc_graph_lacking(const ocigc_store *store, uint32_t *out, size_t capacity);

/* ------------------------------------------------------------------ verify */

enum ocigc_verdict {
    OCIGC_VERDICT_UNCHECKED = 0,
    OCIGC_VERDICT_SOUND = 1,
    OCIGC_VERDICT_CORRUPT = 2,
    OCIGC_VERDICT_UNSUPPORTED = 3, /* no way here to compute that algorithm */
    OCIGC_VERDICT_CHANGED = 4,     /* shrank, grew or was replaced while it was read */
    OCIGC_VERDICT_UNREADABLE = 5,
    OCIGC_VERDICT_GONE = 6         /* vanished since the scan */
};

/* XXH3-128 of a blob's content. */
struct ocigc_check {
    uint64_t low, high;
};

struct ocigc_terms {
    int64_t deadline;           /* ns of CLOCK_MONOTONIC: no blob is begun behind it, the rest stays UNCHECKED */
    int32_t in_order;           /* as the nodes are given, not the largest first */
    struct ocigc_check *checks; /* filled in for SOUND blobs: checks[i] belongs to nodes[i]; may be NULL */
};

/* Hashes the given nodes, largest first, on `threads` threads (0: one a core). verdicts[i] belongs to nodes[i]. A cancel
 * leaves the rest UNCHECKED and returns OCIGC_CANCELLED. `terms` NULL: no deadline, no checks. */
int32_t ocigc_verify(const ocigc_store *store, const uint32_t *nodes, size_t count, uint32_t threads,
                     const struct ocigc_terms *terms, uint8_t *verdicts, struct ocigc_progress *progress,
                     struct ocigc_error *error);

/* ------------------------------------------------------------------ ledger */

/* What earlier runs of verify knew of the blobs of a store: when each was verified, the file that it was, its XXH3-128.
 * The store must have been scanned with identities, and outlive the ledger. */
typedef struct ocigc_ledger ocigc_ledger;

enum ocigc_selection {
    OCIGC_SELECT_CHANGED = 0,    /* new, or touched since it was verified, or so soon before that nobody can tell */
    OCIGC_SELECT_RECORDED = 1,   /* has a check to compare with */
    OCIGC_SELECT_UNRECORDED = 2,
    OCIGC_SELECT_OLDER = 3       /* new, touched or last verified before `instant`; the oldest first */
};

/* An empty ledger, or NULL where memory ran out or the store has no identities. */
ocigc_ledger *ocigc_ledger_new(const ocigc_store *store);
void ocigc_ledger_free(ocigc_ledger *ledger);
/* Takes over the records of a file, read from its beginning, that are true of this store. Records verified behind `now`
 * (ns since 1970) are not believed, damaged buckets of records are dropped and counted. OCIGC_MALFORMED for a file that
 * is no ledger of this version. */
int32_t ocigc_ledger_read(ocigc_ledger *ledger, int32_t file, int64_t now, struct ocigc_error *error);
uint64_t ocigc_ledger_damaged(const ocigc_ledger *ledger);
/* Whether it says more or less than the file that was read. */
int32_t ocigc_ledger_differs(const ocigc_ledger *ledger);
/* Those of `nodes` that an enum ocigc_selection means, in their order; writes at most `count`, returns how many. */
size_t ocigc_ledger_select(const ocigc_ledger *ledger, const uint32_t *nodes, size_t count, int32_t selection,
                           int64_t instant, uint32_t *out);
/* Reads the given nodes again and compares with the ledger's checks: SOUND, or CORRUPT for what only a digest can settle.
 * Same rules as ocigc_verify. */
int32_t ocigc_ledger_compare(const ocigc_ledger *ledger, const uint32_t *nodes, size_t count, uint32_t threads,
                             int64_t deadline, uint8_t *verdicts, struct ocigc_progress *progress,
                             struct ocigc_error *error);
/* Records what ocigc_verify has found of nodes, in a run that began before the scan, at `began` (ns since 1970). What is
 * not SOUND loses its record; what is UNCHECKED keeps it. */
void ocigc_ledger_update(ocigc_ledger *ledger, const uint32_t *nodes, size_t count, const uint8_t *verdicts,
                         const struct ocigc_check *checks, int64_t began);
/* Writes all records to an open, empty file. */
int32_t ocigc_ledger_write(const ocigc_ledger *ledger, int32_t file, struct ocigc_error *error);

/* ------------------------------------------------------------------- sweep */

enum ocigc_fate {
    OCIGC_FATE_KEPT = 0,    /* not tried: cancelled or failed before its turn */
    OCIGC_FATE_MOVED = 1,   /* now in the trash */
    OCIGC_FATE_SPARED = 2,  /* its size, mtime or ctime moved since the scan: somebody uses it */
    OCIGC_FATE_MISSING = 3  /* was gone already */
};

/* Moves blobs into the open directory `trash` (as blobs/<alg>/<encoded>, their sidecars as labels/<alg>/<encoded>.json;
 * directories are made as needed), in an order that is kind to the file system. fates[i] belongs to nodes[i].
 * The caller syncs. Stops at the first system call that fails for good. */
int32_t ocigc_sweep(const ocigc_store *store, const uint32_t *nodes, size_t count, int32_t trash, uint8_t *fates,
                    struct ocigc_progress *progress, struct ocigc_error *error);

/* Removes a directory below `parent` with all that is in it, never following a symlink. Missing is fine. */
int32_t ocigc_purge(int32_t parent, const char *name, struct ocigc_progress *progress, struct ocigc_error *error);

/* Swaps two names atomically (renameat2 RENAME_EXCHANGE). Returns 0 or an errno; EINVAL and ENOSYS say that the file
 * system or the kernel cannot. */
int32_t ocigc_exchange(int32_t first_directory, const char *first, int32_t second_directory, const char *second);

/* From here on, large blocks of this process's memory go back to the system once they are freed. */
void ocigc_return_memory(void);

/* Takes from this thread, and all that it starts from here on, the right to change anything outside of the `count`
 * open directories and to execute programs. Returns 0, or an errno where the kernel cannot. */
int32_t ocigc_confine(const int32_t *directories, size_t count);

#endif

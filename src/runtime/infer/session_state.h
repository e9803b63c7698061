/* session_state.h -- the file of a session's state: its header, and what can be checked without the model's programs
 *
 * Header (96 bytes, little-endian), then what is used of the state (state.h), the logits of the last token (V floats)
 * and the last ids, oldest first. The checksum covers the header before it and everything behind the header.
 */
#ifndef PHA__SESSION_STATE_H
#define PHA__SESSION_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fs.h"

enum { PHA__RECENT = 4096 }; /* ids remembered for the repetition penalty */
enum { PHA__STATE_HEADER = 96, PHA__STATE_CHECKED = 88 };

typedef struct pha__state_header {
    uint32_t ready;
    uint64_t fingerprint, state_bytes; /* of the model */
    int64_t position, max_context;
    uint64_t vocab, recent; /* floats and ids behind the state */
    uint64_t stored;        /* bytes of the state that are in the file: what had been used */
} pha__state_header;

typedef struct pha__state_parts {
    pha__state_header header;
    const unsigned char *state, *logits, *ids; /* in the map; not aligned */
} pha__state_parts;

/* The header without its checksum, which the caller puts behind the first PHA__STATE_CHECKED bytes. */
void pha__state_header_put(unsigned char out[PHA__STATE_HEADER], const pha__state_header *h);
void pha__state_sum_put(unsigned char out[PHA__STATE_HEADER], uint64_t sum);

/* Checks everything: that the session is one of `mine` (fingerprint, state_bytes, max_context, vocab), the position
 * (beyond max_context only if `rolling`), size, checksum, ids. */
pha_status pha__state_parse(pha__state_parts *out, const pha__map *map, const pha__state_header *mine, bool rolling);

#endif

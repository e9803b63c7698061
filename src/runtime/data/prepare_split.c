/* prepare_split.c -- which split a piece of text belongs to */
#include <string.h>

#include "base/rng.h"
#include "runtime/data/prepare_impl.h"

const char *const pha__split_names[PHA__DATA_SPLITS] = { "train", "valid", "test" };

/* The split of document number i: a function of (seed, i) alone. */
static int split_of(const pha__splitter *s, uint64_t i)
{
    uint32_t counter[4] = { (uint32_t)i, (uint32_t)(i >> 32), 0, PHA__STREAM_DOCUMENT }, out[4];
    pha__philox(s->seed, counter, out);
    double u = (double)((uint64_t)out[0] << 21 | out[1] >> 11) * 0x1p-53;
    if (u < s->fraction[PHA__SPLIT_TEST]) return PHA__SPLIT_TEST;
    if (u < s->fraction[PHA__SPLIT_TEST] + s->fraction[PHA__SPLIT_VALID]) return PHA__SPLIT_VALID;
    return PHA__SPLIT_TRAIN;
}

void pha__splitter_rewind(pha__splitter *s)
{
    s->document = s->position = 0;
    s->now = PHA__SPLIT_TRAIN;
    s->switched = false;
}

void pha__splitter_by_position(pha__splitter *s, uint64_t bytes)
{
    s->by_position = true;
    double total = (double)bytes, test = s->fraction[PHA__SPLIT_TEST], valid = s->fraction[PHA__SPLIT_VALID];
    s->bound[PHA__SPLIT_TEST] = test > 0 ? (uint64_t)(total * (1 - test)) : UINT64_MAX;
    s->bound[PHA__SPLIT_VALID] = valid > 0 ? (uint64_t)(total * (1 - test - valid)) : UINT64_MAX;
    pha__splitter_rewind(s);
}

/* The split that begins next, by position; 0: none. */
static int following(const pha__splitter *s)
{
    for (int split = s->now + 1; split < PHA__DATA_SPLITS; split++)
        if (s->bound[split] != UINT64_MAX) return split;
    return 0;
}

/* By position: the part of the piece up to the end of the line in which the next split is due. */
static size_t split_line(pha__splitter *s, const pha__piece *piece)
{
    int next = following(s);
    if (!next || s->bound[next] >= s->position + piece->size) return piece->size;
    if (s->bound[next] <= s->position && piece->begins && s->position > 0) { /* a document begins just here */
        s->now = next;
        return split_line(s, piece);
    }
    size_t due = s->bound[next] > s->position ? (size_t)(s->bound[next] - s->position) : 0;
    const char *newline = memchr(piece->data + due, '\n', piece->size - due);
    return newline ? (size_t)(newline - piece->data) + 1 : piece->size;
}

pha__segment pha__splitter_next(pha__splitter *s, pha__piece *piece)
{
    if (piece->begins && !s->by_position) s->now = split_of(s, s->document);
    s->document += piece->begins;
    size_t n = s->by_position ? split_line(s, piece) : piece->size;
    bool whole = n == piece->size, begins = piece->begins || s->switched;
    pha__segment segment = { piece->data, n, s->now, begins, whole && piece->ends, piece->wikitext };
    s->switched = false;
    s->position += n;
    piece->data += n, piece->size -= n;
    piece->begins = false;
    int next = s->by_position ? following(s) : 0;
    if (next && s->bound[next] < s->position) {
        s->now = next;
        s->switched = true; /* the rest of the document is one of the next split */
    }
    return segment;
}

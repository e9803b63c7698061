/* prepare_split.c -- which split a piece of text belongs to */
#include <string.h>

#include "base/rng.h"
#include "runtime/data/prepare_impl.h"

const char *const pha__split_names[PHA__DATA_SPLITS] = { "train", "valid", "test" };

double pha__splitter_share(const pha__splitter *s, int split)
{
    double rest = 1 - s->fraction[PHA__SPLIT_VALID] - s->fraction[PHA__SPLIT_TEST];
    if (split != PHA__SPLIT_TRAIN) return s->fraction[split];
    return rest > 1e-9 ? rest : 0; /* 0.9 and 0.1 leave nothing */
}

/* The split of document number i: a function of (seed, i) alone. */
static int split_of(const pha__splitter *s, uint64_t i)
{
    uint32_t counter[4] = { (uint32_t)i, (uint32_t)(i >> 32), 0, PHA__STREAM_DOCUMENT }, out[4];
    pha__philox(s->seed, counter, out);
    double u = (double)((uint64_t)out[0] << 21 | out[1] >> 11) * 0x1p-53;
    double test = s->fraction[PHA__SPLIT_TEST], valid = s->fraction[PHA__SPLIT_VALID];
    bool rest = pha__splitter_share(s, PHA__SPLIT_TRAIN) > 0;
    if (u < test || (!rest && valid == 0)) return PHA__SPLIT_TEST;
    if (u < test + valid || !rest) return PHA__SPLIT_VALID;
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
    double total = (double)bytes, test = s->fraction[PHA__SPLIT_TEST], valid = s->fraction[PHA__SPLIT_VALID];
    double rest = pha__splitter_share(s, PHA__SPLIT_TRAIN), least = 1;
    for (int i = 0; i < PHA__DATA_SPLITS; i++) {
        double share = pha__splitter_share(s, i);
        if (share > 0 && share < least) least = share;
    }
    s->by_position = true;
    s->bound[PHA__SPLIT_VALID] = valid > 0 ? (uint64_t)(total * rest) : UINT64_MAX;
    s->bound[PHA__SPLIT_TEST] = test > 0 ? (uint64_t)(total * (rest + valid)) : UINT64_MAX;
    s->slack = (uint64_t)(total * least / 4);
    pha__splitter_rewind(s);
}

/* The split that begins next, by position; 0: none. */
static int following(const pha__splitter *s)
{
    for (int split = s->now + 1; split < PHA__DATA_SPLITS; split++)
        if (s->bound[split] != UINT64_MAX) return split;
    return 0;
}

/* How good a place text[p] is to begin a split at. */
typedef enum quality { NOWHERE, WORD, SENTENCE, LINE } quality;

static quality quality_at(const char *text, size_t p)
{
    char before = text[p - 1];
    if (before == '\n') return LINE;
    if (!pha__text_is_space(text[p])) return NOWHERE;
    size_t end = p;
    while (end > 1 && (text[end - 1] == '"' || text[end - 1] == '\'' || text[end - 1] == ')')) end--;
    if (strchr(".!?", text[end - 1])) return text[end - 1] ? SENTENCE : WORD;
    return pha__text_is_space(before) ? NOWHERE : WORD;
}

/* The best place in (low, high) to cut a text, of equal ones the nearest to `due`; between two characters if there is
 * none. */
static size_t best_cut(const char *text, size_t size, size_t low, size_t due, size_t high)
{
    quality best = NOWHERE;
    size_t cut = due ? due : 1;
    while (cut < size && ((unsigned char)text[cut] & 0xc0) == 0x80) cut++;
    for (size_t p = low > 0 ? low : 1; p < high && p < size; p++) {
        quality q = quality_at(text, p);
        size_t away = p > due ? p - due : due - p, at = cut > due ? cut - due : due - cut;
        if (q > best || (q == best && q > NOWHERE && away < at)) best = q, cut = p;
    }
    return cut;
}

/* By position: how much of the piece still belongs to the split of now; *last: the next split begins behind it. */
static size_t stay(pha__splitter *s, const pha__piece *piece, bool *last)
{
    *last = false;
    int next = following(s);
    if (!next) return piece->size;
    uint64_t due = s->bound[next], slack = s->slack, here = s->position, end = here + piece->size;
    bool nearer_end = piece->ends && end > due && end - due < (due > here ? due - here : 0);
    if (due == 0 || (piece->begins && here > 0 && here + slack >= due && !nearer_end)) {
        s->now = next; /* a document begins just here */
        return stay(s, piece, last);
    }
    if (end <= due) return piece->size;
    *last = true;
    if (piece->ends && end - due <= slack) return piece->size;
    size_t at = due > here ? (size_t)(due - here) : 0, room = slack < piece->size ? (size_t)slack : piece->size;
    return best_cut(piece->data, piece->size, at > room ? at - room : 0, at, at + room);
}

pha__segment pha__splitter_next(pha__splitter *s, pha__piece *piece)
{
    bool last = false;
    if (piece->begins && !s->by_position) s->now = split_of(s, s->document);
    s->document += piece->begins;
    size_t n = s->by_position ? stay(s, piece, &last) : piece->size;
    bool whole = n == piece->size, begins = piece->begins || s->switched;
    pha__segment segment = { piece->data, n, s->now, begins, whole && piece->ends, piece->wikitext,
                             piece->path };
    s->switched = last && !segment.ends; /* what is left of the document is one of the next split */
    if (last) s->now = following(s);
    s->position += n;
    piece->data += n, piece->size -= n;
    piece->begins = false;
    return segment;
}

/* inspect.h -- a model folder or a configuration, opened to be looked at */
#ifndef PHA__INSPECT_H
#define PHA__INSPECT_H

#include "base/str.h"
#include "runtime/model.h"

typedef struct pha__subject {
    const char *path;
    char *inner;         /* the model of a run, if that was given; path is the same then */
    pha__config config;
    pha_model *model;    /* NULL: only a configuration */
    pha__program *names; /* recorded at B = T = 1; parameters and their shapes */
    json_t *as_json;     /* the configuration */
} pha__subject;

/* path: a model folder, a run folder (its model, with a note), a folder with only config.json, or a configuration
 * file. */
pha_status pha__subject_open(pha__subject *s, const char *path);
void pha__subject_close(pha__subject *s); /* a zeroed one is allowed */

#define PHA__MIX_ROW 4
/* Mixing weights of one layer: w_k = softplus(p_k) / sum, and w_k rms(gain_k), normalised; both sum to 1. */
typedef struct pha__mix_row {
    int layer, n;
    char branch[PHA__MIX_ROW][16]; /* gss, attn, aux ... */
    double raw[PHA__MIX_ROW], scaled[PHA__MIX_ROW];
} pha__mix_row;

/* Rows of all mixes with two branches or more, in the order of layers; *rows for the caller to pha__free. data: one
 * address per parameter in index order, or NULL: values before training. */
pha_status pha__mixing_rows(pha__mix_row **rows, int *n, const pha__program *names, const pha__store *store);

/* The views; text or JSON. */
pha_status pha__inspect_mixing(pha__str *out, const pha__subject *s, const pha_inspect_options *o);
pha_status pha__inspect_summary(pha__str *out, const pha__subject *s, const pha_inspect_options *o);

/* Adds a JSON value as text with a final newline and releases it. */
pha_status pha__add_json(pha__str *out, json_t *value);
/* 125072068 as 125,072,068; one of a few buffers that are used in turn. */
const char *pha__digits(uint64_t n);

#endif

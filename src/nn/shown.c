/* shown.c -- see shown.h; figures and keys are those of log.jsonl and report.html (docs/format.md) */
#include "nn/shown.h"

#include <string.h>

#define PART(at, name) [at] = {name, at}
const pha__part pha__parts[PHA__PARTS] = {
    PART(PHA__PART_EMBEDDING, "embedding"), PART(PHA__PART_ATTENTION, "attention"), PART(PHA__PART_GSS, "gss"),
    PART(PHA__PART_AUX, "aux"),             PART(PHA__PART_FFN, "ffn"),             PART(PHA__PART_NORMS, "norms"),
    PART(PHA__PART_MIXING, "mixing"),
};

/* Branches stand in the order of Table 9 of the paper. */
static const pha__label branches[] = {{"gss", "GSS"}, {"attn", "attention"}, {"aux", "FFN"}, {NULL, NULL}};
static const pha__label quantiles[] = {{"p10", "p10"}, {"p50", "median"}, {"p90", "p90"}, {NULL, NULL}};

const pha__watch_row pha__shown[PHA__SHOWN] = {
    [PHA__SHOW_HORIZON] = {.name = "horizon",
                           .order = PHA__SHOW_HORIZON,
                           .form = PHA__WATCH_NAMED,
                           .labels = quantiles,
                           .figures = PHA__FIGURE_LAYERS,
                           .title = "Horizon of the scan",
                           .unit = "tokens",
                           .log_scale = true},
    [PHA__SHOW_GATE_MEAN] = {.name = "gate_mean", .order = PHA__SHOW_GATE_MEAN, .form = PHA__WATCH_NUMBER},
    [PHA__SHOW_BRANCH_RMS] = {.name = "branch_rms", .order = PHA__SHOW_BRANCH_RMS, .form = PHA__WATCH_NAMED},
    [PHA__SHOW_ATTN_SCALE] = {.name = "attn_scale", .order = PHA__SHOW_ATTN_SCALE, .form = PHA__WATCH_LIST},
    [PHA__SHOW_MIX] = {.name = "mix",
                       .order = PHA__SHOW_MIX,
                       .form = PHA__WATCH_NAMED,
                       .labels = branches,
                       .figures = PHA__FIGURE_BARS | PHA__FIGURE_MEAN | PHA__FIGURE_EACH,
                       .title = "Mixing weights",
                       .each = "Weight of",
                       .note = "w = softplus(p) / sum"},
    [PHA__SHOW_MIX_SCALED] = {.name = "mix_scaled",
                              .order = PHA__SHOW_MIX_SCALED,
                              .form = PHA__WATCH_NAMED,
                              .labels = branches,
                              .figures = PHA__FIGURE_BARS,
                              .title = "Mixing weights times rms of the gains",
                              .note = "w rms(gain) / sum"},
    [PHA__SHOW_MIX_SHARE] = {.name = "mix_share",
                             .order = PHA__SHOW_MIX_SHARE,
                             .form = PHA__WATCH_NAMED,
                             .labels = branches,
                             .figures = PHA__FIGURE_BARS | PHA__FIGURE_MEAN,
                             .title = "Share of the branches in the norm of what they add",
                             .note = "mean |w gain n(branch)| / sum"},
};

const char *pha__label_title(const pha__watch_row *row, const char *key)
{
    const pha__label *l = row->labels;
    while (l && l->key && strcmp(l->key, key)) l++;
    return l && l->key ? l->title : key;
}

int pha__label_order(const pha__watch_row *row, const char *key)
{
    int at = 0;
    while (row->labels && row->labels[at].key && strcmp(row->labels[at].key, key)) at++;
    return at;
}

/* experiments.h -- a small experiment in parts, and what is read of its folder */
#ifndef EXPERIMENTS_H
#define EXPERIMENTS_H

#include "runtime/repro/repro.h"
#include "telling.h"

#define PHA_MODEL "{\"arch\": \"pha\", \"n_layer\": 1, \"n_head\": 2, \"n_kv_head\": 1, \"d_model\": 16, "
#define SIZES "\"d_state\": 32, \"d_ffn\": 32, \"d_aux\": 16}"
#define ATTN PHA_MODEL "\"d_ffn\": 64, \"branches\": [\"attn\"]}"
#define PLAIN                                                                                                         \
    "\"title\": \"A <small> one\", \"data\": {\"train\": [\"text.txt\"], \"valid\": \"valid.txt\", "                  \
    "\"tokenizer\": \"bytes\", \"vocab_size\": 257}, \"options\": {\"context\": 16, \"batch\": 2, \"dropout\": 0.1, " \
    "\"clip\": 0, \"eval_every\": 4, \"keep_best\": 0, \"average_best\": 0}, \"warmup\": 0.5, "                       \
    "\"published\": [{\"model\": \"theirs\", \"token_ppl\": 20.5, \"how\": \"zero-shot\", \"where\": \"Table 2\"}]"
#define RATES "\"rates\": {\"lr\": [0.001, 0.01], \"tokens\": 128, \"scored_tokens\": 64}"
#define LONGER "{\"tokens\": 320, \"seeds\": [3], \"models\": [\"attn\"]}"
#define STAGES "\"stages\": [{\"tokens\": 256, \"seeds\": [1, 2]}, " LONGER "]"
#define MODELS "\"models\": {\"pha\": " PHA_MODEL SIZES ", \"attn\": " ATTN "}, \"parameters_within\": 0.3"
#define WHOLE "{" PLAIN ", " RATES ", " STAGES ", " MODELS "}"

static inline const char *write_experiment(const char *text)
{
    const char *path = in_root("small.json");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static char folder[300], file[300];

static inline pha_repro_options repro(const char *text, const char *out)
{
    snprintf(file, sizeof file, "%s", write_experiment(text));
    snprintf(folder, sizeof folder, "%s", in_root(out));
    return (pha_repro_options){.experiment = file, .out = folder, .threads = 1};
}

static inline int set_up_texts(void **state)
{
    root_setup(state);
    write_text(in_root("text.txt"), 200);
    write_text(in_root("valid.txt"), 40);
    return 0;
}

static inline void refuses(const char *text, const char *message)
{
    char *out;
    pha_repro_options o = repro(text, "refused");
    o.dry_run = true;
    FAILS(BAD_INPUT, message, pha_repro(&o, &out, NULL));
    assert_null(out);
}

#endif

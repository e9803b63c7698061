/* pha/exchange.h -- models as other programs read them, and back; of pha.h */
#ifndef PHA_EXCHANGE_H
#define PHA_EXCHANGE_H

#include "pha/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pha_export_format {
    PHA_EXPORT_HF,   /* a folder that transformers opens */
    PHA_EXPORT_GPT2, /* as GPT2LMHeadModel has it on the Hugging Face hub */
    PHA_EXPORT_GGUF  /* a file that llama.cpp opens */
} pha_export_format;

typedef struct pha_export_options {
    const char *model; /* a model folder */
    const char *out;   /* absent, empty, or an earlier export or model of pha, which is replaced; of GGUF a file */
    pha_export_format format;
    const char *eval;  /* HF: a file with what `pha eval --json` printed, for the card; NULL: none */
    pha_weights weights; /* GGUF: of the matrices, FP32, FP16 or Q8 [FP16] */
} pha_export_options;

/* Writes a model as other programs read it. pha_model_open reads the folders, too, to the same numbers.
 *
 * HF, of arch pha and seq: weights under our names in fp32 (or 16 bits as they are stored), config.json with our keys
 * and those of the hub, the tokenizer, generation_config.json, modeling_pha.py and configuration_pha.py, which
 * transformers runs with trust_remote_code, and a card: what the model is, the run that it lies in, `eval`, the mixing
 * weights. A model of arch gpt2 becomes a plain GPT-2. Above 5 GB the weights are in parts with an index, as
 * transformers writes them.
 * GPT2: config.json and model.safetensors of GPT2LMHeadModel, fp32, the head tied; of arch gpt2 with a key and value
 * per head and without local only. GGUF: the same models for llama.cpp, with its tokenizer, if that cuts text as GPT-2,
 * Llama 3 or Qwen2 do; vectors and positions in fp32, matrices whose rows are no multiple of 32 in fp16 where Q8 is
 * asked for. NUMERIC: a number that the format has no place for.
 *
 * BAD_INPUT: a model that the format has no place for, by name. USAGE: `out` holds something else, or the model. */
PHA_API pha_status pha_export(const pha_export_options *options);

typedef enum pha_import_kind { PHA_IMPORT_MODEL, PHA_IMPORT_TOKENIZER, PHA_IMPORT_TOKENS } pha_import_kind;

typedef struct pha_import_options {
    const char *const *from;                /* a folder of a model or a tokenizer; token files and folders of them */
    const char *const *valid, *const *test; /* token files of these splits */
    size_t n_from, n_valid, n_test;
    const char *tokenizer; /* as for pha_tokenizer_open; of token files, and of a model that has none */
    const char *out;       /* absent, empty, or an earlier folder of this kind, which is replaced */
} pha_import_options;

typedef struct pha_import_result {
    pha_import_kind kind;
    char arch[16];                     /* of a model */
    uint64_t parameters;
    uint64_t train, valid, test;       /* tokens */
    int32_t vocab_size;
} pha_import_result;

/* Makes a folder of ours of one that another program wrote; what it is, is seen in it.
 *
 * Model: a folder that pha exported and transformers saved again, or GPT-2 as the Hugging Face hub has it, its weights
 * in one file or in shards with an index. Tensors that are missing, too many, turned, of other types or shapes, or a
 * tokenizer that does not fit, are BAD_INPUT, the first by name.
 * Tokenizer: tokenizer.json, vocab.bpe + encoder.json, or merges.txt + vocab.json.
 * Tokens: files of nanoGPT (train.bin, val.bin) and of llm.c. In a folder the names say the split: "val" or "test" in
 * it, else train. The tokenizer is that which made them; every id is compared with its size, and the text that the ids
 * stand for is counted.
 *
 * result may be NULL. STOPPED: on a stop request; nothing is written then. */
PHA_API pha_status pha_import(const pha_import_options *options, pha_import_result *result);

#ifdef __cplusplus
}
#endif
#endif

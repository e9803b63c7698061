/* pha.h -- the public interface of libpha
 *
 * This is the only header an application includes (long file: so that it can be the only one). Every handle is opaque.
 * Functions that can fail return a pha_status; the reason is then in pha_errmsg() of the same thread. Every
 * out-parameter is set to NULL on failure and every close function accepts NULL. Option structs are zero-initialised by
 * the caller: zero means "default".
 *
 * No function crashes at NULL. Where an argument is not said to be optional, NULL is refused with USAGE, and functions
 * without a status do nothing or return 0; the result structs of pha_prepare, pha_generate, pha_train, pha_convert,
 * pha_eval, pha_eval_positions, pha_quantize, pha_task and pha_check are optional, and so is `size` of
 * pha_tokenizer_decode.
 *
 * Errors that every function below may return, and that are not repeated there: USAGE (an option out of its range, a
 * folder in the way), BAD_INPUT (a file of the wrong kind, truncated, corrupt, or of another model), IO (missing,
 * unreadable, no permission, disk full), NO_MEMORY. After a failure the arguments are as before, and files that were to
 * be written are either absent or as they were: everything is written beside its place and renamed.
 *
 * Strings and arrays that are passed in are copied or used only during the call, unless said otherwise. Letters: B
 * batch, T tokens in a sequence, V vocabulary, D width of the model. Token ids run from 0 to V - 1.
 */
#ifndef PHA_H
#define PHA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PHA_API __attribute__((visibility("default")))
#else
#define PHA_API
#endif

#define PHA_VERSION_MAJOR 0
#define PHA_VERSION_MINOR 1
#define PHA_VERSION_PATCH 0

/* clang-format off */
/* The status codes are the exit codes of the command: X(name, value, text). */
#define PHA_STATUS_MAP(X)                                              \
    X(OK,         0, "success")                                        \
    X(FAILED,     1, "failed")                                         \
    X(USAGE,      2, "wrong usage: a flag, an option or an argument")  \
    X(BAD_INPUT,  3, "a bad model, data or configuration file")        \
    X(IO,         4, "input or output failed, or the disk is full")    \
    X(NO_MEMORY,  5, "out of memory")                                  \
    X(NO_DEVICE,  6, "the device is missing")                          \
    X(NUMERIC,    7, "a value that is not finite, or a loss spike")    \
    X(STOPPED,   75, "stopped early with a good checkpoint")
/* clang-format on */

typedef enum pha_status {
#define X(name, value, text) PHA_##name = value,
    PHA_STATUS_MAP(X)
#undef X
} pha_status;

/* The reason of the calling thread's last failure, "" if there was none. Valid until the thread's next libpha call. */
PHA_API const char *pha_errmsg(void);

/* The fixed text of a status code; never NULL. */
PHA_API const char *pha_status_text(pha_status status);

/* "0.1.0" */
PHA_API const char *pha_version(void);

/* ---- the process ---------------------------------------------------------------------------------------- */

/* The allocator of everything libpha allocates. alloc returns memory aligned to `align` bytes (a power of two) or NULL.
 * Set it before anything else is called; NULL restores the default. Once libpha holds memory a change is ignored, with
 * a warning in the log. What jansson, zlib and zstd allocate for libpha comes from it as well.
 *
 * jansson has one allocator for the whole process: libpha sets it when it is loaded. A program that uses jansson too
 * keeps what it has: its values and texts come from the functions that were set before (malloc and free, as a rule),
 * and values may go from one to the other. If it sets functions of its own it does so before libpha is loaded, or while
 * no call of libpha runs and no object of libpha is open; from then on jansson's share of libpha's memory is theirs. */
typedef struct pha_allocator {
    void *(*alloc)(void *context, size_t size, size_t align);
    void (*free)(void *context, void *memory);
    void *context;
} pha_allocator;
PHA_API void pha_set_allocator(const pha_allocator *allocator);

/* Warnings and notes; level 0 warning, 1 note, 2 trace. Default: stderr. fn = NULL restores the default. */
typedef void pha_log_fn(void *context, int level, const char *message);
PHA_API void pha_set_log(pha_log_fn *fn, void *context);

PHA_API void pha_free(void *memory); /* for memory that a function below hands to the caller */
PHA_API const char *pha_isa(void);   /* instruction set of the kernels in use: "avx512", ... (PHA_ISA overrides) */

/* Asks training, evaluation, preparation and generation in this process to stop soon and cleanly (they return
 * PHA_STOPPED). Async-signal-safe: meant for signal handlers. */
PHA_API void pha_request_stop(void);
PHA_API void pha_clear_stop(void);

/* The path of the file whose contents are mapped at an address, NULL: none. Of use in a handler of SIGBUS, which comes
 * when a file that is open here is truncated by somebody else; it may be called there. */
PHA_API const char *pha_mapped_file(const void *address);

/* Called now and then by long work; `done` and `total` in `unit`s, rate per second, `seconds_left` < 0: unknown.
 * `line` is a ready text for a person (loss, tokens/s, time left ...). */
typedef struct pha_progress {
    const char *phase, *unit, *line;
    double done, total, rate, seconds_left;
} pha_progress;
typedef void pha_progress_fn(void *user, const pha_progress *progress);

/* ---- tokenizer: byte-level BPE -------------------------------------------------------------------------- */

typedef struct pha_tokenizer pha_tokenizer;

/* May be used by several threads at once. path: a tokenizer.json; a folder with tokenizer.json, vocab.bpe +
 * encoder.json or merges.txt + vocab.json; one of those files; or "bytes". The token that ends a document is the one
 * that tokenizer_config.json, special_tokens_map.json, generation_config.json or config.json beside it name, in this
 * order, else the added token with a well-known name (<|endoftext|>, <|end_of_text|>, </s>, <eos>, <|im_end|> and
 * others). No token is put in front of a text by itself, whatever a post_processor says. BAD_INPUT: also a file that
 * asks for what isn't supported, which is named. */
PHA_API pha_status pha_tokenizer_open(pha_tokenizer **out, const char *path);
PHA_API void pha_tokenizer_close(pha_tokenizer *tokenizer);
PHA_API int32_t pha_tokenizer_size(const pha_tokenizer *tokenizer); /* V */
PHA_API int32_t pha_tokenizer_end(const pha_tokenizer *tokenizer);  /* the token that ends a document, -1: none known */
/* Where that was found: "its name", a file's name, ...; "": there is none. Valid as long as the tokenizer. */
PHA_API const char *pha_tokenizer_end_from(const pha_tokenizer *tokenizer);
/* Of vocabulary, merges, pattern and special tokens: equal hashes encode every text alike. */
PHA_API uint64_t pha_tokenizer_hash(const pha_tokenizer *tokenizer);
/* Any bytes are text. Time is linear in `size`; BAD_INPUT: a pattern of the tokenizer would take longer. *ids (n):
 * fresh memory for the caller to pha_free. special: special
 * tokens in the text become their ids; otherwise they are text like any other. */
PHA_API pha_status pha_tokenizer_encode(const pha_tokenizer *tokenizer, const char *text, size_t size, bool special,
                                        int32_t **ids, size_t *n);
/* *text: fresh memory for the caller to pha_free, zero-terminated; its `size` bytes are exactly those that were encoded
 * (parts of a text need not be valid UTF-8), in the normal form of Unicode that the tokenizer asks for.
 * BAD_INPUT: an id outside of the vocabulary. */
PHA_API pha_status pha_tokenizer_decode(const pha_tokenizer *tokenizer, const int32_t *ids, size_t n, char **text,
                                        size_t *size);

/* ---- data: text in, token shards out -------------------------------------------------------------------- */

typedef struct pha_prepare_options {
    /* Files and folders: text, JSON lines or an array of JSON objects, .tokens, .raw; each also as .gz, .zst, .xz,
     * .bz2. A pipe, or "-" for standard input, is copied beside `out` first, since text is read more than once. */
    const char *const *inputs;
    size_t n_inputs;                        /* may be 0 if valid or test is given */
    const char *const *valid, *const *test; /* explicit inputs of these splits instead of fractions */
    size_t n_valid, n_test;
    const char *out;                      /* the data folder to write */
    const char *tokenizer;                /* as pha_tokenizer_open; NULL: train one */
    const char *end_token;                /* of a finished tokenizer: the token that ends documents; NULL: its own */
    int32_t vocab_size;                   /* of a trained tokenizer; 0: 16384 */
    double valid_fraction, test_fraction; /* of the documents; 0: 0.005, negative: none; together at most 1 */
    uint64_t seed;                        /* of the split */
    const char *text_key;                 /* of JSON; "a.b": b in the object under a; NULL: "text" */
    bool skip_bad_lines;                  /* JSON: count and skip instead of failing */
    int join;             /* between documents: 0 default (the end token, nothing for WikiText), 1 always, 2 never */
    uint64_t train_bytes; /* text, from all over the training split, to train a tokenizer; 0: 64 MB */
    int threads;          /* 0: PHA_THREADS or all processors */
    pha_progress_fn *progress;
    void *user; /* passed to progress */
} pha_prepare_options;

typedef struct pha_split {
    uint64_t tokens, bytes, words, lines, documents; /* words include one per end of line */
    uint64_t copies;                                 /* documents whose text also lies in another split */
} pha_split;

typedef struct pha_prepare_result {
    pha_split train, valid, test;
    int32_t vocab_size;
    uint64_t tokenizer_hash, skipped_lines;
    uint64_t replaced_characters; /* halves of surrogate pairs in JSON, for which U+FFFD stands */
    double seconds;
    int32_t end_id;       /* of the token that ends documents, -1: none is known */
    char end_token[64];   /* its text, cut if it is longer */
    const char *end_from; /* constant text: where it was found, as "its name", "tokenizer_config.json" */
} pha_prepare_result;

/* Reads text of any size in a stream, trains a vocabulary or takes one, and writes the data folder: tokenizer.json (and
 * tokenizer_config.json, if only that says which token ends documents), shards of tokens per split, data.json. Which
 * split a document belongs to is a function of (seed, its number); where
 * there are too few documents the splits are the head and the tail of the text. A file lies in one split only: one that
 * is given for valid or test, under whatever name, is left out of the inputs, with a note.
 * USAGE: `out` holds something else, or another process is writing it. STOPPED: on a stop request; nothing is written
 * then. */
PHA_API pha_status pha_prepare(const pha_prepare_options *options, pha_prepare_result *result);

/* ---- models --------------------------------------------------------------------------------------------- */

/* Weights, read-only and shareable between threads. A folder as on the Hugging Face hub: config.json,
 * model.safetensors, tokenizer.json. */
typedef struct pha_model pha_model;

/* The weights are mapped from the file, not copied; the file must stay as it is while the model is open. BAD_INPUT:
 * also if tokenizer.json is not the one that the weights were written with, or config.json makes another model of them
 * (unless a person wrote "edited": true into it). Opening reads no weights. What computes with them (an engine, a
 * session, an evaluation, a mean, a training that begins with them) first verifies that they are what was written, or
 * fails with BAD_INPUT. Files from elsewhere do not say what was written and are taken as they are (docs/format.md). */
PHA_API pha_status pha_model_open(pha_model **out, const char *folder);
/* After the sessions over it have been closed. */
PHA_API void pha_model_close(pha_model *model);
/* Writes an untrained model folder (initial values: pha.md 5): every tensor a function of (seed, its path). tokenizer:
 * as for pha_tokenizer_open; NULL: none. out_folder: absent, empty, or a model folder, which is replaced once the new
 * one has been read back (IO: it is not what was written). USAGE: config_file or tokenizer lie in it. */
PHA_API pha_status pha_model_init(const char *config_file, uint64_t seed, const char *tokenizer,
                                  const char *out_folder);
/* Mean of the weights of n >= 1 model folders of one configuration, in double, equal weights (pha.md 6). out_folder: as
 * for pha_model_init. BAD_INPUT: also for weights with a number that is not finite. USAGE: out_folder is one of the
 * folders, however they are spelt. */
PHA_API pha_status pha_model_average(const char *const *folders, size_t n, const char *out_folder);

/* Writes a model folder as other programs read it. PHA_EXPORT_GPT2: as the Hugging Face hub has GPT-2 (config.json and
 * model.safetensors of GPT2LMHeadModel, fp32, the head tied), which pha_model_open reads too, to the same numbers; of
 * arch gpt2 with a key and value per head and without local only, anything else is BAD_INPUT. out_folder: as for
 * pha_model_init. USAGE: the model lies in it. */
typedef enum pha_export_format { PHA_EXPORT_GPT2 } pha_export_format;
PHA_API pha_status pha_model_export(const char *folder, pha_export_format format, const char *out_folder);

typedef struct pha_model_info {
    char arch[16];
    int32_t vocab_size, d_model, n_layer;
    uint64_t parameters;
} pha_model_info;
PHA_API void pha_model_get_info(const pha_model *model, pha_model_info *info);
/* The model's tokenizer, owned by the model; NULL if the folder has none. */
PHA_API const pha_tokenizer *pha_model_tokenizer(const pha_model *model);

/* ---- engines and sessions: streaming with constant-size state --------------------------------------------- */

/* What many sessions share: a device, its threads, working copies of the weights, programs. Calls on sessions of one
 * engine may come from several threads; their runs take turns. */
typedef struct pha_engine pha_engine;

typedef enum pha_precision { PHA_PRECISION_DEFAULT, PHA_FP32, PHA_BF16 } pha_precision;

/* How the matrices of a model are stored while it runs. What is no matrix (gains, biases, rates, mixing, scales) stays
 * fp32, and so do all sums. With Q8 and Q4 what is multiplied by a matrix is rounded to 16 bits with a scale for every
 * 32 numbers, on its way into the product. */
typedef enum pha_weights {
    PHA_WEIGHTS_DEFAULT, /* as they are in the files */
    PHA_WEIGHTS_FP32,
    PHA_WEIGHTS_BF16,
    PHA_WEIGHTS_FP16,
    PHA_WEIGHTS_Q8, /* 8 bits and a scale of 16 for every 32 numbers of a row */
    PHA_WEIGHTS_Q4  /* likewise with 4 bits; what has a row for each token of the vocabulary as Q8 */
} pha_weights;

/* The state of one text: recurrent states and key/value caches. One thread at a time. */
typedef struct pha_session pha_session;

typedef struct pha_engine_options {
    int64_t max_context; /* tokens of a session; 0: 4096. With a window in every layer the caches are rings and text may
                            be longer. A model with learned positions has no more than those (n_positions): what is
                            larger counts as that many */
    int32_t chunk;       /* tokens per run while a prompt is read; 0: 256 */
    int32_t batch;       /* sessions per run of a step; 0: 16 */
    int threads;         /* 0: PHA_THREADS or all processors */
    const char *device;  /* NULL: PHA_DEVICE, or "cpu"; "cpu:avx2": with the kernels of one instruction set */
    pha_weights weights; /* [as in the files] a processor has all formats, other devices fp32 */
    uint64_t state_ram;  /* bytes of memory for texts that have been read, for pha_session_begin; 0: none */
    pha_precision cache; /* of keys and values of attention [fp32]; other devices than processors: fp32 */
} pha_engine_options;

/* The model must outlive it. NO_DEVICE: there is no such device. */
PHA_API pha_status pha_engine_open(pha_engine **out, const pha_model *model, const pha_engine_options *options);
/* Its sessions may be closed before or after. */
PHA_API void pha_engine_close(pha_engine *engine);
/* A session of the engine: its state and nothing else. All memory of it is taken here; feeding allocates nothing. */
PHA_API pha_status pha_engine_session(pha_engine *engine, pha_session **out);
/* Reads one token in each of n >= 1 different sessions of the engine, ids[i] in sessions[i]; more than `batch` take
 * several runs. logits (n, V), the caller's, may be NULL. Every session gets the bits that it would get alone. STOPPED:
 * one of them was asked to stop; none has read its token then. */
PHA_API pha_status pha_engine_step(pha_engine *engine, pha_session *const *sessions, const int32_t *ids, size_t n,
                                   float *logits);

typedef struct pha_engine_info {
    int64_t max_context;   /* tokens for which a session has room; INT64_MAX: a text may be of any length */
    int32_t vocab_size;    /* V, of a row of logits; a tokenizer may have fewer ids */
    int32_t chunk, batch;
    size_t session_bytes;  /* of the state of a session */
    uint64_t fingerprint;  /* of the configuration and all weights */
} pha_engine_info;
PHA_API void pha_engine_get_info(const pha_engine *engine, pha_engine_info *info);

typedef struct pha_session_options {
    int64_t max_context; /* as in pha_engine_options */
    int32_t chunk;
    int threads;
    pha_weights weights;
    pha_precision cache;
} pha_session_options;

/* A session with an engine of its own. The model must outlive it. */
PHA_API pha_status pha_session_open(pha_session **out, const pha_model *model, const pha_session_options *options);
PHA_API void pha_session_close(pha_session *session);
PHA_API void pha_session_reset(pha_session *session); /* to the state before the first token */
/* Reads n >= 1 tokens behind those read so far. *logits (V), fp32, of the last token, belongs to the session until its
 * next call; `logits` may be NULL. The result is that of one pass over the whole text, to the bit, however it is cut.
 * USAGE: more tokens than max_context has room for. STOPPED: asked to stop; what was read before stays. */
PHA_API pha_status pha_session_feed(pha_session *session, const int32_t *ids, size_t n, const float **logits);
/* As feed, but without the logits of the last token, which costs less: for the parts of a text of which more is to
 * come. */
PHA_API pha_status pha_session_read(pha_session *session, const int32_t *ids, size_t n);
/* As feed; all_logits (n, V), the caller's, receives the logits of every token. */
PHA_API pha_status pha_session_score(pha_session *session, const int32_t *ids, size_t n, float *all_logits);
PHA_API int64_t pha_session_position(const pha_session *session); /* tokens read so far */
PHA_API size_t pha_session_state_bytes(const pha_session *session); /* constant from the opening on */
/* Asks the session to stop: what it does, and what is asked of it until the request is cleared, ends with STOPPED
 * before the next run. May be called from any thread. */
PHA_API void pha_session_request_stop(pha_session *session);
PHA_API void pha_session_clear_stop(pha_session *session);
/* Goes back to the first `position` tokens, to the bit as if no more had been read: to a mark, which is set every 64
 * tokens (every `chunk` while a prompt is read), and from there by reading again. USAGE: beyond what has been read, or
 * the tokens to be read again are not known (the last 4096 are known after pha_session_load). STOPPED: as feed; the
 * session then stands where it had come to, not behind `position`. */
PHA_API pha_status pha_session_rewind(pha_session *session, int64_t position);
/* A new session of the same engine at the same place; costs what has been read, not max_context. */
PHA_API pha_status pha_session_fork(pha_session **out, const pha_session *from);
/* Copies state between sessions of the same model and max_context. A copy or a file that the device fails to take
 * leaves the session as after pha_session_reset. */
PHA_API pha_status pha_session_copy(pha_session *to, const pha_session *from);
/* What has been read as a file, with a checksum; it can be loaded into a session of the same weights and max_context
 * only. */
PHA_API pha_status pha_session_save(const pha_session *session, const char *path);
PHA_API pha_status pha_session_load(pha_session *session, const char *path);

/* Why a session does not begin with more tokens that have been read already. */
typedef enum pha_miss {
    PHA_MISS_NONE,      /* there is no more of this text */
    PHA_MISS_FIRST_USE, /* nothing is stored for this tenant */
    PHA_MISS_SHORT,     /* fewer than the 64 tokens of a page, and one behind it */
    PHA_MISS_DIFFERS,   /* from what is stored, at a token */
    PHA_MISS_EVICTED,   /* it was stored, and had to make room */
    PHA_MISS_DISABLED,  /* the engine stores nothing */
    PHA_MISS_NO_ROOM,   /* the engine's room is smaller than a page, or the model's windows are */
} pha_miss;
PHA_API const char *pha_miss_text(pha_miss miss); /* "first_use" */

typedef struct pha_reuse {
    int64_t tokens; /* with which the session begins */
    pha_miss miss;
    int64_t at;     /* the position up to which the text is known; of DIFFERS, the first token that differs */
} pha_reuse;
/* To the state behind the longest beginning of n ids that a session of this engine has read, of at most n - 1 tokens
 * (pha_engine_options.state_ram): the session then goes on with ids + reuse->tokens, and gets the bits of one that
 * reads all of them. Texts of another tenant (a name; NULL is one too) are not found, whatever they say; what this
 * session reads from here on is stored for this one. `reuse` may be NULL. */
PHA_API pha_status pha_session_begin(pha_session *session, const int32_t *ids, size_t n, const char *tenant,
                                     pha_reuse *reuse);

typedef struct pha_sample_options {
    double temperature;        /* 0: greedy */
    int32_t top_k;             /* keep the k most likely; 0: off */
    double top_p;              /* then the fewest that hold this probability together; 0: off */
    double min_p;              /* then those of at least this share of the likeliest one's probability; 0: off */
    double repetition_penalty; /* 0 or 1: off; divides positive, multiplies negative logits of recent tokens */
    int32_t repetition_window; /* 0: 256 */
    uint64_t seed;
    /* Subtracted from the logit of a token that has been generated: once, and once each time. Below 0 they draw
     * near. */
    double presence_penalty, frequency_penalty;
    const struct pha_logit_bias *bias; /* n_bias of them; used during the call only */
    size_t n_bias;
} pha_sample_options;

/* Added to the logit of a token. -INFINITY forbids it, and a value that leaves no other forces it. */
typedef struct pha_logit_bias {
    int32_t id;
    double value;
} pha_logit_bias;

typedef struct pha_logprob {
    double value; /* natural logarithm of the probability */
    int32_t id;
} pha_logprob;

/* One choice of a next token. In this order: the penalties and biases on the logits, temperature, the top_k most
 * likely, of these the fewest that hold top_p, of these those with at least min_p of the highest probability. Between
 * equal logits the lower id goes first. The choice is a function of what is given here and of nothing else. */
typedef struct pha_draw {
    const float *logits;  /* (n_logits) */
    int32_t n_logits, n_ids; /* the choice is among the first n_ids; 0: all. A model may have rows that no text uses */
    const pha_sample_options *options;
    const int32_t *text;  /* (n_text) the tokens so far, of which the last n_new have been generated: for penalties */
    size_t n_text, n_new;
    uint64_t count;       /* number of the draw under the seed */
    int32_t n_best;       /* likeliest tokens that are to be reported, 0 to n_logits */
    pha_logprob *best;    /* (1 + n_best), as of pha_logprobs of the token that is drawn; NULL: none */
    int32_t id;           /* the result */
    pha_status status;    /* of this draw */
} pha_draw;

/* Draws a token. NUMERIC: a logit is NaN or +inf, or no token is possible. */
PHA_API pha_status pha_sample(pha_draw *draw);
/* n draws at once, by the engine's threads. All are tried; the status is that of the first one that failed. */
PHA_API pha_status pha_engine_sample(pha_engine *engine, pha_draw *draws, size_t n);
/* Log-probabilities over all n_logits: out[0] that of `id`, then those of the k likeliest, falling, of equal ones the
 * lower id first. In double, from the logits less the logarithm of the sum of their exponentials. NUMERIC: as
 * pha_sample. */
PHA_API pha_status pha_logprobs(const float *logits, int32_t n_logits, int32_t id, int32_t k, pha_logprob *out);
/* The same of n rows of logits (n, V) and their ids, by the engine's threads; out (n, 1 + k). */
PHA_API pha_status pha_engine_logprobs(pha_engine *engine, const float *logits, const int32_t *ids, size_t n, int32_t k,
                                       pha_logprob *out);

typedef struct pha_generate_options {
    pha_sample_options sample;
    int64_t max_tokens;      /* 0: 256 */
    const char *const *stop; /* strings that end the text (not delivered) */
    size_t n_stop;
    bool ignore_end;   /* go on after the token that ends a text */
    bool plain_prompt; /* special tokens in the prompt are text like any other; false: they become their ids */
    /* Receives whole UTF-8 characters as they come; returning false ends the generation. */
    bool (*text)(void *user, const char *text, size_t size); /* the text is valid during the call */
    void *user;
    void (*token)(void *user, int32_t id); /* receives every new token, also one whose text is not delivered */
} pha_generate_options;

typedef struct pha_generate_result {
    int64_t prompt_tokens, new_tokens;
    double prompt_seconds, new_seconds;
    /* After OK or STOPPED. 0 max_tokens, 1 end of text, 2 stop string, 3 callback, 4 context full, 5 asked to stop */
    int end;
} pha_generate_result;

/* Reads the prompt (`size` bytes; may be empty in a session that has read something) and generates. Same model, session
 * state, prompt and options: same text. USAGE: the model has no tokenizer, or the prompt has no room. */
PHA_API pha_status pha_generate(pha_session *session, const char *prompt, size_t size,
                                const pha_generate_options *options, pha_generate_result *result);

/* ---- training ------------------------------------------------------------------------------------------- */

typedef enum pha_schedule {
    PHA_SCHEDULE_DEFAULT,
    PHA_SCHEDULE_CONSTANT,
    PHA_SCHEDULE_COSINE,
    PHA_SCHEDULE_PLATEAU
} pha_schedule;
typedef enum pha_optimizer { PHA_OPTIMIZER_DEFAULT, PHA_OPTIMIZER_ADAMW, PHA_OPTIMIZER_MUON } pha_optimizer;

/* Numbers: 0 means the default in brackets; where 0 is meaningful, a negative number switches off. pha_train.def has a
 * row for each option, with its range and with what another value means to a run that is resumed. */
typedef struct pha_train_options {
    const char *config;    /* config.json or preset file of a new model; its vocab_size 0 or absent: the data's */
    const char *init_from; /* or: a model folder whose weights to start from */
    const char *data;      /* data folder of pha_prepare */
    const char *out;       /* run folder */
    bool resume;           /* go on from out/checkpoint, or the one before it, if there is one */
    bool other_data;       /* also if the data is not that of the checkpoint, which is refused otherwise */
    uint64_t seed;
    int32_t context;          /* T [1024, at most the data] */
    bool carry;               /* the windows of each of the `batch` sequences follow one another in the text, and each
                                 begins in the state in which the one before it ended (truncated back-propagation: no
                                 gradient goes back there); a pass over the data begins with zero states */
    double rope_theta;        /* base of rotary positions in place of that of the configuration [that one] */
    int32_t batch;            /* sequences per step [24] */
    int32_t micro_batch;      /* sequences per run; divides batch [1] */
    int64_t steps;            /* of the whole run; or */
    double epochs;            /* passes over the data [1] */
    double lr;                /* peak [4.5e-4] */
    pha_optimizer optimizer;  /* muon: of the matrices that are multiplied; all else stays with AdamW [adamw] */
    pha_schedule schedule;    /* [cosine] */
    int64_t warmup;           /* steps [0] */
    double lr_min_ratio;      /* of cosine [0.1] */
    double plateau_factor;    /* [0.75]; the plateau is told one loss per epoch, or each one if there is one epoch */
    int32_t plateau_patience; /* [3] */
    double beta1, beta2, eps; /* [0.9, 0.999, 1e-8] */
    double weight_decay;      /* [0.1] */
    bool decay_all;           /* decay gains and vectors too */
    double clip;              /* global norm [1.0] */
    double dropout;           /* [0] */
    double attn_dropout;      /* of the weights of softmax attention [0] */
    double spike;             /* a step is refused if its loss or gradient is more than `spike` deviations above the
                                 running mean [8; off if batch < 8, as hard text looks like a fault]; negative: off */
    pha_precision precision;  /* storage of weights' working copies and activations [fp32] */
    bool recompute;           /* keep only layer inputs, repeat each layer's forward */
    bool no_fuse;             /* merge no projections, fuse no norms and filters */
    int threads;              /* [PHA_THREADS or all processors]; the result doesn't depend on it */
    int64_t eval_every;       /* steps [once per epoch, at least 4 times a run] */
    int64_t eval_tokens;      /* of the validation split [all] */
    int64_t checkpoint_every; /* steps [as eval_every]; the end of an epoch and of the run has one too */
    int32_t keep_best;        /* model snapshots kept by validation perplexity [5] */
    int32_t average_best;     /* of them averaged at the end [3]; negative: no averaging */
    int64_t detail_every;     /* steps between log entries with mixing weights, horizons, norms per tensor [100] */
    const char *command;      /* for run.json: the command line */
    pha_progress_fn *progress;
    void *user; /* passed to progress */
} pha_train_options;

typedef struct pha_train_result {
    int64_t steps, tokens;
    double train_loss, valid_loss, valid_ppl, averaged_valid_ppl; /* NaN where not measured */
    double seconds, tokens_per_second; /* of this call; tokens_per_second of its steps alone, NaN: it made none */
    size_t peak_bytes;                 /* that libpha held at once */
    int64_t refused;                   /* steps of the run whose update the guard refused */
} pha_train_result;

/* Trains to the end (protocol: pha.md 6): run.json, log.jsonl, events.out.tfevents.*, checkpoint/, best/step-N/, model/
 * in the run folder. All tokens are read once and verified before the first step. STOPPED: on a stop request, at the
 * next microbatch or window of an evaluation; a step that is under way is left undone, and the checkpoint is that of
 * the last whole one. NUMERIC: twenty steps in a row were refused because loss or gradient were not finite or far above
 * their mean; a step that is refused changes no weight. A run that has come to its end before is left as it is, with a
 * note. USAGE: the folder holds something else, or another process trains into it. BAD_INPUT with `resume`: no
 * checkpoint can be used, and the folder shows that there were steps; a run does not start over there. */
PHA_API pha_status pha_train(const pha_train_options *options, pha_train_result *result);

/* The same one step at a time, without a run folder: `out`, `resume` and the cadences are not used. */
typedef struct pha_trainer pha_trainer;
PHA_API pha_status pha_trainer_open(pha_trainer **out, const pha_train_options *options);
PHA_API void pha_trainer_close(pha_trainer *trainer);
typedef struct pha_step {
    int64_t step; /* number of the step just done, from 1 */
    double loss;          /* mean over the step's tokens, nats, before the update */
    double gradient_norm; /* global 2-norm before clipping */
    double lr, seconds;
    int64_t tokens;       /* batch * T */
    bool skipped; /* the guard refused the update */
} pha_step;
/* Reads the next batch and updates the weights (AdamW, pha.md 6). Allocates nothing. step may be NULL. STOPPED: on a
 * stop request, between microbatches; the step is undone, and made whole by the next call. */
PHA_API pha_status pha_trainer_step(pha_trainer *trainer, pha_step *step);
PHA_API pha_status pha_trainer_save(pha_trainer *trainer, const char *folder); /* a checkpoint: bit-identical resume */
/* BAD_INPUT: damaged, or written with another configuration, seed, context, batch, precision, tokenizer or other data
 * (training and validation split by their content; `other_data` allows that). The log is told what else is not as it
 * was (the rate, merging, the instruction set ...). */
PHA_API pha_status pha_trainer_load(pha_trainer *trainer, const char *folder);
PHA_API pha_status pha_trainer_save_model(pha_trainer *trainer, const char *folder); /* a model folder */

/* ---- conversion ------------------------------------------------------------------------------------------ */

typedef struct pha_convert_options {
    const char *model;   /* a model folder of arch gpt2, or a folder of GPT-2 as on the hub */
    const char *to;      /* "hedgehog", which NULL means too */
    const char *config;  /* config.json of the model to make, in the shape of the other one; NULL: its defaults */
    const char *data;    /* data folder of pha_prepare, with the model's tokenizer */
    const char *out;     /* model folder to write, as for pha_model_init */
    int32_t context;     /* T [512, at most n_positions and the data] */
    int32_t batch;       /* sequences per step [8] */
    int64_t steps;       /* [two passes over the data, at most 2000] */
    double lr;           /* peak of a cosine [0.01] */
    uint64_t seed;       /* of the order of the data */
    int64_t eval_tokens; /* of the validation split (training split, if there is none) that are measured [65536] */
    int threads;         /* 0: PHA_THREADS or all processors */
    pha_progress_fn *progress;
    void *user; /* passed to progress */
} pha_convert_options;

typedef struct pha_convert_result {
    int64_t steps;
    /* Before the first step and after the last, per token, in nats, means over heads and layers: the distillation loss,
     * and the part of it that another feature map can take away, KL(softmax weights || weights of features). */
    double loss_before, loss, kl_before, kl;
    double teacher_ppl, ppl_before, ppl; /* perplexity per token of the model, and of what is made of it */
    double seconds;
    size_t peak_bytes;
} pha_convert_result;

/* Makes a Hedgehog model of a trained softmax model: learns its feature maps such that attention weighs as softmax does
 * (baselines.md 8 (b), stage 1); all other weights are the model's, to the bit. `out` is a model folder like any other;
 * training goes on with init_from. result may be NULL; NaN where it was not measured. STOPPED: on a stop request. Then,
 * as after any failure behind the first step, OUT.converting is a checkpoint of the last whole step, and the same call
 * goes on from there, to the bit. It is removed when `out` is written. BAD_INPUT: a model of another architecture, a
 * configuration of another shape, data of another tokenizer. USAGE: a context beyond n_positions, or `out` holds what
 * is read. */
PHA_API pha_status pha_convert(const pha_convert_options *options, pha_convert_result *result);

/* ---- evaluation ----------------------------------------------------------------------------------------- */

typedef enum pha_eval_mode {
    PHA_EVAL_WINDOWS, /* pha.md 7: windows without overlap, state zero in each */
    PHA_EVAL_SLIDING, /* overlapping windows with `stride`; not comparable */
    PHA_EVAL_CARRIED, /* state carried from window to window; not comparable */
} pha_eval_mode;

typedef struct pha_eval_options {
    const char *model; /* folder */
    const char *data;  /* data folder; its tokenizer must be the model's */
    const char *split; /* NULL: "valid" */
    int32_t context;   /* T; 0: 1024 */
    int32_t batch;     /* windows per run; 0: 1 */
    pha_eval_mode mode;
    int32_t stride;          /* SLIDING: tokens from window to window, 1 to context - 1 */
    int64_t max_tokens;      /* 0: all */
    double rope_theta;       /* base of rotary positions in place of the model's, 1.5 to 1e12; 0: that one */
    pha_precision precision; /* storage of activations, and of weights unless the next one says otherwise [fp32] */
    pha_weights weights;     /* [as in the files] */
    int threads;             /* 0: PHA_THREADS or all processors */
    pha_progress_fn *progress;
    void *user; /* passed to progress */
} pha_eval_options;

#define PHA_EVAL_BUCKETS 16
typedef struct pha_eval_result {
    double nll;                                          /* total, nats, summed in double */
    uint64_t tokens;                                     /* scored */
    uint64_t end_tokens;      /* of those: the ones that end documents and stand for no text */
    double text_nll;          /* of the others */
    uint64_t words, bytes;    /* of the split; 0, as the next three, where only a part was scored */
    uint64_t scored_words, scored_bytes; /* without those of the first token, which is never a target */
    uint64_t published_words; /* of the split of WikiText that this is; 0: it is none */
    double token_ppl, accuracy;      /* over all targets scored */
    double word_ppl, bits_per_byte;  /* text_nll over scored_words, scored_bytes; NaN where these are 0 */
    uint64_t tokenizer_hash;
    int32_t context, stride;
    double bucket_loss[PHA_EVAL_BUCKETS]; /* mean loss by position in the window, equal parts of T */
    uint64_t bucket_tokens[PHA_EVAL_BUCKETS];
    double seconds;
    size_t peak_bytes;
} pha_eval_result;

/* Scores a split by the protocol of pha.md 7 (perplexity: Eq. 1 of the paper). STOPPED: on a stop request. */
PHA_API pha_status pha_eval(const pha_eval_options *options, pha_eval_result *result);
/* Losses by the number of tokens in front. */
#define PHA_POSITION_BUCKETS 21
typedef struct pha_positions_result {
    double nll, token_ppl; /* of all that was scored, summed in double */
    uint64_t tokens, windows;
    int32_t context;
    /* Position 0, 1, 2 to 3, 4 to 7, ... of a window: part k >= 1 begins at 2^(k-1). The mean loss, and its standard
     * error as if losses did not depend on each other; NaN where none was scored. */
    double bucket_nll[PHA_POSITION_BUCKETS], bucket_loss[PHA_POSITION_BUCKETS], bucket_error[PHA_POSITION_BUCKETS];
    uint64_t bucket_tokens[PHA_POSITION_BUCKETS];
    bool grows;         /* the state grows with the context: the model has attention without a window */
    size_t state_bytes; /* of a window */
    uint64_t tokenizer_hash;
    double seconds;
    size_t peak_bytes;
} pha_positions_result;

/* Scores a split in windows without overlap, as pha_eval does, but streams each one with a carried state: windows may
 * be as long as 2^20 tokens, and memory grows with them only as the state of the model does. The losses have the bits
 * of pha_eval with that context. context 0: 65536, or the positions of the model if they are fewer. mode, stride and
 * batch are not used (USAGE). svg: also write a figure here; may be NULL. STOPPED: on a stop request. */
PHA_API pha_status pha_eval_positions(const pha_eval_options *options, const char *svg, pha_positions_result *result);
/* tokens_npy: .npy of integers (B, T), little-endian; writes logits (B, T, V), always fp32, as .npy. */
PHA_API pha_status pha_eval_logits(const char *model, const char *tokens_npy, const char *logits_npy, int threads);

/* ---- smaller weights --------------------------------------------------------------------------------------- */

typedef struct pha_quantize_options {
    const char *model; /* folder */
    pha_weights to;    /* the format of its matrices; what is no matrix stays fp32 */
    const char *out;   /* model folder to write, as for pha_model_init; NULL: only measure */
    const char *data;  /* data folder to measure on; NULL: don't */
    const char *split; /* NULL: "valid" */
    int32_t context;   /* tokens of a window, which is streamed; 0: 16384, or the positions of the model */
    int64_t max_tokens; /* 0: 65536 */
    int threads;        /* 0: PHA_THREADS or all processors */
    pha_progress_fn *progress;
    void *user; /* passed to progress */
} pha_quantize_options;

typedef struct pha_quantize_result {
    uint64_t bytes_before, bytes_after; /* of the matrices and all else in memory while a model runs, first in fp32 */
    uint64_t tokens, windows;           /* measured; 0: nothing below was */
    int32_t context;
    double loss_before, loss_after, kl, kl_error; /* nats a token: means; kl: of what was to what is */
    double same_choice;                           /* share of tokens at which both have the same likeliest next one */
    /* By position in a window, as in pha_positions_result; NaN where there was none. */
    double bucket_before[PHA_POSITION_BUCKETS], bucket_after[PHA_POSITION_BUCKETS], bucket_kl[PHA_POSITION_BUCKETS];
    uint64_t bucket_tokens[PHA_POSITION_BUCKETS];
    double kl_early, kl_late; /* of positions 64 to 1023, and of the last half of windows of 2048 and more; else NaN */
    bool grows;               /* kl_late is above 1.5 kl_early by more than three standard errors */
    double seconds;
} pha_quantize_result;

/* Writes a model with smaller weights, which everything that reads models reads; and measures what that costs. NUMERIC:
 * the error grows along a window (nothing is written, the result is there), or a loss is not finite. STOPPED: on a stop
 * request. USAGE: the model lies in `out`. */
PHA_API pha_status pha_quantize(const pha_quantize_options *options, pha_quantize_result *result);

/* ---- recall laboratory ------------------------------------------------------------------------------------- */

/* Tasks of token ids that are made, not read, each with something to recall (docs/lab.md): mqar, induction, copy,
 * selective, passkey, needle, tracking. A list of NULL and 0 is one value, the default; every combination of the lists
 * is a cell, which trains a model of its own and tests it. */
typedef struct pha_lab_options {
    const char *task;
    const char *const *models; /* configurations or preset files; with test_only: model folders */
    size_t n_models;
    bool test_only;            /* trains nothing: tests models as they are, each in its vocabulary */
    const int32_t *lengths;    /* T [the task's] */
    const int32_t *pairs;      /* how many things are to be recalled [the task's] */
    const int32_t *widths;     /* d_model, and all widths with it [the configuration's]; not with test_only */
    const double *rates;       /* peak learning rates [1e-3]; not with test_only */
    size_t n_lengths, n_pairs, n_widths, n_rates;
    const int32_t *depths;     /* of passkey and needle: percent, each is tested [anywhere]; no cells of their own */
    size_t n_depths;
    int32_t chains;            /* of tracking [1] */
    int32_t vocab_size;        /* V [the task's]; not with test_only */
    int32_t layers;            /* [2] */
    const char *const *set;    /* "key=value" for config.json, after everything else */
    size_t n_set;
    int64_t steps;             /* [1000] */
    int32_t batch;             /* examples per step [32] */
    double weight_decay;       /* [0.1]; negative: none */
    int64_t examples, tests;   /* of training, again and again in another order [100000]; of each test [3000] */
    uint64_t seed;             /* of weights and examples */
    const char *out;           /* a folder for lab.json and lab.svg; a cell that lab.json has is not run again */
    bool json;                 /* JSON instead of text */
    int threads;               /* 0: PHA_THREADS or all processors */
    pha_progress_fn *progress;
    void *user; /* passed to progress */
} pha_lab_options;

/* *text: a table or JSON, fresh memory for the caller to pha_free; also after STOPPED, of the cells that are done. A
 * combination that cannot be (4 pairs in 8 tokens) is left out with a note, and an error if there is no other. A model
 * whose training diverges has no accuracy. USAGE: also a task that there is not, or another process at `out`. */
PHA_API pha_status pha_lab(const pha_lab_options *options, char **text);
/* n examples from number `first` on, of training or of the test, of the task at the first value of each list: inputs
 * and targets (n, T), -1 for what is not scored. *length: T, *vocab_size: V; these two and, for n = 0, the arrays may
 * be NULL. */
PHA_API pha_status pha_lab_examples(const pha_lab_options *options, bool test, uint64_t first, size_t n,
                                    int32_t *inputs, int32_t *targets, int32_t *length, int32_t *vocab_size);

/* ---- downstream tasks ------------------------------------------------------------------------------------- */

/* What the lines of a file ask, decided by the keys of the first one. */
typedef enum pha_task_form {
    PHA_TASK_TEXT = 1,  /* "text": its last word, behind the last blank (LAMBADA) */
    PHA_TASK_TARGET,    /* "context" and "target": the target, a blank in front of it where neither side has one */
    PHA_TASK_CHOICE,    /* "context", "query", "ctx" or "goal" with a list "choices" or "endings", or "sol1" and "sol2";
                           "label", "gold" or "answer" is the right one's number from 0, or its text */
    PHA_TASK_PIQA,      /* "goal", "sol1", "sol2": "Question: {goal}\nAnswer:". Labels as "label", or one a line in
                           X-labels.lst beside X.jsonl, as published */
    PHA_TASK_HELLASWAG, /* "activity_label", "ctx_a", "ctx_b", "endings", "label" as published, cleaned as usual */
} pha_task_form;

typedef struct pha_task_options {
    const char *model;  /* a folder with a tokenizer */
    const char *file;   /* JSON lines, also compressed */
    int32_t context;    /* most tokens that the model reads at once; 0: all its positions, or 2048 if it has no end */
    int64_t max_items;  /* 0: all */
    const char *scores; /* write the likelihoods of each item here, as JSON lines; NULL: don't */
    int threads;        /* 0: PHA_THREADS or all processors */
    pha_progress_fn *progress;
    void *user; /* passed to progress */
    pha_weights weights;
} pha_task_options;

typedef struct pha_task_result {
    pha_task_form form;
    const char *context_key, *choices_key, *gold_key; /* that were used; constant texts, NULL: none */
    uint64_t items, truncated; /* of those, some lost the beginning of their context */
    uint64_t tokens, context_tokens; /* scored; read before them */
    int32_t context;
    /* Last words: the share of which each token is the likeliest, and exp of the mean loss of a word. Choices: the
     * share of items whose right choice is the likeliest: of all; by character (norm); by byte. NaN: not of this form.
     * The errors are standard errors, NaN of a single item. */
    double accuracy, accuracy_norm, accuracy_bytes, ppl;
    double accuracy_error, accuracy_norm_error, accuracy_bytes_error, ppl_error;
    uint64_t tokenizer_hash;
    double seconds;
    size_t peak_bytes;
} pha_task_result;

/* Scores continuations of contexts by their likelihood, with the definitions of the Language Model Evaluation Harness
 * for its loglikelihood and multiple_choice tasks without examples: a choice follows the context behind a blank; white
 * space at the end of a context goes to the continuation, which has the tokens of both together that follow as many as
 * the context alone has; an empty context is the token that ends a text; what is longer than `context` loses tokens on
 * the left; special tokens in the text become their ids. All of the file is read and encoded before anything is scored.
 * A context is read once for its choices. BAD_INPUT: also a line that is not of the form of the first one, and a
 * continuation that is longer than `context`; the line is named. STOPPED: on a stop request. */
PHA_API pha_status pha_task(const pha_task_options *options, pha_task_result *result);

/* ---- inspection, benchmarks, reports ---------------------------------------------------------------------- */

typedef enum pha_inspect_what {
    PHA_INSPECT_SUMMARY, /* configuration, parameters by component, FLOPs and bytes per token, state against context */
    PHA_INSPECT_MIXING,  /* mixing weights per layer, raw and scaled by the rms of the gains (Table 9 of the paper) */
    PHA_INSPECT_PROGRAM, /* one line per step */
    PHA_INSPECT_MEMORY,  /* the memory plan */
} pha_inspect_what;

typedef struct pha_inspect_options {
    const char *model; /* a model folder, a run folder (its model) or a config.json */
    pha_inspect_what what;
    bool json;              /* JSON instead of text */
    int32_t context, batch; /* of the program and the plan; 0: 1024, 1 */
    bool inference;         /* the plan of a streaming session instead of a training step */
    bool recompute, no_fuse;
    pha_precision precision;
    const char *svg; /* MIXING: also write the table as a figure here */
} pha_inspect_options;
/* *text: fresh memory for the caller to pha_free, zero-terminated. */
PHA_API pha_status pha_inspect(const pha_inspect_options *options, char **text);

typedef struct pha_bench_options {
    const char *model;       /* folder or config.json; NULL: the ops only */
    const char *what;        /* comma-separated: ops, train, prefill, decode; NULL: train,prefill,decode */
    const int32_t *contexts; /* NULL: 1024, 2048, 4096, 8192, 16384 */
    size_t n_contexts;
    int32_t batch, repeats; /* 0: 1, 5 */
    pha_precision precision;
    pha_weights weights;    /* of prefill and decode */
    pha_precision cache;    /* of decode and prefill [fp32] */
    bool json;
    int threads; /* 0: PHA_THREADS or all processors */
    pha_progress_fn *progress;
    void *user; /* passed to progress */
} pha_bench_options;
/* Times random weights on random tokens, and the machine itself. What has no room in memory is listed as skipped.
 * *text: a table or JSON, fresh memory for the caller to pha_free. */
PHA_API pha_status pha_bench(const pha_bench_options *options, char **text);

/* One promise of docs/spec/numerics.md, tried. */
typedef struct pha_verdict {
    const char *what; /* "streaming", ...: constant text */
    bool passed;
    double error, limit; /* what was found and what is allowed; limit 0: equal bits were asked for */
    double seconds;
    char text[200];      /* what was tried, or what is wrong */
} pha_verdict;

typedef struct pha_check_options {
    const char *model; /* a model folder, a run folder (its model) or a configuration, which gets initial values */
    int threads;       /* 0: PHA_THREADS or all processors */
    void (*verdict)(void *user, const pha_verdict *verdict); /* called for each as it comes; may be NULL */
    void *user;
} pha_check_options;

#define PHA_CHECKS 16
typedef struct pha_check_result {
    int n, failed;
    pha_verdict verdict[PHA_CHECKS];
    double seconds;
} pha_check_result;

/* Does this machine compute the model as it should? Reading at once, in pieces, token by token, beside other texts,
 * from copies and from saved states gives the same bits, on any number of threads; all instruction sets agree within
 * limits. With a narrow copy of the model (its architecture and switches, small widths, two layers): the same for a
 * longer text, gradients against differences of the loss, training that is resumed or on other threads, to the bit. The
 * tokenizer gives bytes and text back. Files lie in $TMPDIR for a while (of a configuration, its weights).
 * FAILED: a check failed, the result says which; others: none could be made. STOPPED: on a stop request. */
PHA_API pha_status pha_check(const pha_check_options *options, pha_check_result *result);

/* Writes report.html into a run folder: self-contained, with loss curves, mixing weights by layer, samples (texts that
 * were generated). May be called while the run goes on. */
PHA_API pha_status pha_report(const char *run_folder, const char *const *samples, size_t n_samples);

#ifdef __cplusplus
}
#endif
#endif

/* pha/session.h -- engines and sessions: streaming with constant-size state; of pha.h */
#ifndef PHA_SESSION_H
#define PHA_SESSION_H

#include "pha/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What many sessions share: a device, its threads, working copies of the weights, programs. Calls on sessions of one
 * engine may come from several threads; their runs take turns. */
typedef struct pha_engine pha_engine;

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
    const char *state_disk;    /* a folder for what goes from there, and for all of it when the engine is closed; NULL:
                                  none. It may serve several engines, models and processes at once */
    uint64_t state_disk_bytes; /* that it may hold together */
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
    PHA_MISS_DAMAGED,   /* its file was, and has been removed */
    PHA_MISS_OTHER_MODEL, /* another model has read it, or the same one with other kernels or formats, and its state is
                             of no use here */
    PHA_MISS_REASONS
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

/* From the engine's folder into its memory what lies there of the beginning of n ids, so that pha_session_begin finds
 * it. It takes as long as reading files takes, from any thread, and sessions go on meanwhile. Every file is checked
 * before anything of it is used; what does not come is told by the reason of pha_session_begin. *tokens (may be NULL):
 * that came. Without a folder nothing comes. */
PHA_API pha_status pha_engine_recall(pha_engine *engine, const int32_t *ids, size_t n, const char *tenant,
                                     int64_t *tokens);

typedef struct pha_texts_info {
    uint64_t ram, disk; /* bytes now; in the folder, of all that use it, as far as is known */
    uint64_t waiting;   /* bytes on their way to the folder */
    /* Pages of 64 tokens since the opening: written to the folder, read from it; not written because more came than the
     * disk takes, or because it failed; found damaged. */
    uint64_t written, read, dropped, failed, damaged;
} pha_texts_info;
PHA_API void pha_engine_get_texts(const pha_engine *engine, pha_texts_info *info);

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
    pha_reuse reuse; /* of the prompt, if it is the session's first text and the engine keeps some (no tenant) */
} pha_generate_result;

/* Reads the prompt (`size` bytes; may be empty in a session that has read something) and generates. Same model, session
 * state, prompt and options: same text. USAGE: the model has no tokenizer, or the prompt has no room. */
PHA_API pha_status pha_generate(pha_session *session, const char *prompt, size_t size,
                                const pha_generate_options *options, pha_generate_result *result);

#ifdef __cplusplus
}
#endif
#endif

/* request.h -- the body of a request, read once into a checked struct; nothing else looks at the JSON
 *
 * One table (request_fields) says which fields there are, what they may be and for which requests; openapi.json is
 * compared with it. null is as good as absent. Fields that are not in it are ignored and named once in the log.
 */
#ifndef CLI_SERVE_REQUEST_H
#define CLI_SERVE_REQUEST_H

#include <jansson.h>

#include "pha.h"
#include "serve/fault.h"
#include "serve/limits.h"

typedef enum AskKind {
    ASK_COMPLETION = 1,
    ASK_CHAT = 2,
    ASK_TOKENIZE = 4,
    ASK_DETOKENIZE = 8,
    ASK_STATE = 16,  /* a new one */
    ASK_MOVE = 32,   /* of a state: fork, rewind */
    ASK_IMPORT = 64,
} AskKind;

typedef struct Piece { /* bytes, or ids */
    char *text;
    size_t size;
    int32_t *ids; /* NULL: it is text */
    size_t n;
} Piece;

typedef struct Message {
    Piece role, content;
} Message;

typedef struct Ask {
    AskKind kind;
    char *model, *state;   /* NULL: not said */
    char *fingerprint;     /* of an exported state */
    int64_t position;      /* -1: not said */
    Piece *prompts;
    Message *messages;
    Piece *stop;
    size_t n_prompts, n_messages, n_stop;
    int32_t n;             /* samples of each prompt */
    int64_t max_tokens;    /* -1: not said */
    int32_t logprobs;      /* likeliest tokens beside each; -1: none are wanted */
    int32_t top_logprobs;  /* chat: -1 not said */
    bool wants_logprobs;   /* chat */
    bool echo, stream, usage, ignore_end, seeded;
    int64_t seed;
    double top_p, min_p, temperature, repetition_penalty, presence_penalty, frequency_penalty;
    int32_t top_k;
    pha_logit_bias *bias;
    size_t n_bias;
    Text unknown;          /* names of fields that were ignored, each with a zero behind it */
} Ask;

typedef struct Field {
    const char *name;
    int kinds;             /* AskKinds */
    enum { FIELD_BOOL, FIELD_INT, FIELD_REAL, FIELD_TEXT, FIELD_OWN } type;
    size_t offset, size;
    double low, high;
    bool above;            /* `low` itself is excluded */
    bool (*own)(Ask *a, const struct Field *f, const json_t *value, const Limits *l, Fault *fault);
    const char *shape;     /* OWN: for openapi.json, "string|array" */
} Field;
extern const Field request_fields[]; /* ends with a NULL name */

/* Fills *a, which is released by request_free also after a failure. False: *fault says what is wrong. Bounded by the
 * limits before anything of that size is made. */
bool request_read(Ask *a, AskKind kind, const char *body, size_t size, const Limits *limits, Fault *fault);
void request_free(Ask *a);

/* For fields.c. */
bool request_copy(Piece *p, const json_t *string, Fault *fault);
bool request_ids(Piece *p, const json_t *list, const char *name, Fault *fault);

#endif

/* choice.h -- one sequence of a request: a prompt, what was drawn behind it, its text, and where that ends
 *
 * The engine's thread owns it from scheduler_submit to the end of the request.
 */
#ifndef CLI_SERVE_CHOICE_H
#define CLI_SERVE_CHOICE_H

#include "serve/request.h"
#include "serve/tokens.h"

struct Request;

typedef enum Stage { CHOICE_WAITING, CHOICE_READING, CHOICE_DECODING, CHOICE_DONE } Stage;

typedef struct Choice {
    struct Request *request;
    const Piece *prompt;
    int32_t index, sample;    /* prompt x n + sample */
    Stage stage;
    const char *finish;       /* "stop", "length"; NULL: not yet */

    pha_session *session;     /* while it is read and decoded */
    int slot;
    int32_t *ids;             /* prompt, then what was drawn */
    size_t n_ids, read;       /* of them, how many the session has read */
    int64_t made, most;       /* tokens drawn; as many as are wanted */

    Text text;                /* the prompt, if it is echoed, and what was drawn */
    size_t echoed, sent;      /* bytes of it: of the prompt; that a stream has been given */
    size_t *starts;           /* (n_entries) where the text of each token begins that the answer tells of */
    size_t n_entries, first;  /* ids[first] is that of the first entry */
    size_t room;              /* of ids, starts and logprobs */
    size_t sent_entries;
    Counter counter;          /* characters of the text, for offsets of entries */
    pha_logprob *logprobs;    /* (n_entries, 1 + k); id -1: there is none */

    pha_reuse reuse;          /* of the prompt; tokens that were known */
    double started, last;     /* when it got its slot; when its last token came */
} Choice;

/* Takes the memory that it needs and lays out an echoed prompt; false: there is none. */
bool choice_begin(Choice *c, const Ask *a, const Tokens *tokens);
/* The log-probabilities (n, 1 + k) of prompt tokens from number `first` on. */
void choice_scored(Choice *c, const Ask *a, size_t first, size_t n, const pha_logprob *p);
/* A token was drawn; p (1 + k) or NULL. Sets `finish` where that ends the sequence. False: no memory. */
bool choice_drew(Choice *c, const Ask *a, const Tokens *tokens, int32_t id, const pha_logprob *p);
/* Bytes of the text that nothing that follows can change. */
size_t choice_certain(const Choice *c, const Ask *a);
/* Of its ids, how many lie altogether in its text: without a token that ended it, or one with which a stop string
 * begins. */
size_t choice_whole(const Choice *c, const Tokens *tokens);
void choice_free(Choice *c);

#endif

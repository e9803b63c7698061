/* completion.h -- a request for text: its choices, and the answer or stream that they become
 *
 * Owners, one after another: the worker that reads it, the scheduler that runs it, the worker again that writes its
 * answer and frees it. A stream's events are written by the engine's thread as tokens come.
 */
#ifndef CLI_SERVE_COMPLETION_H
#define CLI_SERVE_COMPLETION_H

#include "serve/choice.h"
#include "serve/server.h"

typedef struct Request {
    Job job;                 /* for the worker */
    Server *server;
    Exchange *exchange;      /* held */
    Ask ask;
    Piece *prompts;          /* as tokens */
    Choice *choices;
    size_t n_prompts, n_choices, admitted, left; /* choices that have got a slot; that are not done */
    char id[48];
    long created;
    bool failed;             /* its answer is told already, or nobody waits for one */
    pha_sample_options sample;
    double arrived, began, first_token; /* 0: not yet */
    int status;              /* of the answer; 0: 200, or nobody waits for it */
    int64_t prompt_tokens, reused;
    bool holds_state;        /* ask.state is its until it ends */
    size_t state_tokens;     /* that it has then */

    struct Request *before, *after; /* in the scheduler's list */
    struct Tenant *tenant;
    Text event;              /* memory for the next event */
} Request;

/* scheduler -> stream: events of what is certain now; of the end of a choice; of the end of all */
void stream_begin(Request *r);
void stream_tokens(Choice *c);
void stream_end(Request *r);

/* answer.c: for the worker, which also frees the request. */
void request_answer(Job *job);
void request_destroy(Request *r);

/* completion.c: the state that it goes on with gets what was read and made; of a failed request it is as it was. */
void request_leave_state(Request *r);
/* The tokens of a text or of a list, checked; *out's ids are to be freed. */
bool request_tokens(const Server *s, Piece *out, Piece *from, Fault *f);
bool request_check_ids(const Server *s, const Piece *p, Fault *f);

/* print.c: parts of answers. */
void print_head(Text *t, const Request *r, const char *object);
void print_usage(Text *t, const Request *r);
/* Of entries [first, last); offsets count from the start of the text. */
void print_logprobs(Text *t, Choice *c, size_t first, size_t last);

#endif

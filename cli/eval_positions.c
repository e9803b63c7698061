/* eval_positions.c -- pha eval --by-position: losses by the number of tokens in front */
#include <math.h>

#include "eval.h"

/* The first position of a part. */
static long long begin_of(int k) { return k ? 1LL << (k - 1) : 0; }
static long long end_of(int k) { return k ? (1LL << k) - 1 : 0; }

static void protocol(char *text, size_t size, const pha_positions_result *r)
{
    char state[32];
    snprintf(text, size, "windows of %d tokens without overlap, each streamed with a state of %s%s", (int)r->context,
             talk_bytes(state, (double)r->state_bytes),
             r->grows ? ", which grows with the window (attention without a window)" : ", whatever the window");
}

static int print_json(const EvalOptions *a, const pha_positions_result *r)
{
    char text[256];
    json_t *all = json_object(), *parts = json_array();
    protocol(text, sizeof text, r);
    for (int k = 0; k < PHA_POSITION_BUCKETS; k++) {
        if (!r->bucket_tokens[k]) continue;
        json_t *part = json_object();
        talk_set(&part, "from", json_integer(begin_of(k)));
        talk_set(&part, "to", json_integer(end_of(k) < r->context ? end_of(k) : r->context - 1));
        talk_set(&part, "tokens", json_integer((json_int_t)r->bucket_tokens[k]));
        talk_set(&part, "nll", talk_real(r->bucket_nll[k]));
        talk_set(&part, "loss", talk_real(r->bucket_loss[k]));
        talk_set(&part, "loss_stderr", talk_real(r->bucket_error[k]));
        talk_set(&part, "ppl", talk_real(exp(r->bucket_loss[k])));
        talk_add(&parts, part);
    }
    talk_set(&all, "model", talk_string(a->o.model));
    talk_set(&all, "data", talk_string(a->o.data));
    talk_set(&all, "split", talk_string(a->o.split));
    talk_set(&all, "protocol", talk_string(text));
    talk_set(&all, "window", json_integer(r->context));
    talk_set(&all, "windows", json_integer((json_int_t)r->windows));
    talk_set(&all, "state_bytes", json_integer((json_int_t)r->state_bytes));
    talk_set(&all, "state_grows", json_boolean(r->grows));
    talk_set(&all, "tokenizer_hash", talk_hash(r->tokenizer_hash));
    talk_set(&all, "tokens", json_integer((json_int_t)r->tokens));
    talk_set(&all, "nll", talk_real(r->nll));
    talk_set(&all, "token_ppl", talk_real(r->token_ppl));
    talk_set(&all, "by_position", parts);
    talk_set(&all, "seconds", talk_real(r->seconds));
    talk_set(&all, "peak_bytes", json_integer((json_int_t)r->peak_bytes));
    return talk_json(all);
}

static void print_text(const EvalOptions *a, const pha_positions_result *r)
{
    char text[256], n[32], m[32], loss[32], error[32], ppl[32];
    protocol(text, sizeof text, r);
    talk_print(stdout, "%-18s %s\n%-18s %s, %s\n", "protocol", text, "split", a->o.data, a->o.split);
    printf("%-18s %016llx\n", "tokenizer", (unsigned long long)r->tokenizer_hash);
    printf("%-18s %s in %s windows\n", "tokens scored", talk_count(n, r->tokens), talk_count(m, r->windows));
    eval_print_real("token perplexity", r->token_ppl, 4, "");
    printf("%18s %12s %10s %9s %12s\n", "position", "tokens", "loss", "+-", "perplexity");
    for (int k = 0; k < PHA_POSITION_BUCKETS; k++) {
        if (!r->bucket_tokens[k]) continue;
        double x = exp(r->bucket_loss[k]);
        snprintf(text, sizeof text, k < 2 ? "%lld" : "%lld..%lld", begin_of(k),
                 end_of(k) < r->context ? end_of(k) : r->context - 1LL);
        printf("%18s %12s %10s %9s %12s\n", text, talk_count(n, r->bucket_tokens[k]),
               talk_number(loss, r->bucket_loss[k], 4),
               isfinite(r->bucket_error[k]) ? talk_number(error, r->bucket_error[k], 4) : "-",
               isinf(x) ? "above 1e308" : talk_number(ppl, x, 3));
    }
    talk_note("%s tokens in %s, peak memory %s", talk_count(n, r->tokens), talk_seconds(text, r->seconds),
              talk_bytes(text + 64, (double)r->peak_bytes));
}

static int check(const Call *call, const EvalOptions *a)
{
    static const char *const others[] = {"mode", "stride", "batch", "tokens", "logits"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (option_given(call, others[i])) return usage_error(call, "--%s does not apply to --by-position", others[i]);
    if (!a->o.data) return usage_error(call, "--data DIR is missing: data folder that `pha prepare` wrote");
    return PHA_OK;
}

int eval_positions(Call *call, const EvalOptions *a)
{
    pha_positions_result result;
    int bad = check(call, a);
    if (bad) return bad;
    pha_eval_options o = a->o;
    o.batch = 0;
    if (!option_given(call, "context")) o.context = 0;
    o.progress = talk_progress_unless(a->quiet);
    pha_status status = pha_eval_positions(&o, a->svg, &result);
    talk_progress_end();
    if (status) return library_error(call, status);
    if (a->svg) talk_note("wrote %s", a->svg);
    if (a->json) return print_json(a, &result);
    print_text(a, &result);
    return PHA_OK;
}

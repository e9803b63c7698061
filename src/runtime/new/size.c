/* size.c -- models from small to large, and how each is trained; the recipe was found on the runs of bench/new */
#include <math.h>

#include "base/json.h"
#include "runtime/model.h"
#include "runtime/new/new.h"

static const struct rung {
    int32_t d_model, n_layer;
} rungs[] = {{32, 2}, {48, 2}, {64, 2}, {96, 3}, {128, 4}, {192, 5}, {256, 6},
             {384, 8}, {512, 10}, {640, 12}, {768, 14}};

int pha__rungs(void) { return (int)(sizeof rungs / sizeof *rungs); }

static int32_t sixteens(int32_t x) { return (x + 15) / 16 * 16; }

static pha_status parse(pha__config *c, json_t *o)
{
    pha__config_rules rules = pha__rules();
    if (!o) FAIL(NO_MEMORY, "no memory for a configuration");
    pha_status status = pha__config_parse(c, o, "the model of pha_new", &rules);
    json_decref(o);
    return status;
}

/* The shape of the preset quickstart: a head is 32 wide, or 16 where the model is narrow. */
pha_status pha__rung_config(pha__config *c, int rung, int32_t vocab_size)
{
    int32_t d = rungs[rung].d_model, heads = d < 64 ? d / 16 : d / 32;
    json_t *o = pha__json_object();
    pha__json_set(&o, "arch", pha__json_text("pha"));
    pha__json_set(&o, "vocab_size", pha__json_number(vocab_size));
    pha__json_set(&o, "d_model", pha__json_number(d));
    pha__json_set(&o, "n_layer", pha__json_number(rungs[rung].n_layer));
    pha__json_set(&o, "n_head", pha__json_number(heads));
    pha__json_set(&o, "n_kv_head", pha__json_number(heads % 2 ? heads : heads / 2));
    pha__json_set(&o, "d_state", pha__json_number(sixteens(5 * d / 2)));
    pha__json_set(&o, "d_ffn", pha__json_number(2 * d));
    pha__json_set(&o, "d_aux", pha__json_number(sixteens(3 * d / 4)));
    return parse(c, o);
}

static double between(double x, double low, double high) { return x < low ? low : x > high ? high : x; }
static double power_of_two_below(double x) { return exp2(floor(log2(x))); }

enum { CONTEXT = 256, CONTEXT_LEAST = 16, TOGETHER_LEAST = 512, TOGETHER_MOST = 1 << 16, STEPS = 600 };

/* At least 600 steps, where a step of 512 tokens leaves so many; a text has at least 32 windows. */
void pha__recipe(pha_plan *p, double tokens)
{
    double T = between(power_of_two_below((double)p->train_tokens / 32 + 1), CONTEXT_LEAST, CONTEXT);
    double step = between(power_of_two_below(tokens / STEPS + 1), TOGETHER_LEAST, TOGETHER_MOST);
    if (step < T) step = T;
    while (step > T && step > tokens / 8) step /= 2;
    p->context = (int32_t)T, p->batch = (int32_t)(step / T);
    p->steps = (int64_t)between(floor(tokens / step), 1, 1e12);
    p->warmup = (int64_t)between(floor((double)p->steps / 20), 1, 100);
    if (p->warmup >= p->steps) p->warmup = 0;
    p->lr = 4e-3 * sqrt(128.0 / p->d_model);
    p->passes = (double)p->steps * step / (double)p->train_tokens;
    p->dropout = p->passes > 4 && p->parameters > p->train_tokens ? 0.1 : 0; /* it could learn the text by heart */
}

int32_t pha__new_vocabulary(double bytes, double minutes)
{
    double seen = fmin(bytes, 1.2e6 * minutes);
    return (int32_t)between(exp2(round(log2(sqrt(fmax(seen, 1))))), 512, 16384);
}

double pha__new_held(double bytes) { return between(256e3 / bytes, 0.002, 0.1); }
